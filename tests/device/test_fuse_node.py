"""What is at a path, and daemons of one directory taking turns."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
import trio
import trio.testing

from ovsdp_cuse.device import mounts
from ovsdp_cuse.device.fuse import FuseNode
from ovsdp_cuse.device.mounts import directory_lock, mount_at
from ovsdp_cuse.device.node import Permissions


def test_a_mount_is_known_by_its_root() -> None:
    proc = mount_at(Path("/proc"))
    assert proc is not None
    assert proc.type == "proc"
    assert mount_at(Path("/proc/self/status")) is None


def test_a_mount_is_found_behind_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    assert mount_at(tmp_path / "link" / "proc") == mount_at(Path("/proc"))


def test_what_is_not_there_is_no_mount(tmp_path: Path) -> None:
    assert mount_at(tmp_path / "nothing") is None


def test_the_directory_of_a_path_is_resolved_and_its_end_is_not(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "node").symlink_to("elsewhere")
    node = FuseNode(tmp_path / "link" / "node", Permissions())
    assert node.path == tmp_path / "real" / "node"


async def test_daemons_of_one_directory_take_turns(tmp_path: Path) -> None:
    inside = 0
    async with trio.open_nursery() as nursery:

        async def take_turn() -> None:
            nonlocal inside
            async with directory_lock(tmp_path):
                inside += 1
                await trio.testing.wait_all_tasks_blocked()
                assert inside == 1
                inside -= 1

        for _ in range(3):
            nursery.start_soon(take_turn)


async def test_who_keeps_a_lock_for_ever_is_not_waited_for(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before = trio.current_time()
        async with directory_lock(tmp_path):
            assert trio.current_time() - before >= mounts.LOCK_LIMIT_S
    finally:
        os.close(descriptor)
    printed = capsys.readouterr()
    assert "somebody keeps a lock" in printed.out + printed.err
