"""The families of this package, in one table; `registry.installed_families` finds others."""

from __future__ import annotations

from ovsdp_cuse.families import (
    control,
    ct_limit,
    datapath,
    flow,
    meter,
    netdev,
    nlctrl,
    ovsdp_control,
    packet,
    vport,
)
from ovsdp_cuse.families.registry import Family

BUILT_IN: tuple[Family, ...] = (
    nlctrl.FAMILY,
    control.FAMILY,
    datapath.FAMILY,
    packet.FAMILY,
    vport.FAMILY,
    flow.FAMILY,
    netdev.FAMILY,
    ct_limit.FAMILY,
    meter.FAMILY,
    ovsdp_control.FAMILY,
)
