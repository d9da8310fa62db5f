"""`ovs_packet`: EXECUTE with every attribute and error, and the upcalls that come of it."""

from __future__ import annotations

from tests.oracle.frames import BAD, GOOD, TCP4, UDP4
from tests.oracle.keys import (
    ethernet,
    ethertype,
    in_port,
    ipv4,
    output,
    ports,
    recirc,
    trunc,
    tunnel,
    udp_key,
    userspace,
)
from tests.oracle.messages import (
    ACK,
    DATAPATH,
    ECHO,
    EXECUTE,
    FLOW,
    GET,
    NEW,
    PACKET,
    SET,
    VPORT,
    Dp,
    Flow,
    Key,
    Packet,
    Userspace,
    Vport,
    attr,
    be16,
    nest,
    u16,
    u32,
    u64,
)
from tests.oracle.steps import Scenario, Script


def frame(data: bytes) -> bytes:
    return attr(Packet.PACKET, data)


def key(*attributes: bytes) -> bytes:
    return nest(Packet.KEY, *attributes)


def actions(*attributes: bytes) -> bytes:
    return nest(Packet.ACTIONS, *attributes)


KEY = key(udp_key())


def execute(script: Script, label: str, *attributes: bytes, flags: int = ACK) -> None:
    script.ask(label, PACKET, EXECUTE, *attributes, flags=flags)


def commands(script: Script) -> None:
    execute(script, "without a datapath", frame(UDP4), KEY, actions())
    script.make_datapath()
    script.make_ports()
    up = userspace(script.pid, attr(Userspace.USERDATA, b"cookie"))
    execute(script, "no PACKET", KEY, actions())
    execute(script, "no KEY", frame(UDP4), actions())
    execute(script, "no ACTIONS", frame(UDP4), KEY)
    execute(script, "nothing")
    for size in (0, 13, 14, 15):
        execute(script, f"a frame of {size}", frame(bytes(size)), KEY, actions(up))
    for flags in (0, ACK, ECHO, ACK | ECHO):
        execute(script, f"flags {flags:#x}", frame(UDP4), KEY, actions(up), flags=flags)
    for command in (0, 1, 2, 4, 255):
        script.ask(f"command {command}", PACKET, command, frame(UDP4), KEY, actions(), flags=ACK)
    script.ask("of dp 4242", PACKET, EXECUTE, frame(UDP4), KEY, actions(), dp=4242)
    for label, attributes in {
        "PROBE": (attr(Packet.PROBE),),
        "MRU": (attr(Packet.MRU, u16(1000)),),
        "MRU of 4 bytes": (attr(Packet.MRU, u32(1000)),),
        "MRU too small": (attr(Packet.MRU, u16(20)),),
        "HASH": (attr(Packet.HASH, u64(1 << 33 | 1 << 32 | 0x1234)),),
        "HASH without bits": (attr(Packet.HASH, u64(0x1234)),),
        "HASH of 4 bytes": (attr(Packet.HASH, u32(0x1234)),),
        "LEN": (attr(Packet.LEN, u32(20)),),
        "USERDATA": (attr(Packet.USERDATA, b"abcd"),),
        "EGRESS_TUN_KEY": (attr(Packet.EGRESS_TUN_KEY, b""),),
        "attribute 12": (attr(12, b"abcd"),),
    }.items():
        execute(script, label, frame(UDP4), KEY, actions(up), *attributes)
    for label, told in {
        "no port": key(ethernet(), ethertype(), ipv4(), ports()),
        "port 999": key(in_port(999)),
        "port 0": key(in_port(0)),
        "port 65535": key(in_port(65535)),
        "port 70000": key(in_port(70000)),
        "port only": key(in_port()),
        "nothing": key(),
        "another packet": key(in_port(), ethernet(), ethertype(0x86DD)),
        "metadata": key(
            in_port(), attr(Key.PRIORITY, u32(3)), attr(Key.SKB_MARK, u32(4)), attr(20, u32(5))
        ),
        "hash": key(in_port(), attr(Key.DP_HASH, u32(9))),
        "CT": key(in_port(), attr(Key.CT_STATE, u32(0x21)), attr(Key.CT_ZONE, u16(3))),
        "CT mark, labels": key(attr(Key.CT_MARK, u32(1)), attr(Key.CT_LABELS, bytes(range(16)))),
        "a tunnel": key(in_port(), tunnel()),
        "a packet type": key(in_port(), attr(Key.PACKET_TYPE, be16(1, 0x800))),
        "unknown": key(in_port(), attr(60, bytes(4))),
        "twice": key(in_port(), in_port()),
        "wrong size": key(attr(Key.IN_PORT, bytes(2))),
        "trailing": key(in_port(), b"\1\2\3"),
    }.items():
        execute(script, f"key: {label}", frame(UDP4), told, actions(up))
    for label, acts in {
        "nothing": actions(),
        "output": actions(output(2)),
        "output to nobody": actions(output(4000)),
        "output back": actions(output(1)),
        "output beyond": actions(output(65535)),
        "unknown": actions(attr(60, bytes(4))),
        "unknown length": actions(attr(1, bytes(2))),
        "of 3 bytes": attr(Packet.ACTIONS, b"abc"),
    }.items():
        execute(script, f"actions: {label}", frame(UDP4), KEY, acts)
    script.ask("the datapath's counters", DATAPATH, GET)


def upcalls(script: Script) -> None:
    """What an upcall has, by the action and by the client's features."""
    script.make_datapath()
    script.make_ports()
    data = attr(Userspace.USERDATA, b"cookie!!")
    for features in (0, 1, 3, 9):
        feature = attr(Dp.USER_FEATURES, u32(features))
        cpus = attr(Dp.PER_CPU_PIDS, u32(script.pid, script.pid, script.pid))
        script.ask(f"features {features}", DATAPATH, SET, feature, cpus, flags=ECHO)
        for label, more in {
            "plain": (),
            "userdata": (data,),
            "odd userdata": (attr(Userspace.USERDATA, b"abcde"),),
            "empty userdata": (attr(Userspace.USERDATA),),
            "actions": (attr(Userspace.ACTIONS),),
            "all": (data, attr(Userspace.ACTIONS)),
            "egress port": (attr(Userspace.EGRESS_TUN_PORT, u32(2)),),
            "no such egress port": (attr(Userspace.EGRESS_TUN_PORT, u32(99)),),
        }.items():
            up = userspace(script.pid, *more)
            for size in (60, 61, 62, 63):
                told = (frame(TCP4[:size]), KEY)
                execute(script, f"{label}, frame of {size}", *told, actions(up))
            execute(script, f"{label}, truncated", *told, actions(trunc(20), up, output()))
            execute(script, f"{label}, truncated after", *told, actions(up, trunc(20), output()))
            hashed = attr(Packet.HASH, u64(1 << 32 | 55)), attr(Packet.MRU, u16(1400))
            execute(script, f"{label}, hash, MRU", *told, actions(up), *hashed)
        for pid in (0, 123456, 0xFFFFFFFF):
            execute(script, f"to {pid}", frame(UDP4), KEY, actions(userspace(pid)))
        execute(script, "a miss", frame(UDP4), KEY, actions(recirc(5)))
        execute(script, "a miss, port 0", frame(UDP4), key(in_port(0)), actions(recirc(5)))
        execute(script, "a miss, no port", frame(UDP4), key(), actions(recirc(5)))
        execute(script, "a miss, truncated", frame(UDP4), KEY, actions(trunc(20), recirc(5)))
        script.ask("the datapath's counters", DATAPATH, GET)
    quiet = attr(Vport.PORT_NO, u32(1)), attr(Vport.UPCALL_PID, u32(0))
    script.ask("no PID", VPORT, SET, *quiet, flags=ECHO)
    script.ask("features 3", DATAPATH, SET, attr(Dp.USER_FEATURES, u32(3)), flags=ECHO)
    execute(script, "a miss without a PID", frame(UDP4), KEY, actions(recirc(5)))
    script.ask("the datapath's counters", DATAPATH, GET)


def extraction(script: Script) -> None:
    """What the switch makes of each frame: the key of an upcall tells."""
    script.make_datapath()
    up = actions(userspace(script.pid))
    for label, data in {**GOOD, **BAD}.items():
        execute(script, label, frame(data), key(in_port()), up)
    for label, data in GOOD.items():
        told = frame(data), key(in_port())
        execute(script, f"{label}: missed", *told, actions(recirc(7)))


def recirculation(script: Script) -> None:
    """A recirculated packet finds a flow, whose statistics then count."""
    script.make_datapath()
    script.make_ports()
    flow = nest(Flow.KEY, udp_key() + attr(Key.RECIRC_ID, u32(5)))
    up = nest(Flow.ACTIONS, userspace(script.pid, attr(Userspace.ACTIONS)))
    script.ask("a flow for it", FLOW, NEW, flow, up, flags=ECHO)
    execute(script, "recirculate", frame(UDP4), KEY, actions(recirc(5)))
    execute(script, "recirculate elsewhere", frame(UDP4), KEY, actions(recirc(6)))
    execute(script, "twice", frame(UDP4), KEY, actions(recirc(5), recirc(5)))
    script.ask("its statistics", FLOW, GET, flow)
    loop = nest(Flow.KEY, udp_key() + attr(Key.RECIRC_ID, u32(8)))
    again = nest(Flow.ACTIONS, recirc(8), output(2))
    script.ask("a loop", FLOW, NEW, loop, again, flags=ECHO)
    execute(script, "into the loop", frame(UDP4), KEY, actions(recirc(8)))
    script.ask("the loop's statistics", FLOW, GET, loop)
    script.ask("the datapath's counters", DATAPATH, GET)
    script.ask("clear", FLOW, SET, flow, attr(Flow.CLEAR), flags=ECHO)
    script.ask("cleared", FLOW, GET, flow)
    script.ask("dump of ports", VPORT, GET, flags=0x300)


SCENARIOS = tuple(
    Scenario(f"packet {run.__name__}", run)
    for run in (commands, upcalls, extraction, recirculation)
)
