"""What the daemon is, for who asks: the family `ovsdp_control` tells it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from time import monotonic_ns


@dataclass(slots=True)
class Information:
    """The daemon and its node, as they were when it started.

    version: of the package, such as "0.1.0". node: cuse, fuse or memory. path: of the node, ""
    where it has none. mode: its permission bits. uid, gid: whose it is. interfaces: host or memory.
    state: where the file system of live state
    is now, "" where there is none. process: the daemon's id.
    started_ns: on CLOCK_MONOTONIC.
    """

    version: str = "unknown"
    node: str = "memory"
    path: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    interfaces: str = "memory"
    state: str = ""
    process: int = field(default_factory=os.getpid)
    started_ns: int = field(default_factory=monotonic_ns)

    @property
    def uptime_ms(self) -> int:
        """Milliseconds since it started."""
        return (monotonic_ns() - self.started_ns) // 1_000_000
