"""Whole flows, one a line, as `ovs-dpctl dump-flows` prints them, and with `-m`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowStats
from ovsdp_cuse.wire.text.actions import actions_text
from ovsdp_cuse.wire.text.key import key_text

REMEMBERED: Final = 4096
"""Lists of actions whose text is kept: many flows have the same."""

_TCP_FLAGS: Final = (
    (0x02, "S"),
    (0x01, "F"),
    (0x08, "P"),
    (0x04, "R"),
    (0x20, "U"),
    (0x10, "."),
    (0x40, "E"),
    (0x80, "C"),
)
"""The order in which flags are written is tcpdump's, not that of the bits."""


class FlowText:
    """Writes the flows of one datapath.

    port_names: by number; ports without a name are numbers. `ovs-dpctl` names them with -m only.
    verbose: as -m does, with the UFID and with what the mask does not look at.
    """

    def __init__(self, port_names: Mapping[int, str] | None = None, verbose: bool = False) -> None:
        self._port_names = port_names
        self._verbose = verbose
        self._actions: dict[bytes, str] = {}

    def line(self, message: Message, now_ms: int) -> str:
        """A flow, from a message of OVS_FLOW_FAMILY.

        now_ms: milliseconds of CLOCK_MONOTONIC, which its time of last use is told relative to.
        """
        attributes = message.attributes
        key = self.key(attributes.get(FlowAttr.KEY, b""), attributes.get(FlowAttr.MASK))
        stats: FlowStats = attributes.get(FlowAttr.STATS, _NO_STATS)
        used: int = attributes.get(FlowAttr.USED, 0)
        ago = f"{(now_ms - used) / 1000:.3f}s" if used else "never"
        line = f"{key}, packets:{stats.n_packets}, bytes:{stats.n_bytes}, used:{ago}"
        if tcp_flags := attributes.get(FlowAttr.TCP_FLAGS, 0):
            line += f", flags:{tcp_flags_text(tcp_flags)}"
        if self._verbose:
            line += ", dp:ovs"
            if FlowAttr.UFID in attributes:
                line = f"{ufid_text(attributes[FlowAttr.UFID])}, {line}"
        if FlowAttr.ACTIONS in attributes:
            line += f", actions:{self.actions(attributes[FlowAttr.ACTIONS])}"
        return line

    def key(self, key: bytes, mask: bytes | None = None) -> str:
        """A key with its mask, from the payloads of their attributes."""
        return key_text(key, mask, self._port_names, self._verbose)

    def actions(self, payload: bytes) -> str:
        """A list of actions, from the payload of its attribute."""
        text = self._actions.get(payload)
        if text is None:
            if len(self._actions) >= REMEMBERED:
                self._actions.clear()
            text = self._actions[payload] = actions_text(payload, self._port_names)
        return text


_NO_STATS: Final = FlowStats(0, 0)
_UFID: Final = FLOW.attributes.table[FlowAttr.UFID]


def ufid_text(ufid: bytes) -> str:
    """ufid:00112233-4455-6677-8899-aabbccddeeff, as words of the machine's byte order."""
    text = _UFID.format(ufid)
    return text if text.startswith("ufid:") else f"ufid:{text}"


def tcp_flags_text(flags: int) -> str:
    """SP., the flags of all packets together; `none` for none."""
    return "".join(letter for bit, letter in _TCP_FLAGS if flags & bit) or "none"


def flow_line(
    message: Message, port_names: Mapping[int, str] | None, verbose: bool, now_ms: int
) -> str:
    """One flow; for many, make a FlowText and keep it."""
    return FlowText(port_names, verbose).line(message, now_ms)
