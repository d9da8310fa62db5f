"""Dumps: whole messages, as many as fit, NLMSG_DONE in a part of its own."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EIO, EMSGSIZE, ENODEV

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.families.datapath import FAMILY
from ovsdp_cuse.families.dump import Dump
from ovsdp_cuse.families.request import Body, Request
from ovsdp_cuse.wire.datapath import DATAPATH, DpAttr, DpCmd
from ovsdp_cuse.wire.family import Message
from ovsdp_cuse.wire.netlink import NLM_F_MULTI, OVS_MESSAGE_HEADER, ControlType, parse_error
from tests.families.doors import DUMP, Daemon, build, split

MESSAGE_SIZE = 24 + 8
"""Bytes of a body of `name`, with names of up to three characters."""


def body(name: str) -> Body:
    return Body(DpCmd.GET, {int(DpAttr.NAME): name}, 5)


def dump_of(bodies: Iterator[Body]) -> Dump:
    """A dump by PID 1, sequence 7."""
    daemon = Daemon()
    session = daemon.open().session
    data = build(DATAPATH, DpCmd.GET, flags=DUMP)
    command = next(command for command in FAMILY.commands if command.number == DpCmd.GET)
    header = OVS_MESSAGE_HEADER.parse(data)
    return Dump(Request(daemon.context, session, FAMILY, command, header, 0, {}, data), bodies)


def read_all(dump: Dump, limit: int) -> list[bytes]:
    """Every part; the last one sets `done`."""
    parts = []
    while not dump.done:
        parts.append(dump.next_part(limit))
    return parts


@given(count=st.integers(0, 20), limit=st.integers(MESSAGE_SIZE, 200))
def test_parts(count: int, limit: int) -> None:
    dump = dump_of(body(str(number)) for number in range(count))
    *parts, last = read_all(dump, limit)
    assert parse_error(last)[1:] == (0, None, None)
    header = parse_error(last).header
    assert header == (20, ControlType.DONE, NLM_F_MULTI, 7, 1)
    fits = limit // MESSAGE_SIZE
    assert [len(part) // MESSAGE_SIZE for part in parts[:-1]] == [fits] * (len(parts) - 1)
    messages = [DATAPATH.parse(message) for part in parts for message in split(part)]
    assert messages == [
        Message(0x12, DpCmd.GET, {DpAttr.NAME: str(number)}, 5, NLM_F_MULTI, 7, 1, 2)
        for number in range(count)
    ]


def test_what_does_not_fit_is_not_lost() -> None:
    dump = dump_of(map(body, ["one", "two"]))
    for limit in (0, MESSAGE_SIZE - 1):
        with pytest.raises(DatapathError) as caught:
            dump.next_part(limit)
        assert caught.value.errno == EMSGSIZE
    assert len(dump.next_part(2 * MESSAGE_SIZE - 1)) == MESSAGE_SIZE
    assert len(dump.next_part(MESSAGE_SIZE)) == MESSAGE_SIZE
    with pytest.raises(DatapathError):
        dump.next_part(19)
    assert not dump.done
    assert len(dump.next_part(20)) == 20
    assert dump.done


def test_the_size_of_the_next_message() -> None:
    """Of each in turn, of NLMSG_DONE at last; asking takes nothing."""
    dump = dump_of(map(body, ["one", "a longer name"]))
    for expected in (MESSAGE_SIZE, 44, 20):
        assert [dump.next_size(), dump.next_size()] == [expected, expected]
        with pytest.raises(DatapathError):
            dump.next_part(expected - 1)
        assert len(dump.next_part(expected)) == expected
    assert dump.done


def test_the_size_of_an_error() -> None:
    def bodies() -> Iterator[Body]:
        yield body("one")
        raise DatapathError(ENODEV, "it is gone")

    dump = dump_of(bodies())
    dump.next_part(MESSAGE_SIZE)
    size = dump.next_size()
    assert size > 20, "there is a text"
    assert len(dump.next_part(size)) == size
    assert dump.done


def test_an_error_ends_it() -> None:
    """After what was found before it, as NLMSG_DONE, not as NLMSG_ERROR (captures, surprise 5)."""

    def bodies() -> Iterator[Body]:
        yield body("one")
        raise DatapathError(ENODEV, "it is gone")

    first, last = read_all(dump_of(bodies()), 4096)
    assert DATAPATH.parse(first).attributes == {DpAttr.NAME: "one"}
    done = parse_error(last)
    assert (done.header.type, done.errno, done.message) == (ControlType.DONE, ENODEV, "it is gone")


def test_an_error_that_ends_it_has_no_text_where_ext_ack_is_off() -> None:
    """As netlink_dump_done() looks at NETLINK_F_EXT_ACK."""

    def bodies() -> Iterator[Body]:
        yield body("one")
        raise DatapathError(ENODEV, "it is gone")

    dump = dump_of(bodies())
    dump._request.session.ext_ack = False
    _first, last = read_all(dump, 4096)
    done = parse_error(last)
    assert (done.errno, done.message, len(last)) == (ENODEV, None, 20)


@pytest.mark.parametrize("where", ["the handler", "the body"])
def test_a_bug_ends_it_with_eio_and_a_traceback(where: str) -> None:
    def bodies() -> Iterator[Body]:
        yield body("one")
        if where == "the body":
            yield Body(DpCmd.GET, {4711: "no such attribute"})
        raise RuntimeError("a bug")

    with capture_logs() as logs:
        _first, last = read_all(dump_of(bodies()), 4096)
    assert parse_error(last).errno == EIO
    assert [(entry["log_level"], entry["exc_info"]) for entry in logs] == [("error", True)]
