"""Requests by hand: every command, attribute and error of each family."""

from __future__ import annotations

from tests.oracle.scenarios import (
    actions,
    ct_limit,
    datapath,
    flow,
    keys,
    meter,
    nlctrl,
    packet,
    set_actions,
    vport,
)
from tests.oracle.steps import Scenario

ALL: tuple[Scenario, ...] = (
    *nlctrl.SCENARIOS,
    *datapath.SCENARIOS,
    *vport.SCENARIOS,
    *flow.SCENARIOS,
    *keys.SCENARIOS,
    *actions.SCENARIOS,
    *set_actions.SCENARIOS,
    *packet.SCENARIOS,
    *meter.SCENARIOS,
    *ct_limit.SCENARIOS,
)
