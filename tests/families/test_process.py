"""What is known of a client's process: its number, whichever thread tells, and its command."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

from ovsdp_cuse.families.process import UNKNOWN, command_of, process_of


def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_a_thread_is_of_its_process() -> None:
    told: list[int] = []

    def tell() -> None:
        thread = threading.get_native_id()
        told.extend((thread, process_of(thread)))

    thread = threading.Thread(target=tell)
    thread.start()
    thread.join()
    number, process = told
    assert number != process == os.getpid()
    assert process_of(os.getpid()) == os.getpid()


def test_who_is_gone_is_unknown() -> None:
    number = gone()
    assert process_of(number) == number
    assert command_of(number) == UNKNOWN


def test_a_command() -> None:
    assert command_of(os.getpid()) == Path("/proc/self/comm").read_text().rstrip("\n")
