"""`python -m bench`: speed and memory, each figure beside a peer's in the same run.

The hot loops are C programs beside this file; Python starts servers, alternates the rounds, and
prints. What runs on the other side of a comparison:

- a transaction: `echo_server.c`, a node of the same kind whose server gives the bytes back;
- a look-up: one in a Python dict with as many entries;
- flows, and misses answered by EXECUTE: the kernel's openvswitch module, in the virtual machine;
- forwarding: ovs-vswitchd with its own userspace datapath, and the kernel's bridge;
- ovs-vswitchd on the device: itself, with its own userspace datapath, and on the kernel's module in
  the virtual machine.
"""
