"""The differences from the kernel's module that are known, each with its reason.

An entry matches narrowly. One that matches nothing any more fails the tests, so that the list stays
as short as it can be. docs/differences.md shows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from struct import pack

from tests.oracle.compare import Difference
from tests.oracle.messages import VPORT, attributes, body_start, head
from tests.oracle.peers import Answers

UPCALL_STATS = 10


@dataclass
class Known:
    """One difference.

    title, reason: for docs/differences.md. sources: the tests in which it shows. label, where,
    ours, theirs: regular expressions that match the whole of a Difference's fields.
    """

    title: str
    reason: str
    sources: tuple[str, ...]
    label: str = ".*"
    where: str = ".*"
    ours: str = ".*"
    theirs: str = ".*"
    met: set[str] = field(default_factory=set)

    def matches(self, difference: Difference) -> bool:
        """Whether a difference is this one."""
        return all(
            re.fullmatch(pattern, text, re.DOTALL)
            for pattern, text in (
                (self.label, difference.label),
                (self.where, difference.where),
                (self.ours, difference.ours),
                (self.theirs, difference.theirs),
            )
        )


UPCALL_STATS_TITLE = "Ports tell OVS_VPORT_ATTR_UPCALL_STATS"

KNOWN: tuple[Known, ...] = (
    Known(
        UPCALL_STATS_TITLE,
        "Linux has the attribute since 6.3; the module that answers here is 6.1. It is left out "
        "before ports are compared, and OVS_VPORT_ATTR_MAX is 10 for its sake.",
        ("scenarios",),
        label="ovs_vport by (name|id)",
        where="reply 0: MAXATTR",
        ours="0a000000",
        theirs="09000000",
    ),
)


def without_upcall_stats(answers: Answers) -> Answers:
    """Answers as Linux 6.1 would give them, which has no OVS_VPORT_ATTR_UPCALL_STATS."""
    return Answers(
        tuple(map(_strip, answers.replies)), tuple(map(_strip, answers.events)), answers.failure
    )


def _strip(message: bytes) -> bytes:
    start = body_start(VPORT)
    if head(message).type != VPORT or len(message) < start:
        return message
    kept = b"".join(
        pack("=HH", len(payload) + 4, number) + payload + bytes(-len(payload) & 3)
        for number, payload in attributes(message[start:]) or ()
        if number != UPCALL_STATS
    )
    return pack("=I", start + len(kept)) + message[4:start] + kept


def is_known(difference: Difference, source: str) -> bool:
    """Whether a difference is in the list; its entry remembers that it was met."""
    entry = next((known for known in KNOWN if known.matches(difference)), None)
    if entry is not None:
        entry.met.add(source)
    return entry is not None


def outlived(source: str) -> list[str]:
    """The titles of entries that should have been met in this source, and were not."""
    return [known.title for known in KNOWN if source in known.sources and source not in known.met]
