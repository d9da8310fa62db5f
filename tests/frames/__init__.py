"""Golden frames: bytes of every protocol that extraction reads, and what it makes of them.

`golden.json` is written by `python -m tests.frames.make`, which builds the frames with scapy; that
they are understood rightly is for the tests to say, which ask scapy (dissect.py) and people.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("golden.json")


@dataclass(frozen=True)
class Golden:
    """One frame; `key` is what format_key() says of its key, network and transport are offsets."""

    name: str
    frame: bytes
    key: str
    network: int
    transport: int

    def __str__(self) -> str:
        return self.name


def load() -> list[Golden]:
    """All golden frames."""
    return [
        Golden(**{**entry, "frame": bytes.fromhex(entry["frame"])})
        for entry in json.loads(FILE.read_text())
    ]
