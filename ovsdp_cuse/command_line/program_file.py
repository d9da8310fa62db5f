"""Which file a program is, and whether LD_PRELOAD reaches it: elf(5), ld.so(8), execve(2)."""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

CANNOT_RUN = 126
NOT_FOUND = 127
"""Exit statuses as env(1) has them."""

_MAGIC = b"\x7fELF"
_IDENTITY = struct.Struct("4sBB")
"""Magic, class (1: 32 bits, 2: 64 bits), byte order (1: little, 2: big)."""
_BITS = {1: 32, 2: 64}
_ORDERS = {1: "<", 2: ">"}
_MACHINE_OFFSET = 18
_PROGRAM_HEADERS = {32: ("I", 28, 42), 64: ("Q", 32, 54)}
"""Bits -> format and offset of e_phoff, offset of e_phentsize and e_phnum."""
_INTERPRETER = 3  # PT_INTERP
_MACHINES = {3: "x86", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}
_ORDER_NAMES = {"<": "little-endian", ">": "big-endian"}
_HEADER_LENGTH = 58
"""Bytes up to e_phnum of the larger header."""
_FIRST_LINE_LENGTH = 256
"""Bytes of a script in which the kernel looks for its interpreter."""
_SCRIPTS_LIMIT = 5
"""Scripts whose interpreter is a script again, before the kernel gives up (ELOOP)."""
_CAPABILITIES = "security.capability"


class ProgramError(Exception):
    """A program that cannot be run with the shim: why, and the exit status that tells it."""

    def __init__(self, text: str, status: int = CANNOT_RUN) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Architecture:
    """What a processor and a loader must be to load a file; a library is for one of them."""

    bits: int
    order: str
    machine: int

    def __str__(self) -> str:
        name = _MACHINES.get(self.machine, f"ELF machine {self.machine}")
        return f"{self.bits}-bit {_ORDER_NAMES[self.order]} {name}"


@dataclass(frozen=True)
class Elf:
    """What matters of an ELF file. dynamic: whether ld.so loads it."""

    architecture: Architecture
    dynamic: bool


def find(name: str, search: str) -> Path:
    """The file that execvp(3) would run; search: as $PATH.

    Raises ProgramError where there is none, or none that may be run.
    """
    if "/" in name:
        candidates = [Path(name)]
    else:
        candidates = [Path(directory or ".") / name for directory in search.split(os.pathsep)]
    there = [path for path in candidates if path.is_file()]
    for path in there:
        if os.access(path, os.X_OK):
            return path
    if there:
        raise ProgramError(f"{there[0]}: you may not run it: it has no execute permission for you")
    if candidates[0].is_dir():
        raise ProgramError(f"{candidates[0]}: a directory is no program")
    where = "no such file" if "/" in name else "no directory of $PATH has a program of that name"
    raise ProgramError(f"{name}: {where}", NOT_FOUND)


def check(program: Path, library: Path) -> None:
    """Raises ProgramError where ld.so would not load `library` into `program`.

    Of a script the interpreter counts, of that what its first line names. Of a file that its user
    may run, but not read, nothing can be told.
    """
    try:
        file = _interpreter(program)
        elf = read(file)
    except PermissionError:
        return
    called = str(program) if file == program else f"{program}: its interpreter {file}"
    if elf is None:
        raise ProgramError(f"{called} is neither an ELF program nor a script with '#!'")
    wanted = read(library)
    if wanted is not None and elf.architecture != wanted.architecture:
        raise ProgramError(
            f"{called} is {elf.architecture}, and the shim {wanted.architecture}: "
            "run a build of the program that is that, too"
        )
    if not elf.dynamic:
        raise ProgramError(
            f"{called} is a static program, into which no library can be loaded: "
            "run one that is linked dynamically, as Debian's are"
        )
    if reason := _privileges(file):
        raise ProgramError(
            f"{called} {reason}, and into such programs no library of their caller is loaded: "
            "not 'exec -- sudo PROGRAM' but 'sudo ovsdp-cuse exec -- PROGRAM'"
        )


def read(file: Path) -> Elf | None:
    """What a file is; None where it is no ELF file, or a broken one. Raises OSError."""
    with file.open("rb") as stream:
        head = stream.read(_HEADER_LENGTH)
        if len(head) < _HEADER_LENGTH:
            return None
        magic, bits_code, order_code = _IDENTITY.unpack_from(head)
        bits, order = _BITS.get(bits_code), _ORDERS.get(order_code)
        if magic != _MAGIC or bits is None or order is None:
            return None
        word, table_at, sizes_at = _PROGRAM_HEADERS[bits]
        (machine,) = struct.unpack_from(f"{order}H", head, _MACHINE_OFFSET)
        (table,) = struct.unpack_from(f"{order}{word}", head, table_at)
        size, count = struct.unpack_from(f"{order}HH", head, sizes_at)
        stream.seek(table)
        headers = stream.read(size * count)
    kinds = [headers[start : start + 4] for start in range(0, len(headers), size or 1)]
    return Elf(Architecture(bits, order, machine), struct.pack(f"{order}I", _INTERPRETER) in kinds)


def _interpreter(program: Path) -> Path:
    """The file that the kernel loads in the end."""
    file = program
    for _depth in range(_SCRIPTS_LIMIT):
        with file.open("rb") as stream:
            first = stream.readline(_FIRST_LINE_LENGTH)
        words = first[2:].split(maxsplit=1)
        if not first.startswith(b"#!") or not words:
            return file
        interpreter = Path(os.fsdecode(words[0]))
        if not interpreter.exists():
            raise ProgramError(f"{file}: there is no {interpreter}, which its first line names")
        file = interpreter
    raise ProgramError(f"{program}: too many scripts that run each other")


def _privileges(file: Path) -> str | None:
    """What of a file makes ld.so distrust its caller (AT_SECURE in getauxval(3))."""
    status = file.stat()
    if status.st_mode & stat.S_ISUID and status.st_uid != os.getuid():
        return "is set-user-ID"
    if status.st_mode & stat.S_ISGID and status.st_gid != os.getgid():
        return "is set-group-ID"
    # To root a file's capabilities give nothing that it has not.
    if os.getuid() and _CAPABILITIES in os.listxattr(file):
        return "has capabilities of its own"
    return None
