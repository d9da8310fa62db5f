"""The tests that need Linux's openvswitch module: they run in the virtual machine."""
