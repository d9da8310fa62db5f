"""Who may read which file: it follows from who may use the device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the device: its permission bits, its owner and its group."""

    mode: int
    uid: int
    gid: int

    @property
    def file_bits(self) -> int:
        """Who may read the device may read a file."""
        return self.mode & 0o444

    @property
    def writers_bits(self) -> int:
        """Who may read the device and write to it."""
        return self.mode & (self.mode << 1) & 0o444

    @property
    def directory_bits(self) -> int:
        """Who may read a file may enter its directory."""
        return self.file_bits | self.file_bits >> 2
