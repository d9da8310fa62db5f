"""fault add, list, del and release."""

from __future__ import annotations

import json
from errno import ENOSPC
from typing import Any

import pytest

from ovsdp_cuse.wire.fault import FaultAttr, FaultEffect
from tests.command_line.conftest import Run
from tests.families.doors import Daemon


def added(daemon: Daemon) -> dict[FaultAttr, Any]:
    """What the last fault was made of."""
    *_others, fault = daemon.context.faults
    return {FaultAttr(number): value for number, value in fault.attributes.items()}


def test_a_fault_comes_and_goes(daemon: Daemon, run: Run) -> None:
    made = run(
        *("fault", "add", "--process", "ovs-vswitchd", "--command", "OVS_FLOW_CMD_NEW"),
        *("--fail", "ENOSPC", "--text", "full", "--times", "3"),
    )
    words = "command=OVS_FLOW_CMD_NEW process=ovs-vswitchd times=3"
    assert made.stdout == f"fault 1: {words}: fail ENOSPC full\n"
    lines = [line.split() for line in run("fault", "list").stdout.splitlines()]
    assert lines[0] == ["Fault", "Match", "Effect", "Matched", "Applied", "Held"]
    assert lines[2] == ["1", *words.split(), "fail", "ENOSPC", "full", "0", "0", "0"]
    assert run("fault", "del", "1").stdout == "fault 1 removed\n"
    assert run("fault", "list").stdout.startswith("there is no fault; make one with")


def test_the_same_as_json(daemon: Daemon, run: Run) -> None:
    made = run("fault", "add", "--fail", "28", "--handle", "9", "--process", "77", "--json")
    shown = {
        "id": 1,
        "match": {"handle": 9, "process": 77},
        "effect": {"name": "fail", "errno": "ENOSPC"},
        "matched": 0,
        "applied": 0,
        "held": 0,
    }
    assert json.loads(made.stdout) == shown
    assert json.loads(run("fault", "list", "--json").stdout) == {"faults": [shown]}
    assert json.loads(run("fault", "release", "--all", "--json").stdout) == {"released": 0}
    assert json.loads(run("fault", "del", "--all", "--json").stdout) == {"released": 0}
    assert json.loads(run("fault", "list", "--json").stdout) == {"faults": []}


@pytest.mark.parametrize(
    ("options", "effect", "taken"),
    [
        ("--fail enospc", FaultEffect.FAIL, {FaultAttr.ERRNO: ENOSPC}),
        ("--delay 5", FaultEffect.DELAY, {FaultAttr.DELAY_MS: 5}),
        ("--hold", FaultEffect.HOLD, {}),
        ("--drop", FaultEffect.DROP, {}),
        ("--overflow", FaultEffect.OVERFLOW, {}),
        ("--cut-dump 0", FaultEffect.CUT_DUMP, {FaultAttr.SIZE: 0}),
        (
            "--cut-dump 2 --errno 28 --text x",
            FaultEffect.CUT_DUMP,
            {FaultAttr.SIZE: 2, FaultAttr.ERRNO: ENOSPC, FaultAttr.TEXT: "x"},
        ),
        ("--truncate 7", FaultEffect.TRUNCATE, {FaultAttr.SIZE: 7}),
        ("--close-queue", FaultEffect.CLOSE_QUEUE, {}),
        ("--stall 9", FaultEffect.STALL, {FaultAttr.DELAY_MS: 9}),
    ],
)
def test_effects(
    daemon: Daemon, run: Run, options: str, effect: FaultEffect, taken: dict[FaultAttr, Any]
) -> None:
    run("fault", "add", *options.split())
    assert added(daemon) == {FaultAttr.EFFECT: effect, **taken}
    assert effect.name.lower().replace("_", "-") in run("fault", "list").stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--delay 5", "delay 5 ms"),
        ("--stall 9", "stall 9 ms"),
        ("--truncate 7", "truncate bytes=7"),
        ("--cut-dump 2 --errno EIO --text x", "cut-dump EIO x objects=2"),
    ],
)
def test_numbers_have_units(daemon: Daemon, run: Run, options: str, words: str) -> None:
    assert run("fault", "add", *options.split()).stdout == f"fault 1: everything: {words}\n"


def test_matches(daemon: Daemon, run: Run) -> None:
    run("dp-add", "dp0")
    datapath = daemon.context.switch.lookup_name("dp0")
    assert datapath is not None
    run(
        *("fault", "add", "--family", "ovs_flow", "--operation", "stream", "--datapath", "dp0"),
        *("--every", "2", "--probability", "0.5", "--seed", "3", "--hold"),
    )
    assert added(daemon) == {
        FaultAttr.EFFECT: FaultEffect.HOLD,
        FaultAttr.FAMILY: "ovs_flow",
        FaultAttr.OPERATION: "STREAM",
        FaultAttr.DATAPATH: datapath.index,
        FaultAttr.EVERY: 2,
        FaultAttr.PROBABILITY: round((2**32 - 1) / 2),
        FaultAttr.SEED: 3,
    }
    run("fault", "add", "--datapath", "5", "--nth", "4", "--hold")
    assert (added(daemon)[FaultAttr.DATAPATH], added(daemon)[FaultAttr.NTH]) == (5, 4)


def test_a_datapath_is_found_whatever_faults_there_are(daemon: Daemon, run: Run) -> None:
    run("dp-add", "dp0")
    run("fault", "add", "--command", "OVS_DP_CMD_GET", "--fail", "EIO")
    assert "datapath=" in run("fault", "add", "--datapath", "dp0", "--hold").stdout


def test_a_closed_queue_may_be_a_faults(daemon: Daemon, run: Run) -> None:
    run("fault", "add", "--command", "OVS_DP_CMD_GET", "--close-queue")
    assert "or a fault has closed the queue" in run("dp-show", status=1).stderr


def test_a_seed_is_told(daemon: Daemon, run: Run) -> None:
    made = run("fault", "add", "--probability", "0.1", "--hold").stdout
    assert f"probability=0.1 seed={added(daemon)[FaultAttr.SEED]}: hold" in made


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ("add", 2, "say what is to happen: one of --fail, --delay, --hold"),
        ("add --hold --drop", 2, "a fault does one thing, not --hold and --drop"),
        ("add --fail ENOSUCH", 2, "'ENOSUCH' is neither a number nor a name such as ENOSPC"),
        ("add --fail 1 --errno 2", 2, "--fail has its ERRNO"),
        ("add --hold --probability 0", 2, "0.0 is not in the range 0<x<=1"),
        ("add --hold --operation IOCTL", 2, "'IOCTL' is not one of 'transact', 'write'"),
        ("del", 2, "say which: the number of a fault, or --all"),
        ("del 1 --all", 2, "say which"),
        ("release", 2, "say which"),
        ("del 7", 1, "ENOENT: there is no fault 7 (OVSDP_FAULT_ATTR_ID)"),
        ("release 7", 1, "ENOENT: there is no fault 7"),
        ("add --fail 5000", 1, "an error number is in 1..4095, not 5000"),
        ("add --hold --text x", 1, "EINVAL: HOLD has no OVSDP_FAULT_ATTR_TEXT"),
        ("add --hold --seed 1", 1, "a seed is for a PROBABILITY"),
        ("add --hold --family ovs_flo", 1, "there is no family 'ovs_flo'; there are: nlctrl"),
        ("add --hold --datapath dp7", 1, "no datapath is named 'dp7' (OVSDP_FAULT_ATTR_DATAPATH)"),
    ],
)
def test_what_is_refused(daemon: Daemon, run: Run, arguments: str, status: int, text: str) -> None:
    assert text in run("fault", *arguments.split(), status=status).stderr
    assert not list(daemon.context.faults)


def test_a_refusal_as_json(daemon: Daemon, run: Run) -> None:
    error = json.loads(run("fault", "del", "7", "--json", status=1).stderr)["error"]
    assert (error["errno"], error["attribute"]) == ("ENOENT", "OVSDP_FAULT_ATTR_ID")
