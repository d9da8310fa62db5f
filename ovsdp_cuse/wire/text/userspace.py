"""userspace(pid=7,slow_path(lacp)): upcalls that actions ask for, and what Open vSwitch's cookies
in them mean.

Source of the cookies: struct user_action_cookie of Open vSwitch 3.1, which it shows so itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from ovsdp_cuse.wire.action_attributes import UserspaceAttr
from ovsdp_cuse.wire.text.layout import Policy, parse
from ovsdp_cuse.wire.text.numbers import big, c_hex, flags_text, names_of_bits, native

ShowPort = Callable[[int], str]

POLICY: Final[Policy] = {
    UserspaceAttr.PID: (4, 4),
    UserspaceAttr.USERDATA: (0, None),
    UserspaceAttr.EGRESS_TUN_PORT: (4, 4),
    UserspaceAttr.ACTIONS: (0, None),
}

COOKIE_SIZE: Final = 48
_DATA: Final = 24
"""Where in a cookie stands what depends on its kind, which is its first u16."""

_SLOW_PATH: Final = names_of_bits("cfm", "bfd", "lacp", "stp", "lldp", "action", "match")
_DIRECTIONS: Final = {1: ",ingress", 2: ",egress"}


def userspace_text(payload: bytes, show_port: ShowPort) -> str:
    """userspace(...), of the payload of OVS_ACTION_ATTR_USERSPACE."""
    attributes = parse(payload, POLICY)
    if attributes is None or UserspaceAttr.PID not in attributes:
        return "userspace(error)"
    parts = [f"pid={native(attributes[UserspaceAttr.PID])}"]
    if UserspaceAttr.USERDATA in attributes:
        parts.append(cookie_text(attributes[UserspaceAttr.USERDATA], show_port))
    if UserspaceAttr.ACTIONS in attributes:
        parts.append("actions")
    if UserspaceAttr.EGRESS_TUN_PORT in attributes:
        port = native(attributes[UserspaceAttr.EGRESS_TUN_PORT])
        parts.append(f"tunnel_out_port={show_port(port)}")
    return f"userspace({','.join(parts)})"


def cookie_text(userdata: bytes, show_port: ShowPort) -> str:
    """What the userdata of an upcall means to Open vSwitch; else its bytes."""
    if len(userdata) == COOKIE_SIZE:
        show = _COOKIES.get(native(userdata[:2]))
        if show is not None:
            return show(userdata[_DATA:], show_port)
    return f"userdata({userdata.hex()})"


def _sflow(data: bytes, _show_port: ShowPort) -> str:
    tci, output = big(data[:2]), native(data[4:8])
    return f"sFlow(vid={tci & 0xFFF},pcp={tci >> 13},output={output})"


def _slow_path(data: bytes, _show_port: ShowPort) -> str:
    return f"slow_path({flags_text(_SLOW_PATH, native(data[4:8]), ',')})"


def _flow_sample(data: bytes, show_port: ShowPort) -> str:
    probability, set_id, domain, point, port, direction = struct.unpack("=HxxIIIII", data)
    return (
        f"flow_sample(probability={probability},collector_set_id={set_id},obs_domain_id={domain}"
        f",obs_point_id={point},output_port={show_port(port)}{_DIRECTIONS.get(direction, '')})"
    )


def _ipfix(data: bytes, show_port: ShowPort) -> str:
    return f"ipfix(output_port={show_port(native(data[:4]))})"


def _controller(data: bytes, _show_port: ShowPort) -> str:
    dont_send, continuation, reason, recirculation = struct.unpack_from("=BBHI", data)
    cookie = big(data[8:16])
    controller, longest = struct.unpack_from("=HH", data, 16)
    return (
        f"controller(reason={reason},dont_send={dont_send > 0:d},continuation={continuation > 0:d}"
        f",recirc_id={recirculation},rule_cookie={c_hex(cookie)},controller_id={controller}"
        f",max_len={longest})"
    )


_COOKIES: Final[Mapping[int, Callable[[bytes, ShowPort], str]]] = {
    1: _sflow,
    2: _slow_path,
    3: _flow_sample,
    4: _ipfix,
    5: _controller,
}
