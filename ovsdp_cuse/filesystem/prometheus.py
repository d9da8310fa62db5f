"""The file `metrics`: what `ovsdp_cuse.metrics` makes of what a device tells."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import trio

from ovsdp_cuse import metrics
from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.filesystem.questions import ask
from ovsdp_cuse.wire.family import Message


async def as_text(device: LocalDevice) -> AsyncGenerator[bytes, None]:
    """All metrics of one moment, as Prometheus reads them."""
    snapshot = await _ask(device)

    def render() -> list[bytes]:
        return list(metrics.render(snapshot))

    # A metric of 65,535 ports takes long, and begins with the import of the library; it is all
    # done with data of its own, so a thread lets the loop go on.
    for part in await trio.to_thread.run_sync(render):
        yield part


async def _ask(device: LocalDevice) -> metrics.Snapshot:
    questions = metrics.questions()
    question = next(questions)
    while True:
        try:
            try:
                answers = await _answer(device, question)
            except DatapathError as error:
                question = questions.throw(error)
            else:
                question = questions.send(answers)
        except StopIteration as done:
            snapshot: metrics.Snapshot = done.value
            return snapshot


async def _answer(device: LocalDevice, question: metrics.Question) -> list[Message]:
    family, command, index, is_dump = question
    if not is_dump:
        return [await ask(device, family, command, dp_ifindex=index)]
    return [found async for found in device.dump(family, command, dp_ifindex=index)]
