"""info."""

from __future__ import annotations

import json
import os

from ovsdp_cuse.families.builtin import BUILT_IN
from tests.command_line.conftest import Run
from tests.families.doors import Daemon


def test_a_table_of_families(daemon: Daemon, run: Run) -> None:
    text = run("info").stdout
    assert "device: FUSE node, mode 0640, owner " in text
    assert f"version unknown, process {os.getpid()}, up 0:00:" in text
    for family in BUILT_IN:
        assert f" {family.schema.name} " in text
        assert all(command.name in text for command in family.commands)
    assert "102 ovs_datapath" in text
    assert "do admin" in text


def test_the_same_as_json(daemon: Daemon, run: Run) -> None:
    document = json.loads(run("info", "--json").stdout)
    assert (document["node"], document["mode"], document["pid"]) == ("fuse", "0640", 1)
    assert (document["version"], document["process"]) == ("unknown", os.getpid())
    assert (document["interfaces"], document["state"]) == ("memory", None)
    assert 0 <= document["uptime_s"] < 60
    families = {family["name"]: family for family in document["families"]}
    datapath = families["ovs_datapath"]
    assert (datapath["id"], datapath["version"], datapath["header_size"]) == (0x12, 2, 4)
    assert datapath["groups"] == {"ovs_datapath": 102}
    assert datapath["commands"][2] == {
        "number": 3,
        "names": ["OVS_DP_CMD_GET"],
        "can": ["do", "dump"],
    }
    control = families["ovs_win_control"]["commands"][0]
    assert control["names"] == ["OVS_CTRL_CMD_WIN_GET_PID", "OVS_CTRL_CMD_WIN_PEND_REQ"]
    unknown = families["big"]["commands"][0]
    assert unknown == {"number": 1, "names": [], "can": ["do", "dump"]}
