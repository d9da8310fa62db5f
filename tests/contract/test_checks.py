"""What a request must pass at the device door, and in which order.

A request that is right in everything is broken in one way, and then in two at the same time: the
check that comes first in the table of the protocol decides.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from tests.contract import control, datapaths
from tests.contract.conftest import Open
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
    transact,
)
from tests.contract.messages import CONTROL, DATAPATH, DUMP, ERROR, REQUEST, attribute, build, u32
from tests.nodes.interface import Handle

ROOM = 256
"""Bytes of the buffer: the reply fits."""


@dataclass(frozen=True)
class Attempt:
    """An ioctl that would succeed as it stands: a datapath is changed by TRANSACT."""

    operation: int = TRANSACT
    size: int | None = None
    """Of the buffer; None for ROOM."""
    family: int = DATAPATH
    command: int = datapaths.SET
    length: int | None = None
    version: int | None = None
    dp_ifindex: int = 0
    pid: int = 0
    attributes: bytes = field(default_factory=lambda: datapaths.features(1))
    flags: int = os.O_RDWR

    def make(self, handle: Handle) -> None:
        """Do it; OSError where it is refused."""
        request = build(
            self.family,
            self.command,
            self.attributes,
            pid=self.pid,
            version=self.version,
            dp_ifindex=self.dp_ifindex,
            length=self.length,
        )
        size = ROOM if self.size is None else self.size
        handle.ioctl(number(self.operation, size, IOC_READ | IOC_WRITE), request[:size])


Fault = Callable[[Attempt], Attempt]

CHECKS: list[tuple[str, str, dict[str, Fault]]] = [
    ("ioctl", "ENOTTY", {"unknown": lambda a: replace(a, operation=7)}),
    ("buffers", "EINVAL", {"short": lambda a: replace(a, size=23)}),
    (
        "nlmsg_len",
        "EINVAL",
        {
            "below the headers": lambda a: replace(a, length=23),
            "zero": lambda a: replace(a, length=0),
            "beyond the buffer": lambda a: replace(a, length=ROOM + 1),
            "enormous": lambda a: replace(a, length=0xFFFFFFFF),
        },
    ),
    (
        "family",
        "EINVAL",
        {
            "unknown": lambda a: replace(a, family=0x7F),
            "netlink's own": lambda a: replace(a, family=3),
        },
    ),
    (
        "command",
        "EINVAL",
        {
            "unknown": lambda a: replace(a, command=9),
            "zero": lambda a: replace(a, command=0),
        },
    ),
    (
        "version",
        "EINVAL",
        {
            "older": lambda a: replace(a, version=1),
            "zero": lambda a: replace(a, version=0),
        },
    ),
    (
        "datapath",
        "ENODEV",
        {
            "unknown": lambda a: replace(a, dp_ifindex=0x7FFF0000),
            "negative": lambda a: replace(a, dp_ifindex=-1),
        },
    ),
    ("nlmsg_pid", "EINVAL", {"another's": lambda a: replace(a, pid=0x7FFF0000)}),
    (
        "attributes",
        "EINVAL",
        {
            "nla_len 3": lambda a: replace(a, attributes=b"\x03\0\x05\0"),
            "nla_len 0": lambda a: replace(a, attributes=b"\0\0\x05\0"),
            "beyond the message": lambda a: replace(a, attributes=b"\x09\0\x05\0\1\0\0\0"),
            "half a header": lambda a: replace(a, attributes=datapaths.features(1) + b"\x08\0"),
            "no padding": lambda a: replace(a, attributes=b"\x05\0\x28\0\0"),
        },
    ),
    ("admin", "EPERM", {"read-only": lambda a: replace(a, flags=os.O_RDONLY)}),
]

SINGLE = [
    pytest.param(fault, errno, id=f"{check}: {what}")
    for check, errno, faults in CHECKS
    for what, fault in faults.items()
]
PAIRS = [
    pytest.param(first, second, errno, id=f"{check}: {what}, {later}: {also}")
    for (check, errno, faults), (later, _, later_faults) in itertools.combinations(CHECKS, 2)
    for what, first in faults.items()
    for also, second in itertools.islice(later_faults.items(), 1)
]


def test_a_request_that_is_right_in_everything(handle: Handle, datapath: int) -> None:
    Attempt().make(handle)


@pytest.mark.parametrize(("fault", "errno"), SINGLE)
def test_a_fault(open_handle: Open, datapath: int, fault: Fault, errno: str) -> None:
    attempt = fault(Attempt())
    assert failure(attempt.make, open_handle(attempt.flags)) == errno


@pytest.mark.parametrize(("first", "second", "errno"), PAIRS)
def test_the_earlier_check_decides(
    open_handle: Open, datapath: int, first: Fault, second: Fault, errno: str
) -> None:
    attempt = first(second(Attempt()))
    assert failure(attempt.make, open_handle(attempt.flags)) == errno


def test_what_fails_a_check_changes_nothing(open_handle: Open, name: str, datapath: int) -> None:
    reader = open_handle(os.O_RDONLY)
    assert failure(transact, reader, datapaths.named(datapaths.DEL, name)) == "EPERM"
    assert ask(reader, datapaths.named(datapaths.GET, name)).dp_ifindex == datapath


def test_the_values_of_attributes_are_not_checked_but_handled(
    open_handle: Open, datapath: int
) -> None:
    """A value that breaks its policy is a netlink error; so EPERM comes first for readers."""
    request = build(DATAPATH, datapaths.SET, attribute(datapaths.USER_FEATURES, b"\1"))
    assert ask(open_handle(), request).errno == 34
    assert failure(transact, open_handle(os.O_RDONLY), request) == "EPERM"


@pytest.mark.parametrize("mode", [os.O_WRONLY, os.O_RDWR])
def test_admin_commands_need_a_handle_for_writing(open_handle: Open, name: str, mode: int) -> None:
    handle = open_handle(mode)
    assert ask(handle, datapaths.new(name)).type == DATAPATH
    put(handle, datapaths.named(datapaths.SET, name, datapaths.features(1)))
    assert ask(handle, datapaths.named(datapaths.DEL, name)).type == DATAPATH


@pytest.mark.parametrize("command", [datapaths.NEW, datapaths.DEL, datapaths.SET])
def test_admin_commands_are_refused_to_readers(
    open_handle: Open, name: str, datapath: int, command: int
) -> None:
    reader = open_handle(os.O_RDONLY)
    request = datapaths.named(command, name)
    assert failure(transact, reader, request) == "EPERM"
    assert failure(put, reader, request) == "EPERM"


def test_readers_may_do_all_else(open_handle: Open, name: str, datapath: int) -> None:
    reader = open_handle(os.O_RDONLY)
    assert ask(reader, datapaths.named(datapaths.GET, name)).dp_ifindex == datapath
    put(reader, build(DATAPATH, datapaths.GET, flags=REQUEST | DUMP))
    put(reader, control.subscribe(datapaths.GROUP))
    assert ask(reader, control.request(control.SOCK_PROP)).type == CONTROL


def test_no_datapath_at_all(handle: Handle, name: str) -> None:
    """0 names the default datapath, and there is none; NEW needs none."""
    assert failure(transact, handle, build(DATAPATH, datapaths.GET)) == "ENODEV"
    assert failure(transact, handle, datapaths.named(datapaths.GET, name)) == "ENODEV"
    assert failure(transact, handle, build(DATAPATH, datapaths.SET)) == "ENODEV"
    assert ask(handle, datapaths.new(name)).type == DATAPATH


def test_a_dump_needs_no_datapath(handle: Handle) -> None:
    put(handle, build(DATAPATH, datapaths.GET, flags=REQUEST | DUMP, dp_ifindex=4242))


@pytest.mark.parametrize(
    ("operation", "command"),
    [
        pytest.param(WRITE, control.SOCK_PROP, id="SOCK_PROP by WRITE"),
        pytest.param(TRANSACT, control.MC_SUBSCRIBE_REQ, id="MC_SUBSCRIBE_REQ by TRANSACT"),
        pytest.param(TRANSACT, control.PACKET_SUBSCRIBE_REQ, id="PACKET_SUBSCRIBE by TRANSACT"),
        pytest.param(TRANSACT, control.WIN_PEND_PACKET_REQ, id="PEND_PACKET by TRANSACT"),
        pytest.param(WRITE, control.EVENT_NOTIFY, id="EVENT_NOTIFY by WRITE"),
        pytest.param(TRANSACT, control.EVENT_NOTIFY, id="EVENT_NOTIFY by TRANSACT"),
        pytest.param(WRITE, control.READ_NOTIFY, id="READ_NOTIFY by WRITE"),
        pytest.param(TRANSACT, control.READ_NOTIFY, id="READ_NOTIFY by TRANSACT"),
    ],
)
def test_a_command_allows_certain_operations(handle: Handle, operation: int, command: int) -> None:
    request = control.request(command)
    direction = IOC_WRITE if operation == WRITE else IOC_READ | IOC_WRITE
    assert failure(handle.ioctl, number(operation, 64, direction), request) == "EINVAL"


def test_a_version_may_be_newer(handle: Handle, datapath: int) -> None:
    assert ask(handle, build(DATAPATH, datapaths.GET, version=77)).dp_ifindex == datapath


def test_the_pid_may_be_the_handle_s_own(handle: Handle, open_handle: Open, datapath: int) -> None:
    request = build(DATAPATH, datapaths.GET, pid=get_pid(handle))
    assert ask(handle, request).dp_ifindex == datapath
    assert failure(transact, open_handle(), request) == "EINVAL"


def test_a_dump_request_is_checked_as_any_other(handle: Handle) -> None:
    request = build(DATAPATH, datapaths.GET, b"\x03\0\x01\0", flags=REQUEST | DUMP)
    assert failure(put, handle, request) == "EINVAL"


def test_attribute_0_is_one_for_the_control_family(handle: Handle) -> None:
    """Netlink's own parsers skip it; it is SOCK_PROTO here."""
    request = control.request(
        control.SOCK_PROP, attribute(control.SOCK_PROTO, u32(control.NETLINK_NETFILTER))
    )
    reply = ask(handle, request)
    assert reply.type != ERROR
    assert reply.number(control.SOCK_PROTO) == control.NETLINK_NETFILTER
