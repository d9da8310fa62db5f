"""The choice of a node, and how its set-up fails, as far as that takes no device."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovsdp_cuse import daemon
from ovsdp_cuse.configuration import Configuration
from ovsdp_cuse.device.channel import Channel
from ovsdp_cuse.device.cuse import CuseNode
from ovsdp_cuse.device.fuse import FuseNode
from ovsdp_cuse.device.node import NodeError, Permissions, cuse_problem, fuse_problem, refusals_of

REAL_OPEN = os.open


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The errno with which devices open; an empty list lets them."""
    refusal: list[int] = []

    def fake_open(path: str | Path, flags: int, *mode: int, **options: int) -> int:
        if str(path) in ("/dev/cuse", "/dev/fuse"):
            if refusal:
                raise OSError(refusal[0], os.strerror(refusal[0]), str(path))
            path = "/dev/null"
        return REAL_OPEN(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", fake_open)
    yield refusal


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.ENODEV, "not its module: 'modprobe cuse'"),
        (errno.ENXIO, "not its module: 'modprobe cuse'"),
        (errno.EPERM, "a device rule"),
        (errno.EACCES, "takes root"),
        (errno.ENOENT, "there is no /dev/cuse"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_auto_falls_back_where_the_device_does_not_open(
    refuse: list[int], number: int, why: str
) -> None:
    refuse.append(number)
    node, problem = daemon.choose_node(Configuration())
    assert isinstance(node, FuseNode)
    assert problem is not None
    assert why in problem
    assert "\n" not in problem


def test_auto_is_cuse_where_the_device_opens(refuse: list[int]) -> None:
    node, problem = daemon.choose_node(Configuration())
    assert isinstance(node, CuseNode)
    assert problem is None
    assert cuse_problem() is fuse_problem() is None


def test_modules_that_a_sandbox_hides_are_no_problem(
    refuse: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden(path: Path) -> os.stat_result:
        raise PermissionError(errno.EACCES, "hidden", str(path))

    monkeypatch.setattr(Path, "stat", hidden)
    assert cuse_problem() is None
    refuse.append(errno.ENOENT)
    assert "'modprobe cuse' makes it" in (cuse_problem() or "")


def test_a_fuse_device_that_does_not_open_is_told(refuse: list[int]) -> None:
    refuse.append(errno.EPERM)
    assert "--device /dev/fuse" in (fuse_problem() or "")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space", "/x/n"), "/x/n cannot be made: No space; choose"),
        (OSError(errno.EROFS, "Read-only", "/x"), "/x/n cannot be made: Read-only (/x); choose"),
        (OSError("the program's own words"), "/x/n cannot be made: the program's own words; "),
    ],
)
def test_what_the_kernel_refuses_is_a_node_error(error: OSError, text: str) -> None:
    node = FuseNode(Path("/x/n"), Permissions())
    with pytest.raises(NodeError) as caught, refusals_of(node):
        raise error
    assert str(caught.value).startswith(text)
    assert str(caught.value).endswith("choose another --path")


def test_the_first_of_several_tellings_of_one_end_is_told() -> None:
    first = NodeError("first")
    group = BaseExceptionGroup("", [ExceptionGroup("", [first]), NodeError("second")])
    assert daemon._single(group) is first


def test_an_error_beside_a_node_error_is_not_lost() -> None:
    group = BaseExceptionGroup("", [NodeError("first"), ValueError("a bug")])
    assert daemon._single(group) is group


def test_a_channel_knows_whether_it_is_alive() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours.detach())
    assert channel.is_alive()
    theirs.send(b"a request")
    assert channel.is_alive()
    theirs.close()
    assert not channel.is_alive()
    channel.close()


def test_a_reply_that_does_not_fit_is_an_error_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours.detach())
    with theirs:
        for _ in range(100):
            channel.send(bytes(65536))
    channel.close()
    printed = capsys.readouterr()
    assert "a reply could not be written" in printed.out + printed.err
