"""The family ovs_packet at a node: EXECUTE through either door, upcalls out of either.

Upcalls are had without ports: a packet is executed with a userspace action.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable

import pytest

from tests.contract import datapaths
from tests.contract.conftest import Open
from tests.contract.doors import (
    LARGEST,
    READ_PACKET,
    ask,
    get_pid,
    put,
    receive,
    take,
    transact,
)
from tests.contract.messages import (
    ACK,
    DATAPATH,
    REQUEST,
    Reply,
    attribute,
    build,
    parse,
    u32,
)
from tests.nodes.interface import Handle

PACKET_FAMILY, FLOW_FAMILY = 0x13, 0x15
MISS, ACTION, EXECUTE = 1, 2, 3
PACKET, KEY, ACTIONS, USERDATA, MRU, LEN, HASH = 1, 2, 3, 4, 9, 10, 11
KEY_IN_PORT, KEY_ETHERNET, KEY_ETHERTYPE, KEY_RECIRC_ID = 3, 4, 6, 20
ACTION_USERSPACE, ACTION_TRUNC, ACTION_RECIRC = 2, 13, 7
USERSPACE_PID, USERSPACE_USERDATA = 1, 2

FRAME = bytes.fromhex("0200000000020200000000019999") + b"what is in a frame!"

EPERM, EINVAL, ENODEV = 1, 22, 19


@pytest.fixture
def datapath(handle: Handle, name: str) -> int:
    """The index of a datapath with OVS_DP_F_UNALIGNED, which goes with the test's node."""
    return ask(handle, datapaths.new(name, datapaths.features(1))).dp_ifindex


def userspace(pid: int, userdata: bytes = b"cookie") -> bytes:
    """OVS_ACTION_ATTR_USERSPACE."""
    inner = attribute(USERSPACE_PID, u32(pid)) + attribute(USERSPACE_USERDATA, userdata)
    return attribute(ACTION_USERSPACE, inner)


def execute(datapath: int, actions: bytes, frame: bytes = FRAME, flags: int = 0) -> bytes:
    """A request to run actions on a frame."""
    return build(
        PACKET_FAMILY,
        EXECUTE,
        attribute(PACKET, frame),
        attribute(KEY, attribute(KEY_IN_PORT, u32(0))),
        attribute(ACTIONS, actions),
        flags=REQUEST | flags,
        dp_ifindex=datapath,
    )


def by_transact(handle: Handle, request: bytes) -> None:
    """A command without reply."""
    assert transact(handle, request) == b""


def by_stream(handle: Handle, request: bytes) -> None:
    """The same with write(2)."""
    assert handle.write(request) == len(request)


Say = Callable[[Handle, bytes], None]


@pytest.mark.parametrize("say", [by_transact, put, by_stream])
def test_what_is_executed_comes_to_who_the_action_names(
    handle: Handle, open_handle: Open, datapath: int, say: Say
) -> None:
    other = open_handle(os.O_RDWR | os.O_NONBLOCK)
    say(handle, execute(datapath, userspace(get_pid(other))))
    upcall = receive(other)
    assert (upcall.type, upcall.command, upcall.dp_ifindex) == (PACKET_FAMILY, ACTION, datapath)
    assert (upcall.flags, upcall.sequence, upcall.pid) == (0, 0, 0)
    assert list(upcall.attributes) == [KEY, USERDATA, HASH, PACKET]
    assert (upcall.attributes[PACKET], upcall.attributes[USERDATA]) == (FRAME, b"cookie")
    assert len(upcall.raw) % 4 == 1, "the frame is not padded with OVS_DP_F_UNALIGNED"


def test_an_upcall_by_ioctl(handle: Handle, datapath: int) -> None:
    by_stream(handle, execute(datapath, userspace(get_pid(handle))))
    assert handle.poll() & 1
    assert parse(take(handle, READ_PACKET)).attributes[PACKET] == FRAME
    assert take(handle, READ_PACKET) == b""


def test_a_big_packet_goes_through_the_stream_door(stream: Handle, datapath: int) -> None:
    frame = FRAME[:14] + bytes(60_000)
    by_stream(stream, execute(datapath, userspace(get_pid(stream)), frame))
    with pytest.raises(OSError, match=os.strerror(errno.EMSGSIZE)):
        take(stream, READ_PACKET, LARGEST)
    assert receive(stream, 1 << 17).attributes[PACKET] == frame


def test_a_miss_by_recirculation(stream: Handle, datapath: int) -> None:
    """The local port's misses go to nobody here, so they are lost, and counted."""
    recirc = attribute(ACTION_RECIRC, u32(7))
    by_stream(stream, execute(datapath, recirc, flags=ACK))
    assert receive(stream).errno == 0
    told = ask(stream, build(DATAPATH, datapaths.GET, dp_ifindex=datapath))
    hit, missed, lost, flows = struct.unpack("=4Q", told.attributes[datapaths.STATS])
    assert (hit, missed, lost, flows) == (0, 1, 1, 0)


def test_a_truncated_upcall_says_how_long_the_packet_was(stream: Handle, datapath: int) -> None:
    trunc = attribute(ACTION_TRUNC, u32(20))
    by_stream(stream, execute(datapath, trunc + userspace(get_pid(stream))))
    upcall = receive(stream)
    assert upcall.attributes[PACKET] == FRAME[:20]
    assert upcall.number(LEN) == len(FRAME)


def test_refusals_by_both_doors(handle: Handle, stream: Handle, datapath: int) -> None:
    for actions, errno_ in ((attribute(99, b""), EINVAL), (attribute(1, u32(70_000)), EINVAL)):
        reply: Reply = ask(handle, execute(datapath, actions))
        assert reply.errno == errno_
        by_stream(stream, execute(datapath, actions))
        assert receive(stream).errno == errno_
    by_stream(stream, execute(2**30, userspace(1)))
    assert receive(stream).errno == ENODEV


def test_a_handle_for_reading_executes_nothing(open_handle: Open, datapath: int) -> None:
    reader = open_handle(os.O_RDONLY)
    with pytest.raises(PermissionError):
        transact(reader, execute(datapath, b""))


def test_a_batch_of_flows_and_packets(stream: Handle, datapath: int) -> None:
    """Fifty misses are answered by one write: success is silence."""
    pid = get_pid(stream)
    messages = []
    for number in range(50):
        key = attribute(KEY_RECIRC_ID, u32(number + 1)) + attribute(KEY_IN_PORT, u32(0))
        key += attribute(KEY_ETHERNET, bytes(12)) + attribute(KEY_ETHERTYPE, b"\x99\x99")
        actions = userspace(pid, u32(number))
        messages += [
            build(FLOW_FAMILY, 1, attribute(1, key), attribute(2, actions), dp_ifindex=datapath),
            execute(datapath, actions),
        ]
    by_stream(stream, b"".join(messages))
    seen = [receive(stream).number(USERDATA) for _ in range(50)]
    assert seen == list(range(50))
    with pytest.raises(BlockingIOError):
        stream.read(4096)
