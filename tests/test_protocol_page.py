"""docs/protocol.md says what the daemon's own tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.attributes import Nested, NestedArray, Unparsed
from ovsdp_cuse.wire.exact import Fields, Scalar
from ovsdp_cuse.wire.key import KEY, KEY_MPLS, KEY_PORTS, TUNNEL_KEY
from ovsdp_cuse.wire.nsh import NSH
from ovsdp_cuse.wire.values import Binary, Flag, IntegerArray, Value, s32, u16, u32
from tools import protocol_page


def test_the_page_is_not_stale(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails: python -m tools.protocol_page"""
    assert protocol_page.main(["--check"]) == 0, capsys.readouterr().out


def test_a_stale_page_is_told_and_brought_up_to_date(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "protocol.md"
    text = protocol_page.PAGE.read_text()
    page.write_text(text.replace("OVS_DP_CMD_GET`", "OVS_DP_CMD_GOT`"))
    monkeypatch.setattr(protocol_page, "PAGE", page)
    assert protocol_page.main(["--check"]) == 1
    assert "OVS_DP_CMD_GOT" in capsys.readouterr().out
    assert "OVS_DP_CMD_GOT" in page.read_text()
    assert protocol_page.main([]) == 0
    assert page.read_text() == text


def test_a_table_that_is_missing_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "protocol.md"
    page.write_text("<!-- table: ioctls -->\n<!-- end -->")
    monkeypatch.setattr(protocol_page, "PAGE", page)
    assert protocol_page.main(["--check"]) == 1
    assert "'<!-- table: ovs_datapath.commands -->'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "description"),
    [
        (u16(), "u16"),
        (u32(4096), "u32, 0..4096"),
        (s32(), "s32"),
        (s32(0), "s32, 0..2147483647"),
        (Binary(), "bytes"),
        (Binary(2), "bytes, at least 2"),
        (Binary(2, 5), "bytes, 2..5"),
        (Flag(), "nothing: it is there or not"),
        (Binary(6, 6), "6 bytes"),
        (NestedArray(IntegerArray()), "array by index of: u32, any number of them"),
        (Scalar("=I", hex), "u32"),
        (Scalar("B"), "u8"),
        (Scalar(">H"), "be16"),
        (Scalar("!H"), "be16"),
        (Scalar("16s"), "16 bytes"),
        (Fields(KEY_PORTS), "structure of 4 bytes: src, dst"),
        (Fields(KEY_MPLS, many=True), "any number of structures of 4 bytes: lse"),
        (KEY, "attributes of a [flow key](#flow-keys-and-masks)"),
        (Unparsed(TUNNEL_KEY), "attributes of a [tunnel key](#flow-keys-and-masks)"),
        (Unparsed(ACTIONS), "[actions](#actions)"),
        (Nested(NSH), "attributes"),
    ],
)
def test_what_an_attribute_holds(value: Value, description: str) -> None:
    assert protocol_page.describe(value) == description


def test_what_many_hold_has_one_table() -> None:
    page = protocol_page.PAGE.read_text()
    for attribute in ("OVS_KEY_ATTR_IPV4", "OVS_TUNNEL_KEY_ATTR_TTL", "OVS_CT_ATTR_ZONE"):
        assert len(re.findall(rf"^\| \d+ \| `{attribute}`", page, re.MULTILINE)) == 1
    for action in range(1, 25):
        assert re.search(rf"^\| {action} \| `OVS_ACTION_ATTR_", page, re.MULTILINE)
    assert "UNSPEC" not in page
