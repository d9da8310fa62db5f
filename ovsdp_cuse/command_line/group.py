"""The group of commands: a table of where each is defined, so that only the one that runs loads.

`serve` must not pay for what prints tables, nor a client command for the daemon.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

COMMANDS: dict[str, str] = {
    "serve": "serve:serve",
    "info": "info:info",
    "handles": "state:handles",
    "drops": "state:drops",
    "metrics": "metrics:metrics",
    "dp-add": "datapath:dp_add",
    "dp-del": "datapath:dp_del",
    "dp-show": "datapath:dp_show",
    "port-add": "port:port_add",
    "port-del": "port:port_del",
    "flow-show": "flow:flow_show",
    "flow-del": "flow:flow_del",
    "explain": "explain:explain",
    "monitor": "messages:monitor",
    "trace": "trace:trace",
    "send": "messages:send",
    "fault": "fault:fault",
    "record": "record:record",
    "decode": "decode:decode",
    "replay": "replay:replay",
    "exec": "exec:exec_",
    "mount-state": "mount_state:mount_state",
    "install-service": "install_service:install_service",
    "uninstall-service": "install_service:uninstall_service",
}
"""Command -> module of this package and the name of its click command, in the order of --help."""

EPILOG = """\b
First commands:
  ovsdp-cuse serve                  serve the device, until Ctrl-C
  ovsdp-cuse info                   in another terminal: what is served
  ovsdp-cuse dp-add dp0             make a datapath
  ovsdp-cuse port-add dp0 eth1      make an interface a port of it
  ovsdp-cuse dp-show                show all datapaths, with their ports
  ovsdp-cuse flow-show dp0          show the flows of a datapath
  ovsdp-cuse monitor                follow what changes
  ovsdp-cuse trace                  follow every message, of whomever
  ovsdp-cuse record FILE.pcapng     the same as a file for Wireshark; decode and replay read it
  ovsdp-cuse explain --help         what would become of a packet
  ovsdp-cuse fault --help           let the device fail on purpose
  ovsdp-cuse exec -- PROGRAM        run a program of Open vSwitch's on the device

The commands that talk to the device take --device PATH, or $OVSDP_DEVICE, and but for exec --json.

\b
Exit status:
  0  done
  1  refused or failed; standard error says why
  2  the command line is wrong

exec and replay have statuses of their own, which their --help tells.
"""


class CommandTable(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(
            importlib.import_module(f"ovsdp_cuse.command_line.{module}"), name
        )
        return command


def _print_cflags(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from pathlib import Path

    import ovsdp_cuse

    click.echo(f"-I{Path(*ovsdp_cuse.__path__) / 'include'}")
    ctx.exit()


@click.group(
    cls=CommandTable,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="ovsdp-cuse")
@click.option(
    "--cflags",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_cflags,
    help="Print what a C compiler needs to find <ovs_datapath.h>, and exit.",
)
def program(**_options: Any) -> None:
    """An Open vSwitch datapath behind a character device, /dev/ovs-datapath.

    `serve` is the daemon: it makes the device, with CUSE, or a single mounted file with FUSE where
    the kernel has no CUSE. Programs talk to it by ioctl, or by read and write as if it were a
    netlink socket. The other commands are such programs; but `exec` runs Open vSwitch's on the
    device, and `install-service` has systemd start the daemon.
    """
