"""Write the tables of docs/protocol.md: python -m tools.protocol_page [--check]

The page is written by hand but for what stands between

    <!-- table: NAME --> and <!-- end -->

which is read off the tables that the daemon itself runs on: the ioctls, the families with their
commands, attributes and groups, flow keys and actions. `--check` changes nothing, shows what would
change, and fails where that is anything; a test runs it, so the page is never stale.
"""

from __future__ import annotations

import argparse
import difflib
import re
import struct
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ovsdp_cuse.device.ioctl import IOCTL_TYPE
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family
from ovsdp_cuse.wire.action_attributes import OVS_ACTION_ATTR_DROP, ActionAttr
from ovsdp_cuse.wire.actions import ACTIONS, ActionList, MaskedKey
from ovsdp_cuse.wire.attributes import AttributeSet, Nested, NestedArray, Unparsed
from ovsdp_cuse.wire.ct_limit import ZONE_LIMIT, ZoneLimits
from ovsdp_cuse.wire.exact import Fields, Scalar
from ovsdp_cuse.wire.key import KEY_ATTRIBUTES
from ovsdp_cuse.wire.structure import FixedStruct
from ovsdp_cuse.wire.tunnel import TUNNEL
from ovsdp_cuse.wire.values import (
    Binary,
    Flag,
    Integer,
    IntegerArray,
    PidArray,
    String,
    Structure,
    Value,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "protocol.md"
MARKED = re.compile(r"(?P<begin><!-- table: (?P<name>[\w.]+) -->\n).*?(?P<end><!-- end -->)", re.S)

IOCTLS = {
    Ioctl.GET_PID: ("_IOR", "", "out: the handle's PID, a `__u32`", "4"),
    Ioctl.READ: ("_IOR", "len", "out: what is next of a dump, or a kept reply", "bytes, 0: none"),
    Ioctl.READ_EVENT: ("_IOR", "len", "out: the next event", "bytes, 0: none"),
    Ioctl.READ_PACKET: ("_IOR", "len", "out: the next upcall", "bytes, 0: none"),
    Ioctl.WRITE: ("_IOW", "len", "in: one request", "bytes taken"),
    Ioctl.TRANSACT: ("_IOWR", "len", "in: one request; out: its reply", "bytes, 0: no reply"),
    Ioctl.PEEK: ("_IOR", "len", "out: the beginning of what `read` gives next", "all its bytes"),
}
"""Direction, argument, its meaning, and what the ioctl returns."""
DIRECTIONS = {"_IOW": 1, "_IOR": 2, "_IOWR": 3}

SECTIONS = {
    KEY_ATTRIBUTES.name: "attributes of a [flow key](#flow-keys-and-masks)",
    TUNNEL.name: "attributes of a [tunnel key](#flow-keys-and-masks)",
}
"""Sets that many others hold: they have their tables in a section of their own."""

Rows = Iterable[Iterable[object]]


def table(head: tuple[str, ...], rows: Rows) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def ioctls() -> str:
    """The ioctls, with their numbers for the longest buffer."""
    rows = []
    for ioctl, (macro, argument, meaning, returns) in IOCTLS.items():
        size = 0x3FFF if argument else 4
        number = DIRECTIONS[macro] << 30 | size << 16 | IOCTL_TYPE << 8 | ioctl
        name = f"`OVS_IOCTL_{ioctl.name}{f'({argument})' if argument else ''}`"
        rows.append((name, f"{ioctl:#04x}", f"`{macro}`", f"`{number:#010x}`", meaning, returns))
    head = ("macro", "number", "direction", "len 16383", "argument", "returns")
    return table(head, rows)


def families() -> str:
    """One line for each family."""
    return table(
        ("id", "name", "version", "headers", "multicast groups", "what"),
        (
            (
                f"{family.schema.id:#x}",
                f"`{family.schema.name}`",
                family.schema.version,
                f"{family.schema.attributes_start} bytes",
                ", ".join(f"{group.id} `{group.name}`" for group in family.groups) or "none",
                family.summary,
            )
            for family in BUILT_IN
        ),
    )


def commands(family: Family) -> str:
    """The commands of a family."""
    return table(
        ("number", "command", "ioctl", "stream", "dump", "handle", "datapath", "does"),
        (
            (
                command.number,
                f"`{command.name}`",
                _ioctls(command),
                _yes(family.routes.get((command.number, DeviceOperation.STREAM)) is command),
                _yes(command.dump is not None),
                "for writing" if command.admin else "any",
                "needed" if command.needs_datapath else "",
                command.summary,
            )
            for command in sorted(family.commands, key=lambda command: command.number)
        ),
    )


def _yes(true: bool) -> str:
    return "yes" if true else ""


def _ioctls(command: Command) -> str:
    by_ioctl = command.operations & ~DeviceOperation.STREAM
    return ", ".join(str(operation.name) for operation in DeviceOperation if operation in by_ioctl)


def attributes(family: Family) -> str:
    """The attributes of a family: one table for each set, and for those that are nested in it."""
    schema = family.schema
    taken: dict[AttributeSet, list[str]] = {}
    for command in family.commands:
        taken.setdefault(schema.attributes_of(command.number), []).append(command.name)
    served = {command.number for command in family.commands}
    for number, found in schema.attributes_by_command.items():
        if number not in served:  # it is what a group is told
            taken.setdefault(found, []).append(schema.command_name(number))
    told = [] if schema.attributes in taken else [(schema.attributes, "replies and notifications")]
    sets = told + [(found, ", ".join(f"`{n}`" for n in names)) for found, names in taken.items()]
    parts = []
    for attribute_set, where in sets:
        if attribute_set.table:
            head = textwrap.fill(f"Attributes of {where}:", 100)
            parts.append(f"{head}\n\n{_attribute_table(attribute_set)}")
            parts += _tables_in(attribute_set, set(SECTIONS))
    return "\n".join(parts)


def keys() -> str:
    """The attributes of a flow key, and of what is nested in it."""
    parts = [_attribute_table(KEY_ATTRIBUTES)]
    parts += _tables_in(KEY_ATTRIBUTES, {KEY_ATTRIBUTES.name})
    return "\n".join(parts)


def actions() -> str:
    """The actions, and the attributes of those that have some."""
    names = {int(action): f"OVS_ACTION_ATTR_{action.name}" for action in ActionAttr}
    names[OVS_ACTION_ATTR_DROP] = "OVS_ACTION_ATTR_DROP"
    values = dict(sorted(ACTIONS.table.items()))
    rows = ((number, f"`{names[number]}`", describe(value)) for number, value in values.items())
    parts = [table(("number", "action", "holds"), rows)]
    parts += _nested_tables(values, names, set(SECTIONS))
    return "\n".join(parts)


def _attribute_table(attribute_set: AttributeSet) -> str:
    return table(
        ("number", "attribute", "holds"),
        (
            (number, f"`{attribute_set.name_of(number)}`", describe(value))
            for number, value in attribute_set.table.items()
            if attribute_set.names[number] != "UNSPEC"
        ),
    )


def _nested_tables(
    values: Mapping[int, Value], names: Mapping[int, str], told: set[str]
) -> Iterator[str]:
    """A table for each set that is nested in these values, but for those that have been told."""
    for number, value in values.items():
        inner = _inner(value)
        if isinstance(inner, Nested) and inner.attributes.name not in told:
            told.add(inner.attributes.name)
            yield f"In `{names[number]}`:\n\n" + _attribute_table(inner.attributes)
            yield from _tables_in(inner.attributes, told)


def _tables_in(attribute_set: AttributeSet, told: set[str]) -> Iterator[str]:
    names = {number: attribute_set.name_of(number) for number in attribute_set.table}
    return _nested_tables(attribute_set.table, names, told)


def _inner(value: Value) -> Value:
    """What a value is under what only says how it is taken, or that there are many."""
    match value:
        case NestedArray(element=inner) | Unparsed(inner=inner):
            return _inner(inner)
    return value


def describe(value: Value) -> str:
    """What an attribute holds, with its limits."""
    match value:
        case PidArray():
            return "u32, or several of them"
        case IntegerArray():
            return "u32, any number of them"
        case Integer(bounds=(lowest, highest), size=size, policy_type=kind):
            signed = lowest < 0 or highest == (1 << 8 * size - 1) - 1
            natural = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1)
            natural = natural if signed else (0, (1 << 8 * size) - 1)
            name = kind.name.lower() if kind is not None else ""
            return name if (lowest, highest) == natural else f"{name}, {lowest}..{highest}"
        case Scalar(layout=layout):
            return _number(layout)
        case String(maximum=maximum):
            return f"string, at most {maximum} bytes and its NUL"
        case Binary(minimum=minimum, maximum=None):
            return f"bytes, at least {minimum}" if minimum else "bytes"
        case Binary(minimum=minimum, maximum=maximum):
            return f"{minimum} bytes" if minimum == maximum else f"bytes, {minimum}..{maximum}"
        case Flag():
            return "nothing: it is there or not"
        case Structure():
            example = value.decode(bytes(4096), False)
            return f"structure of {len(value.encode(example))} bytes: {', '.join(example._fields)}"
        case Fields(structure=structure, many=many):
            return _structure(structure, many)
        case ZoneLimits():
            return _structure(ZONE_LIMIT, many=True)
        case NestedArray(element=element):
            return f"array by index of: {describe(element)}"
        case Unparsed(inner=inner):
            return describe(inner)
        case ActionList():
            return "[actions](#actions)"
        case MaskedKey():
            return f"{SECTIONS[KEY_ATTRIBUTES.name]}: one, its value and then its mask"
        case Nested(attributes=inner):
            return SECTIONS.get(inner.name, "attributes")
    raise TypeError(f"{type(value).__name__} has no description")


def _number(layout: str) -> str:
    """A number or bytes, of a `struct` format."""
    size = struct.calcsize(layout)
    if layout.endswith("s"):
        return f"{size} bytes"
    return f"be{8 * size}" if layout[0] in ">!" else f"u{8 * size}"


def _structure(structure: FixedStruct[Any], many: bool) -> str:
    kind = "any number of structures" if many else "structure"
    return f"{kind} of {structure.size} bytes: {', '.join(structure.into._fields)}"


WHOLE = {"ioctls": ioctls, "families": families, "keys": keys, "actions": actions}
"""What is of no family, or of many."""


def build(name: str) -> str:
    """The table of a name: one of WHOLE, or a family's name with .commands, .attributes.

    Raises KeyError where there is none.
    """
    found = WHOLE.get(name)
    if found is not None:
        return found()
    by_name = {family.schema.name: family for family in BUILT_IN}
    family_name, part = name.split(".")
    return {"commands": commands, "attributes": attributes}[part](by_name[family_name])


def update(page: str) -> str:
    """The page with its tables as they must be now."""
    return MARKED.sub(lambda m: f"{m['begin']}\n{build(m['name'])}\n{m['end']}", page)


def missing(page: str) -> set[str]:
    """The tables that the page should have and has not."""
    wanted = set(WHOLE)
    for family in BUILT_IN:
        wanted |= {f"{family.schema.name}.commands", f"{family.schema.name}.attributes"}
    return wanted - {match["name"] for match in MARKED.finditer(page)}


def main(arguments: list[str] | None = None) -> int:
    """Bring the page up to date; with --check, 1 where it is not."""
    parser = argparse.ArgumentParser(prog="python -m tools.protocol_page", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail where stale")
    check: bool = parser.parse_args(arguments).check
    page = PAGE.read_text()
    for name in sorted(missing(page)):
        print(f"{PAGE.name} has no '<!-- table: {name} -->'", file=sys.stderr)
    updated = update(page)
    if not check:
        PAGE.write_text(updated)
        return 1 if missing(page) else 0
    lines = difflib.unified_diff(page.splitlines(), updated.splitlines(), "is", "must be", n=1)
    print("\n".join(lines), end="")
    return 1 if missing(page) or updated != page else 0


if __name__ == "__main__":
    sys.exit(main())
