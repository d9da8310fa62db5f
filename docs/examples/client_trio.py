# SPDX-License-Identifier: Apache-2.0
"""The same with trio, watching meanwhile: python client_trio.py [DEVICE [DATAPATH]]."""

import sys

import trio

from ovsdp_cuse.client import DEFAULT_PATH
from ovsdp_cuse.client.trio import Device
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd


async def watch(device: Device, task_status: trio.TaskStatus[None]) -> None:
    """Print what changes, until a datapath goes."""
    await device.subscribe("ovs_datapath")
    task_status.started()
    async for family, message in device.events():
        print("event:  ", family.format(message))
        if message.command == DpCmd.DEL:
            return


async def main() -> None:
    """Make a datapath, look, and remove it, while another handle watches."""
    path = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_PATH
    name = sys.argv[2] if len(sys.argv) > 2 else "example2"
    async with Device(path) as device, Device(path) as watcher, trio.open_nursery() as nursery:
        await nursery.start(watch, watcher)
        await device.transact(DATAPATH, DpCmd.NEW, {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)})
        async for found in device.dump(DATAPATH, DpCmd.GET):
            print("there is", found.attributes[DpAttr.NAME])
        await device.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: name})


trio.run(main)
