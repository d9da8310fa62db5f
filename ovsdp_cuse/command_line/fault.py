"""`fault add`, `list`, `del` and `release`: make the device fail on purpose."""

from __future__ import annotations

import errno as errno_numbers
import json
from collections.abc import Callable
from typing import Any

import click

from ovsdp_cuse.client import Device
from ovsdp_cuse.client.faults import FaultInfo, Faults
from ovsdp_cuse.command_line.options import PID, talks_to_device
from ovsdp_cuse.command_line.tables import print_table
from ovsdp_cuse.errors import errno_name
from ovsdp_cuse.wire.fault import FAULT, OPERATIONS, FaultAttr, FaultEffect

COUNT = click.IntRange(1, 2**32 - 1)

MATCH_OPTIONS = {
    FaultAttr.FAMILY: "family",
    FaultAttr.COMMAND: "command",
    FaultAttr.OPERATION: "operation",
    FaultAttr.PID: "handle",
    FaultAttr.PROCESS: "process",
    FaultAttr.PROCESS_NAME: "process",
    FaultAttr.DATAPATH: "datapath",
    FaultAttr.NTH: "nth",
    FaultAttr.EVERY: "every",
    FaultAttr.TIMES: "times",
    FaultAttr.PROBABILITY: "probability",
    FaultAttr.SEED: "seed",
}
"""Attribute -> the option of `fault add` that sets it, in the order in which `list` shows them."""

EFFECT_OPTIONS = {
    FaultEffect.FAIL: "fail",
    FaultEffect.DELAY: "delay",
    FaultEffect.HOLD: "hold",
    FaultEffect.DROP: "drop",
    FaultEffect.OVERFLOW: "overflow",
    FaultEffect.CUT_DUMP: "cut-dump",
    FaultEffect.TRUNCATE: "truncate",
    FaultEffect.CLOSE_QUEUE: "close-queue",
    FaultEffect.STALL: "stall",
}

UNITS = {"cut-dump": "objects={}", "truncate": "bytes={}"}
"""What the size of an effect counts."""

JSON_SHAPE = """

\b
With --json a fault is
  {"id": 1, "match": {"command": "OVS_FLOW_CMD_NEW", "process": "ovs-vswitchd", "times": 3},
   "effect": {"name": "fail", "errno": "ENOSPC", "text": "full"},
   "matched": 3, "applied": 3, "held": 0}
A match has what was given; an effect has of errno, text, delay_ms and size what it takes.
"""


def _errno(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """An error number by its name, such as ENOSPC, or as a number."""
    if value is None:
        return None
    named = getattr(errno_numbers, value.upper(), None)
    if isinstance(named, int):
        return named
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither a number nor a name such as ENOSPC")
    return int(value)


def _process(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | str | None:
    return int(value) if value is not None and value.isdecimal() else value


def _effect_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of which exactly one is given, and those that go with one of them."""
    milliseconds = {"type": COUNT, "metavar": "MS"}
    for declaration, settings in reversed(
        (
            ("--fail", {"callback": _errno, "metavar": "ERRNO", "help": "Refuse: ENOSPC, 28."}),
            ("--delay", {**milliseconds, "help": "Handle it so many milliseconds later."}),
            ("--hold", {"is_flag": True, "help": "Let it wait until 'fault release' or 'del'."}),
            (
                "--stall",
                {**milliseconds, "help": "Answer the handle nothing for so long; then all of it."},
            ),
            (
                "--cut-dump",
                {"type": click.IntRange(0), "metavar": "N", "help": "End a dump after N objects."},
            ),
            (
                "--truncate",
                {"type": COUNT, "metavar": "BYTES", "help": "Reply only the first bytes."},
            ),
            (
                "--drop",
                {"is_flag": True, "help": "Lose a notification or upcall, and tell nobody."},
            ),
            (
                "--overflow",
                {"is_flag": True, "help": "As if there were no room for it: ENOBUFS."},
            ),
            (
                "--close-queue",
                {"is_flag": True, "help": "The handle receives nothing more: ENOTCONN."},
            ),
            ("--errno", {"callback": _errno, "metavar": "ERRNO", "help": "With --cut-dump."}),
            ("--text", {"metavar": "TEXT", "help": "With --fail, and --cut-dump --errno."}),
        )
    ):
        command = click.option(declaration, **settings)(command)
    return command


def chosen_effect(options: dict[str, Any]) -> tuple[FaultEffect, dict[str, Any]]:
    """The effect that the options say, and what it takes; UsageError for none or several."""
    given = [
        effect
        for effect, name in EFFECT_OPTIONS.items()
        if not any(options[name.replace("-", "_")] is nothing for nothing in (None, False))
    ]
    every = ", ".join(f"--{name}" for name in EFFECT_OPTIONS.values())
    if not given:
        raise click.UsageError(f"say what is to happen: one of {every}")
    if len(given) > 1:
        names = " and ".join(f"--{EFFECT_OPTIONS[effect]}" for effect in given)
        raise click.UsageError(f"a fault does one thing, not {names}")
    (effect,) = given
    value = options[EFFECT_OPTIONS[effect].replace("-", "_")]
    taken: dict[str, Any] = {"errno": options["errno"], "text": options["text"]}
    if effect is FaultEffect.FAIL:
        if options["errno"] is not None:
            raise click.UsageError("--fail has its ERRNO; --errno is for --cut-dump")
        taken["errno"] = value
    elif effect in (FaultEffect.DELAY, FaultEffect.STALL):
        taken["delay_ms"] = value
    elif effect in (FaultEffect.CUT_DUMP, FaultEffect.TRUNCATE):
        taken["size"] = value
    return effect, taken


def document(fault: FaultInfo) -> dict[str, Any]:
    """A fault in JSON, as JSON_SHAPE shows it."""
    told = fault.attributes
    match = {name: told[number] for number, name in MATCH_OPTIONS.items() if number in told}
    if fault.probability is not None:
        match["probability"] = round(fault.probability, 9)
    effect: dict[str, Any] = {"name": EFFECT_OPTIONS[fault.effect]}
    if FaultAttr.ERRNO in told:
        effect["errno"] = errno_name(told[FaultAttr.ERRNO])
    for number in (FaultAttr.TEXT, FaultAttr.DELAY_MS, FaultAttr.SIZE):
        if number in told:
            effect[number.name.lower()] = told[number]
    return {
        "id": fault.id,
        "match": match,
        "effect": effect,
        "matched": fault.matched,
        "applied": fault.applied,
        "held": fault.held,
    }


def _words(shown: dict[str, Any]) -> tuple[str, str]:
    """What a fault matches and does, each on one line."""
    match = " ".join(f"{name}={value}" for name, value in shown["match"].items())
    effect = shown["effect"]
    units = {"delay_ms": "{} ms", "size": UNITS.get(effect["name"], "{}")}
    words = " ".join(units.get(name, "{}").format(value) for name, value in effect.items())
    return match or "everything", words


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def fault() -> None:
    """Make the device fail on purpose: rules of what is to go wrong, and for whom.

    A rule is kept by the daemon until it is removed or the daemon ends. It acts on the handles that
    it matches, and on no other; this command is never subject to faults.

    \b
      ovsdp-cuse fault add --process ovs-vswitchd --command OVS_FLOW_CMD_NEW --fail ENOSPC --times 3
      ovsdp-cuse fault list
      ovsdp-cuse fault del --all
    """


@fault.command(
    "add",
    help="Make a fault: options that say what it matches (all, where left out), and one that says "
    "what happens then.\n\nOf several faults that match, the one with the lowest number acts, and "
    "no other." + JSON_SHAPE,
)
@click.option("--family", metavar="NAME", help="Such as ovs_flow.")
@click.option("--command", metavar="NAME", help="Such as OVS_FLOW_CMD_NEW.")
@click.option(
    "--operation",
    type=click.Choice(OPERATIONS, case_sensitive=False),
    help="How it comes. READ, READ_EVENT and READ_PACKET are matched only where they are named.",
)
@click.option("--handle", type=PID, metavar="PID", help="A netlink PID, as 'handles' shows it.")
@click.option(
    "--process", callback=_process, metavar="PID|NAME", help="Who opened the handle: a process."
)
@click.option("--datapath", metavar="NAME|INDEX", help="Such as dp0.")
@click.option("--nth", type=COUNT, metavar="N", help="Only the n-th that matches.")
@click.option("--every", type=COUNT, metavar="N", help="Only each n-th that matches.")
@click.option("--times", type=COUNT, metavar="N", help="At most so often.")
@click.option(
    "--probability",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="P",
    help="By chance: above 0, at most 1.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**64 - 1),
    metavar="N",
    help="Of the chance: the same one repeats a run.  [default: one that 'add' prints]",
)
@_effect_options
@talks_to_device(FAULT)
def add(device: Device, as_json: bool, datapath: str | None, **options: Any) -> None:
    effect, taken = chosen_effect(options)
    match = {
        name: options[name] for name in dict.fromkeys(MATCH_OPTIONS.values()) if name in options
    }
    where = int(datapath) if datapath is not None and datapath.isdecimal() else datapath
    shown = document(Faults(device).add(effect, datapath=where, **match, **taken))
    if as_json:
        click.echo(json.dumps(shown))
        return
    match_words, effect_words = _words(shown)
    click.echo(f"fault {shown['id']}: {match_words}: {effect_words}")


@fault.command(
    "list",
    help="Show the faults.\n\nMatched is how often all but nth, every, times and probability did; "
    "applied, how often it acted; held, requests that it lets wait now."
    + JSON_SHAPE
    + 'and what is printed is {"faults": [FAULT, ...]}.',
)
@talks_to_device(FAULT, read_only=True)
def list_(device: Device, as_json: bool) -> None:
    faults = [document(found) for found in Faults(device).list()]
    if as_json:
        click.echo(json.dumps({"faults": faults}))
    elif not faults:
        click.echo("there is no fault; make one with: ovsdp-cuse fault add --help")
    else:
        print_table(
            ("Fault", "Match", "Effect", "Matched", "Applied", "Held"),
            [
                (shown["id"], *_words(shown), shown["matched"], shown["applied"], shown["held"])
                for shown in faults
            ],
            right=("Fault", "Matched", "Applied", "Held"),
        )


def _which(number: int | None, is_all: bool) -> None:
    if (number is None) != is_all:
        raise click.UsageError("say which: the number of a fault, or --all")


def _tell(held: int, done: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"released": held}))
        return
    waiting = f"; {held} request{'' if held == 1 else 's'} went on" if held else ""
    click.echo(f"{done}{waiting}")


@fault.command(
    "del",
    help="Remove a fault, or all; what they let wait goes on.\n\n"
    'With --json: {"released": how many requests went on}.',
)
@click.argument("number", type=COUNT, required=False, metavar="[ID]")
@click.option("--all", "is_all", is_flag=True, help="Remove all.")
@talks_to_device(FAULT)
def delete(device: Device, as_json: bool, number: int | None, is_all: bool) -> None:
    _which(number, is_all)
    held = Faults(device).delete(number)
    _tell(held, "all faults removed" if is_all else f"fault {number} removed", as_json)


@fault.command(
    "release",
    help="Let the requests go on that a fault, or any, lets wait; it stays.\n\n"
    'With --json: {"released": how many}.',
)
@click.argument("number", type=COUNT, required=False, metavar="[ID]")
@click.option("--all", "is_all", is_flag=True, help="Of all faults.")
@talks_to_device(FAULT)
def release(device: Device, as_json: bool, number: int | None, is_all: bool) -> None:
    _which(number, is_all)
    held = Faults(device).release(number)
    _tell(held, "released" if held else "nothing waits", as_json)
