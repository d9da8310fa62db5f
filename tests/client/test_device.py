"""The blocking client, against a dispatcher in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from errno import EBADF, EEXIST, EIO, EMSGSIZE, ENOBUFS, ENODEV, ENOENT, ENOPROTOOPT, EPERM

import pytest

from ovsdp_cuse.client import SCHEMAS, DatapathError, Device, EventsLost
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, SocketAttr
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlCmd, OperationFlag
from ovsdp_cuse.wire.netlink import Flag
from tests.client.families import GROUP, SCHEMA, BigAttr, BigCmd
from tests.families.doors import Daemon

IOCTL_LIMIT = 16383


def add(device: Device, name: str) -> int:
    """Make a datapath; its index."""
    reply = device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)})
    assert reply is not None
    return reply.dp_ifindex


def refusal(call: Callable[[], object]) -> DatapathError:
    """The error with which a call fails."""
    with pytest.raises(DatapathError) as caught:
        call()
    return caught.value


def has_aside(device: Device) -> bool:
    """A function, for mypy takes a property to stay what it was."""
    return device.events_aside


def test_a_device_has_path_pid_and_descriptor(daemon: Daemon) -> None:
    with Device("/dev/x") as first, Device("/dev/x") as second:
        assert first.path == "/dev/x"
        assert (first.pid, second.pid) == (1, 2)
        assert first.fileno() >= 0
    assert first.fileno() == -1
    first.close()  # once more does no harm
    assert len(daemon.context.sessions) == 0
    assert refusal(lambda: first.transact(DATAPATH, DpCmd.GET)).errno == EBADF


def test_a_transaction(device: Device) -> None:
    index = add(device, "dp0")
    reply = device.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: "dp0"})
    assert reply is not None
    assert (reply.command, reply.dp_ifindex, reply.pid) == (DpCmd.GET, index, device.pid)
    assert reply.attributes[DpAttr.NAME] == "dp0"
    assert device.transact(DATAPATH, DpCmd.GET, dp_ifindex=index, flags=Flag.ACK) is not None


def test_an_error_of_a_handler(device: Device) -> None:
    add(device, "dp0")
    error = refusal(lambda: add(device, "dp0"))
    assert (error.errno, error.path) == (EEXIST, (DpAttr.NAME,))
    assert "'dp0'" in error.message


def test_a_refused_ioctl(device: Device) -> None:
    error = refusal(lambda: device.transact(DATAPATH, DpCmd.GET, dp_ifindex=9))
    assert (error.errno, error.message) == (
        ENODEV,
        "there is no such datapath, or the daemon has ended",
    )


def test_read_only_may_look_and_not_touch(daemon: Daemon, device: Device) -> None:
    add(device, "dp0")
    with Device(read_only=True) as reader:
        assert len(list(reader.dump(DATAPATH, DpCmd.GET))) == 1
        assert reader.family("ovs_datapath").id == DATAPATH.id
        reader.subscribe("ovs_datapath")
        error = refusal(lambda: add(reader, "dp1"))
        assert (error.errno, error.message) == (
            EPERM,
            "that needs a handle that was opened for writing",
        )
        big = {BigAttr.PAYLOAD: bytes(IOCTL_LIMIT)}
        assert refusal(lambda: reader.transact(SCHEMA, BigCmd.ECHO, big)).errno == EBADF


def test_commands_of_the_control_family(device: Device) -> None:
    reply = device.transact(CONTROL, ControlCmd.SOCK_PROP, {SocketAttr.SOCK_PROTO: 12})
    assert reply is not None
    assert reply.attributes[SocketAttr.SOCK_PROTO] == 12
    assert reply.attributes[SocketAttr.SOCK_PID] == device.pid
    reply = device.transact(CONTROL, ControlCmd.WIN_GET_PID)
    assert reply is not None
    assert (reply.pid, reply.sequence, reply.attributes) == (device.pid, 0, {})


@pytest.mark.parametrize("size", [100, 4096, IOCTL_LIMIT - 28, IOCTL_LIMIT - 27, 60_000])
def test_requests_and_replies_of_any_size(device: Device, size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    for flags in (0, Flag.ACK, Flag.ECHO):
        reply = device.transact(SCHEMA, BigCmd.ECHO, {BigAttr.PAYLOAD: payload}, flags=flags)
        assert reply is not None
        assert reply.attributes == {BigAttr.PAYLOAD: payload}


@pytest.mark.parametrize(("size", "count"), [(10, 0), (10, 1000), (5000, 20), (20_000, 5)])
def test_dumps_of_any_size(device: Device, size: int, count: int) -> None:
    """Also where one object is larger than an ioctl carries."""
    wanted = {BigAttr.PAYLOAD: bytes(size), BigAttr.COUNT: count}
    found = list(device.dump(SCHEMA, BigCmd.ECHO, wanted))
    assert [message.dp_ifindex for message in found] == list(range(count))
    assert all(message.attributes == wanted for message in found)


def test_a_dump_need_not_be_read_to_its_end(device: Device) -> None:
    for number in range(5):
        add(device, f"dp{number}")
    for found in device.dump(DATAPATH, DpCmd.GET):
        device.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: found.attributes[DpAttr.NAME]})
        if found.dp_ifindex == 3:
            break
    left = [found.attributes[DpAttr.NAME] for found in device.dump(DATAPATH, DpCmd.GET)]
    assert left == ["dp3", "dp4"]


def test_a_dump_is_not_a_transaction(device: Device) -> None:
    with pytest.raises(ValueError, match="use dump"):
        device.transact(DATAPATH, DpCmd.GET, flags=Flag.DUMP)


def test_a_dump_that_is_refused(device: Device) -> None:
    big = {BigAttr.PAYLOAD: bytes(20_000)}
    error = refusal(lambda: device.dump(SCHEMA, BigCmd.TELL, big))
    assert "BIG_CMD_TELL has no dump" in error.message


def test_a_dump_that_another_has_taken_over(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device._handle, "ioctl_read", lambda: b"")
    assert refusal(lambda: device.dump(DATAPATH, DpCmd.GET)).errno == EIO


def test_families(device: Device) -> None:
    datapath = device.family("ovs_datapath")
    assert (datapath.id, datapath.version, datapath.header_size) == (0x12, 2, 4)
    assert datapath.groups == {"ovs_datapath": 102}
    assert OperationFlag.CMD_CAP_DUMP in datapath.commands[DpCmd.GET]
    assert OperationFlag.UNS_ADMIN_PERM in datapath.commands[DpCmd.NEW]
    assert datapath in device.families()
    assert refusal(lambda: device.family("nobody")).errno == ENOENT


def test_the_client_knows_every_family_of_the_daemon() -> None:
    assert set(SCHEMAS) == {family.schema for family in BUILT_IN}


@pytest.mark.parametrize("group", [4711, "nobody"])
def test_groups_that_are_not_there(device: Device, group: int | str) -> None:
    error = refusal(lambda: device.subscribe(group))
    assert (error.errno, str(group) in error.message) == (ENOENT, True)


def test_events(daemon: Daemon, device: Device) -> None:
    with Device() as watcher:
        events = watcher.events("ovs_datapath", 666, timeout=0)
        add(device, "dp0")
        device.transact(SCHEMA, BigCmd.TELL, {BigAttr.COUNT: 1})
        device.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "dp0"})
        family, message = next(events)
        assert (family, message.command, message.pid) == (DATAPATH, DpCmd.NEW, device.pid)
        assert refusal(lambda: next(events)).errno == ENOPROTOOPT
        assert [message.command for _family, message in events] == [DpCmd.DEL]
        watcher.unsubscribe("ovs_datapath")
        add(device, "dp0")
        assert watcher.next_event(timeout=0) is None
        assert watcher.next_event_nowait() is None


def test_events_of_a_family_that_was_told_of(daemon: Daemon, device: Device) -> None:
    with Device(families=[SCHEMA]) as watcher:
        events = watcher.events(GROUP.id)
        device.transact(SCHEMA, BigCmd.TELL, {BigAttr.COUNT: 1})
        family, message = next(events)
        assert (family, message.attributes) == (SCHEMA, {BigAttr.COUNT: 1})


def test_waiting_for_an_event_has_an_end(device: Device) -> None:
    started = time.monotonic()
    assert device.next_event(timeout=0.05) is None
    assert list(device.events("ovs_datapath", timeout=0.05)) == []
    assert device.receive(timeout=0.05) is None
    assert time.monotonic() - started >= 0.15


def test_a_handle_is_told_of_its_own_changes(device: Device) -> None:
    device.subscribe("ovs_datapath")
    add(device, "dp0")
    event = device.next_event(timeout=0)
    assert event is not None
    assert event[1].pid == device.pid


def test_events_between_an_answer_are_put_aside(daemon: Daemon, device: Device) -> None:
    with Device() as other:
        device.subscribe("ovs_datapath")
        add(other, "dp0")
        assert has_aside(device) is False
        big = {BigAttr.PAYLOAD: bytes(20_000)}
        assert device.transact(SCHEMA, BigCmd.ECHO, big) is not None
        assert has_aside(device)
        assert [message.command for _family, message in device.events(timeout=0)] == [DpCmd.NEW]
        assert has_aside(device) is False


def test_lost_events_are_told_once_and_iteration_goes_on(daemon: Daemon, device: Device) -> None:
    payload = {BigAttr.PAYLOAD: bytes(40_000)}
    with Device(families=[SCHEMA]) as watcher:
        events = watcher.events("big", timeout=0)
        for _ in range(4):
            device.transact(SCHEMA, BigCmd.TELL, payload)
        with pytest.raises(EventsLost):
            next(events)
        assert len(list(events)) == 2
        device.transact(SCHEMA, BigCmd.TELL, payload)
        assert len(list(events)) == 1


def test_events_lost_during_an_answer_are_told_after_it(daemon: Daemon, device: Device) -> None:
    payload = {BigAttr.PAYLOAD: bytes(40_000)}
    with Device(families=[SCHEMA]) as watcher:
        watcher.subscribe("big")
        for _ in range(4):
            device.transact(SCHEMA, BigCmd.TELL, payload)
        # The queue is congested, so the answer has no place in it either.
        error = refusal(lambda: watcher.transact(SCHEMA, BigCmd.ECHO, payload))
        assert (error.errno, "answer was lost" in error.message) == (ENOBUFS, True)
        assert has_aside(watcher)
        assert len([watcher.next_event(timeout=0) for _ in range(2)]) == 2
        assert isinstance(refusal(watcher.next_event_nowait), EventsLost)
        assert has_aside(watcher) is False
        assert watcher.transact(SCHEMA, BigCmd.ECHO, payload) is not None


def test_the_raw_doors(device: Device) -> None:
    add(device, "dp0")
    request = device._conversation.begin(DATAPATH, DpCmd.GET, flags=Flag.DUMP).request
    device.ioctl_write(request)
    part = device.ioctl_read()
    assert DATAPATH.parse(part).attributes[DpAttr.NAME] == "dp0"
    assert len(device.ioctl_read()) == 20  # NLMSG_DONE
    assert device.ioctl_read() == b""
    assert device.ioctl_transact(request) == part
    device.send(request)
    assert device.receive(timeout=0) == part
    families = device._conversation.begin(NLCTRL, CtrlCmd.GETFAMILY, flags=Flag.DUMP).request
    assert refusal(lambda: device.ioctl_write(families[:20])).errno != 0
    assert refusal(lambda: device.ioctl_write(b"")).errno != 0


def test_receive_gives_what_was_put_aside_first(daemon: Daemon, device: Device) -> None:
    with Device() as other:
        device.subscribe("ovs_datapath")
        add(other, "dp0")
        device.transact(SCHEMA, BigCmd.ECHO, {BigAttr.PAYLOAD: bytes(20_000)})
        add(other, "dp1")
        received = [device.receive(timeout=0) for _ in range(3)]
        assert received[2] is None
        names = [DATAPATH.parse(data).attributes[DpAttr.NAME] for data in received if data]
        assert names == ["dp0", "dp1"]


def test_what_is_too_large_for_an_ioctl(device: Device) -> None:
    request = bytes(IOCTL_LIMIT + 1)
    assert refusal(lambda: device.ioctl_transact(request)).errno == EMSGSIZE
    assert refusal(lambda: device.ioctl_write(request)).errno == EMSGSIZE
