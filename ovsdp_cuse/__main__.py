"""`python -m ovsdp_cuse`, and the program `ovsdp-cuse`."""

from __future__ import annotations

import io
import sys

from ovsdp_cuse.command_line.group import program


def main() -> None:
    """Run the command line; ends the process with the exit status that `--help` describes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name need not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    program(prog_name="ovsdp-cuse")


if __name__ == "__main__":
    main()
