"""What needs a node of this machine's kernel: FUSE, or CUSE, as OVSDP_TEST_NODE says."""
