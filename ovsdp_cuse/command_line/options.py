"""What the commands that talk to the device have in common: which device, text or JSON, errors."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import IO, Any

import click

from ovsdp_cuse.client import DEFAULT_PATH, DatapathError, Device
from ovsdp_cuse.errors import errno_name
from ovsdp_cuse.families.describe import attribute_name, describe_error
from ovsdp_cuse.wire.attributes import AttributeSet

PID = click.IntRange(0, 2**32 - 1)
"""A netlink PID."""


class Failure(click.ClickException):
    """What the device refused, for standard error; ends the program with exit status 1.

    As JSON: {"error": {"errno": "EEXIST", "message": TEXT, "attribute": NAME or null}}.
    """

    def __init__(self, error: DatapathError, attributes: AttributeSet | None, as_json: bool):
        super().__init__(describe_error(error, attributes))
        self._as_json = as_json
        self._document = {
            "errno": errno_name(error.errno),
            "message": error.message,
            "attribute": attribute_name(attributes, error.path)
            if attributes is not None and error.path
            else None,
        }

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the error, by default to standard error."""
        if self._as_json:
            click.echo(json.dumps({"error": self._document}), file=file, err=True)
        else:
            super().show(file)


def talks_to_device(
    attributes: AttributeSet | None = None, read_only: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options --device and --json, and the arguments `device`, `as_json`.

    attributes: of the requests that the command sends, to name what an error blames. read_only:
    whether a handle that is opened for reading will do.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @click.option(
            "--device",
            "path",
            envvar="OVSDP_DEVICE",
            default=DEFAULT_PATH,
            metavar="PATH",
            show_envvar=True,
            show_default=True,
            help="The device to talk to.",
        )
        @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
        @functools.wraps(command)
        def run(path: str, as_json: bool, **arguments: Any) -> None:
            try:
                with Device(path, read_only=read_only) as device:
                    command(device=device, as_json=as_json, **arguments)
            except DatapathError as error:
                raise Failure(error, attributes, as_json) from None

        return run

    return decorate
