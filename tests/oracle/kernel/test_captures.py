"""Real conversations, replayed to both sides at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from errno import EPERM
from pathlib import Path

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from ovsdp_cuse.daemon import load_registry
from ovsdp_cuse.ports.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_DELLINK,
    RTM_NEWLINK,
    RouteSocket,
)
from tests.captures.conversation import INTERFACES, NAMES, Exchange, read, without_repeats
from tests.captures.replay import Refused, Replay, World, without_traffic
from tests.captures.test_replay import MemoryWorld
from tests.families.doors import Daemon
from tests.namespaces import Namespace
from tests.oracle.kernel.conftest import serve_node
from tests.oracle.messages import errno_of
from tests.oracle.peers import Answers, Channel, HandleChannel, NodeChannel, SocketChannel
from tests.oracle.report import Report

SOURCE = "captures of both"
LONG = ("dpctl",)
"""Captures with too many requests for a device node in the virtual machine."""


class HostWorld:
    """Interfaces of a namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        with namespace:
            self._route = RouteSocket()

    def add(self, name: str, index: int) -> None:
        """As World.add."""
        if not self._namespace.has_link(name):
            message = ifinfmsg()
            message["index"] = index
            info = {"attrs": [("IFLA_INFO_KIND", "dummy")]}
            message["attrs"] = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", info)]
            self._route.send_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, message)

    def remove(self, name: str) -> None:
        """As World.remove."""
        message = ifinfmsg()
        message["index"] = self._namespace.link(name).ifindex
        self._route.send_message(RTM_DELLINK, 0, message)

    def close(self) -> None:
        self._route.close()


@pytest.fixture
def kernel() -> Iterator[Replay]:
    """A replay to the kernel."""
    with ExitStack() as stack:
        namespace, world = _host(stack)

        def open_socket(_may_write: bool) -> Channel:
            with namespace:
                return SocketChannel()

        yield from _replay(open_socket, world)


@pytest.fixture
def ours(request: pytest.FixtureRequest) -> Iterator[Replay]:
    """A replay to a device node, or to the daemon in this process."""
    if request.param in LONG:
        daemon = Daemon(handle_limit=1000)
        yield from _replay(lambda _may_write: HandleChannel(daemon), MemoryWorld(daemon.ports))
        return
    with ExitStack() as stack:
        namespace, world = _host(stack)
        path: Path = stack.enter_context(serve_node(namespace))
        registry = load_registry()
        yield from _replay(lambda _may_write: NodeChannel(path, registry), world)


def _host(stack: ExitStack) -> tuple[Namespace, HostWorld]:
    namespace = Namespace()
    stack.callback(namespace.close)
    world = HostWorld(namespace)
    stack.callback(world.close)
    return namespace, world


def _replay(open_channel: Callable[[bool], Channel], world: World) -> Iterator[Replay]:
    replay = Replay(open_channel, world)
    yield replay
    replay.close()


@pytest.mark.parametrize(("ours", "name"), [(name, name) for name in NAMES], indirect=["ours"])
def test_both_answer_the_same(ours: Replay, kernel: Replay, name: str) -> None:
    for replay in (ours, kernel):
        for interface, index in INTERFACES.get(name, {}).items():
            replay.world.add(interface, index)
    refused = Refused()
    report = Report(load_registry(), SOURCE)
    for number, event in enumerate(without_repeats(read(name))):
        if isinstance(event, Exchange) and EPERM in map(errno_of, event.answers):
            continue  # an unprivileged process asked
        here, there = ours.event(event), kernel.event(event)
        if isinstance(event, Exchange) and not refused.concerns(event, here):
            report.compare(
                f"{name} {number}",
                (event.request,),
                Answers(tuple(map(without_traffic, here))),
                Answers(tuple(map(without_traffic, refused.without(there)))),
            )
    report.check()
