"""A Network Service Header in a key (RFC 8300), as net/openvswitch/flow_netlink.c has it."""

from __future__ import annotations

from errno import EINVAL
from typing import Final

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.layout import NSH_LAYOUTS
from ovsdp_cuse.switch.key import NSH_MDTYPE
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.nsh import NSH, NshKeyAttr

NSH_M_TYPE1: Final = 1
"""Four words of context follow the header (RFC 8300, section 2.4)."""


def parse_nsh(data: bytes, is_mask: bool = False) -> int:
    """The fields of a key, or of a mask; raises DatapathError (EINVAL).

    A key with other metadata than type 1 is refused (nsh_key_put_from_nlattr).
    """
    fields = 0
    payloads = dict(NSH.items(data))
    for number, payload in payloads.items():
        if number not in NSH_LAYOUTS:
            raise DatapathError(EINVAL, "metadata of type 2 is not supported in a key", (number,))
        fields |= NSH_LAYOUTS[number].parse(payload)
    if not is_mask and NshKeyAttr.MD1 in payloads and NSH_MDTYPE.get(fields) != NSH_M_TYPE1:
        raise DatapathError(
            EINVAL,
            f"metadata of type 1 in a header of type {NSH_MDTYPE.get(fields)}",
            (NshKeyAttr.MD1,),
        )
    return fields


def build_nsh(fields: int, is_mask: bool = False) -> bytes:
    """The attributes in KeyAttr.NSH; the context is there where the header says so."""
    data = pack_attribute(NshKeyAttr.BASE, NSH_LAYOUTS[NshKeyAttr.BASE].build(fields))
    if is_mask or NSH_MDTYPE.get(fields) == NSH_M_TYPE1:
        data += pack_attribute(NshKeyAttr.MD1, NSH_LAYOUTS[NshKeyAttr.MD1].build(fields))
    return data
