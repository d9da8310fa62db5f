"""docs/protocol.md says what the daemon's own tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from ovsdp_cuse.wire.attributes import NestedArray
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
        (NestedArray(IntegerArray()), "array by index of: u32, any number of them"),
    ],
)
def test_what_an_attribute_holds(value: Value, description: str) -> None:
    assert protocol_page.describe(value) == description
