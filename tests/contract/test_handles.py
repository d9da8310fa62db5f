"""Open handles: their PIDs, their limit, and what ends with them."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import ENFILE

from tests.contract import control, datapaths
from tests.contract.conftest import Open
from tests.contract.doors import ask, failure, get_pid, put, receive, take, transact
from tests.contract.messages import DATAPATH, build
from tests.nodes.calls import wait_until
from tests.nodes.interface import Handle, Node

HANDLE_LIMIT = 512


def opens(open_handle: Open) -> bool:
    """Whether a handle can be opened now."""
    try:
        open_handle()
    except OSError as error:
        assert error.errno == ENFILE
        return False
    return True


def test_pids_are_unique_among_the_open(open_handle: Open) -> None:
    pids = [get_pid(open_handle()) for _ in range(20)]
    assert len(set(pids)) == 20
    assert all(0 < pid < 1 << 32 for pid in pids)


def test_a_pid_is_the_handle_s_not_the_process_s(open_handle: Open, handle: Handle) -> None:
    pid = get_pid(handle)
    assert [get_pid(handle) for _ in range(3)] == [pid] * 3
    assert pid not in {get_pid(open_handle(mode)) for mode in (os.O_RDONLY, os.O_WRONLY)}


def test_512_handles_may_be_open(open_handle: Open) -> None:
    """Those of other tests are all closed, but on a FUSE node the daemon is told later."""
    handles: list[Handle] = []

    def fill() -> bool:
        with suppress(OSError):
            while len(handles) <= HANDLE_LIMIT:
                handles.append(open_handle())
        return len(handles) >= HANDLE_LIMIT

    wait_until(fill, "512 handles are open")
    assert len(handles) == HANDLE_LIMIT
    assert failure(open_handle) == "ENFILE"
    assert failure(open_handle, os.O_RDONLY) == "ENFILE"
    assert len({get_pid(handle) for handle in handles}) == HANDLE_LIMIT
    handles[100].close()
    wait_until(lambda: opens(open_handle), "a handle can be opened after one was closed")
    assert failure(open_handle) == "ENFILE"


def test_closing_ends_subscriptions(open_handle: Open, handle: Handle, datapath: int) -> None:
    member = open_handle()
    put(member, control.subscribe(datapaths.GROUP))
    member.close()
    ask(handle, build(DATAPATH, datapaths.SET, dp_ifindex=datapath))
    again = open_handle(os.O_RDWR | os.O_NONBLOCK)
    assert failure(again.read, 4096) == "EAGAIN"


def test_closing_forgets_what_waits(open_handle: Open, datapath: int) -> None:
    first = open_handle()
    first.write(build(DATAPATH, datapaths.GET, dp_ifindex=datapath))
    assert failure(transact, first, build(DATAPATH, datapaths.GET), 24) == "EMSGSIZE"
    first.close()
    again = open_handle(os.O_RDWR | os.O_NONBLOCK)
    assert take(again) == b""
    assert failure(again.read, 4096) == "EAGAIN"


def test_a_closed_handle_is_none(handle: Handle) -> None:
    handle.close()
    assert failure(get_pid, handle) == "EBADF"


def test_opening_ignores_what_a_file_would_obey(open_handle: Open) -> None:
    """O_TRUNC and O_CREAT mean nothing to a device."""
    assert get_pid(open_handle(os.O_RDWR | os.O_TRUNC))
    assert get_pid(open_handle(os.O_RDWR | os.O_APPEND))


def test_requests_of_other_handles_go_on_while_one_waits(
    node: Node, open_handle: Open, handle: Handle, datapath: int
) -> None:
    reader, waiter = open_handle(), open_handle()
    read = node.start(lambda: reader.read(4096))
    read.wait_started()
    wait = node.start(lambda: put(waiter, control.request(control.WIN_PEND_REQ)))
    wait.wait_started()
    for _ in range(100):
        assert ask(handle, build(DATAPATH, datapaths.GET)).dp_ifindex == datapath
    handle.write(build(DATAPATH, datapaths.GET, dp_ifindex=datapath))
    assert receive(handle).dp_ifindex == datapath
    for call in (read, wait):
        call.interrupt()
        assert failure(call.result) == "EINTR"
