"""From the attributes of FAULT_NEW to a rule; what cannot be, or could never act, is refused.

What is refused is EINVAL, with the attribute that is to blame. A rule that fits its tables and yet
matches nothing (the command of a notification that nobody sends, a process that never comes) is
taken: MATCHED of FAULT_GET shows it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from errno import EINVAL

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.faults import CERTAIN, Fault, Frequency, Match
from ovsdp_cuse.families.registry import Family, Registry
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.fault import (
    DELIVERIES,
    FAULT,
    OPERATIONS,
    READS,
    REQUESTS,
    FaultAttr,
    FaultEffect,
)
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL
from ovsdp_cuse.wire.packet import PACKET

ERRNO_MAXIMUM = 4095
"""MAX_ERRNO of the kernel's <linux/err.h>: an ioctl or a write can return no more."""

SEED_BITS = 64


@dataclass(frozen=True, slots=True)
class EffectRule:
    """What an effect takes: attributes it needs, others it may have, operations it acts on."""

    needs: tuple[FaultAttr, ...]
    may: tuple[FaultAttr, ...]
    operations: tuple[str, ...]
    named: tuple[str, ...] = ()
    """Operations on which it acts only where OPERATION says so."""


EFFECTS: dict[FaultEffect, EffectRule] = {
    FaultEffect.FAIL: EffectRule((FaultAttr.ERRNO,), (FaultAttr.TEXT,), REQUESTS, READS),
    FaultEffect.DELAY: EffectRule((FaultAttr.DELAY_MS,), (), REQUESTS, READS),
    FaultEffect.HOLD: EffectRule((), (), REQUESTS, READS),
    FaultEffect.DROP: EffectRule((), (), DELIVERIES),
    FaultEffect.OVERFLOW: EffectRule((), (), DELIVERIES),
    FaultEffect.CUT_DUMP: EffectRule(
        (FaultAttr.SIZE,), (FaultAttr.ERRNO, FaultAttr.TEXT), REQUESTS
    ),
    FaultEffect.TRUNCATE: EffectRule((FaultAttr.SIZE,), (), ("TRANSACT", "STREAM"), READS),
    FaultEffect.CLOSE_QUEUE: EffectRule((), (), (*REQUESTS, *DELIVERIES)),
    FaultEffect.STALL: EffectRule((FaultAttr.DELAY_MS,), (), REQUESTS),
}

_OF_EFFECTS = (FaultAttr.ERRNO, FaultAttr.TEXT, FaultAttr.DELAY_MS, FaultAttr.SIZE)
_NOT_FOR_NEW = (FaultAttr.ID, FaultAttr.MATCHED, FaultAttr.APPLIED, FaultAttr.HELD)
_NOT_ZERO = (
    *(FaultAttr.NTH, FaultAttr.EVERY, FaultAttr.TIMES, FaultAttr.PROBABILITY),
    *(FaultAttr.DELAY_MS, FaultAttr.PID, FaultAttr.PROCESS, FaultAttr.DATAPATH),
)


def _refuse(attribute: FaultAttr, text: str) -> DatapathError:
    return DatapathError(EINVAL, text, (attribute,))


def make_fault(attributes: Attributes, registry: Registry) -> Fault:
    """The rule that FAULT_NEW describes; its SEED is chosen where there is a chance and no seed.

    Raises EINVAL, with the attribute, for what is missing, superfluous, unknown or without sense.
    """
    attributes = {FaultAttr(number): value for number, value in attributes.items()}
    effect = _effect(attributes)
    rule = EFFECTS[effect]
    for attribute in _NOT_ZERO:
        if attributes.get(attribute) == 0:
            raise _refuse(attribute, f"{FAULT.name_of(attribute)} is 0, and never applies")
    for attribute in rule.needs:
        if attribute not in attributes:
            raise DatapathError(EINVAL, f"{effect.name} needs {FAULT.name_of(attribute)}")
    for attribute in _OF_EFFECTS:
        if attribute in attributes and attribute not in (*rule.needs, *rule.may):
            raise _refuse(attribute, f"{effect.name} has no {FAULT.name_of(attribute)}")
    _check_values(effect, attributes)
    _check_frequency(attributes)
    operations = _operations(effect, rule, attributes)
    family, command = _find_command(attributes, registry)
    operations = _reach(effect, operations, family, attributes)
    if FaultAttr.PROBABILITY in attributes:
        attributes.setdefault(FaultAttr.SEED, random.SystemRandom().getrandbits(SEED_BITS))
    match = Match(
        frozenset(operations),
        None if family is None else family.schema.id,
        command,
        attributes.get(FaultAttr.PID),
        attributes.get(FaultAttr.PROCESS),
        attributes.get(FaultAttr.PROCESS_NAME),
        attributes.get(FaultAttr.DATAPATH),
        only_dumps=effect is FaultEffect.CUT_DUMP,
    )
    frequency = Frequency(
        attributes.get(FaultAttr.NTH),
        attributes.get(FaultAttr.EVERY),
        attributes.get(FaultAttr.TIMES),
        attributes.get(FaultAttr.PROBABILITY, CERTAIN),
        attributes.get(FaultAttr.SEED, 0),
    )
    return Fault(match, effect, dict(attributes), frequency)


def _effect(attributes: Attributes) -> FaultEffect:
    for attribute in _NOT_FOR_NEW:
        if attribute in attributes:
            raise _refuse(attribute, f"{FAULT.name_of(attribute)} is not for FAULT_NEW to say")
    number = attributes.get(FaultAttr.EFFECT)
    if number is None:
        raise DatapathError(EINVAL, f"{FAULT.name_of(FaultAttr.EFFECT)} is missing")
    try:
        return FaultEffect(number)
    except ValueError:
        known = ", ".join(f"{effect} {effect.name}" for effect in FaultEffect)
        raise _refuse(FaultAttr.EFFECT, f"{number} is no effect; there are: {known}") from None


def _check_values(effect: FaultEffect, attributes: Attributes) -> None:
    errno = attributes.get(FaultAttr.ERRNO)
    least = 1 if effect is FaultEffect.FAIL else 0
    if errno is not None and not least <= errno <= ERRNO_MAXIMUM:
        raise _refuse(
            FaultAttr.ERRNO, f"an error number is in {least}..{ERRNO_MAXIMUM}, not {errno}"
        )
    if effect is FaultEffect.TRUNCATE and not attributes[FaultAttr.SIZE]:
        raise _refuse(FaultAttr.SIZE, "a reply keeps at least 1 byte")


def _check_frequency(attributes: Attributes) -> None:
    if FaultAttr.NTH in attributes and FaultAttr.EVERY in attributes:
        raise _refuse(FaultAttr.EVERY, "a fault has either NTH or EVERY")
    if FaultAttr.SEED in attributes and FaultAttr.PROBABILITY not in attributes:
        raise _refuse(FaultAttr.SEED, "a seed is for a PROBABILITY, which is missing")


def _operations(effect: FaultEffect, rule: EffectRule, attributes: Attributes) -> tuple[str, ...]:
    name = attributes.get(FaultAttr.OPERATION)
    if name is None:
        return rule.operations
    acts_on = (*rule.operations, *rule.named)
    if name not in OPERATIONS:
        raise _refuse(
            FaultAttr.OPERATION, f"{name!r} is no operation; there are: {', '.join(OPERATIONS)}"
        )
    if name not in acts_on:
        raise _refuse(
            FaultAttr.OPERATION,
            f"{effect.name} does not act on {name}, but on {', '.join(acts_on)}",
        )
    return (name,)


def _find_command(attributes: Attributes, registry: Registry) -> tuple[Family | None, int | None]:
    """The family and the command's number; a command's name says which family it is of."""
    families = [family for family in registry if family.schema is not OVSDP_CONTROL]
    family_name = attributes.get(FaultAttr.FAMILY)
    command_name = attributes.get(FaultAttr.COMMAND)
    if family_name is not None:
        if family_name == OVSDP_CONTROL.name:
            raise _refuse(
                FaultAttr.FAMILY, f"{family_name} is never subject to faults, so that they can end"
            )
        known = ", ".join(family.schema.name for family in families)
        families = [family for family in families if family.schema.name == family_name]
        if not families:
            raise _refuse(
                FaultAttr.FAMILY, f"there is no family {family_name!r}; there are: {known}"
            )
    if command_name is None:
        return (families[0], None) if family_name is not None else (None, None)
    for family in families:
        number = _commands(family).get(command_name)
        if number is not None:
            return family, number
    names = ", ".join(name for family in families for name in _commands(family))
    raise _refuse(FaultAttr.COMMAND, f"there is no command {command_name!r}; there are: {names}")


def _commands(family: Family) -> dict[str, int]:
    """The names of a family's commands, those of notifications and upcalls too."""
    schema = family.schema
    named = {schema.command_name(member): int(member) for member in schema.commands if member}
    return named | {command.name: command.number for command in family.commands}


def _reach(
    effect: FaultEffect,
    operations: tuple[str, ...],
    family: Family | None,
    attributes: Attributes,
) -> tuple[str, ...]:
    """The operations that are left where a family and command are told; EINVAL for none.

    Two commands may have one number, where they come by different operations.
    """
    if family is None:
        return operations
    name = family.schema.name
    if operations == ("UPCALL",) and family.schema is not PACKET:
        raise _refuse(FaultAttr.FAMILY, f"upcalls are of {PACKET.name}, not of {name}")
    if set(operations) <= set(DELIVERIES) and not family.groups:
        raise _refuse(FaultAttr.FAMILY, f"{name} sends neither notifications nor upcalls")
    command_name = attributes.get(FaultAttr.COMMAND)
    if command_name is None:
        return operations
    commands = [command for command in family.commands if command.name == command_name]
    if effect is FaultEffect.CUT_DUMP and not any(command.dump for command in commands):
        raise _refuse(FaultAttr.COMMAND, f"{command_name} has no dump")
    carried = {operation.name for command in commands for operation in command.carried_by()}
    left = tuple(name for name in operations if name in carried or name not in REQUESTS)
    if not left:
        raise _refuse(
            FaultAttr.COMMAND, f"{command_name} is not to be sent by {' or '.join(operations)}"
        )
    return left
