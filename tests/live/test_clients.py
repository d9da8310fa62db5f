"""Clients as processes and in numbers: what they do to each other, and to the daemon."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from errno import ENODEV
from pathlib import Path
from select import POLLERR

import pytest

from tests.contract import control, datapaths
from tests.contract.doors import (
    IOC_READ,
    IOC_WRITE,
    TRANSACT,
    WRITE,
    ask,
    failure,
    get_pid,
    number,
    put,
    receive,
    receive_all,
)
from tests.contract.messages import DATAPATH, build
from tests.live.conftest import Spawn, client, serve_for_module, wait_blocked
from tests.nodes.calls import wait_until
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S
from tests.nodes.real import RealNode
from tests.test_header import build_compat

libc = ctypes.CDLL(None, use_errno=True)


def test_a_32_bit_client(node: RealNode, tmp_path: Path) -> None:
    program = build_compat(tmp_path / "compat")
    done = subprocess.run([program, node.path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, "its status is the step that failed: tests/c/compat.c"
    assert int(done.stdout) > 0


def test_a_client_of_another_process(node: RealNode, spawn: Spawn) -> None:
    output, _ = spawn(*client(node.path, "info")).communicate(timeout=DEADLINE_S)
    first, second = output.split()
    assert first == second
    assert int(first) > 0


@pytest.mark.parametrize("operation", [WRITE, TRANSACT])
def test_a_bad_pointer_is_efault(node: RealNode, operation: int) -> None:
    handle = node.open()
    request = number(operation, 24, IOC_WRITE | (IOC_READ if operation == TRANSACT else 0))
    assert libc.ioctl(handle.descriptor, ctypes.c_ulong(request), ctypes.c_void_p(8)) == -1
    assert ctypes.get_errno() == 14, "EFAULT"
    assert get_pid(handle)
    handle.close()


def test_a_device_is_not_mapped(node: RealNode) -> None:
    handle = node.open()
    with pytest.raises(OSError) as caught:
        mmap.mmap(handle.descriptor, 4096, mmap.MAP_SHARED)
    assert caught.value.errno == ENODEV
    handle.close()


def test_handles_work_at_the_same_time(node: RealNode) -> None:
    """Each in a thread of its own, while two others wait."""
    waiters = [node.open(), node.open()]
    calls = [
        node.start(lambda: waiters[0].read(4096)),
        node.start(lambda: put(waiters[1], control.request(control.WIN_PEND_REQ))),
    ]
    for call in calls:
        call.wait_started()

    def converse(thread: int) -> set[tuple[int, int]]:
        handle = node.open()
        pid = get_pid(handle)
        got = set()
        for sequence in range(100):
            reply = ask(handle, control.request(control.SOCK_PROP, sequence=sequence))
            got.add((reply.sequence, reply.pid - pid))
            handle.write(control.request(control.SOCK_PROP, sequence=sequence, flags=1))
            assert receive(handle).sequence == sequence
        handle.close()
        return got

    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(converse, range(8)):
            assert got == {(sequence, 0) for sequence in range(100)}
    for call in calls:
        call.interrupt()
        assert failure(call.result) == "EINTR"
    for waiter in waiters:
        waiter.close()


# Clients that end badly --------------------------------------------------------------------------


def free_handles(daemon: Daemon) -> int:
    """How many more handles can be opened, counted by opening them."""
    handles = []
    try:
        while True:
            handles.append(daemon.node.open())
    except OSError:
        return len(handles)
    finally:
        for handle in handles:
            handle.close()


@pytest.fixture(scope="module")
def small(kind: str) -> Iterator[Daemon]:
    """A daemon with three handles."""
    with serve_for_module(kind, "--handle-limit", "3") as daemon:
        yield daemon


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGKILL])
def test_a_client_that_is_killed_while_it_waits(
    small: Daemon, spawn: Spawn, signal_: signal.Signals
) -> None:
    """It ends at once, and its handle is free again."""
    processes = [spawn("cat", small.path), spawn(*client(small.path, "pend"))]
    for process in processes:
        wait_blocked(process, small.path)
    last = small.node.open()
    assert failure(small.node.open) == "ENFILE"
    for process in processes:
        process.send_signal(signal_)
        assert process.wait(DEADLINE_S) == -signal_
    assert get_pid(last)
    last.close()
    wait_until(lambda: free_handles(small) == 3, "all handles are free")


def test_a_client_that_is_killed_in_the_middle_of_its_requests(small: Daemon, spawn: Spawn) -> None:
    for _ in range(3):
        process = spawn(*client(small.path, "transact"))
        assert process.stdout is not None
        for _line in range(5):
            assert process.stdout.readline().split()
        process.kill()
        assert process.wait(DEADLINE_S) == -signal.SIGKILL
    wait_until(lambda: free_handles(small) == 3, "all handles are free")


def test_clients_leave_no_descriptors(shared: Daemon) -> None:
    before = shared.descriptors()
    handles = [shared.node.open() for _ in range(50)]
    for handle in handles:
        put(handle, control.subscribe(datapaths.GROUP))
        handle.close()
    assert shared.descriptors() == before


# Clients that take no notice ---------------------------------------------------------------------


QUEUE_LIMIT = 32 << 10


@pytest.fixture(scope="module")
def crowded(kind: str) -> Iterator[Daemon]:
    """A daemon for many clients, with short queues."""
    limits = ("--handle-limit", "610", "--queue-limit", str(QUEUE_LIMIT))
    with serve_for_module(kind, *limits) as daemon:
        yield daemon


def test_a_client_that_never_reads_costs_no_memory(crowded: Daemon) -> None:
    """It asks for 20 MB of errors."""
    lazy, other = crowded.node.open(os.O_RDWR | os.O_NONBLOCK), crowded.node.open()
    bad = build(0x7F, 1, bytes(100_000))
    for _ in range(10):
        lazy.write(bad)
    before = crowded.resident_kib()
    for _ in range(200):
        lazy.write(bad)
    assert get_pid(other)
    assert crowded.resident_kib() - before < 4096
    assert failure(lazy.read, 1 << 18) == "ENOBUFS"
    assert len(receive_all(lazy)) == 1, "an empty queue has room for one of any length"
    for handle in (lazy, other):
        handle.close()


def test_others_hear_of_what_one_does_not(crowded: Daemon) -> None:
    lazy, reader, writer = (crowded.node.open(os.O_RDWR | os.O_NONBLOCK) for _ in range(3))
    for member in (lazy, reader):
        put(member, control.subscribe(datapaths.GROUP))
    writer.write(datapaths.new("a"))
    heard = 0
    for batch in range(20):
        sequences = range(batch * 20, batch * 20 + 20)
        writer.write(*(datapaths.named(datapaths.SET, "a", sequence=s) for s in sequences))
        heard += len(receive_all(reader))
    assert heard == 401
    assert lazy.poll() & POLLERR
    assert failure(lazy.read, 4096) == "ENOBUFS"
    datagram = datapaths.reply_length("a")
    assert 0 < len(receive_all(lazy)) <= QUEUE_LIMIT // datagram
    writer.write(datapaths.named(datapaths.DEL, "a"))
    for handle in (lazy, reader, writer):
        handle.close()


def test_600_clients(crowded: Daemon) -> None:
    handles = [crowded.node.open(os.O_RDWR | os.O_NONBLOCK) for _ in range(600)]
    assert len({get_pid(handle) for handle in handles}) == 600
    for handle in handles:
        put(handle, control.subscribe(datapaths.GROUP))
    assert ask(handles[0], datapaths.new("a", sequence=3)).type == DATAPATH
    assert [receive(handle).sequence for handle in handles] == [3] * 600
    for handle in handles:
        assert ask(handle, datapaths.named(datapaths.GET, "a")).type == DATAPATH
        handle.close()
