"""The registry: routes, what nlctrl is told of commands, and families that cannot be."""

from __future__ import annotations

from enum import IntEnum
from errno import ENOENT, EOPNOTSUPP

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.registry import (
    Command,
    DeviceOperation,
    Family,
    MulticastGroup,
    Registry,
    RegistryError,
)
from ovsdp_cuse.families.request import Answer, Request
from ovsdp_cuse.wire.attributes import AttributeSet
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.values import u32

R, W, T = DeviceOperation.READ, DeviceOperation.WRITE, DeviceOperation.TRANSACT
S = DeviceOperation.STREAM


class Cmd(IntEnum):
    """TEST_CMD_*."""

    FIRST = 1
    SECOND = 2


class Attr(IntEnum):
    """TEST_ATTR_*."""

    VALUE = 1


async def handler(request: Request) -> Answer:
    """Does nothing."""
    return Answer()


def family(
    *commands: Command,
    number: int = 0x20,
    name: str = "test",
    groups: tuple[MulticastGroup, ...] = (),
    header_size: int = 4,
) -> Family:
    attributes = AttributeSet("TEST_ATTR", {Attr.VALUE: u32()})
    schema = FamilySchema(number, name, 1, "TEST_CMD", Cmd, attributes, header_size=header_size)
    return Family(schema, commands, groups)


FIRST = Command(Cmd.FIRST, "TEST_CMD_FIRST", T | W, handler)


def test_routes() -> None:
    other = Command(Cmd.FIRST, "TEST_CMD_FIRST_BY_READ", R, handler)
    ours = family(FIRST, other)
    registry = Registry([ours])
    assert registry.route(0x20, 1, T) == registry.route(0x20, 1, W) == (ours, FIRST)
    assert registry.route(0x20, 1, R) == (ours, other)


@pytest.mark.parametrize(
    ("operations", "carried_by"),
    [(T, {T, S}), (W, {W}), (R, {R}), (S, {S}), (W | S, {W, S}), (R | W | T, {R, W, T, S})],
)
def test_what_transact_may_carry_the_stream_door_may(
    operations: DeviceOperation, carried_by: set[DeviceOperation]
) -> None:
    registry = Registry([family(Command(Cmd.FIRST, "TEST_CMD_FIRST", operations, handler))])
    found = set()
    for operation in DeviceOperation:
        try:
            registry.route(0x20, Cmd.FIRST, operation)
        except DatapathError as error:
            assert error.errno == EOPNOTSUPP
            assert error.message == f"TEST_CMD_FIRST is not to be sent by {operation.name}"
        else:
            found.add(operation)
    assert found == carried_by


@pytest.mark.parametrize(
    ("number", "command", "operation", "errno", "text"),
    [
        (0x21, 1, T, ENOENT, "no family has the id 0x21"),
        (0x20, 2, T, EOPNOTSUPP, "test has no command 2"),
        (0x20, 99, T, EOPNOTSUPP, "test has no command 99"),
        (0x20, 1, R, EOPNOTSUPP, "TEST_CMD_FIRST is not to be sent by READ"),
        (0x21, 1, S, ENOENT, "no family has the id 0x21"),
        (0x20, 2, S, EOPNOTSUPP, "test has no command 2"),
    ],
)
def test_no_route(
    number: int, command: int, operation: DeviceOperation, errno: int, text: str
) -> None:
    with pytest.raises(DatapathError) as caught:
        Registry([family(FIRST)]).route(number, command, operation)
    assert (caught.value.errno, caught.value.message) == (errno, text)


def test_lookups() -> None:
    group = MulticastGroup(1000, "events")
    ours = family(FIRST, groups=(group,))
    registry = Registry([ours, *BUILT_IN])
    assert [f.schema.id for f in registry] == sorted([*(f.schema.id for f in BUILT_IN), 0x20])
    assert registry.lookup(0x20) is registry.lookup_name("test") is ours
    assert registry.lookup_group(1000) is group
    assert registry.lookup(0x21) is registry.lookup_name("nothing") is None
    assert registry.lookup_group(1001) is None


def test_a_command_number_has_one_command_for_each_operation() -> None:
    with pytest.raises(RegistryError) as caught:
        family(FIRST, Command(Cmd.FIRST, "TEST_CMD_AGAIN", W | R, handler))
    assert str(caught.value) == (
        "test: TEST_CMD_AGAIN and TEST_CMD_FIRST are both command 1 by WRITE"
    )


def test_a_command_by_transact_is_the_stream_door_s_too() -> None:
    with pytest.raises(RegistryError) as caught:
        family(FIRST, Command(Cmd.FIRST, "TEST_CMD_AGAIN", S, handler))
    assert str(caught.value) == (
        "test: TEST_CMD_AGAIN and TEST_CMD_FIRST are both command 1 by STREAM"
    )


@pytest.mark.parametrize("header_size", [0, 4])
def test_headers(header_size: int) -> None:
    ours = family(FIRST, header_size=header_size)
    assert Registry([ours]).lookup(0x20) is ours


@pytest.mark.parametrize(
    ("second", "text"),
    [
        (
            family(name="other"),
            "family other (0x20) clashes with test (0x20), which is registered already",
        ),
        (
            family(number=0x21),
            "family test (0x21) clashes with test (0x20), which is registered already",
        ),
        (
            family(number=0x21, name="other", groups=(MulticastGroup(1000, "mine"),)),
            "family other: multicast group 1000 is events already",
        ),
        (family(number=3, name="other"), "family other: the id 0x3 is not in 0x10..0xffff"),
        (family(number=0x10000, name="other"), "family other: the id 0x10000 is not in"),
        (
            family(number=0x21, name="a_name_too_long_"),
            "family a_name_too_long_: a name has 1 to 15 characters",
        ),
        (
            family(number=0x21, name="other", header_size=8),
            "family other: a header of 8 bytes is neither struct ovs_header (4) nor none (0)",
        ),
        (
            family(number=0x21, name="other", header_size=-4),
            "family other: a header of -4 bytes is neither struct ovs_header (4) nor none (0)",
        ),
    ],
)
def test_families_that_cannot_be(second: Family, text: str) -> None:
    with pytest.raises(RegistryError) as caught:
        Registry([family(groups=(MulticastGroup(1000, "events"),)), second])
    assert str(caught.value).startswith(text)


def test_what_nlctrl_is_told_of_commands() -> None:
    """GENL_*: 1 ADMIN_PERM, 2 CAP_DO, 4 CAP_DUMP, 8 CAP_HASPOL, 0x10 UNS_ADMIN_PERM."""
    told = {f.schema.name: [(n, int(flags)) for n, flags in f.operations()] for f in BUILT_IN}
    assert told["ovs_datapath"] == [(1, 0x1A), (2, 0x1A), (3, 0xE), (4, 0x1A)]
    assert told["nlctrl"] == [(3, 0xE), (10, 0xC)]
    # A number that stands twice is told once.
    assert [number for number, _flags in told["ovs_win_control"]] == [0, 1, 2, 3, 4, 5, 6]


def test_operation_flags() -> None:
    silent = Command(Cmd.FIRST, "TEST_CMD_FIRST", T)
    assert int(silent.operation_flags(has_policy=False)) == 0
    admin = Command(Cmd.FIRST, "TEST_CMD_FIRST", T, handler, lambda _: iter(()), admin=True)
    assert int(admin.operation_flags(has_policy=True)) == 0x1E
