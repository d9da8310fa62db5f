"""The library for LD_PRELOAD: where it is, what it shows, and what it leaves alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ovsdp_cuse import shim
from tests.shim.programs import FLAGS, ROOT, SHIM

INTERCEPTED = {
    *("socket", "bind", "connect", "listen", "accept", "accept4", "shutdown"),
    *("getsockname", "getpeername", "setsockopt", "getsockopt"),
    *("send", "sendto", "sendmsg", "sendmmsg", "write", "writev"),
    *("recv", "recvfrom", "recvmsg", "recvmmsg", "read", "readv"),
    *("__recv_chk", "__recvfrom_chk", "__read_chk"),
    *("epoll_ctl", "close", "fclose", "close_range", "closefrom", "dup", "dup2", "dup3"),
    *("fcntl", "fcntl64", "ioctl"),
}


def symbols(*options: str) -> set[str]:
    """Names in the library's dynamic symbol table, as nm(1) tells them."""
    told = subprocess.run(
        ["nm", "-D", *options, shim.library()], capture_output=True, text=True, check=True
    ).stdout
    return {line.split()[-1].partition("@")[0] for line in told.splitlines()}


def test_it_shows_what_it_intercepts_and_nothing_else() -> None:
    assert symbols("--defined-only") == INTERCEPTED


def test_it_allocates_nothing() -> None:
    """But by what opens a directory, when it is loaded: malloc() is not for signal handlers."""
    needed = symbols("--undefined-only")
    assert "dlsym" in needed
    assert not needed & {"malloc", "calloc", "realloc", "free", "strdup", "asprintf"}


def test_a_missing_library_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shim, "_LIBRARY", tmp_path / "libovsdp_shim.so")
    with pytest.raises(shim.LibraryError, match="make setup"):
        shim.library()


@pytest.mark.parametrize("optimisation", ["-O0", "-O2", "-O3"])
def test_its_sources_have_no_warnings(optimisation: str, tmp_path: Path) -> None:
    sources = sorted(SHIM.glob("*.c"))
    include = f"-I{ROOT / 'ovsdp_cuse' / 'include'}"
    command: list[str | Path] = ["gcc", *FLAGS, optimisation, "-fsyntax-only", include, *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_names_all_that_is_intercepted() -> None:
    page = (ROOT / "docs" / "shim.md").read_text()
    named = set(re.findall(r"`(\w+)`", page))
    assert {name for name in INTERCEPTED if not name.startswith("__")} <= named


def preloaded(code: str, device: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program with the library."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(shim.library()),
        shim.VARIABLE: device,
        **options,
    }
    return subprocess.run(
        [sys.executable, "-I", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


OTHER_SOCKETS = """
import socket
a, b = socket.socketpair()
a.sendall(b"x" * 1000)
assert b.recv(10) == b"x" * 10
assert b.recv(4096, socket.MSG_PEEK) == b"x" * 990
route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
route.bind((0, 0))
assert route.getsockname()[0]
with open("/proc/self/status") as file:
    assert file.read()
"""


def test_other_files_and_sockets_are_left_alone() -> None:
    """Though there is no device, and none is asked for."""
    done = preloaded(OTHER_SOCKETS, "/nowhere")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


OPEN_TWICE = """
import socket
for _ in range(2):
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    except OSError as error:
        print(error.errno)
"""


@pytest.mark.parametrize(
    ("device", "errno", "words"),
    [
        ("/nowhere/at/all", 2, "No such file or directory; is the daemon running"),
        ("/dev/null", 19, "No such device; is the daemon running"),
        ("/etc/passwd", 19, "No such device; is the daemon running"),
        ("/proc/self/mem/x", 20, "Not a directory; is the daemon running"),
    ],
)
def test_a_missing_device_is_told_once(device: str, errno: int, words: str) -> None:
    done = preloaded(OPEN_TWICE, device)
    assert done.stdout == f"{errno}\n{errno}\n"
    assert re.fullmatch(rf"ovsdp-cuse: {device}: cannot be opened: {words}.*\n", done.stderr)
