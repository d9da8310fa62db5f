"""explain."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from ovsdp_cuse.client import Device
from ovsdp_cuse.ports.memory import MemoryPort
from ovsdp_cuse.wire.action_attributes import ActionAttr, PushVlan
from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KEY, KeyAttr, KeyEthernet
from tests.command_line.conftest import Run
from tests.families.doors import Daemon

MAC_A, MAC_B = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
FRAME = MAC_B + MAC_A + bytes.fromhex("9999") + b"what is in it"
TAGGED = FRAME[:12] + bytes.fromhex("81000005") + FRAME[12:]
UFID = bytes(range(16))


@pytest.fixture
def switched(daemon: Daemon, run: Run) -> Daemon:
    """dp0 has eth0 (1) and eth1 (2); what has EtherType 0x9999 is tagged and goes to port 2."""
    run("dp-add", "dp0")
    for name in ("eth0", "eth1"):
        daemon.ports.add_interface(name)
        run("port-add", "dp0", name)
    put(daemon, 0x9999, (ActionAttr.PUSH_VLAN, PushVlan(0x8100, 0x1005)), (ActionAttr.OUTPUT, 2))
    return daemon


def put(daemon: Daemon, eth_type: int, *actions: tuple[int, Any], recirc_id: int = 0) -> None:
    """Let dp0 do actions with frames of a type."""
    key: dict[int, Any] = {
        KeyAttr.RECIRC_ID: recirc_id,
        KeyAttr.IN_PORT: 1,
        KeyAttr.ETHERNET: KeyEthernet(MAC_A, MAC_B),
        KeyAttr.ETHERTYPE: eth_type,
    }
    mask: dict[int, Any] = {KeyAttr.RECIRC_ID: 0xFFFFFFFF, KeyAttr.ETHERTYPE: 0xFFFF}
    attributes = {
        FlowAttr.KEY: KEY.encode(key),
        FlowAttr.MASK: KEY.encode(mask),
        FlowAttr.ACTIONS: ACTIONS.encode(actions),
        FlowAttr.UFID: UFID[:-1] + bytes([eth_type & 0xFF]),
    }
    with Device() as device:
        (datapath,) = daemon.context.switch
        device.transact(FLOW, FlowCmd.NEW, attributes, dp_ifindex=datapath.index)


def pcap(path: Path, *frames: bytes, linktype: int = 1, length: int = 0) -> str:
    """Write a capture file."""
    data = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, linktype)
    for frame in frames:
        data += struct.pack("=IIII", 0, 0, len(frame), length or len(frame)) + frame
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("port", ["eth0", "1"])
@pytest.mark.parametrize("text", [FRAME.hex(), FRAME.hex(" "), FRAME.hex(":")])
def test_a_frame_that_is_sent(switched: Daemon, run: Run, port: str, text: str) -> None:
    printed = run("explain", "--dp", "dp0", "--in-port", port, text).output.splitlines()
    assert printed[0] == "27 bytes come in by port 1 (eth0) of dp0"
    assert printed[1].startswith("key: recirc_id(0),")
    assert "eth_type(0x9999)" in printed[1]
    assert printed[2].startswith("hit: recirc_id(0),") and "eth_type(0x9999)" in printed[2]
    assert printed[3].strip().startswith("ufid:")
    assert printed[4] == "     actions:push_vlan(vid=5,pcp=0),2"
    assert printed[5] == "  push_vlan(vid=5,pcp=0)"
    assert printed[6] == f"      now 31 bytes: {TAGGED.hex()}"
    assert printed[7].startswith("      key: ") and "vlan(vid=5,pcp=0)" in printed[7]
    assert printed[8:] == ["  2", f"  --> to port 2 (eth1): 31 bytes: {TAGGED.hex()}"]
    sent = switched.context.switch.lookup_port("eth1")
    assert isinstance(sent, MemoryPort) and sent.sent == []


def test_a_frame_that_nobody_would_get(switched: Daemon, run: Run) -> None:
    frame = FRAME[:12] + b"\x88\x88" + bytes(100)
    printed = run("explain", "--dp", "dp0", "--in-port", "1", frame.hex()).output.splitlines()
    assert printed[2].startswith("no match: recirc_id(0),")
    assert printed[2].endswith("eth_type(0x8888) (1 flow)")
    assert printed[3:] == [
        "miss: no flow matches",
        "--> dropped: upcall lost (no PID is set for it)",
    ]


def test_an_upcall_says_whose_it_is(switched: Daemon, run: Run) -> None:
    handle = switched.open()
    port = switched.context.switch.lookup_port("eth0")
    assert port is not None
    port.upcall_pids = (handle.pid,)
    frame = FRAME[:12] + b"\x88\x88" + bytes(100)
    *_, last = run("explain", "--dp", "dp0", "--in-port", "1", frame.hex()).output.splitlines()
    assert last.startswith(f"--> to userspace, PID {handle.pid} (")
    assert last.endswith(f": 114 bytes: {frame[:64].hex()}...")
    assert handle.session.queue.bytes == 0


def test_json(switched: Daemon, run: Run) -> None:
    printed = json.loads(
        run("explain", "--dp", "dp0", "--in-port", "eth0", "--json", FRAME.hex()).output
    )
    assert (printed["datapath"], printed["in_port"]) == ("dp0", 1)
    (packet,) = printed["packets"]
    assert packet["packet"] == FRAME.hex()
    extracted, hit, push, out, sent = packet["steps"]
    assert (extracted["step"], extracted["depth"]) == ("EXTRACTED", 0)
    assert (hit["step"], hit["ufid"]) == ("HIT", (UFID[:-1] + b"\x99").hex())
    assert (push["actions"], push["packet"]) == ("push_vlan(vid=5,pcp=0)", TAGGED.hex())
    assert (out["actions"], "packet" in out) == ("2", False)
    assert sent == {
        "step": "OUTPUT",
        "depth": 1,
        "packet": TAGGED.hex(),
        "port": 2,
        "port_name": "eth1",
    }


def test_metadata(switched: Daemon, run: Run) -> None:
    """It leads to the flow for what comes from recirculation."""
    put(switched, 0x7777, (ActionAttr.OUTPUT, 1), recirc_id=5)
    frame = (FRAME[:12] + b"\x77\x77" + FRAME[14:]).hex()
    command = ("explain", "--dp", "dp0", "--in-port", "1", frame)
    assert "miss" in run(*command).output
    more = ("--recirc-id", "5", "--skb-mark", "7", "--skb-priority", "3")
    output = run(*command, *more).output
    assert "--> to port 1 (eth0)" in output
    assert "skb_mark(0x7)" in output and "skb_priority(0x3)" in output


def test_frames_of_a_file(switched: Daemon, run: Run, tmp_path: Path) -> None:
    other = FRAME[:12] + b"\x88\x88" + bytes(100)
    path = pcap(tmp_path / "two.pcap", FRAME, other)
    command = ("explain", "--dp", "dp0", "--in-port", "1", path)
    both = run(*command).output
    assert both.count("come in by port 1") == 2
    assert both.index("--> to port 2") < both.index("miss")
    one = run(*command, "--frame", "2").output
    assert "114 bytes come in" in one and "27 bytes come in" not in one
    assert "has no packet 3" in run(*command, "--frame", "3", status=1).output


def test_files_that_will_not_do(switched: Daemon, run: Run, tmp_path: Path) -> None:
    command = ("explain", "--dp", "dp0", "--in-port", "1")
    text = tmp_path / "text"
    text.write_text("no capture")
    assert "neither pcapng nor pcap" in run(*command, str(text), status=1).output
    missing = run(*command, str(tmp_path / "none"), status=2).output
    assert "neither a frame in hexadecimal nor a file" in missing
    assert "PACKET is empty" in run(*command, "", status=2).output
    netlink = pcap(tmp_path / "netlink", FRAME, linktype=253)
    assert "packet 1 has link type 253" in run(*command, netlink, status=1).output
    cut = pcap(tmp_path / "cut", FRAME, length=1500)
    assert "packet 1 had 1500 bytes, of which 27 are there" in run(*command, cut).output
    assert (
        "--frame is for capture files"
        in run(*command, FRAME.hex(), "--frame", "1", status=2).output
    )


def test_who_is_not_there(switched: Daemon, run: Run) -> None:
    frame = FRAME.hex()
    assert "ENODEV" in run("explain", "--dp", "dp9", "--in-port", "1", frame, status=1).output
    output = run("explain", "--dp", "dp0", "--in-port", "9", frame, status=1).output
    assert "ENODEV" in output and "the port 9: " in output
    output = run("explain", "--dp", "dp0", "--in-port", "eth9", frame, status=1).output
    assert "ENODEV" in output and "the port eth9: " in output
    run("dp-add", "dp1")
    output = run("explain", "--dp", "dp1", "--in-port", "eth0", frame, status=1).output
    assert "ENODEV" in output and "the port eth0: " in output
