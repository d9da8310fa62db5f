"""Requests and what answers them, as bytes."""

from __future__ import annotations

from errno import EBADMSG, EEXIST, ENODEV

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsdp_cuse.client.conversation import Conversation, Exchange, is_dump, split
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.wire.attributes import offset_of
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.genetlink import NLCTRL, CtrlCmd
from ovsdp_cuse.wire.netlink import NETLINK_HEADER, Flag, build_done, build_error
from tests.client.families import SCHEMA, BigAttr, BigCmd

PID = 7


@pytest.fixture
def conversation() -> Conversation:
    """That of the handle 7."""
    return Conversation(PID)


def reply(sequence: int = 1, pid: int = PID, flags: int = 0, name: str = "dp0") -> bytes:
    """A datapath."""
    return DATAPATH.build(
        Message(DATAPATH.id, DpCmd.GET, {int(DpAttr.NAME): name}, 3, flags, sequence, pid, 2)
    )


def names(exchange: Exchange) -> list[str]:
    """The names of the datapaths that were replied."""
    return [message.attributes[DpAttr.NAME] for message in exchange.messages()]


def finished(exchange: Exchange) -> bool:
    """A function, for mypy takes an attribute to stay what it was."""
    return exchange.finished


def test_a_request_is_a_message_of_its_family(conversation: Conversation) -> None:
    exchange = conversation.begin(DATAPATH, DpCmd.GET, {DpAttr.NAME: "dp0"}, 5, Flag.ECHO)
    assert DATAPATH.parse(exchange.request) == Message(
        DATAPATH.id, DpCmd.GET, {DpAttr.NAME: "dp0"}, 5, Flag.REQUEST | Flag.ECHO, 1, 0, 2
    )
    assert exchange.fits_ioctl
    assert finished(exchange) is False


def test_requests_are_numbered_from_1_and_never_0(conversation: Conversation) -> None:
    def next_number() -> int:
        return NETLINK_HEADER.parse(conversation.begin(DATAPATH, DpCmd.GET).request).sequence

    assert [next_number(), next_number()] == [1, 2]
    conversation._sequence = 2**32 - 2
    assert [next_number(), next_number()] == [2**32 - 1, 1]


def test_a_request_has_the_24_bytes_that_an_ioctl_needs(conversation: Conversation) -> None:
    request = conversation.begin(NLCTRL, CtrlCmd.GETFAMILY, flags=Flag.DUMP).request
    assert len(request) == NETLINK_HEADER.parse(request).length == 24
    assert NLCTRL.parse(request).attributes == {}


@pytest.mark.parametrize(
    ("flags", "added"), [(0, Flag.ACK | Flag.ECHO), (Flag.DUMP, Flag(0)), (Flag.ROOT, Flag(12))]
)
def test_what_takes_the_stream_door_asks_to_be_answered(
    conversation: Conversation, flags: int, added: int
) -> None:
    big = {BigAttr.PAYLOAD: bytes(16384)}
    exchange = conversation.begin(SCHEMA, BigCmd.ECHO, big, flags=flags)
    assert not exchange.fits_ioctl
    assert SCHEMA.parse(exchange.request).flags == Flag.REQUEST | flags | added
    assert SCHEMA.parse(exchange.request).attributes == big


def test_replies_are_kept_and_others_are_handed_back(conversation: Conversation) -> None:
    exchange = conversation.begin(DATAPATH, DpCmd.GET)
    others = [reply(sequence=2, name="later"), reply(pid=8, name="another's")]
    datagram = reply(name="a") + others[0] + reply(name="bb") + others[1]
    assert exchange.receive(datagram) == others
    assert names(exchange) == ["a", "bb"]
    assert finished(exchange) is False


def test_an_acknowledgement_ends_an_exchange(conversation: Conversation) -> None:
    exchange = conversation.begin(DATAPATH, DpCmd.GET)
    exchange.receive(reply())
    exchange.receive(build_error(exchange.request, 0, capped=True, portid=PID))
    assert finished(exchange)
    assert names(exchange) == ["dp0"]


@pytest.mark.parametrize("capped", [True, False])
def test_an_error_names_the_attribute(conversation: Conversation, capped: bool) -> None:
    attributes = {BigAttr.PAYLOAD: b"abc", BigAttr.NEST: {BigAttr.COUNT: 5}}
    exchange = conversation.begin(SCHEMA, BigCmd.ECHO, attributes)
    path = (BigAttr.NEST, BigAttr.COUNT)
    offset = offset_of(exchange.request, SCHEMA.attributes_start, path)
    exchange.receive(
        build_error(
            exchange.request, EEXIST, capped=capped, portid=PID, message="taken", offset=offset
        )
    )
    assert finished(exchange)
    with pytest.raises(DatapathError) as caught:
        exchange.messages()
    assert (caught.value.errno, caught.value.message, caught.value.path) == (EEXIST, "taken", path)


def test_an_error_may_say_nothing_more(conversation: Conversation) -> None:
    exchange = conversation.begin(DATAPATH, DpCmd.GET)
    exchange.receive(build_error(exchange.request, ENODEV, capped=True, portid=PID))
    with pytest.raises(DatapathError, match="ENODEV: No such device"):
        exchange.messages()


def test_a_dump_ends_with_done_and_may_fail_there(conversation: Conversation) -> None:
    for errno in (0, ENODEV):
        exchange = conversation.begin(DATAPATH, DpCmd.GET, flags=Flag.DUMP)
        header = NETLINK_HEADER.parse(exchange.request)
        exchange.receive(reply(header.sequence) + reply(header.sequence))
        assert finished(exchange) is False
        exchange.receive(build_done(header, errno, PID))
        assert finished(exchange)
        if errno:
            with pytest.raises(DatapathError, match="ENODEV"):
                exchange.messages()
        else:
            assert names(exchange) == ["dp0", "dp0"]


def test_what_transact_returns_is_the_reply(conversation: Conversation) -> None:
    for returned, count in ((reply(), 1), (b"", 0)):
        exchange = conversation.begin(DATAPATH, DpCmd.GET)
        exchange._sequence = 1
        exchange.receive_reply(returned)
        assert finished(exchange)
        assert len(list(exchange.messages())) == count


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_received_or_refused(data: bytes, by_ioctl: bool) -> None:
    exchange = Conversation(PID).begin(DATAPATH, DpCmd.GET)
    try:
        if by_ioctl:
            exchange.receive_reply(data)
        else:
            exchange.receive(data)
        list(exchange.messages())
    except DatapathError:
        pass


@given(st.integers(0, 40), st.binary(max_size=60))
def test_any_end_of_an_exchange_is_received_or_refused(kind: int, tail: bytes) -> None:
    exchange = Conversation(PID).begin(DATAPATH, DpCmd.GET)
    try:
        exchange.receive(NETLINK_HEADER.pack(16 + len(tail), kind % 5, 0x300, 1, PID) + tail)
        list(exchange.messages())
    except DatapathError:
        pass


@pytest.mark.parametrize("claimed", [0, 15, 25])
def test_a_message_that_does_not_fit_is_refused(claimed: int) -> None:
    with pytest.raises(DatapathError, match=f"claims {claimed} bytes, 24 are there") as caught:
        list(split(NETLINK_HEADER.pack(claimed, 0x12, 0, 0, 0) + bytes(8)))
    assert caught.value.errno == EBADMSG


def test_events_are_told_from_what_is_left_over(conversation: Conversation) -> None:
    request = conversation.begin(DATAPATH, DpCmd.GET).request
    assert conversation.is_event(reply(pid=8))
    assert conversation.is_event(reply(pid=0, flags=Flag.MULTI))
    assert conversation.is_event(reply())  # a change that this handle made
    assert not conversation.is_event(reply(flags=Flag.MULTI))
    assert not conversation.is_event(build_error(request, 0, capped=True, portid=PID))
    assert not conversation.is_event(build_done(NETLINK_HEADER.parse(request), 0, PID))


def test_a_dump_takes_both_flags() -> None:
    assert is_dump(Flag.DUMP | Flag.ACK)
    assert not is_dump(Flag.ROOT)
    assert not is_dump(Flag.MATCH | Flag.REQUEST)
