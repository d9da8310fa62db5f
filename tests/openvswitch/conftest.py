"""One stack for most tests, and others for those that stop or kill its parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.namespaces import Namespace, fresh_namespaces
from tests.nodes.served import wanted_kind
from tests.openvswitch.stack import Stack, check_daemon, running_stack, sections

RUNNING = pytest.StashKey[list[Stack]]()


@pytest.fixture(scope="session")
def kind() -> str:
    """fuse or cuse; without root, these tests cannot run."""
    assert os.geteuid() == 0, "network namespaces, and nodes, take root"
    kind = wanted_kind()
    return "fuse" if kind == "fake" else kind


@pytest.fixture(scope="session")
def new_shared_namespace() -> Iterator[Callable[[], Namespace]]:
    """Makes network namespaces that are there until all tests are over."""
    with fresh_namespaces() as make:
        yield make


@pytest.fixture
def new_namespace() -> Iterator[Callable[[], Namespace]]:
    """Makes network namespaces, which go with the test."""
    with fresh_namespaces() as make:
        yield make


@pytest.fixture(scope="session")
def shared_stack(
    kind: str, new_shared_namespace: Callable[[], Namespace], request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """The stack that most tests share."""
    with running_stack(kind, new_shared_namespace) as stack, _told(request, stack):
        yield stack


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The shared stack, with nothing in it; what a test adds is removed."""
    shared_stack.forget_logs()
    yield shared_stack
    shared_stack.clear()
    check_daemon(shared_stack.daemon_log)


StartStack = Callable[..., Stack]


@pytest.fixture
def start_stack(
    kind: str, new_namespace: Callable[[], Namespace], request: pytest.FixtureRequest
) -> Iterator[StartStack]:
    """Starts stacks of the test's own, with options of our daemon."""
    with ExitStack() as stacks:

        def start(*options: str) -> Stack:
            stack = stacks.enter_context(running_stack(kind, new_namespace, *options))
            stacks.enter_context(_told(request, stack))
            return stack

        yield start


@pytest.fixture
def own_stack(start_stack: StartStack) -> Stack:
    """A stack whose daemons the test may stop and kill."""
    return start_stack()


def _told(request: pytest.FixtureRequest, stack: Stack) -> ExitStack:
    """While this is open, tests that fail show the stack's logs."""
    running = request.config.stash.setdefault(RUNNING, [])
    running.append(stack)
    told = ExitStack()
    told.callback(running.remove, stack)
    return told


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    """Add the logs of what is running to the report of a test that failed."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # its yield is untyped
    if report.failed:
        running = item.config.stash.get(RUNNING, None)
        report.sections.extend(sections(running or ()))
