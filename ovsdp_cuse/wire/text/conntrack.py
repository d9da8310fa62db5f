"""ct(commit,zone=3,nat(src=10.0.0.1)): connection tracking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ovsdp_cuse.wire.action_attributes import CtAttr, NatAttr
from ovsdp_cuse.wire.exact import ipv4, ipv6
from ovsdp_cuse.wire.text.layout import Policy, parse
from ovsdp_cuse.wire.text.numbers import c_hex, native, printable

POLICY: Final[Policy] = {
    CtAttr.COMMIT: (0, None),
    CtAttr.FORCE_COMMIT: (0, None),
    CtAttr.ZONE: (2, 2),
    CtAttr.MARK: (8, None),
    CtAttr.LABELS: (32, None),
    CtAttr.HELPER: (1, 16),
    CtAttr.NAT: (0, None),
    CtAttr.TIMEOUT: (1, 32),
}
NAT_POLICY: Final[Policy] = {
    NatAttr.SRC: (0, None),
    NatAttr.DST: (0, None),
    NatAttr.IP_MIN: (4, 16),
    NatAttr.IP_MAX: (4, 16),
    NatAttr.PROTO_MIN: (2, 2),
    NatAttr.PROTO_MAX: (2, 2),
    NatAttr.PERSISTENT: (0, None),
    NatAttr.PROTO_HASH: (0, None),
    NatAttr.PROTO_RANDOM: (0, None),
}
_OPTIONS: Final = (
    (NatAttr.PERSISTENT, "persistent"),
    (NatAttr.PROTO_HASH, "hash"),
    (NatAttr.PROTO_RANDOM, "random"),
)


def ct_text(payload: bytes) -> str:
    """ct(...), of the payload of OVS_ACTION_ATTR_CT."""
    attributes = parse(payload, POLICY)
    if attributes is None or not all(
        attributes[number].find(b"\0") == len(attributes[number]) - 1
        for number in (CtAttr.HELPER, CtAttr.TIMEOUT)
        if number in attributes
    ):
        return "ct(error)"
    parts = ",".join(_parts(attributes))
    return f"ct({parts})" if parts else "ct"


def _parts(attributes: Mapping[int, bytes]) -> Iterator[str]:
    if CtAttr.COMMIT in attributes:
        yield "commit"
    if CtAttr.FORCE_COMMIT in attributes:
        yield "force_commit"
    if any(attributes.get(CtAttr.ZONE, b"")):
        yield f"zone={native(attributes[CtAttr.ZONE])}"
    if CtAttr.MARK in attributes:
        both = attributes[CtAttr.MARK]
        yield f"mark={c_hex(native(both[:4]))}/{c_hex(native(both[4:8]))}"
    if CtAttr.LABELS in attributes:
        both = attributes[CtAttr.LABELS]
        mask = both[16:32]
        suffix = "" if mask == b"\xff" * 16 else f"/{c_hex(native(mask))}"
        yield f"label={c_hex(native(both[:16]))}{suffix}"
    for number, name in ((CtAttr.HELPER, "helper"), (CtAttr.TIMEOUT, "timeout")):
        if number in attributes:
            yield f"{name}={printable(attributes[number])}"
    if CtAttr.NAT in attributes:
        yield nat_text(attributes[CtAttr.NAT])


def nat_text(payload: bytes) -> str:
    """nat(...), of the payload of OVS_CT_ATTR_NAT."""
    attributes = parse(payload, NAT_POLICY)
    if attributes is None:
        return "nat(error: nl_parse_nested() failed.)"
    problem = _problem(attributes)
    if problem:
        return f"nat({problem})"
    if NatAttr.SRC in attributes:
        direction = "src"
    elif NatAttr.DST in attributes:
        direction = "dst"
    else:
        return "nat"
    options = [name for number, name in _OPTIONS if number in attributes]
    return f"nat({','.join([direction + _range(attributes), *options])})"


def _problem(attributes: Mapping[int, bytes]) -> str:
    """What is wrong with them together; "" where nothing is."""
    lowest, highest = attributes.get(NatAttr.IP_MIN), attributes.get(NatAttr.IP_MAX)
    has_direction = NatAttr.SRC in attributes or NatAttr.DST in attributes
    first, last = _ports(attributes)
    checks = (
        (
            not has_direction and bool(attributes),
            'error: options allowed only with "src" or "dst"',
        ),
        (
            NatAttr.SRC in attributes and NatAttr.DST in attributes,
            'error: Only one of "src" or "dst" may be present.',
        ),
        (lowest is None and NatAttr.PROTO_MIN in attributes, "error: proto but no IP."),
        (
            (lowest is None and highest is not None)
            or (NatAttr.PROTO_MIN not in attributes and NatAttr.PROTO_MAX in attributes),
            "error: range max without min.",
        ),
        (
            lowest is not None
            and (len(lowest) not in (4, 16) or len(highest or lowest) != len(lowest)),
            "error: IP address sizes do not match",
        ),
        (
            (lowest is not None and highest is not None and any(highest) and lowest > highest)
            or (last > 0 and first > last),
            "range error",
        ),
    )
    return next((text for is_wrong, text in checks if is_wrong), "")


def _ports(attributes: Mapping[int, bytes]) -> tuple[int, int]:
    """The first and the last port; 0 where it is not there."""
    first, last = (
        native(attributes.get(number, b"")) for number in (NatAttr.PROTO_MIN, NatAttr.PROTO_MAX)
    )
    return first, last


def _range(attributes: Mapping[int, bytes]) -> str:
    """=10.0.0.1-10.0.0.9:80-90; "" where no address is there."""
    lowest = attributes.get(NatAttr.IP_MIN)
    if lowest is None:
        return ""
    highest = attributes.get(NatAttr.IP_MAX, b"")
    first, last = _ports(attributes)
    show = ipv4 if len(lowest) == 4 else ipv6
    form = "[{}]" if first and len(lowest) == 16 else "{}"
    text = "=" + form.format(show(lowest))
    if any(highest) and highest != lowest:
        text += "-" + form.format(show(highest))
    if first:
        text += f":{first}"
        if last and last != first:
            text += f"-{last}"
    return text
