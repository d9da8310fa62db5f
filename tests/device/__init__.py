"""The kernel's side of the daemon, driven by a kernel that is a program (tests/nodes/kernel.py)."""
