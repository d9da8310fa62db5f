"""Families and commands as tables, and the one lookup that routes a message to its command.

To add a family, write a module with a `FAMILY`: a FamilySchema (how its messages look, in `wire/`)
and a table of Commands (what they do). Families of this package are listed in `builtin.py`; those
of other installed packages are found through the entry point group `ovsdp_cuse.families`, whose
entries name a `Family`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntFlag
from errno import ENOENT, EOPNOTSUPP
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.genetlink import GENL_NAMSIZ, OperationFlag
from ovsdp_cuse.wire.netlink import NLMSG_MIN_TYPE

if TYPE_CHECKING:
    from ovsdp_cuse.families.request import Answer, Body, Request

ENTRY_POINT_GROUP = "ovsdp_cuse.families"

HEADER_SIZES = (0, 4)

Handler = Callable[["Request"], Awaitable["Answer"]]
DumpHandler = Callable[["Request"], Iterator["Body"]]


class DeviceOperation(IntFlag):
    """How a command may come: the device operations of the 2014 patch, and the stream door.

    STREAM is write(2). A command must not wait there: the kernel holds a lock of the FUSE node for
    a write, so that others' would wait too. What TRANSACT may carry, STREAM may.
    """

    READ = 1 << 0
    WRITE = 1 << 1
    TRANSACT = 1 << 2
    STREAM = 1 << 3


class RegistryError(Exception):
    """A family that cannot be registered; the text says which and why."""


@dataclass(frozen=True, slots=True)
class MulticastGroup:
    """A multicast group: its number on the wire and its name (at most 15 characters).

    admin: whether only a handle that was opened for writing may join.
    """

    id: int
    name: str
    admin: bool = False


@dataclass(frozen=True, eq=False)
class Command:
    """One command of a family.

    number, name: as in the header. operations: what may carry it; TRANSACT implies STREAM. handler:
    answers a plain request; dump: yields the objects for one with NLM_F_DUMP; either may be None.
    needs_datapath: whether the device door checks dp_ifindex for it. admin: whether it needs a
    handle opened for writing. validates_dump: whether the attributes of a dump request are parsed;
    the kernel's older families do not look at them. summary: one line for the protocol page.
    """

    number: int
    name: str
    operations: DeviceOperation
    handler: Handler | None = None
    dump: DumpHandler | None = None
    needs_datapath: bool = False
    admin: bool = False
    validates_dump: bool = False
    summary: str = ""

    def carried_by(self) -> Iterator[DeviceOperation]:
        """What may carry it."""
        allowed = self.operations
        if DeviceOperation.TRANSACT in allowed:
            allowed |= DeviceOperation.STREAM
        return (operation for operation in DeviceOperation if operation in allowed)

    def operation_flags(self, has_policy: bool) -> OperationFlag:
        """What CTRL_ATTR_OP_FLAGS says of this command (GENL_*)."""
        flags = OperationFlag(0)
        if self.handler:
            flags |= OperationFlag.CMD_CAP_DO
        if self.dump:
            flags |= OperationFlag.CMD_CAP_DUMP
        if has_policy:
            flags |= OperationFlag.CMD_CAP_HASPOL
        if self.admin:
            flags |= OperationFlag.UNS_ADMIN_PERM
        return flags


@dataclass(frozen=True, eq=False)
class Family:
    """A family: what its messages look like, what its commands do, and its multicast groups."""

    schema: FamilySchema
    commands: tuple[Command, ...]
    groups: tuple[MulticastGroup, ...] = ()
    summary: str = ""
    routes: dict[tuple[int, DeviceOperation], Command] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        routes: dict[tuple[int, DeviceOperation], Command] = {}
        for command in self.commands:
            for operation in command.carried_by():
                other = routes.setdefault((command.number, operation), command)
                if other is not command:
                    raise RegistryError(
                        f"{self.schema.name}: {command.name} and {other.name} are both command "
                        f"{command.number} by {operation.name}"
                    )
        object.__setattr__(self, "routes", routes)

    def operations(self) -> Iterator[tuple[int, OperationFlag]]:
        """(number, flags) of each command as nlctrl lists them, a number once."""
        merged: dict[int, OperationFlag] = {}
        for command in self.commands:
            has_policy = bool(self.schema.attributes_of(command.number).table)
            flags = merged.get(command.number, OperationFlag(0))
            merged[command.number] = flags | command.operation_flags(has_policy)
        return iter(merged.items())


class Registry:
    """The families of a daemon.

    Raises RegistryError where two families claim an id, a name or a multicast group.
    """

    def __init__(self, families: Iterable[Family]) -> None:
        self._families: dict[int, Family] = {}
        self._routes: dict[tuple[int, int, int], tuple[Family, Command]] = {}
        self._groups: dict[int, MulticastGroup] = {}
        for family in families:
            self._add(family)

    def __iter__(self) -> Iterator[Family]:
        """The families by ascending id."""
        return iter(sorted(self._families.values(), key=lambda family: family.schema.id))

    def lookup(self, family_id: int) -> Family | None:
        """The family with this nlmsg_type."""
        return self._families.get(family_id)

    def lookup_name(self, name: str) -> Family | None:
        """The family with this name."""
        return next((f for f in self._families.values() if f.schema.name == name), None)

    def lookup_group(self, group_id: int) -> MulticastGroup | None:
        """The multicast group with this number."""
        return self._groups.get(group_id)

    def route(self, family_id: int, command: int, operation: int) -> tuple[Family, Command]:
        """The command that a message is for.

        Raises ENOENT for an unknown family, EOPNOTSUPP for a command that the family does not have
        or that this device operation may not carry.
        """
        found = self._routes.get((family_id, command, operation))
        if found is not None:
            return found
        family = self._families.get(family_id)
        if family is None:
            raise DatapathError(ENOENT, f"no family has the id {family_id:#x}")
        name = family.schema.command_name(command)
        if any(number == command for number, _operation in family.routes):
            what = DeviceOperation(operation).name
            raise DatapathError(EOPNOTSUPP, f"{name} is not to be sent by {what}")
        raise DatapathError(EOPNOTSUPP, f"{family.schema.name} has no command {command}")

    def _add(self, family: Family) -> None:
        schema = family.schema
        other = self._families.get(schema.id) or self.lookup_name(schema.name)
        if other is not None:
            raise RegistryError(
                f"family {schema.name} ({schema.id:#x}) clashes with {other.schema.name} "
                f"({other.schema.id:#x}), which is registered already"
            )
        if schema.header_size not in HEADER_SIZES:
            raise RegistryError(
                f"family {schema.name}: a header of {schema.header_size} bytes is neither struct "
                "ovs_header (4) nor none (0)"
            )
        if not NLMSG_MIN_TYPE <= schema.id <= 0xFFFF:
            raise RegistryError(
                f"family {schema.name}: the id {schema.id:#x} is not in {NLMSG_MIN_TYPE:#x}..0xffff"
            )
        if not 0 < len(schema.name.encode()) < GENL_NAMSIZ:
            raise RegistryError(
                f"family {schema.name}: a name has 1 to {GENL_NAMSIZ - 1} characters"
            )
        for group in family.groups:
            taken = self._groups.setdefault(group.id, group)
            if taken is not group:
                raise RegistryError(
                    f"family {schema.name}: multicast group {group.id} is {taken.name} already"
                )
        self._families[schema.id] = family
        for (number, operation), command in family.routes.items():
            self._routes[schema.id, number, int(operation)] = (family, command)


def installed_families() -> Iterator[Family]:
    """The families that other installed packages declare; RegistryError where one is unusable."""
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        try:
            family = entry.load()
        except Exception as error:
            raise RegistryError(
                f"the family {entry.name!r} of entry point {entry.value!r} cannot be loaded: "
                f"{error!r}; repair or uninstall its package"
            ) from error
        if not isinstance(family, Family):
            raise RegistryError(
                f"the entry point {entry.name!r} ({entry.value}) is no Family but "
                f"{type(family).__name__}"
            )
        yield family
