"""The numbers and structures of `fuse_abi`, checked by a C compiler against <linux/fuse.h>."""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from pathlib import Path

from ovsdp_cuse.device import fuse_abi as abi
from tests.nodes import kernel
from tests.test_header import build

C_PREFIX: dict[type[IntEnum] | type[IntFlag], str] = {
    abi.Opcode: "FUSE_",
    abi.InitFlag: "FUSE_",
    abi.OpenFlag: "FOPEN_",
    abi.SetattrValid: "FATTR_",
}
C_NAMES = {"FUSE_CUSE_INIT": "CUSE_INIT"}

STRUCTURES: dict[str, tuple[struct.Struct, str]] = {
    "fuse_in_header": (abi.IN_HEADER, "len opcode unique nodeid uid gid pid total_extlen padding"),
    "fuse_out_header": (abi.OUT_HEADER, "len error unique"),
    "cuse_init_in": (abi.INIT_IN, "major minor unused flags"),
    "cuse_init_out": (
        abi.CUSE_INIT_OUT,
        "major minor unused flags max_read max_write dev_major dev_minor",
    ),
    "fuse_init_out": (
        abi.INIT_OUT,
        "major minor max_readahead flags max_background congestion_threshold max_write time_gran "
        "max_pages map_alignment flags2",
    ),
    "fuse_open_in": (abi.OPEN_IN, "flags open_flags"),
    "fuse_open_out": (abi.OPEN_OUT, "fh open_flags padding"),
    "fuse_release_in": (abi.RELEASE_IN, "fh flags release_flags lock_owner"),
    "fuse_read_in": (abi.READ_IN, "fh offset size read_flags lock_owner flags padding"),
    "fuse_write_in": (abi.WRITE_IN, "fh offset size write_flags lock_owner flags padding"),
    "fuse_write_out": (abi.WRITE_OUT, "size padding"),
    "fuse_ioctl_in": (abi.IOCTL_IN, "fh flags cmd arg in_size out_size"),
    "fuse_ioctl_out": (abi.IOCTL_OUT, "result flags in_iovs out_iovs"),
    "fuse_poll_in": (abi.POLL_IN, "fh kh flags events"),
    "fuse_poll_out": (abi.POLL_OUT, "revents padding"),
    "fuse_interrupt_in": (abi.INTERRUPT_IN, "unique"),
    "fuse_notify_poll_wakeup_out": (abi.NOTIFY_POLL_WAKEUP_OUT, "kh"),
    "fuse_setattr_in": (abi.SETATTR_IN, " ".join(abi.SetattrIn._fields)),
    "fuse_attr_out": (
        abi.ATTR_OUT,
        "attr_valid attr_valid_nsec attr.ino attr.size attr.blocks attr.atime attr.mtime "
        "attr.ctime attr.atimensec attr.mtimensec attr.ctimensec attr.mode attr.nlink attr.uid "
        "attr.gid attr.rdev attr.blksize attr.flags",
    ),
    "fuse_statfs_out": (
        abi.STATFS_OUT,
        "st.blocks st.bfree st.bavail st.files st.ffree st.bsize st.namelen st.frsize st.padding",
    ),
    "fuse_getattr_in": (kernel.GETATTR_IN, "getattr_flags dummy fh"),
    "fuse_flush_in": (kernel.FLUSH_IN, "fh unused padding lock_owner"),
    "fuse_fsync_in": (kernel.FSYNC_IN, "fh fsync_flags padding"),
    "fuse_access_in": (kernel.ACCESS_IN, "mask padding"),
}
"""C structure: its layout here, and the C names of the fields in their order."""

RENAMED = {
    ("fuse_setattr_in", "atime_nsec"): "atimensec",
    ("fuse_setattr_in", "mtime_nsec"): "mtimensec",
    ("fuse_setattr_in", "ctime_nsec"): "ctimensec",
}


def offsets(layout: struct.Struct) -> list[int]:
    """The offset of each field, found by packing ones into one field at a time."""
    count = len(layout.unpack(bytes(layout.size)))
    found = []
    for field in range(count):
        packed = layout.pack(*(int(other == field) for other in range(count)))
        found.append(packed.index(1))  # the lowest byte comes first on this machine
    return found


def assertions() -> list[str]:
    """C expressions that must be true."""
    facts = [
        f"FUSE_KERNEL_VERSION == {abi.KERNEL_VERSION}",
        f"FUSE_KERNEL_MINOR_VERSION >= {abi.KERNEL_MINOR_VERSION}",
        f"FUSE_ROOT_ID == {abi.ROOT_ID}",
        f"FUSE_POLL_SCHEDULE_NOTIFY == {abi.POLL_SCHEDULE_NOTIFY}",
        f"FUSE_NOTIFY_POLL == {abi.NOTIFY_POLL}",
    ]
    for enumeration, prefix in C_PREFIX.items():
        for name, member in enumeration.__members__.items():
            c_name = prefix + name
            facts.append(f"{C_NAMES.get(c_name, c_name)} == {int(member)}")
    for name, (layout, fields) in STRUCTURES.items():
        c_type = f"struct {name}"
        facts.append(f"sizeof({c_type}) == {layout.size}")
        assert len(fields.split()) == len(offsets(layout)), name
        for field, offset in zip(fields.split(), offsets(layout), strict=True):
            c_field = RENAMED.get((name, field), field)
            facts.append(f"offsetof({c_type}, {c_field}) == {offset}")
    return facts


def test_the_kernel_s_header_says_the_same(tmp_path: Path) -> None:
    source = tmp_path / "fuse_abi.c"
    lines = [f'_Static_assert({fact}, "{fact}");' for fact in assertions()]
    source.write_text(
        "#include <linux/fuse.h>\n#include <stddef.h>\n#include <stdint.h>\n" + "\n".join(lines)
    )
    build(tmp_path / "fuse_abi.o", source, "-std=c11", "-c")
