"""Names of interfaces, as register_netdevice() of Linux takes them."""

from __future__ import annotations

from collections.abc import Callable
from errno import EEXIST, EINVAL, ENFILE

from ovsdp_cuse.errors import DatapathError

NAME_MAXIMUM = 15
"""Bytes of an interface's name: IFNAMSIZ less its NUL."""
NAME_NUMBERS = 32768
"""How many numbers a "%d" in a name may become: the bits of a page (__dev_alloc_name())."""


def validate_name(name: str) -> None:
    """Raise EINVAL unless `name` may name an interface (dev_valid_name() of net/core/dev.c)."""
    if not name or name in (".", "..") or any(c in "/:" or c.isspace() for c in name):
        raise DatapathError(EINVAL, f"{name!r} cannot be the name of an interface")


def choose_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """The name that an interface gets which wants this one (dev_alloc_name(), net/core/dev.c).

    A "%d" in it is replaced by the lowest number that makes it unique. Raises EINVAL for a name
    that no interface may have, EEXIST for one in use, ENFILE where no number is free.
    """
    validate_name(name)
    if "%" not in name:
        if is_taken(name):
            raise DatapathError(EEXIST, f"an interface named {name!r} exists already")
        return name
    if name.count("%") != 1 or "%d" not in name:
        raise DatapathError(EINVAL, f"{name!r} may have one '%d' and no other '%'")
    for number in range(NAME_NUMBERS):
        candidate = name.replace("%d", str(number))
        if len(candidate.encode("utf-8", "surrogateescape")) > NAME_MAXIMUM:
            break
        if not is_taken(candidate):
            return candidate
    raise DatapathError(ENFILE, f"no number is free for {name!r}")
