"""Handles of the device that stay open, so that the directory of handles is the same for each look.

A handle for each file that is opened would come and go while `cp -r` copies that directory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ovsdp_cuse.client.local import LocalDevice
from ovsdp_cuse.errors import DatapathError

KEPT = 2


class Pool:
    """Devices for one task each; `open_device` opens another one (DatapathError: ENFILE)."""

    def __init__(self, open_device: Callable[[], LocalDevice]) -> None:
        self._open_device = open_device
        self._idle = [open_device() for _ in range(KEPT)]

    @contextmanager
    def borrow(self) -> Iterator[LocalDevice]:
        """A device for the `with` block; ENFILE as `take`."""
        device = self.take()
        try:
            yield device
        except DatapathError:  # that answers the request, and ends a dump
            self.give_back(device)
            raise
        except BaseException:
            self.discard(device)
            raise
        self.give_back(device)

    def take(self) -> LocalDevice:
        """A device, to be given back or discarded; ENFILE where as many are open as may be."""
        return self._idle.pop() if self._idle else self._open_device()

    def give_back(self, device: LocalDevice) -> None:
        """Take back a device that has nothing to do."""
        if len(self._idle) < KEPT:
            self._idle.append(device)
        else:
            device.close()

    def discard(self, device: LocalDevice) -> None:
        """Close a device with all that it has begun, such as a dump."""
        device.close()

    def close(self) -> None:
        """Close all that are not taken."""
        while self._idle:
            self._idle.pop().close()
