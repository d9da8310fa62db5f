"""The files and what they show, with no kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import thread_time
from typing import Any

import pytest
import trio

from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.local import LocalHandle
from ovsdp_cuse.filesystem.access import Access
from ovsdp_cuse.filesystem.inodes import ROOT, Inodes
from ovsdp_cuse.filesystem.nodes import Directory, File, is_file_name
from ovsdp_cuse.filesystem.pool import Pool
from ovsdp_cuse.filesystem.stream import Workshop
from ovsdp_cuse.filesystem.tree import Tree
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from tests.families.doors import OWNER, Daemon
from tests.families.test_flow import key, output


class Files:
    """A tree over a daemon without a device."""

    def __init__(self) -> None:
        self.daemon = Daemon(handle_limit=64)
        self.device = self.open()
        self.workshop = Workshop(Pool(self.open))
        schemas = {family.schema.name: family.schema for family in self.daemon.context.registry}
        self.root = Tree(self.workshop, schemas, {}).root

    def open(self) -> LocalDevice:
        return LocalDevice(LocalHandle(self.daemon.dispatcher, OWNER))

    async def find(self, path: str) -> Any:
        node: Any = self.root
        for name in path.split("/"):
            node = await node.find(name.encode())
        return node

    async def read(self, path: str) -> bytes:
        opened = await (await self.find(path)).open()
        data = b""
        while part := await opened.read(len(data), 65536):
            data += part
        await opened.close()
        return data

    async def make(self, name: str, flows: int = 0) -> int:
        attributes = {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)}
        made = await self.device.transact(DATAPATH, DpCmd.NEW, attributes)
        assert made is not None
        for number in range(flows):
            put = {
                FlowAttr.KEY: key(destination=b"\2\0" + number.to_bytes(4)),
                FlowAttr.ACTIONS: output(0),
            }
            await self.device.transact(FLOW, FlowCmd.NEW, put, dp_ifindex=made.dp_ifindex)
        return made.dp_ifindex


@pytest.fixture
def files() -> Iterator[Files]:
    files = Files()
    yield files
    files.workshop.pool.close()


async def walk(directory: Directory, path: str = "") -> list[str]:
    paths = []
    for name, node in (await directory.entries()).items():
        here = f"{path}/{name.decode()}".lstrip("/")
        paths += [here] if isinstance(node, File) else await walk(node, here)
    return paths


async def test_every_file_can_be_found_and_read_and_json_parses(files: Files) -> None:
    await files.make("dp0", flows=3)
    paths = await walk(files.root)
    assert {"version", "node", "drops", "metrics", "families/ovs_flow"} <= set(paths)
    wanted = {"info", "stats", "flows", "masks", "meters", "ports/dp0", "ports/dp0.json"}
    assert {f"datapaths/dp0/{name}" for name in wanted} <= set(paths)
    for path in paths:
        data = await files.read(path)
        if path.endswith(".json"):
            json.loads(data)
        elif not path.endswith("meters"):
            assert data.endswith(b"\n"), path


async def test_to_look_at_the_handles_changes_none(files: Files) -> None:
    before = await walk(files.root)
    for path in before:
        await files.read(path)
    assert await walk(files.root) == before


async def test_what_is_not_there_is_not_found(files: Files) -> None:
    for directory in ("families", "handles", "datapaths"):
        for name in (b"nothing", b"nothing.json", b"0", b"01", b"-1", b"99999999999"):
            assert await (await files.find(directory)).find(name) is None


async def test_what_goes_while_it_is_looked_at(files: Files) -> None:
    """A file that was found cannot be opened; one that is being read ends."""
    await files.make("dp0", flows=400)
    info = await files.find("datapaths/dp0/info")
    opened = await (await files.find("datapaths/dp0/flows.json")).open()
    data = await opened.read(0, 1)
    await files.device.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "dp0"})
    with pytest.raises(DatapathError):
        await info.open()
    while part := await opened.read(len(data), 65536):
        data += part
    await opened.close()
    json.loads(data)


async def test_a_stream_can_be_read_again_from_its_beginning(files: Files) -> None:
    await files.make("dp0", flows=3000)
    opened = await (await files.find("datapaths/dp0/flows")).open()
    data = b""
    while part := await opened.read(len(data), 1 << 20):
        data += part
    assert data.count(b"\n") == 3000 and len(data) > 2 * 256 * 1024
    assert await opened.read(0, 100) == data[:100]
    assert await opened.read(len(data) - 10, 100) == data[-10:]
    await opened.close()


async def test_many_flows_hold_up_nobody(files: Files) -> None:
    """What turns in the same loop has its turn all the while: of what the processor does for the
    file, a small part lies between two turns. Of some readings the best, as memory is cleared up
    in some."""
    await files.make("dp0", flows=10_000)
    shares = []
    for _ in range(3):
        longest = 0.0

        async def turn() -> None:
            nonlocal longest
            while True:
                before = thread_time()
                await trio.lowlevel.checkpoint()
                longest = max(longest, thread_time() - before)

        begun = thread_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(turn)
            data = await files.read("datapaths/dp0/flows")
            nursery.cancel_scope.cancel()
        assert data.count(b"\n") == 10_000
        shares.append(longest / (thread_time() - begun))
    assert min(shares) < 0.1, shares


@pytest.mark.parametrize(
    ("mode", "files_bits", "trace_bits", "directory_bits"),
    [
        (0o660, 0o440, 0o440, 0o550),
        (0o664, 0o444, 0o440, 0o555),
        (0o600, 0o400, 0o400, 0o500),
        (0o640, 0o440, 0o400, 0o550),
        (0o222, 0, 0, 0),
    ],
)
def test_who_may_read(mode: int, files_bits: int, trace_bits: int, directory_bits: int) -> None:
    access = Access(mode, 0, 0)
    assert access.file_bits == files_bits
    assert access.writers_bits == trace_bits
    assert access.directory_bits == directory_bits


async def test_inode_numbers_are_those_of_paths(files: Files) -> None:
    inodes = Inodes(files.root)
    node = await files.root.find(b"version")
    assert node is not None
    number = inodes.told(ROOT, b"version", node)
    inodes.told(ROOT, b"version", node)
    inodes.forget(number, 1)
    assert inodes.node(number) is node
    inodes.forget(number, 1)
    assert len(inodes) == 1
    assert inodes.told(ROOT, b"version", node) == number != inodes.number(ROOT, b"node")


def test_names_that_no_file_can_have() -> None:
    assert not any(map(is_file_name, (b"", b".", b"..", b"a/b", b"a\0")))
    assert is_file_name(b"\xff ~") and is_file_name(b"...")
