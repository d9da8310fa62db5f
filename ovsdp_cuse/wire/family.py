"""A generic netlink family as both ends see it: names, numbers, header, attributes, messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from errno import EINVAL
from typing import Any

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.attributes import Attributes, AttributeSet, format_attributes
from ovsdp_cuse.wire.netlink import (
    GENERIC_HEADER,
    GENERIC_HEADER_SIZE,
    OVS_HEADER_SIZE,
    OVS_MESSAGE_HEADER,
)


@dataclass(slots=True)
class Message:
    """One message of a family, without its length.

    dp_ifindex is 0 in a family that has no struct ovs_header (`header_size` 0).
    """

    type: int
    command: int
    attributes: Attributes = field(default_factory=dict)
    dp_ifindex: int = 0
    flags: int = 0
    sequence: int = 0
    pid: int = 0
    version: int = 0


@dataclass(frozen=True, eq=False)
class FamilySchema:
    """What a family's messages look like.

    id: nlmsg_type. name: at most 15 characters (GENL_NAMSIZ). command_prefix: the C prefix of the
    names in `commands`, such as "OVS_DP_CMD". header_size: bytes after genlmsghdr that the family
    has in each message: 4 (struct ovs_header) or 0. attributes_by_command: where a command's
    attributes are not the family's.
    """

    id: int
    name: str
    version: int
    command_prefix: str
    commands: type[IntEnum]
    attributes: AttributeSet
    header_size: int = OVS_HEADER_SIZE - GENERIC_HEADER_SIZE
    attributes_by_command: Mapping[int, AttributeSet] = field(default_factory=dict)

    @property
    def attributes_start(self) -> int:
        """The offset of the first attribute in a message: 24, or 20 without struct ovs_header."""
        return GENERIC_HEADER_SIZE + self.header_size

    def attributes_of(self, command: int) -> AttributeSet:
        """The attributes that a command takes and replies."""
        return self.attributes_by_command.get(command, self.attributes)

    def command_name(self, command: int) -> str:
        """The C name of a command, such as OVS_DP_CMD_GET; with the number where unknown."""
        try:
            return f"{self.command_prefix}_{self.commands(command).name}"
        except ValueError:
            return f"{self.command_prefix}({command})"

    def build(self, message: Message) -> bytes:
        """The message as bytes, nlmsg_len set; KeyError for an attribute that it does not know."""
        payload = self.attributes_of(message.command).build(message.attributes)
        head = (
            message.type,
            message.flags,
            message.sequence,
            message.pid,
            message.command,
            message.version,
            0,
        )
        if self.header_size:
            return (
                OVS_MESSAGE_HEADER.pack(OVS_HEADER_SIZE + len(payload), *head, message.dp_ifindex)
                + payload
            )
        return GENERIC_HEADER.pack(GENERIC_HEADER_SIZE + len(payload), *head) + payload

    def parse(self, data: bytes) -> Message:
        """The message in `data`, whose attributes must fit it.

        Raises LayoutError, or DatapathError (EINVAL, ERANGE) where it breaks the schema.
        """
        start = self.attributes_start
        if len(data) < start:
            raise DatapathError(
                EINVAL, f"a message of {self.name} has {start} bytes of headers, not {len(data)}"
            )
        header = GENERIC_HEADER.parse(data)
        if not start <= header.length <= len(data):
            raise DatapathError(EINVAL, f"nlmsg_len {header.length} is not in {start}..{len(data)}")
        # The last attribute of an upcall is not padded with OVS_DP_F_UNALIGNED.
        whole = data[: header.length].ljust((header.length + 3) & ~3, b"\0")
        attributes = self.attributes_of(header.command).parse(whole, start, strict_layout=True)
        return Message(
            header.type,
            header.command,
            attributes,
            OVS_MESSAGE_HEADER.parse(data).dp_ifindex if self.header_size else 0,
            header.flags,
            header.sequence,
            header.pid,
            header.version,
        )

    def format(self, message: Message) -> str:
        """A message on one line, in the header's own spelling."""
        parts: list[Any] = [self.command_name(message.command)]
        if message.dp_ifindex:
            parts.append(f"dp_ifindex={message.dp_ifindex}")
        if message.attributes:
            attributes = self.attributes_of(message.command)
            parts.append("{" + format_attributes(attributes, message.attributes) + "}")
        return " ".join(parts)
