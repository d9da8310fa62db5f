"""Sessions of ovs-dpctl as text: commands, and what they printed on the kernel's own datapath.

`recorded/` has the transcripts, made by `python -m tests.openvswitch.record` in the virtual
machine. What differs from run to run is taken out: times, and the order of a dump's flows.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.openvswitch.programs import Programs

RECORDED = Path(__file__).with_name("recorded")
LOGGED = re.compile(r"^\d{4}-\d\d-\d\dT[\d:]+Z\|\d+\|(\w+)(?:\(\w+\))?\|(\w+)\|")
PROMPT = "$ "


def transcribe(programs: Programs, commands: Sequence[str]) -> str:
    """Run the commands one after the other; each with its output and its status."""
    return "".join(_entry(programs, command) for command in commands)


def entries(transcript: str) -> Iterator[tuple[str, str]]:
    """The commands, and what each printed."""
    for part in re.split(r"^(?=\$ )", transcript, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command.removeprefix(PROMPT), printed


def _entry(programs: Programs, command: str) -> str:
    result = programs.run(*shlex.split(command), check=False)
    lines = _normal(result.errors.splitlines()) + _normal(result.output.splitlines())
    return "\n".join((f"{PROMPT}{command}", *lines, f"[{result.status}]", ""))


def _normal(lines: Sequence[str]) -> list[str]:
    """Without times; flows, which come in the order of a hash table, sorted."""
    lines = [LOGGED.sub(r"\2 \1: ", line) for line in lines]
    return sorted(lines) if any(", actions:" in line for line in lines) else list(lines)
