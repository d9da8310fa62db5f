"""Who takes the same netlink messages: the daemon's device, and the kernel's own module.

The module is only asked where the benchmark was told to (in the virtual machine), so that none is
loaded into the kernel of whoever runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.namespaces import Namespace, namespace
from bench.programs import output
from bench.servers import NodeKind, Server, daemon

OURS, KERNEL = "ovsdp-cuse", "kernel module"
NETLINK = "netlink"
"""What the C programs call AF_NETLINK."""
MODULES = ("cuse", "openvswitch", "tun", "veth")
"""Of the virtual machine's kernel, which has loaded nothing yet."""


@dataclass(frozen=True)
class Peer:
    """target: how a C program calls it; switch: the namespace of its ports; server: None for the
    kernel."""

    target: str
    switch: Namespace
    server: Server | None


@contextmanager
def peers(kind: NodeKind, directory: Path, *, with_kernel: bool) -> Iterator[dict[str, Peer]]:
    """The peers by name; the daemon comes first."""
    with ExitStack() as stack:
        if with_kernel:
            output("modprobe", "--all", *MODULES)
        switch = stack.enter_context(namespace())
        server = stack.enter_context(daemon(kind, directory, switch))
        found = {OURS: Peer(str(server.node), switch, server)}
        if with_kernel:
            found[KERNEL] = Peer(NETLINK, stack.enter_context(namespace()), None)
        yield found


def medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each figure in equally built dictionaries the median; they may be nested."""
    first = rounds[0]
    return {
        name: medians([each[name] for each in rounds])
        if isinstance(first[name], dict)
        else median(each[name] for each in rounds)
        for name in first
    }


def ratios(figures: dict[str, Any]) -> dict[str, float]:
    """How many times the kernel's figure ours is, for the figures of one level."""
    if KERNEL not in figures:
        return {}
    theirs = figures[KERNEL]
    return {name: value / theirs[name] for name, value in figures[OURS].items()}
