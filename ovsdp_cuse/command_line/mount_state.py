"""`mount-state`: what systemd's service does beside the daemon, which may not mount.

Before the daemon starts it mounts the file system of live state, and leaves systemd the descriptor
on which the kernel asks; systemd gives that to the daemon. After the daemon it clears up.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import structlog
import trio

from ovsdp_cuse import logs
from ovsdp_cuse.configuration import DEFAULT_FILE, Configuration, ConfigurationError, load
from ovsdp_cuse.device.mounts import mounts_from
from ovsdp_cuse.device.node import NodeError
from ovsdp_cuse.filesystem.place import SERVICE, Place
from ovsdp_cuse.service import Notifier
from ovsdp_cuse.state import STORED_NAME, place_of
from ovsdp_cuse.state import load as load_libraries

log = structlog.get_logger(__name__)

DEFAULTS = Configuration()


@click.command("mount-state", hidden=True)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help=f"The daemon's file of settings.  [default: {DEFAULT_FILE}, if there]",
)
@click.option("--undo", is_flag=True, help="Clear what is left of it; needs no settings.")
def mount_state(file: Path | None, undo: bool) -> None:
    """Mount the state as files for the service's daemon; ovsdp-cuse.service runs this.

    Where its place was left to us and it cannot be there, this says why, and exits with status 0.
    """
    logs.configure(DEFAULTS.log_level, DEFAULTS.log_format)
    notifier = Notifier()
    try:
        trio.run(_clear, notifier)
        if not undo:
            _mount(notifier, file)
    except (ConfigurationError, NodeError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror or error}") from None


async def _clear(notifier: Notifier) -> None:
    """Clear what earlier daemons of the service have left, wherever they had it.

    What systemd may keep still is closed first: a daemon that never ran did not take it.
    """
    notifier.forget(STORED_NAME)
    for path in mounts_from(SERVICE.source or SERVICE.name, SERVICE.type):
        try:
            await Place(path, SERVICE).clear()
        except NodeError as error:  # a daemon of another unit, which is a copy of ours
            log.warning("a file system of live state stays", why=str(error))


def _mount(notifier: Notifier, file: Path | None) -> None:
    configuration = load(file, {})
    logs.configure(configuration.log_level, configuration.log_format)
    path = place_of(configuration.state)
    if path is None:
        return
    if not notifier.is_heard:
        raise NodeError("this is for systemd to run; by hand 'ovsdp-cuse serve' does all of it")
    try:
        load_libraries(path)
        trio.run(_hand_over, notifier, Place(path, SERVICE))
    except NodeError as error:
        if configuration.state != "auto":
            raise
        click.echo(f"no file system of live state: {error}", err=True)


async def _hand_over(notifier: Notifier, place: Place) -> None:
    descriptor = await place.attach()
    try:
        notifier.keep(STORED_NAME, descriptor)
    except OSError:
        os.close(descriptor)
        await place.withdraw()
        raise
    os.close(descriptor)
