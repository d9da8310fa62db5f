"""The flows of a datapath, part by part: there may be 100,000, each of some hundred bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from time import monotonic_ns

from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.filesystem import questions
from ovsdp_cuse.filesystem.render import Document, json_array
from ovsdp_cuse.wire.flow import FLOW, FlowCmd
from ovsdp_cuse.wire.text.document import flow_document
from ovsdp_cuse.wire.text.flow import FlowText


async def as_lines(device: LocalDevice, name: bytes) -> AsyncGenerator[bytes, None]:
    """The flows as `ovs-dpctl dump-flows -m` writes them; ENODEV."""
    text = FlowText(await _port_names(device, name), verbose=True)
    async for found in questions.of_datapath(device, FLOW, FlowCmd.GET, name):
        line = text.line(found, monotonic_ns() // 1_000_000)
        yield line.encode("utf-8", "surrogateescape") + b"\n"


def as_array(device: LocalDevice, name: bytes) -> AsyncGenerator[bytes, None]:
    """The flows as `ovsdp-cuse flow-show --json` has them; ENODEV."""
    return json_array(_documents(device, name))


async def _documents(device: LocalDevice, name: bytes) -> AsyncGenerator[Document, None]:
    text = FlowText()
    async for found in questions.of_datapath(device, FLOW, FlowCmd.GET, name):
        yield flow_document(found, text)


async def _port_names(device: LocalDevice, name: bytes) -> dict[int, str]:
    index = (await questions.datapath(device, name)).dp_ifindex
    return await questions.port_names_by_number(device, index)
