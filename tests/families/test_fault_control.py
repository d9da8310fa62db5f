"""The commands that keep faults: what they take, refuse and tell; and how often a fault applies."""

from __future__ import annotations

from collections.abc import Mapping
from errno import EINVAL, ENOENT, ENOSPC, EPERM
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.fault_control import FAULTS_MAXIMUM
from ovsdp_cuse.families.fault_rules import EFFECTS, make_fault
from ovsdp_cuse.families.faults import CERTAIN, Frequency
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.fault import (
    DELIVERIES,
    FAULT,
    OPERATIONS,
    READS,
    FaultAttr,
    FaultEffect,
)
from ovsdp_cuse.wire.netlink import NetlinkError
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.packet import PACKET
from tests.families.doors import DUMP, Daemon, Handle, Reply, build, errnos

A = FaultAttr
FAIL: dict[int, Any] = {A.EFFECT: FaultEffect.FAIL, A.ERRNO: ENOSPC}
HOLD: dict[int, Any] = {A.EFFECT: FaultEffect.HOLD}

MINIMAL: dict[FaultEffect, dict[int, Any]] = {
    FaultEffect.FAIL: {A.ERRNO: ENOSPC},
    FaultEffect.DELAY: {A.DELAY_MS: 1},
    FaultEffect.HOLD: {},
    FaultEffect.DROP: {},
    FaultEffect.OVERFLOW: {},
    FaultEffect.CUT_DUMP: {A.SIZE: 0},
    FaultEffect.TRUNCATE: {A.SIZE: 1},
    FaultEffect.CLOSE_QUEUE: {},
    FaultEffect.STALL: {A.DELAY_MS: 1},
}
"""The least that each effect needs."""


def request(
    command: OvsdpCmd, attributes: Mapping[Any, Any] | None = None, flags: int = 0
) -> bytes:
    return build(OVSDP_CONTROL, command, attributes, flags=flags)


async def say(
    handle: Handle, command: OvsdpCmd, attributes: Mapping[Any, Any] | None = None
) -> dict[int, Any]:
    """What a command replies; it must succeed."""
    reply = await handle.transact(request(command, attributes))
    assert isinstance(reply, Message), reply
    return reply.attributes


async def add(handle: Handle, attributes: Mapping[Any, Any]) -> int:
    """Make a fault; its number."""
    number: int = (await say(handle, OvsdpCmd.FAULT_NEW, attributes))[A.ID]
    return number


async def numbers(handle: Handle) -> list[int]:
    """The faults that a dump tells."""
    replies = await handle.ask(request(OvsdpCmd.FAULT_GET, flags=DUMP))
    return [reply.attributes[A.ID] for reply in replies if isinstance(reply, Message)]


async def test_a_fault_is_told_as_it_was_made(handle: Handle) -> None:
    given = {
        A.FAMILY: "ovs_flow",
        A.COMMAND: "OVS_FLOW_CMD_NEW",
        A.OPERATION: "STREAM",
        A.PID: 7,
        A.PROCESS: 8,
        A.PROCESS_NAME: "ovs-vswitchd",
        A.DATAPATH: 3,
        A.EVERY: 2,
        A.TIMES: 5,
        A.PROBABILITY: 1 << 30,
        A.SEED: 1 << 63,
        A.TEXT: "full",
        **FAIL,
    }
    made = await say(handle, OvsdpCmd.FAULT_NEW, given)
    assert made == {**given, A.ID: 1, A.MATCHED: 0, A.APPLIED: 0, A.HELD: 0}
    assert await say(handle, OvsdpCmd.FAULT_GET, {A.ID: 1}) == made


async def test_numbers_are_never_used_again(handle: Handle) -> None:
    assert [await add(handle, HOLD) for _ in range(3)] == [1, 2, 3]
    assert await say(handle, OvsdpCmd.FAULT_DEL, {A.ID: 3}) == {A.HELD: 0}
    assert await numbers(handle) == [1, 2]
    assert await add(handle, FAIL) == 4
    assert await say(handle, OvsdpCmd.FAULT_DEL) == {A.HELD: 0}
    assert await numbers(handle) == []
    assert not handle.daemon.context.faults.active


@pytest.mark.parametrize(
    "command", [OvsdpCmd.FAULT_DEL, OvsdpCmd.FAULT_GET, OvsdpCmd.FAULT_RELEASE]
)
async def test_a_fault_that_is_not_there(handle: Handle, command: OvsdpCmd) -> None:
    reply = await handle.transact(request(command, {A.ID: 9}))
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.message) == (ENOENT, "there is no fault 9")


async def test_get_needs_a_number(handle: Handle) -> None:
    reply = await handle.transact(request(OvsdpCmd.FAULT_GET))
    assert isinstance(reply, NetlinkError)
    assert (reply.errno, reply.message) == (EINVAL, "OVSDP_FAULT_ATTR_ID is missing")


async def test_only_who_may_write_makes_faults(daemon: Daemon, handle: Handle) -> None:
    await add(handle, HOLD)
    reader = daemon.open(Access.READ)
    for command in (OvsdpCmd.FAULT_NEW, OvsdpCmd.FAULT_DEL, OvsdpCmd.FAULT_RELEASE):
        assert errnos(await reader.ask(request(command, HOLD))) == [EPERM]
        with pytest.raises(DatapathError) as caught:
            await reader.transact(request(command, HOLD))
        assert caught.value.errno == EPERM
    assert await numbers(reader) == [1]


async def test_there_are_not_endlessly_many(handle: Handle) -> None:
    for _ in range(FAULTS_MAXIMUM):
        await add(handle, HOLD)
    reply: Reply = await handle.transact(request(OvsdpCmd.FAULT_NEW, HOLD))
    assert errnos([reply]) == [ENOSPC]


@pytest.mark.parametrize("effect", FaultEffect)
def test_the_least_that_an_effect_needs(daemon: Daemon, effect: FaultEffect) -> None:
    """Nothing less will do, and nothing that is another's is taken."""
    registry = daemon.context.registry
    least: dict[int, Any] = {A.EFFECT: effect, **MINIMAL[effect]}
    assert make_fault(least, registry).effect is effect
    for attribute in MINIMAL[effect]:
        with pytest.raises(DatapathError, match=f"{effect.name} needs {FAULT.name_of(attribute)}"):
            make_fault({A.EFFECT: effect}, registry)
    allowed = {*EFFECTS[effect].needs, *EFFECTS[effect].may}
    for attribute, value in ((A.ERRNO, 1), (A.TEXT, "x"), (A.DELAY_MS, 1), (A.SIZE, 1)):
        if attribute not in allowed:
            with pytest.raises(DatapathError, match=f"{effect.name} has no") as caught:
                make_fault({**least, attribute: value}, registry)
            assert caught.value.path == (attribute,)


@pytest.mark.parametrize("effect", FaultEffect)
def test_the_operations_of_an_effect(daemon: Daemon, effect: FaultEffect) -> None:
    """Reads are matched only where they are named."""
    registry = daemon.context.registry
    least: dict[int, Any] = {A.EFFECT: effect, **MINIMAL[effect]}
    by_default = make_fault(least, registry).match.operations
    assert by_default == set(EFFECTS[effect].operations)
    assert not by_default & set(READS)
    for operation in OPERATIONS:
        if operation in by_default | set(EFFECTS[effect].named):
            fault = make_fault({**least, A.OPERATION: operation}, registry)
            assert fault.match.operations == {operation}
        else:
            with pytest.raises(DatapathError, match=f"does not act on {operation}") as caught:
                make_fault({**least, A.OPERATION: operation}, registry)
            assert caught.value.path == (A.OPERATION,)


@pytest.mark.parametrize(
    ("attributes", "attribute", "text"),
    [
        ({}, None, "OVSDP_FAULT_ATTR_EFFECT is missing"),
        ({A.EFFECT: 77}, A.EFFECT, "77 is no effect; there are: 1 FAIL, 2 DELAY, "),
        ({**HOLD, A.ID: 1}, A.ID, "ID is not for FAULT_NEW"),
        ({**HOLD, A.HELD: 1}, A.HELD, "HELD is not for FAULT_NEW"),
        ({**FAIL, A.ERRNO: 0}, A.ERRNO, "in 1..4095, not 0"),
        ({**FAIL, A.ERRNO: 4096}, A.ERRNO, "in 1..4095, not 4096"),
        ({A.EFFECT: FaultEffect.TRUNCATE, A.SIZE: 0}, A.SIZE, "at least 1 byte"),
        *(
            ({**HOLD, attribute: 0}, attribute, "is 0, and never applies")
            for attribute in (A.NTH, A.EVERY, A.TIMES, A.PROBABILITY, A.PID, A.PROCESS, A.DATAPATH)
        ),
        ({**HOLD, A.NTH: 1, A.EVERY: 1}, A.EVERY, "either NTH or EVERY"),
        ({**HOLD, A.SEED: 1}, A.SEED, "a seed is for a PROBABILITY"),
        ({**HOLD, A.OPERATION: "IOCTL"}, A.OPERATION, "'IOCTL' is no operation; there are: TRANS"),
        ({**HOLD, A.FAMILY: "ovs_flo"}, A.FAMILY, "no family 'ovs_flo'; there are: nlctrl, ovs_"),
        ({**HOLD, A.FAMILY: "ovsdp_control"}, A.FAMILY, "ovsdp_control is never subject to faults"),
        (
            {**HOLD, A.FAMILY: "ovs_meter", A.COMMAND: "OVS_FLOW_CMD_NEW"},
            A.COMMAND,
            "no command 'OVS_FLOW_CMD_NEW'; there are: OVS_METER_CMD_FEATURES, OVS_METER_CMD_SET",
        ),
        ({**HOLD, A.COMMAND: "OVSDP_CMD_FAULT_DEL"}, A.COMMAND, "OVS_DP_CMD_NEW, OVS_DP_CMD_DEL"),
        (
            {**HOLD, A.COMMAND: "OVS_PACKET_CMD_MISS"},
            A.COMMAND,
            "OVS_PACKET_CMD_MISS is not to be sent by TRANSACT or WRITE or STREAM",
        ),
        (
            {**HOLD, A.COMMAND: "OVS_CTRL_CMD_WIN_PEND_REQ", A.OPERATION: "TRANSACT"},
            A.COMMAND,
            "is not to be sent by TRANSACT",
        ),
        (
            {A.EFFECT: FaultEffect.CUT_DUMP, A.SIZE: 1, A.COMMAND: "OVS_DP_CMD_NEW"},
            A.COMMAND,
            "OVS_DP_CMD_NEW has no dump",
        ),
        (
            {A.EFFECT: FaultEffect.DROP, A.FAMILY: "ovs_win_netdev"},
            A.FAMILY,
            "ovs_win_netdev sends neither notifications nor upcalls",
        ),
        (
            {A.EFFECT: FaultEffect.DROP, A.FAMILY: "ovs_flow", A.OPERATION: "UPCALL"},
            A.FAMILY,
            "upcalls are of ovs_packet, not of ovs_flow",
        ),
    ],
)
def test_what_is_refused(
    daemon: Daemon, attributes: dict[Any, Any], attribute: int | None, text: str
) -> None:
    with pytest.raises(DatapathError) as caught:
        make_fault(attributes, daemon.context.registry)
    assert caught.value.errno == EINVAL
    assert caught.value.path == (() if attribute is None else (attribute,))
    assert text in caught.value.message


async def test_an_error_names_its_attribute(handle: Handle) -> None:
    made = request(OvsdpCmd.FAULT_NEW, {**FAIL, A.FAMILY: "ovs_flo"})
    reply = await handle.transact(made)
    assert isinstance(reply, NetlinkError)
    assert reply.offset is not None
    assert made[reply.offset + 4 :].startswith(b"ovs_flo\0")


@pytest.mark.parametrize("effect", [FaultEffect.DROP, FaultEffect.CLOSE_QUEUE])
@pytest.mark.parametrize("command", ["OVS_PACKET_CMD_MISS", "OVS_PACKET_CMD_ACTION"])
def test_the_commands_of_upcalls(daemon: Daemon, effect: FaultEffect, command: str) -> None:
    fault = make_fault({A.EFFECT: effect, A.COMMAND: command}, daemon.context.registry)
    assert fault.match.operations == set(DELIVERIES)
    assert fault.match.family == PACKET.id


def test_two_commands_with_one_number(daemon: Daemon) -> None:
    """They come by different operations, and a fault of one leaves the other alone."""
    registry = daemon.context.registry
    pend, get_pid = (
        make_fault({**HOLD, A.COMMAND: name}, registry).match
        for name in ("OVS_CTRL_CMD_WIN_PEND_REQ", "OVS_CTRL_CMD_WIN_GET_PID")
    )
    assert pend.command == get_pid.command
    assert pend.operations == {"WRITE"}
    assert get_pid.operations == {"TRANSACT", "STREAM"}


# How often ----------------------------------------------------------------------------------------


def applied(frequency: Frequency, count: int) -> list[int]:
    """Which of so many matches apply, from 1."""
    chosen: list[int] = []
    for number in range(1, count + 1):
        if frequency.applies(number, len(chosen)):
            chosen.append(number)
    return chosen


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        (Frequency(), list(range(1, 11))),
        (Frequency(nth=3), [3]),
        (Frequency(nth=11), []),
        (Frequency(every=3), [3, 6, 9]),
        (Frequency(times=2), [1, 2]),
        (Frequency(every=4, times=1), [4]),
        (Frequency(probability=1), []),
        (Frequency(probability=CERTAIN), list(range(1, 11))),
    ],
)
def test_how_often(frequency: Frequency, expected: list[int]) -> None:
    assert applied(frequency, 10) == expected


@given(st.integers(0, 2**64 - 1), st.integers(1, CERTAIN), st.integers(1, 5))
def test_a_seed_repeats_a_run(seed: int, probability: int, every: int) -> None:
    first, second = (
        applied(Frequency(every=every, probability=probability, seed=seed), 100) for _ in "ab"
    )
    assert first == second
    assert all(number % every == 0 for number in first)


def test_a_chance_is_what_it_says() -> None:
    assert 400 < len(applied(Frequency(probability=CERTAIN // 2, seed=1), 1000)) < 600


async def test_a_seed_is_chosen_and_told(handle: Handle) -> None:
    chance = {**FAIL, A.PROBABILITY: CERTAIN // 2}
    seeds = [(await say(handle, OvsdpCmd.FAULT_NEW, chance))[A.SEED] for _ in range(3)]
    assert len(set(seeds)) == 3
    assert A.SEED not in await say(handle, OvsdpCmd.FAULT_NEW, FAIL)
