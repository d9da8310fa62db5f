"""Faults on a real node: what the kernel makes of requests that wait, and of queues that end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EIO
from functools import partial
from pathlib import Path
from select import POLLERR, POLLHUP, POLLIN

from ovsdp_cuse.client import Device
from ovsdp_cuse.client.faults import Faults
from ovsdp_cuse.wire.fault import FaultEffect
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlCmd
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.state import HandleAttr
from tests.contract.doors import failure, get_pid, transact
from tests.contract.messages import parse
from tests.families.doors import build
from tests.live.conftest import Serve, Spawn, client, wait_blocked
from tests.nodes.calls import wait_until
from tests.nodes.interface import DEADLINE_S

ASKED = build(NLCTRL, CtrlCmd.GETFAMILY, {CtrlAttr.FAMILY_NAME: "ovs_flow"})
"""A request that is answered at once, with one message of nlctrl."""


@contextmanager
def keeper(path: Path) -> Iterator[Faults]:
    """Who makes faults."""
    with Device(path) as device:
        yield Faults(device)


def is_answer(data: bytes) -> bool:
    """Whether this is what ASKED is answered."""
    return parse(data).type == NLCTRL.id


def held(faults: Faults, number: int) -> int:
    return faults.get(number).held


def wait_held(faults: Faults, number: int, count: int = 1) -> None:
    wait_until(lambda: held(faults, number) == count, f"{count} requests are held")


def test_hold_and_release(serve: Serve, path: Path) -> None:
    """An ioctl waits in the kernel, others are answered, and it is answered when it may go on."""
    daemon = serve()
    handle, other = daemon.node.open(), daemon.node.open()
    with keeper(path) as faults:
        fault = faults.add(FaultEffect.HOLD, handle=get_pid(handle))
        call = daemon.node.start(partial(transact, handle, ASKED))
        wait_held(faults, fault.id)
        assert is_answer(transact(other, ASKED))
        assert faults.release(fault.id) == 1
        assert is_answer(call.result())
        assert (faults.get(fault.id).applied, held(faults, fault.id)) == (1, 0)
    handle.close()
    other.close()


def test_hold_and_a_signal(serve: Serve, path: Path) -> None:
    """FUSE_INTERRUPT ends the wait with EINTR; the handle can be used again."""
    daemon = serve()
    handle = daemon.node.open()
    with keeper(path) as faults:
        fault = faults.add(FaultEffect.HOLD, handle=get_pid(handle), times=1)
        call = daemon.node.start(partial(transact, handle, ASKED))
        wait_held(faults, fault.id)
        call.interrupt()
        assert failure(call.result) == "EINTR"
        wait_held(faults, fault.id, 0)
        assert is_answer(transact(handle, ASKED))
    handle.close()


def test_a_delayed_write_holds_up_nobody(serve: Serve, path: Path) -> None:
    """write(2) returns at once, on the matched handle and on others; the answer comes later."""
    daemon = serve()
    slow, other = daemon.node.open(), daemon.node.open()
    with keeper(path) as faults:
        fault = faults.add(FaultEffect.HOLD, handle=get_pid(slow))
        slow.write(ASKED)
        slow.write(ASKED)
        assert not slow.poll() & POLLIN
        other.write(ASKED)
        assert is_answer(other.read(4096))
        assert held(faults, fault.id) == 2
        assert faults.delete(fault.id) == 2
        for _ in range(2):
            assert slow.wait_readable()
            assert is_answer(slow.read(4096))
    slow.close()
    other.close()


def test_a_backlog_that_is_full(serve: Serve, path: Path) -> None:
    daemon = serve("--queue-limit", "4096")
    handle = daemon.node.open()
    with keeper(path) as faults:
        fault = faults.add(FaultEffect.HOLD, handle=get_pid(handle))
        written = 0
        while written < 100:
            try:
                handle.write(ASKED)
            except OSError as error:
                assert failure(handle.write, ASKED) == "ENOBUFS", error
                break
            written += 1
        assert 1 < written < 100
        assert held(faults, fault.id) == written
    handle.close()


def test_the_daemon_stops_while_requests_are_held(serve: Serve, path: Path) -> None:
    """Who waits is told, and nothing keeps the daemon."""
    daemon = serve()
    handle, writer = daemon.node.open(), daemon.node.open()
    with keeper(path) as faults:
        fault = faults.add(FaultEffect.HOLD)
        writer.write(ASKED)
        call = daemon.node.start(partial(transact, handle, ASKED))
        wait_held(faults, fault.id, 2)
        assert daemon.stop(signal.SIGTERM) == 0, daemon.log
        assert failure(call.result) == "ENODEV"
    handle.close()
    writer.close()


def test_a_process_is_killed_while_its_request_is_held(
    serve: Serve, path: Path, spawn: Spawn
) -> None:
    serve()
    with keeper(path) as faults:
        process = spawn(*client(path, "pend"))
        wait_blocked(process, path)
        process.kill()
        process.wait(DEADLINE_S)
        fault = faults.add(FaultEffect.HOLD, command="OVS_CTRL_CMD_WIN_PEND_REQ")
        process = spawn(*client(path, "pend"))
        wait_held(faults, fault.id)
        process.kill()
        assert process.wait(DEADLINE_S) == -signal.SIGKILL
        wait_held(faults, fault.id, 0)


def test_a_queue_that_is_closed_under_a_reader(serve: Serve, path: Path) -> None:
    daemon = serve()
    handle = daemon.node.open()
    with keeper(path) as faults:
        read = daemon.node.start(partial(handle.read, 4096))
        read.wait_started()
        faults.add(FaultEffect.CLOSE_QUEUE, handle=get_pid(handle), times=1)
        transact(handle, ASKED)
        assert failure(read.result) == "ENOTCONN"
        assert handle.poll() & (POLLIN | POLLERR | POLLHUP) == POLLIN | POLLERR | POLLHUP
        assert failure(handle.read, 4096) == "ENOTCONN"
    handle.close()


def test_a_thread_is_its_process(serve: Serve, path: Path) -> None:
    """A handle belongs to the process, whichever of its threads has opened it."""
    daemon = serve()
    opened = []
    thread = threading.Thread(target=lambda: opened.append(daemon.node.open()))
    thread.start()
    thread.join()
    (handle,) = opened
    with Device(path) as device:
        told = device.transact(
            OVSDP_CONTROL, OvsdpCmd.HANDLE_GET, {HandleAttr.PID: get_pid(handle)}
        )
        assert told is not None
        assert told.attributes[HandleAttr.PROCESS] == os.getpid()
        comm = Path("/proc/self/comm").read_text().rstrip("\n")
        assert told.attributes[HandleAttr.COMMAND] == comm
        Faults(device).add(FaultEffect.FAIL, errno=EIO, process=os.getpid(), handle=get_pid(handle))
        assert parse(transact(handle, ASKED)).errno == EIO
    handle.close()
