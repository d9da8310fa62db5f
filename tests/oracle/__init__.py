"""The kernel's own openvswitch module is the oracle: the same requests go to it and to ours, and
the answers are compared.

    messages.py      requests as bytes, well formed or not
    peers.py         the kernel by AF_NETLINK, a device node, the daemon in this process
    compare.py       what is the same in two answers, and the first field that is not
    steps.py         scenarios: what is asked, step by step
    runner.py        the same interfaces and requests for each peer
    differences.py   the differences that are known, with their reasons
    scenarios/       requests by hand: every command, attribute and error
    generator/       requests by chance: keys, masks, actions, frames
    kernel/          the tests that need the module; they run in the virtual machine

The rest of the tests here need no module, and run everywhere.
"""
