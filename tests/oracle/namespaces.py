"""Network namespaces: each side of a comparison has one, with the same names and indexes in it."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


class Namespace:
    """A network namespace that lasts as long as this object, or what is in it.

    It is quiet: no IPv6, so that an interface that comes up sends nothing by itself.
    """

    def __init__(self) -> None:
        outside = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.unshare(CLONE_NEWNET))
            self._descriptor = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
            for which in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
        finally:
            _check(_libc.setns(outside, CLONE_NEWNET))
            os.close(outside)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in the namespace: the sockets and processes that it makes stay there."""
        outside = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(self._descriptor, CLONE_NEWNET))
            yield
        finally:
            _check(_libc.setns(outside, CLONE_NEWNET))
            os.close(outside)

    def ip(self, *commands: str) -> None:
        """Run commands of ip(8), all in one process; CalledProcessError where one fails."""
        with self.entered():
            subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)

    def close(self) -> None:
        """Let go of the namespace."""
        os.close(self._descriptor)
