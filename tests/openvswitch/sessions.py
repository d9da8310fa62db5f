"""What is asked of ovs-dpctl, in the order of its manual; `recorded/` has the kernel's answers.

The session needs the interfaces v1, v2 and v3, on which there is no traffic.
"""

from __future__ import annotations

from typing import Final

INTERFACES: Final = ("v1", "v2", "v3")

_ETH: Final = "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)"
_IP: Final = f"in_port(1),{_ETH},eth_type(0x0800),ipv4(src=10.1.0.0/255.255.0.0,proto=6,frag=no)"
_TCP: Final = "tcp(src=0/0,dst=80),tcp_flags(0/0)"


def _ufid(number: int) -> str:
    return f"ufid:11111111-2222-3333-4444-{number:012}"


def _add(flow: str, actions: str) -> str:
    return f"ovs-dpctl add-flow dp0 '{flow}' '{actions}'"


DATAPATHS: Final = (
    "ovs-dpctl dump-dps",
    "ovs-dpctl show",
    "ovs-dpctl del-dp none",
    "ovs-dpctl add-dp dp0",
    "ovs-dpctl add-dp dp0",
    "ovs-dpctl dump-dps",
    "ovs-dpctl add-dp system@dp1 v3",
    "ovs-dpctl dump-dps",
    "ovs-dpctl show",
    "ovs-dpctl del-dp dp1",
    "ovs-dpctl dump-dps",
)

PORTS: Final = (
    "ovs-dpctl add-if dp0 v1 v2",
    "ovs-dpctl add-if dp0 v1",
    "ovs-dpctl add-if dp0 missing",
    "ovs-dpctl add-if none v3",
    "ovs-dpctl add-if dp0 v3,port_no=7",
    "ovs-dpctl add-if dp0 taken,type=internal,port_no=7",
    "ovs-dpctl add-if dp0 int0,type=internal",
    "ovs-dpctl add-if dp0 odd,type=unknown",
    "ovs-dpctl set-if dp0 v1,port_no=1",
    "ovs-dpctl set-if dp0 v1,port_no=5",
    "ovs-dpctl set-if dp0 v1,type=internal",
    "ovs-dpctl set-if dp0 missing",
    "ovs-dpctl show dp0",
    "ovs-dpctl -s show dp0",
    "ovs-dpctl show none",
    "ovs-dpctl del-if dp0 int0",
    "ovs-dpctl del-if dp0 int0",
    "ovs-dpctl del-if dp0 7",
    "ovs-dpctl del-if dp0 dp0",
    "ovs-dpctl show",
)

_KEYS: Final = (
    f"{_IP},{_TCP}",
    f"in_port(1),{_ETH},eth_type(0x0800),ipv4(proto=6,frag=no),tcp(src=768/0xff00),tcp_flags(syn)",
    f"in_port(1),{_ETH},eth_type(0x0800),ipv4(proto=17,frag=first),udp(src=53,dst=0/0)",
    f"in_port(1),{_ETH},eth_type(0x0800),ipv4(proto=132,frag=no),sctp(src=7,dst=8)",
    f"in_port(1),{_ETH},eth_type(0x0800),ipv4(proto=1,frag=no),icmp(type=8,code=0)",
    f"in_port(1),{_ETH},eth_type(0x86dd),ipv6(src=fd00::/ffff::,proto=58,hlimit=64,frag=no),"
    "icmpv6(type=135,code=0),nd(target=fd00::1)",
    f"in_port(1),{_ETH},eth_type(0x86dd),ipv6(label=0x12345,frag=later)",
    "in_port(1),eth(),eth_type(0x0806),arp(sip=10.0.0.1,op=1)",
    f"in_port(1),{_ETH},eth_type(0x8100),vlan(vid=10,pcp=1),encap(eth_type(0x0800),ipv4(frag=no))",
    f"in_port(1),{_ETH},eth_type(0x88a8),vlan(vid=10,pcp=0),"
    "encap(eth_type(0x8100),vlan(vid=20,pcp=0),encap(eth_type(0x0800),ipv4(frag=no)))",
    f"in_port(1),{_ETH},eth_type(0x8847),mpls(label=100,tc=0/0,ttl=0/0,bos=0,"
    "label=200,tc=1,ttl=63,bos=1)",
    "recirc_id(0x5),dp_hash(0x3/0xf),skb_priority(0x10),in_port(2),skb_mark(0x20/0xff),eth(),"
    "eth_type(0x0800),ipv4(frag=no)",
    "in_port(2),eth(dst=01:00:00:00:00:00/01:00:00:00:00:00)",
)

_ACTIONS: Final = (
    "1,2",
    "drop",
    "push_vlan(vid=5,pcp=1),1,pop_vlan,push_vlan(tpid=0x88a8,vid=6,pcp=0),2",
    "set(eth(src=02:00:00:00:00:09)),1",
    "set(ipv4(src=10.9.9.9,ttl=3)),2",
    "set(tcp(dst=81)),2",
    "set(ipv4(src=10.9.0.0/255.255.0.0)),2",
    "set(skb_mark(0x5/0xf)),set(skb_priority(0x7)),1",
    "push_mpls(label=5,tc=0,ttl=64,bos=1,eth_type=0x8847),2",
    "pop_mpls(eth_type=0x800),2",
    "add_mpls(label=5,tc=0,ttl=64,bos=1,eth_type=0x8847),2",
    "sample(sample=50.0%,actions(2)),1",
    "clone(set(ipv4(ttl=3)),2),1",
    "check_pkt_len(size=200,gt(2),le(trunc(60),1))",
    "trunc(100),2",
    "hash(l4(0)),recirc(0x9)",
    "meter(0),2",
    "userspace(pid=99,slow_path(action))",
    "lb_output(1)",
    "dec_ttl(le_1(1))",
    "set(eth(type=0x800)),1",
    "pop_vlan,2",
    "unknown(1)",
)

FLOWS: Final = (
    *(_add(f"{_ufid(1 + number)},{key}", "2") for number, key in enumerate(_KEYS)),
    *(
        _add(f"{_ufid(100 + number)},in_port(3),{_IP.partition(',')[2]},{_TCP}", actions).replace(
            "10.1.0.0", f"10.{2 + number}.0.0"
        )
        for number, actions in enumerate(_ACTIONS)
    ),
    _add(f"{_ufid(1)},{_KEYS[0]}", "3"),  # it is there already
    _add("in_port(1),eth_type(0x0800)", "2"),
    _add("in_port(70000),eth(),eth_type(0x0806),arp()", "2"),
    f"ovs-dpctl get-flow dp0 {_ufid(1)}",
    f"ovs-dpctl -m get-flow dp0 {_ufid(6)}",
    f"ovs-dpctl get-flow dp0 {_ufid(999)}",
    "ovs-dpctl get-flow dp0 ufid:zz",
    "ovs-dpctl dump-flows dp0",
    "ovs-dpctl -m dump-flows dp0",
    "ovs-dpctl --names dump-flows dp0",
    "ovs-dpctl dump-flows dp0 filter=tcp",
    "ovs-dpctl dump-flows dp0 type=ovs",
    f"ovs-dpctl mod-flow dp0 '{_ufid(1)},{_KEYS[0]}' 1,2",
    f"ovs-dpctl --clear -s mod-flow dp0 '{_ufid(3)},{_KEYS[2]}' 2",
    "ovs-dpctl mod-flow dp0 'in_port(5),eth(),eth_type(0x0806),arp()' 1",
    f"ovs-dpctl --may-create mod-flow dp0 '{_ufid(200)},in_port(7),eth(),eth_type(0x0806),arp()' 1",
    "ovs-dpctl dump-flows dp0",
    f"ovs-dpctl -s del-flow dp0 '{_ufid(2)},{_KEYS[1]}'",
    f"ovs-dpctl del-flow dp0 '{_ufid(2)},{_KEYS[1]}'",
    "ovs-dpctl -s show dp0",
    "ovs-dpctl del-flows dp0",
    "ovs-dpctl dump-flows dp0",
)

OTHERS: Final = (
    "ovs-dpctl cache-get-size dp0",
    "ovs-dpctl cache-set-size dp0 masks-cache 512",
    "ovs-dpctl cache-set-size dp0 masks-cache 500",
    "ovs-dpctl cache-set-size dp0 unknown 512",
    "ovs-dpctl cache-get-size dp0",
    "ovs-dpctl offload-stats-show dp0",
    "ovs-dpctl ct-get-limits dp0",
    "ovs-dpctl ct-set-limits dp0 default=200 zone=1,limit=5 zone=2,limit=6",
    "ovs-dpctl ct-get-limits dp0",
    "ovs-dpctl ct-get-limits dp0 zone=1,7",
    "ovs-dpctl ct-del-limits dp0 zone=1,2",
    "ovs-dpctl ct-get-limits dp0",
    "ovs-dpctl ct-get-maxconns dp0",
    "ovs-dpctl ct-set-maxconns dp0 10",
    "ovs-dpctl ct-get-nconns dp0",
    "ovs-dpctl ct-get-tcp-seq-chk dp0",
    "ovs-dpctl ct-bkts dp0",
    "ovs-dpctl dump-conntrack dp0",
    "ovs-dpctl flush-conntrack dp0",
    "ovs-dpctl ct-stats-show dp0",
    "ovs-dpctl ipf-get-status dp0",
    "ovs-dpctl ipf-set-enabled dp0 v4",
    "ovs-dpctl parse-actions 1,2",
    "ovs-dpctl del-dp dp0",
    "ovs-dpctl dump-dps",
)

DPCTL: Final = (*DATAPATHS, *PORTS, *FLOWS, *OTHERS)
