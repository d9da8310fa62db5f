"""The command line: python -m tests.fuzz [--count N] [--seed S] [--round R]"""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.rounds import INPUTS_PER_ROUND, KINDS, Broken, rounds, run_round

SHOWN_CHARACTERS = 2000
"""Of the slowest input."""


def main() -> int:
    """Run rounds, show how far it is, and say how a failure is seen again."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=main.__doc__)
    parser.add_argument("--count", type=int, default=200_000, metavar="N", help="inputs (200000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another seed (0)")
    parser.add_argument("--round", type=int, metavar="R", help="this round only")
    arguments = parser.parse_args()
    wanted = [arguments.round] if arguments.round is not None else list(rounds(arguments.count))
    started = time.monotonic()
    slowest = (0.0, "nothing")
    for done, number in enumerate(wanted):
        if sys.stderr.isatty():
            inputs = done * INPUTS_PER_ROUND
            rate = inputs / max(time.monotonic() - started, 1e-6)
            kind = KINDS[number % len(KINDS)].__name__
            line = f"round {number:,}: {inputs:,} inputs, {rate:,.0f}/s, now {kind}"
            print(f"\r{line:<76}", end="", file=sys.stderr, flush=True)
        try:
            slowest = max(slowest, run_round(arguments.seed, number))
        except Broken as broken:
            print(f"\n{broken}", file=sys.stderr)
            return 1
    if sys.stderr.isatty():
        print(file=sys.stderr)
    inputs = len(wanted) * INPUTS_PER_ROUND
    seconds, what = slowest
    print(f"the slowest input, {seconds * 1000:.0f} ms of processor: {what[:SHOWN_CHARACTERS]}")
    print(
        f"{inputs:,} inputs of seed {arguments.seed} in {time.monotonic() - started:.1f} s, "
        "and the invariant holds"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
