"""What the tree is made of: directories that are asked for their names, and files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from ovsdp_cuse.filesystem.open_files import OpenFile

JSON = b".json"
"""Ends the name of the file for programs, beside each that is for people."""


class File:
    """A file, whose contents `begin` has to be asked for; to ask for the rest asks no family.

    writers_only: whether only those may read it who may write to the device, too.
    """

    writers_only = False

    def __init__(
        self, begin: Callable[[], Awaitable[OpenFile]], changed_ns: int | None = None
    ) -> None:
        self._begin = begin
        self._changed_ns = changed_ns

    @property
    def size(self) -> int:
        """Bytes as stat(2) shows them; 0 where nobody knows before it is read, as in /proc."""
        return 0

    @property
    def changed_ns(self) -> int | None:
        """When its contents changed last, of CLOCK_REALTIME; None where they do at all times."""
        return self._changed_ns

    async def open(self) -> OpenFile:
        """Begin to read; DatapathError where what it is about has gone."""
        return await self._begin()


class FixedDirectory:
    """A directory that always has the same names."""

    def __init__(self, nodes: Mapping[bytes, Node]) -> None:
        self._nodes = nodes

    async def entries(self) -> Mapping[bytes, Node]:
        """All of them."""
        return self._nodes

    async def find(self, name: bytes) -> Node | None:
        """One of them."""
        return self._nodes.get(name)


class ObjectDirectory:
    """A directory of objects that come and go, each with one or more names.

    list_names: the objects that are there. exists: whether one is. nodes_of: the names that an
    object has here, its own among them, and what is behind each. Where one object's name is also
    that of another's file for programs, it is the object that has it.
    """

    def __init__(
        self,
        list_names: Callable[[], Awaitable[list[bytes]]],
        exists: Callable[[bytes], Awaitable[bool]],
        nodes_of: Callable[[bytes], Mapping[bytes, Node]],
    ) -> None:
        self._list_names = list_names
        self._exists = exists
        self._nodes_of = nodes_of

    async def entries(self) -> Mapping[bytes, Node]:
        """The files of all objects that can be names in a directory."""
        names = [name for name in await self._list_names() if is_file_name(name)]
        nodes: dict[bytes, Node] = {}
        for name in names:
            nodes.update(self._nodes_of(name))
        for name in names:
            nodes[name] = self._nodes_of(name)[name]
        return nodes

    async def find(self, name: bytes) -> Node | None:
        """The file with this name, if its object is there."""
        for owner in (name, name.removesuffix(JSON)):
            node = self._nodes_of(owner).get(name) if is_file_name(owner) else None
            if node is not None and await self._exists(owner):
                return node
        return None


def is_file_name(name: bytes) -> bool:
    """Whether a directory can have the name."""
    return bool(name) and name not in (b".", b"..") and not {*b"/\0"}.intersection(name)


Directory = FixedDirectory | ObjectDirectory
Node = File | FixedDirectory | ObjectDirectory
