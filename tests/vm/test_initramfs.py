"""The archive's format, as another program reads it."""

import shutil
import subprocess
from pathlib import Path

from .initramfs import Archive


def test_busybox_unpacks_what_was_packed(tmp_path: Path) -> None:
    archive = Archive()
    archive.directory("bin")
    archive.file("bin/odd name", b"content" * 3, mode=0o755)
    archive.symlink("bin/link", "odd name")
    archive.file("empty", b"")
    busybox = shutil.which("busybox")
    assert busybox
    subprocess.run([busybox, "cpio", "-i"], input=archive.finish(), cwd=tmp_path, check=True)

    assert (tmp_path / "bin/link").read_bytes() == b"content" * 3
    assert (tmp_path / "bin/odd name").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "bin/link").readlink() == Path("odd name")
    assert (tmp_path / "empty").read_bytes() == b""
