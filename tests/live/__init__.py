"""What only a real kernel can show: processes, signals, permissions, and what is left behind.

OVSDP_TEST_NODE says on which node: fuse or cuse. It needs root.
"""
