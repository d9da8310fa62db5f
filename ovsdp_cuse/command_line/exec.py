"""`exec`: runs a program that takes the device for the kernel's module.

The program takes the place of this one. What would let it run without the shim, and so ask the
kernel instead, is found before, because ld.so would only warn, or not even that.
"""

from __future__ import annotations

import grp
import os
import shlex
import signal
import threading
from collections.abc import Mapping, Sequence
from errno import EACCES, ENOENT
from pathlib import Path
from typing import NoReturn

import click

from ovsdp_cuse.client import DEFAULT_PATH, DatapathError, Handle
from ovsdp_cuse.command_line import program_file
from ovsdp_cuse.command_line.program_file import CANNOT_RUN, NOT_FOUND, ProgramError
from ovsdp_cuse.shim import VARIABLE, LibraryError, library

FAILED = 125
"""Exit status, as env(1) has it, where it is not the program that is to blame."""

ANSWER_S = 10.0
"""How long the daemon may take to answer; it needs milliseconds."""

SEPARATORS = " :"
"""What ends a path in LD_PRELOAD; no path can be written there that has one (ld.so(8))."""

RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores, and the program would go on ignoring."""

EPILOG = """\b
Exit status:
  125  this command failed: no device, no permission, no answer, a wrong command line
  126  the program was found but cannot be run with the shim
  127  the program was not found
  else the program's own
"""


class Failure(click.ClickException):
    """Why the program is not run, for standard error."""

    exit_code = FAILED


class CannotRun(Failure):
    """The program is there, but cannot be run."""

    exit_code = CANNOT_RUN


class NotFound(Failure):
    """There is no such program."""

    exit_code = NOT_FOUND


class UsageFailure(click.UsageError):
    """A wrong command line."""

    exit_code = FAILED


PROGRAM_FAILURES: dict[int, type[Failure]] = {
    failure.exit_code: failure for failure in (CannotRun, NotFound)
}


class Command(click.Command):
    """A command whose usage errors have an exit status that no program means."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise UsageFailure(error.format_message(), ctx) from None


@click.command(
    "exec",
    cls=Command,
    epilog=EPILOG,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option(
    "--device",
    "path",
    envvar=VARIABLE,
    default=DEFAULT_PATH,
    metavar="PATH",
    show_envvar=True,
    show_default=True,
    help="The device that the program talks to.",
)
@click.argument("command", nargs=-1, required=True, metavar="PROGRAM [ARGUMENT]...")
def exec_(path: str, command: tuple[str, ...]) -> None:
    """Run a program, such as ovs-dpctl, on the device.

    Where it looks for the kernel's module openvswitch it finds the device: its generic netlink
    sockets become handles of that, by a library that LD_PRELOAD loads into it and what it starts.
    All else is as it was.

    \b
    For instance:
      ovsdp-cuse exec -- ovs-dpctl show
    """
    shim = usable_library()
    try:
        program = program_file.find(command[0], os.environ.get("PATH", os.defpath))
        program_file.check(program, shim)
    except ProgramError as error:
        raise PROGRAM_FAILURES[error.status](str(error)) from None
    device = str(Path(path).absolute())  # for a program that changes its directory
    check_device(device)
    replace_by(program, command, environment_with(shim, device, os.environ))


def usable_library() -> Path:
    """The shim; Failure, which says what to do, where ld.so could not load it."""
    try:
        shim = library()
    except LibraryError as error:
        raise Failure(str(error)) from None
    if any(separator in str(shim) for separator in SEPARATORS):
        raise Failure(
            f"{shim} has a space or a colon, which LD_PRELOAD cannot have: install ovsdp-cuse in a "
            "directory with a plain name, such as /opt/ovsdp-cuse"
        )
    if not os.access(shim, os.R_OK):
        raise Failure(f"{shim} may not be read by you: give yourself the permission (chmod a+r)")
    return shim


def environment_with(shim: Path, device: str, given: Mapping[str, str]) -> dict[str, str]:
    """A program's environment: `given`, the shim before what is preloaded already, the device."""
    others = given.get("LD_PRELOAD", "").replace(":", " ").split()
    preload = ":".join([str(shim), *(name for name in others if name != str(shim))])
    return {**given, "LD_PRELOAD": preload, VARIABLE: device}


def check_device(path: str, limit_s: float = ANSWER_S) -> None:
    """Raises Failure, which says what to do, unless a daemon answers at `path`."""
    problems: list[DatapathError] = []

    def ask() -> None:
        try:
            Handle(path).close()  # as the shim opens it
        except DatapathError as error:
            problems.append(error)

    # Who waits for a daemon that hangs can only be killed: not even a signal's handler would help.
    question = threading.Thread(target=ask, daemon=True)
    question.start()
    question.join(limit_s)
    if question.is_alive():
        raise Failure(
            f"the daemon that serves {path} has not answered for {limit_s:.0f} s: look at what it "
            "says (journalctl -u ovsdp-cuse), and start it again (systemctl restart ovsdp-cuse)"
        )
    if problems:
        raise Failure(_explained(problems[0], path))


def _explained(error: DatapathError, path: str) -> str:
    if error.errno == EACCES:
        return f"{path}: you may not open it: {_who_may(path)}"
    if error.errno == ENOENT:
        return (
            f"there is no {path}, for no daemon serves it: start it with 'systemctl start "
            "ovsdp-cuse', or 'ovsdp-cuse serve' as root, or name another device with --device"
        )
    return error.message


def _who_may(path: str) -> str:
    try:
        status = Path(path).stat()
    except OSError:
        return "a directory on the way there may not be entered"
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    if status.st_mode & 0o060 != 0o060 or group == "root":
        return "only root may (the daemon's settings 'mode' and 'group' say who)"
    return f"be in the group {group} (as root: adduser USER {group}; then log in anew), or be root"


def replace_by(program: Path, command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Become the program; Failure where the kernel does not let us."""
    for number in RESTORED:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(program, list(command), dict(environment))
    except OSError as error:
        raise CannotRun(f"{shlex.join(command)}: {error.strerror}") from None
