"""Requests of `ovsdp_control`, which tells of the daemon and makes it fail: all but EXPLAIN."""

from __future__ import annotations

import struct
from random import Random

from ovsdp_cuse.families.fault_rules import EFFECTS
from ovsdp_cuse.families.faults import WAITS
from ovsdp_cuse.wire.attributes import pack_attribute
from ovsdp_cuse.wire.control import CONTROL, ControlCmd, McastAttr
from ovsdp_cuse.wire.fault import OPERATIONS, FaultAttr, FaultEffect
from ovsdp_cuse.wire.meter import MeterAttr
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.state import HandleAttr
from ovsdp_cuse.wire.trace import TRACE_GROUP, TraceFilterAttr
from tests.fuzz.inputs import FAMILIES, NUMBERS, Inputs

SHARE = 0.08
"""Of messages, that are of this family."""
NOBODY = 0xFFFF_FF00
"""A PID that no handle has."""
WAITING = tuple(WAITS)
SMALL = (1, 1, 2, 3, 5)
_GROUPS = (TRACE_GROUP, TRACE_GROUP, TRACE_GROUP, 101, 102, 256)


def number(attribute: int, value: int) -> bytes:
    """An attribute of 32 bits."""
    return pack_attribute(attribute, struct.pack("=I", value & 0xFFFF_FFFF))


def text(attribute: int, value: str) -> bytes:
    """An attribute with a string."""
    return pack_attribute(attribute, value.encode() + b"\0")


class ControlInputs(Inputs):
    """Inputs among which are requests of `ovsdp_control`; no valid fault is among them."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.indexes: list[int] = [1]
        self._control_makers = (
            (3, self._state),
            (2, self._filter),
            (1, self._join),
            (1, self._fault_command),
        )

    def message(self) -> bytes:
        """As Inputs.message, or one of this family, perhaps mutated."""
        if self.random.random() >= SHARE:
            return super().message()
        message = self.control_message()
        return self.mutate(message) if self.random.random() < 0.2 else message

    def control_message(self) -> bytes:
        """A request for state, about traces, or about faults that are there."""
        weights = [weight for weight, _make in self._control_makers]
        ((_weight, make),) = self.random.choices(self._control_makers, weights)
        return make()

    def control(self, command: int, *attributes: bytes, dumps: float = 0.5) -> bytes:
        """A request; `dumps`: how probable it is that it wants a dump."""
        random = self.random
        flags = random.choice((0, 4, 4, 8, 0xC)) | 1
        if random.random() < dumps:
            flags |= 0x300
        index = random.choice((0, 0, 0, *self.indexes, self.number(8)))
        return self.build(OVSDP_CONTROL, command, flags, index, b"".join(attributes))

    def _state(self) -> bytes:
        random = self.random
        command = random.choice(
            (
                *(OvsdpCmd.INFO_GET, OvsdpCmd.HANDLE_GET, OvsdpCmd.DROPS_GET),
                *(OvsdpCmd.MASK_GET, OvsdpCmd.METER_GET, OvsdpCmd.TRACE),
            )
        )
        attributes = b""
        if command == OvsdpCmd.HANDLE_GET and random.random() < 0.6:
            attributes = number(HandleAttr.PID, random.choice((self.pid(), self.number(32))))
        elif command == OvsdpCmd.METER_GET and random.random() < 0.2:
            attributes = number(MeterAttr.ID, random.randrange(9))
        elif random.random() < 0.05:
            attributes = self.attributes((1, 2, 3))
        return self.control(command, attributes, dumps=0.7)

    def _names(self, family: int, command: int) -> list[bytes]:
        """A family and a command by their names, which mostly fit; or one of them."""
        random = self.random
        schema = random.choice(FAMILIES)
        name = schema.command_name(random.choice(list(schema.commands)))
        names = [text(family, schema.name), text(command, name)]
        if random.random() < 0.1:
            names[random.randrange(2)] = text(command, random.choice(("", "OVS", "x" * 300)))
        return names[random.choice((0, 0, 0, 1)) : random.choice((1, 2, 2))]

    def _filter(self) -> bytes:
        random = self.random
        attributes: list[bytes] = []
        if random.random() < 0.4:
            attributes += self._names(TraceFilterAttr.FAMILY, TraceFilterAttr.COMMAND)
        choices = (
            number(TraceFilterAttr.PID, random.choice((*self.pids, 0, NOBODY))),
            number(TraceFilterAttr.PROCESS, random.choice((1, 2))),
            text(TraceFilterAttr.PROCESS_NAME, random.choice(("systemd", "?", "\xff"))),
            number(TraceFilterAttr.DATAPATH, random.choice((*self.indexes, 0))),
            pack_attribute(TraceFilterAttr.ERRORS, b""),
            pack_attribute(TraceFilterAttr.SLOWER_NS, struct.pack("=Q", self.number(64))),
        )
        attributes += random.sample(choices, random.choice((0, 1, 1, 2, 6)))
        return self.control(OvsdpCmd.TRACE_FILTER, *attributes, dumps=0.02)

    def _join(self) -> bytes:
        random = self.random
        joins = random.choice((1, 1, 1, 0, 0xFF))
        attributes = number(McastAttr.MCAST_GRP, random.choice(_GROUPS))
        attributes += pack_attribute(McastAttr.MCAST_JOIN, bytes([joins]))
        return self.build(CONTROL, ControlCmd.MC_SUBSCRIBE_REQ, 5, 0, attributes)

    # Faults ------------------------------------------------------------------------------------

    def _fault_command(self) -> bytes:
        """GET, DEL or RELEASE of a fault that may be there, or a NEW that is refused."""
        random = self.random
        command = random.choice((OvsdpCmd.FAULT_GET, OvsdpCmd.FAULT_DEL, OvsdpCmd.FAULT_RELEASE))
        if random.random() < 0.1:
            return self.control(OvsdpCmd.FAULT_NEW, number(FaultAttr.ID, 1), dumps=0)
        which = number(FaultAttr.ID, random.choice((*range(1, 12), self.number(32))))
        dumps = 0.5 if command == OvsdpCmd.FAULT_GET else 0.02
        return self.control(command, which if random.random() < 0.8 else b"", dumps=dumps)

    def harmless_fault(self) -> bytes:
        """A valid FAULT_NEW that matches no handle: the doors look at it, and nothing happens."""
        effect = self.random.choice(list(FaultEffect))
        attributes = [number(FaultAttr.PID, NOBODY), *self._effect(effect)]
        content = b"".join(attributes)
        return self.build_valid(OvsdpCmd.FAULT_NEW, content)

    def new_fault(self, effects: tuple[FaultEffect, ...]) -> bytes:
        """A FAULT_NEW: most likely valid, with one of these effects, for few or for all."""
        random = self.random
        effect = random.choice(effects)
        rule = EFFECTS[effect]
        attributes = self._effect(effect)
        if random.random() < 0.4:
            attributes.append(number(FaultAttr.PID, random.choice(self.pids or (1,))))
        if random.random() < 0.5:
            name = random.choice((*rule.operations, *rule.named))
            name = name if random.random() < 0.95 else random.choice((*OPERATIONS, "PEEK", ""))
            attributes.append(text(FaultAttr.OPERATION, name))
        if random.random() < 0.25:
            attributes += self._names(FaultAttr.FAMILY, FaultAttr.COMMAND)
        choices = [
            number(FaultAttr.NTH, random.choice((*SMALL, 0))),
            number(FaultAttr.EVERY, random.choice((*SMALL, 0))),
            number(FaultAttr.TIMES, random.choice((*SMALL, *SMALL, 0))),
            number(FaultAttr.PROBABILITY, random.choice((2**31, 2**32 - 1, 2**30, 0))),
            number(FaultAttr.DATAPATH, random.choice((*self.indexes, 77))),
            number(FaultAttr.PROCESS, random.choice((1, 2))),
            text(FaultAttr.PROCESS_NAME, "nobody"),
        ]
        attributes += random.sample(choices, random.choice((0, 0, 1, 1, 2)))
        if random.random() < 0.05:
            attributes.append(random.choice(choices))
        random.shuffle(attributes)
        message = self.build_valid(OvsdpCmd.FAULT_NEW, b"".join(attributes))
        return self.mutate(message) if random.random() < 0.1 else message

    def build_valid(self, command: int, content: bytes) -> bytes:
        """A request whose header has nothing wrong with it."""
        self.sequence += 1
        header = struct.pack(
            "=IHHIIBBHI",
            *(24 + len(content), OVSDP_CONTROL.id, 5, self.sequence, 0),
            *(command, OVSDP_CONTROL.version, 0, 0),
        )
        return header + content

    def _effect(self, effect: FaultEffect) -> list[bytes]:
        random = self.random
        values = {
            FaultAttr.ERRNO: number(FaultAttr.ERRNO, random.choice((1, 5, 11, 22, 105, 4095, 0))),
            FaultAttr.TEXT: text(FaultAttr.TEXT, random.choice(("no", "\u2620" * 1300, ""))),
            FaultAttr.DELAY_MS: number(
                FaultAttr.DELAY_MS, random.choice((1, 10, 10, 100, random.choice(NUMBERS)))
            ),
            FaultAttr.SIZE: number(
                FaultAttr.SIZE, random.choice((0, 1, 15, 16, 20, 24, random.choice(NUMBERS)))
            ),
        }
        rule = EFFECTS[effect]
        chosen = [values[attribute] for attribute in rule.needs]
        chosen += [values[attribute] for attribute in rule.may if random.random() < 0.4]
        return [pack_attribute(FaultAttr.EFFECT, bytes([effect])), *chosen]
