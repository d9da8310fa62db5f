"""Runs scenarios on a peer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from struct import unpack_from

from ovsdp_cuse.ports.memory import MemoryPorts
from tests.namespaces import Namespace
from tests.oracle.generator.cases import Case
from tests.oracle.messages import DATAPATH, DEL, DUMP, GET, head, message, numbered
from tests.oracle.peers import Answers, Peer, is_end
from tests.oracle.steps import INDEXES, INTERFACES, Pids, Scenario, Script, Step

CASES_IN_A_WRITE = 20


def make_interfaces(namespace: Namespace) -> None:
    """Make INTERFACES in a fresh namespace."""
    for name in INTERFACES:
        namespace.add_veth(name, name.replace("p", "q"))
    made = {name: namespace.link(name).ifindex for name in INDEXES}
    assert made == INDEXES


def declare_interfaces(ports: MemoryPorts) -> None:
    """The same in memory."""
    for name, index in INDEXES.items():
        ports.add_interface(name, ifindex=index)


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
