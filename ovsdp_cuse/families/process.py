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


def process_of(thread: int) -> int:
    """The process of a thread: FUSE tells which thread has opened a handle.

    The number itself where it is nobody's any more, or of another PID namespace.
    """
    try:
        lines = Path(f"/proc/{thread}/status").read_text(errors="replace").splitlines()
    except OSError:
        return thread
    return next((int(line[5:]) for line in lines if line.startswith("Tgid:")), thread)
