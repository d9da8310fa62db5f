"""What the two kinds of node have in common, and how their set-up fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EACCES, ENODEV, ENXIO, EPERM
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
    whatever happened. Each raises OSError too, as the kernel's calls do: see `refusals_of`.
    """

    kind: str
    place_option: str
    """The option of `serve` that says where the node is."""
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


@contextmanager
def refusals_of(node: Node) -> Iterator[None]:
    """Turn an OSError of the node's set-up into a NodeError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is not None and Path(error.filename) != node.path:
            reason += f" ({error.filename})"
        advice = f"choose another {node.place_option}"
        if error.errno in (EACCES, EPERM) and os.geteuid() != 0:
            advice += ", or run it as root"
        raise NodeError(f"{node.path} cannot be made: {reason}; {advice}") from error


def _opening_problem(device: Path, missing: str, denied: str, no_driver: str) -> str | None:
    """Why a device cannot be opened, by trying: mode bits know of no driver and no device cgroup.

    To open /dev/cuse or /dev/fuse and close it again begins nothing that anybody sees.
    """
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return f"there is no {device}{missing}"
    except OSError as error:
        advice = {EACCES: denied, EPERM: denied, ENODEV: no_driver, ENXIO: no_driver}
        hint = advice.get(error.errno or 0)
        return f"{device} cannot be opened ({error.strerror})" + (f": {hint}" if hint else "")
    return None


def _is_missing(path: Path) -> bool:
    """Whether there is no such file; of one that a sandbox hides, as a service's, nothing is known.

    (ProtectKernelModules= of systemd.exec(5) hides /lib/modules.)
    """
    try:
        path.stat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def cuse_problem() -> str | None:
    """Why there can be no CUSE node here, and what would give one; None where there can."""
    modules = Path("/lib/modules") / os.uname().release
    if _is_missing(modules):
        missing = (
            f", and this kernel's modules are not installed ({modules} is missing): it needs "
            "CONFIG_CUSE (module 'cuse'), as Debian's linux-image-amd64 has it"
        )
    else:
        missing = (
            ": 'modprobe cuse' makes it where the kernel has CONFIG_CUSE "
            "(Debian: package linux-image-amd64; its cloud kernels have no such module)"
        )
    return _opening_problem(
        Path("/dev/cuse"),
        missing,
        denied="that takes root, and in a container a device rule (--device /dev/cuse)",
        no_driver="the node is there, but not its module: 'modprobe cuse'",
    )


def fuse_problem() -> str | None:
    """Why there can be no FUSE node here, and what would give one; None where there can."""
    return _opening_problem(
        Path("/dev/fuse"),
        ": 'modprobe fuse', or give the container --device /dev/fuse",
        denied="its usual mode is 0666, and a container needs --device /dev/fuse",
        no_driver="the node is there, but not its module: 'modprobe fuse'",
    )
