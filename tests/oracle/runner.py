"""Runs scenarios on a peer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import unpack_from

from tests.oracle.messages import DATAPATH, DEL, DUMP, GET, head, message, numbered
from tests.oracle.peers import Answers, Peer
from tests.oracle.steps import FIRST_INDEX, INTERFACES, Pids, Scenario, Step


def interface_commands() -> list[str]:
    """Commands of ip(8) that make INTERFACES, with the same indexes and addresses everywhere."""
    commands = []
    for number, name in enumerate(INTERFACES, 1):
        other = name.replace("p", "q")
        commands += [
            f"link add {name} index {FIRST_INDEX + number - 1} address 02:00:00:00:01:0{number} "
            f"type veth peer name {other} index {FIRST_INDEX + 9 + number} "
            f"address 02:00:00:00:02:0{number}",
            f"link set {name} up",
            f"link set {other} up",
        ]
    return commands


def run(peer: Peer, steps: Iterable[Step]) -> list[Answers]:
    """Write each step, and collect its answers."""
    answers = []
    for number, step in enumerate(steps, 1):
        written = [
            numbered(request, number << 8 | part) if len(request) >= 12 else request
            for part, request in enumerate(step.written)
        ]
        answers.append(peer.ask(*written))
    return answers


def run_scenario(peer: Peer, scenario: Scenario) -> tuple[Sequence[Step], list[Answers]]:
    """A scenario's steps and answers; the switch is empty before and after."""
    steps = scenario.steps(Pids(peer.requests.pid, peer.listener.pid))
    clean(peer)
    try:
        return steps, run(peer, steps)
    finally:
        clean(peer)


def clean(peer: Peer) -> None:
    """Delete all datapaths, and forget what waits."""
    for reply in peer.ask(message(DATAPATH, GET, flags=DUMP, dp=0)).replies:
        if head(reply).type == DATAPATH:
            peer.ask(message(DATAPATH, DEL, dp=unpack_from("=i", reply, 20)[0]))
    peer.ask()
