"""Who takes the same netlink messages: the daemon's device, and the kernel's own module.

The module is only asked where the benchmark was told to (in the virtual machine), so that none is
loaded into the kernel of whoever runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.namespaces import Namespace, namespace
from bench.programs import output
from bench.servers import NodeKind, daemon

OURS, KERNEL = "ovsdp-cuse", "kernel module"
NETLINK = "netlink"
"""What the C programs call AF_NETLINK."""
MODULES = ("cuse", "openvswitch", "tun", "veth")
"""Of the virtual machine's kernel, which has loaded nothing yet."""


@contextmanager
def peers(
    kind: NodeKind, directory: Path, *, with_kernel: bool
) -> Iterator[dict[str, tuple[str, Namespace]]]:
    """Name -> how a C program calls it, and the namespace of its ports; the daemon comes first."""
    with ExitStack() as stack:
        if with_kernel:
            output("modprobe", "--all", *MODULES)
        switch = stack.enter_context(namespace())
        server = stack.enter_context(daemon(kind, directory, switch))
        found = {OURS: (str(server.node), switch)}
        if with_kernel:
            found[KERNEL] = (NETLINK, stack.enter_context(namespace()))
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
