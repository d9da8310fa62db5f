"""Debian's Open vSwitch, unmodified, on the device: its daemons and programs, and real traffic.

OVSDP_TEST_NODE says on which node: fuse (the default) or cuse. It needs root and Open vSwitch.

daemons.py   ovsdb-server and ovs-vswitchd, in directories of their own
programs.py  ovs-vsctl, ovs-ofctl, ovs-dpctl and ovs-appctl, which talk to them
stack.py     daemon, device and Open vSwitch in one network namespace, and what they leave behind
conftest.py  the fixtures; most tests share one stack, as daemons start slowly under emulation

A test that asks for `stack` gets the shared one with nothing in it, and adds what it needs; what it
has added is removed, and logs are looked through, when it ends. A test that stops or kills a
daemon asks for `own_stack`, which has daemons of its own.
"""
