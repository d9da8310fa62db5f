"""handles, drops."""

from __future__ import annotations

import json

from ovsdp_cuse.client import Device
from ovsdp_cuse.families.queue import Kind
from ovsdp_cuse.families.session import Access
from ovsdp_cuse.switch.drops import DropReason
from tests.command_line.conftest import Run
from tests.families.doors import OWNER, Daemon


def test_handles(daemon: Daemon, run: Run) -> None:
    session = daemon.dispatcher.open(Access.READ | Access.WRITE, True, OWNER)
    session.command = "ovs-vswitchd"
    session.put(Kind.EVENT, b"one")
    session.put(Kind.PACKET, b"two")
    with Device() as device:
        device.subscribe("ovs_vport", "ovs_flow")
        lines = [line.rstrip() for line in run("handles").stdout.splitlines()]
    first, subscriber, asker = (line.split() for line in lines[2:])
    assert first[:4] == ["1", "ovs-vswitchd[1]", "0", "rw"]
    assert first[-5:] == ["events", "1,", "packets", "1", "-"]
    assert subscriber[-2:] == ["ovs_vport", "ovs_flow"]
    assert asker[3] == "r"


def test_one_handle_as_json(daemon: Daemon, run: Run) -> None:
    session = daemon.dispatcher.open(Access.READ, False, OWNER)
    session.command = "a\x1bprogram"
    session.queue.limit = 1
    session.put(Kind.REPLY, b"kept")
    session.put(Kind.EVENT, b"no room")
    (handle,) = json.loads(run("handles", str(session.pid), "--json").stdout)["handles"]
    assert handle == {
        "pid": session.pid,
        "process": OWNER.pid,
        "command": "a\x1bprogram",
        "uid": 0,
        "gid": 0,
        "readable": True,
        "writable": False,
        "nonblocking": False,
        "protocol": "generic",
        "groups": [],
        "dump": None,
        "queue": {
            "limit": 1,
            "bytes": session.queue.bytes,
            "replies": 1,
            "events": 0,
            "packets": 0,
            "dropped": 1,
            "congested": True,
        },
        "counts": {"requests": 0, "replies": 0, "errors": 0, "events": 0, "upcalls": 0},
    }
    text = run("handles", str(session.pid)).stdout
    assert "a\\x1bprogram[1]" in text
    assert "replies 1, congested" in text


def test_no_such_handle(daemon: Daemon, run: Run) -> None:
    assert "ENOENT: no open handle has the PID 99" in run("handles", "99", status=1).stderr
    error = json.loads(run("handles", "99", "--json", status=1).stderr)["error"]
    assert (error["errno"], error["attribute"]) == ("ENOENT", "OVSDP_HANDLE_ATTR_PID")
    assert "Invalid value" in run("handles", "x", status=2).stderr


def test_drops(daemon: Daemon, run: Run) -> None:
    assert run("drops").stdout == "no packet was dropped in any datapath\n"
    run("dp-add", "dp0")
    run("dp-add", "dp1")
    assert run("drops", "dp1").stdout == "no packet was dropped in dp1\n"
    first, _second = daemon.context.switch
    first.drops[DropReason.UPCALL_LOST] = 12
    for arguments in ((), ("dp0",)):
        lines = run("drops", *arguments).stdout.splitlines()
        assert [line.split() for line in (lines[0], *lines[2:])] == [
            ["datapath", "reason", "packets"],
            ["dp0", "upcall", "lost", "12"],
        ]
    everything = json.loads(run("drops", "--json").stdout)["drops"]
    assert [found["datapath"] for found in everything] == ["dp0", "dp1"]
    assert everything[0]["index"] == first.index
    assert everything[0]["reasons"]["upcall lost"] == 12
    assert list(everything[1]["reasons"]) == [reason.value for reason in DropReason]
    assert set(everything[1]["reasons"].values()) == {0}


def test_drops_of_no_datapath(daemon: Daemon, run: Run) -> None:
    assert "ENODEV: there is no such datapath" in run("drops", "nosuch", status=1).stderr
