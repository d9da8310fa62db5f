"""Extraction of IPv6: extension headers in any order and cut anywhere, and neighbour discovery."""

from __future__ import annotations

import pytest

from tests.switch.test_extract import ipv6, read

FRAGMENT_FIRST, FRAGMENT_LATER = "0001 00000001", "0008 00000001"


@pytest.mark.parametrize(
    ("next_header", "behind", "found"),
    [
        # One header of each kind, then UDP.
        (0, "11 00 000000000000 12345678 00080000", (17, 0, 0x40, 62)),
        (60, "11 00 000000000000 12345678 00080000", (17, 0, 0x08, 62)),
        (43, "11 00 000000000000 12345678 00080000", (17, 0, 0x20, 62)),
        (51, "11 00 000000000000 12345678 00080000", (17, 0, 0x04, 62)),
        (59, "11 00 000000000000", (59, 0, 0x01, 54)),
        (50, "11 00 000000000000", (50, 0, 0, 54)),
        # The wrong order, and repeats.
        (60, "00 00 000000000000 11 00 000000000000 12345678 00080000", (17, 0, 0x108, 70)),
        (0, "00 00 000000000000 11 00 000000000000 12345678 00080000", (17, 0, 0x1C0, 70)),
        (
            60,
            "3c 00 000000000000 3c 00 000000000000 11 00 000000000000 12345678 00080000",
            (17, 0, 0x88, 78),
        ),
        (43, "2b 00 000000000000 11 00 000000000000 12345678 00080000", (17, 0, 0x1A0, 70)),
        (51, "2b 00 000000000000 11 00 000000000000 12345678 00080000", (17, 0, 0x124, 70)),
        # Fragments: the first, later ones, and a later one that hides in front of options.
        (44, f"11 00 {FRAGMENT_FIRST} 12345678 00080000", (17, 1, 0x10, 62)),
        (44, "11 00 0000 00000001 12345678 00080000", (17, 1, 0x10, 62)),
        (44, f"11 00 {FRAGMENT_LATER} 12345678", (44, 2, 0x10, -1)),
        (44, f"3b 00 {FRAGMENT_LATER} 12345678", (44, 2, 0x11, -1)),
        (44, f"3c 00 {FRAGMENT_LATER} 11 00 000000000000 12345678 00080000", (59, 1, 0x118, -1)),
        # Cut off, or longer than the frame.
        (0, "", (59, 0, 0x40, -1)),
        (0, "11", (59, 0, 0x40, -1)),
        (0, "11 01 000000000000", (59, 0, 0x40, -1)),
        (43, "11 00 00", (59, 0, 0x20, -1)),
        (44, "11 00 00", (59, 1, 0x10, -1)),
        (44, "11 00 0000 0000", (59, 1, 0x10, -1)),
        (51, "11 01 000000000000", (59, 0, 0x04, -1)),
        # An authentication header of 12 bytes: the walk that collects bits takes it for 16.
        (51, "3c 01 00000000000000000000 11 00 000000000000 12345678 00080000", (17, 0, 0x10C, 74)),
    ],
)
def test_ipv6_extension_headers(
    next_header: int, behind: str, found: tuple[int, int, int, int]
) -> None:
    """(ip_proto, ip_frag, ipv6_exthdrs, transport)"""
    read_ = read(ipv6(next_header, bytes.fromhex(behind)))
    names = ("ip_proto", "ip_frag", "ipv6_exthdrs", "transport")
    assert tuple(read_.get(name, 0) for name in names) == found
    assert ("tp_src" in read_) == (found[0] == 17)


TARGET = bytes(range(16, 32))
SLL, TLL = b"\1\1" + b"source", b"\2\1" + b"target"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (b"", {"nd_target": TARGET}),
        (SLL, {"nd_target": TARGET, "nd_sll": b"source"}),
        (TLL + SLL, {"nd_target": TARGET, "nd_sll": b"source", "nd_tll": b"target"}),
        (SLL + SLL, {}),
        (b"\1\1" + bytes(6) + SLL, {"nd_target": TARGET, "nd_sll": b"source"}),
        (b"\3\0" + bytes(6) + SLL, {"nd_target": TARGET}),
        (b"\3\2" + bytes(6) + SLL, {"nd_target": TARGET}),
        (b"\1\2" + bytes(14) + TLL, {"nd_target": TARGET, "nd_tll": b"target"}),
        (SLL + b"\3\5" + bytes(6), {"nd_target": TARGET, "nd_sll": b"source"}),
        (SLL[:7], {"nd_target": TARGET}),
    ],
)
@pytest.mark.parametrize("kind", [135, 136])
def test_neighbour_discovery(kind: int, options: bytes, found: dict[str, bytes]) -> None:
    frame = ipv6(58, bytes([kind, 0]) + bytes(6) + TARGET + options)
    read_ = read(frame)
    assert {name: value for name, value in read_.items() if name.startswith("nd_")} == found
    assert read_["tp_src"] == kind


def test_neighbour_discovery_needs_its_code_and_its_target() -> None:
    message = bytes([135, 0]) + bytes(6) + TARGET
    for changed in (message[:-1], b"\x87\1" + message[2:], b"\x88\1" + message[2:]):
        assert "nd_target" not in read(ipv6(58, changed))
