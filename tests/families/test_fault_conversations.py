"""Any faults, any requests: who is not matched sees no difference, others get one answer each."""

from __future__ import annotations

from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.fault import FaultEffect
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlCmd
from ovsdp_cuse.wire.netlink import NetlinkError
from tests.families.doors import ACK, DUMP, Daemon, Reply, build, make
from tests.families.fault_rig import Rig, running, settle
from tests.families.test_fault_effects import listen

RULES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"effect": st.just(FaultEffect.FAIL), "ERRNO": st.integers(1, 4095)}),
        st.fixed_dictionaries({"effect": st.just(FaultEffect.DROP)}),
        st.fixed_dictionaries({"effect": st.just(FaultEffect.OVERFLOW)}),
        st.fixed_dictionaries({"effect": st.just(FaultEffect.CLOSE_QUEUE)}),
        st.fixed_dictionaries({"effect": st.just(FaultEffect.CUT_DUMP), "SIZE": st.integers(0, 3)}),
        st.fixed_dictionaries({"effect": st.just(FaultEffect.HOLD)}),
        st.fixed_dictionaries(
            {"effect": st.just(FaultEffect.DELAY), "DELAY_MS": st.integers(1, 50)}
        ),
        st.fixed_dictionaries(
            {"effect": st.just(FaultEffect.STALL), "DELAY_MS": st.integers(1, 50)}
        ),
    ).flatmap(
        lambda rule: st.fixed_dictionaries(
            {},
            optional={
                "EVERY": st.integers(1, 3),
                "TIMES": st.integers(1, 4),
            },
        ).map(lambda more: {**rule, **more})
    ),
    max_size=4,
)
REQUESTS: dict[str, tuple[Any, int, dict[int, Any], int]] = {
    "get": (DATAPATH, DpCmd.GET, {DpAttr.NAME: "a"}, 0),
    "get, acknowledged": (DATAPATH, DpCmd.GET, {DpAttr.NAME: "a"}, ACK),
    "dump": (DATAPATH, DpCmd.GET, {}, DUMP),
    "missing": (DATAPATH, DpCmd.GET, {DpAttr.NAME: "z"}, 0),
    "make": (DATAPATH, DpCmd.NEW, {DpAttr.NAME: "a", DpAttr.UPCALL_PID: (0,)}, ACK),
    "families": (NLCTRL, CtrlCmd.GETFAMILY, {CtrlAttr.FAMILY_NAME: "ovs_flow"}, 0),
}
STEPS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(sorted(REQUESTS))))
CHANGE = [
    build(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "d", DpAttr.UPCALL_PID: (0,)}, sequence=0),
    build(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "d"}, sequence=0),
]


def numbered(what: str, sequence: int) -> bytes:
    """A request with a sequence number of its own."""
    schema, command, attributes, flags = REQUESTS[what]
    return build(schema, command, attributes, flags=flags, sequence=sequence)


def shown(reply: Reply) -> tuple[Any, ...]:
    """What can be told of a reply, to compare it."""
    if isinstance(reply, NetlinkError):
        return (reply.header.type, reply.errno, reply.header.sequence)
    return (reply.type, reply.command, reply.sequence, repr(reply.attributes))


def ends(replies: list[Reply], what: str, sequence: int) -> int:
    """How many of the replies end the answer to a request."""
    said = [shown(reply) for reply in replies]
    errors = sum(bool(kind < 16 and third == sequence) for kind, _, third, *_ in said)
    if what in ("dump", "get, acknowledged", "make"):
        return errors
    return errors + sum(bool(kind >= 16 and third == sequence) for kind, _, third, *_ in said)


async def converse(
    rules: list[dict[str, Any]], steps: list[tuple[str, str]], matched: bool
) -> tuple[list[tuple[Any, ...]], list[Reply] | None]:
    """A conversation of two handles, of which the rules match the first, or neither.

    Returns what the second was told, and the replies to the first; None where it lost some, because
    a fault closed its queue or let it overflow.
    """
    daemon = Daemon()
    rig = Rig(daemon)
    await make(rig.keeper, "a", "b", "c")
    for handle in (rig.handle, rig.other):
        await listen(handle)
    told: list[Reply] = []
    async with running(daemon):
        for rule in rules:
            more = {name: value for name, value in rule.items() if name != "effect"}
            await rig.add(rule["effect"], **more, PID=rig.handle.session.pid if matched else 4711)
        for sequence, (who, what) in enumerate(steps, 1):
            if who == "a":
                await rig.handle.send(numbered(what, sequence))
            else:
                told += await rig.other.ask(numbered(what, sequence), CHANGE[0])
                await rig.keeper.write_ioctl(CHANGE[1])
        while daemon.context.faults.is_waiting(rig.handle.session):
            await rig.release()
            await settle()
        told += await rig.other.drain()
        queue = rig.handle.session.queue
        if rig.handle.session.shut or queue.dropped:
            return [shown(reply) for reply in told], None
        return [shown(reply) for reply in told], await rig.handle.drain()


@given(rules=RULES, steps=STEPS)
def test_any_faults_and_any_requests(
    rules: list[dict[str, Any]], steps: list[tuple[str, str]]
) -> None:
    """Who is not matched sees no difference; who is gets one answer to each request."""
    without, _replies = trio.run(converse, rules, steps, False)
    among, replies = trio.run(converse, rules, steps, True)
    assert among == without
    if replies is not None:
        for sequence, (who, what) in enumerate(steps, 1):
            if who == "a":
                assert ends(replies, what, sequence) == 1, what
