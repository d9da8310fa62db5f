"""What a handler is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from errno import ENODEV
from typing import TYPE_CHECKING

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.faults import Fault, Faults
from ovsdp_cuse.families.information import Information
from ovsdp_cuse.families.registry import Command, DeviceOperation, Family, Registry
from ovsdp_cuse.switch.datapath import Datapath
from ovsdp_cuse.switch.port import PortProvider
from ovsdp_cuse.switch.switch import Switch
from ovsdp_cuse.wire.attributes import Attributes
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import NLM_F_DUMP, OvsMessageHeader

if TYPE_CHECKING:
    from ovsdp_cuse.families.session import Session, SessionTable


@dataclass(frozen=True, slots=True)
class Context:
    """What all handlers share: the switch, the families, the open handles, and what serves them."""

    switch: Switch
    registry: Registry
    sessions: SessionTable
    information: Information = field(default_factory=Information)
    faults: Faults = field(default_factory=Faults)

    @property
    def ports(self) -> PortProvider:
        """What opens ports, and knows interfaces."""
        return self.switch.ports


@dataclass(slots=True)
class Request:
    """One request on its way to a handler.

    header: as the client sent it. dp_ifindex: the header's; through the device door, 0 has been
    replaced by the default datapath's where the command needs one. data: the whole message.
    invalid: what is wrong with a value among the attributes, which a handler never sees.
    operation: how it came; None through the stream door. out_size: bytes of the client's reply
    buffer, None where a reply has no such limit. fault: what is to go wrong with it on purpose.
    """

    context: Context
    session: Session
    family: Family
    command: Command
    header: OvsMessageHeader
    dp_ifindex: int
    attributes: Attributes
    data: bytes
    invalid: DatapathError | None = None
    operation: DeviceOperation | None = None
    out_size: int | None = None
    fault: Fault | None = None

    @property
    def is_dump(self) -> bool:
        """Whether all objects are asked for."""
        return self.header.flags & NLM_F_DUMP == NLM_F_DUMP

    def datapath(self) -> Datapath:
        """The datapath that `dp_ifindex` names; ENODEV where there is none."""
        datapath = self.context.switch.lookup(self.dp_ifindex)
        if datapath is None:
            raise DatapathError(ENODEV, f"no datapath has the index {self.dp_ifindex}")
        return datapath


@dataclass(slots=True)
class Body:
    """The content of a reply or notification: its command, attributes and dp_ifindex."""

    command: int
    attributes: Attributes = field(default_factory=dict)
    dp_ifindex: int = 0

    def build(self, request: Request, flags: int = 0) -> bytes:
        """The message, with the requester's PID and sequence number as the kernel puts them."""
        schema = request.family.schema
        return schema.build(
            Message(
                schema.id,
                self.command,
                self.attributes,
                self.dp_ifindex,
                flags,
                request.header.sequence,
                request.session.pid,
                schema.version,
            )
        )


@dataclass(slots=True)
class Answer:
    """What a handler returns when it succeeds.

    body: the reply, or a whole message as bytes; None where the command has no reply. A function is
    called at once where anybody is to see its Body: it may cost more than the command itself.
    group: the multicast group that is told of the change, with the same message; the stream door
    then replies only to NLM_F_ECHO, as the kernel's genl_notify() does.
    """

    body: Body | bytes | Callable[[], Body] | None = None
    group: int | None = None
