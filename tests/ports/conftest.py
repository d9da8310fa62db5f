"""Network namespaces for ports, and rigs for each kind of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.namespaces import Namespace, fresh_namespaces
from tests.ports.rigs import RIGS, HostRig, Rig


@pytest.fixture
def new_namespace() -> Iterator[Callable[[], Namespace]]:
    """Makes namespaces."""
    with fresh_namespaces() as make:
        yield make


@pytest.fixture
def namespace(new_namespace: Callable[[], Namespace]) -> Iterator[Namespace]:
    """A namespace that the test runs in."""
    with new_namespace() as namespace:
        yield namespace


@pytest.fixture(params=sorted(RIGS))
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Each kind of port, with what is at its other end."""
    rig_type = RIGS[request.param]
    if issubclass(rig_type, HostRig):
        rig: Rig = rig_type(request.getfixturevalue("namespace"))
    else:
        rig = rig_type()
    yield rig
    rig.close()
