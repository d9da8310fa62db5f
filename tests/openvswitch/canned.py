"""A daemon that tells of flows what a file has, be it what no daemon would take.

So programs can be asked how they show it. `python -m tests.openvswitch.canned serve` is
`ovsdp-cuse serve`, with a FUSE node; `dump_flows` runs it, and ovs-dpctl on it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ovsdp_cuse import daemon
from ovsdp_cuse.client import Device
from ovsdp_cuse.command_line.group import program
from ovsdp_cuse.families import flow
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.registry import Family, Registry
from ovsdp_cuse.families.request import Body, Request
from ovsdp_cuse.shim import VARIABLE, library
from ovsdp_cuse.testing.process import unique_name
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowCmd
from ovsdp_cuse.wire.netlink import NETLINK_HEADER
from tests.nodes.daemon import Daemon

DATAPATH_NAME = "dp0"
PORT_NAMES = {0: DATAPATH_NAME}
"""What the datapath has as ports: its own."""
LIMIT_S = 120


def dump_flows(messages: Iterable[Message], *options: tuple[str, ...]) -> list[list[str]]:
    """The lines that `ovs-dpctl dump-flows` prints of these flows, for each set of its options."""
    with tempfile.TemporaryDirectory(prefix="ovsdp-test-") as directory:
        node = Path(directory) / unique_name()
        flows_file(node).write_bytes(b"".join(map(FLOW.build, messages)))
        with Daemon("fuse", node, module=__name__) as served:
            with Device(node) as device:
                made = {DpAttr.NAME: DATAPATH_NAME, DpAttr.UPCALL_PID: (0,)}
                device.transact(DATAPATH, DpCmd.NEW, made)
            printed = [_dump(node, some) for some in options]
            assert served.stop() == 0, served.log
        return printed


def _dump(node: Path, options: tuple[str, ...]) -> list[str]:
    command = ("ovs-dpctl", "dump-flows", *options, DATAPATH_NAME)
    environment = {**os.environ, "LD_PRELOAD": str(library()), VARIABLE: str(node)}
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=True
    )
    return result.stdout.splitlines()


def flows_file(node: Path) -> Path:
    """Where the flows of a node are."""
    return node.with_name(f"{node.name}.flows")


def flows_of(data: bytes) -> Iterator[Message]:
    """The flows in a file."""
    while data:
        length = NETLINK_HEADER.parse(data).length
        yield FLOW.parse(data[:length])
        data = data[length:]


def canned(file: Path) -> Family:
    """The family of flows, with a dump that reads them from a file each time."""

    def dump(request: Request) -> Iterator[Body]:
        index = request.datapath().index
        for message in flows_of(file.read_bytes()):
            yield Body(FlowCmd.GET, message.attributes, index)

    commands = tuple(
        replace(command, dump=dump) if command.dump is not None else command
        for command in flow.FAMILY.commands
    )
    return Family(FLOW, commands, flow.FAMILY.groups, flow.FAMILY.summary)


def main() -> None:
    """`ovsdp-cuse`, with that family."""
    file = flows_file(Path(sys.argv[sys.argv.index("--path") + 1]))
    families = [canned(file) if one is flow.FAMILY else one for one in BUILT_IN]
    daemon.load_registry = lambda: Registry(families)
    program()


if __name__ == "__main__":
    main()
