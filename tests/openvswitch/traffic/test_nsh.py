"""Network service headers (RFC 8300): pushed, popped, changed, and matched to chain functions."""

from __future__ import annotations

import struct
from typing import Final

import pytest
from scapy.contrib.nsh import NSH
from scapy.layers.l2 import Ether

from tests.openvswitch.traffic.bridges import Bridge
from tests.openvswitch.traffic.conftest import NewHosts
from tests.openvswitch.traffic.frames import tcp
from tests.openvswitch.traffic.hosts import Host

SOURCE, DESTINATION = "02:00:00:00:09:01", "02:00:00:00:09:02"
NEW_HEADER: Final = f"encap(ethernet),set_field:{DESTINATION}->eth_dst,set_field:{SOURCE}->eth_src"
CONTEXT: Final = (0x01020304, 0x05060708, 0x090A0B0C, 0x0D0E0F10)
NEW_CONTEXT: Final = (0x100F0E0D, 0x0C0B0A09, 0x08070605, 0x04030201)


def nsh(inner: bytes, spi: int, si: int, ttl: int, context: tuple[int, ...]) -> bytes:
    """A frame behind a header of metadata type 1 and a new Ethernet header."""
    header = NSH(mdtype=1, nextproto=3, spi=spi, si=si, ttl=ttl, length=6)
    header.context_header = struct.pack("!4I", *context)
    return bytes(Ether(src=SOURCE, dst=DESTINATION, type=0x894F) / header) + inner


@pytest.fixture
def hosts(bridge: Bridge, new_hosts: NewHosts) -> list[Host]:
    """Three hosts, connected."""
    made = new_hosts(3)
    bridge.connect(*made)
    return made


def check(bridge: Bridge, hosts: list[Host], flow: str, sent: bytes, wanted: bytes) -> None:
    """With this flow, what the first host sends comes to the second one as wanted."""
    bridge.add_flows(flow)
    with hosts[1].capture() as capture:
        for count in (1, 2, 3):  # the first one goes by ovs-vswitchd
            hosts[0].send(sent)
            capture.wait_frame(wanted, count)


@pytest.mark.emulated
def test_encap(bridge: Bridge, hosts: list[Host]) -> None:
    inner = bytes(tcp(hosts[0], hosts[1]))
    fields = "set_field:0x1234->nsh_spi,set_field:0x11223344->nsh_c1"
    check(
        bridge,
        hosts,
        f"in_port=1,ip,actions=encap(nsh(md_type=1)),{fields},{NEW_HEADER},output:2",
        inner,
        nsh(inner, 0x1234, 255, 63, (0x11223344, 0, 0, 0)),
    )


def test_encap_with_metadata_of_type_2(bridge: Bridge, hosts: list[Host]) -> None:
    inner = bytes(tcp(hosts[0], hosts[1]))
    header = NSH(mdtype=2, nextproto=3, spi=7, si=255, ttl=63, length=4)
    context = bytes.fromhex("1000 0a 04 12345678")
    check(
        bridge,
        hosts,
        "in_port=1,ip,actions=encap(nsh(md_type=2,tlv(0x1000,10,0x12345678))),"
        f"set_field:7->nsh_spi,{NEW_HEADER},output:2",
        inner,
        bytes(Ether(src=SOURCE, dst=DESTINATION, type=0x894F) / header)[:22] + context + inner,
    )


def test_decap(bridge: Bridge, hosts: list[Host]) -> None:
    inner = bytes(tcp(hosts[0], hosts[1]))
    check(
        bridge,
        hosts,
        "in_port=1,dl_type=0x894f,actions=decap(),decap(),output:2",
        nsh(inner, 0x1234, 255, 63, CONTEXT),
        inner,
    )


def test_one_header_takes_the_place_of_another(bridge: Bridge, hosts: list[Host]) -> None:
    inner = bytes(tcp(hosts[0], hosts[1]))
    fields = {"nsh_ttl": 7, "nsh_spi": 0x101, "nsh_si": 4}
    fields |= {f"nsh_c{number}": value for number, value in enumerate(NEW_CONTEXT, 1)}
    setting = ",".join(f"set_field:{value:#x}->{name}" for name, value in fields.items())
    check(
        bridge,
        hosts,
        "in_port=1,dl_type=0x894f,nsh_spi=0x100,nsh_si=3,"
        f"actions=decap(),decap(),encap(nsh(md_type=1)),{setting},{NEW_HEADER},output:2",
        nsh(inner, 0x100, 3, 8, CONTEXT),
        nsh(inner, 0x101, 4, 7, NEW_CONTEXT),
    )


def test_a_chain_of_functions(bridge: Bridge, hosts: list[Host]) -> None:
    """The path and its index tell the next function."""
    one, second, third = hosts
    bridge.add_flows(
        "dl_type=0x894f,nsh_spi=0x100,nsh_si=2,actions=output:2",
        "dl_type=0x894f,nsh_spi=0x100,nsh_si=1,actions=output:3",
    )
    first, last = (nsh(bytes(tcp(one, third)), 0x100, si, 8, CONTEXT) for si in (2, 1))
    with second.capture() as second_sees, third.capture() as third_sees:
        one.send(first)
        second_sees.wait_frame(first)
        second.send(last)
        third_sees.wait_frame(last)
        assert bridge.all_seen(second, second_sees) == [first]
        assert bridge.all_seen(third, third_sees) == [last]
