"""The end of `make demo`."""

from __future__ import annotations

import re

import pytest

from tools import demo_openvswitch


def test_it_shows_a_ping_and_its_flows_twice(capsys: pytest.CaptureFixture[str]) -> None:
    headings: list[str] = []
    demo_openvswitch.demonstrate(headings.append)
    output = capsys.readouterr().out
    assert len(headings) == 5
    assert len(re.findall(r"10\.0\.0\.2 answers 10\.0\.0\.1: ping \d", output)) == 3
    theirs, ours = output.partition("exec -- ovs-dpctl")[2].split("$ ovsdp-cuse flow-show")
    for shown in (theirs, ours):
        assert len(re.findall(r"eth_type\(0x0800\)", shown)) == 2  # there and back


def test_without_root_it_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    headings: list[str] = []
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    demo_openvswitch.demonstrate(headings.append)
    (heading,) = headings
    assert "left out" in heading
    assert capsys.readouterr().out == ""
