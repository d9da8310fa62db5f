"""Extraction: golden frames, scapy's opinion of generated ones, the kernel's of malformed ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsdp_cuse.switch import extract as extract_module
from ovsdp_cuse.switch.extract import (
    METADATA,
    extract,
    extract_userspace,
    is_neighbour_discovery,
    update,
)
from ovsdp_cuse.switch.key import (
    CT_MARK,
    ETH_TYPE,
    FIELDS,
    IN_PORT,
    MAC_PROTO,
    MAC_PROTO_ETHERNET,
    RECIRC_ID,
    TUN_ID,
    format_key,
)
from ovsdp_cuse.switch.packet import (
    VIRTIO_NET_HDR_GSO_UDP,
    VIRTIO_NET_HDR_GSO_UDP_L4,
    Offload,
    Packet,
)
from tests.frames import Golden, load
from tests.frames.dissect import dissect
from tests.frames.generate import FRAMES, LLC_FRAMES

GOLDEN = {golden.name: golden for golden in load()}
ETHERNET = MAC_PROTO.place(MAC_PROTO_ETHERNET)
HEAD = bytes.fromhex("02000000000b02000000000a")
"""The addresses of an Ethernet header."""
V4 = bytes.fromhex("450000540001000040060000c0000201c0000202")
"""An IPv4 header of TCP."""
V6 = bytes.fromhex("6000000000000040") + bytes(15) + b"\1" + bytes(15) + b"\2"
"""An IPv6 header with hop-by-hop options (0) next."""
PORTS = bytes.fromhex("12345678")


def fields_of(key: int) -> dict[str, Any]:
    """The fields of a key that are not zero."""
    return {name: field.get(key) for name, field in FIELDS.items() if key & field.ones}


def read(frame: bytes, metadata: int = ETHERNET) -> dict[str, Any]:
    """What extraction finds beside metadata, with the offsets."""
    packet = Packet.of(frame)
    assert extract(packet, metadata)
    found = fields_of(packet.key & ~METADATA)
    return found | {"network": packet.network, "transport": packet.transport}


def ipv4(payload: bytes, **changes: int) -> bytes:
    """An Ethernet frame with IPv4: `changes` are bytes of the IPv4 header, by b<offset>."""
    header = bytearray(V4)
    for name, value in changes.items():
        header[int(name[1:])] = value
    return HEAD + b"\x08\x00" + header + payload


def ipv6(next_header: int, payload: bytes) -> bytes:
    """An Ethernet frame with IPv6."""
    return HEAD + b"\x86\xdd" + V6[:6] + bytes([next_header]) + V6[7:] + payload


@pytest.mark.parametrize("golden", GOLDEN.values(), ids=str)
def test_golden(golden: Golden) -> None:
    packet = Packet.of(golden.frame)
    packet.key_valid = False
    assert extract(packet, ETHERNET)
    assert format_key(packet.key) == golden.key
    assert (packet.network, packet.transport) == (golden.network, golden.transport)
    assert packet.key_valid
    assert packet.frame == golden.frame


@pytest.mark.parametrize("golden", GOLDEN.values(), ids=str)
def test_golden_as_scapy_reads_it(golden: Golden) -> None:
    packet = Packet.of(golden.frame)
    assert extract(packet, ETHERNET)
    assert fields_of(packet.key & ~METADATA) == dissect(golden.frame)


@pytest.mark.parametrize("golden", GOLDEN.values(), ids=str)
@pytest.mark.parametrize("without_ethernet", [False, True])
def test_truncated_anywhere(golden: Golden, without_ethernet: bool) -> None:
    """What lies behind the frame's end in its buffer is not read, and nothing raises."""
    frame, metadata = golden.frame, ETHERNET
    if without_ethernet:
        frame, metadata = frame[14:], ETH_TYPE.place(int.from_bytes(frame[12:14], "big"))
    for size in range(len(frame) + 1):
        outcomes = set()
        for behind in (b"", bytes(100), b"\xff" * 100, frame[size:]):
            packet = Packet.of(frame[:size] + behind)
            packet.end -= len(behind)
            good = extract(packet, metadata)
            outcomes.add((good, packet.key if good else 0, good and packet.transport))
        assert len(outcomes) == 1, size
        ((good, _, transport),) = outcomes
        assert not good or transport <= size


@given(frame=st.binary(max_size=120), metadata=st.sampled_from([0, ETHERNET]), data=st.data())
def test_random_bytes(frame: bytes, metadata: int, data: st.DataObject) -> None:
    """Any bytes are read or refused."""
    if not metadata:
        metadata = ETH_TYPE.place(
            data.draw(st.sampled_from([0x800, 0x86DD, 0x806, 0x8847, 0x894F]))
        )
    packet = Packet.of(frame)
    if extract(packet, metadata):
        assert 0 <= packet.network <= len(frame)
        assert -1 <= packet.transport <= len(frame)
        assert packet.key & METADATA == metadata & METADATA
    else:
        assert len(frame) < 14 or metadata == ETH_TYPE.place(0x894F) or b"\x89\x4f" in frame


@given(
    golden=st.sampled_from(sorted(GOLDEN)),
    changes=st.lists(st.tuples(st.integers(12, 60), st.integers(0, 255)), max_size=4),
    size=st.integers(0, 100),
)
def test_the_fast_way_and_the_other_agree(
    golden: str, changes: list[tuple[int, int]], size: int
) -> None:
    frame = bytearray(GOLDEN[golden].frame[: 14 + size])
    for at, value in changes:
        if at < len(frame):
            frame[at] = value
    fast, slow = Packet.of(bytes(frame)), Packet.of(bytes(frame))
    good = extract(fast, ETHERNET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extract_module, "_SHORTEST", 1 << 16)
        assert extract(slow, ETHERNET) == good
    if good:
        assert format_key(fast.key) == format_key(slow.key)
        assert (fast.network, fast.transport) == (slow.network, slow.transport)


@settings(max_examples=200)
@given(FRAMES | LLC_FRAMES)
def test_generated_as_scapy_reads_it(frame: bytes) -> None:
    packet = Packet.of(frame)
    assert extract(packet, ETHERNET)
    assert fields_of(packet.key & ~METADATA) == dissect(frame)


def test_metadata_is_kept() -> None:
    metadata = ETHERNET | IN_PORT.place(7) | RECIRC_ID.place(9) | CT_MARK.place(1)
    metadata |= TUN_ID.place(b"12345678")
    for golden in GOLDEN.values():
        packet = Packet.of(golden.frame)
        assert extract(packet, metadata)
        assert packet.key & METADATA == metadata


def test_metadata_is_what_no_frame_holds() -> None:
    read_from_frames = [
        *("eth_dst", "eth_src", "vlan_tpid", "vlan_tci", "cvlan_tpid", "cvlan_tci", "eth_type"),
        *("ip_proto", "ip_tos", "ip_ttl", "ip_frag", "ipv4_src", "ipv4_dst"),
        *("tp_src", "tp_dst", "tcp_flags"),
        *("ipv6_src", "ipv6_dst", "ipv6_label", "ipv6_exthdrs"),
        *("arp_sha", "arp_tha", "nd_target", "nd_sll", "nd_tll"),
        *("mpls_label_bits", "mpls_lse_0", "mpls_lse_1", "mpls_lse_2"),
        *("nsh_flags", "nsh_ttl", "nsh_mdtype", "nsh_np", "nsh_path_hdr", "nsh_context"),
    ]
    for name, field in FIELDS.items():
        assert METADATA & field.ones == (0 if name in read_from_frames else field.ones), name


def test_ethernet_must_be_whole() -> None:
    assert not extract(Packet.of(bytes(13)), ETHERNET)
    assert extract(Packet.of(bytes(14)), ETHERNET)


@pytest.mark.parametrize(
    ("behind", "found"),
    [
        ("8100", {"eth_type": 0x8100, "network": 14}),
        ("8100 0005 08", {"eth_type": 0x8100, "network": 14}),
        (
            "8100 e005 0800",
            {"vlan_tpid": 0x8100, "vlan_tci": 0xF005, "eth_type": 0x800, "network": 18},
        ),
        (
            "8100 0005 88a8 0006",
            {"vlan_tpid": 0x8100, "vlan_tci": 0x1005, "eth_type": 0x88A8, "network": 18},
        ),
        ("9100 0005 0800", {"eth_type": 0x9100, "network": 14}),
    ],
)
def test_truncated_tags(behind: str, found: dict[str, int]) -> None:
    """A tag counts where the EtherType behind it is there; 0x9100 is none."""
    addresses = {"eth_dst": HEAD[:6], "eth_src": HEAD[6:], "transport": -1}
    assert read(HEAD + bytes.fromhex(behind)) == found | addresses


@pytest.mark.parametrize(
    ("behind", "eth_type", "network"),
    [
        ("0000", 4, 14),
        ("05ff aaaa03", 4, 14),
        ("0600", 0x600, 14),
        ("0040 aaaa03 000000 1234", 0x1234, 22),
        ("0040 aaaaff 000000 1234", 0x1234, 22),
        ("0040 aaaa03 000001 1234", 4, 14),
        ("0040 aaab03 000000 1234", 4, 14),
        ("0040 aaaa03 000000 0500", 4, 22),
        ("8100 0001 0040 aaaa03 000000 1234", 0x1234, 26),
    ],
)
def test_lengths_and_snap(behind: str, eth_type: int, network: int) -> None:
    found = read(HEAD + bytes.fromhex(behind))
    assert (found["eth_type"], found["network"]) == (eth_type, network)


@pytest.mark.parametrize(
    "frame",
    [
        ipv4(b"")[:-1],
        ipv4(PORTS, b0=0x44),
        ipv4(PORTS, b0=0x4F),
        ipv4(PORTS, b0=0x40),
    ],
    ids=["cut off", "short length", "long length", "no length"],
)
def test_ipv4_without_a_whole_header_has_no_fields(frame: bytes) -> None:
    found = read(frame)
    assert set(found) == {"eth_dst", "eth_src", "eth_type", "network", "transport"}
    assert found["transport"] == -1


def test_ipv4_of_any_version_and_length_is_read() -> None:
    found = read(ipv4(PORTS + bytes(8) + b"\x50\x10" + bytes(6), b0=0xF5, b2=0xFF))
    assert (found["tp_src"], found["tp_dst"], found["tcp_flags"]) == (0x1234, 0x5678, 0x10)


@pytest.mark.parametrize("offset", [0x00, 0x50, 0x40, 0x60], ids=hex)
def test_tcp_with_a_wrong_data_offset_has_no_ports(offset: int) -> None:
    found = read(ipv4(PORTS + bytes(8) + bytes([offset, 0x10]) + bytes(6)))
    assert ("tp_src" in found, "tcp_flags" in found) == (
        (True, True) if offset == 0x50 else (False,) * 2
    )
    assert (found["ip_proto"], found["transport"]) == (6, 34)


@pytest.mark.parametrize(("proto", "size"), [(6, 20), (17, 8), (132, 12), (1, 8)])
@pytest.mark.parametrize("is_ipv6", [False, True])
def test_ports_need_a_whole_header(proto: int, size: int, is_ipv6: bool) -> None:
    header = (PORTS + bytes(8) + b"\x50\x00" + bytes(6))[:size]
    if is_ipv6:
        proto = 58 if proto == 1 else proto

    def build(payload: bytes) -> bytes:
        return ipv6(proto, payload) if is_ipv6 else ipv4(payload, b9=proto)

    assert "tp_src" in read(build(header))
    assert "tp_src" not in read(build(header[:-1]))
    assert "tp_src" in read(build(header), ETHERNET)


@pytest.mark.parametrize(
    ("name", "gso_type", "fragment"),
    [
        ("ipv4 udp", VIRTIO_NET_HDR_GSO_UDP, 1),
        ("ipv4 udp without payload", VIRTIO_NET_HDR_GSO_UDP, 1),
        ("ipv6 udp", VIRTIO_NET_HDR_GSO_UDP, 1),
        ("ipv4 udp", VIRTIO_NET_HDR_GSO_UDP_L4, 0),
        ("ipv4 later fragment", VIRTIO_NET_HDR_GSO_UDP, 2),
        ("arp request", VIRTIO_NET_HDR_GSO_UDP, 0),
    ],
)
def test_what_will_be_fragmented_is_a_first_fragment(
    name: str, gso_type: int, fragment: int
) -> None:
    packet = Packet.of(GOLDEN[name].frame, Offload(0, gso_type, 0, 8, 0, 0))
    assert extract(packet, ETHERNET)
    assert FIELDS["ip_frag"].get(packet.key) == fragment


@pytest.mark.parametrize(
    "change",
    [(0, 2), (2, 6), (4, 7), (5, 5)],
    ids=["hardware type", "protocol", "hardware length", "protocol length"],
)
def test_arp_of_other_networks_has_no_fields(change: tuple[int, int]) -> None:
    frame = bytearray(GOLDEN["arp request"].frame)
    frame[14 + change[0]] = change[1]
    found = read(bytes(frame))
    assert set(found) == {"eth_dst", "eth_src", "eth_type", "network", "transport"}


def test_arp_operations_above_255_are_zero() -> None:
    frame = bytearray(GOLDEN["arp request"].frame)
    frame[20] = 1
    assert "ip_proto" not in read(bytes(frame))
    assert "arp_sha" in read(bytes(frame))


@pytest.mark.parametrize(
    ("behind", "found", "transport"),
    [
        ("", {}, 14),
        ("000010", {}, 14),
        ("00001000", {"mpls_lse_0": 0x1000}, 18),
        ("00001000 000021", {"mpls_lse_0": 0x1000}, 18),
        ("000011ff 45", {"mpls_lse_0": 0x11FF, "mpls_label_bits": 1}, 18),
        (
            "00001000 00002000 00003000 00004000 00005100 45",
            {
                "mpls_lse_0": 0x1000,
                "mpls_lse_1": 0x2000,
                "mpls_lse_2": 0x3000,
                "mpls_label_bits": 7,
            },
            34,
        ),
    ],
)
def test_mpls_without_its_bottom_has_labels_but_no_count(
    behind: str, found: dict[str, int], transport: int
) -> None:
    read_ = read(HEAD + b"\x88\x47" + bytes.fromhex(behind))
    assert {name: value for name, value in read_.items() if name.startswith("mpls")} == found
    assert read_["transport"] == transport


@pytest.mark.parametrize(
    ("behind", "good"),
    [
        ("0fc6 01 03 00000100" + "00" * 16, True),
        ("0fc6 01 03 00000100" + "00" * 15, False),
        ("0fc5 01 03 00000100" + "00" * 16, False),
        ("4fc6 01 03 00000100" + "00" * 16, False),
        ("0fc2 02 03 00000100", True),
        ("0fc0 02 03 00000100", True),
        ("0fc3 02 03 00000100", False),
        ("0fc2 03 03 00000100", False),
        ("0fc2 02 03 000001", False),
    ],
)
def test_nsh_that_is_not_understood_is_refused(behind: str, good: bool) -> None:
    assert extract(Packet.of(HEAD + b"\x89\x4f" + bytes.fromhex(behind)), ETHERNET) == good


@pytest.mark.parametrize("name", ["ipv4 tcp", "ipv6 tcp", "arp request", "mpls", "nsh md type 1"])
def test_without_ethernet_the_type_is_told(name: str) -> None:
    golden = GOLDEN[name]
    packet = Packet.of(golden.frame[14:])
    metadata = IN_PORT.place(3) | ETH_TYPE.place(int.from_bytes(golden.frame[12:14], "big"))
    assert extract(packet, metadata)
    expected = dissect(golden.frame)
    del expected["eth_dst"], expected["eth_src"]
    assert fields_of(packet.key) == expected | {"in_port": 3}
    assert packet.network == 0
    assert packet.transport in (-1, golden.transport - 14)


def test_without_ethernet_there_is_no_tag() -> None:
    for eth_type in (0x8100, 0x88A8):
        assert not extract(Packet.of(bytes(60)), ETH_TYPE.place(eth_type))


def test_update_keeps_metadata_alone() -> None:
    packet = Packet.of(GOLDEN["ipv4 tcp"].frame)
    assert extract(packet, ETHERNET | IN_PORT.place(5))
    packet.buffer[packet.start : packet.end] = GOLDEN["ipv4 tcp"].frame[::-1]
    packet.key_valid = False
    assert update(packet)
    fresh = Packet.of(packet.frame)
    assert extract(fresh, ETHERNET | IN_PORT.place(5))
    assert (packet.key, packet.key_valid) == (fresh.key, True)


def test_update_without_ethernet_keeps_the_type() -> None:
    packet = Packet.of(GOLDEN["ipv4 tcp"].frame[14:])
    assert extract(packet, ETH_TYPE.place(0x800))
    before = packet.key
    assert update(packet)
    assert packet.key == before


def userspace(name: str, **tuples: bool) -> bool:
    """Whether a frame of userspace's is taken, with an EtherType told that is wrong."""
    packet = Packet.of(GOLDEN[name].frame)
    good = extract_userspace(packet, ETHERNET | ETH_TYPE.place(0x1111), **tuples)
    assert not good or fields_of(packet.key & ~METADATA) == dissect(packet.frame)
    return good


@pytest.mark.parametrize(
    ("name", "takes_ipv4", "takes_ipv6"),
    [
        ("ipv4 udp", True, False),
        ("ipv6 udp", False, True),
        ("ipv6 echo", False, True),
        ("neighbour solicitation", False, False),
        ("arp request", False, False),
    ],
)
def test_original_tuples_are_of_the_protocol(name: str, takes_ipv4: bool, takes_ipv6: bool) -> None:
    assert userspace(name)
    assert userspace(name, has_ct_ipv4=True) == takes_ipv4
    assert userspace(name, has_ct_ipv6=True) == takes_ipv6


def test_userspace_tells_the_type_of_what_has_no_ethernet() -> None:
    packet = Packet.of(GOLDEN["ipv4 udp"].frame[14:])
    assert extract_userspace(packet, ETH_TYPE.place(0x800), has_ct_ipv4=True)
    assert FIELDS["tp_dst"].get(packet.key) == 53
    assert not extract_userspace(Packet.of(b"short"), ETHERNET)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_neighbour_discovery_is_recognized(name: str) -> None:
    packet = Packet.of(GOLDEN[name].frame)
    assert extract(packet, ETHERNET)
    assert is_neighbour_discovery(packet.key) == name.startswith("neighbour")
