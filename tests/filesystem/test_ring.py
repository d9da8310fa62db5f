"""The last lines of the trace: what is kept, and what a slow reader is told."""

from __future__ import annotations

from ovsdp_cuse.filesystem.open_files import READABLE
from ovsdp_cuse.filesystem.ring import Ring

LIMIT = 100


def lost(number: int) -> bytes:
    return b"lost %d\n" % number


def filled(lines: int) -> Ring:
    ring = Ring(lost, LIMIT)
    for number in range(lines):
        ring.append(b"line %04d\n" % number)
    return ring


async def test_a_read_at_the_end_gives_nothing_and_later_what_has_come() -> None:
    ring = filled(1)
    reader = ring.open()
    assert await reader.read(0, 4096) == b"line 0000\n"
    assert await reader.read(10, 4096) == b""
    ring.append(b"more\n")
    assert await reader.read(10, 4096) == b"more\n"


async def test_the_oldest_lines_go_and_who_comes_late_begins_with_what_is_kept() -> None:
    ring = filled(50)
    assert ring.end == 500 and ring.end - ring.start <= 2 * LIMIT
    text = await ring.open().read(0, 4096)
    assert text.startswith(b"line ") and text.endswith(b"line 0049\n")


async def test_a_slow_reader_is_told_how_many_lines_are_gone() -> None:
    ring = filled(3)
    reader = ring.open()
    offset = len(await reader.read(0, 4096))
    for number in range(3, 60):
        ring.append(b"line %04d\n" % number)
    gone = ring.lines_gone
    text = b""
    while part := await reader.read(offset + len(text), 4096):
        text += part
    lines = text.splitlines()
    assert lines[0] == b"lost %d" % (gone - 3)
    assert lines[1:] == [b"line %04d" % number for number in range(gone, 60)]


async def test_poll_tells_of_what_was_not_read() -> None:
    woken: list[int] = []

    class Waker:
        def notify(self) -> None:
            woken.append(1)

    ring = filled(1)
    reader = ring.open()
    assert reader.poll(Waker()) == READABLE
    await reader.read(0, 4096)
    assert reader.poll(Waker()) == 0 and not woken
    ring.append(b"more\n")
    assert woken == [1] and reader.poll(None) == READABLE
    ring.append(b"more\n")
    assert woken == [1], "each who waits is told once"
