"""Replays real conversations to the daemon: it answers as the kernel did then."""

from __future__ import annotations

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.ports.memory import MemoryPorts
from tests.captures.conversation import INTERFACES, NAMES, Exchange, read
from tests.captures.replay import Refused, Replay, without_traffic
from tests.families.doors import Daemon
from tests.oracle.differences import outlived
from tests.oracle.peers import Answers, HandleChannel
from tests.oracle.report import Report

SOURCE = "captures"


class MemoryWorld:
    """Interfaces of memory."""

    def __init__(self, ports: MemoryPorts) -> None:
        self._ports = ports

    def add(self, name: str, index: int) -> None:
        """As World.add."""
        try:
            self._ports.interface(name)
        except DatapathError:
            self._ports.add_interface(name, ifindex=index)

    def remove(self, name: str) -> None:
        """As World.remove."""
        self._ports.remove_interface(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_daemon_answers_as_the_kernel_did(name: str) -> None:
    daemon = Daemon(handle_limit=1000)
    replay = Replay(lambda may_write: HandleChannel(daemon, may_write), MemoryWorld(daemon.ports))
    for interface, index in INTERFACES.get(name, {}).items():
        replay.world.add(interface, index)
    refused = Refused()
    report = Report(daemon.context.registry, SOURCE)
    for number, event in enumerate(read(name)):
        ours = replay.event(event)
        if isinstance(event, Exchange) and not refused.concerns(event, ours):
            theirs = refused.without(event.replies())
            report.compare(
                f"{name} {number}",
                (event.request,),
                Answers(tuple(map(without_traffic, ours))),
                Answers(tuple(map(without_traffic, theirs))),
            )
    replay.close()
    report.check()


def test_the_differences_that_are_known_are_still_there() -> None:
    assert outlived(SOURCE) == []
