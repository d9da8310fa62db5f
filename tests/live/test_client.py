"""The Python clients on a real node."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from errno import EEXIST, EPERM
from pathlib import Path

import pytest
import trio

from ovsdp_cuse import daemon as ovsdp_daemon
from ovsdp_cuse.client import DatapathError, Device
from ovsdp_cuse.client import trio as client_trio
from ovsdp_cuse.configuration import Configuration
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from tests.nodes.daemon import Daemon
from tests.nodes.interface import DEADLINE_S

pytest_plugins = ("tests.live.devices",)

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LARGEST_IOCTL = 16383


def new(name: str, pids: int = 1) -> dict[DpAttr, object]:
    """The attributes of a datapath; `pids` makes the request as long as one wants."""
    return {
        DpAttr.NAME: name,
        DpAttr.UPCALL_PID: (0,),
        DpAttr.PER_CPU_PIDS: tuple(range(1, pids + 1)),
    }


def names(messages: list[Message]) -> list[str]:
    """The names of datapaths."""
    return [message.attributes[DpAttr.NAME] for message in messages]


def test_a_conversation(device_path: Path) -> None:
    with Device(device_path) as device, Device(device_path, read_only=True) as watcher:
        assert device.pid != watcher.pid
        assert device.family("ovs_datapath").groups == {"ovs_datapath": 102}
        events = watcher.events("ovs_datapath", timeout=DEADLINE_S)
        made = device.transact(DATAPATH, DpCmd.NEW, new("client0"))
        assert made is not None
        by_index = device.transact(DATAPATH, DpCmd.GET, dp_ifindex=made.dp_ifindex)
        assert by_index is not None
        assert by_index.attributes == made.attributes
        with pytest.raises(DatapathError) as caught:
            device.transact(DATAPATH, DpCmd.NEW, new("client0"))
        assert (caught.value.errno, caught.value.path) == (EEXIST, (DpAttr.NAME,))
        assert "client0" in caught.value.message
        with pytest.raises(DatapathError) as caught:
            watcher.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "client0"})
        assert caught.value.errno == EPERM
        assert "client0" in names(list(watcher.dump(DATAPATH, DpCmd.GET)))
        device.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "client0"})
        seen = [next(events)[1] for _ in range(2)]
        assert [message.command for message in seen] == [DpCmd.NEW, DpCmd.DEL]
        assert names(seen) == ["client0"] * 2
        assert watcher.next_event(timeout=0) is None


def test_what_is_too_long_for_an_ioctl(device_path: Path) -> None:
    with Device(device_path) as device:
        for pids in (3000, LARGEST_IOCTL // 4 + 1, 15_000):
            reply = device.transact(DATAPATH, DpCmd.NEW, new("client1", pids))
            assert reply is not None
            found = list(device.dump(DATAPATH, DpCmd.GET, new("client1", pids)))
            assert "client1" in names(found)
            device.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "client1"})


async def test_the_daemon_may_be_in_the_same_trio_loop(node_kind: str, tmp_path: Path) -> None:
    name = f"ovsdp-loop-{os.getpid()}"
    path = tmp_path / "device" if node_kind == "fuse" else Path("/dev") / name
    settings = Configuration(node=node_kind, name=name, path=str(path), interfaces="memory")
    ready = trio.Event()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                ovsdp_daemon.run,
                settings,
                ovsdp_daemon.load_registry(),
                None,
                lambda _node, _state: ready.set(),
            )
            await ready.wait()
            async with (
                client_trio.Device(path) as device,
                client_trio.Device(path) as watcher,
                trio.open_nursery() as tasks,
            ):
                seen: list[int] = []

                async def watch(task_status: trio.TaskStatus[None]) -> None:
                    await watcher.subscribe("ovs_datapath")
                    task_status.started()
                    async for _family, message in watcher.events():
                        seen.append(message.command)
                        if message.command == DpCmd.DEL:
                            return

                with trio.move_on_after(0.1) as scope:
                    await watcher.next_event()
                assert scope.cancelled_caught
                await tasks.start(watch)
                await device.transact(DATAPATH, DpCmd.NEW, new("loop0", 10_000))
                assert names([m async for m in device.dump(DATAPATH, DpCmd.GET)]) == ["loop0"]
                await device.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: "loop0"})
            assert seen == [DpCmd.NEW, DpCmd.DEL]
            nursery.cancel_scope.cancel()


def test_a_daemon_that_was_killed(node_kind: str, new_daemon: Daemon) -> None:
    with new_daemon as daemon, Device(daemon.path) as device:
        device.subscribe("ovs_datapath")
        daemon.stop(signal.SIGKILL)
        for call in (device.next_event, lambda: device.transact(DATAPATH, DpCmd.GET)):
            with pytest.raises(DatapathError, match="the daemon has ended"):
                call()
        with pytest.raises(DatapathError, match="start the daemon with 'ovsdp-cuse serve'"):
            Device(daemon.path)


@pytest.mark.parametrize("example", ["client.py", "client_trio.py"])
def test_an_example(
    example: str,
    device_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", [example, str(device_path), "sample0"])
    runpy.run_path(str(EXAMPLES / example), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert "there is sample0" in printed
    events = [line for line in printed if line.startswith("event: ")]
    assert [line.split()[1] for line in events] == ["OVS_DP_CMD_NEW", "OVS_DP_CMD_DEL"]
