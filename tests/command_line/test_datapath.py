"""dp-add, dp-del, dp-show."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.registry import Registry
from ovsdp_cuse.families.trace import Trace
from ovsdp_cuse.wire.object_documents import feature_names
from tests.client.handles import connect
from tests.command_line.conftest import Run
from tests.families.doors import Daemon

DP0: dict[str, Any] = {
    "name": "dp0",
    "index": 1,
    "features": [],
    "masks_cache_size": 256,
    "per_cpu_pids": [],
    "stats": {"hit": 0, "missed": 0, "lost": 0, "flows": 0},
    "megaflow_stats": {"mask_hit": 0, "masks": 0, "cache_hits": 0},
}


def test_a_datapath_comes_and_goes(daemon: Daemon, run: Run) -> None:
    assert run("dp-show").stdout.startswith("there is no datapath")
    assert run("dp-add", "dp0").stdout == "dp0 made (index 1)\n"
    table = [line.split() for line in run("dp-show").stdout.splitlines()]
    assert table[0][:3] == ["name", "index", "hit"]
    assert table[2] == ["dp0", "1", "0", "0", "0", "0", "0", "256", "-"]
    assert run("dp-del", "dp0").stdout == "dp0 removed (index 1)\n"
    assert len(daemon.context.switch) == 0


def test_the_same_as_json(daemon: Daemon, run: Run) -> None:
    assert json.loads(run("dp-show", "--json").stdout) == {"datapaths": []}
    assert json.loads(run("dp-add", "--json", "dp0").stdout) == DP0
    for arguments in ((), ("dp0",)):
        (shown,) = json.loads(run("dp-show", "--json", *arguments).stdout)["datapaths"]
        assert [port["name"] for port in shown.pop("ports")] == ["dp0"]
        assert shown == DP0
    assert json.loads(run("dp-del", "--json", "dp0").stdout) == DP0


def test_all_settings(daemon: Daemon, run: Run) -> None:
    made = run(
        *("dp-add", "br", "--index", "77", "--masks-cache-size", "512", "--json"),
        *("--features", "unaligned,vport-pids", "--upcall-pid", "5", "--upcall-pid", "6"),
    )
    features = ["unaligned", "vport-pids"]
    assert json.loads(made.stdout) == {
        **DP0,
        "name": "br",
        "index": 77,
        "features": features,
        "masks_cache_size": 512,
    }
    assert "unaligned vport-pids" in run("dp-show", "br").stdout


def test_who_receives_what_no_flow_matches(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    registry = Registry(BUILT_IN)
    connect(monkeypatch, Daemon(tap=Trace(registry, trace := io.StringIO())))
    run("dp-add", "dp0")
    run("dp-add", "dp1", "--upcall-pid", "5", "--upcall-pid", "6")
    requests = [line for line in trace.getvalue().splitlines() if " > " in line]
    assert ["UPCALL_PID=[0]" in requests[0], "UPCALL_PID=[5, 6]" in requests[1]] == [True, True]


def test_a_number_in_the_name(daemon: Daemon, run: Run) -> None:
    for number in range(2):
        assert run("dp-add", "dp%d").stdout.startswith(f"dp{number} made")


def test_features_as_a_number(daemon: Daemon, run: Run) -> None:
    found = json.loads(run("dp-add", "dp0", "--features", "0x1", "--json").stdout)
    assert found["features"] == ["unaligned"]
    assert "no-such" in run("dp-add", "dp1", "--features", "no-such", status=2).stderr
    assert "32 bits" in run("dp-add", "dp1", "--features", "0x100000000", status=2).stderr
    assert feature_names(0x14) == ["tc-recirc-sharing", "0x10"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("dp-add", "dp0"), "EEXIST: a datapath named 'dp0' exists already (OVS_DP_ATTR_NAME)"),
        (("dp-add", "a/b"), "EINVAL: 'a/b' cannot be the name of an interface (OVS_DP_ATTR_NAME)"),
        (("dp-add", "x", "--features", "16"), "EOPNOTSUPP: "),
        (("dp-add", "x", "--masks-cache-size", "3"), "(OVS_DP_ATTR_MASKS_CACHE_SIZE)"),
        (("dp-show", "no"), "ENODEV: no datapath is named 'no' (OVS_DP_ATTR_NAME)"),
        (("dp-del", "no"), "ENODEV: no datapath is named 'no' (OVS_DP_ATTR_NAME)"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], text: str, daemon: Daemon, run: Run) -> None:
    run("dp-add", "dp0")
    result = run(*arguments, status=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: E")
    assert text in result.stderr
    error = json.loads(run(*arguments, "--json", status=1).stderr)["error"]
    assert error["errno"] in text or error["attribute"] in text


def test_a_refusal_as_json(daemon: Daemon, run: Run) -> None:
    run("dp-add", "dp0")
    assert json.loads(run("dp-add", "dp0", "--json", status=1).stderr) == {
        "error": {
            "errno": "EEXIST",
            "message": "a datapath named 'dp0' exists already",
            "attribute": "OVS_DP_ATTR_NAME",
        }
    }


def test_no_device(run: Run) -> None:
    result = run("dp-show", "--device", "/nonexistent/device", status=1)
    assert result.stderr.startswith("Error: ENOENT: there is no /nonexistent/device: start")
    error = json.loads(run("info", "--json", "--device", "/dev/null", status=1).stderr)["error"]
    assert (error["errno"], error["attribute"]) == ("ENOTTY", None)


def test_names_are_no_markup_and_move_no_cursor(daemon: Daemon, run: Run) -> None:
    daemon.context.switch.add("[red]")
    daemon.context.switch.add("\x1b[2J")
    daemon.context.switch.add("\udcff")
    text = run("dp-show").stdout
    assert "[red] " in text
    assert r"\x1b[2J " in text
    assert r"\udcff " in text
    names = [found["name"] for found in json.loads(run("dp-show", "--json").stdout)["datapaths"]]
    assert names == ["[red]", "\x1b[2J", "\udcff"]
