"""The first file system of the guest: busybox, the modules that reach the root, `init`.

The format is cpio's "newc" (Linux, Documentation/driver-api/early-userspace/buffer-format.rst): a
header of hexadecimal numbers, the name, the content, each padded to four bytes. It stays
uncompressed, because the guest would unpack it under emulation.
"""

import stat
from pathlib import Path

from .kernel import Kernel

# What leads from the PCI bus to the host's files, an overlay over them, and early random numbers.
MODULES = ("virtio_pci", "virtio_rng", "9pnet_virtio", "9p", "overlay")
APPLETS = ("sh", "insmod", "ip", "ln", "mkdir", "mount", "rm", "switch_root", "touch")


class Archive:
    """A cpio archive in memory."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._inode = 0

    def directory(self, name: str) -> None:
        """Add a directory, mode 0755."""
        self._add(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self._add(name, stat.S_IFREG | mode, content)

    def symlink(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def console(self) -> None:
        """Add /dev/console, which the kernel opens for `init` before anything is mounted."""
        self._add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))

    def finish(self) -> bytes:
        """The archive with its end mark."""
        self._add("TRAILER!!!", 0)
        return bytes(self._content)

    def _add(
        self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device of the file (2), device node (2),
        # length of the name, checksum
        numbers = (
            *(self._inode, mode, 0, 0, 1, 0, len(content), 0, 0),
            *device,
            *(len(encoded), 0),
        )
        self._content += b"070701" + b"".join(b"%08X" % number for number in numbers)
        for part in (encoded, content):
            self._content += part
            self._content += b"\0" * (-len(self._content) % 4)


def module_paths(kernel: Kernel) -> list[Path]:
    """The files of MODULES and of all they depend on, in the order in which to load them."""
    dependencies = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        # modules.dep lists what a module needs, the innermost last.
        dependencies[_module_name(path)] = [*reversed(needs.split()), path]
    ordered = dict.fromkeys(path for name in MODULES for path in dependencies[name])
    return [kernel.modules / path for path in ordered]


def _module_name(path: str) -> str:
    return Path(path).stem.replace("-", "_")


def build(kernel: Kernel, busybox: Path, init: Path, variables: str) -> bytes:
    """The archive: `init` finds shell assignments in /variables, modules in /modules."""
    archive = Archive()
    for name in ("bin", "dev", "proc", "sys", "lower", "upper", "root", "modules"):
        archive.directory(name)
    archive.console()
    archive.file("bin/busybox", busybox.read_bytes(), mode=0o755)
    for applet in APPLETS:
        archive.symlink(f"bin/{applet}", "busybox")
    for position, path in enumerate(module_paths(kernel)):
        archive.file(f"modules/{position:02}-{path.name}", path.read_bytes())
    archive.file("variables", variables.encode())
    archive.file("init", init.read_bytes(), mode=0o755)
    return archive.finish()
