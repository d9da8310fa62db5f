"""The default run of the fuzzer: 200,000 inputs, always the same ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ovsdp_cuse.device import connection
from ovsdp_cuse.device.serve import Server
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families import meter
from ovsdp_cuse.families.backlog import Backlog
from ovsdp_cuse.families.faults import Fault
from ovsdp_cuse.families.stream_door import StreamDoor
from ovsdp_cuse.switch import datapath, program
from ovsdp_cuse.switch.explain import Rehearsal
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.switch.program import Program
from tests.fuzz import record
from tests.fuzz.channel import server_round
from tests.fuzz.faults import faults_round
from tests.fuzz.rounds import INPUTS_PER_ROUND, KINDS, Broken, rounds, run_round
from tests.fuzz.switch import switch_round

SEED = 0
COUNT = 200_000
SHARES = 8
"""The run is cut into as many tests, which take turns with the rounds."""
MEMORY_GROWTH_BYTES = 32 << 20


def resident_bytes() -> int:
    """The memory of this process that is not swapped out (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("share", range(SHARES))
def test_any_bytes(share: int) -> None:
    numbers = list(rounds(COUNT))
    assert len(numbers) * INPUTS_PER_ROUND >= COUNT
    before = 0
    for done, number in enumerate(numbers[share::SHARES]):
        run_round(SEED, number)
        if done == len(KINDS):
            before = resident_bytes()
    assert resident_bytes() - before < MEMORY_GROWTH_BYTES


def test_a_round_is_repeated_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks is told with its inputs and the command to see it again, which is the same."""

    async def faulty(*_arguments: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(StreamDoor, "_stream_request", faulty)
    texts = []
    for _ in range(2):
        with pytest.raises(Broken) as caught:
            run_round(SEED, 0)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert texts[0].startswith("doors_round, input ")
    assert "RuntimeError('a bug')" in texts[0]
    assert "again: python -m tests.fuzz --seed 0 --round 0\n" in texts[0]


async def fails(*_arguments: object) -> bytes:
    raise RuntimeError("a bug")


async def answers_nothing(*_arguments: object) -> bytes:
    return b""


def answers_twice(server: Server, unique: int, reply: bytes) -> None:
    for _ in range(2):
        server._channel.send(reply)


def is_cut_short(unique: int, errno: int) -> bytes:
    return connection.reply_data(unique)[:-1]


@pytest.mark.parametrize(
    ("target", "name", "replacement"),
    [
        pytest.param(Server, "_release", fails, id="an exception"),
        pytest.param(Server, "_write", answers_nothing, id="an empty reply"),
        pytest.param(Server, "_send", answers_twice, id="two replies"),
        pytest.param(connection, "reply_error", is_cut_short, id="a reply that is cut short"),
    ],
)
def test_a_daemon_that_breaks_the_invariant_is_found(
    monkeypatch: pytest.MonkeyPatch, target: object, name: str, replacement: object
) -> None:
    """A fuzzer that finds nothing may be one that looks at nothing."""
    monkeypatch.setattr(target, name, replacement)
    with pytest.raises(Broken):
        run_round(SEED, KINDS.index(server_round))


def test_an_error_that_leaves_the_doors_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def faulty(*_arguments: object) -> None:
        raise DatapathError(22, "")

    monkeypatch.setattr(StreamDoor, "write", faulty)
    with pytest.raises(Broken, match="an error says what was wrong"):
        run_round(SEED, 0)


def silent_output(*_arguments: object) -> Program:
    return lambda packet: None


def miss_counted(rehearsal: Rehearsal, *_arguments: object) -> None:
    rehearsal._datapath.counters.missed += 1


def no_key(packet: Packet, metadata: int) -> bool:
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("target", "name", "replacement", "text"),
    [
        pytest.param(program, "make_output", silent_output, "went nowhere", id="a packet lost"),
        pytest.param(datapath, "extract", no_key, "a bug", id="a packet that meets a bug"),
        pytest.param(meter, "parse_bands", no_key, "logged: a handler failed", id="a handler"),
        pytest.param(Rehearsal, "receive", miss_counted, "only look", id="an explanation"),
        pytest.param(record, "SLOWEST_S", 0.0, "s of processor for", id="an input that is slow"),
    ],
)
def test_a_switch_that_breaks_the_invariant_is_found(
    monkeypatch: pytest.MonkeyPatch, target: object, name: str, replacement: object, text: str
) -> None:
    monkeypatch.setattr(target, name, replacement)
    with pytest.raises(Broken, match=text):
        run_round(SEED, KINDS.index(switch_round))


def forgets(*_arguments: object) -> None:
    """In the place of Backlog.put."""


def holds_on(fault: Fault) -> int:
    return len(fault.waiting)


@pytest.mark.parametrize(
    ("target", "name", "replacement", "text"),
    [
        pytest.param(Backlog, "put", forgets, "waits, and for no fault", id="a message lost"),
        pytest.param(Fault, "release", holds_on, "waits, and for no fault", id="held for ever"),
        pytest.param(StreamDoor, "_reply", forgets, "0 answers to", id="no answer"),
    ],
)
def test_faults_that_break_the_invariant_are_found(
    monkeypatch: pytest.MonkeyPatch, target: object, name: str, replacement: object, text: str
) -> None:
    monkeypatch.setattr(target, name, replacement)
    with pytest.raises(Broken, match=text):
        run_round(SEED, KINDS.index(faults_round))
