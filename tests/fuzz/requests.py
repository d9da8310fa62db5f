"""Requests to a switch that fit its state more or less: flows, packets, ports, meters and the rest.

A flow's key is made of a frame, so that frames match it, or by chance. What is nearly valid comes
from the oracle's generator: keys, masks and actions with one thing wrong. A few are what real Open
vSwitch has asked.
"""

from __future__ import annotations

import struct
from random import Random

from ovsdp_cuse.families.translate.key import build_key
from ovsdp_cuse.switch.extract import extract
from ovsdp_cuse.switch.key import IN_PORT, MAC_PROTO, RECIRC_ID
from ovsdp_cuse.switch.packet import Packet
from ovsdp_cuse.wire.action_attributes import ActionAttr, SampleAttr, UserspaceAttr
from ovsdp_cuse.wire.attributes import pack_attribute, walk
from ovsdp_cuse.wire.ct_limit import CT_LIMIT, ZONE_LIMIT, CtLimitAttr, CtLimitCmd
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.explain import ExplainAttr
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.flow import FLOW, FlowAttr, FlowCmd
from ovsdp_cuse.wire.key import KeyAttr
from ovsdp_cuse.wire.meter import METER, BandAttr, MeterAttr, MeterCmd
from ovsdp_cuse.wire.netdev import NETDEV, NetdevAttr, NetdevCmd
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.packet import PACKET, PacketAttr, PacketCmd
from ovsdp_cuse.wire.vport import VPORT, VportAttr, VportCmd, VportType
from tests.fuzz.control import ControlInputs
from tests.fuzz.corpus import corpus
from tests.fuzz.frames import Frames
from tests.oracle.generator import keys
from tests.oracle.generator.actions import Lists
from tests.oracle.generator.mutate import mutate
from tests.oracle.generator.tree import Node, build

INTERFACES = ("a", "b", "c", "d")
"""Interfaces that a NETDEV port may have; they come and go."""
PORT_NAMES = (*INTERFACES, "x", "y", "i1", "i2", "nobody")
DATAPATHS = ("x", "y")
RECIRCULATIONS = 4
LARGEST_PAYLOAD = 0xFFFF - 4
UFIDS = tuple(bytes([number] * 16) for number in range(6))
_NESTED = (KeyAttr.ENCAP, KeyAttr.TUNNEL, KeyAttr.NSH)


def u32(*numbers: int) -> bytes:
    """Numbers as an attribute's payload."""
    return struct.pack(f"={len(numbers)}I", *numbers)


def tree(data: bytes) -> list[Node]:
    """The attributes of a key as nodes."""
    return [
        Node(number, tree(payload) if number in _NESTED else payload)
        for _offset, number, payload in walk(data)
    ]


class Requests(ControlInputs):
    """A source of requests; `indexes`: those of datapaths that are there."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.frames = Frames(random)
        self._corpus = corpus()
        self._flows: list[bytes] = []
        """KEY, or KEY and MASK, of flows that were put."""
        self._makers = (
            (30, self._flow),
            (30, self._execute),
            (8, self._vport),
            (3, self._datapath),
            (5, self._meter),
            (2, self._ct_limit),
            (2, self._netdev),
            (8, self._recorded),
            (8, self._explain),
            (4, self.control_message),
            (3, super().message),
        )

    def message(self) -> bytes:
        """A request of any family; some are mutated, as a whole or before they are built."""
        random = self.random
        (_weight, make), *_ = random.choices(
            self._makers, [weight for weight, _make in self._makers]
        )
        message = make()
        return self.mutate(message) if random.random() < 0.08 else message

    def request(self, schema: FamilySchema, command: int, *attributes: bytes) -> bytes:
        """A request to a datapath that is most likely there."""
        random = self.random
        index = random.choice(self.indexes or (1,)) if random.random() < 0.97 else self.number(8)
        flags = random.choice((0, 0, 4, 8, 0xC, 0x400, 0x600)) | 1
        if command in (FlowCmd.GET, VportCmd.GET) and random.random() < 0.1:
            flags |= 0x300
        chosen = [one for one in attributes if random.random() < 0.995]
        if random.random() < 0.05:
            random.shuffle(chosen)
        return self.build(schema, command, flags, index, b"".join(chosen))

    def _recorded(self) -> bytes:
        """What Open vSwitch has asked, of one of our datapaths and by one of our handles."""
        request = bytearray(self.random.choice(self._corpus))
        if len(request) >= 24:
            struct.pack_into("=I", request, 12, self.random.choice((0, self.own_pid)))
            struct.pack_into("=I", request, 20, self.random.choice(self.indexes or (1,)))
        return bytes(request)

    # Flows and packets -------------------------------------------------------------------------

    def key_of(self, frame: bytes, recirculation: int, port: int) -> bytes:
        """The key of a frame in netlink form; of anything where the frame has none."""
        packet = Packet.of(frame)
        metadata = MAC_PROTO.place(1) | RECIRC_ID.place(recirculation) | IN_PORT.place(port)
        if not extract(packet, metadata):
            return build(keys.key(self.random))
        return build_key(packet.key)

    def _mask_of(self, key: list[Node], exact: float) -> list[Node]:
        """A mask that has each attribute of a key, of ones or of zeros."""
        always = (KeyAttr.RECIRC_ID, KeyAttr.ETHERTYPE)
        nodes = []
        for node in key:
            if node.number == KeyAttr.TUNNEL:
                continue
            ones = node.number in always or self.random.random() < exact
            if isinstance(node.content, list):
                nodes.append(Node(node.number, self._mask_of(node.content, exact)))
            elif node.number == KeyAttr.CT_STATE:
                nodes.append(Node(node.number, u32(0xFF if ones else 0)))
            else:
                nodes.append(Node(node.number, (b"\xff" if ones else b"\0") * len(node.content)))
        return nodes

    def _flow(self) -> bytes:
        random = self.random
        command = random.choices((FlowCmd.NEW, FlowCmd.SET, FlowCmd.GET, FlowCmd.DEL), (8, 2, 1, 1))
        ufid = b""
        if random.random() < 0.3:
            ufid = pack_attribute(FlowAttr.UFID, random.choice(UFIDS)[: random.choice((16, 16, 3))])
        if random.random() < 0.2:
            ufid += pack_attribute(FlowAttr.UFID_FLAGS, u32(random.randrange(8)))
        if self._flows and random.random() < 0.4:
            match = random.choice(self._flows)
            of: list[Node] = []
        else:
            match, of = self._match()
        if command[0] in (FlowCmd.NEW, FlowCmd.SET):
            actions = pack_attribute(FlowAttr.ACTIONS, self.actions(of))
            clear = pack_attribute(FlowAttr.CLEAR, b"") if random.random() < 0.2 else b""
            self._flows = [*self._flows[-20:], match]
            return self.request(FLOW, command[0], match, actions, ufid, clear)
        if random.random() < 0.1:
            match = b""
        return self.request(FLOW, command[0], match, ufid)

    def _match(self) -> tuple[bytes, list[Node]]:
        """KEY and MASK, and the nodes of the key."""
        random = self.random
        recirculation = random.choice((0, 0, *range(RECIRCULATIONS)))
        if random.random() < 0.6:
            key = tree(self.key_of(self.frames.frame(), recirculation, random.randrange(5)))
            mask = self._mask_of(key, random.choice((0, 0, 0, 0.5, 1)))
        else:
            key = keys.key(random)
            mask = keys.mask(random, key)
        data = pack_attribute(FlowAttr.KEY, self._built(key))
        if random.random() < 0.9:
            data += pack_attribute(FlowAttr.MASK, self._built(mask))
        return data, key

    def _built(self, nodes: list[Node]) -> bytes:
        data = mutate(self.random, nodes) if self.random.random() < 0.07 else build(nodes)
        return data[:LARGEST_PAYLOAD]

    def actions(self, of: list[Node]) -> bytes:
        """A list of actions for a key: by chance, a pile of one action, or a nest."""
        random = self.random
        pid = random.choice((self.own_pid, *self.pids, 0xFFFFFFFF)) or 1
        chance = random.random()
        if chance < 0.02:
            return self._pile(pid)
        if chance < 0.06:
            return self._nest(pid)
        return self._built(Lists(random, pid, False, of).make())

    def _pile(self, pid: int) -> bytes:
        """One action many times: up to what an attribute holds."""
        random = self.random
        one = random.choice(
            (
                pack_attribute(ActionAttr.OUTPUT, u32(random.randrange(5))),
                pack_attribute(ActionAttr.USERSPACE, pack_attribute(UserspaceAttr.PID, u32(pid))),
                pack_attribute(ActionAttr.PUSH_MPLS, struct.pack("!IHxx", 1, 0x8847)),
                pack_attribute(ActionAttr.PUSH_VLAN, struct.pack("!HH", 0x8100, 0x1005)),
                pack_attribute(ActionAttr.POP_VLAN, b""),
                pack_attribute(ActionAttr.RECIRC, u32(random.randrange(RECIRCULATIONS))),
                pack_attribute(ActionAttr.CLONE, b""),
            )
        )
        times = random.choice((10, 100, LARGEST_PAYLOAD // len(one)))
        return one * times

    def _nest(self, pid: int) -> bytes:
        """Lists in lists, which recirculate."""
        random = self.random
        inner = Lists(random, pid, False, []).make()
        data = build(inner)[:1000]
        for _ in range(random.choice((1, 2, 3, 5, 15, 16, 17, 18, 100))):
            if random.random() < 0.5:
                data += pack_attribute(ActionAttr.RECIRC, u32(random.randrange(RECIRCULATIONS)))
            if random.random() < 0.5:
                data = pack_attribute(ActionAttr.CLONE, data)
            else:
                chance = random.choice((0xFFFFFFFF, 0xFFFFFFFF, 0x80000000))
                probability = pack_attribute(SampleAttr.PROBABILITY, u32(chance))
                data = pack_attribute(
                    ActionAttr.SAMPLE, probability + pack_attribute(SampleAttr.ACTIONS, data)
                )
        return data + pack_attribute(ActionAttr.OUTPUT, u32(1)) * random.randrange(2)

    def _execute(self) -> bytes:
        random = self.random
        frame = self.frames.frame(14 if random.random() < 0.98 else 0)[:LARGEST_PAYLOAD]
        recirculation = random.choice((0, 0, 0, *range(RECIRCULATIONS)))
        of = tree(self.key_of(frame, recirculation, random.randrange(5)))
        metadata = [Node(KeyAttr.IN_PORT, u32(random.choice((0, 1, 2, 3, 77, 0xFFFF))))]
        if random.random() < 0.5:
            metadata = keys.metadata(random)
        elif random.random() < 0.3:
            metadata = of
        more = b""
        if random.random() < 0.1:
            more += pack_attribute(PacketAttr.MRU, struct.pack("=H", random.choice((1, 14, 1400))))
        if random.random() < 0.1:
            more += pack_attribute(PacketAttr.HASH, struct.pack("=Q", self.number(64)))
        return self.request(
            PACKET,
            PacketCmd.EXECUTE,
            pack_attribute(PacketAttr.PACKET, frame),
            pack_attribute(PacketAttr.KEY, self._built(metadata)),
            pack_attribute(PacketAttr.ACTIONS, self.actions(of)),
            more,
        )

    def _explain(self) -> bytes:
        """What would become of a frame, with metadata or all of its key, of another at times."""
        random = self.random
        frame = self.frames.frame(14 if random.random() < 0.98 else 0)[:LARGEST_PAYLOAD]
        port = random.choice((0, 0, 1, 1, 1, 2, 2, 3, 77))
        attributes = [
            pack_attribute(ExplainAttr.IN_PORT, u32(port)),
            pack_attribute(ExplainAttr.PACKET, frame),
        ]
        chance = random.random()
        if chance < 0.3:
            key = keys.metadata(random)
            attributes.append(pack_attribute(ExplainAttr.KEY, self._built(key)))
        elif chance < 0.5:
            of = frame if chance < 0.45 else self.frames.frame()
            recirculation = random.randrange(RECIRCULATIONS)
            whole = tree(self.key_of(of, recirculation, port))
            attributes.append(pack_attribute(ExplainAttr.KEY, self._built(whole)))
        if random.random() < 0.2:
            attributes.append(pack_attribute(ExplainAttr.NOT_SAMPLED, b""))
        chosen = [one for one in attributes if random.random() < 0.99]
        dp_ifindex = random.choice(self.indexes or (1,)) if random.random() < 0.97 else 0
        return self.build(OVSDP_CONTROL, OvsdpCmd.EXPLAIN, 0x301, dp_ifindex, b"".join(chosen))

    # What flows and packets need ---------------------------------------------------------------

    def _pids(self) -> bytes:
        return u32(*(self.pid() for _ in range(self.random.choice((1, 1, 1, 2, 3, 0)))))

    def _name(self, names: tuple[str, ...]) -> bytes:
        return self.random.choice(names).encode() + b"\0"

    def _vport(self) -> bytes:
        random = self.random
        command = random.choices(tuple(VportCmd), (1, 30, 10, 10, 10))[0]
        attributes = [pack_attribute(VportAttr.NAME, self._name(PORT_NAMES))]
        if command == VportCmd.NEW or random.random() < 0.3:
            kind = random.choice((VportType.NETDEV, VportType.NETDEV, VportType.INTERNAL, 4))
            attributes.append(pack_attribute(VportAttr.TYPE, u32(kind)))
            attributes.append(pack_attribute(VportAttr.UPCALL_PID, self._pids()))
        if random.random() < 0.3:
            number = random.choice((0, 1, 2, 3, 4, 65534, 65535, 1 << 31))
            attributes.append(pack_attribute(VportAttr.PORT_NO, u32(number)))
            if command != VportCmd.NEW and random.random() < 0.7:
                del attributes[0]
        if random.random() < 0.1:
            attributes.append(pack_attribute(VportAttr.OPTIONS, self.random_bytes(12)))
        return self.request(VPORT, command, *attributes)

    def _datapath(self) -> bytes:
        random = self.random
        command = random.choices(tuple(DpCmd), (1, 10, 3, 5, 10))[0]
        attributes = [pack_attribute(DpAttr.NAME, self._name(DATAPATHS))]
        attributes.append(pack_attribute(DpAttr.UPCALL_PID, self._pids()))
        attributes.append(pack_attribute(DpAttr.USER_FEATURES, u32(random.choice(range(16)))))
        if random.random() < 0.3:
            size = random.choice((0, 1, 2, 256, 3, 1 << 20))
            attributes.append(pack_attribute(DpAttr.MASKS_CACHE_SIZE, u32(size)))
        if random.random() < 0.5:
            attributes.append(pack_attribute(DpAttr.PER_CPU_PIDS, self._pids()))
        return self.request(DATAPATH, command, *attributes)

    def _meter(self) -> bytes:
        random = self.random
        bands = b""
        for _ in range(random.choice((0, 1, 1, 2, 5, 6))):
            band = pack_attribute(BandAttr.TYPE, u32(random.choice((1, 1, 1, 2))))
            band += pack_attribute(BandAttr.RATE, u32(random.choice((0, 1, 1, 2**32 - 1))))
            band += pack_attribute(BandAttr.BURST, u32(random.choice((0, 1, 2**32 - 1))))
            bands += pack_attribute(random.randrange(3), band)
        attributes = [
            pack_attribute(MeterAttr.ID, u32(random.choice((*range(9), self.number(32)))))
        ]
        attributes.append(pack_attribute(MeterAttr.BANDS, bands))
        flags = [pack_attribute(number, b"") for number in (MeterAttr.KBPS, MeterAttr.CLEAR)]
        attributes += flags[random.randrange(3) :]
        if random.random() < 0.2:
            stats = struct.pack("=QQ", self.number(64), self.number(64))
            attributes.append(pack_attribute(MeterAttr.STATS, stats))
        return self.request(METER, random.choice(tuple(MeterCmd)), *attributes)

    def _ct_limit(self) -> bytes:
        random = self.random
        zones = b"".join(
            ZONE_LIMIT.pack(random.choice((-1, 0, 1, 65535, 65536)), self.number(32), 0)
            for _ in range(random.choice((0, 1, 2, 700, 5000)))
        )
        zones = zones[: random.choice((len(zones), len(zones), random.randrange(30)))]
        command = random.choice(tuple(CtLimitCmd))
        return self.request(CT_LIMIT, command, pack_attribute(CtLimitAttr.ZONE_LIMIT, zones))

    def _netdev(self) -> bytes:
        name = self._name(PORT_NAMES)
        return self.request(NETDEV, NetdevCmd.GET, pack_attribute(NetdevAttr.NAME, name))
