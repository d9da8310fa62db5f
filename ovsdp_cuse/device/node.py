"""What the two kinds of node have in common, and how their set-up fails."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ovsdp_cuse.device.channel import Channel
from ovsdp_cuse.device.connection import Connection


class NodeError(Exception):
    """The node cannot be made; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """Who may open the node: permission bits, user id and group id."""

    mode: int = 0o660
    uid: int = 0
    gid: int = 0


class Node(Protocol):
    """A device node.

    The order of calls: `attach`, then a server that answers INIT, then `publish`, and `withdraw`
    whatever happened.
    """

    kind: str
    path: Path
    connection: Connection
    wait_limit_s: float | None
    """The longest that a request may wait before the kernel would give up on the node."""

    async def attach(self) -> Channel:
        """Open the channel to the kernel; NodeError where that cannot be."""

    async def publish(self) -> None:
        """Return when INIT was answered and clients can open the node, with its permissions."""

    async def withdraw(self) -> None:
        """Take the node away and close the channel; may be called in any state."""


def cuse_problem() -> str | None:
    """Why there can be no CUSE node here, and what would give one; None where there can."""
    device = Path("/dev/cuse")
    if not device.exists():
        module = Path("/lib/modules") / os.uname().release
        if not module.is_dir():
            return (
                "there is no /dev/cuse, and this kernel's modules are not installed "
                f"({module} is missing): it needs CONFIG_CUSE (module 'cuse'), as Debian's "
                "linux-image-amd64 has it"
            )
        return (
            "there is no /dev/cuse: 'modprobe cuse' makes it where the kernel has CONFIG_CUSE "
            "(Debian: package linux-image-amd64; its cloud kernels have no such module)"
        )
    if not os.access(device, os.R_OK | os.W_OK):
        return "/dev/cuse may not be opened: that takes root (or in a container, a device rule)"
    return None


def fuse_problem() -> str | None:
    """Why there can be no FUSE node here, and what would give one; None where there can."""
    device = Path("/dev/fuse")
    if not device.exists():
        return "there is no /dev/fuse: 'modprobe fuse', or give the container --device /dev/fuse"
    if not os.access(device, os.R_OK | os.W_OK):
        return "/dev/fuse may not be opened: its usual mode is 0666"
    return None
