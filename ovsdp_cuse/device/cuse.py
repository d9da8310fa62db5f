"""The CUSE node: a real character device, registered through /dev/cuse.

Opening /dev/cuse begins a device: the kernel sends CUSE_INIT, the answer names the device, and the
kernel makes it (fs/fuse/cuse.c). If it refuses (the name or number is taken) it ends the channel.
Closing the channel takes the device away. Restricted ioctls are chosen by leaving
CUSE_UNRESTRICTED_IOCTL out of the answer.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import structlog
import trio

from ovsdp_cuse.device.channel import Channel
from ovsdp_cuse.device.connection import Connection
from ovsdp_cuse.device.node import NodeError, Permissions, cuse_problem

log = structlog.get_logger(__name__)

NODE_TIMEOUT_S = 30
"""How long the kernel may take to register the device, and udev to make its node."""
UDEV_CONTROL = Path("/run/udev/control")
LIVING_DEVICES = Path("/sys/dev/char")
"""An entry MAJOR:MINOR for each character device that a driver has registered."""
DYNAMIC_MAJORS = (range(234, 255), range(384, 512))
"""The major numbers that are given out by need, as to CUSE devices (linux/fs.h)."""


def _running_udev() -> str | None:
    """The udevadm to ask, where udev runs."""
    return shutil.which("udevadm") if UDEV_CONTROL.exists() else None


def _is_device(status: os.stat_result, number: int | None) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == number


class CuseNode:
    """/dev/NAME as a character device."""

    kind = "cuse"
    place_option = "--name"
    wait_limit_s: float | None = None  # CUSE has no request timeouts

    def __init__(self, name: str, permissions: Permissions, directory: Path = Path("/dev")) -> None:
        self.name = name
        self.path = directory / name
        self._permissions = permissions
        self._class_entry = Path("/sys/class/cuse") / name
        self._ready = trio.Event()
        self.connection = Connection(name, on_ready=self._ready.set)
        self._channel: Channel | None = None
        self._made_number: int | None = None

    async def attach(self) -> Channel:
        """Open /dev/cuse; NodeError where it is missing or the path is taken."""
        problem = cuse_problem()
        if problem is not None:
            raise NodeError(problem)
        if self._class_entry.exists():
            raise NodeError(
                f"another daemon serves {self.path} (CUSE device {self.name!r} is registered): "
                "stop it, or choose another --name"
            )
        self._clear_path()
        self._channel = Channel(os.open("/dev/cuse", os.O_RDWR | os.O_CLOEXEC))
        return self._channel

    async def publish(self) -> None:
        """Wait for the device, make its node where nothing else does, set mode and owner."""
        with trio.move_on_after(NODE_TIMEOUT_S):
            await self._ready.wait()
            await self._device_registered()
            await self._settle_udev()
            self._ensure_node()
            os.chown(self.path, self._permissions.uid, self._permissions.gid)
            self.path.chmod(self._permissions.mode)
            return
        raise NodeError(
            f"the kernel has not made the device {self.name!r} within {NODE_TIMEOUT_S} s"
        )

    async def withdraw(self) -> None:
        """Remove the node if we made it, and close the channel, which removes the device."""
        try:
            # The number is ours as long as the channel is open.
            status = self._status()
            if status is not None and _is_device(status, self._made_number):
                self.path.unlink(missing_ok=True)
        finally:
            if self._channel is not None:
                self._channel.close()

    async def _device_registered(self) -> None:
        """Return when the device of our name is there and ours.

        The kernel either registers it or ends our channel (fs/fuse/cuse.c): then an entry of this
        name is another daemon's, and who serves the channel tells that it has ended.
        """
        entry = self._class_entry / "dev"
        # sysfs tells nobody when an entry appears; it takes a few milliseconds.
        while not (self._is_alive() and entry.exists()):  # noqa: ASYNC110 - see above
            await trio.sleep(0.005)

    def _is_alive(self) -> bool:
        return self._channel is not None and self._channel.is_alive()

    def _status(self) -> os.stat_result | None:
        """Of what is at our path; None where there is nothing."""
        try:
            return self.path.lstat()
        except FileNotFoundError:
            return None

    def _clear_path(self) -> None:
        """Remove the node of a dead daemon; NodeError where something else is at our path."""
        status = self._status()
        if status is None:
            return
        if not stat.S_ISCHR(status.st_mode):
            raise NodeError(
                f"{self.path} exists and is no character device: remove it, or choose another "
                "--name"
            )
        major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
        # A fixed number may be of a device whose driver is not loaded now.
        dynamic = any(major in majors for majors in DYNAMIC_MAJORS)
        if not dynamic or (LIVING_DEVICES / f"{major}:{minor}").exists():
            raise NodeError(
                f"{self.path} is another device ({major}:{minor}): choose another --name"
            )
        log.info("removing the node of a dead daemon", path=str(self.path))
        self.path.unlink(missing_ok=True)

    def _ensure_node(self) -> None:
        """Make the node unless devtmpfs or udev has: in a container nobody else does."""
        major, minor = (self._class_entry / "dev").read_text().strip().split(":")
        number, status = os.makedev(int(major), int(minor)), self._status()
        if status is None:
            os.mknod(self.path, stat.S_IFCHR | 0o600, number)
            self._made_number = number
        elif not _is_device(status, number):
            raise NodeError(f"{self.path} has become something else: choose another --name")

    @staticmethod
    async def _settle_udev() -> None:
        """Let udev finish with the node first, so that it does not undo what we set."""
        udevadm = _running_udev()
        if udevadm is None:
            return
        with trio.move_on_after(NODE_TIMEOUT_S):
            await trio.run_process(
                [udevadm, "settle", "--timeout=10"], check=False, capture_stderr=True
            )
