"""The family `nlctrl`: which families there are, with their operations, groups and policies.

As ctrl_getfamily(), ctrl_dumpfamily() and ctrl_dumppolicy() of net/netlink/genetlink.c answer; all
of it is read off the registry's tables. Its messages have no struct ovs_header.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EINVAL, ENODATA, ENOENT
from typing import Any

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, MulticastGroup
from ovsdp_cuse.families.request import Answer, Body, Request
from ovsdp_cuse.wire.attributes import Attributes, AttributeSet, Nested
from ovsdp_cuse.wire.genetlink import (
    NLCTRL,
    CtrlAttr,
    CtrlAttrMcastGrp,
    CtrlAttrOp,
    CtrlAttrPolicy,
    CtrlCmd,
    PolicyAttr,
)
from ovsdp_cuse.wire.values import Binary, PolicyType, String, Value

GROUP = MulticastGroup(16, "notify")
"""Number and name are the kernel's. Nothing is told here: families do not come and go."""


def describe(family: Family) -> Body:
    """A family as CTRL_CMD_NEWFAMILY, in the order of ctrl_fill_info()."""
    schema = family.schema
    attributes: Attributes = {
        int(CtrlAttr.FAMILY_NAME): schema.name,
        int(CtrlAttr.FAMILY_ID): schema.id,
        int(CtrlAttr.VERSION): schema.version,
        int(CtrlAttr.HDRSIZE): schema.header_size,
        int(CtrlAttr.MAXATTR): schema.attributes.maximum if family is not FAMILY else 0,
    }
    operations = {
        index: {int(CtrlAttrOp.ID): number, int(CtrlAttrOp.FLAGS): int(flags)}
        for index, (number, flags) in enumerate(family.operations(), 1)
    }
    groups = {
        index: {int(CtrlAttrMcastGrp.ID): group.id, int(CtrlAttrMcastGrp.NAME): group.name}
        for index, group in enumerate(family.groups, 1)
    }
    if operations:
        attributes[int(CtrlAttr.OPS)] = operations
    if groups:
        attributes[int(CtrlAttr.MCAST_GROUPS)] = groups
    return Body(CtrlCmd.NEWFAMILY, attributes)


def _find(request: Request, first: CtrlAttr, second: CtrlAttr) -> Family:
    """The family named by attribute `first`, or else by `second`; EINVAL, ENOENT."""
    registry = request.context.registry
    for attribute in (first, second):
        wanted = request.attributes.get(attribute)
        if wanted is not None:
            family = (
                registry.lookup(wanted)
                if attribute is CtrlAttr.FAMILY_ID
                else registry.lookup_name(wanted)
            )
            if family is None:
                raise DatapathError(ENOENT, f"no family {wanted!r}", (attribute,))
            return family
    raise DatapathError(EINVAL, "neither CTRL_ATTR_FAMILY_ID nor CTRL_ATTR_FAMILY_NAME is there")


async def get_family(request: Request) -> Answer:
    """CTRL_CMD_GETFAMILY: one family; where both are given the name decides."""
    return Answer(describe(_find(request, CtrlAttr.FAMILY_NAME, CtrlAttr.FAMILY_ID)))


def dump_families(request: Request) -> Iterator[Body]:
    """CTRL_CMD_GETFAMILY with NLM_F_DUMP: every family by ascending id."""
    return map(describe, request.context.registry)


def dump_policies(request: Request) -> Iterator[Body]:
    """CTRL_CMD_GETPOLICY: which policy each command uses, then each policy's attributes.

    Where both are given the id decides. Raises EINVAL, ENOENT for family or command, ENODATA where
    the command takes no attributes.
    """
    for told in (CtrlAttr.POLICY, CtrlAttr.OP_POLICY):
        if told in request.attributes:
            raise DatapathError(EINVAL, "Unsupported attribute", (told,))
    family = _find(request, CtrlAttr.FAMILY_ID, CtrlAttr.FAMILY_NAME)
    commands = _wanted_commands(family, request.attributes.get(CtrlAttr.OP))
    policies: list[AttributeSet] = []
    bodies = [
        body for command in commands if (body := _describe_operation(family, command, policies))
    ]
    if not bodies:
        raise DatapathError(ENODATA, f"{family.schema.name} has no policy to show")
    for index, policy in enumerate(policies):  # it grows while nested sets are found
        for number, value in policy.table.items():
            described = describe_value(value, policies)
            if described is not None:
                bodies.append(_policy_body(family, CtrlAttr.POLICY, {index: {number: described}}))
    return iter(bodies)


def _policy_body(family: Family, attribute: CtrlAttr, value: dict[int, Any]) -> Body:
    return Body(
        CtrlCmd.GETPOLICY, {int(CtrlAttr.FAMILY_ID): family.schema.id, int(attribute): value}
    )


def _wanted_commands(family: Family, wanted: int | None) -> list[Command]:
    commands = [c for c in family.commands if wanted is None or c.number == wanted]
    if not commands and wanted is not None:
        raise DatapathError(ENOENT, f"{family.schema.name} has no command {wanted}", (CtrlAttr.OP,))
    return commands


def _describe_operation(
    family: Family, command: Command, policies: list[AttributeSet]
) -> Body | None:
    attributes = family.schema.attributes_of(command.number)
    if not attributes.table:
        return None
    index = _index_of(policies, attributes)
    uses = {}
    if command.handler is not None:
        uses[int(CtrlAttrPolicy.DO)] = index
    if command.dump is not None and command.validates_dump:
        uses[int(CtrlAttrPolicy.DUMP)] = index
    return _policy_body(family, CtrlAttr.OP_POLICY, {command.number: uses}) if uses else None


def _index_of(policies: list[AttributeSet], attributes: AttributeSet) -> int:
    for index, policy in enumerate(policies):
        if policy is attributes:
            return index
    policies.append(attributes)
    return len(policies) - 1


def describe_value(value: Value, policies: list[AttributeSet]) -> Attributes | None:
    """The limits of one attribute as NL_POLICY_TYPE_ATTR_*; None where it has no policy.

    In the order of __netlink_policy_dump_write_attr() (net/netlink/policy.c), the type last.
    """
    if value.policy_type is None:
        return None
    attributes: Attributes = {}
    if value.bounds is not None:
        signed = value.policy_type >= PolicyType.S8
        lowest, highest = (
            (PolicyAttr.MIN_VALUE_S, PolicyAttr.MAX_VALUE_S)
            if signed
            else (PolicyAttr.MIN_VALUE_U, PolicyAttr.MAX_VALUE_U)
        )
        attributes[int(lowest)], attributes[int(highest)] = value.bounds
    elif isinstance(value, String | Binary) and value.maximum is not None:
        attributes[int(PolicyAttr.MAX_LENGTH)] = value.maximum
    elif isinstance(value, Nested):
        attributes[int(PolicyAttr.POLICY_IDX)] = _index_of(policies, value.attributes)
        attributes[int(PolicyAttr.POLICY_MAXTYPE)] = value.attributes.maximum
    attributes[int(PolicyAttr.TYPE)] = int(value.policy_type)
    return attributes


_W, _R, _T = DeviceOperation.WRITE, DeviceOperation.READ, DeviceOperation.TRANSACT

FAMILY = Family(
    schema=NLCTRL,
    summary="the generic netlink controller: which families there are",
    groups=(GROUP,),
    commands=(
        Command(
            CtrlCmd.GETFAMILY,
            "CTRL_CMD_GETFAMILY",
            _T | _W | _R,
            get_family,
            dump_families,
            summary="a family by name or by id, or dump all",
        ),
        Command(
            CtrlCmd.GETPOLICY,
            "CTRL_CMD_GETPOLICY",
            _T | _W | _R,
            dump=dump_policies,
            validates_dump=True,
            summary="dump the attribute policies of a family or command",
        ),
    ),
)
