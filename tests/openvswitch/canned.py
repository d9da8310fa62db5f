"""A daemon whose flows are those of a file: python -m tests.openvswitch.canned NODE FILE

What its datapath tells of flows is what the file has, be it what no daemon would take: so that
programs can be asked how they show it. All else is as always, with ports of memory.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ovsdp_cuse import daemon
from ovsdp_cuse.configuration import Configuration
from ovsdp_cuse.families import flow
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.registry import Family, Registry
from ovsdp_cuse.families.request import Body, Request
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.flow import FLOW, FlowCmd
from ovsdp_cuse.wire.netlink import NETLINK_HEADER


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
    """Serve until SIGTERM."""
    _program, node, file = sys.argv
    families = [canned(Path(file)) if one is flow.FAMILY else one for one in BUILT_IN]
    configuration = Configuration(node="fuse", path=node, interfaces="memory")
    daemon.main(configuration, Registry(families), None, lambda _node: None)


if __name__ == "__main__":
    main()
