"""Cases of the default run: flows that are installed, read, changed and deleted, and frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.oracle.frames import BAD, GOOD
from tests.oracle.generator import keys
from tests.oracle.generator.actions import Lists
from tests.oracle.generator.mutate import mutate
from tests.oracle.generator.tree import Node, build
from tests.oracle.messages import (
    ACK,
    CREATE,
    DEL,
    ECHO,
    EXCL,
    EXECUTE,
    FLOW,
    GET,
    NEW,
    PACKET,
    SET,
    Flow,
    Key,
    Packet,
    attr,
    message,
    u16,
    u32,
    u64,
)
from tests.oracle.steps import Pids

BENT = 0.3
"""How many cases have something wrong with them."""
SHORTEST = 34
"""Bytes of a frame that can lose its headers and still be one."""


@dataclass(frozen=True)
class Case:
    """Messages that belong together; kind, number and the seed make it again."""

    kind: str
    number: int
    messages: tuple[bytes, ...]


def flows(seed: int, count: int, pids: Pids) -> Iterator[Case]:
    """FLOW_NEW, GET of what was installed, sometimes SET, and DEL."""
    for number in range(count):
        random = Random(f"{seed} flow {number}")
        yield Case("flow", number, tuple(_flow(random, pids)))


def _flow(random: Random, pids: Pids) -> Iterator[bytes]:
    key = keys.key(random)
    mask = keys.mask(random, key) if random.random() < 0.7 else None
    actions = Lists(random, pids.requests, False, key).make()
    data = build(key), b"" if mask is None else build(mask), build(actions)
    if random.random() < BENT:
        bent = random.choices((0, 1, 2), (3, 2 if mask is not None else 0, 4))[0]
        trees: tuple[list[Node], ...] = (key, mask or [], actions)
        changed = list(data)
        changed[bent] = mutate(random, trees[bent])
        data = changed[0], changed[1], changed[2]
    told = attr(Flow.KEY, data[0])
    masked = attr(Flow.MASK, data[1]) if mask is not None else b""
    ufid = b""
    if random.random() < 0.3:
        ufid = attr(Flow.UFID, random.randbytes(random.choice((16, 16, 16, 4, 1))))
    flags = ECHO | ACK | random.choice((0, CREATE, CREATE | EXCL))
    yield message(FLOW, NEW, told, masked, attr(Flow.ACTIONS, data[2]), ufid, flags=flags)
    target = ufid or told
    omit = b""
    if random.random() < 0.2:
        omit = attr(Flow.UFID_FLAGS, u32(random.randrange(8)))
    yield message(FLOW, GET, target, omit, flags=ACK)
    if random.random() < 0.15:
        other = build(Lists(random, pids.requests, False, key).make())
        yield message(FLOW, SET, told, ufid, attr(Flow.ACTIONS, other), flags=ECHO | ACK)
        yield message(FLOW, GET, target, flags=ACK)
    yield message(FLOW, DEL, target, flags=ECHO | ACK)


def executions(seed: int, count: int, pids: Pids) -> Iterator[Case]:
    """EXECUTE of frames with actions, whose result comes back by upcalls.

    Frames that make Linux 6.1 itself stumble are left out: a packet with nothing left of it is a
    BUG in skb_zerocopy(), three tags of which one was popped a WARNING in __ovs_nla_put_key().
    """
    good = [frame for label, frame in GOOD.items() if label != "three VLANs"]
    frames = [frame for frame in good * 4 + [*BAD.values()] if len(frame) >= SHORTEST]
    for number in range(count):
        random = Random(f"{seed} execute {number}")
        yield Case("execution", number, (_execute(random, random.choice(frames), pids),))


def _execute(random: Random, frame: bytes, pids: Pids) -> bytes:
    metadata = [node for node in keys.metadata(random) if node.number != Key.IN_PORT]
    metadata.append(Node(Key.IN_PORT, u32(random.choice((0, 1, 2, 3)))))
    actions = Lists(random, pids.requests, True, fields_of(frame)).make()
    data = build(actions)
    if random.random() < 0.05:
        data = mutate(random, actions)
    up = Lists(random, pids.requests, True, []).userspace(0).build()
    more = [
        attr(Packet.MRU, u16(random.choice((0, 1400)))) * (random.random() < 0.1),
        attr(Packet.HASH, u64(random.randrange(4) << 32 | random.getrandbits(16)))
        * (random.random() < 0.1),
    ]
    return message(
        PACKET,
        EXECUTE,
        attr(Packet.PACKET, frame),
        attr(Packet.KEY, build(metadata)),
        attr(Packet.ACTIONS, data + up),
        *more,
        flags=ACK,
    )


def fields_of(frame: bytes) -> list[Node]:
    """What SET may set in a frame, roughly: enough for most lists to be accepted."""
    kind = frame[12:14]
    nodes = [Node(Key.ETHERNET, bytes(12)), Node(Key.PRIORITY, bytes(4))]
    nodes.append(Node(Key.SKB_MARK, bytes(4)))
    if kind == b"\x08\x00" and len(frame) >= 38:
        offset = int.from_bytes(frame[20:22], "big")
        frag = 2 if offset & 0x1FFF else 1 if offset & 0x2000 else 0
        nodes.append(Node(Key.IPV4, bytes(8) + bytes([frame[23], 0, 0, frag])))
        numbers = {6: Key.TCP, 17: Key.UDP, 132: Key.SCTP}
    elif kind == b"\x86\xdd" and len(frame) >= 58:
        nodes.append(Node(Key.IPV6, bytes(36) + bytes([frame[20], 0, 0, 0])))
        numbers = {6: Key.TCP, 17: Key.UDP, 132: Key.SCTP}
    elif kind == b"\x88\x47":
        return [*nodes, Node(Key.MPLS, bytes(4))]
    else:
        return nodes
    number = numbers.get(frame[23] if kind == b"\x08\x00" else frame[20])
    return nodes if number is None else [*nodes, Node(number, bytes(4))]
