"""The channel's protocol: the beginning by every version, and each kind of request."""

from __future__ import annotations

import itertools
import stat
import struct
from collections.abc import Iterator
from errno import ENOSYS, EPROTO

import pytest

from ovsdp_cuse.device import fuse_abi as abi
from ovsdp_cuse.device.connection import Answered, Connection, FileAttributes, State, reply_error
from tests.contract.doors import failure, get_pid
from tests.nodes.fake import READ_LOCKOWNER, FakeHandle, FakeNode
from tests.nodes.kernel import (
    ACCESS_IN,
    FLUSH_IN,
    FSYNC_IN,
    GETATTR_IN,
    Kernel,
    Sizes,
)

MINORS = range(31, 46)
kinds = pytest.mark.parametrize("cuse", [True, False], ids=["cuse", "fuse"])


@pytest.fixture(params=[True, False], ids=["cuse", "fuse"])
def node(request: pytest.FixtureRequest) -> Iterator[FakeNode]:
    """A served node of either kind."""
    with FakeNode(cuse=request.param) as node:
        yield node


# The beginning -----------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("minor", MINORS)
def test_every_version_since_linux_5_4_is_served(cuse: bool, minor: int) -> None:
    with FakeNode(cuse=cuse, minor=minor) as node:
        assert node.connection.state is State.READY
        assert get_pid(node.open())


def test_what_is_asked_for_a_cuse_device() -> None:
    with FakeNode(cuse=True, begin=False) as node:
        reply = node.kernel.init()
        major, minor, unused, flags, max_read, max_write = struct.unpack_from("=6I", reply)
        assert (major, minor, unused) == (7, 31, 0)
        assert flags == 0, "restricted ioctls"
        assert max_read == max_write >= 212_992
        assert reply[72:] == b"DEVNAME=fake\0"


def test_what_is_asked_for_a_fuse_file() -> None:
    with FakeNode(cuse=False, begin=False) as node:
        reply = node.kernel.init()
        assert len(reply) == 64
        major, minor, _, flags, background, congestion, max_write = struct.unpack_from(
            "=4I2HI", reply
        )
        assert (major, minor) == (7, 31)
        assert flags == (
            abi.InitFlag.BIG_WRITES | abi.InitFlag.ABORT_ERROR | abi.InitFlag.MAX_PAGES
        )
        assert max_write >= 212_992
        assert background == congestion == 0xFFFF, "no RELEASE waits for others"


def test_only_what_the_kernel_offers_is_asked_for() -> None:
    connection = Connection()
    body = abi.INIT_IN.pack(7, 38, 0, int(abi.InitFlag.BIG_WRITES))
    answer = connection.receive(memoryview(frame(abi.Opcode.INIT, body)))
    assert isinstance(answer, Answered)
    assert struct.unpack_from("=I", answer.reply, 16 + 12) == (abi.InitFlag.BIG_WRITES,)


def frame(opcode: int, body: bytes = b"", unique: int = 2, length: int | None = None) -> bytes:
    """One request as it is read from a channel."""
    length = 40 + len(body) if length is None else length
    return abi.IN_HEADER.pack(length, opcode, unique, 1, 0, 0, 0, 0, 0) + body


@kinds
@pytest.mark.parametrize("version", [(7, 30), (7, 0), (6, 99)])
def test_an_older_kernel_is_told(cuse: bool, version: tuple[int, int]) -> None:
    ready = []
    connection = Connection("x" if cuse else None, on_ready=lambda: ready.append(1))
    opcode = abi.Opcode.CUSE_INIT if cuse else abi.Opcode.INIT
    body = abi.INIT_IN.pack(*version, 0, 1)
    assert connection.receive(memoryview(frame(opcode, body))) == Answered(reply_error(2, EPROTO))
    assert connection.problem
    assert "Linux 5.4" in connection.problem
    assert connection.state is State.AWAIT_INIT
    assert not ready


def test_a_kernel_of_the_next_major_version_asks_again() -> None:
    with FakeNode(cuse=False, begin=False) as node:
        reply = node.kernel.init(major=8)
        assert struct.unpack_from("=2I", reply) == (7, 31)
        assert node.connection.state is State.AWAIT_INIT
        node.kernel.accept_init(node.kernel.init())
        assert get_pid(node.open())


@kinds
def test_nothing_is_served_before_init(cuse: bool) -> None:
    with FakeNode(cuse=cuse, begin=False) as node:
        assert failure(node.open) == "EIO"
        wrong = abi.Opcode.INIT if cuse else abi.Opcode.CUSE_INIT
        assert failure(node.kernel.request, wrong, abi.INIT_IN.pack(7, 38, 0, 0)) == "EIO"
        node.kernel.accept_init(node.kernel.init())
        assert get_pid(node.open())


@kinds
def test_readiness_is_told_once(cuse: bool) -> None:
    ready = []
    connection = Connection("x" if cuse else None, on_ready=lambda: ready.append(1))
    opcode = abi.Opcode.CUSE_INIT if cuse else abi.Opcode.INIT
    for _ in range(2):
        connection.receive(memoryview(frame(opcode, abi.INIT_IN.pack(7, 38, 0, 1))))
    assert ready == [1]


# Requests ----------------------------------------------------------------------------------------


def test_opens_are_streams(node: FakeNode) -> None:
    body = abi.OPEN_IN.pack(2, 0)
    _, flags, _ = abi.OPEN_OUT.unpack(node.kernel.request(abi.Opcode.OPEN, body))
    assert flags & abi.OpenFlag.DIRECT_IO
    assert flags & abi.OpenFlag.STREAM
    parallel = abi.OpenFlag.NOFLUSH | abi.OpenFlag.PARALLEL_DIRECT_WRITES
    assert flags & parallel == (0 if node.kernel.cuse else parallel)


@pytest.mark.parametrize(
    "opcode",
    sorted(set(range(1, 53)) - set(abi.Opcode)),
)
def test_any_other_opcode_is_enosys(node: FakeNode, opcode: int) -> None:
    pending = node.kernel.submit(opcode, bytes(64))
    with pytest.raises(OSError) as caught:
        pending.reply.result(10)
    assert caught.value.errno == ENOSYS


def test_flush_fsync_and_access_have_nothing_to_do(node: FakeNode) -> None:
    handle = node.open()
    for opcode, body in (
        (abi.Opcode.FLUSH, FLUSH_IN.pack(handle.handle, 0, 0, 0)),
        (abi.Opcode.FSYNC, FSYNC_IN.pack(handle.handle, 0, 0)),
        (abi.Opcode.ACCESS, ACCESS_IN.pack(4, 0)),
        (abi.Opcode.DESTROY, b""),
    ):
        assert node.kernel.request(opcode, body) == b""


def test_forgetting_has_no_reply(node: FakeNode) -> None:
    for opcode in (abi.Opcode.FORGET, abi.Opcode.BATCH_FORGET):
        node.kernel.send_unanswered(opcode, bytes(16))
    assert get_pid(node.open())


def attributes(kernel: Kernel, reply: bytes | None = None) -> dict[str, int]:
    """Mode, owner and size that the FUSE file shows."""
    if reply is None:
        reply = kernel.request(abi.Opcode.GETATTR, GETATTR_IN.pack(0, 0, 0))
    fields = abi.ATTR_OUT.unpack(reply)
    return {"size": fields[3], "mode": fields[11], "uid": fields[13], "gid": fields[14]}


def test_the_file_s_attributes() -> None:
    connection = Connection(attributes=FileAttributes(0o640, 3, 4))
    connection.receive(memoryview(frame(abi.Opcode.INIT, abi.INIT_IN.pack(7, 38, 0, 0))))
    answer = connection.receive(memoryview(frame(abi.Opcode.GETATTR, bytes(16))))
    assert isinstance(answer, Answered)
    fields = abi.ATTR_OUT.unpack(answer.reply[16:])
    assert fields[11:15] == (stat.S_IFREG | 0o640, 1, 3, 4)
    assert fields[3] >= 212_992, "writes that end beyond the size are not parallel"


def test_chmod_and_chown_are_obeyed() -> None:
    with FakeNode(cuse=False) as node:
        before = attributes(node.kernel)

        def set_attributes(valid: int, **fields: int) -> dict[str, int]:
            wanted = abi.SetattrIn(*([0] * 15))._replace(valid=valid, **fields)
            body = abi.SETATTR_IN.pack(*wanted)
            return attributes(node.kernel, node.kernel.request(abi.Opcode.SETATTR, body))

        assert set_attributes(abi.SetattrValid.MODE, mode=0o100600)["mode"] == 0o100600
        assert set_attributes(abi.SetattrValid.UID, uid=5, gid=6)["uid"] == 5
        assert set_attributes(abi.SetattrValid.GID, uid=7, gid=6)["gid"] == 6
        size = set_attributes(1 << 3, size=0)
        assert size == {"size": before["size"], "mode": 0o100600, "uid": 5, "gid": 6}
        assert attributes(node.kernel) == size


def test_the_file_system_is_empty() -> None:
    with FakeNode(cuse=False) as node:
        assert len(node.kernel.request(abi.Opcode.STATFS)) == abi.STATFS_OUT.size


# What no kernel sends ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 15, 39])
def test_less_than_a_header_is_no_request(size: int) -> None:
    for connection in (Connection(), Connection("x")):
        assert connection.receive(memoryview(frame(abi.Opcode.OPEN)[:size])) is None


BODIES = {
    abi.Opcode.OPEN: 8,
    abi.Opcode.READ: 40,
    abi.Opcode.WRITE: 40,
    abi.Opcode.RELEASE: 24,
    abi.Opcode.IOCTL: 32,
    abi.Opcode.POLL: 24,
    abi.Opcode.SETATTR: 88,
}


@pytest.mark.parametrize(("opcode", "size"), BODIES.items())
def test_a_request_cut_short_is_einval(node: FakeNode, opcode: int, size: int) -> None:
    for cut in (0, size // 2, size - 1):
        assert failure(node.kernel.request, opcode, bytes(cut)) == "EINVAL"
    assert get_pid(node.open())


def test_data_cut_short_is_einval(node: FakeNode) -> None:
    handle = node.open().handle
    write = abi.WRITE_IN.pack(handle, 0, 100, 0, 0, 0, 0) + bytes(99)
    assert failure(node.kernel.request, abi.Opcode.WRITE, write) == "EINVAL"
    ioctl = abi.IOCTL_IN.pack(handle, 0, 0xC805, 0, 100, 0) + bytes(99)
    assert failure(node.kernel.request, abi.Opcode.IOCTL, ioctl) == "EINVAL"


def test_a_read_goes_on_with_nothing(node: FakeNode) -> None:
    """The kernel asks for more where an answer filled its request."""
    handle = node.open().handle
    body = abi.READ_IN.pack(handle, 128, 64, READ_LOCKOWNER, 1, 0, 0)
    assert node.kernel.request(abi.Opcode.READ, body, Sizes(0, 64)) == b""


def test_a_file_s_cache_gets_nothing() -> None:
    """What a handle reads is for no other; a device has no cache."""
    with FakeNode(cuse=False) as node:
        handle = node.open().handle
        body = abi.READ_IN.pack(handle, 0, 4096, 0, 0, 0, 0)
        assert failure(node.kernel.request, abi.Opcode.READ, body, Sizes(0, 4096)) == "EIO"


def test_an_ioctl_of_a_32_bit_client(node: FakeNode) -> None:
    """FUSE_IOCTL_COMPAT and FUSE_IOCTL_32BIT; no structure here depends on it."""
    handle = node.open()
    body = abi.IOCTL_IN.pack(handle.handle, 1 | 8, 0x8004C800, 0, 0, 4)
    reply = node.kernel.request(abi.Opcode.IOCTL, body, Sizes(20, 20))
    assert struct.unpack("=5I", reply) == (4, 0, 0, 0, get_pid(handle))


def test_replies_find_their_requests(node: FakeNode) -> None:
    handles: list[FakeHandle] = [node.open() for _ in range(10)]
    ioctl = itertools.repeat(0x8004C800)
    pending = [
        node.kernel.submit(
            abi.Opcode.IOCTL,
            abi.IOCTL_IN.pack(handle.handle, 0, number, 0, 0, 4),
            Sizes(20, 20),
        )
        for handle, number in zip(handles, ioctl, strict=False)
    ]
    pids = [struct.unpack_from("=I", each.reply.result(10), 16)[0] for each in pending]
    assert pids == [get_pid(handle) for handle in handles]
