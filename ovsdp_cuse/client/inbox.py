"""Messages that answer no request of ours: notifications and upcalls, until they are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from errno import ENOPROTOOPT

from ovsdp_cuse.client.conversation import Conversation, split
from ovsdp_cuse.client.families import SCHEMAS
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.family import FamilySchema, Message
from ovsdp_cuse.wire.netlink import NETLINK_HEADER

Event = tuple[FamilySchema, Message]


class Inbox:
    """What came on one handle beside the answers; families: schemas beside this package's."""

    def __init__(self, conversation: Conversation, families: Iterable[FamilySchema]) -> None:
        self._conversation = conversation
        self._schemas = {schema.id: schema for schema in (*SCHEMAS, *families)}
        self._messages: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, messages: Iterable[bytes]) -> None:
        """Keep messages."""
        self._messages.extend(messages)

    def put_datagram(self, datagram: bytes) -> None:
        """Keep the messages of a datagram; EBADMSG where it is no sequence of messages."""
        self._messages.extend(split(datagram))

    def take(self) -> bytes | None:
        """The oldest message, whatever it is; None where there is none."""
        return self._messages.popleft() if self._messages else None

    def take_event(self) -> Event | None:
        """The oldest event, decoded; what is older and no event is left from an exchange, and goes.

        Raises ENOPROTOOPT for an event of a family whose schema is not known.
        """
        while (message := self.take()) is not None:
            if self._conversation.is_event(message):
                return self._decode(message)
        return None

    def _decode(self, message: bytes) -> Event:
        family_id = NETLINK_HEADER.parse(message).type
        schema = self._schemas.get(family_id)
        if schema is None:
            raise DatapathError(
                ENOPROTOOPT, f"an event of family {family_id:#x}: give its schema to Device()"
            )
        return schema, schema.parse(message)
