"""Real conversations, replayed to both sides at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
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
from tests.captures.replay import Refused, Replay, without_traffic
from tests.captures.test_replay import MemoryWorld
from tests.families.doors import Daemon
from tests.namespaces import Namespace
from tests.oracle.kernel.conftest import serve_node
from tests.oracle.messages import errno_of
from tests.oracle.peers import Answers, Channel, HandleChannel, NodeChannel, SocketChannel
from tests.oracle.report import Report
from tests.oracle.runner import clean_channel

SOURCE = "captures of both"
LONG = ("dpctl",)
"""Captures with too many requests for a device node in the virtual machine."""


class HostWorld:
    """Interfaces of a namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._made: list[str] = []
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
            self._made.append(name)

    def remove(self, name: str) -> None:
        """As World.remove."""
        message = ifinfmsg()
        message["index"] = self._namespace.link(name).ifindex
        self._route.send_message(RTM_DELLINK, 0, message)
        self._made.remove(name)

    def close(self) -> None:
        """Take away what was made."""
        for name in list(self._made):
            self.remove(name)
        self._route.close()


@pytest.fixture
def kernel() -> Iterator[Replay]:
    """A replay to the kernel."""
    namespace = Namespace()

    def open_socket(_may_write: bool) -> Channel:
        with namespace:
            return SocketChannel()

    with closing(namespace), closing(HostWorld(namespace)) as world:
        with closing(Replay(open_socket, world)) as replay:
            yield replay
        with namespace:
            clean_channel(SocketChannel())


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[Namespace, Path]]:
    """A device node, and the namespace of its ports."""
    namespace = Namespace()
    with closing(namespace), serve_node(namespace) as path:
        yield namespace, path


@pytest.fixture
def ours(request: pytest.FixtureRequest) -> Iterator[Replay]:
    """A replay to the device node, or to the daemon in this process."""
    if request.param in LONG:
        daemon = Daemon(handle_limit=1000)
        memory = MemoryWorld(daemon.ports)
        with closing(Replay(lambda _may_write: HandleChannel(daemon), memory)) as replay:
            yield replay
        return
    namespace, path = request.getfixturevalue("node")
    registry = load_registry()
    with closing(HostWorld(namespace)) as world:
        with closing(Replay(lambda _may_write: NodeChannel(path, registry), world)) as replay:
            yield replay
        clean_channel(NodeChannel(path, registry))


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
