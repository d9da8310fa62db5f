"""`serve`: the daemon in the foreground."""

from __future__ import annotations

import grp
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from ovsdp_cuse import daemon, logs
from ovsdp_cuse.configuration import (
    DEFAULT_FILE,
    INTERFACES,
    LOG_FORMATS,
    LOG_LEVELS,
    NODE_KINDS,
    Configuration,
    ConfigurationError,
    load,
    parse_mode,
)
from ovsdp_cuse.device.node import Node, NodeError
from ovsdp_cuse.families.registry import Family, RegistryError
from ovsdp_cuse.families.trace import Trace
from ovsdp_cuse.ports.kind import PortKindError

DEFAULTS = Configuration()


def _octal(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_mode(value)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help=f"TOML file of the settings below, spelled with '_'.  [default: {DEFAULT_FILE}, if there]",
)
@click.option(
    "--node", type=click.Choice(NODE_KINDS), help="Kind of device; auto is CUSE, else FUSE."
)
@click.option("--name", help="Name of the CUSE device, in /dev.")
@click.option("--path", help="Where the FUSE file goes.  [default: /dev/NAME]")
@click.option(
    "--mode",
    metavar="OCTAL",
    callback=_octal,
    help=f"Who may open it.  [default: {DEFAULTS.mode:04o}]",
)
@click.option("--owner", help=f"User name or number.  [default: {DEFAULTS.owner}]")
@click.option("--group", help="Group name or number.  [default: openvswitch, if there, else root]")
@click.option(
    "--interfaces",
    type=click.Choice(INTERFACES),
    help=f"What ports are; memory needs no privileges.  [default: {DEFAULTS.interfaces}]",
)
@click.option(
    "--handle-limit",
    type=int,
    help=f"How many handles may be open.  [default: {DEFAULTS.handle_limit}]",
)
@click.option(
    "--queue-limit",
    type=int,
    help=f"Bytes that may wait on a handle.  [default: {DEFAULTS.queue_limit}]",
)
@click.option(
    "--queue-maximum",
    type=int,
    help=f"As many may a handle for writing ask for.  [default: {DEFAULTS.queue_maximum}]",
)
@click.option(
    "--state",
    metavar="PATH",
    help="Where the state is shown as files; auto: /run/ovsdp, if that can be; off: nowhere.  "
    f"[default: {DEFAULTS.state}]",
)
@click.option("--log-level", type=click.Choice(LOG_LEVELS), help=f"[default: {DEFAULTS.log_level}]")
@click.option(
    "--log-format", type=click.Choice(LOG_FORMATS), help=f"[default: {DEFAULTS.log_format}]"
)
@click.option("--trace/--no-trace", default=None, help="Print each message.")
def serve(file: Path | None, **settings: Any) -> None:
    """Make the device and serve it until Ctrl-C or SIGTERM.

    Settings are read from the file, and then from the options. The log goes to standard error.
    Where there can be no device the exit status is 1, and one line says why.
    """
    try:
        configuration = load(file, settings)
        logs.configure(configuration.log_level, configuration.log_format)
        registry = daemon.load_registry()
        tap = Trace(registry, sys.stdout) if configuration.trace else None
        daemon.main(configuration, registry, tap, _banner(configuration, registry))
    except (ConfigurationError, NodeError, PortKindError, RegistryError) as error:
        raise click.ClickException(str(error)) from None


def _banner(
    configuration: Configuration, families: Iterable[Family]
) -> Callable[[Node, str], None]:
    """What says on standard output that clients can come: its first line begins with "serving"."""

    def show(node: Node, state: str) -> None:
        permissions = configuration.permissions()
        click.echo(
            f"serving {node.path} ({node.kind.upper()} node, mode {permissions.mode:04o}, "
            f"group {_group_name(permissions.gid)})\n"
            f"families: {', '.join(family.schema.name for family in families)}\n"
            f"state: {state or 'not shown as files'}\n"
            "stop it with Ctrl-C, or SIGTERM"
        )

    return show


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
