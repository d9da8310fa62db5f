"""The family ovs_datapath: what Linux 6.1 answers, request by request.

The tables are of a recorded conversation with net/openvswitch; the texts are this project's own.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from functools import partial

import pytest

from tests.contract import control
from tests.contract.conftest import Open
from tests.contract.datapaths import (
    DEL,
    DISPATCH_UPCALL_PER_CPU,
    GET,
    GROUP,
    IFINDEX,
    MASKS_CACHE_SIZE,
    MEGAFLOW_STATS,
    NAME,
    NEW,
    PER_CPU_PIDS,
    SET,
    STATS,
    TC_RECIRC_SHARING,
    UNALIGNED,
    UPCALL_PID,
    USER_FEATURES,
    VPORT_PIDS,
    features,
    named,
    new,
    reply_length,
)
from tests.contract.doors import ask, failure, get_pid, put, receive, receive_all
from tests.contract.messages import (
    ACK,
    CAPPED,
    DATAPATH,
    ECHO,
    ERROR,
    REQUEST,
    Reply,
    attribute,
    build,
    text,
    u32,
)
from tests.nodes.interface import Handle

Answer = Callable[[bytes], Reply]

EINVAL, ENODEV, EEXIST, ERANGE, EOPNOTSUPP = 22, 19, 17, 34, 95
DEFAULT_CACHE = 256


def cache(size: int) -> bytes:
    """OVS_DP_ATTR_MASKS_CACHE_SIZE."""
    return attribute(MASKS_CACHE_SIZE, u32(size))


def pids(*values: int) -> bytes:
    """OVS_DP_ATTR_PER_CPU_PIDS."""
    return attribute(PER_CPU_PIDS, u32(*values))


def echoed(stream: Handle, request: bytes) -> Reply:
    """The one answer to a request with NLM_F_ECHO."""
    stream.write(request[:6] + struct.pack("=H", REQUEST | ECHO) + request[8:])
    (reply,) = receive_all(stream)
    return reply


@pytest.fixture(params=["stream", "device"])
def answer(request: pytest.FixtureRequest, open_handle: Open) -> Answer:
    """Sends a request through either door, and gives what it is answered."""
    handle = open_handle(os.O_RDWR | os.O_NONBLOCK)
    return partial(echoed if request.param == "stream" else ask, handle)


def settings(reply: Reply) -> tuple[int, int]:
    """User features and mask cache size of a reply about a datapath."""
    assert reply.type == DATAPATH, reply
    return reply.number(USER_FEATURES), reply.number(MASKS_CACHE_SIZE)


# One datapath ------------------------------------------------------------------------------------


def test_a_reply_byte_for_byte(stream: Handle, name: str, datapath: int) -> None:
    stream.write(named(GET, name, sequence=9))
    attributes = (
        attribute(NAME, text(name))
        + attribute(STATS, bytes(32))
        + attribute(MEGAFLOW_STATS, bytes(32))
        + features(0)
        + cache(DEFAULT_CACHE)
    )
    length = reply_length(name)
    assert length == 24 + len(attributes)
    header = struct.pack("=IHHIIBBHi", length, DATAPATH, 0, 9, get_pid(stream), GET, 2, 0, datapath)
    assert receive(stream).raw == header + attributes


@pytest.mark.parametrize("by", ["name", "index"])
@pytest.mark.parametrize("command", [GET, SET, DEL])
def test_a_datapath_is_found_by_name_or_index(
    stream: Handle, name: str, datapath: int, by: str, command: int
) -> None:
    request = (
        named(command, name) if by == "name" else build(DATAPATH, command, dp_ifindex=datapath)
    )
    reply = echoed(stream, request)
    assert (reply.type, reply.command) == (DATAPATH, command)
    assert (reply.dp_ifindex, reply.string(NAME)) == (datapath, name)
    assert len(reply.raw) == reply_length(name)


def test_a_name_decides_whatever_the_index(stream: Handle, name: str, datapath: int) -> None:
    stream.write(named(GET, name, dp_ifindex=4242))
    assert receive(stream).dp_ifindex == datapath
    stream.write(named(GET, "nobody", dp_ifindex=datapath))
    assert receive(stream).errno == ENODEV


@pytest.mark.parametrize("command", [GET, SET, DEL])
def test_what_is_not_there(stream: Handle, command: int) -> None:
    for request in (
        build(DATAPATH, command),
        build(DATAPATH, command, dp_ifindex=4242),
        build(DATAPATH, command, dp_ifindex=-1),
        named(command, "nobody"),
    ):
        stream.write(request)
        reply = receive(stream)
        assert (reply.type, reply.errno, reply.request) == (ERROR, ENODEV, request)
        assert reply.message


# NEW ---------------------------------------------------------------------------------------------

UPCALL = attribute(UPCALL_PID, u32(0))


@pytest.mark.parametrize(
    ("attributes", "errno"),
    [
        pytest.param(UPCALL, EINVAL, id="no NAME"),
        pytest.param(attribute(NAME, b"x\0"), EINVAL, id="no UPCALL_PID"),
        pytest.param(attribute(NAME, b"a" * 15 + b"\0") + b"", EINVAL, id="no UPCALL_PID, long"),
        pytest.param(attribute(NAME, b"a" * 16 + b"\0") + UPCALL, EINVAL, id="16 characters"),
        pytest.param(attribute(NAME, b"abc") + UPCALL, EINVAL, id="no NUL"),
        pytest.param(attribute(NAME, b"") + UPCALL, EINVAL, id="no byte"),
        pytest.param(attribute(NAME, b"\0") + UPCALL, EINVAL, id="an empty name"),
        pytest.param(attribute(NAME, b".\0") + UPCALL, EINVAL, id="."),
        pytest.param(attribute(NAME, b"..\0") + UPCALL, EINVAL, id=".."),
        pytest.param(attribute(NAME, b"a/b\0") + UPCALL, EINVAL, id="a slash"),
        pytest.param(attribute(NAME, b"a:b\0") + UPCALL, EINVAL, id="a colon"),
        pytest.param(attribute(NAME, b"a b\0") + UPCALL, EINVAL, id="a space"),
        pytest.param(attribute(NAME, b"a\tb\0") + UPCALL, EINVAL, id="a tabulator"),
        pytest.param(attribute(NAME, b"a%d%d\0") + UPCALL, EINVAL, id="two %d"),
        pytest.param(attribute(NAME, b"a%s\0") + UPCALL, EINVAL, id="%s"),
        pytest.param(attribute(NAME, b"a%\0") + UPCALL, EINVAL, id="a bare %"),
        pytest.param(
            attribute(NAME, b"x\0") + attribute(UPCALL_PID, b"\0\0"), ERANGE, id="half a PID"
        ),
        pytest.param(
            attribute(NAME, b"x\0") + attribute(UPCALL_PID, bytes(5)), EINVAL, id="a PID and a bit"
        ),
        pytest.param(
            attribute(NAME, b"x\0") + attribute(UPCALL_PID, bytes(4 * 1024)), EINVAL,
            id="a PID for each of 1024 CPUs",
        ),
        pytest.param(
            attribute(NAME, b"x\0") + UPCALL + features(1 << 4), EOPNOTSUPP, id="unknown features"
        ),
        pytest.param(
            attribute(NAME, b"x\0") + UPCALL + features(0x80000003), EOPNOTSUPP,
            id="what Open vSwitch probes with",
        ),
        pytest.param(
            attribute(NAME, b"x\0") + UPCALL + features(TC_RECIRC_SHARING), EOPNOTSUPP,
            id="TC_RECIRC_SHARING",
        ),
        pytest.param(attribute(NAME, b"x\0") + UPCALL + cache(3), EINVAL, id="cache of 3"),
        pytest.param(attribute(NAME, b"x\0") + UPCALL + cache(8192), ERANGE, id="cache of 8192"),
        pytest.param(
            attribute(NAME, b"x\0") + UPCALL + features(8) + attribute(PER_CPU_PIDS, b""), EINVAL,
            id="no PIDs for the CPUs",
        ),
        pytest.param(
            attribute(NAME, b"x\0") + UPCALL + attribute(IFINDEX, u32(1 << 31)), ERANGE,
            id="a negative IFINDEX",
        ),
    ],
)  # fmt: skip
def test_new_is_refused_and_leaves_nothing(
    stream: Handle, answer: Answer, attributes: bytes, errno: int
) -> None:
    reply = answer(build(DATAPATH, NEW, attributes))
    assert (reply.type, reply.errno) == (ERROR, errno)
    assert reply.message
    stream.write(named(GET, "x"))
    assert receive(stream).errno == ENODEV


def test_new_needs_no_features(answer: Answer, name: str) -> None:
    assert settings(answer(new(name))) == (0, DEFAULT_CACHE)


def test_new_takes_what_set_takes(answer: Answer, name: str) -> None:
    request = new(name, features(UNALIGNED | VPORT_PIDS), cache(1024))
    assert settings(answer(request)) == (3, 1024)


def test_a_name_or_index_in_use(stream: Handle, answer: Answer, name: str, datapath: int) -> None:
    assert answer(new(name)).errno == EEXIST
    taken = attribute(IFINDEX, u32(datapath))
    assert answer(new(name + "x", taken)).errno == EEXIST
    stream.write(named(GET, name + "x"))
    assert receive(stream).errno == ENODEV


def test_an_older_client_s_new_takes_the_features_away(stream: Handle, name: str) -> None:
    """It will go on with the datapath that is there, and knows of no features."""
    echoed(stream, new(name, features(3)))
    assert echoed(stream, new(name)).errno == EEXIST
    assert settings(echoed(stream, named(GET, name)))[0] == 3
    assert echoed(stream, new(name, version=1)).errno == EEXIST
    assert settings(echoed(stream, named(GET, name)))[0] == 0


def test_an_index_may_be_chosen(stream: Handle, name: str, datapath: int) -> None:
    """And the next that the switch chooses goes on where it was."""
    chosen = 0x7F000000 + datapath
    reply = echoed(stream, new(name + "a", attribute(IFINDEX, u32(chosen))))
    assert reply.dp_ifindex == chosen
    assert IFINDEX not in reply.attributes
    assert echoed(stream, new(name + "b")).dp_ifindex == datapath + 1
    assert echoed(stream, new(name + "c", attribute(IFINDEX, u32(0)))).dp_ifindex == datapath + 2


def test_an_index_is_not_used_again_soon(stream: Handle, name: str, datapath: int) -> None:
    echoed(stream, named(DEL, name))
    assert echoed(stream, new(name)).dp_ifindex == datapath + 1


def test_a_name_with_a_number_to_choose(stream: Handle, name: str) -> None:
    assert echoed(stream, new(name + "-%d")).string(NAME) == name + "-0"
    assert echoed(stream, new(name + "-%d")).string(NAME) == name + "-1"
    assert echoed(stream, new(name + "-3")).string(NAME) == name + "-3"
    echoed(stream, named(DEL, name + "-0"))
    names = [echoed(stream, new(name + "-%d")).string(NAME) for _ in range(3)]
    assert names == [name + "-0", name + "-2", name + "-4"]


def test_the_longest_name(stream: Handle, name: str) -> None:
    longest = name.ljust(15, "x")
    reply = echoed(stream, new(longest))
    assert reply.string(NAME) == longest
    assert len(reply.raw) == reply_length(longest)


def test_what_follows_a_name_s_nul_does_not_count(stream: Handle, name: str) -> None:
    request = build(DATAPATH, NEW, attribute(NAME, name.encode() + b"\0\0junk"), UPCALL)
    assert echoed(stream, request).string(NAME) == name


def test_several_datapaths(stream: Handle, name: str) -> None:
    made = {name + suffix: echoed(stream, new(name + suffix)).dp_ifindex for suffix in "abc"}
    assert len(set(made.values())) == 3
    echoed(stream, named(SET, name + "b", features(UNALIGNED)))
    for each, index in made.items():
        reply = echoed(stream, build(DATAPATH, GET, dp_ifindex=index))
        assert (reply.string(NAME), settings(reply)[0]) == (each, int(each.endswith("b")))
    echoed(stream, named(DEL, name + "b"))
    assert echoed(stream, named(GET, name + "b")).errno == ENODEV
    assert echoed(stream, named(GET, name + "c")).dp_ifindex == made[name + "c"]


# SET ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "errno"),
    [
        pytest.param(features(0x10), EOPNOTSUPP, id="unknown features"),
        pytest.param(features(0x4), EOPNOTSUPP, id="TC_RECIRC_SHARING"),
        pytest.param(cache(100), EINVAL, id="a cache that is no power of two"),
        pytest.param(cache(1 << 20), ERANGE, id="a cache too large"),
        pytest.param(
            features(8) + attribute(PER_CPU_PIDS, b"\0" * 3), EINVAL, id="3 bytes of PIDs"
        ),
        pytest.param(features(8) + attribute(PER_CPU_PIDS, b""), EINVAL, id="no PIDs"),
        pytest.param(attribute(UPCALL_PID, b"\0\0"), ERANGE, id="half an UPCALL_PID"),
        pytest.param(attribute(IFINDEX, u32(1 << 31)), ERANGE, id="a negative IFINDEX"),
    ],
)
def test_set_is_refused(answer: Answer, datapath: int, attributes: bytes, errno: int) -> None:
    reply = answer(build(DATAPATH, SET, attributes, dp_ifindex=datapath))
    assert (reply.type, reply.errno) == (ERROR, errno)
    assert reply.offset is not None


def test_set_without_features_takes_them_away(answer: Answer, name: str) -> None:
    """As the kernel does, whatever else is set."""
    answer(new(name))
    for other in (b"", cache(DEFAULT_CACHE), pids(1), attribute(40, b"unknown")):
        assert settings(answer(named(SET, name, features(3))))[0] == 3
        assert settings(answer(named(SET, name, other)))[0] == 0


@pytest.mark.parametrize("value", [0, 1, 2, 3, 8, 9, 11])
def test_features_are_set(answer: Answer, name: str, datapath: int, value: int) -> None:
    reply = answer(named(SET, name, features(value)))
    assert settings(reply)[0] == value
    assert len(reply.raw) == reply_length(name), "no PIDs for CPUs were given"


@pytest.mark.parametrize("size", [0, 1, 2, 256, 4096])
def test_the_mask_cache_is_resized(answer: Answer, name: str, datapath: int, size: int) -> None:
    assert settings(answer(named(SET, name, cache(size)))) == (0, size)


def test_unknown_features_change_nothing(stream: Handle, name: str) -> None:
    echoed(stream, new(name, features(3), cache(64)))
    assert echoed(stream, named(SET, name, features(0x11), cache(128))).errno == EOPNOTSUPP
    assert settings(echoed(stream, named(GET, name))) == (3, 64)


def test_a_bad_cache_changes_nothing(stream: Handle, name: str) -> None:
    echoed(stream, new(name, features(3), cache(64)))
    assert echoed(stream, named(SET, name, features(1), cache(100))).errno == EINVAL
    assert settings(echoed(stream, named(GET, name))) == (3, 64)


def test_bad_pids_come_after_the_rest_has_changed(stream: Handle, name: str) -> None:
    """The kernel's order: features and cache stay changed."""
    echoed(stream, new(name, features(3), cache(64)))
    bad = attribute(PER_CPU_PIDS, b"\0\0\0")
    assert echoed(stream, named(SET, name, features(8), cache(128), bad)).errno == EINVAL
    assert settings(echoed(stream, named(GET, name))) == (8, 128)


def test_pids_for_cpus(answer: Answer, name: str, datapath: int) -> None:
    """Shown while the feature is on, and remembered while it is off."""
    reply = answer(named(SET, name, features(9), pids(1)))
    assert reply.attributes[PER_CPU_PIDS] == u32(1)
    assert len(reply.raw) == reply_length(name, cpus=1)
    assert PER_CPU_PIDS not in answer(named(SET, name, features(1))).attributes
    reply = answer(named(SET, name, features(DISPATCH_UPCALL_PER_CPU)))
    assert reply.attributes[PER_CPU_PIDS] == u32(1)


def test_of_pids_as_many_are_shown_as_there_are_cpus(
    stream: Handle, name: str, datapath: int
) -> None:
    given = range(1, 5000)
    reply = echoed(stream, named(SET, name, features(8), pids(*given)))
    assert len(reply.attributes[PER_CPU_PIDS]) == 4 * (os.cpu_count() or 1)


@pytest.mark.parametrize("payload", [b"", b"\0\0\0", u32(1, 2)])
def test_pids_do_not_count_without_the_feature(
    stream: Handle, name: str, datapath: int, payload: bytes
) -> None:
    request = named(SET, name, features(1), attribute(PER_CPU_PIDS, payload))
    assert settings(echoed(stream, request))[0] == 1
    assert PER_CPU_PIDS not in echoed(stream, named(SET, name, features(8))).attributes


def test_set_ignores_upcall_pid_and_index(stream: Handle, name: str, datapath: int) -> None:
    others = attribute(UPCALL_PID, u32(7, 8, 9)), attribute(IFINDEX, u32(4242))
    assert echoed(stream, named(SET, name, *others)).dp_ifindex == datapath


# GET ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "errno"),
    [
        pytest.param(attribute(40, b"unknown"), None, id="unknown attribute"),
        pytest.param(attribute(UPCALL_PID, b"\0\0"), ERANGE, id="half an UPCALL_PID"),
        pytest.param(attribute(IFINDEX, u32(1 << 31)), ERANGE, id="a negative IFINDEX"),
        pytest.param(cache(4097), ERANGE, id="a cache too large"),
        pytest.param(features(0xFFFFFFFF), None, id="unknown features"),
        pytest.param(attribute(PER_CPU_PIDS, b"\0\0\0"), None, id="3 bytes of PIDs"),
    ],
)
def test_get_checks_what_it_does_not_use(
    stream: Handle, datapath: int, attributes: bytes, errno: int | None
) -> None:
    reply = echoed(stream, build(DATAPATH, GET, attributes, dp_ifindex=datapath))
    if errno is None:
        assert (reply.type, reply.dp_ifindex) == (DATAPATH, datapath)
    else:
        assert (reply.type, reply.errno) == (ERROR, errno)


def test_get_has_one_reply_whatever_the_flags(stream: Handle, name: str, datapath: int) -> None:
    stream.write(named(GET, name, flags=REQUEST | ACK | ECHO))
    reply, ack = receive_all(stream)
    assert len(reply.raw) == reply_length(name)
    assert (len(ack.raw), ack.errno, ack.flags) == (36, 0, CAPPED)


# Notifications -----------------------------------------------------------------------------------

CHANGES = [("NEW", NEW), ("SET", SET), ("DEL", DEL)]


def changes(name: str, flags: int) -> list[bytes]:
    """Requests for one change of each kind."""
    return [
        new(name, features(1), flags=flags, sequence=1),
        named(SET, name, features(3), flags=flags, sequence=2),
        named(DEL, name, flags=flags, sequence=3),
    ]


@pytest.fixture
def member(open_handle: Open) -> Handle:
    """A handle in the group, which does not wait."""
    handle = open_handle(os.O_RDWR | os.O_NONBLOCK)
    put(handle, control.subscribe(GROUP))
    return handle


@pytest.mark.parametrize("flags", [REQUEST, REQUEST | ECHO, REQUEST | ACK, REQUEST | ECHO | ACK])
def test_members_get_the_message_that_an_echo_has(
    stream: Handle, member: Handle, name: str, flags: int
) -> None:
    for request in changes(name, flags):
        stream.write(request)
    told, replies = receive_all(member), receive_all(stream)
    assert [(reply.command, reply.sequence) for reply in told] == [(NEW, 1), (SET, 2), (DEL, 3)]
    assert {(reply.flags, reply.pid) for reply in told} == {(0, get_pid(stream))}
    echoes = [reply.raw for reply in replies if reply.type == DATAPATH]
    assert echoes == ([reply.raw for reply in told] if flags & ECHO else [])
    assert sum(reply.type == ERROR for reply in replies) == (3 if flags & ACK else 0)


@pytest.mark.parametrize("flags", [REQUEST, REQUEST | ECHO])
def test_a_member_that_asks_gets_one_copy(member: Handle, name: str, flags: int) -> None:
    for request in changes(name, flags | ACK):
        member.write(request)
    got = [(reply.type, reply.sequence) for reply in receive_all(member)]
    assert got == [(type_, number) for number in (1, 2, 3) for type_ in (DATAPATH, ERROR)]


def test_what_fails_or_only_looks_is_not_told(
    stream: Handle, member: Handle, name: str, datapath: int
) -> None:
    receive_all(member)
    stream.write(named(GET, name, flags=REQUEST | ECHO))
    stream.write(named(SET, name, features(0x10)))
    stream.write(new(name))
    assert len(receive_all(stream)) == 3
    assert receive_all(member) == []


def test_changes_through_the_device_door_are_told(
    handle: Handle, member: Handle, name: str
) -> None:
    for request in changes(name, 0):
        assert ask(handle, request).type == DATAPATH
    assert [reply.command for reply in receive_all(member)] == [NEW, SET, DEL]


def test_the_last_message_of_a_datapath_shows_it(stream: Handle, name: str, datapath: int) -> None:
    reply = echoed(stream, named(DEL, name))
    assert (reply.string(NAME), reply.dp_ifindex) == (name, datapath)
    assert settings(reply) == (0, DEFAULT_CACHE)
    assert failure(stream.read, 4096) == "EAGAIN"
