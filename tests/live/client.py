"""A client as a process of its own: python -I client.py PATH ACTION. It prints what it got.

info      the PID twice, by GET_PID and by WIN_GET_PID
pend      wait for an event
transact  ask for the PID again and again, until killed; prints a line first
"""

import fcntl
import os
import struct
import sys

GET_PID = 0x8004C800
TRANSACT_24 = 0xC018C805
WRITE_24 = 0x4018C804
CONTROL = 0x11
EMPTY_REQUEST = struct.pack("=IHHIIBBHi", 24, CONTROL, 0, 1, 0, 0, 1, 0, 0)


def main(path: str, action: str) -> None:
    """Do one of the three."""
    descriptor = os.open(path, os.O_RDWR)
    if action == "pend":
        fcntl.ioctl(descriptor, WRITE_24, EMPTY_REQUEST)
        return
    while True:
        reply = fcntl.ioctl(descriptor, TRANSACT_24, EMPTY_REQUEST)
        pid = fcntl.ioctl(descriptor, GET_PID, bytes(4))
        print(*struct.unpack("=I", pid), struct.unpack_from("=I", reply, 12)[0], flush=True)
        if action == "info":
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
