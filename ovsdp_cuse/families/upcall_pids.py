"""Arrays of upcall PIDs, whose lengths no policy checks."""

from __future__ import annotations

from errno import EINVAL

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.switch.switch import Switch


def whole_pids(pids: tuple[int, ...], attribute: int) -> tuple[int, ...]:
    """The PIDs; EINVAL for an attribute that is empty or no array."""
    if not pids:
        raise DatapathError(
            EINVAL, "an array of PIDs has four bytes for each, and at least one", (attribute,)
        )
    return pids


def checked_pids(pids: tuple[int, ...], switch: Switch, attribute: int) -> tuple[int, ...]:
    """The PIDs of a port, of which there may be as many as CPUs; else EINVAL."""
    if len(pids) > switch.cpu_count:
        raise DatapathError(EINVAL, f"{len(pids)} PIDs for {switch.cpu_count} CPUs", (attribute,))
    return whole_pids(pids, attribute)
