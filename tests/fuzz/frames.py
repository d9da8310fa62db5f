"""Frames for ports and for EXECUTE: of every protocol that extraction reads, whole and broken."""

from __future__ import annotations

from random import Random

from ovsdp_cuse.switch.packet import Offload
from tests.frames import load
from tests.oracle.frames import BAD, GOOD

FRAMES = (*(golden.frame for golden in load()), *GOOD.values(), *BAD.values())
POOL = 6
"""How many of them a source prefers, so that the same frame comes again and meets its flow."""
LARGEST = 65_700
"""Bytes of the longest frame: more than an upcall's attribute holds."""
GSO_TYPES = (0, 0, 1, 1, 3, 4, 4, 5, 5, 0x81, 0x84, 2, 0xFF)
FLAGS = (0, 1, 1, 1, 2, 3, 0xFF)


class Frames:
    """A source of frames and of what a virtio_net_hdr claims of them."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._pool = random.sample(FRAMES, POOL)

    def frame(self, shortest: int = 0) -> bytes:
        """A frame: as it should be, cut, with bits flipped, large, or anything."""
        random = self.random
        frame = random.choice(self._pool if random.random() < 0.8 else FRAMES)
        chance = random.random()
        if chance < 0.2:
            frame = frame[: random.randrange(len(frame) + 1)]
        elif chance < 0.45:
            frame = self._flipped(frame)
        elif chance < 0.5:
            frame += bytes(random.randrange(2000))
        elif chance < 0.51:
            frame += bytes(random.randrange(LARGEST - len(frame)))
        elif chance < 0.53:
            frame = random.randbytes(random.randrange(100))
        elif chance < 0.58:  # one header in another
            at = random.choice((12, 14, 18, 22, 34))
            frame = frame[:at] + random.choice(FRAMES)[random.choice((0, 12, 14)) :]
        return frame.ljust(shortest, b"\0")

    def offload(self, frame: bytes) -> Offload | None:
        """Most often none; else true, nearly true, or a lie."""
        random = self.random
        if random.random() < 0.6:
            return None
        start = random.choice((14, 18, 34, 34, 38, 54, random.randrange(80), 0xFFFF))
        place = random.choice((6, 16, 16, 8, random.randrange(40), 0xFFFF))
        size = random.choice((0, 1, 8, 100, 536, 1400, 1448, 0xFFFF))
        if len(frame) > 5000 and random.random() < 0.95:
            size = max(size, 500)
        header = random.choice((0, 42, 54, 66, 0xFFFF))
        return Offload(random.choice(FLAGS), random.choice(GSO_TYPES), header, size, start, place)

    def _flipped(self, frame: bytes) -> bytes:
        random = self.random
        content = bytearray(frame)
        for _ in range(random.choice((1, 1, 2, 5))):
            if content:
                # Most of what extraction reads lies at the beginning.
                at = random.randrange(min(len(content), random.choice((20, 40, 80, 200))))
                content[at] = random.choice((0, 0xFF, content[at] ^ 1 << random.randrange(8)))
        return bytes(content)
