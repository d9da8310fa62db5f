"""What a handle says of a device that cannot be opened."""

from __future__ import annotations

import os
from errno import EACCES, EBADF, ECONNABORTED, ENFILE, ENODEV, ENOTCONN, ENXIO
from pathlib import Path

import pytest

from ovsdp_cuse.client import DatapathError, Device, EventsLost, Handle


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(DatapathError, match=r"^ENOENT: there is no .*/none: start the daemon with"):
        Device(tmp_path / "none")


@pytest.mark.parametrize("path", ["/dev/null", None])
def test_a_path_that_is_no_device(path: str | None, tmp_path: Path) -> None:
    left_over = tmp_path / "device"
    left_over.touch()
    before = descriptors()
    with pytest.raises(DatapathError, match=r"ENOTTY: .* is no datapath device, or nobody serves"):
        Device(path or left_over)
    assert descriptors() == before


@pytest.mark.parametrize(
    ("errno", "says"),
    [
        (EACCES, "be in its group, or open it read-only"),
        (ENFILE, "as many open handles as it may have"),
        (ENOTCONN, "was killed: start the daemon"),
        (ECONNABORTED, "was killed: start the daemon"),
        (ENXIO, "nobody serves /dev/x"),
        (ENODEV, "nobody serves /dev/x"),
    ],
)
def test_what_open_says_is_explained(
    errno: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, flags: int) -> int:
        raise OSError(errno, os.strerror(errno))

    monkeypatch.setattr("ovsdp_cuse.client.handle.os.open", fail)
    with pytest.raises(DatapathError, match=says) as caught:
        Handle("/dev/x")
    assert caught.value.errno == errno


def test_read_only_means_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def fail(path: str, flags: int) -> int:
        seen.append(flags & os.O_ACCMODE)
        raise OSError(EBADF, "")

    monkeypatch.setattr("ovsdp_cuse.client.handle.os.open", fail)
    for read_only in (False, True):
        with pytest.raises(DatapathError):
            Handle("/dev/x", read_only)
    assert seen == [os.O_RDWR, os.O_RDONLY]


def test_lost_events_say_so() -> None:
    assert str(EventsLost()) == "ENOBUFS: events were lost: they came faster than they were read"
