"""Runs scenarios on a peer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from struct import unpack_from

from tests.oracle.generator.cases import Case
from tests.oracle.messages import DATAPATH, DEL, DUMP, GET, head, message, numbered
from tests.oracle.peers import Answers, Peer, is_end
from tests.oracle.steps import FIRST_INDEX, INTERFACES, Pids, Scenario, Script, Step

CASES_IN_A_WRITE = 20


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


def run_cases(peer: Peer, cases: Iterable[Case]) -> list[list[Answers]]:
    """The answers to each message of each case, many messages in a write.

    Every message asks for an acknowledgement, so what comes before it is its answer, upcalls too.
    """
    clean(peer)
    # Misses come among the replies, too.
    script = Script(Pids(peer.requests.pid, peer.requests.pid))
    script.make_datapath()
    script.make_ports()
    run(peer, script.steps)
    answers: list[list[Answers]] = []
    try:
        for batch in batches(cases):
            answers += _run_batch(peer, batch)
    finally:
        clean(peer)
    return answers


def batches(cases: Iterable[Case]) -> Iterator[list[Case]]:
    """Cases in lists of some."""
    several = iter(cases)
    while batch := list(islice(several, CASES_IN_A_WRITE)):
        yield batch


def _run_batch(peer: Peer, batch: list[Case]) -> list[list[Answers]]:
    requests = [request for case in batch for request in case.messages]
    told = peer.ask(*(numbered(request, number) for number, request in enumerate(requests, 1)))
    replies: dict[int, list[bytes]] = {number: [] for number in range(1, len(requests) + 1)}
    waiting: list[bytes] = []
    for reply in told.replies:
        waiting.append(reply)
        if is_end(reply):
            replies[head(reply).sequence] += waiting
            waiting = []
    assert not waiting, "something came after the last acknowledgement"
    events: dict[int, list[bytes]] = {number: [] for number in replies}
    for event in told.events:
        events.setdefault(head(event).sequence, []).append(event)
    assert events.keys() == replies.keys(), f"events of {events.keys() - replies.keys()}"
    answers = iter(
        Answers(tuple(replies[number]), tuple(events[number]), told.failure) for number in replies
    )
    return [list(islice(answers, len(case.messages))) for case in batch]
