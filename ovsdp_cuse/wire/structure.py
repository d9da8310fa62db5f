"""Fixed structures as constructs that parse with one `struct.Struct`.

Plain construct takes about 20 us for a 24-byte header, and each request passes three of them, so
fixed layouts have a Construct subclass of their own. It composes with any other construct (it has
`_parse`, `_build` and `_sizeof`), and when it is called directly nothing but `struct` runs.
Fields are in the byte order of the machine, as netlink's are (RFC 3549, section 2.2), or in the
network's, where a structure speaks of headers.
"""

from __future__ import annotations

import struct
from typing import Any, Generic, NamedTuple, TypeVar

from construct import Construct, stream_read, stream_write

T = TypeVar("T", bound=NamedTuple)


class FixedStruct(Construct, Generic[T]):
    """A C structure of fixed size <-> a NamedTuple.

    layout: a `struct` format without byte-order prefix; one code for each field of `into`.
    byte_order: "=" for the machine's, "!" for the network's.
    """

    def __init__(self, layout: str, into: type[T], byte_order: str = "=") -> None:
        super().__init__()
        self._struct = struct.Struct(byte_order + layout)
        self._unpack_from = self._struct.unpack_from
        self._make = into._make
        self.size = self._struct.size
        self.pack = self._struct.pack
        self.into = into

    def parse(self, data: bytes | memoryview, offset: int = 0) -> T:
        """The structure at `offset`; struct.error where fewer than `size` bytes are there."""
        return self._make(self._unpack_from(data, offset))

    def build(self, obj: T) -> bytes:
        """The `size` bytes of the structure."""
        return self.pack(*obj)

    def _parse(self, stream: Any, context: Any, path: str) -> T:
        return self.parse(stream_read(stream, self.size, path))

    def _build(self, obj: T, stream: Any, context: Any, path: str) -> T:
        stream_write(stream, self.build(obj), self.size, path)
        return obj

    def _sizeof(self, context: Any, path: str) -> int:
        return self.size
