"""The differences from the kernel's module that are known, each with its reason.

An entry matches narrowly. One that matches nothing any more fails the tests, so that the list stays
as short as it can be. docs/differences.md shows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import pack

from tests.oracle.compare import Difference
from tests.oracle.messages import VPORT, Vport, attributes, body_start, head
from tests.oracle.peers import Answers

UPCALL_STATS = 10


@dataclass
class Known:
    """One difference.

    title, reason: for docs/differences.md. sources: the tests in which it shows. label, request,
    where, ours, theirs: regular expressions that match the whole of a Difference's fields, of its
    request in words. holds: what must be true of the Difference beside that.
    """

    title: str
    reason: str
    sources: tuple[str, ...]
    label: str = ".*"
    request: str = ".*"
    where: str = ".*"
    ours: str = ".*"
    theirs: str = ".*"
    holds: Callable[[Difference], bool] = lambda difference: True
    met: set[str] = field(default_factory=set)

    def matches(self, difference: Difference, request: str) -> bool:
        """Whether a difference is this one; request: in words."""
        return all(
            re.fullmatch(pattern, text, re.DOTALL)
            for pattern, text in (
                (self.where, difference.where),
                (self.ours, difference.ours),
                (self.theirs, difference.theirs),
                (self.label, difference.label),
                (self.request, request),
            )
        ) and self.holds(difference)


def has_tag_12_bytes_in(difference: Difference) -> bool:
    """Whether the kernel's frames are ours, but for a VLAN tag 12 bytes into them."""
    ours, theirs = (
        _frames(difference.where, text) for text in (difference.ours, difference.theirs)
    )
    return len(ours) == len(theirs) and all(
        one == other or _is_moved(one, other) for one, other in zip(ours, theirs, strict=True)
    )


def _frames(where: str, text: str) -> list[bytes]:
    """The frames of a difference in hexadecimal; that of a message stands there in words."""
    parts = text.split() if where.startswith("frames") else [text]
    return [bytes.fromhex(part) for part in parts]


def _is_moved(ours: bytes, theirs: bytes) -> bool:
    tag, rest = theirs[12:16], theirs[:12] + theirs[16:]
    return any(rest[:at] + tag + rest[at:] == ours for at in range(13, len(rest) + 1))


NEWER = "Newer than Linux 6.1"
LATER = "Not supported yet"
TESTS_ONLY = "Tests only"
TAGS = "VLAN tags behind other headers"

KNOWN: tuple[Known, ...] = (
    Known(
        NEWER,
        "OVS_VPORT_ATTR_UPCALL_STATS is of Linux 6.3, so the family has an attribute more. (Ports "
        "are compared without it.)",
        ("scenarios", "captures"),
        request='.*FAMILY_(NAME|ID)=("ovs_vport"|20).*',
        where="reply 0: MAXATTR",
        ours="0a000000",
        theirs="09000000",
    ),
    Known(
        NEWER,
        "OVS_HASH_ALG_SYM_L4 for the action hash is of Linux 6.7.",
        ("scenarios", "captures"),
        request=r".*hash\(sym_l4\(.*",
        where="reply 0",
        ours="ovs_flow 1|ovs_packet 2|none|ack",
        theirs="error EINVAL",
    ),
    Known(
        NEWER,
        "So a flow with that action is there.",
        ("scenarios",),
        label=".*: hash, symmetric: (read|delete)",
        where="reply 0",
        ours="ovs_flow [23]",
        theirs="error ENOENT",
    ),
    Known(
        "Another group",
        "ovs_packet has a multicast group here, for clients of the device that want to hear of "
        "upcalls; Linux's has none.",
        ("scenarios", "captures"),
        request='.*FAMILY_(NAME|ID)=("ovs_packet"|19).*',
        where="reply 0: attributes",
        ours="FAMILY_NAME FAMILY_ID VERSION HDRSIZE MAXATTR OPS MCAST_GROUPS",
        theirs="FAMILY_NAME FAMILY_ID VERSION HDRSIZE MAXATTR OPS",
    ),
    Known(
        LATER,
        "Connection tracking: the action ct is checked, then refused: EOPNOTSUPP.",
        ("scenarios", "captures"),
        request=r".*[=,(]ct[,(}].*",
        where="reply 0",
        ours="error EOPNOTSUPP",
        theirs="ovs_flow 1|ovs_packet 2|none|ack",
    ),
    Known(
        LATER,
        "Tunnels: set of a tunnel key is checked, then refused: EOPNOTSUPP.",
        ("scenarios", "generated", "captures"),
        request=r".*set\(tunnel\(.*",
        where="reply 0",
        ours="error EOPNOTSUPP",
        theirs="ovs_flow [14]|ovs_packet 2|none|ack|error ENOENT",
    ),
    Known(
        LATER,
        "So flows with these actions are not there.",
        ("scenarios",),
        label=".*: (ct:.*|tunnel: .*): (read|delete)",
        where="reply 0",
        ours="error ENOENT",
        theirs="ovs_flow [23]",
    ),
    Known(
        LATER,
        "Tunnels: ports of type GRE, VXLAN and GENEVE are refused with EAFNOSUPPORT, whatever else "
        "is wrong with the request.",
        ("captures",),
        request=r".*OVS_VPORT_CMD_NEW .*TYPE=[345]\(.*",
        where="reply 0",
        ours="error EAFNOSUPPORT",
    ),
    Known(
        TAGS,
        "A header that push_nsh, or add_mpls of layer 2, puts in front of a tagged frame has the "
        "tagged frame behind it. Linux has the tag aside meanwhile, and puts it 12 bytes into the "
        "packet in the end, wherever that is.",
        ("scenarios", "generated"),
        request=r".*ACTIONS=.*(push_nsh|add_mpls)\(.*",
        where=r"reply \d+: PACKET|frames of port \d",
        holds=has_tag_12_bytes_in,
    ),
    Known(
        "What is left of a key",
        "After push_mpls an upcall shows the packet's key as it was, in Linux too; but there set "
        "of the new label overwrites the key's IP address, with which it shares memory.",
        ("scenarios",),
        request=r".*push_mpls\(.*set\(mpls\(.*",
        where="reply 0: KEY/(IPV[46]|ARP)",
    ),
    Known(
        TESTS_ONLY,
        "Ports of memory know no loopback interface, where the host's are refused with EINVAL.",
        ("captures",),
        request=r'.*OVS_VPORT_CMD_NEW .*NAME="lo".*',
        where="reply 0",
        ours="error ENODEV",
        theirs="error EINVAL",
    ),
)


def without_upcall_stats(answers: Answers) -> Answers:
    """Answers as Linux 6.1 would give them, which has no OVS_VPORT_ATTR_UPCALL_STATS."""
    return _without(UPCALL_STATS, answers)


def without_port_stats(answers: Answers) -> Answers:
    """Answers without what ports count, where those of one side are in memory."""
    return _without(Vport.STATS, answers)


def _without(unwanted: int, answers: Answers) -> Answers:
    replies, events = (
        tuple(_strip(message, unwanted) for message in messages)
        for messages in (answers.replies, answers.events)
    )
    return Answers(replies, events, answers.failure)


def _strip(message: bytes, unwanted: int) -> bytes:
    start = body_start(VPORT)
    if head(message).type != VPORT or len(message) < start:
        return message
    kept = b"".join(
        pack("=HH", len(payload) + 4, number) + payload + bytes(-len(payload) & 3)
        for number, payload in attributes(message[start:]) or ()
        if number != unwanted
    )
    return pack("=I", start + len(kept)) + message[4:start] + kept


def is_known(difference: Difference, request: str, source: str) -> bool:
    """Whether a difference is in the list; its entry remembers that it was met."""
    entry = next((known for known in KNOWN if known.matches(difference, request)), None)
    if entry is not None:
        entry.met.add(source)
    return entry is not None


def outlived(source: str) -> list[str]:
    """What entries say that should have been met in this source, and were not."""
    return [known.reason for known in KNOWN if source in known.sources and source not in known.met]
