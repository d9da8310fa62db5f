"""What the kernel asks of the file system, by pyfuse3.

Each request is answered, whatever happens: pyfuse3 answers nothing where a handler raises another
exception than its own, or is cancelled, and the client would hang.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from errno import EIO, ENFILE, ENODEV, ENOENT, ENOTDIR
from itertools import count
from typing import Any, Concatenate, ParamSpec, TypeVar

import pyfuse3
import structlog
import trio

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.filesystem.access import Access
from ovsdp_cuse.filesystem.inodes import Inodes
from ovsdp_cuse.filesystem.nodes import Directory, File, FixedDirectory, Node
from ovsdp_cuse.filesystem.open_files import OpenFile

log = structlog.get_logger(__name__)

OPEN_FILES = 4096
"""How many files may be open at once; the next gets ENFILE."""
OPEN_BYTES = 64 << 20
"""Bytes that all open files may hold in memory; beyond it the next gets ENFILE."""

NAME_MAXIMUM = 255

P = ParamSpec("P")
T = TypeVar("T")
Handler = Callable[Concatenate["StateOperations", P], Coroutine[Any, Any, T]]


def _answered(handler: Handler[P, T]) -> Handler[P, T]:
    """Have every failure answered, and let nothing cancel what has been begun."""

    async def answer(self: StateOperations, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            scope = trio.CancelScope(shield=True)
            with scope:
                return await handler(self, *args, **kwargs)
        except pyfuse3.FUSEError:
            raise
        except DatapathError as error:
            raise pyfuse3.FUSEError(ENOENT if error.errno == ENODEV else error.errno) from None
        except Exception:
            log.exception("a request of the file system failed", request=handler.__name__)
        raise pyfuse3.FUSEError(EIO)

    return answer


class StateOperations(pyfuse3.Operations):
    """The handlers of a file system with this root; access: whose its files are.

    What is not here the kernel does by itself: it holds each user to the permissions, and refuses
    what would write, as the mount is read-only.
    """

    supports_dot_lookup = False

    def __init__(self, root: Directory, access: Access) -> None:
        super().__init__()
        self._inodes = Inodes(root)
        self._access = access
        self._handles = count(1)
        self._files: dict[int, OpenFile] = {}
        self._listings: dict[int, _Listing] = {}
        self._started_ns = time.time_ns()

    async def close(self) -> None:
        """Give back what open files hold."""
        files, self._files = self._files, {}
        for file in files.values():
            await file.close()

    @_answered
    async def lookup(
        self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """A file by its name."""
        node = await self._directory(parent_inode).find(name)
        if node is None:
            raise pyfuse3.FUSEError(ENOENT)
        return self._attributes(self._inodes.told(parent_inode, name, node), node)

    @_answered
    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """The kernel knows these no longer."""
        for number, times in inode_list:
            self._inodes.forget(number, times)

    @_answered
    async def getattr(self, inode: int, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        """What stat(2) shows; it asks no family, as the kernel wants it for each step of a path."""
        return self._attributes(inode, self._node(inode))

    @_answered
    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        """Begin to list a directory."""
        self._check_room()
        directory = self._directory(inode)
        handle = next(self._handles)
        self._listings[handle] = _Listing(inode, directory, await _sorted(directory))
        return handle

    @_answered
    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """Names of a directory from the `start_id`-th on."""
        listing = self._listings[fh]
        if start_id == 0 and listing.begun:
            listing.nodes = await _sorted(listing.directory)
        listing.begun = True
        for index in range(start_id, len(listing.nodes)):
            name, node = listing.nodes[index]
            attributes = self._attributes(self._inodes.number(listing.inode, name), node)
            if not pyfuse3.readdir_reply(token, name, attributes, index + 1):
                return
            self._inodes.told(listing.inode, name, node)

    @_answered
    async def releasedir(self, fh: int) -> None:
        """No more of the list."""
        self._listings.pop(fh, None)

    @_answered
    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        """Render a file."""
        self._check_room()
        node = self._node(inode)
        if isinstance(node, Directory):
            raise pyfuse3.FUSEError(EIO)  # the kernel asks opendir
        file = await node.open()
        if file.held + sum(other.held for other in self._files.values()) > OPEN_BYTES:
            await file.close()
            raise pyfuse3.FUSEError(ENFILE)
        handle = next(self._handles)
        self._files[handle] = file
        # Nothing of it is kept by the kernel: each who opens it has a rendering of his own.
        return pyfuse3.FileInfo(fh=handle, direct_io=True, keep_cache=False)

    @_answered
    async def read(self, fh: int, off: int, size: int) -> bytes:
        """A part of a file."""
        return await self._files[fh].read(off, size)

    @_answered
    async def poll(
        self,
        inode: int,
        fh: int,
        poll_handle: pyfuse3.PollHandle | None,
        ctx: pyfuse3.RequestContext,
    ) -> int:
        """What is true of a file now, and who wants to hear of the next thing."""
        return self._files[fh].poll(poll_handle)

    @_answered
    async def release(self, fh: int) -> None:
        """A file is open no more."""
        file = self._files.pop(fh, None)
        if file is not None:
            await file.close()

    @_answered
    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """Nothing lies on a disk, as in /proc."""
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = 4096
        data.f_namemax = NAME_MAXIMUM
        return data

    def _node(self, inode: int) -> Node:
        try:
            return self._inodes.node(inode)
        except KeyError:
            raise pyfuse3.FUSEError(ENOENT) from None

    def _directory(self, inode: int) -> Directory:
        node = self._node(inode)
        if isinstance(node, File):
            raise pyfuse3.FUSEError(ENOTDIR)
        return node

    def _check_room(self) -> None:
        if len(self._files) + len(self._listings) >= OPEN_FILES:
            raise pyfuse3.FUSEError(ENFILE)

    def _attributes(self, inode: int, node: Node) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = inode
        entry.attr_timeout = entry.entry_timeout = 0
        entry.st_uid, entry.st_gid = self._access.uid, self._access.gid
        entry.st_nlink = 1  # of a directory: nobody counts those in it (find(1) knows this)
        changed_ns: int | None
        if isinstance(node, Directory):
            entry.st_mode = stat.S_IFDIR | self._access.directory_bits
            changed_ns = self._started_ns if isinstance(node, FixedDirectory) else None
        else:
            access = self._access
            bits = access.writers_bits if node.writers_only else access.file_bits
            entry.st_mode = stat.S_IFREG | bits
            entry.st_size = node.size
            entry.st_blocks = -(-node.size // 512)  # fewer would be holes, which cp(1) skips
            changed_ns = node.changed_ns
        when_ns = time.time_ns() if changed_ns is None else changed_ns
        entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = when_ns
        return entry


@dataclass(slots=True)
class _Listing:
    inode: int
    directory: Directory
    nodes: list[tuple[bytes, Node]]
    begun: bool = False


async def _sorted(directory: Directory) -> list[tuple[bytes, Node]]:
    return sorted((await directory.entries()).items(), key=lambda entry: entry[0])
