"""Lists of actions as Linux 6.1 takes them, if the flow's key fits."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.oracle import keys
from tests.oracle.generator.keys import nsh, some_bytes, some_mac, tunnel
from tests.oracle.generator.tree import Node
from tests.oracle.messages import (
    Action,
    CheckPktLen,
    DecTtl,
    Key,
    Sample,
    Userspace,
    be16,
    be32,
    u16,
    u32,
)

FIELD_SIZES = {
    Key.PRIORITY: 4,
    Key.SKB_MARK: 4,
    Key.ETHERNET: 12,
    Key.IPV4: 12,
    Key.IPV6: 40,
    Key.TCP: 4,
    Key.UDP: 4,
    Key.SCTP: 4,
    Key.MPLS: 4,
}
"""Bytes of what SET may set."""
FIRST_FIELD_BYTE = {Key.IPV4: 8, Key.IPV6: 36}
"""Where protocol, class, time to live and fragment stand."""
DEEPEST = 3


class Lists:
    """Makes lists of actions.

    pid: where upcalls go. certain: whether nothing may be left to chance when the actions run.
    of: the attributes of the flow's key, which say what may be set.
    """

    def __init__(self, random: Random, pid: int, certain: bool, of: list[Node]) -> None:
        self._random = random
        self._pid = pid
        self._certain = certain
        self._fields = {node.number: node.content for node in _flat(of)}
        there = self._fields
        mpls = Key.MPLS in there
        self._makers: list[tuple[float, Callable[[int], Node]]] = [
            (20, self._output),
            (8, self.userspace),
            (12, self._set),
            (20, self._set_masked),
            (8, self._push_vlan),
            (8, lambda _depth: Node(Action.POP_VLAN)),
            (3, self._push_mpls),
            (2, self._add_mpls),
            (12 if mpls else 0.3, self._pop_mpls),
            (1 if Key.ETHERNET in there else 6, self._push_eth),
            (2, lambda _depth: Node(Action.POP_ETH)),
            (2, lambda _depth: Node(Action.PUSH_NSH, [Node(Key.NSH, nsh(random))])),
            (6 if Key.NSH in there else 0.2, lambda _depth: Node(Action.POP_NSH)),
            (3, lambda _depth: Node(Action.HASH, u32(0, random.getrandbits(32)))),
            (3, lambda _depth: Node(Action.RECIRC, u32(random.randrange(5)))),
            (4, self._trunc),
            (1, lambda _depth: Node(Action.METER, u32(random.randrange(9)))),
            (4, self._sample),
            (4, self._clone),
            (4, self._check_pkt_len),
            (3, self._dec_ttl),
        ]
        self._weights = [weight for weight, _maker in self._makers]

    def make(self, depth: int = 0) -> list[Node]:
        """A list of actions."""
        most = 6 if depth == 0 else 3
        return [self._one(depth) for _ in range(self._random.randrange(most))]

    def _one(self, depth: int) -> Node:
        (_weight, maker), *_ = self._random.choices(self._makers, self._weights)
        return maker(depth)

    def _output(self, _depth: int) -> Node:
        return Node(Action.OUTPUT, u32(self._random.choice((0, 1, 2, 3, 2, 3, 400, 65534))))

    def userspace(self, _depth: int) -> Node:
        nodes = [Node(Userspace.PID, u32(self._pid))]
        random = self._random
        if random.random() < 0.6:
            nodes.append(Node(Userspace.USERDATA, random.randbytes(random.choice((0, 4, 5, 16)))))
        if random.random() < 0.2:
            nodes.append(Node(Userspace.EGRESS_TUN_PORT, u32(random.randrange(4))))
        if random.random() < 0.3:
            nodes.append(Node(Userspace.ACTIONS))
        return Node(Action.USERSPACE, nodes)

    def _field(self) -> tuple[int, bytes]:
        """A field that may be set, and its value."""
        random = self._random
        there = [number for number in FIELD_SIZES if number in self._fields]
        anything = random.random() < 0.02 or not there
        number = random.choice(list(FIELD_SIZES) if anything else there)
        size = FIELD_SIZES[number]
        current = self._fields.get(number, b"")
        value = bytearray(some_bytes(random, size))
        if isinstance(current, bytes) and len(current) == size and number in FIRST_FIELD_BYTE:
            at = FIRST_FIELD_BYTE[Key(number)]
            if random.random() < 0.97:  # the protocol and the fragment type must stay
                value[at], value[at + 3] = current[at], current[at + 3]
                value[at - 4 : at] = (
                    current[at - 4 : at] if number == Key.IPV6 else value[at - 4 : at]
                )
        return number, bytes(value)

    def _set(self, _depth: int) -> Node:
        if self._random.random() < 0.08 and not self._certain:
            return Node(Action.SET, [Node(Key.TUNNEL, tunnel(self._random))])
        number, value = self._field()
        return Node(Action.SET, [Node(number, value)])

    def _set_masked(self, _depth: int) -> Node:
        random = self._random
        number, value = self._field()
        mask = bytearray(some_bytes(random, len(value)))
        if number in FIRST_FIELD_BYTE and random.random() < 0.97:
            at = FIRST_FIELD_BYTE[Key(number)]
            mask[at] = mask[at + 3] = 0
            if number == Key.IPV6:
                mask[at - 4] = mask[at - 3] = 0
        masked = value
        if random.random() < 0.97:
            masked = bytes(a & b for a, b in zip(value, mask, strict=True))
        return Node(Action.SET_MASKED, [Node(number, masked + bytes(mask))])

    def _push_vlan(self, _depth: int) -> Node:
        random = self._random
        tci = random.randrange(65536) | (keys.VLAN_CFI if random.random() < 0.95 else 0)
        return Node(Action.PUSH_VLAN, be16(random.choice((keys.P_8021Q, keys.P_8021AD)), tci))

    def _push_mpls(self, _depth: int) -> Node:
        kind = self._random.choice((keys.P_MPLS, keys.P_MPLS_MC))
        return Node(Action.PUSH_MPLS, be32(self._random.getrandbits(32)) + be16(kind) + bytes(2))

    def _add_mpls(self, _depth: int) -> Node:
        random = self._random
        kind = be16(random.choice((keys.P_MPLS, keys.P_MPLS_MC)))
        return Node(Action.ADD_MPLS, be32(random.getrandbits(32)) + kind + u16(random.randrange(2)))

    def _pop_mpls(self, _depth: int) -> Node:
        kinds = (keys.P_IP, keys.P_IPV6, keys.P_MPLS, keys.P_TEB, keys.P_ARP)
        return Node(Action.POP_MPLS, be16(self._random.choice(kinds)))

    def _push_eth(self, _depth: int) -> Node:
        return Node(Action.PUSH_ETH, some_mac(self._random) + some_mac(self._random))

    def _trunc(self, _depth: int) -> Node:
        # Never less than the headers that may be popped: see cases.executions.
        sizes = (60, 64, 100, 200, 70000) if self._certain else (14, 20, 60, 100, 70000)
        return Node(Action.TRUNC, u32(self._random.choice(sizes)))

    def _inside(self, depth: int) -> list[Node]:
        return self.make(depth + 1) if depth < DEEPEST else []

    def _sample(self, depth: int) -> Node:
        random = self._random
        chances = (0, 0xFFFFFFFF) if self._certain else (0, 1, 0xFFFFFFFF, random.getrandbits(32))
        return Node(
            Action.SAMPLE,
            [
                Node(Sample.PROBABILITY, u32(random.choice(chances))),
                Node(Sample.ACTIONS, self._inside(depth)),
            ],
        )

    def _clone(self, depth: int) -> Node:
        return Node(Action.CLONE, self._inside(depth))

    def _check_pkt_len(self, depth: int) -> Node:
        nodes = [
            Node(CheckPktLen.PKT_LEN, u16(self._random.choice((1, 14, 60, 64, 100, 65535)))),
            Node(CheckPktLen.ACTIONS_IF_GREATER, self._inside(depth)),
            Node(CheckPktLen.ACTIONS_IF_LESS_EQUAL, self._inside(depth)),
        ]
        if self._random.random() < 0.3:
            self._random.shuffle(nodes)
        return Node(Action.CHECK_PKT_LEN, nodes)

    def _dec_ttl(self, depth: int) -> Node:
        return Node(Action.DEC_TTL, [Node(DecTtl.ACTION, self._inside(depth))])


def _flat(nodes: list[Node]) -> list[Node]:
    """A key's attributes, those within ENCAP too."""
    found = []
    for node in nodes:
        found.append(node)
        if node.number == Key.ENCAP and isinstance(node.content, list):
            found += _flat(node.content)
    return found
