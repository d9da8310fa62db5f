"""Real conversations, replayed to both sides at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from errno import EPERM
from pathlib import Path

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from ovsdp_cuse.captures.conversation import Exchange
from ovsdp_cuse.daemon import load_registry
from ovsdp_cuse.ports.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_DELLINK,
    RTM_NEWLINK,
    RouteSocket,
)
from ovsdp_cuse.replay.channel import Target
from ovsdp_cuse.replay.device import DeviceTarget
from ovsdp_cuse.replay.netlink import NetlinkChannel, NetlinkTarget
from ovsdp_cuse.replay.player import Player
from tests.captures.recorded import NAMES, SCHEMA_OF, Recorded, Refused, World, without_traffic
from tests.captures.test_replay import DaemonTarget, MemoryWorld
from tests.families.doors import Daemon
from tests.namespaces import Namespace
from tests.oracle.kernel.conftest import serve_node
from tests.oracle.messages import errno_of
from tests.oracle.peers import Answers, NodeChannel, SocketChannel
from tests.oracle.report import Report
from tests.oracle.runner import clean_channel

SOURCE = "captures of both"
LONG = ("dpctl",)
"""Captures with too many requests for a device node in the virtual machine."""

Side = tuple[Target, World]


class HostWorld:
    """Interfaces of a namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._made: list[str] = []
        with namespace:
            self._route = RouteSocket()

    def add(self, name: str) -> None:
        """As World.add."""
        if not self._namespace.has_link(name):
            message = ifinfmsg()
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


class InNamespace:
    """The kernel, in a namespace."""

    name = "netlink"

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        with namespace:
            self._target = NetlinkTarget(SCHEMA_OF, SCHEMA_OF)
        self.side = self._target.side

    def open(self, may_write: bool) -> NetlinkChannel:
        """As Target.open."""
        with self._namespace:
            return self._target.open(may_write)


@pytest.fixture
def kernel() -> Iterator[Side]:
    """The kernel, and its interfaces."""
    namespace = Namespace()
    with closing(namespace), closing(HostWorld(namespace)) as world:
        yield InNamespace(namespace), world
        with namespace:
            clean_channel(SocketChannel())


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[Namespace, Path]]:
    """A device node, and the namespace of its ports."""
    namespace = Namespace()
    with closing(namespace), serve_node(namespace) as path:
        yield namespace, path


@pytest.fixture
def ours(request: pytest.FixtureRequest) -> Iterator[Side]:
    """The device node, or the daemon in this process, and its interfaces."""
    if request.param in LONG:
        daemon = Daemon(handle_limit=1000)
        yield DaemonTarget(daemon), MemoryWorld(daemon.ports)
        return
    namespace, path = request.getfixturevalue("node")
    with closing(HostWorld(namespace)) as world:
        yield DeviceTarget(path, SCHEMA_OF), world
        clean_channel(NodeChannel(path, load_registry()))


@pytest.mark.parametrize(("ours", "name"), [(name, name) for name in NAMES], indirect=["ours"])
def test_both_answer_the_same(ours: Side, kernel: Side, name: str) -> None:
    recorded = Recorded(name)
    worlds = ours[1], kernel[1]
    players = [Player(target, recorded.names, SCHEMA_OF) for target in (ours[0], kernel[0])]
    refused = Refused()
    report = Report(load_registry(), SOURCE)
    wanted = set(recorded.without_repeats())
    for number, event in enumerate(recorded.events):
        for world in worlds:
            recorded.prepare(world, number)
        if number not in wanted:
            continue
        if isinstance(event, Exchange) and EPERM in map(errno_of, event.replies):
            continue  # an unprivileged process asked
        outcomes = [player.play(event) for player in players]
        if not isinstance(event, Exchange):
            continue
        assert all(outcome is not None for outcome in outcomes)
        here, there = (
            recorded.in_our_ids(outcome.replies) for outcome in outcomes if outcome is not None
        )
        (request,) = recorded.in_our_ids([event.request])
        theirs = recorded.in_our_ids(event.replies)
        if not refused.concerns(request, theirs, here):
            report.compare(
                f"{name} {event.number}",
                (request,),
                Answers(tuple(map(without_traffic, here))),
                Answers(tuple(map(without_traffic, refused.without(there)))),
            )
    for player in players:
        player.close()
    report.check()
