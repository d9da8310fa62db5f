"""Debian's kernel and its modules, unpacked in the user's cache and never installed.

`linux-image-amd64` is an empty package that depends on the current kernel's; that one is downloaded
by apt (which checks its signature) and unpacked. Once there is a kernel in the cache, it is used,
and nothing asks the network again until `refresh` says so.
"""

import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

METAPACKAGE = "linux-image-amd64"
_CONCRETE = re.compile(r"^Depends:.*?\b(linux-image-\d\S+)", re.MULTILINE)
_XZ_MAGIC = b"\xfd7zXZ\0"
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # depmod is there, also for users


class KernelError(Exception):
    """There is no kernel to boot, and the text says what to do about it."""


@dataclass(frozen=True)
class Kernel:
    """One unpacked kernel: `root` holds vmlinux and lib/modules/`release`."""

    root: Path
    release: str

    @property
    def image(self) -> Path:
        """The uncompressed kernel (ELF with a PVH entry, which QEMU starts without a BIOS)."""
        return self.root / "vmlinux"

    @property
    def modules(self) -> Path:
        """The directory that `modprobe` knows as /lib/modules/`release`."""
        return self.root / "lib/modules" / self.release


def cache_directory() -> Path:
    """Where downloads are kept, shared by all clones of the project."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ovsdp-cuse"


def cached() -> Kernel | None:
    """The newest kernel that is in the cache already."""
    roots = (cache_directory() / "kernels").glob("*/vmlinux")
    newest = max(roots, key=lambda image: image.stat().st_mtime, default=None)
    return Kernel(newest.parent, newest.parent.name) if newest else None


def ensure(*, refresh: bool = False) -> Kernel:
    """The kernel to boot, fetched now if there is none (or a newer one is asked for).

    Raises KernelError.
    """
    kernel = cached()
    if kernel and not refresh:
        return kernel
    package = _concrete_package()
    kernels = cache_directory() / "kernels"
    kernels.mkdir(parents=True, exist_ok=True)
    # Next to its destination, so that one rename makes it visible: whole, or not at all.
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=kernels) as scratch:
        _run(["apt-get", "download", "-q", package], cwd=scratch)
        (archive,) = Path(scratch).glob("*.deb")
        unpacked = Path(scratch) / "root"
        _run(["dpkg-deb", "-x", str(archive), str(unpacked)])
        (modules,) = (unpacked / "lib/modules").iterdir()
        _run(["depmod", "-b", str(unpacked), modules.name])
        compressed = unpacked / "boot" / f"vmlinuz-{modules.name}"
        (unpacked / "vmlinux").write_bytes(_decompress(compressed.read_bytes()))
        target = kernels / modules.name
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)
    return Kernel(target, target.name)


def _concrete_package() -> str:
    show = _run(["apt-cache", "show", "--no-all-versions", METAPACKAGE])
    found = _CONCRETE.search(show)
    if not found:
        raise KernelError(f"apt does not say which kernel {METAPACKAGE} is; run: apt-get update")
    return found.group(1)


def _decompress(bzimage: bytes) -> bytes:
    """The ELF file inside a bzImage: half of an emulated boot would go to unpacking it."""
    start = bzimage.find(_XZ_MAGIC)
    if start < 0:
        raise KernelError("the kernel image is not xz-compressed, as Debian 12's are")
    return lzma.LZMADecompressor().decompress(bzimage[start:])


def _run(command: Sequence[str], cwd: str | None = None) -> str:
    program = shutil.which(command[0], path=_PATH)
    if not program:
        raise KernelError(f"{command[0]} is not installed; run: make setup")
    done = subprocess.run(
        [program, *command[1:]], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise KernelError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def main(arguments: Sequence[str]) -> int:
    """`--cached`: fail where a kernel would have to be fetched; `--refresh`: fetch it anyway."""
    try:
        kernel = cached() if "--cached" in arguments else ensure(refresh="--refresh" in arguments)
    except KernelError as error:
        print(f"kernel for the virtual machine: {error}", file=sys.stderr)
        return 1
    if not kernel:
        return 1
    print(f"kernel for the virtual machine: {kernel.release} in {kernel.root}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
