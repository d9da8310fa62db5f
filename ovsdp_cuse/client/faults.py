"""Make a device fail on purpose: rules of `ovsdp_control`, as calls.

    with Device() as device:
        faults = Faults(device)
        fault = faults.add(FaultEffect.FAIL, errno=ENOSPC, command="OVS_FLOW_CMD_NEW", times=3)
        ...
        faults.delete(fault.id)

`fault_attributes` and `FaultInfo.from_message` are for a client of another kind. What each thing
means is said in `ovsdp_cuse.wire.fault`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EIO, ENODEV
from typing import Any

from ovsdp_cuse.client.device import Device
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.fault import FaultAttr, FaultEffect
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.state import DropsAttr

CERTAIN = 2**32 - 1
"""The probability 1, on the wire."""


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """A fault as the daemon tells it.

    attributes: all of FAULT_GET, by FaultAttr. matched: how often all but nth, every, times and
    probability matched; applied: how often it acted; held: requests that it lets wait now.
    """

    id: int
    effect: FaultEffect
    matched: int
    applied: int
    held: int
    attributes: dict[FaultAttr, Any]

    @classmethod
    def from_message(cls, message: Message) -> FaultInfo:
        """What FAULT_NEW and FAULT_GET reply."""
        attributes = {FaultAttr(number): value for number, value in message.attributes.items()}
        return cls(
            attributes[FaultAttr.ID],
            FaultEffect(attributes[FaultAttr.EFFECT]),
            attributes[FaultAttr.MATCHED],
            attributes[FaultAttr.APPLIED],
            attributes[FaultAttr.HELD],
            attributes,
        )

    @property
    def seed(self) -> int | None:
        """The seed of its chance; None where it has no probability."""
        seed: int | None = self.attributes.get(FaultAttr.SEED)
        return seed

    @property
    def probability(self) -> float | None:
        """Its probability, 0 to 1; None where it has none."""
        chance: int | None = self.attributes.get(FaultAttr.PROBABILITY)
        return None if chance is None else chance / CERTAIN


def fault_attributes(
    effect: FaultEffect,
    *,
    errno: int | None = None,
    text: str | None = None,
    delay_ms: int | None = None,
    size: int | None = None,
    family: str | None = None,
    command: str | None = None,
    operation: str | None = None,
    handle: int | None = None,
    process: int | str | None = None,
    datapath: int | None = None,
    nth: int | None = None,
    every: int | None = None,
    times: int | None = None,
    probability: float | None = None,
    seed: int | None = None,
) -> dict[FaultAttr, Any]:
    """The attributes of FAULT_NEW. What is None is left out, and matches all.

    process: a process id, or a command's name. handle: a netlink PID. datapath: a dp_ifindex.
    ValueError for a probability that is not above 0 and at most 1.
    """
    if probability is not None and not 0 < probability <= 1:
        raise ValueError(f"a probability is above 0 and at most 1, not {probability}")
    attributes = {
        FaultAttr.FAMILY: family,
        FaultAttr.COMMAND: command,
        FaultAttr.OPERATION: operation,
        FaultAttr.PID: handle,
        FaultAttr.PROCESS: process if isinstance(process, int) else None,
        FaultAttr.PROCESS_NAME: process if isinstance(process, str) else None,
        FaultAttr.DATAPATH: datapath,
        FaultAttr.NTH: nth,
        FaultAttr.EVERY: every,
        FaultAttr.TIMES: times,
        FaultAttr.PROBABILITY: None
        if probability is None
        else max(1, round(probability * CERTAIN)),
        FaultAttr.SEED: seed,
        FaultAttr.EFFECT: int(effect),
        FaultAttr.ERRNO: errno,
        FaultAttr.TEXT: text,
        FaultAttr.DELAY_MS: delay_ms,
        FaultAttr.SIZE: size,
    }
    return {number: value for number, value in attributes.items() if value is not None}


class Faults:
    """The faults of a device, which must be open for writing for all but `list` and `get`."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def add(
        self, effect: FaultEffect, *, datapath: int | str | None = None, **rule: Any
    ) -> FaultInfo:
        """Make a fault: see `fault_attributes`; a datapath may be given by its name, too.

        Raises DatapathError: EINVAL with the attribute that is wrong, ENODEV for a name that no
        datapath has.
        """
        if isinstance(datapath, str):
            datapath = self._find_datapath(datapath)
        attributes = fault_attributes(effect, datapath=datapath, **rule)
        return FaultInfo.from_message(self._ask(OVSDP_CONTROL, OvsdpCmd.FAULT_NEW, attributes))

    @contextmanager
    def added(
        self, effect: FaultEffect, *, datapath: int | str | None = None, **rule: Any
    ) -> Iterator[FaultInfo]:
        """A fault for the time of a `with`; see `add`."""
        fault = self.add(effect, datapath=datapath, **rule)
        try:
            yield fault
        finally:
            self.delete(fault.id)

    def get(self, number: int) -> FaultInfo:
        """One fault; ENOENT."""
        asked = {FaultAttr.ID: number}
        return FaultInfo.from_message(self._ask(OVSDP_CONTROL, OvsdpCmd.FAULT_GET, asked))

    def list(self) -> list[FaultInfo]:
        """All faults, by ascending number."""
        return [
            FaultInfo.from_message(message)
            for message in self._device.dump(OVSDP_CONTROL, OvsdpCmd.FAULT_GET)
        ]

    def delete(self, number: int | None = None) -> int:
        """Remove a fault, or all; how many requests went on that it had let wait. ENOENT."""
        return self._count(OvsdpCmd.FAULT_DEL, number)

    def release(self, number: int | None = None) -> int:
        """Let go on what waits for a fault, or for any; how many requests. ENOENT."""
        return self._count(OvsdpCmd.FAULT_RELEASE, number)

    def _find_datapath(self, name: str) -> int:
        """The index of the datapath with a name, by a command that meets no fault; ENODEV."""
        for found in self._device.dump(OVSDP_CONTROL, OvsdpCmd.DROPS_GET):
            if found.attributes[DropsAttr.NAME] == name:
                return found.dp_ifindex
        raise DatapathError(ENODEV, f"no datapath is named {name!r}", (FaultAttr.DATAPATH,))

    def _count(self, command: OvsdpCmd, number: int | None) -> int:
        asked = {} if number is None else {FaultAttr.ID: number}
        held: int = self._ask(OVSDP_CONTROL, command, asked).attributes[FaultAttr.HELD]
        return held

    def _ask(self, family: Any, command: int, attributes: dict[Any, Any]) -> Message:
        reply = self._device.transact(family, command, attributes)
        if reply is None:
            raise DatapathError(EIO, f"the device did not reply to {family.command_name(command)}")
        return reply
