"""monitor and send."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ovsdp_cuse.client import Device, EventsLost
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
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
    assert result.stderr == "following ovs_datapath; end it with Ctrl-C\n"
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
