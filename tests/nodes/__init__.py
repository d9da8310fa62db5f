"""The three nodes that the contract is held against, through one interface.

interface.py   Handle and Node: what a test may do
fake.py        the daemon in a thread of this process, and a kernel that is a program
kernel.py      that kernel: the other end of a FUSE or CUSE channel
real.py        a node of this machine's kernel, served by a daemon of its own
daemon.py      that daemon: a process, from its start to what it leaves behind
calls.py       system calls that wait, made by a thread, so that a test can go on
"""
