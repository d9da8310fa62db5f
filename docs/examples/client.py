# SPDX-License-Identifier: Apache-2.0
"""A first conversation with the datapath device: python client.py [DEVICE [DATAPATH]]."""

import sys

from ovsdp_cuse.client import DEFAULT_PATH, DatapathError, Device
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd

path = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_PATH
name = sys.argv[2] if len(sys.argv) > 2 else "example1"
datapath = {DpAttr.NAME: name, DpAttr.UPCALL_PID: (0,)}  # nobody gets what no flow matches

# Two handles: one asks, the other is told what changes. Each has a PID and a queue of its own.
with Device(path) as device, Device(path) as watcher:
    events = watcher.events("ovs_datapath", timeout=30)
    made = device.transact(DATAPATH, DpCmd.NEW, datapath)
    try:
        print("made:   ", DATAPATH.format(made) if made else "nothing")
        for found in device.dump(DATAPATH, DpCmd.GET):
            print("there is", found.attributes[DpAttr.NAME])
        device.transact(DATAPATH, DpCmd.NEW, datapath)  # an error on purpose: the name is taken
    except DatapathError as error:
        print("refused:", error)
    finally:
        device.transact(DATAPATH, DpCmd.DEL, {DpAttr.NAME: name})
    for family, message in events:
        print("event:  ", family.format(message))
        if message.command == DpCmd.DEL:
            break
