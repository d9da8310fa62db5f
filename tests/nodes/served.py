"""The node that the environment asks for."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ovsdp_cuse.testing.process import unique_name
from tests.nodes.daemon import Daemon
from tests.nodes.fake import FakeNode
from tests.nodes.interface import Node

VARIABLE = "OVSDP_TEST_NODE"


def wanted_kind() -> str:
    """fake, fuse or cuse."""
    kind = os.environ.get(VARIABLE, "fake")
    assert kind in ("fake", "fuse", "cuse"), f"{VARIABLE}={kind}: there are fuse and cuse"
    return kind


def new_path(kind: str, directory: Path) -> Path:
    """Where a real node of this kind can be made; loads the kernel's module for CUSE."""
    if kind == "fuse":
        return directory / unique_name()
    if not Path("/dev/cuse").exists():
        subprocess.run(["modprobe", "cuse"], check=True)
    return Path("/dev") / unique_name()


@contextmanager
def serve_test_node() -> Iterator[Node]:
    """Serve the node that OVSDP_TEST_NODE names."""
    kind = wanted_kind()
    if kind == "fake":
        with FakeNode() as fake:
            yield fake
        return
    with (
        tempfile.TemporaryDirectory(prefix="ovsdp-test-") as directory,
        Daemon(kind, new_path(kind, Path(directory))) as daemon,
    ):
        yield daemon.node
        status = daemon.stop()
        assert status == 0, daemon.log
        assert "Traceback" not in daemon.log, daemon.log
