"""Numbers, flags and bytes as printf(3) and Open vSwitch write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from sys import byteorder


def big(payload: bytes) -> int:
    """A number in the network's byte order."""
    return int.from_bytes(payload, "big")


def native(payload: bytes) -> int:
    """A number in the machine's byte order."""
    return int.from_bytes(payload, byteorder)


def c_hex(number: int) -> str:
    """`%#x` of C, where zero has no prefix."""
    return f"{number:#x}" if number else "0"


def hex_number(payload: bytes) -> str:
    """Bytes as one big number: 0x1234, without zeros in front."""
    return c_hex(big(payload))


def bits_of(number: int) -> Iterator[int]:
    """The bits that are set, the lowest first."""
    while number:
        bit = number & -number
        yield bit
        number ^= bit


def flags_text(names: Mapping[int, str], flags: int, separator: str = "|") -> str:
    """`syn|ack`: the names of the bits that are set, then what has no name; `0` for none."""
    if not flags:
        return "0"
    words = [names[bit] for bit in bits_of(flags) if bit in names]
    unnamed = sum(bit for bit in bits_of(flags) if bit not in names)
    return separator.join([*words, f"{unnamed:#x}"] if unnamed else words)


def masked_flags_text(names: Mapping[int, str], flags: int, mask: int, every: int) -> str:
    """`+syn-ack`: the bits that a mask looks at; as `flags_text` where it looks at `every` bit."""
    if mask == every:
        return flags_text(names, flags)
    if not mask:
        return "0/0"
    return "".join(
        ("+" if flags & bit else "-") + names.get(bit, "[Unknown]") for bit in bits_of(mask)
    )


def printable(text: bytes) -> str:
    """A C string; what would steer the terminal that it is shown on is escaped."""
    shown = text.partition(b"\0")[0].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)


def port_text(port_names: Mapping[int, str] | None) -> Callable[[int], str]:
    """How a port is written: by its name where it has one, else by its number."""
    if not port_names:
        return str
    names = port_names

    def text(port: int) -> str:
        return names.get(port) or str(port)

    return text


def names_of_bits(*names: str) -> dict[int, str]:
    """Names of bits, from the lowest."""
    return {1 << place: name for place, name in enumerate(names)}
