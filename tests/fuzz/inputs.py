"""What the fuzzer sends: correct, mutated and random bytes, all from one `random.Random`."""

from __future__ import annotations

import struct
from random import Random
from sys import byteorder

from ovsdp_cuse.device import fuse_abi as abi
from ovsdp_cuse.device.ioctl import IOCTL_TYPE
from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.dispatch import Ioctl
from ovsdp_cuse.wire.actions import ACTIONS
from ovsdp_cuse.wire.attributes import Unparsed, pack_attribute
from ovsdp_cuse.wire.family import FamilySchema
from ovsdp_cuse.wire.key import KEY
from ovsdp_cuse.wire.netlink import GENERIC_HEADER
from ovsdp_cuse.wire.values import Integer, IntegerArray, String, Value
from tests.oracle.generator import keys
from tests.oracle.generator.actions import Lists
from tests.oracle.generator.tree import build

LONGEST_MESSAGE = 2048

NUMBERS = (
    *(0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 19, 20, 23, 24, 25, 27, 28, 32, 36, 64),
    *(0x7F, 0x80, 0xFF, 0x100, 0x300, 0x7FFF, 0x8000, 0xFFFC, 0xFFFF, 0x10000),
    *(212_992, 212_993, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1, 2**63, 2**64 - 1),
)
"""Where lengths, sizes and offsets go wrong."""

NAMES = (b"br0\0", b"br1\0", b"probe\0", b"d%d\0", b"\0", b"a/b\0", b"no end", b"x" * 16, b"\xff\0")
SMALL_NUMBERS = (0, 1, 2, 3, 8, 9, 16, 101, 102, 256)
"""Among them: user features, numbers of groups, a size of a mask cache."""
FAMILIES = tuple(family.schema for family in BUILT_IN)
FLAGS = (0, 0, 4, 8, 0xC, 0x100, 0x200, 0x300, 0x300, 0x304, 0x400, 0xFFFF)
OPEN_FLAGS = (0, 1, 2, 3, 0o4000, 0o4002, 0o6002, 0x8002)


class Inputs:
    """A source of inputs.

    pids: those of handles that are open, to be named in messages; own_pid: the sender's.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.pids: list[int] = []
        self.own_pid = 0
        self.sequence = 0

    # Bytes -------------------------------------------------------------------------------------

    def number(self, bits: int) -> int:
        """A number of so many bits, more often one at a limit."""
        random = self.random
        if random.random() < 0.7:
            return random.choice(NUMBERS) & ((1 << bits) - 1)
        return random.getrandbits(bits)

    def random_bytes(self, most: int = 100) -> bytes:
        """Anything."""
        return self.random.randbytes(self.random.randrange(most))

    def mutate(self, data: bytes) -> bytes:
        """The same but for a few changes: bits, numbers, cuts, copies."""
        random = self.random
        content = bytearray(data)
        for _ in range(random.choice((1, 1, 2, 4))):
            size = len(content)
            match random.randrange(6) if size >= 8 else 5:
                case 0:
                    content[random.randrange(size)] ^= 1 << random.randrange(8)
                case 1:
                    struct.pack_into(
                        "=H", content, random.randrange(0, size - 3, 2), self.number(16)
                    )
                case 2:
                    struct.pack_into(
                        "=I", content, random.randrange(0, size - 3, 4), self.number(32)
                    )
                case 3:
                    del content[random.randrange(size) :]
                case 4:
                    start = random.randrange(size)
                    copied = content[start : start + random.randrange(64)]
                    where = random.randrange(size)
                    content[where:where] = copied
                case _:
                    content += self.random_bytes(16)
        return bytes(content)

    # Messages ----------------------------------------------------------------------------------

    def payload(self) -> bytes:
        """What an attribute may hold, or may not."""
        random = self.random
        match random.randrange(6):
            case 0 | 1:
                return random.choice(NAMES)
            case 2 | 3:
                return struct.pack("=I", self.number(32))
            case 4:
                return struct.pack("=I", self.pid())
            case _:
                return self.random_bytes(24)

    def attributes(self, numbers: tuple[int, ...], depth: int = 0) -> bytes:
        """Attributes, mostly with these numbers; some hold attributes."""
        random = self.random
        content = b""
        for _ in range(random.choice((0, 1, 2, 2, 3, 5))):
            number = random.choice(numbers) if random.random() < 0.8 else self.number(16)
            nested = depth < 3 and random.random() < 0.1
            payload = self.attributes(numbers, depth + 1) if nested else self.payload()
            length = 4 + len(payload) if random.random() < 0.95 else self.number(16)
            content += struct.pack("=HH", length, number) + payload + bytes(-len(payload) & 3)
        return content

    def sensible(self, value: Value) -> bytes:
        """A payload that a value most likely takes."""
        random = self.random
        match value:
            case String():
                return random.choice(NAMES)
            case Integer(bounds=(lowest, highest), size=size):
                number = random.choice((*SMALL_NUMBERS, self.number(32)))
                return (min(max(number, lowest), highest) & (1 << 8 * size) - 1).to_bytes(
                    size, byteorder
                )
            case IntegerArray():
                return struct.pack("=I", self.pid()) * random.choice((1, 1, 1, 2, 3))
            case Unparsed(inner=inner) if inner is KEY:
                return build(keys.key(random))
            case Unparsed(inner=inner) if inner is ACTIONS:
                return build(Lists(random, self.pid() or 1, False, []).make())
        return self.payload()

    def sensible_message(self) -> bytes:
        """A message that a client might send: most of what a command takes, none of it absurd."""
        random = self.random
        family = random.choice(BUILT_IN)
        schema = family.schema
        command = random.choice(family.commands).number
        content = b""
        for number, value in schema.attributes_of(command).table.items():
            if random.random() < 0.6:
                payload = self.sensible(value)
                content += pack_attribute(number, payload)
        flags = random.choice((0, 0, 0, 4, 8, 0xC, 0x300, 0x304)) | 1
        return self.build(schema, command, flags, random.choice((0, 0, 1, 2)), content)

    def loose_message(self) -> bytes:
        """Headers and attributes of which each may be anything."""
        random = self.random
        schema = random.choice(FAMILIES)
        command = int(random.choice(list(schema.commands)))
        numbers = tuple(schema.attributes_of(command).table) or (0, 1, 2)
        content = self.attributes(numbers)
        flags = random.choice(FLAGS) | (random.random() < 0.9)
        return self.build(schema, command, flags, self.number(32), content)

    def build(
        self, schema: FamilySchema, command: int, flags: int, dp_ifindex: int, content: bytes
    ) -> bytes:
        """A message; a few numbers of its header are wrong now and then."""
        random = self.random
        if schema.header_size:
            content = struct.pack("=I", dp_ifindex) + content
        self.sequence += 1
        return (
            GENERIC_HEADER.pack(
                GENERIC_HEADER.size + len(content),
                schema.id if random.random() < 0.98 else self.number(16),
                flags,
                self.sequence,
                random.choice((0, 0, self.own_pid, self.own_pid, self.pid())),
                command if random.random() < 0.98 else self.number(8),
                schema.version if random.random() < 0.95 else self.number(8),
                0,
            )
            + content
        )

    def pid(self) -> int:
        """Of an open handle, or of none."""
        return self.random.choice((0, self.own_pid, self.own_pid, *self.pids))

    def message(self) -> bytes:
        """A message: sensible or loose, as it is or mutated; or random bytes."""
        chance = self.random.random()
        if chance < 0.05:
            return self.random_bytes()
        built = self.sensible_message() if chance < 0.75 else self.loose_message()
        return (self.mutate(built) if self.random.random() < 0.3 else built)[:LONGEST_MESSAGE]

    def messages(self) -> bytes:
        """What one write carries: messages, mostly padded as they should be."""
        random = self.random
        content = b""
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            content += self.message()
            if random.random() < 0.95:
                content += bytes(-len(content) & 3)
        return content

    def size(self) -> int:
        """A buffer's size: mostly enough for what the daemon says."""
        return self.random.choice((4096, 4096, 4096, 4096, 4096, 150, 24, 4, 0, self.number(12)))

    # Frames of the channel ---------------------------------------------------------------------

    def body(self, opcode: int, handles: list[int], uniques: list[int]) -> bytes:
        """The body of a request as the kernel sends it, but for what a client chooses."""
        random = self.random
        handle = random.choice(handles) if handles and random.random() < 0.95 else self.number(64)
        offset = 0 if random.random() < 0.8 else self.number(64)
        match opcode:
            case abi.Opcode.OPEN:
                return abi.OPEN_IN.pack(random.choice(OPEN_FLAGS), 0)
            case abi.Opcode.IOCTL:
                message = self.message()
                number = (IOCTL_TYPE << 8 | random.choice(list(Ioctl))) | self.number(16) << 16
                number = number if random.random() < 0.95 else self.number(32)
                size = len(message) if random.random() < 0.95 else self.number(32)
                return abi.IOCTL_IN.pack(handle, 0, number, 0, size, self.size()) + message
            case abi.Opcode.READ:
                flags = random.choice(OPEN_FLAGS)
                owner = random.choice((0, abi.READ_LOCKOWNER, abi.READ_LOCKOWNER))
                return abi.READ_IN.pack(handle, offset, self.size(), owner, 0, flags, 0)
            case abi.Opcode.WRITE:
                messages = self.messages()
                size = len(messages) if random.random() < 0.95 else self.number(32)
                flags = random.choice(OPEN_FLAGS)
                return abi.WRITE_IN.pack(handle, offset, size, 0, 0, flags, 0) + messages
            case abi.Opcode.POLL:
                return abi.POLL_IN.pack(handle, self.number(64), random.randrange(2), 0xFFFF)
            case abi.Opcode.RELEASE:
                return abi.RELEASE_IN.pack(handle, 0, 0, 0)
            case abi.Opcode.INTERRUPT:
                return abi.INTERRUPT_IN.pack(random.choice(uniques) if uniques else 2)
            case abi.Opcode.INIT | abi.Opcode.CUSE_INIT:
                return abi.INIT_IN.pack(self.number(32), self.number(32), 0, self.number(32))
        return self.random_bytes(96)

    def frame(self, unique: int, handles: list[int], uniques: list[int]) -> bytes:
        """A request; its `unique` is always right, for that is the kernel's own."""
        random = self.random
        opcode = int(random.choices(OPCODES, WEIGHTS)[0])
        if random.random() < 0.03:
            opcode = self.number(32)
        body = self.body(opcode, handles, uniques)
        head = abi.IN_HEADER.pack(abi.IN_HEADER.size + len(body), opcode, unique, 1, 0, 0, 1, 0, 0)
        frame = head + body
        if random.random() < 0.3:
            frame = self.mutate(frame)[: 2 * LONGEST_MESSAGE]
            # A frame is never empty: the kernel has no such request.
            frame = frame[:8] + struct.pack("=Q", unique) + frame[16:] if frame[16:] else frame
        return frame or b"\0"


_WEIGHTS = {
    abi.Opcode.IOCTL: 40,
    abi.Opcode.WRITE: 15,
    abi.Opcode.READ: 15,
    abi.Opcode.OPEN: 8,
    abi.Opcode.POLL: 8,
    abi.Opcode.RELEASE: 4,
    abi.Opcode.INTERRUPT: 4,
}
OPCODES = tuple(abi.Opcode)
WEIGHTS = tuple(_WEIGHTS.get(opcode, 1) for opcode in OPCODES)
