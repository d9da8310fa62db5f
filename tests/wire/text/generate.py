"""Flows by chance: any attributes, masks and actions, sensible or not, the same for a seed.

Sizes are right, as programs read past the end of what is too short. No action is of a kind that
Open vSwitch 3.1 knows by another meaning: see ovsdp_cuse.wire.text.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from ovsdp_cuse.wire.action_attributes import (
    ActionAttr,
    CheckPktLenAttr,
    CtAttr,
    NatAttr,
    SampleAttr,
    UserspaceAttr,
)
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd, FlowStats
from ovsdp_cuse.wire.key import KEY_SIZES, KeyAttr
from ovsdp_cuse.wire.nsh import NshKeyAttr
from ovsdp_cuse.wire.tunnel import TUNNEL_SIZES, TunnelKeyAttr, VxlanExt

EDGES: Final = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
DEEPEST: Final = 2
SIZES: Final = {
    **{number: size for number, size in KEY_SIZES.items() if size > 0},
    KeyAttr.PACKET_TYPE: 4,
    KeyAttr.ND_EXTENSIONS: 8,
}
SETTABLE: Final = [
    number
    for number in SIZES
    if number not in (KeyAttr.PACKET_TYPE, KeyAttr.ND_EXTENSIONS, KeyAttr.IPV6_EXTHDRS)
]
COOKIE_SIZE: Final = 48
KINDS_OF_COOKIES: Final = 7

Pairs = list[tuple[int, bytes, bytes | None]]
"""Number, payload and mask of attributes; no mask where the mask does not have it."""


def flows(seed: int, count: int) -> Iterator[Message]:
    """As many flows, as a dump tells them."""
    for number in range(count):
        yield flow(Random(f"{seed} text {number}"))


def flow(random: Random) -> Message:
    """A flow; some were never used."""
    pairs = key(random)
    attributes = {
        FlowAttr.KEY: _pack(pairs),
        FlowAttr.ACTIONS: b"".join(_actions(random, 0)),
    }
    if random.random() < 0.9:
        attributes[FlowAttr.MASK] = _pack_mask(random, pairs)
    if random.random() < 0.5:
        attributes[FlowAttr.UFID] = random.randbytes(16)
    told: dict[int, object] = {int(number): value for number, value in attributes.items()}
    if random.random() < 0.5:
        told[FlowAttr.STATS] = FlowStats(random.getrandbits(64), random.getrandbits(40))
    if random.random() < 0.3:
        told[FlowAttr.TCP_FLAGS] = random.getrandbits(8)
    return Message(FLOW.id, FlowCmd.GET, told)


def some_bytes(random: Random, size: int) -> bytes:
    """Zeros, ones, edges, or anything."""
    kind = random.randrange(6)
    if kind < 2:
        return bytes([0xFF * kind]) * size
    if kind == 2:
        return bytes(random.choice(EDGES) for _ in range(size))
    return random.randbytes(size)


def fields_masked(random: Random, size: int) -> bytes:
    """A mask that looks at whole bytes, as most do."""
    return bytes(random.choice((0, 0xFF)) for _ in range(size))


def _mask(random: Random, size: int) -> bytes:
    return random.choice((some_bytes, fields_masked))(random, size)


def key(random: Random, depth: int = 0) -> Pairs:
    """Some attributes of a key, in any order, with masks."""
    numbers = [number for number in SIZES if random.random() < 0.25] or [KeyAttr.IN_PORT]
    pairs: Pairs = []
    for number in numbers:
        size = SIZES[number]
        payload = some_bytes(random, size)
        if number == KeyAttr.IN_PORT and random.random() < 0.8:
            payload = struct.pack("=I", random.randrange(4))
        if number in (KeyAttr.IPV4, KeyAttr.IPV6) and random.random() < 0.8:
            payload = payload[:-1] + bytes([random.randrange(3)])
        pairs.append((number, payload, _mask(random, size)))
    if random.random() < 0.2:
        size = 4 * random.randrange(1, 4)
        pairs.append((KeyAttr.MPLS, some_bytes(random, size), _mask(random, size)))
    for chance, number, make in (
        (0.3, KeyAttr.TUNNEL, tunnel),
        (0.15, KeyAttr.NSH, nsh),
    ):
        if random.random() < chance:
            inner = make(random)
            pairs.append((number, _pack(inner), _pack_mask(random, inner)))
    if random.random() < 0.2 and depth < DEEPEST:
        inner = key(random, depth + 1) if random.random() < 0.9 else []
        pairs.append((KeyAttr.ENCAP, _pack(inner), _pack_mask(random, inner)))
    random.shuffle(pairs)
    return [
        (number, payload, mask if random.random() < 0.9 else None)
        for number, payload, mask in pairs
    ]


def _pack(pairs: Pairs) -> bytes:
    return b"".join(pack_attribute(number, payload) for number, payload, _mask in pairs)


def _pack_mask(random: Random, pairs: Pairs) -> bytes:
    """The masks, and sometimes of what the key has not."""
    packed = b"".join(
        pack_attribute(number, mask) for number, _payload, mask in pairs if mask is not None
    )
    if random.random() < 0.1 and not any(number == KeyAttr.ETHERTYPE for number, *_ in pairs):
        packed += pack_attribute(KeyAttr.ETHERTYPE, some_bytes(random, 2))
    return packed


def tunnel(random: Random) -> Pairs:
    """Some attributes of a tunnel key. IPV4_INFO_BRIDGE is what Open vSwitch misreads."""
    pairs: Pairs = []
    for number, size in TUNNEL_SIZES.items():
        if size >= 0 and number != TunnelKeyAttr.IPV4_INFO_BRIDGE and random.random() < 0.4:
            pairs.append((number, some_bytes(random, size), _mask(random, size)))
    options = random.randrange(6)
    if options == 0:
        policy = pack_attribute(VxlanExt.GBP, some_bytes(random, 4))
        mask = pack_attribute(VxlanExt.GBP, _mask(random, 4)) if random.random() < 0.8 else b""
        pairs.append((TunnelKeyAttr.VXLAN_OPTS, policy, mask))
    elif options == 1:
        words = [random.choice((0, 0, 1, 2, 31)) for _ in range(random.randrange(1, 4))]
        payload = b"".join(
            some_bytes(random, 3)
            + bytes([random.choice((0, 0xE0)) | count])
            + some_bytes(random, 4 * count)
            for count in words
        )
        pairs.append((TunnelKeyAttr.GENEVE_OPTS, payload, _mask(random, len(payload))))
    elif options == 2:
        version = struct.pack("=i", random.choice((1, 2, 2, 3)))
        mask = random.choice((b"\xff\0\0\0", b"\xff" * 4, bytes(4))) + _mask(random, 8)
        pairs.append((TunnelKeyAttr.ERSPAN_OPTS, version + some_bytes(random, 8), mask))
    return pairs


def nsh(random: Random) -> Pairs:
    """Some attributes of a service header."""
    pairs: Pairs = []
    base = some_bytes(random, 2) + bytes([random.choice((1, 2, 3))]) + some_bytes(random, 5)
    if random.random() < 0.9:
        mask = _mask(random, 8)
        if random.random() < 0.4:
            mask = mask[:4] + b"\xff" * 4
        pairs.append((NshKeyAttr.BASE, base, mask))
    if random.random() < 0.6:
        pairs.append((NshKeyAttr.MD1, some_bytes(random, 16), _mask(random, 16)))
    return pairs


Maker = Callable[[Random, int], bytes]


def _actions(random: Random, depth: int) -> Iterator[bytes]:
    for _ in range(random.randrange(5 - depth)):
        yield random.choice(MAKERS)(random, depth)


def _inside(random: Random, depth: int) -> bytes:
    return b"".join(_actions(random, depth + 1)) if depth < DEEPEST else b""


def _sized(number: int, size: int) -> Maker:
    return lambda random, _depth: pack_attribute(number, some_bytes(random, size))


def _output(random: Random, _depth: int) -> bytes:
    port = random.choice((0, 1, 2, 3, 400, 0xFFFFFFFF))
    return pack_attribute(ActionAttr.OUTPUT, struct.pack("=I", port))


def _set(random: Random, _depth: int) -> bytes:
    kind = random.randrange(8)
    if kind == 0:
        inner = pack_attribute(KeyAttr.TUNNEL, _pack(tunnel(random)))
    elif kind == 1:
        inner = pack_attribute(KeyAttr.NSH, _pack(nsh(random)))
    else:
        number = random.choice(SETTABLE)
        inner = pack_attribute(number, some_bytes(random, SIZES[number]))
    return pack_attribute(ActionAttr.SET, inner)


def _set_masked(random: Random, _depth: int) -> bytes:
    number = random.choice([number for number in SETTABLE if SIZES[number] <= 40])
    size = SIZES[number]
    inner = pack_attribute(number, some_bytes(random, size) + _mask(random, size))
    if random.random() < 0.1:
        pairs = nsh(random)
        both = [(number, value + (mask or b""), None) for number, value, mask in pairs]
        inner = pack_attribute(KeyAttr.NSH, _pack([*both]))
    return pack_attribute(ActionAttr.SET_MASKED, inner)


def _push_vlan(random: Random, _depth: int) -> bytes:
    tpid = random.choice((b"\x81\0", b"\x88\xa8"))
    return pack_attribute(ActionAttr.PUSH_VLAN, tpid + some_bytes(random, 2))


def _push_nsh(random: Random, _depth: int) -> bytes:
    kind = random.choice((1, 1, 2, 2, 3))
    base = some_bytes(random, 2) + bytes([kind]) + some_bytes(random, 5)
    header = pack_attribute(NshKeyAttr.BASE, base)
    if kind == 1:
        header += pack_attribute(NshKeyAttr.MD1, some_bytes(random, 16))
    elif kind == 2:
        size = 4 * random.randrange(62)
        header += pack_attribute(NshKeyAttr.MD2, some_bytes(random, size))
    return pack_attribute(ActionAttr.PUSH_NSH, pack_attribute(KeyAttr.NSH, header))


def _hash(random: Random, _depth: int) -> bytes:
    return pack_attribute(
        ActionAttr.HASH, struct.pack("=II", random.randrange(3), random.getrandbits(32))
    )


def _userspace(random: Random, _depth: int) -> bytes:
    inner = b""
    if random.random() < 0.95:
        inner = pack_attribute(UserspaceAttr.PID, some_bytes(random, 4))
    if random.random() < 0.3:
        inner += pack_attribute(UserspaceAttr.USERDATA, some_bytes(random, random.randrange(60)))
    elif random.random() < 0.7:
        kind = struct.pack("=H", random.randrange(KINDS_OF_COOKIES))
        data = some_bytes(random, 24)
        if random.random() < 0.5:
            small = struct.pack("=I", random.randrange(3))
            data = small * 5 + small
        cookie = kind + some_bytes(random, 22) + data
        inner += pack_attribute(UserspaceAttr.USERDATA, cookie)
    if random.random() < 0.3:
        inner += pack_attribute(UserspaceAttr.EGRESS_TUN_PORT, struct.pack("=I", 2))
    if random.random() < 0.3:
        inner += pack_attribute(UserspaceAttr.ACTIONS, b"")
    return pack_attribute(ActionAttr.USERSPACE, inner)


def _ct(random: Random, _depth: int) -> bytes:
    parts = [
        (CtAttr.COMMIT, b""),
        (CtAttr.ZONE, some_bytes(random, 2)),
        (CtAttr.MARK, some_bytes(random, 4) + some_bytes(random, 4)),
        (CtAttr.LABELS, some_bytes(random, 16) + some_bytes(random, 16)),
        (CtAttr.HELPER, random.choice((b"ftp\0", b"tftp\0"))),
        (CtAttr.NAT, _nat(random)),
        (CtAttr.FORCE_COMMIT, b""),
        (CtAttr.EVENTMASK, some_bytes(random, 4)),
        (CtAttr.TIMEOUT, b"slow\0"),
    ]
    kept = [pack_attribute(*part) for part in parts if random.random() < 0.4]
    return pack_attribute(ActionAttr.CT, b"".join(kept))


def _nat(random: Random) -> bytes:
    size = random.choice((4, 16))
    ends = sorted(some_bytes(random, size) for _ in range(2))
    ports = sorted(random.choice((0, 1, 80, random.getrandbits(16))) for _ in range(2))
    if random.random() < 0.1:
        ends.reverse()
        ports.reverse()
    parts = [
        (random.choice((NatAttr.SRC, NatAttr.DST)), b""),
        (NatAttr.IP_MIN, ends[0]),
        (NatAttr.IP_MAX, ends[1]),
        (NatAttr.PROTO_MIN, struct.pack("=H", ports[0])),
        (NatAttr.PROTO_MAX, struct.pack("=H", ports[1])),
        (NatAttr.PERSISTENT, b""),
        (NatAttr.PROTO_HASH, b""),
        (NatAttr.PROTO_RANDOM, b""),
    ]
    chance = random.choice((0.1, 0.85, 0.95))
    return b"".join(pack_attribute(*part) for part in parts if random.random() < chance)


def _sample(random: Random, depth: int) -> bytes:
    chance = pack_attribute(SampleAttr.PROBABILITY, some_bytes(random, 4))
    return pack_attribute(
        ActionAttr.SAMPLE, chance + pack_attribute(SampleAttr.ACTIONS, _inside(random, depth))
    )


def _clone(random: Random, depth: int) -> bytes:
    return pack_attribute(ActionAttr.CLONE, _inside(random, depth))


def _check_pkt_len(random: Random, depth: int) -> bytes:
    parts = [
        pack_attribute(CheckPktLenAttr.PKT_LEN, some_bytes(random, 2)),
        pack_attribute(CheckPktLenAttr.ACTIONS_IF_GREATER, _inside(random, depth)),
        pack_attribute(CheckPktLenAttr.ACTIONS_IF_LESS_EQUAL, _inside(random, depth)),
    ]
    return pack_attribute(ActionAttr.CHECK_PKT_LEN, b"".join(parts[random.random() < 0.05 :]))


def _unknown(random: Random, _depth: int) -> bytes:
    return pack_attribute(random.randrange(30, 60), some_bytes(random, random.randrange(6)))


MAKERS: Final[list[Maker]] = [
    _output,
    _output,
    _userspace,
    _userspace,
    _set,
    _set,
    _set_masked,
    _set_masked,
    _push_vlan,
    _sized(ActionAttr.POP_VLAN, 0),
    _sample,
    _sized(ActionAttr.RECIRC, 4),
    _hash,
    _sized(ActionAttr.PUSH_MPLS, 8),
    _sized(ActionAttr.POP_MPLS, 2),
    _ct,
    _ct,
    _sized(ActionAttr.TRUNC, 4),
    _sized(ActionAttr.PUSH_ETH, 12),
    _sized(ActionAttr.POP_ETH, 0),
    _sized(ActionAttr.CT_CLEAR, 0),
    _push_nsh,
    _sized(ActionAttr.POP_NSH, 0),
    _sized(ActionAttr.METER, 4),
    _clone,
    _check_pkt_len,
    _sized(ActionAttr.ADD_MPLS, 8),
    _unknown,
]
