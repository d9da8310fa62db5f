"""`ovs_flow`: commands, flags, UFIDs, masks and dumps. Keys and actions have files of their own."""

from __future__ import annotations

from tests.oracle.keys import (
    ETH_A,
    ETH_B,
    arp_key,
    ethernet,
    ethertype,
    in_port,
    ipv4,
    output,
    ports,
    tcp_key,
    udp6_key,
    udp_key,
)
from tests.oracle.messages import (
    ACK,
    CREATE,
    DEL,
    DUMP,
    ECHO,
    EXCL,
    FLOW,
    GET,
    NEW,
    REPLACE,
    SET,
    Action,
    Flow,
    Key,
    attr,
    message,
    nest,
    u32,
)
from tests.oracle.steps import Scenario, Script


def key(*attributes: bytes) -> bytes:
    return nest(Flow.KEY, *attributes)


def mask(*attributes: bytes) -> bytes:
    return nest(Flow.MASK, *attributes)


def actions(*attributes: bytes) -> bytes:
    return nest(Flow.ACTIONS, *attributes)


def ufid(data: bytes) -> bytes:
    return attr(Flow.UFID, data)


UDP = key(udp_key())
TCP = key(tcp_key())
OUT = actions(output())
U1, U2 = bytes(range(16)), bytes(range(16, 32))
OMIT = attr(Flow.UFID_FLAGS, u32(7))
WIDE = mask(attr(Key.IN_PORT, b"\xff" * 4), attr(Key.ETHERTYPE, b"\xff" * 2))


def installing(script: Script) -> None:
    ask = script.ask
    ask("NEW without a datapath", FLOW, NEW, UDP, OUT)
    script.make_datapath()
    ask("NEW nothing", FLOW, NEW)
    ask("NEW without KEY", FLOW, NEW, OUT)
    ask("NEW without ACTIONS", FLOW, NEW, UDP)
    ask("NEW empty KEY", FLOW, NEW, key(), OUT, flags=ECHO)
    ask("NEW empty KEY and MASK", FLOW, NEW, key(), mask(), OUT, flags=ECHO)
    ask("NEW, silent", FLOW, NEW, UDP, OUT, flags=CREATE | EXCL)
    for label, flags in {
        "none": 0,
        "CREATE": CREATE,
        "EXCL": EXCL,
        "CREATE|EXCL": CREATE | EXCL,
        "REPLACE": REPLACE,
        "CREATE|REPLACE": CREATE | REPLACE,
    }.items():
        ask(f"NEW the same, {label}", FLOW, NEW, UDP, actions(output(3)), flags=flags | ECHO)
        ask(f"NEW the same, {label}, ACK", FLOW, NEW, UDP, OUT, flags=flags | ECHO | ACK)
        other = key(udp_key(port=20 + flags // 256))
        ask(f"NEW another, {label}", FLOW, NEW, other, OUT, flags=flags | ECHO)
    ask("NEW empty ACTIONS", FLOW, NEW, key(udp_key(port=7)), actions(), flags=ECHO)
    ask("modify to no ACTIONS", FLOW, NEW, UDP, actions(), flags=ECHO)
    ask("NEW, PROBE", FLOW, NEW, key(udp_key(port=8)), OUT, attr(Flow.PROBE), flags=ECHO)
    ask("PROBE with a bad action", FLOW, NEW, UDP, actions(attr(60)), attr(Flow.PROBE), flags=ECHO)
    ask("PROBE of 4 bytes", FLOW, NEW, UDP, OUT, attr(Flow.PROBE, bytes(4)), flags=ECHO)
    ask("CLEAR", FLOW, NEW, UDP, OUT, attr(Flow.CLEAR), flags=ECHO)
    ask("unknown attribute", FLOW, NEW, UDP, OUT, attr(30, b"abcd"), flags=ECHO)
    ask(
        "STATS, USED, TCP_FLAGS",
        FLOW,
        NEW,
        UDP,
        OUT,
        attr(3, bytes(16)),
        attr(4, b"\1"),
        attr(5, bytes(8)),
        flags=ECHO,
    )
    ask("STATS of 4 bytes", FLOW, NEW, UDP, OUT, attr(Flow.STATS, bytes(4)), flags=ECHO)
    ask("KEY of 3 bytes", FLOW, NEW, attr(Flow.KEY, b"abc"), OUT, flags=ECHO)
    ask("MASK of 3 bytes", FLOW, NEW, UDP, attr(Flow.MASK, b"abc"), OUT, flags=ECHO)
    ask("ACTIONS of 3 bytes", FLOW, NEW, UDP, attr(Flow.ACTIONS, b"abc"), flags=ECHO)
    ask("KEY twice", FLOW, NEW, TCP, UDP, OUT, flags=ECHO)
    nested = attr(Flow.KEY | 0x8000, udp_key()), attr(Flow.ACTIONS | 0x8000, output())
    ask("NLA_F_NESTED", FLOW, NEW, *nested, flags=ECHO)
    ask("of dp 4242", FLOW, NEW, UDP, OUT, dp=4242)
    for command in (0, 5, 255):
        ask(f"command {command}", FLOW, command, UDP)
    ask("dump", FLOW, GET, flags=DUMP)
    ask("flush", FLOW, DEL, flags=ECHO | ACK)
    ask("dump", FLOW, GET, flags=DUMP)


def reading(script: Script) -> None:
    ask = script.ask
    script.make_datapath()
    ask("dump of nothing", FLOW, GET, flags=DUMP)
    ask("UDP", FLOW, NEW, UDP, OUT, flags=ECHO)
    ask("TCP", FLOW, NEW, TCP, OUT, ufid(U1), flags=ECHO)
    ask("ARP, wide", FLOW, NEW, key(arp_key(port=3)), WIDE, OUT, flags=ECHO)
    ask("IPv6, wide", FLOW, NEW, key(udp6_key(port=4)), WIDE, OUT, ufid(U2), flags=ECHO)
    for label, target in {
        "UDP": (UDP,),
        "TCP": (TCP,),
        "TCP by UFID": (ufid(U1),),
        "TCP by UFID and a key": (ufid(U1), UDP),
        "ARP": (key(arp_key(port=3)),),
        "IPv6": (key(udp6_key(port=4)),),
        "IPv6 by UFID": (ufid(U2),),
        "IPv6 by other key": (key(udp_key(port=4)),),
        "unknown UFID": (ufid(bytes(16)),),
        "unknown UFID and a key": (ufid(bytes(16)), UDP),
        "short UFID": (ufid(U1[:8]),),
        "short UFID and a key": (ufid(U1[:8]), UDP),
        "empty UFID and a key": (ufid(b""), UDP),
        "long UFID": (ufid(U1 + b"\0"),),
        "long UFID and a key": (ufid(U1 + b"\0"), UDP),
        "nothing": (),
        "mask only": (WIDE,),
        "a key and a mask": (UDP, WIDE),
        "another": (key(udp_key(port=9)),),
        "bad key": (key(in_port(), in_port()),),
        "empty key": (key(),),
    }.items():
        for omit in (None, *range(9), 0xFF):
            more = () if omit is None else (attr(Flow.UFID_FLAGS, u32(omit)),)
            ask(f"GET {label}, UFID_FLAGS {omit}", FLOW, GET, *target, *more)
        ask(f"GET {label}, ACK and ECHO", FLOW, GET, *target, flags=ACK | ECHO)
    for omit in range(9):
        ask(f"dump, UFID_FLAGS {omit}", FLOW, GET, attr(Flow.UFID_FLAGS, u32(omit)), flags=DUMP)
    ask("dump, ACK", FLOW, GET, flags=DUMP | ACK)
    ask("dump, bad UFID_FLAGS", FLOW, GET, attr(Flow.UFID_FLAGS, b"a"), flags=DUMP)
    ask("dump, bad KEY", FLOW, GET, attr(Flow.KEY, b"a"), flags=DUMP)
    ask("dump by UFID", FLOW, GET, ufid(U1), flags=DUMP)
    ask("dump of dp 4242", FLOW, GET, flags=DUMP, dp=4242)
    ask("dump of dp 0", FLOW, GET, flags=DUMP, dp=0)
    ask("GET of dp 4242", FLOW, GET, UDP, dp=4242)


def ufids(script: Script) -> None:
    """Lengths of UFIDs, clashes of UFIDs, keys and masks."""
    ask = script.ask
    script.make_datapath()
    for size in (0, 1, 3, 4, 8, 15, 16, 17, 32):
        flow = key(udp_key(port=100 + size))
        ask(f"NEW, UFID of {size}", FLOW, NEW, flow, OUT, ufid(b"\7" * size), flags=ECHO)
        ask("read by key", FLOW, GET, flow)
        ask("read by UFID", FLOW, GET, ufid(b"\7" * size))
        ask("delete by key", FLOW, DEL, flow, flags=ECHO)
        ask("delete by UFID", FLOW, DEL, ufid(b"\7" * size), flags=ECHO)
    ask("flush", FLOW, DEL)
    ask("masked, U1", FLOW, NEW, UDP, WIDE, OUT, ufid(U1), flags=ECHO | CREATE)
    for flags in (0, CREATE, EXCL, CREATE | EXCL, REPLACE):
        for label, more in {
            "same key and UFID": (UDP, WIDE, ufid(U1)),
            "same UFID, other key": (key(udp_key(port=2)), WIDE, ufid(U1)),
            "same UFID, other mask": (UDP, mask(attr(Key.IN_PORT, b"\xff" * 4)), ufid(U1)),
            "other UFID, same key": (UDP, WIDE, ufid(U2)),
            "no UFID, same key": (UDP, WIDE),
            "no UFID, same masked key": (key(tcp_key()), WIDE),
            "no UFID, same key, exact": (UDP,),
        }.items():
            ask(f"{label}, flags {flags:#x}", FLOW, NEW, *more, OUT, flags=flags | ECHO)
            ask("dump", FLOW, GET, flags=DUMP)
    ask("flush", FLOW, DEL)
    ask("masked, no UFID", FLOW, NEW, UDP, WIDE, OUT, flags=ECHO)
    ask("overlapping, UFID", FLOW, NEW, TCP, WIDE, OUT, ufid(U1), flags=ECHO)
    ask("overlapping, CREATE", FLOW, NEW, TCP, WIDE, OUT, flags=ECHO | CREATE)
    ask("overlapping, flags 0", FLOW, NEW, TCP, WIDE, OUT, flags=ECHO)
    ask("overlapping, exact", FLOW, NEW, TCP, OUT, flags=ECHO)
    ask("read the overlapping", FLOW, GET, TCP)
    ask("dump", FLOW, GET, flags=DUMP)


def changing(script: Script) -> None:
    ask = script.ask
    script.make_datapath()
    ask("UDP", FLOW, NEW, UDP, OUT, flags=ECHO)
    ask("TCP", FLOW, NEW, TCP, OUT, ufid(U1), flags=ECHO)
    ask("wide", FLOW, NEW, key(arp_key(port=3)), WIDE, OUT, flags=ECHO)
    three = actions(output(3))
    for label, more in {
        "actions": (UDP, three),
        "actions and a mask": (UDP, WIDE, three),
        "nothing": (UDP,),
        "CLEAR": (UDP, attr(Flow.CLEAR)),
        "CLEAR and actions": (UDP, three, attr(Flow.CLEAR)),
        "empty actions": (UDP, actions()),
        "bad actions": (UDP, actions(attr(60))),
        "by UFID": (ufid(U1),),
        "by UFID, actions": (ufid(U1), three),
        "by UFID and a key, actions": (ufid(U1), TCP, three),
        "by UFID and a wrong key, actions": (ufid(U1), UDP, three),
        "by a wrong UFID and a key": (ufid(U2), UDP, three),
        "by a wrong UFID and no actions": (ufid(U2),),
        "wide by its key": (key(arp_key(port=3)), three),
        "wide by its key and mask": (key(arp_key(port=3)), WIDE, three),
        "wide by its masked key": (key(in_port(3), ethernet(), ethertype(0x0806)), three),
        "missing": (key(udp_key(port=9)), three),
        "missing, without actions": (key(udp_key(port=9)),),
        "nobody": (three,),
        "nobody, nothing": (),
        "bad key": (key(in_port(), in_port()), three),
        "bad mask": (UDP, mask(attr(50)), three),
        "UFID_FLAGS": (UDP, three, OMIT),
        "UFID and its flags": (ufid(U1), TCP, three, OMIT),
    }.items():
        for name, flags in {"silent": 0, "ECHO": ECHO, "ACK": ACK, "both": ECHO | ACK}.items():
            ask(f"SET {label}, {name}", FLOW, SET, *more, flags=flags)
    ask("SET of dp 4242", FLOW, SET, UDP, OUT, dp=4242)
    ask("dump", FLOW, GET, flags=DUMP)
    for label, more in {
        "missing": (key(udp_key(port=9)),),
        "unknown UFID": (ufid(U2),),
        "by key": (UDP,),
        "again": (UDP,),
        "by UFID, OMIT": (ufid(U1), OMIT),
        "by UFID again": (ufid(U1), OMIT),
        "by a key that it covers": (key(tcp_key(port=3)),),
        "wide by its key": (key(arp_key(port=3)),),
        "bad key": (key(in_port(), in_port()),),
        "short UFID": (ufid(b"abc"),),
    }.items():
        ask(f"DEL {label}", FLOW, DEL, *more, flags=ECHO)
    for number in range(1, 6):
        ask("make some", FLOW, NEW, key(udp_key(port=number)), OUT)
    ask("DEL with UFID_FLAGS alone", FLOW, DEL, OMIT, flags=ECHO)
    ask("dump", FLOW, GET, flags=DUMP)
    ask("DEL of dp 4242", FLOW, DEL, dp=4242)
    flow = key(udp_key(port=1))
    script.write(
        "a batch",
        message(FLOW, NEW, flow, OUT),
        message(FLOW, NEW, flow),
        message(FLOW, GET, flow),
        message(FLOW, DEL, flow, flags=ACK),
        message(FLOW, GET, flow),
    )


def masks(script: Script) -> None:
    """What the kernel makes of a mask, and which it refuses."""
    script.make_datapath()
    ff = b"\xff" * 16
    flow = udp_key()
    port = attr(Key.IN_PORT, ff[:4])
    mac = attr(Key.ETHERNET, ff[:12])
    kind = attr(Key.ETHERTYPE, ff[:2])
    ip = attr(Key.IPV4, ff[:12])
    udp = attr(Key.UDP, ff[:4])
    for label, attributes in {
        "nothing": (),
        "port": (port,),
        "MAC": (mac,),
        "type": (kind,),
        "all": (port, mac, kind, ip, udp),
        "IP without type": (ip,),
        "UDP without IP protocol": (kind, attr(Key.IPV4, ff[:8] + bytes(4)), udp),
        "UDP only": (kind, udp),
        "IP, part": (kind, attr(Key.IPV4, bytes(4) + b"\xff\xff\xff\0" + b"\xff\0\0\0")),
        "IP, frag": (kind, attr(Key.IPV4, bytes(8) + b"\0\0\0\xff")),
        "IP, half frag": (kind, attr(Key.IPV4, bytes(8) + b"\0\0\0\x01")),
        "part of type": (attr(Key.ETHERTYPE, b"\xff\xf0"), ip),
        "zero type": (attr(Key.ETHERTYPE, b"\0\0"),),
        "part of port": (attr(Key.IN_PORT, b"\x0f\0\0\0"),),
        "port 0xffff": (attr(Key.IN_PORT, u32(0xFFFF)),),
        "MAC, part": (attr(Key.ETHERNET, b"\x01" + bytes(11)),),
        "TCP where UDP is": (kind, ip, attr(Key.TCP, ff[:4])),
        "ICMP where UDP is": (kind, ip, attr(Key.ICMP, ff[:2])),
        "IPv6 where IPv4 is": (kind, attr(Key.IPV6, ff + ff + ff[:8])),
        "ARP where IPv4 is": (kind, attr(Key.ARP, ff + ff[:8])),
        "VLAN where there is none": (kind, attr(Key.VLAN, ff[:2])),
        "ENCAP where there is none": (kind, nest(Key.ENCAP, ip)),
        "priority": (attr(Key.PRIORITY, ff[:4]),),
        "mark": (attr(Key.SKB_MARK, u32(0xFF)),),
        "recirc, hash": (attr(Key.RECIRC_ID, ff[:4]), attr(Key.DP_HASH, ff[:4])),
        "part of recirc": (attr(Key.RECIRC_ID, u32(1)),),
        "CT state": (attr(Key.CT_STATE, u32(1)), attr(Key.CT_ZONE, ff[:2])),
        "CT state too wide": (attr(Key.CT_STATE, ff[:4]),),
        "CT mark, labels": (attr(Key.CT_MARK, ff[:4]), attr(Key.CT_LABELS, ff)),
        "TCP flags": (kind, ip, attr(Key.TCP_FLAGS, ff[:2])),
        "tunnel": (nest(Key.TUNNEL, attr(0, ff[:8])),),
        "packet type": (attr(Key.PACKET_TYPE, ff[:4]),),
        "packet type, zero": (attr(Key.PACKET_TYPE, bytes(4)),),
        "unknown": (attr(50, ff[:4]),),
        "too big a number": (attr(33, ff[:4]),),
        "twice": (port, port),
        "wrong size": (attr(Key.IPV4, ff[:11]),),
        "empty": (attr(Key.IPV4),),
        "trailing bytes": (port, b"\1"),
        "NLA_F_NESTED": (attr(Key.IN_PORT | 0x8000, ff[:4]),),
    }.items():
        attributes_ = (key(flow), mask(*attributes), OUT)
        script.ask(f"mask: {label}", FLOW, NEW, *attributes_, flags=ECHO)
        script.ask("read", FLOW, GET, key(flow))
        script.ask("flush", FLOW, DEL)
    tagged = in_port() + ethernet() + attr(Key.ETHERTYPE, b"\x81\0") + attr(Key.VLAN, b"\x10\5")
    tagged += nest(Key.ENCAP, ethertype(), ipv4(), ports())
    for label, attributes in {
        "type and VLAN": (kind, attr(Key.VLAN, ff[:2])),
        "no type": (attr(Key.VLAN, ff[:2]),),
        "part of VLAN": (kind, attr(Key.VLAN, b"\x0f\xff")),
        "no CFI": (kind, attr(Key.VLAN, b"\xef\xff")),
        "with ENCAP": (kind, attr(Key.VLAN, ff[:2]), nest(Key.ENCAP, kind, ip)),
        "empty ENCAP": (kind, attr(Key.VLAN, ff[:2]), nest(Key.ENCAP)),
        "zero type": (attr(Key.ETHERTYPE, bytes(2)), attr(Key.VLAN, ff[:2]), nest(Key.ENCAP)),
        "part of type": (attr(6, b"\xff\0"), attr(Key.VLAN, ff[:2]), nest(Key.ENCAP)),
        "ENCAP, part of type": (kind, attr(5, ff[:2]), nest(1, attr(Key.ETHERTYPE, b"\xff\0"))),
        "ENCAP, no VLAN": (kind, nest(Key.ENCAP, kind)),
        "nothing": (),
    }.items():
        script.ask(
            f"VLAN mask: {label}", FLOW, NEW, key(tagged), mask(*attributes), OUT, flags=ECHO
        )
        script.ask("read", FLOW, GET, key(tagged))
        script.ask("flush", FLOW, DEL)
    for outer, inner in ((ETH_A, ETH_B), (ETH_B, ETH_A)):
        both = in_port() + ethernet(outer, inner)
        script.ask("Ethernet only", FLOW, NEW, key(both), OUT, flags=ECHO)
        script.ask("Ethernet only, masked", FLOW, NEW, key(both), mask(mac), OUT, flags=ECHO)
    script.ask("dump", FLOW, GET, flags=DUMP)
    script.ask("an action that writes", FLOW, NEW, key(flow), actions(attr(Action.POP_VLAN)))


SCENARIOS = tuple(
    Scenario(f"flow {run.__name__}", run) for run in (installing, reading, ufids, changing, masks)
)
