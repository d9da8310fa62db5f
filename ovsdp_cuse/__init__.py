"""An Open vSwitch datapath behind a character device.

These are the public names: what a family of another package is made of, and the error that every
request may fail with. Clients import `ovsdp_cuse.client`. A name is loaded when it is first used,
so that a client does not load the daemon.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ovsdp_cuse.errors import DatapathError
    from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, MulticastGroup
    from ovsdp_cuse.families.request import Answer, Body, Request
    from ovsdp_cuse.wire.attributes import AttributeSet, Nested, NestedArray
    from ovsdp_cuse.wire.family import FamilySchema, Message
    from ovsdp_cuse.wire.values import Binary, Flag, String, s32, s64, u8, u16, u32, u64

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AttributeSet",
    "Binary",
    "Body",
    "Command",
    "DatapathError",
    "DeviceOperation",
    "Family",
    "FamilySchema",
    "Flag",
    "Message",
    "MulticastGroup",
    "Nested",
    "NestedArray",
    "Request",
    "String",
    "__version__",
    "s32",
    "s64",
    "u8",
    "u16",
    "u32",
    "u64",
]

_HOMES = {
    "DatapathError": "errors",
    "Command": "families.registry",
    "DeviceOperation": "families.registry",
    "Family": "families.registry",
    "MulticastGroup": "families.registry",
    "Answer": "families.request",
    "Body": "families.request",
    "Request": "families.request",
    "AttributeSet": "wire.attributes",
    "Nested": "wire.attributes",
    "NestedArray": "wire.attributes",
    "FamilySchema": "wire.family",
    "Message": "wire.family",
    **dict.fromkeys(
        ("Binary", "Flag", "String", "s32", "s64", "u8", "u16", "u32", "u64"), "wire.values"
    ),
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
