"""Runs scenarios on a peer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from struct import unpack_from

from ovsdp_cuse.ports.memory import MemoryPorts
from tests.namespaces import Namespace
from tests.oracle.generator.cases import Case
from tests.oracle.messages import DATAPATH, DEL, DUMP, GET, head, message, numbered
from tests.oracle.peers import Answers, Channel, Peer, drain
from tests.oracle.steps import INDEXES, INTERFACES, Pids, Scenario, Script, Step

CASES_IN_A_WRITE = 20
STEPS_IN_A_WRITE = 60


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
        return steps, run_together(peer, steps) if scenario.is_long else run(peer, steps)
    finally:
        clean(peer)


def run_together(peer: Peer, steps: Iterable[Step]) -> list[Answers]:
    """The same answers as those of `run`, sooner: many steps in a write.

    For steps of one message, whose upcalls go to who asks and are followed by an acknowledgement.
    A dump ends a write, because it tells what is there when it is read.
    """
    answers: list[Answers] = []
    batch: list[bytes] = []
    for step in steps:
        batch += step.written
        if len(batch) == STEPS_IN_A_WRITE or head(step.written[0]).flags & DUMP == DUMP:
            answers += _ask_together(peer, batch)
            batch = []
    return answers + _ask_together(peer, batch)


def clean(peer: Peer) -> None:
    """Delete all datapaths, and forget what waits."""
    _delete_datapaths(peer.requests)
    peer.ask()


def clean_channel(channel: Channel) -> None:
    """Delete all datapaths through a channel, and close it."""
    _delete_datapaths(channel)
    channel.close()


def _delete_datapaths(channel: Channel) -> None:
    drain(channel)
    channel.send(message(DATAPATH, GET, flags=DUMP, dp=0))
    for reply in drain(channel)[0]:
        if head(reply).type == DATAPATH:
            channel.send(message(DATAPATH, DEL, dp=unpack_from("=i", reply, 20)[0]))
    drain(channel)


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
            told = iter(_ask_together(peer, [m for case in batch for m in case.messages]))
            answers += [list(islice(told, len(case.messages))) for case in batch]
    finally:
        clean(peer)
    return answers


def batches(cases: Iterable[Case]) -> Iterator[list[Case]]:
    """Cases in lists of some."""
    several = iter(cases)
    while batch := list(islice(several, CASES_IN_A_WRITE)):
        yield batch


def _ask_together(peer: Peer, requests: Sequence[bytes]) -> list[Answers]:
    """The answers to each of the messages of one write."""
    told = peer.ask(*(numbered(request, number) for number, request in enumerate(requests, 1)))
    replies: list[list[bytes]] = [[] for _request in requests]
    events: list[list[bytes]] = [[] for _request in requests]
    upcalls: list[bytes] = []
    for reply in told.replies:
        upcalls.append(reply)
        if head(reply).sequence:
            replies[head(reply).sequence - 1] += upcalls
            upcalls = []
    assert not upcalls, "an upcall came after the last acknowledgement"
    for event in told.events:
        events[head(event).sequence - 1].append(event)
    return [
        Answers(tuple(mine), tuple(heard), told.failure)
        for mine, heard in zip(replies, events, strict=True)
    ]
