"""Ingress policing: the limits that traffic control has for what an interface receives.

A packet socket gets its copy of a frame before traffic control sees the frame, so what a filter
drops there would pass here. The filters that police all frames, as Open vSwitch makes them for
ingress_policing_rate, are therefore read, and the same token buckets kept here; other filters are
not looked at. What a bucket does is tcf_police_act() of net/sched/act_police.c, Linux 6.1;
layouts: <linux/pkt_cls.h>, <linux/tc_act/*.h>.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ovsdp_cuse.ports.rtnetlink import attributes_in, nested_attributes

TCMSG: Final = struct.Struct("=BxxxiIII")
"""struct tcmsg: family, ifindex, handle, parent, info."""
TCA_KIND, TCA_OPTIONS = 1, 2
ACTIONS: Final = {b"basic\0": 3, b"matchall\0": 2}
"""Kinds of filters that may match all frames, and their attribute with a list of actions."""
TCA_BASIC_EMATCHES: Final = 2
"""With it, a basic filter does not match all."""
TCA_ACT_KIND, TCA_ACT_OPTIONS = 1, 2
TCA_POLICE_TBF, TCA_POLICE_RATE64 = 1, 8
TCA_POLICE_PKTRATE64, TCA_POLICE_PKTBURST64 = 10, 11
POLICE: Final = struct.Struct("=IiIII8xI")
"""struct tc_police, its beginning: index, action, limit, burst, mtu; the rate of struct
tc_ratespec."""
U64: Final = struct.Struct("=Q")
TC_ACT_SHOT: Final = 2

TICK_NS: Final = 64
"""What bursts are counted in: PSCHED_TICKS2NS()."""
SECOND_NS: Final = 1_000_000_000


@dataclass(slots=True)
class Bucket:
    """Tokens of time: what costs `cost_ns` passes while there is as much, up to `burst_ns`."""

    burst_ns: int
    tokens_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self.tokens_ns = self.burst_ns

    def left(self, passed_ns: int, cost_ns: int) -> int:
        """What would be left after `passed_ns`, and after paying; below 0 it is too much."""
        return min(self.tokens_ns + min(passed_ns, self.burst_ns), self.burst_ns) - cost_ns


@dataclass(slots=True)
class Policer:
    """One police action that drops what exceeds its rates.

    rate: bytes a second, 0 for no limit. packet_rate: packets a second, likewise. The bursts are
    times in nanoseconds, for which these rates can be saved up. since_ns: when it began.
    """

    rate: int
    burst_ns: int
    packet_rate: int
    packet_burst_ns: int
    since_ns: int
    _bytes: Bucket = field(init=False)
    _packets: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self._bytes = Bucket(self.burst_ns)
        self._packets = Bucket(self.packet_burst_ns)

    def allows(self, length: int, now_ns: int) -> bool:
        """Whether a packet of `length` bytes, without its Ethernet header, passes now."""
        passed = now_ns - self.since_ns
        bytes_left = packets_left = 0
        if self.rate:
            bytes_left = self._bytes.left(passed, length * SECOND_NS // self.rate)
        if self.packet_rate:
            packets_left = self._packets.left(passed, SECOND_NS // self.packet_rate)
        if bytes_left < 0 or packets_left < 0:
            return False
        self.since_ns = now_ns
        self._bytes.tokens_ns, self._packets.tokens_ns = bytes_left, packets_left
        return True


def policers_in(filters: Iterable[bytes], now_ns: int) -> list[Policer]:
    """Those of all frames among filters (RTM_NEWTFILTER messages with their headers)."""
    return [policer for message in filters for policer in _policers(message, now_ns)]


def _policers(message: bytes, now_ns: int) -> Iterator[Policer]:
    found = attributes_in(message, TCMSG.size)
    kind = found.get(TCA_KIND, b"")
    if kind not in ACTIONS:
        return
    options = nested_attributes(found.get(TCA_OPTIONS, b""))
    if kind == b"basic\0" and TCA_BASIC_EMATCHES in options:
        return
    for action in nested_attributes(options.get(ACTIONS[kind], b"")).values():
        parts = nested_attributes(action)
        if parts.get(TCA_ACT_KIND) == b"police\0":
            yield from _parsed(nested_attributes(parts.get(TCA_ACT_OPTIONS, b"")), now_ns)


def _parsed(options: dict[int, bytes], now_ns: int) -> Iterator[Policer]:
    _index, action, _limit, burst, _mtu, rate = POLICE.unpack_from(options[TCA_POLICE_TBF])
    if action != TC_ACT_SHOT:
        return
    yield Policer(
        _u64(options, TCA_POLICE_RATE64) or rate,
        burst * TICK_NS,
        _u64(options, TCA_POLICE_PKTRATE64),
        _u64(options, TCA_POLICE_PKTBURST64) * TICK_NS,
        now_ns,
    )


def _u64(options: dict[int, bytes], number: int) -> int:
    payload = options.get(number)
    found: int = U64.unpack(payload)[0] if payload is not None else 0
    return found
