"""pytest in pytest: runs of tests that use the plugin."""

from __future__ import annotations

from collections.abc import Callable

import pytest

PLUGIN = "ovsdp_cuse.testing.plugin"

HELPERS = """
import pytest, threading, time
from errno import *
from ovsdp_cuse import *
from ovsdp_cuse.client import *
from ovsdp_cuse.wire.control import CONTROL, ControlCmd
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.fault import FaultEffect
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportType


def make(device, name="dp0"):
    asked = {DpAttr.NAME: name, DpAttr.UPCALL_PID: (device.pid,)}
    return device.transact(DATAPATH, DpCmd.NEW, asked).dp_ifindex


def add_port(device, index, name):
    asked = {VportAttr.TYPE: VportType.NETDEV, VportAttr.NAME: name}
    asked[VportAttr.UPCALL_PID] = (device.pid,)
    device.transact(VPORT, VportCmd.NEW, asked, dp_ifindex=index)


"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run the text of a test module, with HELPERS before it; further arguments are pytest's."""

    def run(text: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(HELPERS + text)
        return pytester.runpytest_inprocess("-p", PLUGIN, "-W", "error", *options)

    return run
