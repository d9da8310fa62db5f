"""Serving the file system in the daemon's loop.

pyfuse3 keeps its state in its module, so a process has one file system.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from errno import EAGAIN
from pathlib import Path

import pyfuse3
import structlog
import trio

from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.filesystem.access import Access
from ovsdp_cuse.filesystem.nodes import File
from ovsdp_cuse.filesystem.operations import StateOperations
from ovsdp_cuse.filesystem.place import Place
from ovsdp_cuse.filesystem.pool import Pool
from ovsdp_cuse.filesystem.stream import Workshop
from ovsdp_cuse.filesystem.trace import LineMaker, TraceFeed, TraceFile
from ovsdp_cuse.filesystem.tree import Tree
from ovsdp_cuse.wire.family import FamilySchema

log = structlog.get_logger(__name__)

TASKS = 16
"""How many requests of the kernel are worked at, at most; each has a buffer of 1 MiB."""


class StateFileSystem:
    """The file system from its mount to its end.

    place: a path, and `descriptor` what the kernel asks on where somebody else has mounted already.
    """

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        self._place = Place(path)
        self._descriptor = descriptor
        self._mounts = descriptor is None
        self._operations: StateOperations | None = None
        self._workshop: Workshop | None = None

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._place.path

    async def attach(self) -> None:
        """Mount; NodeError where that cannot be. Clients wait from now on until it is served."""
        if self._mounts:
            self._descriptor = await self._place.attach()

    async def serve(
        self,
        open_device: Callable[[], LocalDevice],
        open_writer: Callable[[], LocalDevice],
        access: Access,
        schemas: Mapping[str, FamilySchema],
        line_makers: Mapping[bytes, LineMaker],
    ) -> None:
        """Serve until cancelled, or until somebody unmounts it.

        open_device, open_writer: open a handle of the device for reading, and for writing too.
        schemas: of the families that are served, by name. line_makers: for each form of the trace
        (b"" and b".json") what makes lines of its records.
        """
        assert self._descriptor is not None
        os.set_blocking(self._descriptor, False)  # a request may be withdrawn before it is read
        self._workshop = Workshop(Pool(open_device))
        try:
            async with trio.open_nursery() as nursery:
                feed = TraceFeed(nursery, open_writer)
                traces = {
                    b"trace" + suffix: TraceFile(feed, make) for suffix, make in line_makers.items()
                }
                tree = Tree(self._workshop, schemas, dict[bytes, File](traces))
                self._operations = StateOperations(tree.root, access)
                # libfuse takes the descriptor of what is mounted already by this name, since 3.3.
                pyfuse3.init(self._operations, f"/dev/fd/{self._descriptor}", set())
                await _run()
                log.warning("the file system of live state was unmounted", path=str(self.path))
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._end()

    async def withdraw(self) -> None:
        """Take the mount away, if it is there; may be called in any state."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._mounts:
            await self._place.withdraw()

    async def _end(self) -> None:
        if self._workshop is not None:
            self._workshop.closed = True
            if self._operations is not None:
                await self._operations.close()
                pyfuse3.close(unmount=False)  # closes the descriptor: whoever waits gets errors
                self._descriptor = None
            self._workshop.pool.close()


async def _run() -> None:
    """pyfuse3's loop; returns when the file system is unmounted.

    It takes EAGAIN for a failure. All that it had begun is answered then: no handler is cancelled.
    """
    while True:
        try:
            await pyfuse3.main(min_tasks=1, max_tasks=TASKS)
            return
        except* OSError as group:
            _matched, others = group.split(_is_again)
            if others is not None:
                raise


def _is_again(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == EAGAIN
