"""The file `trace`: its feed begins with the first reader, and ends with the last."""

from __future__ import annotations

from typing import NoReturn, cast

import trio
import trio.testing

from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.filesystem.trace import LineMaker, TraceFeed, TraceFile


class SlowDevice:
    """A device whose subscription takes until it is let go, and may fail then."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.go_on = trio.Event()
        self.error: DatapathError | None = None
        self.closed = False

    async def subscribe(self, *groups: str) -> None:
        self.asked.set()
        await self.go_on.wait()
        if self.error is not None:
            raise self.error

    async def next_events(self) -> NoReturn:
        await trio.sleep_forever()

    def close(self) -> None:
        self.closed = True


def make_file(feed: TraceFeed) -> TraceFile:
    return TraceFile(feed, LineMaker(lambda message: "a line", lambda number: "lost"))


async def test_who_comes_while_it_begins_counts_on_a_whole_feed(nursery: trio.Nursery) -> None:
    """The second reader opens and closes while the first still waits: the first keeps its feed."""
    device = SlowDevice()
    feed = TraceFeed(nursery, lambda: cast(LocalDevice, device))
    first, second = make_file(feed), make_file(feed)

    async def come_and_go() -> None:
        await feed.begin(second)
        feed.end(second)

    async with trio.open_nursery() as readers:
        readers.start_soon(feed.begin, first)
        await device.asked.wait()
        readers.start_soon(come_and_go)
        await trio.testing.wait_all_tasks_blocked()
        device.go_on.set()
    assert not device.closed
    assert feed.end(first)
    assert device.closed


async def test_who_comes_while_it_fails_to_begin_tries_again(nursery: trio.Nursery) -> None:
    devices: list[SlowDevice] = []

    def open_writer() -> LocalDevice:
        devices.append(SlowDevice())
        if len(devices) == 1:
            devices[0].error = DatapathError(24, "no handle")
        else:
            devices[-1].go_on.set()
        return cast(LocalDevice, devices[-1])

    feed = TraceFeed(nursery, open_writer)
    first, second = make_file(feed), make_file(feed)
    errors: list[DatapathError] = []

    async def begin_first() -> None:
        try:
            await feed.begin(first)
        except DatapathError as error:
            errors.append(error)

    async with trio.open_nursery() as readers:
        readers.start_soon(begin_first)
        await trio.testing.wait_all_tasks_blocked()
        readers.start_soon(feed.begin, second)
        await trio.testing.wait_all_tasks_blocked()
        devices[0].go_on.set()
    assert len(errors) == 1
    assert [device.closed for device in devices] == [True, False]
    feed.end(second)
