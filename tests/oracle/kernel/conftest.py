"""Two sides, each in a network namespace of its own with the same interfaces in it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from ovsdp_cuse.daemon import load_registry
from tests.families.doors import Daemon
from tests.namespaces import Namespace
from tests.nodes.daemon import Daemon as NodeDaemon
from tests.nodes.served import new_path
from tests.oracle.peers import Peer, daemon_peer, kernel_peer, node_peer
from tests.oracle.runner import declare_interfaces, make_interfaces

MODULES = ("openvswitch", "veth", "tun", "cuse")


class Sides(NamedTuple):
    """Ours and the kernel's, and where their interfaces are."""

    ours: Peer
    kernel: Peer
    our_namespace: Namespace
    kernel_namespace: Namespace


@pytest.fixture(scope="session", autouse=True)
def modules() -> None:
    """The kernel's modules; without them nothing here can run."""
    assert os.geteuid() == 0, "loading modules and making namespaces takes root"
    subprocess.run(["modprobe", "-a", *MODULES], check=True)
    # Or every namespace has interfaces of the tunnels' modules, from when they were first used.
    Path("/proc/sys/net/core/fb_tunnels_only_for_init_net").write_text("2")


@pytest.fixture(scope="module")
def node_sides() -> Iterator[Sides]:
    """A daemon as it is: on a device node, with interfaces of the host."""
    with _namespaces() as namespaces, serve_node(namespaces[0]) as path:
        yield from _sides(node_peer(path, load_registry()), *namespaces)


@pytest.fixture(scope="module")
def daemon_sides() -> Iterator[Sides]:
    """The daemon in this process, with ports of memory: the same answers, sooner."""
    with _namespaces() as namespaces:
        daemon = Daemon()
        declare_interfaces(daemon.ports)
        yield from _sides(daemon_peer(daemon), *namespaces)


@contextmanager
def serve_node(namespace: Namespace) -> Iterator[Path]:
    """Serve a CUSE node from a namespace."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="ovsdp-test-"))
        path = new_path("cuse", Path(directory))
        with namespace:
            daemon = stack.enter_context(NodeDaemon("cuse", path, interfaces="host"))
        yield path
        assert daemon.stop() == 0, daemon.log
        assert "Traceback" not in daemon.log, daemon.log


@contextmanager
def _namespaces() -> Iterator[tuple[Namespace, Namespace]]:
    """Ours and the kernel's, with interfaces."""
    both = Namespace(), Namespace()
    for namespace in both:
        make_interfaces(namespace)
    yield both
    for namespace in both:
        namespace.close()


def _sides(ours: Peer, our_namespace: Namespace, kernel_namespace: Namespace) -> Iterator[Sides]:
    kernel = kernel_peer(kernel_namespace, ours)
    yield Sides(ours, kernel, our_namespace, kernel_namespace)
    kernel.close()
    ours.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--seed: what the generated requests come from."""
    parser.addoption("--seed", type=int, default=1, help="of the generated requests (default 1)")


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """What the generated requests come from."""
    return int(request.config.getoption("--seed"))
