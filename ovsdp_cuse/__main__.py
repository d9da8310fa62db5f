"""`python -m ovsdp_cuse`, and the program `ovsdp-cuse`."""

from __future__ import annotations

from ovsdp_cuse.command_line.group import program


def main() -> None:
    """Run the command line; ends the process with the exit status that `--help` describes."""
    program(prog_name="ovsdp-cuse")


if __name__ == "__main__":
    main()
