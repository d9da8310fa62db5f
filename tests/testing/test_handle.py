"""A handle of a daemon in a thread: its descriptor, and waiting for it."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from errno import EBADF, ENOTCONN

import pytest

from ovsdp_cuse.client.device import Device
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.testing import LocalDaemon
from ovsdp_cuse.testing.handle import ThreadHandle
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.fault import FaultEffect

HOUR_MS = 3_600_000


@pytest.fixture
def daemon() -> Iterator[LocalDaemon]:
    with LocalDaemon(virtual_clock=True) as daemon:
        yield daemon


@pytest.fixture
def device(daemon: LocalDaemon) -> Device:
    return daemon.open()


@pytest.fixture
def listener(daemon: LocalDaemon) -> Device:
    device = daemon.open()
    device.subscribe("ovs_datapath")
    return device


def handle_of(device: Device) -> ThreadHandle:
    handle = device._handle
    assert isinstance(handle, ThreadHandle)
    return handle


def make_datapath(device: Device, name: str = "dp0") -> None:
    device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)})


def readable(descriptor: int) -> bool:
    """What poll says at once."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def test_the_descriptor_is_readable_while_there_is_something_to_read(
    device: Device, listener: Device
) -> None:
    assert not readable(listener.fileno())
    make_datapath(device, "dp0")
    make_datapath(device, "dp1")
    for _ in range(2):
        assert readable(listener.fileno())
        assert listener.next_event_nowait() is not None
    assert not readable(listener.fileno())
    make_datapath(device, "dp2")
    assert readable(listener.fileno()), "and again"
    assert not readable(device.fileno()), "each handle has its own"


def test_an_overflow_is_readable(daemon: LocalDaemon, device: Device, listener: Device) -> None:
    daemon.faults().add(FaultEffect.OVERFLOW, operation="NOTIFICATION", handle=listener.pid)
    make_datapath(device)
    assert readable(listener.fileno())


def test_a_wait_moves_the_clock_to_what_is_due(
    daemon: LocalDaemon, device: Device, listener: Device
) -> None:
    """A call of another thread is delayed; who waits for what it leads to moves the clock."""
    daemon.faults().add(FaultEffect.DELAY, delay_ms=HOUR_MS, command="OVS_DP_CMD_NEW")
    began_ms = daemon.clock.now_ms
    call = daemon.start(make_datapath, device)
    assert not call.done
    assert handle_of(listener).wait_readable()
    assert daemon.clock.now_ms == began_ms + HOUR_MS
    call.result()


def test_a_wait_ends_at_its_deadline_of_the_virtual_clock(
    daemon: LocalDaemon, device: Device, listener: Device
) -> None:
    daemon.faults().add(FaultEffect.DELAY, delay_ms=HOUR_MS, command="OVS_DP_CMD_NEW")
    began_ms = daemon.clock.now_ms
    call = daemon.start(make_datapath, device)
    assert not handle_of(listener).wait_readable(time.monotonic() + HOUR_MS / 2000)
    assert daemon.clock.now_ms == began_ms, "nothing is due within half an hour"
    assert not call.done
    assert handle_of(listener).wait_readable(time.monotonic() + HOUR_MS / 500)
    assert daemon.clock.now_ms == began_ms + HOUR_MS
    call.result()


def test_a_wait_of_another_thread_leaves_the_clock_alone(
    daemon: LocalDaemon, device: Device, listener: Device
) -> None:
    daemon.faults().add(FaultEffect.DELAY, delay_ms=HOUR_MS, command="OVS_DP_CMD_NEW")
    began_ms = daemon.clock.now_ms
    call = daemon.start(make_datapath, device)
    wait = daemon.start(handle_of(listener).wait_readable)
    assert not wait.done
    assert daemon.clock.now_ms == began_ms
    daemon.clock.advance(HOUR_MS / 1000)
    assert wait.result()
    call.result()


def test_another_descriptor_ends_a_wait(listener: Device) -> None:
    other = os.eventfd(1)
    try:
        assert handle_of(listener).wait_readable(None, other)
    finally:
        os.close(other)


def test_a_closed_handle(daemon: LocalDaemon, device: Device) -> None:
    handle, descriptor = handle_of(device), device.fileno()
    device.close()
    device.close()
    assert handle.descriptor == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert handle.wait_readable(time.monotonic()), "so that who waits reads, and hears of it"
    with pytest.raises(DatapathError) as caught:
        make_datapath(device)
    assert caught.value.errno == EBADF
    assert daemon.run(lambda: len(daemon.context.sessions)) == 0


def test_the_daemon_has_ended() -> None:
    with LocalDaemon() as daemon:
        device = daemon.open()
        descriptor = device.fileno()
        daemon._loop.stop()
        with pytest.raises(DatapathError) as caught:
            make_datapath(device)
        assert caught.value.errno == ENOTCONN
        device.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
