"""Checksums: the Internet's, computed and updated, and SCTP's CRC32c.

The Internet checksum is arithmetic modulo 65535: as 2**16 leaves the remainder 1, a number of any
length leaves the same remainder as the sum of its 16-bit words. So bytes are summed by making one
number of them, and "a sum" here is any number, big or small, of big-endian bytes that lie at even
offsets. All checksums are as they stand in the packet, read as big-endian numbers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

Buffer = bytes | bytearray | memoryview

SCTP_CHECKSUM: Final = 8
"""Where SCTP's header has its CRC32c, in little-endian order."""


def sum16(data: Buffer) -> int:
    """What the bytes count in a sum; a last odd byte has a zero behind it (RFC 1071)."""
    total = int.from_bytes(data, "big")
    return total << 8 if len(data) & 1 else total


def pseudo_header(addresses: Buffer, protocol: int, length: int) -> int:
    """The sum of a pseudo-header (RFC 793, RFC 8200): both addresses as in the IP header."""
    return int.from_bytes(addresses, "big") + protocol + length


def complement(total: int) -> int:
    """The checksum for a sum; 0xFFFF only where all that was summed is zero."""
    rest = total % 0xFFFF
    if rest:
        return 0xFFFF - rest
    return 0 if total else 0xFFFF


def checksum(data: Buffer, initial: int = 0) -> int:
    """The checksum of bytes and of what has been summed before (RFC 1071).

    Over what contains its own right checksum, it is 0.
    """
    return complement(sum16(data) + initial)


def update(check: int, old: int, new: int) -> int:
    """A checksum after `old` was replaced by `new` (RFC 1624, csum_replace4() of <net/checksum.h>).

    A byte at an odd offset is itself, one at an even offset counts 256 times. It is never 0xFFFF.
    """
    return (check + old - new) % 0xFFFF


def update_partial(seed: int, old: int, new: int) -> int:
    """The sum of a pseudo-header, where a checksum is left to the sender, after such a change.

    Only addresses, protocol and length are in it: other changes do not touch it. It is never 0.
    """
    return (seed + new - old) % 0xFFFF or 0xFFFF


_POLYNOMIAL: Final = 0x82F63B78
"""CRC32c's, the lowest power in the highest bit (RFC 9260, appendix A)."""


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(_table_entry(byte) for byte in range(256))


def _feed(state: int, data: Buffer) -> int:
    table = _TABLE
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    return state


def crc32c(data: Buffer) -> int:
    """The CRC32c of bytes: 0xE3069283 for b"123456789"."""
    return _feed(0xFFFFFFFF, data) ^ 0xFFFFFFFF


def crc32c_change(old: bytes, new: bytes, following: int) -> int:
    """What a CRC32c is XORed with where `old` becomes `new` and `following` bytes follow.

    Both have the same size. The time does not grow with `following`: a CRC is linear, and zeros
    behind a message multiply its polynomial by a power of x.
    """
    difference = bytes(a ^ b for a, b in zip(old, new, strict=True))
    return _multiply(_feed(0, difference), _power_of_x(8 * following))


def _multiply(a: int, b: int) -> int:
    """The product of two polynomials modulo CRC32c's."""
    product = 0
    while a:
        if a & 0x80000000:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=4096)
def _power_of_x(exponent: int) -> int:
    power, square = 0x80000000, 0x40000000
    while exponent:
        if exponent & 1:
            power = _multiply(power, square)
        square = _multiply(square, square)
        exponent >>= 1
    return power
