"""The Notifier against a real datagram socket, as the service manager has it."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from ovsdp_cuse.service import Notifier

SECOND_US = 1_000_000


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end; it never waits for a datagram."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        yield receiver


def received(manager: socket.socket) -> list[list[str]]:
    """The lines of each datagram that waits."""
    datagrams = []
    while True:
        try:
            datagrams.append(manager.recv(4096).decode().splitlines())
        except BlockingIOError:
            return datagrams


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), **more}


def test_variables_arrive_in_one_datagram(manager: socket.socket) -> None:
    Notifier(environment(manager)).notify(READY=1, STATUS="serving /dev/ovs-datapath")
    assert received(manager) == [["READY=1", "STATUS=serving /dev/ovs-datapath"]]


def test_an_address_without_a_file() -> None:
    name = f"ovsdp-cuse-test-{os.getpid()}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(f"\0{name}")
        manager.setblocking(False)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).notify(STOPPING=1)
        assert received(manager) == [["STOPPING=1"]]


def test_no_manager_is_no_error(tmp_path: Path) -> None:
    Notifier({}).notify(READY=1)
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).notify(READY=1)


def test_a_manager_that_reads_nothing_does_not_hold_us_up(manager: socket.socket) -> None:
    limit = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    notifier = Notifier(environment(manager))
    for _ in range(limit + 10):
        notifier.notify(WATCHDOG=1)
    assert 0 < len(received(manager)) < limit + 10


def test_a_descriptor_is_kept_and_forgotten(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier(environment(manager))
    assert notifier.is_heard
    kept = tmp_path / "kept"
    with kept.open("w") as file:
        notifier.keep("ours", file.fileno())
    data, (descriptor,), _flags, _address = socket.recv_fds(manager, 4096, 2)
    assert data.decode().splitlines() == ["FDSTORE=1", "FDNAME=ours"]
    os.write(descriptor, b"here")
    os.close(descriptor)
    assert kept.read_text() == "here"
    notifier.forget("ours")
    assert received(manager) == [["FDSTOREREMOVE=1", "FDNAME=ours"]]


def test_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    assert not Notifier({}).is_heard
    with pytest.raises(FileNotFoundError):
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).keep("ours", 0)


@pytest.mark.parametrize(
    ("variables", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": str(30 * SECOND_US)}, 15.0),
        ({"WATCHDOG_USEC": str(SECOND_US), "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": str(SECOND_US), "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(
    variables: dict[str, str], interval_s: float | None
) -> None:
    assert Notifier(variables).watchdog_interval_s == interval_s


async def test_the_watchdog_is_fed_for_as_long_as_it_may_bite(
    manager: socket.socket, autojump_clock: MockClock
) -> None:
    notifier = Notifier(environment(manager, WATCHDOG_USEC=str(10 * SECOND_US)))
    with trio.move_on_after(32):
        await notifier.feed_watchdog()
    assert received(manager) == [["WATCHDOG=1"]] * 7  # at 0, 5 ... 30 s


async def test_without_a_watchdog_there_is_nothing_to_feed(manager: socket.socket) -> None:
    with trio.fail_after(10):
        await Notifier(environment(manager)).feed_watchdog()
    assert received(manager) == []
