"""What an attribute may hold: one construct for each kind of netlink policy.

A value checks its payload as the kernel's `validate_nla()` does for families that were registered
before strict validation (lib/nlattr.c): too short is ERANGE, longer than needed is accepted, a
string without its NUL is EINVAL. `strict` is what nlctrl, which is validated strictly, asks for.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from errno import EINVAL, ERANGE
from typing import Any

from construct import Construct, stream_read_entire, stream_write

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.structure import FixedStruct


class PolicyType(IntEnum):
    """enum netlink_attribute_type of <linux/netlink.h>: how GETPOLICY names a kind of value."""

    INVALID = 0
    FLAG = 1
    U8 = 2
    U16 = 3
    U32 = 4
    U64 = 5
    S8 = 6
    S16 = 7
    S32 = 8
    S64 = 9
    BINARY = 10
    STRING = 11
    NUL_STRING = 12
    NESTED = 13
    NESTED_ARRAY = 14
    BITFIELD32 = 15


class Value(Construct):
    """A kind of attribute payload.

    `decode(payload, strict)` returns the Python value or raises DatapathError (EINVAL, ERANGE);
    `encode(value)` returns the payload, or raises TypeError, ValueError or struct.error.
    `policy_type` is what CTRL_CMD_GETPOLICY reports; None where the kernel has no policy.
    """

    policy_type: PolicyType | None = None
    bounds: tuple[int, int] | None = None
    """The smallest and largest number allowed, for integers; GETPOLICY reports them."""
    type_flags = 0
    """Bits that a sender sets in nla_type beside the number (NLA_F_NESTED)."""

    def decode(self, payload: bytes, strict: bool) -> Any:
        """The value in `payload`; raises DatapathError. Subclasses define it."""
        raise TypeError(f"{type(self).__name__} does not say how it is decoded")

    def encode(self, obj: Any) -> bytes:
        """The payload of a value. Subclasses define it."""
        raise TypeError(f"{type(self).__name__} does not say how it is encoded")

    def format(self, obj: Any) -> str:
        """The value as a person reads it."""
        return str(obj)

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        return self.decode(stream_read_entire(stream, path), False)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        payload = self.encode(obj)
        stream_write(stream, payload, len(payload), path)
        return obj


class Integer(Value):
    """An integer in the machine's byte order, with optional bounds."""

    def __init__(
        self,
        code: str,
        policy_type: PolicyType,
        minimum: int | None = None,
        maximum: int | None = None,
        hexadecimal: bool = False,
    ) -> None:
        super().__init__()
        self._struct = struct.Struct("=" + code)
        self.size = self._struct.size
        self.policy_type = policy_type
        bits = 8 * self.size
        signed = code.islower()
        self.bounds = (
            (-(1 << bits - 1) if signed else 0) if minimum is None else minimum,
            (1 << (bits - signed)) - 1 if maximum is None else maximum,
        )
        self._lowest, self._highest = self.bounds
        self._hexadecimal = hexadecimal
        self._pack = self._struct.pack

    def decode(self, payload: bytes, strict: bool) -> int:
        if len(payload) != self.size:
            if strict:
                raise DatapathError(EINVAL, "invalid attribute length")
            if len(payload) < self.size:
                raise DatapathError(
                    ERANGE,
                    f"Attribute failed policy validation: {len(payload)} bytes, {self.size} needed",
                )
        value: int = self._struct.unpack_from(payload)[0]
        if not self._lowest <= value <= self._highest:
            raise DatapathError(ERANGE, f"integer out of range: {value}")
        return value

    def encode(self, obj: int) -> bytes:
        return self._pack(obj)

    def format(self, obj: Any) -> str:
        return f"{obj:#x}" if self._hexadecimal else str(obj)


def u8() -> Integer:
    """An unsigned 8-bit integer."""
    return Integer("B", PolicyType.U8)


def u16() -> Integer:
    """An unsigned 16-bit integer."""
    return Integer("H", PolicyType.U16)


def u32(maximum: int | None = None, hexadecimal: bool = False) -> Integer:
    """An unsigned 32-bit integer, at most `maximum`."""
    return Integer("I", PolicyType.U32, None, maximum, hexadecimal)


def u64() -> Integer:
    """An unsigned 64-bit integer."""
    return Integer("Q", PolicyType.U64)


def s32(minimum: int | None = None) -> Integer:
    """A signed 32-bit integer, at least `minimum`."""
    return Integer("i", PolicyType.S32, minimum)


def s64() -> Integer:
    """A signed 64-bit integer."""
    return Integer("q", PolicyType.S64)


class String(Value):
    """A NUL-terminated string of at most `maximum` bytes, the NUL not counted (NLA_NUL_STRING).

    Bytes that are not UTF-8 survive a round trip as surrogates, as in file names.
    """

    policy_type = PolicyType.NUL_STRING

    def __init__(self, maximum: int) -> None:
        super().__init__()
        self.maximum = maximum

    def decode(self, payload: bytes, strict: bool) -> str:
        end = payload.find(b"\0", 0, self.maximum + 1)
        if end < 0:
            raise DatapathError(
                EINVAL,
                f"Attribute failed policy validation: no NUL in a string of at most "
                f"{self.maximum} bytes",
            )
        length = len(payload) - (payload[-1] == 0)
        if length > self.maximum:
            raise DatapathError(ERANGE, "Attribute failed policy validation: string too long")
        return payload[:end].decode("utf-8", "surrogateescape")

    def encode(self, obj: str) -> bytes:
        return obj.encode("utf-8", "surrogateescape") + b"\0"

    def format(self, obj: Any) -> str:
        # What a client sends must not steer the terminal that it is shown on.
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in obj)
        return f'"{shown}"'


class Binary(Value):
    """Bytes, at least `minimum` and at most `maximum` of them."""

    policy_type = PolicyType.BINARY

    def __init__(self, minimum: int = 0, maximum: int | None = None) -> None:
        super().__init__()
        self.minimum = minimum
        self.maximum = maximum

    def decode(self, payload: bytes, strict: bool) -> bytes:
        if len(payload) < self.minimum or (
            self.maximum is not None and len(payload) > self.maximum
        ):
            raise DatapathError(ERANGE, f"Attribute failed policy validation: {len(payload)} bytes")
        return payload

    def encode(self, obj: bytes) -> bytes:
        return bytes(obj)

    def format(self, obj: Any) -> str:
        return obj.hex() if obj else "(empty)"


class Flag(Value):
    """An attribute that says yes by being there (NLA_FLAG)."""

    policy_type = PolicyType.FLAG

    def decode(self, payload: bytes, strict: bool) -> bool:
        if payload:
            raise DatapathError(ERANGE, "Attribute failed policy validation: a flag has no value")
        return True

    def encode(self, obj: bool) -> bytes:
        return b""


class IntegerArray(Value):
    """Unsigned 32-bit integers, one after the other (a C array in an attribute).

    The kernel has no policy for these: its handlers look at the length, after they have found the
    object. So a payload that is empty or no multiple of four bytes decodes as (), and it is the
    handler that refuses ().
    """

    policy_type: PolicyType | None = None

    def decode(self, payload: bytes, strict: bool) -> tuple[int, ...]:
        count, rest = divmod(len(payload), 4)
        return () if rest else struct.unpack(f"={count}I", payload)

    def encode(self, obj: tuple[int, ...]) -> bytes:
        return struct.pack(f"={len(obj)}I", *obj)

    def format(self, obj: Any) -> str:
        return "[" + ", ".join(map(str, obj)) + "]"


class PidArray(IntegerArray):
    """One PID, or an array of them, where the kernel's policy says u32: below four bytes ERANGE."""

    policy_type = PolicyType.U32
    bounds = (0, 2**32 - 1)

    def decode(self, payload: bytes, strict: bool) -> tuple[int, ...]:
        if len(payload) < 4:
            raise DatapathError(
                ERANGE, f"Attribute failed policy validation: {len(payload)} bytes, 4 needed"
            )
        return super().decode(payload, strict)


class Structure(Value):
    """A fixed structure; of a longer payload the beginning counts.

    Most of these are what the kernel tells, and has no policy for: a shorter payload, which only a
    client could send, is kept as bytes. checked: whether there is a policy, so that it is ERANGE.
    """

    policy_type = None

    def __init__(self, structure: FixedStruct[Any], checked: bool = False) -> None:
        super().__init__()
        self._structure = structure
        self._checked = checked
        self._size = structure.size
        self._pack = structure.pack

    def decode(self, payload: bytes, strict: bool) -> Any:
        if len(payload) >= self._size:
            return self._structure.parse(payload)
        if self._checked:
            raise DatapathError(
                ERANGE,
                f"Attribute failed policy validation: {len(payload)} bytes, {self._size} needed",
            )
        return payload

    def encode(self, obj: Any) -> bytes:
        return self._pack(*obj)

    def format(self, obj: Any) -> str:
        if isinstance(obj, bytes):
            return obj.hex()
        fields = zip(obj._fields, obj, strict=True)
        return "{" + ", ".join(f"{name}={value}" for name, value in fields) + "}"
