"""Datapaths: what a switch is before it has ports and flows. Pure and synchronous.

A datapath has an index and a name, both unique. The index is what Linux calls dp_ifindex: there it
is the interface index of the datapath's local port, here it is a number of our own, counted up,
that is not used again before the counter has wrapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EEXIST, EINVAL, ENFILE, ENODEV, ERANGE
from typing import NewType

from ovsdp_cuse.errors import DatapathError

DpIfindex = NewType("DpIfindex", int)
Pid = NewType("Pid", int)

MASKS_CACHE_SIZE_DEFAULT = 256
"""MC_DEFAULT_HASH_ENTRIES of net/openvswitch/flow_table.h."""

IFINDEX_MAXIMUM = 2**31 - 1

NAME_MAXIMUM = 15
"""Bytes of an interface's name: IFNAMSIZ less its NUL."""
NAME_NUMBERS = 32768
"""How many numbers a "%d" in a name may become: the bits of a page (__dev_alloc_name())."""


@dataclass(slots=True)
class Counters:
    """What has happened to packets since the datapath was made: numbers of packets, or lookups."""

    hit: int = 0
    missed: int = 0
    lost: int = 0
    mask_hit: int = 0
    cache_hits: int = 0


@dataclass(slots=True)
class Settings:
    """What a client may choose of a datapath.

    user_features: OVS_DP_F_* bits. masks_cache_size: entries, a power of two, or 0 for no cache.
    per_cpu_pids: one PID for each CPU, () where none were given.
    """

    user_features: int = 0
    masks_cache_size: int = MASKS_CACHE_SIZE_DEFAULT
    per_cpu_pids: tuple[Pid, ...] = ()


@dataclass(slots=True, eq=False)
class Datapath:
    """One datapath; upcall_pids: where misses of the local port go, 0 for nowhere."""

    index: DpIfindex
    name: str
    upcall_pids: tuple[Pid, ...] = ()
    settings: Settings = field(default_factory=Settings)
    counters: Counters = field(default_factory=Counters)


def validate_name(name: str) -> None:
    """Raise EINVAL unless `name` may name an interface (dev_valid_name() of net/core/dev.c)."""
    if not name or name in (".", "..") or any(c in "/:" or c.isspace() for c in name):
        raise DatapathError(EINVAL, f"{name!r} cannot be the name of an interface")


def validate_masks_cache_size(size: int) -> None:
    """Raise EINVAL unless `size` is 0 or a power of two."""
    if size & (size - 1):
        raise DatapathError(EINVAL, f"a mask cache has a power of two entries, or 0, not {size}")


class Switch:
    """All datapaths of a daemon, in the order in which they were made.

    cpu_count: how many PIDs an array for the CPUs may have.
    """

    def __init__(self, cpu_count: int = 1) -> None:
        self.cpu_count = cpu_count
        self._by_index: dict[int, Datapath] = {}
        self._by_name: dict[str, Datapath] = {}
        self._last_index = 0

    def __iter__(self) -> Iterator[Datapath]:
        """The datapaths in order of creation; a copy, so they may come and go meanwhile."""
        return iter(list(self._by_index.values()))

    def __len__(self) -> int:
        return len(self._by_index)

    def lookup(self, index: int) -> Datapath | None:
        """The datapath with this index."""
        return self._by_index.get(index)

    def lookup_name(self, name: str) -> Datapath | None:
        """The datapath with this name."""
        return self._by_name.get(name)

    def default(self) -> Datapath | None:
        """The oldest datapath: what index 0 means where a command needs some datapath."""
        return next(iter(self._by_index.values()), None)

    def choose_name(self, name: str) -> str:
        """The name that a datapath gets which wants this one (dev_alloc_name(), net/core/dev.c).

        A "%d" in it is replaced by the lowest number that makes it unique. Raises EINVAL for a name
        that no interface may have, EEXIST for one in use, ENFILE where no number is free.
        """
        validate_name(name)
        if "%" not in name:
            if name in self._by_name:
                raise DatapathError(EEXIST, f"a datapath named {name!r} exists already")
            return name
        if name.count("%") != 1 or "%d" not in name:
            raise DatapathError(EINVAL, f"{name!r} may have one '%d' and no other '%'")
        for number in range(NAME_NUMBERS):
            candidate = name.replace("%d", str(number))
            if len(candidate.encode("utf-8", "surrogateescape")) > NAME_MAXIMUM:
                break
            if candidate not in self._by_name:
                return candidate
        raise DatapathError(ENFILE, f"no number is free for {name!r}")

    def add(self, name: str, index: int = 0) -> Datapath:
        """Make a datapath; `index` 0 lets the switch choose one.

        Raises what `choose_name` raises, and EEXIST for an index in use.
        """
        name = self.choose_name(name)
        if index in self._by_index:
            raise DatapathError(EEXIST, f"a datapath with index {index} exists already")
        if not index:
            index = self._free_index()
        datapath = Datapath(DpIfindex(index), name)
        self._by_index[index] = datapath
        self._by_name[name] = datapath
        return datapath

    def remove(self, datapath: Datapath) -> None:
        """Take a datapath out; ENODEV where it is not in this switch."""
        if self._by_index.get(datapath.index) is not datapath:
            raise DatapathError(ENODEV, f"datapath {datapath.name!r} is gone already")
        del self._by_index[datapath.index]
        del self._by_name[datapath.name]

    def _free_index(self) -> int:
        if len(self._by_index) >= IFINDEX_MAXIMUM:
            raise DatapathError(ERANGE, "every index is in use")
        while True:
            self._last_index = self._last_index % IFINDEX_MAXIMUM + 1
            if self._last_index not in self._by_index:
                return self._last_index
