"""The C programs of tests/c/shim, built with and without the library, and with sanitizers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ovsdp_cuse.shim import VARIABLE, library

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "c" / "shim"
SHIM = ROOT / "ovsdp_cuse" / "shim" / "src"
LIMIT_S = 120.0
FLAGS = (
    *("-std=gnu11", "-D_GNU_SOURCE", "-g", "-pthread"),
    *("-Wall", "-Wextra", "-Werror", "-fexceptions"),
)

SCENARIOS: dict[str, tuple[str, ...]] = {
    "semantics": (
        "addresses",
        "nobody_there",
        "chosen_port",
        "truncation",
        "batches",
        "many_buffers",
        "polling",
        "watching",
        "not_blocking",
        "interrupted",
        "blocking",
        "options",
        "memberships",
        "credentials",
        "errors",
    ),
    "descriptors": (
        "copies",
        "ranges",
        "by_stream",
        "forks",
        "execs",
        "threads",
        "shared",
        "cancelled",
        "handlers",
    ),
    "families": (
        "look_ups",
        "requests",
        "subscriptions",
        "watches",
        "descriptors",
        "waiters",
        "environment",
    ),
    "recovery": (
        "polls",
        "watches",
        "waits",
        "sends",
        "sends_and_hears_no_overrun",
        "binds",
        "asks_the_kernel",
        "has_no_descriptor_free",
    ),
}
"""What each program can be asked to do."""

OF_ANY_SOCKET = ("semantics", "descriptors")
"""Programs that ask nothing but what the kernel's own sockets do too."""


@dataclass(frozen=True)
class Variant:
    """How a program is built and run.

    linked: the library's sources are part of the program; else the library is loaded before it.
    """

    name: str
    flags: tuple[str, ...] = ("-O1",)
    linked: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


KERNEL = Variant("kernel")
PRELOADED = Variant("preloaded")
FORTIFIED = Variant("fortified", ("-O2", "-D_FORTIFY_SOURCE=2"))
SANITIZED = (
    Variant(
        "address",
        ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        linked=True,
        # Fewer rounds: each call costs ten times as much.
        environment={"ASAN_OPTIONS": "detect_stack_use_after_return=1", "ROUNDS": "40"},
    ),
    Variant(
        "thread",
        ("-O1", "-fsanitize=thread"),
        linked=True,
        environment={
            # It is told of signals late, and would end a child of several threads.
            "TSAN_OPTIONS": "halt_on_error=1:die_after_fork=0",
            "ROUNDS": "40",
        },
    ),
)
"""The library itself, under the sanitizers; it is linked because these come first otherwise."""


def scenarios(programs: Sequence[str]) -> list[tuple[str, str]]:
    """(program, scenario) for each scenario of some programs."""
    return [(program, name) for program in programs for name in SCENARIOS[program]]


def compile_program(program: str, variant: Variant, directory: Path) -> Path:
    """Build one variant of a program; CalledProcessError with the compiler's words."""
    built = directory / f"{program}-{variant.name}"
    if not built.exists():
        sources = [PROGRAMS / f"{program}.c"]
        if variant.linked:
            sources += sorted(SHIM.glob("*.c"))
        include = f"-I{ROOT / 'ovsdp_cuse' / 'include'}"
        command: list[str | Path] = ["gcc", *FLAGS, *variant.flags, include, "-o", built, *sources]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
    return built


def environment_of(variant: Variant, device: Path | None) -> dict[str, str]:
    """The environment of a program; without a device it has the kernel's sockets."""
    environment = {**os.environ, **variant.environment}
    if device is not None:
        environment[VARIABLE] = str(device)
        if not variant.linked:
            environment["LD_PRELOAD"] = str(library())
    return environment


def run_scenario(built: Path, scenario: str, variant: Variant, device: Path | None) -> None:
    """Run one scenario; AssertionError with what the program says is not so."""
    done = subprocess.run(
        [built, scenario],
        env=environment_of(variant, device),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
