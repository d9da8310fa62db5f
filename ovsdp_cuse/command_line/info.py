"""`info`: what is served."""

from __future__ import annotations

import grp
import json
import pwd
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from ovsdp_cuse.client import Device, FamilyInfo
from ovsdp_cuse.command_line.options import talks_to_device
from ovsdp_cuse.command_line.registry import load_registry
from ovsdp_cuse.command_line.requests import ask
from ovsdp_cuse.command_line.tables import print_table
from ovsdp_cuse.families.describe import printable
from ovsdp_cuse.families.registry import Family
from ovsdp_cuse.wire.genetlink import NLCTRL, OperationFlag
from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd
from ovsdp_cuse.wire.state import InfoAttr


@click.command()
@talks_to_device(NLCTRL.attributes, read_only=True)
def info(device: Device, as_json: bool) -> None:
    """Show what is served, and where.

    That is the node, and the families with their commands and multicast groups. Beside a command
    stands how it can be used: do (a plain request), dump, and admin where it takes a handle that
    was opened for writing. `handles`, `dp-show`, `drops` and `metrics` show what it is doing.

    \b
    With --json:
      {"device": PATH, "node": "cuse" or "fuse", "mode": "0660", "owner": NAME, "group": NAME,
       "pid": the netlink PID of this handle,
       "version": of the daemon, "process": its id, "uptime_s": 12.345,
       "interfaces": "host" or "memory", "state": PATH or null,
       "families": [{"id": 18, "name": "ovs_datapath", "version": 2, "header_size": 4,
         "commands": [{"number": 1, "names": ["OVS_DP_CMD_NEW"], "can": ["do", "admin"]}],
         "groups": {"ovs_datapath": 102}}]}
    """
    registry = load_registry()
    families = [_family(family, registry.lookup(family.id)) for family in device.families()]
    daemon = _daemon(device)
    document = {**_node(device), "pid": device.pid, **daemon, "families": families}
    if as_json:
        click.echo(json.dumps(document))
        return
    click.echo(
        f"{document['device']}: {document['node'].upper()} node, mode {document['mode']}, "
        f"owner {document['owner']}, group {document['group']}; this handle has PID {device.pid}"
    )
    state = f"; live state in {printable(daemon['state'])}" if daemon["state"] else ""
    click.echo(
        f"version {daemon['version']}, process {daemon['process']}, "
        f"up {timedelta(seconds=int(daemon['uptime_s']))}{state}\n"
    )
    print_table(
        ("id", "family", "version", "commands", "can", "multicast groups"),
        [
            (
                f"{family['id']:#x}",
                family["name"],
                family["version"],
                "\n".join(f"{c['number']} {', '.join(c['names'])}" for c in family["commands"]),
                "\n".join(" ".join(c["can"]) for c in family["commands"]),
                "\n".join(f"{number} {name}" for name, number in family["groups"].items()),
            )
            for family in families
        ],
        right=("id", "version"),
    )


_ABILITIES = {
    OperationFlag.CMD_CAP_DO: "do",
    OperationFlag.CMD_CAP_DUMP: "dump",
    OperationFlag.ADMIN_PERM | OperationFlag.UNS_ADMIN_PERM: "admin",
}


def _family(served: FamilyInfo, known: Family | None) -> dict[str, Any]:
    commands = [
        {
            "number": number,
            "names": [c.name for c in known.commands if c.number == number] if known else [],
            "can": [ability for bits, ability in _ABILITIES.items() if flags & bits],
        }
        for number, flags in served.commands.items()
    ]
    return {
        "id": served.id,
        "name": served.name,
        "version": served.version,
        "header_size": served.header_size,
        "commands": commands,
        "groups": served.groups,
    }


def _daemon(device: Device) -> dict[str, Any]:
    """What the daemon tells of itself."""
    told = ask(device, OVSDP_CONTROL, OvsdpCmd.INFO_GET, {}).attributes
    return {
        "version": told[InfoAttr.VERSION],
        "process": told[InfoAttr.PROCESS],
        "uptime_s": told[InfoAttr.UPTIME_MS] / 1000,
        "interfaces": told[InfoAttr.INTERFACES],
        "state": told.get(InfoAttr.STATE),
    }


def _node(device: Device) -> dict[str, Any]:
    status = Path(device.path).stat()
    return {
        "device": printable(device.path),
        "node": "cuse" if stat.S_ISCHR(status.st_mode) else "fuse",
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "owner": _name(status.st_uid, lambda number: pwd.getpwuid(number).pw_name),
        "group": _name(status.st_gid, lambda number: grp.getgrgid(number).gr_name),
    }


def _name(number: int, find: Callable[[int], str]) -> str:
    try:
        return find(number)
    except KeyError:
        return str(number)
