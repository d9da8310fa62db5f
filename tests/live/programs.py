"""Commands of `ovsdp-cuse` that go on until they are ended."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.nodes.interface import DEADLINE_S


def next_line(stream: IO[str]) -> str:
    """The next line of a pipe, or queue.Empty where none is printed in time.

    select(2) knows nothing of a line that was read with the one before it, hence the thread.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    return lines.get(timeout=DEADLINE_S)


@contextmanager
def started(device_path: Path, says: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that has said, on standard error, that it is at work; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "ovsdp_cuse", *arguments, "--device", str(device_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            assert next_line(process.stderr).startswith(says)
            yield process
        finally:
            process.kill()
