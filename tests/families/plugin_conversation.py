"""A program: what a daemon with all installed families answers, as JSON.

    python -m tests.families.plugin_conversation NAME TEXT

It asks nlctrl for all families and for NAME, and sends TEXT as attribute 1 of its command 1.
"""

from __future__ import annotations

import json
import sys

import trio

from ovsdp_cuse.daemon import load_registry
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlAttr, CtrlCmd
from tests.families.doors import DUMP, Daemon, build


async def main(name: str, text: str) -> None:
    """Hold the conversation and print it."""
    found = [family for family in load_registry() if family not in BUILT_IN]
    handle = Daemon(found).open()
    listed = await handle.ask(build(NLCTRL, CtrlCmd.GETFAMILY, flags=DUMP))
    described = await handle.transact(
        build(NLCTRL, CtrlCmd.GETFAMILY, {CtrlAttr.FAMILY_NAME: name})
    )
    assert isinstance(described, Message)
    family = handle.daemon.context.registry.lookup(described.attributes[CtrlAttr.FAMILY_ID])
    assert family is not None
    reply = await handle.transact(build(family.schema, 1, {1: text.encode()}))
    assert isinstance(reply, Message)
    conversation = {
        "listed": [m.attributes[CtrlAttr.FAMILY_NAME] for m in listed if isinstance(m, Message)],
        "operations": described.attributes[CtrlAttr.OPS],
        "shown": family.schema.format(reply),
        "replied": reply.attributes[1].decode(),
    }
    print(json.dumps(conversation))


if __name__ == "__main__":
    _program, wanted, sent = sys.argv
    trio.run(main, wanted, sent)
