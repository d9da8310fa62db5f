"""The protocol of /dev/ovs-datapath, sentence by sentence, against any node.

OVSDP_TEST_NODE says which: unset for the fake kernel, `fuse` or `cuse` for a daemon on a real one.
Messages are built and read here with `struct` alone, so that a mistake in ovsdp_cuse/wire/ cannot
hide itself.
"""
