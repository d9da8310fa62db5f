"""What ovs-dpctl of Open vSwitch 3.1 prints of the cases: python -m tests.wire.text.recorded

It writes `recorded.txt`: a name, the line without -m, the line with it. The ports have the names
that the daemon gives them which tells these flows to ovs-dpctl: see tests/openvswitch/canned.py.
"""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("recorded.txt")


def recorded() -> dict[str, tuple[str, str]]:
    """The lines of each case."""
    found = {}
    for entry in FILE.read_text().split("\n\n"):
        name, plain, verbose = entry.strip().splitlines()
        found[name] = plain, verbose
    return found


def main() -> None:
    """Ask ovs-dpctl, and record what it says."""
    from tests.openvswitch.canned import dump_flows
    from tests.wire.text.cases import CASES

    lines = zip(CASES, *dump_flows(CASES.values(), (), ("-m",)), strict=True)
    FILE.write_text("\n\n".join("\n".join(entry) for entry in lines) + "\n")


if __name__ == "__main__":
    main()
