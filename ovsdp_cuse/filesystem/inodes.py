"""Inode numbers, and what the kernel means by them.

The number of a path is a keyed hash of it, so it is the same for as long as the daemon runs, and
none has to be remembered for a path that the kernel has forgotten.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b

from ovsdp_cuse.filesystem.nodes import Node

ROOT = 1
"""FUSE_ROOT_ID."""


@dataclass(slots=True)
class Known:
    """What the kernel knows by a number; look_ups: how often it was told."""

    path: bytes
    node: Node
    look_ups: int = 0


class Inodes:
    """The inodes that the kernel knows."""

    def __init__(self, root: Node) -> None:
        self._key = os.urandom(16)
        self._known = {ROOT: Known(b"", root)}

    def __len__(self) -> int:
        return len(self._known)

    def number(self, parent: int, name: bytes) -> int:
        """The number of what has this name in a directory; KeyError for an unknown directory."""
        path = self._known[parent].path + b"/" + name
        digest = blake2b(path, digest_size=8, key=self._key).digest()
        # Signed numbers of 64 bits hold it; 0 is nobody's, and 1 is the root's.
        return (int.from_bytes(digest, "big") >> 1) | 2

    def node(self, number: int) -> Node:
        """What a number stands for; KeyError for one that the kernel does not know."""
        return self._known[number].node

    def told(self, parent: int, name: bytes, node: Node) -> int:
        """The number of what the kernel is now told of."""
        number = self.number(parent, name)
        known = self._known.get(number)
        if known is None:
            path = self._known[parent].path + b"/" + name
            known = self._known[number] = Known(path, node)
        known.node = node
        known.look_ups += 1
        return number

    def forget(self, number: int, times: int) -> None:
        """The kernel has forgotten what it was told `times` times."""
        known = self._known.get(number)
        if known is None or number == ROOT:
            return
        known.look_ups -= times
        if known.look_ups <= 0:
            del self._known[number]
