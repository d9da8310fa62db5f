"""monitor and send."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ovsdp_cuse.client import Device, EventsLost
from ovsdp_cuse.ports.memory import MemoryPort
from ovsdp_cuse.wire.action_attributes import ActionAttr
from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.ct_limit import CT_LIMIT, CtLimitAttr, CtLimitCmd, ZoneLimit
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KEY, KeyAttr, KeyEthernet
from tests.client.families import SCHEMA, BigAttr, BigCmd
from tests.command_line.conftest import Run
from tests.families.doors import DUMP, Daemon, build

NEW = build(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)})
GET = build(DATAPATH, DpCmd.GET)
GET_ALL = build(DATAPATH, DpCmd.GET, flags=DUMP)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets a monitor receive datagrams, or errors, and then end as Ctrl-C ends it."""

    def told(*datagrams: bytes | Exception) -> None:
        rest = [*datagrams, KeyboardInterrupt()]

        def receive(device: Device) -> bytes:
            found = rest.pop(0)
            if isinstance(found, BaseException):
                raise found
            return found

        monkeypatch.setattr(Device, "receive", receive)

    return told


@contextmanager
def changing(daemon: Daemon) -> Iterator[None]:
    """Makes a datapath as soon as somebody listens."""

    def change() -> None:
        with Device() as device:
            while not stop.is_set():
                if any(102 in session.groups for session in daemon.context.sessions):
                    device.ioctl_transact(NEW)
                    return

    stop = threading.Event()
    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_monitor_follows_a_group(daemon: Daemon, run: Run) -> None:
    with changing(daemon):
        result = run("monitor", "ovs_datapath", "--count", "1")
    following = r"following ovs_datapath, and upcalls for PID \d+; end it with Ctrl-C\n"
    assert re.fullmatch(following, result.stderr)
    assert result.stdout.startswith("ovs_datapath OVS_DP_CMD_NEW seq=7 pid=")
    assert 'NAME="dp0"' in result.stdout


def test_monitor_as_json(daemon: Daemon, run: Run) -> None:
    with changing(daemon):
        result = run("monitor", "102", "--count", "1", "--json")
    document = json.loads(result.stdout)
    assert (document["family"], document["command"]) == ("ovs_datapath", "OVS_DP_CMD_NEW")
    assert document["attributes"]["NAME"] == "dp0"


def test_monitor_follows_all_groups_until_interrupted(
    daemon: Daemon, run: Run, told: Callable[..., None]
) -> None:
    big = build(SCHEMA, BigCmd.TELL, {BigAttr.PAYLOAD: b"x"})
    told(NEW, EventsLost(), big, b"\xff")
    result = run("monitor")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("ovs_datapath OVS_DP_CMD_NEW")
    assert lines[1].startswith("family 0x66 ")
    assert lines[2] == "no message: ff"
    assert "following all groups" in result.stderr
    assert "ENOBUFS: events were lost" in result.stderr
    told(NEW + NEW, b"\xff", big)
    documents = [json.loads(line) for line in run("monitor", "--json").stdout.splitlines()]
    assert [document.get("hex") for document in documents] == [None, None, "ff", big.hex()]


def happenings(daemon: Daemon, run: Run) -> list[bytes]:
    """A port is added, a flow put, and a packet missed: what one handle hears of it."""
    daemon.ports.add_interface("eth0")
    run("dp-add", "dp0")
    with Device() as watcher:
        watcher.subscribe("ovs_vport", "ovs_flow")
        run("port-add", "dp0", "eth0", "--upcall-pid", str(watcher.pid))
        (datapath,) = daemon.context.switch
        flow = {
            FlowAttr.KEY: KEY.encode(
                {KeyAttr.IN_PORT: 1, KeyAttr.ETHERNET: KeyEthernet(), KeyAttr.ETHERTYPE: 0x9000}
            ),
            FlowAttr.ACTIONS: ACTIONS.encode([(ActionAttr.OUTPUT, 0)]),
        }
        watcher.transact(FLOW, FlowCmd.NEW, flow, dp_ifindex=datapath.index)
        port = daemon.context.switch.lookup_port("eth0")
        assert isinstance(port, MemoryPort)
        port.inject(bytes(12) + b"\x88\xcc" + bytes(46))
        heard = []
        while (datagram := watcher.receive(timeout=0)) is not None:
            heard.append(datagram)
    return heard


def test_monitor_shows_ports_flows_and_upcalls(
    daemon: Daemon, run: Run, told: Callable[..., None]
) -> None:
    heard = happenings(daemon, run)
    told(*heard)
    port, flow, upcall = run("monitor").stdout.splitlines()
    assert "OVS_VPORT_CMD_NEW" in port
    assert '{PORT_NO=1, TYPE=1(NETDEV), NAME="eth0", ' in port
    assert "OVS_FLOW_CMD_NEW" in flow
    assert "IN_PORT=1" in flow
    assert flow.endswith("ACTIONS=0}")
    assert "OVS_PACKET_CMD_MISS" in upcall
    assert "ETHERTYPE=0x88cc" in upcall
    told(*heard)
    documents = [json.loads(line) for line in run("monitor", "--json").stdout.splitlines()]
    port, flow, upcall = (document["attributes"] for document in documents)
    assert (port["NAME"], port["UPCALL_STATS"]) == ("eth0", {"SUCCESS": 0, "FAIL": 0})
    assert (flow["KEY"]["IN_PORT"], flow["ACTIONS"]) == (1, "0")
    assert flow["MASK"]["ETHERNET"] == {"src": "ff" * 6, "dst": "ff" * 6}
    assert upcall["KEY"]["ETHERTYPE"] == 0x88CC
    assert upcall["PACKET"] == "00" * 12 + "88cc" + "00" * 46


def test_what_is_no_key_stays_hexadecimal_in_json(daemon: Daemon, run: Run) -> None:
    bad = build(FLOW, FlowCmd.GET, {FlowAttr.KEY: b"\1\2\3\4\5"})
    attributes = send_json(run, bad, "--door", "stream")["request"]["messages"][0]["attributes"]
    assert attributes == {"KEY": "0102030405"}


def test_limits_in_json(daemon: Daemon, run: Run) -> None:
    limits = (ZoneLimit(-1, 5), ZoneLimit(7, 9))
    request = build(CT_LIMIT, CtLimitCmd.SET, {CtLimitAttr.ZONE_LIMIT: limits})
    attributes = send_json(run, request)["request"]["messages"][0]["attributes"]
    assert attributes["ZONE_LIMIT"] == [
        {"zone_id": -1, "limit": 5, "connections": 0},
        {"zone_id": 7, "limit": 9, "connections": 0},
    ]


def test_monitor_of_a_group_that_is_not_there(daemon: Daemon, run: Run) -> None:
    assert "no multicast group is named 'nix'" in run("monitor", "nix", status=1).stderr
    assert "no multicast group has the number 4711" in run("monitor", "4711", status=1).stderr


def send(run: Run, data: bytes, *options: str, status: int = 0) -> list[str]:
    """The lines that `send` prints."""
    return run("send", *options, data.hex(), status=status).stdout.splitlines()


def send_json(run: Run, data: bytes, *options: str) -> dict[str, Any]:
    """The document that `send` prints."""
    document: dict[str, Any] = json.loads(run("send", "--json", *options, data.hex()).stdout)
    return document


@pytest.mark.parametrize("door", ["device", "stream"])
def test_send_a_request(door: str, daemon: Daemon, run: Run) -> None:
    run("dp-add", "dp0")
    get = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "dp0"})
    request, reply = send(run, get, "--door", door)
    assert request == '> ovs_datapath OVS_DP_CMD_GET REQUEST seq=7 dp_ifindex=0 {NAME="dp0"}'
    assert reply.startswith("< ovs_datapath OVS_DP_CMD_GET seq=7 pid=")
    document = send_json(run, get, "--door", door)
    assert document["request"]["hex"] == get.hex()
    assert document["request"]["messages"][0]["flags"] == 1
    (answer,) = document["answers"]
    assert answer["messages"][0]["attributes"]["STATS"] == {
        "hit": 0,
        "missed": 0,
        "lost": 0,
        "flows": 0,
    }


@pytest.mark.parametrize(
    "options", [(), ("--operation", "write"), ("--door", "stream")], ids=" ".join
)
def test_send_a_dump(options: tuple[str, ...], daemon: Daemon, run: Run) -> None:
    run("dp-add", "dp0")
    run("dp-add", "dp1")
    lines = send(run, GET_ALL, *options)
    assert [line.split()[1] for line in lines] == [*["ovs_datapath"] * 3, "NLMSG_DONE"]
    answers = send_json(run, GET_ALL, *options)["answers"]
    assert [len(answer["messages"]) for answer in answers] == [2, 1]
    done = answers[1]["messages"][0]
    assert (done["type"], done["errno"], done["message"]) == ("NLMSG_DONE", "0", None)


def test_send_what_is_refused(daemon: Daemon, run: Run) -> None:
    run("dp-add", "dp0")
    refused = build(DATAPATH, DpCmd.GET, {DpAttr.NAME: "x"})
    assert send(run, refused)[1] == (
        "< NLMSG_ERROR ENODEV CAPPED|ACK_TLVS seq=7 pid=2 \"no datapath is named 'x'\" "
        "OVS_DP_ATTR_NAME"
    )
    error = send_json(run, refused, "--door", "stream")["answers"][0]["messages"][0]
    assert (error["type"], error["errno"], error["offset"]) == ("NLMSG_ERROR", "ENODEV", 24)
    result = run("send", build(DATAPATH, 99).hex(), status=1)
    assert result.stdout.startswith("> ovs_datapath OVS_DP_CMD(99)")
    assert result.stderr.startswith("Error: EINVAL: ")


def test_send_without_an_answer(daemon: Daemon, run: Run) -> None:
    assert send(run, b"\0", "--door", "stream") == ["> no message: 00", "no answer"]
    assert send_json(run, b"\0", "--door", "stream") == {
        "request": {"hex": "00", "messages": [{"hex": "00"}]},
        "answers": [],
    }


def test_the_command_of_2014(daemon: Daemon, run: Run) -> None:
    request = bytes.fromhex("18000000 1100 0100 01000000 00000000 00 01 0000 00000000")
    assert send(run, request) == [
        "> ovs_win_control OVS_CTRL_CMD_WIN_GET_PID REQUEST seq=1 dp_ifindex=0 {}",
        "< the answer to WIN_GET_PID, pid=1",
    ]


@pytest.mark.parametrize("text", ["18:00:00:00 12000103", "1800 0000-", "zz", "", "123"])
def test_digits(text: str, daemon: Daemon, run: Run) -> None:
    good = text.startswith("18:")
    result = run("send", "--door", "stream", *text.split(), status=0 if good else 2)
    assert ("no message: 18000000 12000103" in result.stdout) == good


def test_what_no_ioctl_carries(daemon: Daemon, run: Run) -> None:
    big = build(SCHEMA, BigCmd.ECHO, {BigAttr.PAYLOAD: bytes(20_000)})
    assert "use --door stream" in run("send", big.hex(), status=2).stderr
    assert len(send(run, big, "--door", "stream")) == 2


def test_the_example_in_the_help_is_a_dump(daemon: Daemon, run: Run) -> None:
    lines = run("send", "--help").stdout.splitlines()
    digits = next(line.split("send ")[1] for line in lines if "ovsdp-cuse send 1" in line)
    run("dp-add", "dp0")
    assert 'NAME="dp0"' in run("send", *digits.split()).stdout
