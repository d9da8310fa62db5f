"""Which files there are, and what makes each."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.filesystem import flows, prometheus, questions
from ovsdp_cuse.filesystem.nodes import JSON, File, FixedDirectory, Node, ObjectDirectory
from ovsdp_cuse.filesystem.open_files import Contents, OpenFile
from ovsdp_cuse.filesystem.render import (
    Document,
    as_json,
    as_row,
    as_text,
    family_as_text,
    json_array,
)
from ovsdp_cuse.filesystem.stream import Make, Stream, Workshop, has_gone
from ovsdp_cuse.wire.documents import attributes_document
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd

Ask = Callable[[LocalDevice], Awaitable[Document]]
T = TypeVar("T")


class Tree:
    """The files, made of what the devices of a workshop tell.

    schemas: of the families that are served, by name. extra: what else is in the root.
    """

    def __init__(
        self,
        workshop: Workshop,
        schemas: Mapping[str, FamilySchema],
        extra: Mapping[bytes, Node],
    ) -> None:
        self._workshop = workshop
        self._schemas = schemas
        self._started_ns = time.time_ns()
        self.root = FixedDirectory(
            {
                **self._documents(b"version", questions.version, fixed=True),
                **self._documents(b"node", questions.node),
                **self._drops(),
                b"metrics": self._stream_file(prometheus.as_text),
                b"families": ObjectDirectory(
                    partial(self._with_device, questions.family_names),
                    self._has_family,
                    self._family_files,
                ),
                b"handles": ObjectDirectory(
                    partial(self._with_device, questions.handle_names),
                    self._has_handle,
                    self._handle_files,
                ),
                b"datapaths": ObjectDirectory(
                    partial(self._with_device, questions.datapath_names),
                    self._has_datapath,
                    self._datapath_directory,
                ),
                **extra,
            }
        )

    # Families, handles, drops ------------------------------------------------------------------

    async def _has_family(self, name: bytes) -> bool:
        return name in await self._with_device(questions.family_names)

    def _family_files(self, name: bytes) -> dict[bytes, Node]:
        ask = partial(questions.family, name=name, schemas=self._schemas)
        return self._documents(name, ask, fixed=True, as_text=family_as_text)

    async def _has_handle(self, name: bytes) -> bool:
        pid = _pid(name)
        return pid is not None and await self._is_there(partial(questions.handle, pid=pid))

    def _handle_files(self, name: bytes) -> dict[bytes, Node]:
        return self._documents(name, partial(questions.handle, pid=_pid(name) or 0))

    def _drops(self) -> dict[bytes, Node]:
        async def as_documents() -> OpenFile:
            return Contents(as_json(await self._with_device(questions.drops)))

        async def as_lines() -> OpenFile:
            found = await self._with_device(questions.drops)
            texts = {str(one["datapath"]): one["reasons"] for one in found}
            return Contents(as_text(texts))

        return {b"drops": File(as_lines), b"drops" + JSON: File(as_documents)}

    # Datapaths ---------------------------------------------------------------------------------

    async def _has_datapath(self, name: bytes) -> bool:
        return await self._is_there(partial(questions.datapath, name=name))

    def _datapath_directory(self, name: bytes) -> dict[bytes, Node]:
        return {
            name: FixedDirectory(
                {
                    **self._documents(b"info", partial(questions.datapath_info, name=name)),
                    **self._documents(b"stats", partial(questions.datapath_stats, name=name)),
                    b"flows": self._stream_file(partial(flows.as_lines, name=name)),
                    b"flows" + JSON: self._stream_file(partial(flows.as_array, name=name)),
                    **self._rows(b"masks", OvsdpCmd.MASK_GET, name),
                    **self._rows(b"meters", OvsdpCmd.METER_GET, name),
                    b"ports": ObjectDirectory(
                        partial(self._with_device, partial(questions.port_names, name=name)),
                        partial(self._has_port, name),
                        partial(self._port_files, name),
                    ),
                }
            )
        }

    async def _has_port(self, datapath: bytes, name: bytes) -> bool:
        return await self._is_there(partial(questions.port, name=datapath, port_name=name))

    def _port_files(self, datapath: bytes, name: bytes) -> dict[bytes, Node]:
        return self._documents(name, partial(questions.port, name=datapath, port_name=name))

    def _rows(self, file: bytes, command: OvsdpCmd, name: bytes) -> dict[bytes, Node]:
        """The two files of objects of which a datapath has many."""
        return {
            file: self._stream_file(partial(_lines, command=command, name=name)),
            file + JSON: self._stream_file(partial(_array, command=command, name=name)),
        }

    # How files are made ------------------------------------------------------------------------

    def _documents(
        self,
        name: bytes,
        ask: Ask,
        fixed: bool = False,
        as_text: Callable[[Document], bytes] = as_text,
    ) -> dict[bytes, Node]:
        """The two files of one document; fixed: whether it is the same at all times."""

        async def render(form: Callable[[Document], bytes]) -> OpenFile:
            return Contents(form(await self._with_device(ask)))

        changed_ns = self._started_ns if fixed else None
        return {
            name: File(partial(render, as_text), changed_ns),
            name + JSON: File(partial(render, as_json), changed_ns),
        }

    def _stream_file(self, make: Make) -> File:
        async def begin() -> OpenFile:
            return Stream(self._workshop, make)

        return File(begin)

    async def _with_device(self, ask: Callable[[LocalDevice], Awaitable[T]]) -> T:
        with self._workshop.pool.borrow() as device:
            return await ask(device)

    async def _is_there(self, ask: Callable[[LocalDevice], Awaitable[object]]) -> bool:
        try:
            await self._with_device(ask)
        except DatapathError as error:
            if has_gone(error):
                return False
            raise
        return True


def _pid(name: bytes) -> int | None:
    """The PID that is a file's name; None for what is no such name."""
    digits = name.removeprefix(b"0") if len(name) > 1 else name
    pid = int(name) if name.isdigit() and digits == name else None
    return pid if pid is not None and pid < 2**32 else None


def _document(message: Message) -> Document:
    found = attributes_document(OVSDP_CONTROL.attributes_of(message.command), message.attributes)
    return {name.lower(): value for name, value in found.items()}


async def _lines(
    device: LocalDevice, command: OvsdpCmd, name: bytes
) -> AsyncGenerator[bytes, None]:
    async for found in questions.of_datapath(device, OVSDP_CONTROL, command, name):
        yield as_row(_document(found))


def _array(device: LocalDevice, command: OvsdpCmd, name: bytes) -> AsyncGenerator[bytes, None]:
    found = questions.of_datapath(device, OVSDP_CONTROL, command, name)
    return json_array(_document(message) async for message in found)
