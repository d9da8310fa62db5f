"""Programs that use the datapath device: a blocking client here, one for trio in `client.trio`.

Families, their commands and attributes are those of `ovsdp_cuse.wire`.
"""

from ovsdp_cuse.client.conversation import Conversation, Exchange
from ovsdp_cuse.client.device import DEFAULT_PATH, Device, Events
from ovsdp_cuse.client.families import SCHEMAS, FamilyInfo
from ovsdp_cuse.client.handle import EventsLost, Handle
from ovsdp_cuse.client.inbox import Event
from ovsdp_cuse.errors import DatapathError

__all__ = [
    "DEFAULT_PATH",
    "SCHEMAS",
    "Conversation",
    "DatapathError",
    "Device",
    "Event",
    "Events",
    "EventsLost",
    "Exchange",
    "FamilyInfo",
    "Handle",
]
