"""trace."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ovsdp_cuse.client import DatapathError, Device, EventsLost
from ovsdp_cuse.client.trace import TraceFilter, Traces, traces
from ovsdp_cuse.command_line import trace as command
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.trace import TRACE_GROUP, TraceRecord
from tests.command_line.conftest import Run
from tests.families.doors import Daemon

Conversation = Callable[[Device], None]
Traced = Callable[..., None]


class Ended(Traces):
    """What was told until now, then errors, then what Ctrl-C does."""

    def __init__(self, device: Device, errors: list[Exception]) -> None:
        super().__init__(device, 0)
        self._errors = errors

    def __next__(self) -> TraceRecord:
        try:
            return super().__next__()
        except StopIteration:
            raise self._errors.pop(0) if self._errors else KeyboardInterrupt from None


@pytest.fixture
def traced(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Traced:
    """Lets another client say something as soon as the command traces; Ctrl-C ends it then."""

    def traced(say: Conversation, *errors: Exception) -> None:
        def begin(device: Device, chosen: TraceFilter) -> Iterator[TraceRecord]:
            traces(device, chosen, timeout=0)
            with Device() as client:
                say(client)
            return Ended(device, list(errors))

        monkeypatch.setattr(command, "traces", begin)

    return traced


def make_and_miss(client: Device) -> None:
    """Make a datapath, and ask for one that is not there."""
    client.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp0", DpAttr.UPCALL_PID: (0,)})
    with pytest.raises(DatapathError):
        client.transact(DATAPATH, DpCmd.GET, {DpAttr.NAME: "x"})


def others(output: str, pid: str) -> list[str]:
    """The lines that are not of the tracer's own handle, from the direction on."""
    lines = [line.split(" ", 2) for line in output.splitlines()]
    return [line[2] for line in lines if line[0] != pid]


def test_what_another_client_does(traced: Traced, run: Run) -> None:
    traced(make_and_miss)
    result = run("trace")
    told = re.fullmatch(r"tracing; this is the handle (\d+); end it with Ctrl-C\n", result.stderr)
    assert told
    lines = others(result.stdout, told[1])
    assert lines[0] == "opened, O_NONBLOCK"
    assert lines[1].startswith("> TRANSACT ovs_datapath OVS_DP_CMD_NEW REQUEST")
    assert re.match(r"< \d+us ovs_datapath OVS_DP_CMD_NEW seq=", lines[2])
    assert re.match(r"< [\d.]+[um]s NLMSG_ERROR ENODEV .* OVS_DP_ATTR_NAME$", lines[4])
    assert lines[-1] == "closed"
    assert "\x1b" not in result.stdout


def test_verbose(traced: Traced, run: Run) -> None:
    traced(make_and_miss)
    lines = run("trace", "-v", "--command", "OVS_DP_CMD_NEW").stdout.splitlines()
    assert '    NAME: "dp0"' in lines
    assert "        missed: 0" in lines
    assert not [line for line in lines if "{" in line]


def test_as_json(traced: Traced, run: Run) -> None:
    traced(make_and_miss)
    documents = [
        json.loads(line) for line in run("trace", "--json", "--errors").stdout.splitlines()
    ]
    assert [document["kind"] for document in documents] == ["REQUEST", "REPLY"]
    request, reply = documents
    assert (request["operation"], request["latency_ns"], request["errno"]) == (
        "TRANSACT", None, None,
    )  # fmt: skip
    assert request["messages"][0]["attributes"] == {"NAME": "x"}
    assert request["length"] == 32
    assert reply["errno"] == "ENODEV"
    assert reply["latency_ns"] > 0
    assert reply["messages"][0]["type"] == "NLMSG_ERROR"
    assert reply["process"] == 1
    assert set(request) == set(reply)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--family", "ovs_datapath"), 4),
        (("--command", "OVS_DP_CMD_GET"), 2),
        (("--errors",), 2),
        (("--slower-than", "1e9"), 0),
        (("--slower-than", "0", "--command", "OVS_DP_CMD_NEW"), 2),
        (("--handle", "99"), 0),
        (("--handle", "2"), 6),
        (("--process", "99"), 0),
        (("--process", "nobody"), 0),
        (("--datapath", "1"), 2),
        (("--datapath", "7"), 0),
        (("--count", "1", "--family", "ovs_datapath"), 1),
    ],
)
def test_filters(traced: Traced, run: Run, options: tuple[str, ...], count: int) -> None:
    traced(make_and_miss)
    assert len(run("trace", *options).stdout.splitlines()) == count


def test_a_datapath_by_its_name(traced: Traced, run: Run, daemon: Daemon) -> None:
    run("dp-add", "dp7", "--index", "7")

    def get(client: Device) -> None:
        client.transact(DATAPATH, DpCmd.GET, dp_ifindex=7)
        client.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: "dp8", DpAttr.UPCALL_PID: (0,)})

    traced(get)
    lines = run("trace", "--datapath", "dp7").stdout.splitlines()
    assert [" > " in line for line in lines] == [True, False]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--family", "x"), "EINVAL: no family is named 'x'; there are nlctrl, "),
        (("--command", "x"), "no command is named 'x' (OVSDP_TRACE_FILTER_ATTR_COMMAND)"),
        (("--datapath", "x"), "ENODEV: no datapath is named 'x'\n"),
    ],
)
def test_what_there_is_not(daemon: Daemon, run: Run, options: tuple[str, ...], text: str) -> None:
    assert text in run("trace", *options, status=1).stderr


def test_traces_that_were_lost_are_told_and_it_goes_on(traced: Traced, run: Run) -> None:
    traced(make_and_miss, EventsLost(), EventsLost())
    assert run("trace").stderr.count("traces were lost: ENOBUFS: ") == 2


def test_a_daemon_that_goes_away_is_told(traced: Traced, run: Run) -> None:
    traced(make_and_miss, DatapathError(107, "the daemon has ended"))
    result = run("trace", status=1)
    assert result.stderr.endswith("Error: ENOTCONN: the daemon has ended\n")
    assert "closed" in result.stdout


def test_colours_on_a_terminal(traced: Traced, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "has_colours", lambda _stream: True)
    traced(make_and_miss)
    lines = run("trace", "--errors").stdout.splitlines()
    assert [line[:5] for line in lines] == ["\x1b[36m", "\x1b[31m"]


def test_the_end_of_a_trace(daemon: Daemon) -> None:
    """After it, the device may be used for other things."""
    with Device() as device:
        told = traces(device, timeout=0)
        assert daemon.context.sessions.has_members(TRACE_GROUP)
        told.close()
        assert not daemon.context.sessions.has_members(TRACE_GROUP)
        assert device.family("ovs_flow").name == "ovs_flow"


def test_who_may_only_read(daemon: Daemon) -> None:
    with Device(read_only=True) as device, pytest.raises(DatapathError, match="for writing"):
        traces(device)


def test_the_page_shows_what_is_printed(traced: Traced, run: Run) -> None:
    """Each line of docs/trace.md that a trace would print, but for who it was and the time."""

    def say(client: Device) -> None:
        with Device() as monitor:
            monitor.subscribe("ovs_datapath")
            name = {DpAttr.NAME: "dp0"}
            client.transact(DATAPATH, DpCmd.NEW, {**name, DpAttr.UPCALL_PID: (0,)})
            with Device() as other, pytest.raises(DatapathError):
                other.transact(DATAPATH, DpCmd.NEW, {**name, DpAttr.UPCALL_PID: (0,)})
            with Device() as other:
                other.transact(DATAPATH, DpCmd.DEL, name)

    def plain(line: str) -> str:
        """The line from its direction on, without what is another one each time."""
        line = re.sub(r"^ *\d+ \S+\[\d+\] ", "", line)
        line = re.sub(r"^< [\d.]+[um]s ", "< TIME ", line)
        return re.sub(r"(seq|pid|dp_ifindex)=\d+", r"\1=N", line)

    traced(say)
    printed = run("trace").stdout.splitlines()
    traced(say)
    printed += run("trace", "--verbose").stdout.splitlines()
    page = Path(__file__).parents[2] / "docs" / "trace.md"
    shown = [
        line for line in page.read_text().splitlines() if re.match(r"    \d+ ovsdp-cuse\[", line)
    ]
    assert len(shown) >= 9
    for line in shown:
        begin, *_rest = plain(line).split("...")
        assert [found for found in printed if plain(found).startswith(begin)], begin
