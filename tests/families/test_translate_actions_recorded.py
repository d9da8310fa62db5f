"""Actions that were sent to Linux's own module, what it said, and how it dumped them."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.translate.actions import ParsedActions, parse_actions
from ovsdp_cuse.wire.actions import ACTIONS
from tests.families.action_cases import flow_key, hash_

RECORDS = [
    line.split()
    for line in (Path(__file__).parent / "recorded_actions.txt").read_text().splitlines()
    if not line.startswith("#")
]

SYMMETRIC_HASH = hash_(1)
"""Linux refuses it; Open vSwitch has it, and so have we."""


def key_of(facts: str) -> int:
    """The masked key of a flow, from the first column."""
    eth_type, protocol, fragment, ethernet, tci, labels, nsh_protocol = facts.split(",")
    return flow_key(
        int(eth_type, 16),
        int(protocol),
        int(fragment),
        ethernet == "1",
        int(tci, 16),
        int(labels),
        int(nsh_protocol),
    )


@pytest.mark.parametrize(("facts", "actions", "name", "dump"), RECORDS)
def test_says_what_the_kernel_said(facts: str, actions: str, name: str, dump: str) -> None:
    data = bytes.fromhex(actions.replace("-", ""))
    wanted = getattr(errno, name, 0)
    got = 0
    parsed: ParsedActions | None = None
    try:
        parsed = parse_actions(data, key_of(facts))
    except DatapathError as error:
        got = error.errno
    if data[:8] == SYMMETRIC_HASH[:8]:
        assert (wanted, got) == (errno.EINVAL, 0)
    elif got == errno.EOPNOTSUPP:
        assert wanted == 0, "only what the kernel accepts is not supported yet"
    else:
        assert got == wanted
    if parsed is not None and dump != "-":
        assert parsed.wire == (data if dump == "same" else bytes.fromhex(dump))


@pytest.mark.parametrize("actions", sorted({record[1] for record in RECORDS} - {"-"}))
def test_can_be_read_as_text(actions: str) -> None:
    data = bytes.fromhex(actions)
    decoded = ACTIONS.decode(data, False)
    assert ACTIONS.encode(decoded) == data
    text = ACTIONS.format(decoded)
    assert text.isprintable()
    assert text.count("(") == text.count(")")
