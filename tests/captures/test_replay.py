"""Replays real conversations to the daemon: it answers as the kernel did then."""

from __future__ import annotations

import pytest

from ovsdp_cuse.captures.conversation import Exchange
from ovsdp_cuse.captures.netlink import split
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.memory import MemoryPorts
from ovsdp_cuse.replay.channel import ChannelError
from ovsdp_cuse.replay.numbers import Side
from ovsdp_cuse.replay.player import Player
from tests.captures.recorded import NAMES, SCHEMA_OF, Recorded, Refused, without_traffic
from tests.families.doors import Daemon
from tests.oracle.differences import outlived
from tests.oracle.peers import Answers, HandleChannel
from tests.oracle.report import Report

SOURCE = "captures"


class MemoryWorld:
    """Interfaces of memory."""

    def __init__(self, ports: MemoryPorts) -> None:
        self._ports = ports

    def add(self, name: str) -> None:
        """As World.add."""
        try:
            self._ports.interface(name)
        except DatapathError:
            self._ports.add_interface(name)

    def remove(self, name: str) -> None:
        """As World.remove."""
        self._ports.remove_interface(name)


class DaemonTarget:
    """A daemon in this process, as a target."""

    name = "the daemon"

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        families = list(daemon.context.registry)
        ids = {family.schema.name: family.schema.id for family in families}
        groups = {group.id: group.name for family in families for group in family.groups}
        self.side = Side(SCHEMA_OF, ids, groups)

    def open(self, may_write: bool) -> DaemonChannel:
        """As Target.open."""
        return DaemonChannel(HandleChannel(self._daemon, may_write))


class DaemonChannel:
    """A handle, by its stream door alone."""

    def __init__(self, channel: HandleChannel) -> None:
        self._channel = channel
        self.pid = channel.pid

    def send(self, request: bytes, _operation: str | None) -> list[bytes]:
        """As Channel.send."""
        try:
            self._channel.send(request + bytes(-len(request) & 3))
        except DatapathError as error:
            raise ChannelError(error.errno, error.message) from None
        return []

    def receive(self) -> list[bytes]:
        """As Channel.receive."""
        found: list[bytes] = []
        while (datagram := self._channel.receive()) is not None:
            found += split(datagram)
        return found

    def close(self) -> None:
        """As Channel.close."""
        self._channel.close()


@pytest.mark.parametrize("name", NAMES)
def test_the_daemon_answers_as_the_kernel_did(name: str) -> None:
    recorded = Recorded(name)
    daemon = Daemon(handle_limit=1000)
    world = MemoryWorld(daemon.ports)
    player = Player(DaemonTarget(daemon), recorded.names, SCHEMA_OF)
    refused = Refused()
    report = Report(daemon.context.registry, SOURCE)
    for number, event in enumerate(recorded.events):
        recorded.prepare(world, number)
        outcome = player.play(event)
        if not isinstance(event, Exchange) or outcome is None or outcome.left_out:
            continue
        (request,) = recorded.in_our_ids([event.request])
        theirs = recorded.in_our_ids(event.replies)
        ours = recorded.in_our_ids(outcome.replies)
        if not refused.concerns(request, theirs, ours):
            report.compare(
                f"{name} {event.number}",
                (request,),
                Answers(tuple(map(without_traffic, ours))),
                Answers(tuple(map(without_traffic, refused.without(theirs)))),
            )
    player.close()
    report.check()


def test_the_differences_that_are_known_are_still_there() -> None:
    assert outlived(SOURCE) == []
