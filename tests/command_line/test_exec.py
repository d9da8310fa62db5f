"""exec: what the program that takes this one's place gets, and what is said where none can."""

from __future__ import annotations

import errno
import grp
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ovsdp_cuse.command_line import exec as command
from ovsdp_cuse.command_line.exec import Failure
from ovsdp_cuse.errors import DatapathError
from ovsdp_cuse.shim import LibraryError
from tests.command_line.conftest import Run
from tests.families.doors import Daemon

Executed = list[tuple[Path, list[str], dict[str, str]]]
Refuse = Callable[[int, str], None]


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What takes the library's place; a program for this machine looks the same to `exec`."""
    copy = tmp_path / "library.so"
    copy.write_bytes(Path(sys.executable).read_bytes())
    monkeypatch.setattr(command, "library", lambda: copy)
    return copy


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Executed]:
    """What would have been executed: file, arguments, environment."""
    calls: Executed = []

    def execve(path: Path, arguments: list[str], environment: dict[str, str]) -> None:
        calls.append((path, arguments, environment))

    before = {number: signal.getsignal(number) for number in command.RESTORED}
    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    yield calls
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Lets no device be opened, for the reason that a number tells."""

    def refuse(number: int, message: str) -> None:
        def handle(path: str, read_only: bool = False) -> Any:
            raise DatapathError(number, message)

        monkeypatch.setattr(command, "Handle", handle)

    return refuse


@pytest.fixture
def device(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a device that answers."""
    from tests.client.handles import DoorHandle

    monkeypatch.setattr(
        command, "Handle", lambda *given, **named: DoorHandle(daemon, *given, **named)
    )
    return os.environ["OVSDP_DEVICE"]


def test_the_program_gets_its_arguments_the_shim_and_the_device(
    shim: Path, device: str, executed: Executed, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT", "as it was")
    run("exec", "--", "sh", "-c", "--device x")
    ((path, arguments, environment),) = executed
    assert path.name == "sh"
    assert arguments == ["sh", "-c", "--device x"]
    assert environment["LD_PRELOAD"] == str(shim)
    assert environment["OVSDP_DEVICE"] == device
    assert environment["KEPT"] == "as it was"


def test_options_behind_the_program_are_the_program_s(
    shim: Path, device: str, executed: Executed, run: Run
) -> None:
    run("exec", "--device", device, "sh", "--device", "x", "--help")
    assert executed[0][1] == ["sh", "--device", "x", "--help"]


def test_the_device_is_found_from_any_directory(
    shim: Path, device: str, executed: Executed, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(device).parent)
    run("exec", "--device", Path(device).name, "sh")
    assert executed[0][2]["OVSDP_DEVICE"] == device


@pytest.mark.parametrize(
    ("given", "kept"),
    [("", []), ("/a.so", ["/a.so"]), ("/a.so b.so:/c.so", ["/a.so", "b.so", "/c.so"])],
)
def test_what_is_preloaded_already_stays(given: str, kept: list[str], shim: Path) -> None:
    environment = command.environment_with(shim, "/dev/x", {"LD_PRELOAD": given})
    assert environment["LD_PRELOAD"].split(":") == [str(shim), *kept]
    again = command.environment_with(shim, "/dev/y", environment)
    assert again == {**environment, "OVSDP_DEVICE": "/dev/y"}


def test_a_pipe_that_nobody_reads_ends_the_program(
    shim: Path, device: str, executed: Executed, run: Run
) -> None:
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    run("exec", "sh")
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("no-such-program",), 127, "no-such-program: no directory of $PATH has a program"),
        (("/no/such/program",), 127, "/no/such/program: no such file"),
        (("/etc/passwd",), 126, "no execute permission"),
        ((), 125, "Missing argument"),
        (("--device",), 125, "requires an argument"),
    ],
)
def test_its_own_exit_statuses_are_those_of_env(
    arguments: tuple[str, ...], status: int, text: str, shim: Path, executed: Executed, run: Run
) -> None:
    assert text in run("exec", *arguments, status=status).stderr
    assert not executed


def test_what_the_kernel_does_not_run_is_126(
    shim: Path, device: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execve(*_arguments: object) -> None:
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))

    monkeypatch.setattr(os, "execve", execve)
    assert "Argument list too long" in run("exec", "sh", status=126).stderr


def test_a_library_that_is_missing_or_cannot_be_named(
    shim: Path, device: str, executed: Executed, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = shim.with_name("my library.so")
    shim.rename(odd)
    monkeypatch.setattr(command, "library", lambda: odd)
    assert "a plain name, such as /opt/ovsdp-cuse" in run("exec", "sh", status=125).stderr
    monkeypatch.setattr(command, "library", lambda: shim)
    with monkeypatch.context() as barred:
        barred.setattr(os, "access", lambda *_arguments: False)
        assert "may not be read by you" in run("exec", "sh", status=125).stderr

    def missing() -> Path:
        raise LibraryError("run make setup")

    monkeypatch.setattr(command, "library", missing)
    assert run("exec", "sh", status=125).stderr == "Error: run make setup\n"
    assert not executed


def test_no_device(shim: Path, executed: Executed, run: Run) -> None:
    error = run("exec", "--device", "/no/device", "sh", status=125).stderr
    assert error.startswith("Error: there is no /no/device, for no daemon serves it: start it with")
    assert "systemctl start ovsdp-cuse" in error
    assert "is no datapath device" in run("exec", "--device", "/dev/null", "sh", status=125).stderr
    assert not executed


@pytest.mark.parametrize(
    ("mode", "who"),
    [
        (0o660, "be in the group daemon "),
        (0o664, "be in the group daemon "),
        (0o600, "only root"),
        (0o640, "only root"),
    ],
)
def test_no_permission(
    mode: int, who: str, shim: Path, refuse: Refuse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(errno.EACCES, "refused")
    status = os.stat_result((mode, 0, 0, 1, 0, grp.getgrnam("daemon").gr_gid, 0, 0, 0, 0))
    real = Path.stat

    def stat(path: Path, **named: bool) -> os.stat_result:
        return status if path.name == "device" else real(path, **named)

    monkeypatch.setattr(Path, "stat", stat)
    error = run("exec", "--device", "/dev/device", "sh", status=125).stderr
    assert f"/dev/device: you may not open it: {who}" in error


def test_a_way_to_the_device_that_is_barred(shim: Path, refuse: Refuse, run: Run) -> None:
    refuse(errno.EACCES, "refused")
    error = run("exec", "--device", "/nowhere/device", "sh", status=125).stderr
    assert "a directory on the way there may not be entered" in error


def test_what_else_the_device_answers_is_said(shim: Path, refuse: Refuse, run: Run) -> None:
    refuse(errno.ENFILE, "too many handles")
    assert run("exec", "sh", status=125).stderr == "Error: too many handles\n"


def test_a_daemon_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, closed = threading.Event(), threading.Event()

    class SilentHandle:
        def __init__(self, path: str) -> None:
            answer.wait()

        def close(self) -> None:
            closed.set()

    monkeypatch.setattr(command, "Handle", SilentHandle)
    with pytest.raises(Failure, match=r"has not answered .*\(systemctl restart ovsdp-cuse\)"):
        command.check_device("/dev/device", limit_s=0.01)
    answer.set()
    assert closed.wait(10)
