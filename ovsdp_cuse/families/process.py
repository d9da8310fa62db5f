"""What is known of a client's process beside its number."""

from __future__ import annotations

from pathlib import Path

UNKNOWN = "?"


def command_of(pid: int) -> str:
    """The command of a process (proc_pid_comm(5)), as it is: it may hold control characters.

    UNKNOWN where the process has gone already, or is in another PID namespace.
    """
    try:
        text = Path(f"/proc/{pid}/comm").read_text(errors="backslashreplace")
    except OSError:
        return UNKNOWN
    return text.removesuffix("\n")
