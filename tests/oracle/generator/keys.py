"""Flow keys as Linux 6.1 wants them, and masks that fit them more or less."""

from __future__ import annotations

import struct
from random import Random

from tests.oracle import keys
from tests.oracle.generator.tree import Node
from tests.oracle.messages import Key, NshKey, TunnelKey, be16, be32, u16, u32

EDGE_BYTES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
L3_TYPES = (keys.P_IP, keys.P_IPV6, keys.P_ARP, keys.P_RARP, keys.P_MPLS, keys.P_NSH)


def some_bytes(random: Random, size: int) -> bytes:
    """Bytes: zeros, ones, edges, or anything."""
    kind = random.randrange(6)
    if kind == 0:
        return bytes(size)
    if kind == 1:
        return b"\xff" * size
    if kind == 2:
        return bytes(random.choice(EDGE_BYTES) for _ in range(size))
    return random.randbytes(size)


def some_mac(random: Random) -> bytes:
    return random.choice((keys.ETH_A, keys.ETH_B, b"\xff" * 6, bytes(6), random.randbytes(6)))


def some_port(random: Random) -> int:
    return random.choice((0, 53, 80, 443, 4789, 65535, random.randrange(65536)))


def metadata(random: Random) -> list[Node]:
    """What a packet brings beside its headers."""
    nodes = []
    for chance, number, size in (
        (0.1, Key.RECIRC_ID, 4),
        (0.1, Key.DP_HASH, 4),
        (0.2, Key.PRIORITY, 4),
        (0.2, Key.SKB_MARK, 4),
        (0.1, Key.CT_ZONE, 2),
        (0.1, Key.CT_MARK, 4),
        (0.08, Key.CT_LABELS, 16),
    ):
        if random.random() < chance:
            nodes.append(Node(number, some_bytes(random, size)))
    if random.random() < 0.12:
        nodes.append(Node(Key.CT_STATE, u32(random.randrange(256))))
    if random.random() < 0.12:
        nodes.append(Node(Key.TUNNEL, tunnel(random)))
    if random.random() < 0.9:
        port = random.choice((0, 1, 2, 3, 100, 65534, random.randrange(65535)))
        nodes.append(Node(Key.IN_PORT, u32(port)))
    return nodes


def tunnel(random: Random) -> list[Node]:
    """A tunnel key."""
    nodes = []
    if random.random() < 0.8:
        nodes.append(Node(TunnelKey.ID, some_bytes(random, 8)))
    if random.random() < 0.75:
        nodes += [Node(TunnelKey.IPV4_SRC, some_bytes(random, 4))] * random.randrange(2)
        nodes.append(Node(TunnelKey.IPV4_DST, random.randbytes(4)))
    else:
        nodes += [Node(TunnelKey.IPV6_SRC, some_bytes(random, 16))] * random.randrange(2)
        nodes.append(Node(TunnelKey.IPV6_DST, random.randbytes(16)))
    nodes += [Node(TunnelKey.TOS, some_bytes(random, 1))] * random.randrange(2)
    if random.random() < 0.95:
        nodes.append(Node(TunnelKey.TTL, some_bytes(random, 1)))
    for flag in (TunnelKey.DONT_FRAGMENT, TunnelKey.CSUM, TunnelKey.OAM):
        nodes += [Node(flag)] * (random.random() < 0.3)
    for port in (TunnelKey.TP_SRC, TunnelKey.TP_DST):
        nodes += [Node(port, some_bytes(random, 2))] * (random.random() < 0.3)
    options = random.random()
    if options < 0.15:
        nodes.append(Node(TunnelKey.VXLAN_OPTS, [Node(1, some_bytes(random, 4))]))
    elif options < 0.35:
        words = random.choice((1, 1, 2, 8, 31))
        option = random.randbytes(2) + bytes([random.randrange(256), words])
        nodes.append(Node(TunnelKey.GENEVE_OPTS, option + random.randbytes(4 * words)))
    elif options < 0.4:
        nodes.append(Node(TunnelKey.ERSPAN_OPTS, bytes([1, 0, 0, 0]) + random.randbytes(8)))
    return nodes


def layer4(random: Random, protocol: int, is_ipv6: bool) -> list[Node]:
    """What follows an IP header."""
    both = be16(some_port(random), some_port(random))
    if protocol == keys.TCP:
        flags = [Node(Key.TCP_FLAGS, be16(random.randrange(0x1000)))]
        return [Node(Key.TCP, both), *flags * (random.random() < 0.8)]
    if protocol == keys.UDP:
        return [Node(Key.UDP, both)]
    if protocol == keys.SCTP:
        return [Node(Key.SCTP, both)]
    if protocol == keys.ICMP and not is_ipv6:
        return [Node(Key.ICMP, some_bytes(random, 2))]
    if protocol == keys.ICMPV6 and is_ipv6:
        kind = random.choice((128, 129, 135, 136, random.randrange(256)))
        nodes = [Node(Key.ICMPV6, bytes([kind, 0 if random.random() < 0.9 else 1]))]
        if kind in (135, 136) and random.random() < 0.9:
            nodes.append(Node(Key.ND, random.randbytes(28)))
        return nodes
    return []


def some_protocol(random: Random) -> int:
    common = (keys.TCP, keys.UDP, keys.UDP, keys.SCTP, keys.ICMP, keys.ICMPV6, keys.GRE, 0)
    return random.choice((*common, random.randrange(256)))


def layer3(random: Random, kind: int) -> list[Node]:
    """What follows an EtherType."""
    if kind == keys.P_IP:
        protocol = some_protocol(random)
        frag = random.choice((0, 0, 0, 0, 0, 1, 2))
        fields = bytes([protocol, random.choice(EDGE_BYTES), random.randrange(256), frag])
        nodes = [Node(Key.IPV4, some_bytes(random, 8) + fields)]
        return nodes + (layer4(random, protocol, False) if frag != 2 else [])
    if kind == keys.P_IPV6:
        protocol = some_protocol(random)
        frag = random.choice((0, 0, 0, 0, 0, 1, 2))
        label = be32(random.choice((0, 0, 0xFFFFF, random.randrange(1 << 20))))
        fields = bytes([protocol, random.choice(EDGE_BYTES), random.randrange(256), frag])
        nodes = [Node(Key.IPV6, some_bytes(random, 32) + label + fields)]
        if random.random() < 0.1:
            nodes.append(Node(Key.IPV6_EXTHDRS, u16(random.randrange(1 << 9))))
        return nodes + (layer4(random, protocol, True) if frag != 2 else [])
    if kind in (keys.P_ARP, keys.P_RARP):
        operation = be16(random.choice((1, 2, 3, 4, 0, 255)))
        arp = random.randbytes(8) + operation + some_mac(random) + some_mac(random) + bytes(2)
        return [Node(Key.ARP, arp)]
    if kind == keys.P_MPLS:
        stack = [random.getrandbits(32) for _ in range(random.choice((1, 1, 1, 2, 3)))]
        return [Node(Key.MPLS, be32(*stack))]
    if kind == keys.P_NSH:
        return [Node(Key.NSH, nsh(random))]
    return []


def nsh(random: Random) -> list[Node]:
    """An NSH key."""
    kind = random.choice((1, 1, 1, 2))
    head = bytes([random.choice((0, 0, 1, 2, 3)), random.randrange(64), kind])
    head += bytes([random.choice((1, 2, 3, 5))]) + random.randbytes(4)
    context = [Node(NshKey.MD1, random.randbytes(16))] if kind == 1 else []
    return [Node(NshKey.BASE, head), *context]


def key(random: Random) -> list[Node]:
    """A key, most often one that the kernel takes."""
    nodes = metadata(random)
    kind = random.choice(
        (*L3_TYPES, keys.P_IP, keys.P_IP, keys.P_IPV6, 0x1234, random.randrange(65536))
    )
    if random.random() < 0.05:
        nodes += [Node(Key.PACKET_TYPE, be16(1, kind))] * (random.random() < 0.8)
        return [*nodes, Node(Key.ETHERTYPE, be16(kind)), *layer3(random, kind)]
    nodes.append(Node(Key.ETHERNET, some_mac(random) + some_mac(random)))
    inner = layer3(random, kind)
    if kind >= 0x600 or random.random() < 0.3:
        inner.insert(0, Node(Key.ETHERTYPE, be16(kind)))
    tags = random.choice((0, 0, 0, 0, 1, 1, 2))
    for _tag in range(tags):
        tci = random.randrange(65536) | (keys.VLAN_CFI if random.random() < 0.95 else 0)
        inner = [
            Node(Key.ETHERTYPE, be16(random.choice((keys.P_8021Q, keys.P_8021AD)))),
            Node(Key.VLAN, be16(tci)),
            Node(Key.ENCAP, inner),
        ]
    nodes += inner
    if random.random() < 0.3:
        random.shuffle(nodes)
    return nodes


def mask(random: Random, of: list[Node]) -> list[Node]:
    """A mask for a key, most often one that the kernel takes."""
    nodes = []
    careful = random.random() < 0.9
    for node in of:
        chance = random.random()
        exact = careful and node.number in (Key.ETHERTYPE, Key.VLAN, Key.ENCAP, Key.IPV4, Key.IPV6)
        if not exact and chance < 0.2:
            continue
        if isinstance(node.content, list):
            nodes.append(Node(node.number, mask(random, node.content)))
        elif node.number == Key.CT_STATE:
            nodes.append(Node(node.number, u32(random.randrange(256))))
        elif chance < 0.6 or (exact and node.number in (Key.ETHERTYPE, Key.VLAN)):
            nodes.append(Node(node.number, b"\xff" * len(node.content)))
        else:
            nodes.append(Node(node.number, _part(random, node.number, len(node.content))))
    if random.random() < 0.05:
        extra = random.choice((Key.PRIORITY, Key.SKB_MARK, Key.RECIRC_ID, Key.DP_HASH))
        nodes.append(Node(extra, some_bytes(random, 4)))
    return nodes


def _part(random: Random, number: int, size: int) -> bytes:
    """Some bits of a field, whole fields of a structure more often than not."""
    data = some_bytes(random, size)
    if number in (Key.IPV4, Key.IPV6) and random.random() < 0.7:
        at = size - 4
        fields = bytes(random.choice((0, 0xFF)) for _ in range(4))
        return data[:at] + fields
    if number == Key.IN_PORT and random.random() < 0.8:
        return struct.pack("=I", random.choice((0, 0xFFFF, 0xFFFFFFFF, 0xFF)))
    return data
