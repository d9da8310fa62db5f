"""What a service manager gives a process at its start, as sd_listen_fds(3) says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ovsdp_cuse.service import take_descriptors

TAKING = """
import os, sys
from ovsdp_cuse.service import take_descriptors
os.environ["LISTEN_PID"] = str(os.getpid())
print(take_descriptors(), os.get_inheritable(3), "LISTEN_FDS" in os.environ, take_descriptors())
"""


def test_they_have_their_names_and_nobody_gets_them_again() -> None:
    """In a process of its own, where the first two beside the three standard ones are ours."""
    script = 'exec 3</dev/null 4</dev/null; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-c", TAKING],
        env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "one:two"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "{'one': 3, 'two': 4} False False {}\n"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "-1", "LISTEN_FDNAMES": "x"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0", "LISTEN_FDNAMES": ""},
        {"LISTEN_FDS": "1"},
    ],
)
def test_what_is_not_for_this_process_is_not_taken(given: dict[str, str]) -> None:
    environment = {"PATH": "/bin", **given}
    assert take_descriptors(environment) == {}
    assert environment == {"PATH": "/bin"}
