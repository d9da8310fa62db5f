"""The library for LD_PRELOAD, which gives a program's generic netlink sockets the device.

It is C, in `src/`, and is built with the package (setup.py). docs/shim.md says what it covers.
"""

from __future__ import annotations

from pathlib import Path

VARIABLE = "OVSDP_DEVICE"
"""Of the environment: where the library finds the device, if it is not /dev/ovs-datapath."""

_LIBRARY = Path(__file__).with_name("libovsdp_shim.so")


class LibraryError(Exception):
    """The library is not there."""


def library() -> Path:
    """Where the library is; LibraryError, with what to do, where it was not built."""
    if not _LIBRARY.is_file():
        raise LibraryError(
            f"{_LIBRARY} is missing: it is built when the package is installed, by a C compiler; "
            "in a clone of the repository, run make setup"
        )
    return _LIBRARY
