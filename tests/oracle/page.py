"""docs/differences.md: the known differences in words. python -m tests.oracle.page [--check]"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from textwrap import fill

from tests.oracle.differences import KNOWN, TESTS_ONLY

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"
BEGINNING = """# Differences from Linux's openvswitch module

The datapath answers as the module of Linux 6.1 does (Debian 12's). The same requests go to both, in
a virtual machine: those of real Open vSwitch, a table for every command, attribute and error, and
generated keys, masks, actions and frames. Replies, errors, notifications, dumps, upcalls and
frames are compared (`tests/oracle/`). This page is made from the list of differences that the
comparison allows, `tests/oracle/differences.py`; an entry that is met no more fails the tests.

By nature these are not the same, and only their sense is compared: the numbers of families and
multicast groups, interface indexes that nobody has chosen, the values of packet hashes, times, and
the order in which flows are dumped. The texts of errors are our own, and more of them name the
attribute (NLMSGERR_ATTR_OFFS) that is wrong or missing.
"""


def item(text: str) -> str:
    """An item of a list."""
    return fill(text, 100, initial_indent="- ", subsequent_indent="  ")


def page() -> str:
    """The page; what only the tests' own world makes different is not in it."""
    parts = [BEGINNING]
    told = [known for known in KNOWN if known.title != TESTS_ONLY]
    for title, entries in groupby(told, key=lambda known: known.title):
        parts.append(f"\n## {title}\n\n")
        parts += [f"{item(entry.reason)}\n" for entry in entries]
    return "".join(parts)


def main(arguments: list[str]) -> int:
    """Write the page; with --check, 1 where it is not as it should be."""
    if "--check" in arguments:
        return int(PAGE.read_text() != page())
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
