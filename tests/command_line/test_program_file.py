"""What is found out about a program before it is run with the shim."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from ovsdp_cuse.command_line import program_file
from ovsdp_cuse.command_line.program_file import Architecture, Elf, ProgramError

HERE = Architecture(64, "<", 62)
LIBRARY_HEADER = 3  # ET_DYN


def elf(*kinds: int, bits: int = 64, order: str = "<", machine: int = 62, table: int = 64) -> bytes:
    """An ELF file that is only headers; kinds: of its program headers. elf(5)"""
    word, size, head = ("Q", 56, 64) if bits == 64 else ("I", 32, 52)
    identity = b"\x7fELF" + bytes((1 if bits == 32 else 2, 1 if order == "<" else 2, 1)) + bytes(9)
    header = identity + struct.pack(
        f"{order}HHI3{word}I6H",
        *(LIBRARY_HEADER, machine, 1, 0, table, 0, 0, head, size, len(kinds), 0, 0, 0),
    )
    return header.ljust(table, b"\0") + b"".join(
        struct.pack(f"{order}I", kind).ljust(size, b"\0") for kind in kinds
    )


LOAD, DYNAMIC, INTERPRETER = 1, 2, 3


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library for 64-bit x86-64."""
    return write(tmp_path / "library.so", elf(LOAD, DYNAMIC))


def write(path: Path, content: bytes | str, mode: int = 0o755) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def refusal(program: Path, library: Path) -> str:
    """Why a program is refused, and that its exit status tells that it cannot be run."""
    with pytest.raises(ProgramError) as caught:
        program_file.check(program, library)
    assert caught.value.status == 126
    return str(caught.value)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("table", [64, 70_000])
def test_headers_are_read(bits: int, order: str, table: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for kinds in ((LOAD, INTERPRETER), (LOAD, DYNAMIC), ()):
        write(file, elf(*kinds, bits=bits, order=order, machine=183, table=table))
        expected = Elf(Architecture(bits, order, 183), INTERPRETER in kinds)
        assert program_file.read(file) == expected


def test_this_interpreter_and_its_libraries_are_told_apart() -> None:
    program = program_file.read(Path(sys.executable).resolve())
    extension = program_file.read(Path(struct.__file__).parent / "lib-dynload" / _an_extension())
    assert program is not None
    assert extension is not None
    assert (program.dynamic, extension.dynamic) == (True, False)
    assert program.architecture == extension.architecture


def _an_extension() -> str:
    directory = Path(struct.__file__).parent / "lib-dynload"
    return next(path.name for path in directory.glob("*.so"))


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"text" * 50, b"\x7fELF\7\7" + bytes(99)])
def test_what_is_no_elf_file(content: bytes, tmp_path: Path, library: Path) -> None:
    file = write(tmp_path / "file", content)
    assert program_file.read(file) is None
    assert "neither an ELF program nor a script" in refusal(file, library)


def test_a_dynamic_program_is_let_pass(tmp_path: Path, library: Path) -> None:
    program_file.check(write(tmp_path / "program", elf(LOAD, INTERPRETER)), library)


@pytest.mark.parametrize("option", ["-static", "-static-pie"])
def test_a_static_program_is_refused(option: str, tmp_path: Path, library: Path) -> None:
    source, program = write(tmp_path / "program.c", "int main(void) { return 0; }"), "program"
    subprocess.run(["cc", option, "-o", tmp_path / program, source], check=True)
    assert "is a static program" in refusal(tmp_path / program, library)


def test_a_program_for_another_architecture_is_refused(tmp_path: Path, library: Path) -> None:
    program = write(tmp_path / "program", elf(INTERPRETER, bits=32, machine=3))
    reason = refusal(program, library)
    assert "is 32-bit little-endian x86, and the shim 64-bit little-endian x86-64" in reason
    write(program, elf(INTERPRETER, order=">", machine=9999))
    assert "is 64-bit big-endian ELF machine 9999" in refusal(program, library)


def test_of_a_script_the_interpreter_counts(tmp_path: Path, library: Path) -> None:
    shell = write(tmp_path / "shell", elf(LOAD, INTERPRETER))
    inner = write(tmp_path / "inner", f"#! {shell} -x\n")
    outer = write(tmp_path / "outer", f"#!{inner}\necho\n")
    program_file.check(outer, library)
    write(shell, elf(LOAD))
    assert refusal(outer, library).startswith(f"{outer}: its interpreter {shell} is a static")
    shell.unlink()
    assert f"{inner}: there is no {shell}" in refusal(outer, library)


def test_scripts_that_run_each_other_are_refused(tmp_path: Path, library: Path) -> None:
    script = tmp_path / "script"
    write(script, f"#!{script}\n")
    assert "too many scripts" in refusal(script, library)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away takes root")
@pytest.mark.parametrize(
    ("mode", "text"), [(0o4755, "is set-user-ID"), (0o2755, "is set-group-ID")]
)
def test_what_has_the_rights_of_another_is_refused(
    mode: int, text: str, tmp_path: Path, library: Path
) -> None:
    program = write(tmp_path / "program", elf(LOAD, INTERPRETER))
    program.chmod(mode)
    program_file.check(program, library)  # of its owner
    os.chown(program, 1, 1)
    program.chmod(mode)
    reason = refusal(program, library)
    assert text in reason
    assert "sudo ovsdp-cuse exec" in reason


def test_the_path_is_searched_as_by_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for directory in (one, two):
        directory.mkdir()
    write(one / "program", "", mode=0o644)
    write(two / "program", "")
    (one / "other").mkdir()
    write(two / "other", "")
    search = f"{tmp_path}/nothing:{one}:{two}"
    assert program_file.find("program", search) == two / "program"
    assert program_file.find("other", search) == two / "other"
    monkeypatch.chdir(two)
    assert program_file.find("program", "").resolve() == two / "program"
    assert program_file.find("./other", search) == Path("other")


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("nothing", 127, r"nothing: no directory of \$PATH has a program of that name"),
        ("./nothing", 127, r"\./nothing: no such file"),
        ("data", 126, r"data: you may not run it: it has no execute permission"),
        ("./directory", 126, r"directory: a directory is no program"),
    ],
)
def test_what_is_not_found_or_may_not_be_run(
    name: str, status: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "directory").mkdir()
    write(tmp_path / "data", "", mode=0o644)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProgramError) as caught:
        program_file.find(name, str(tmp_path))
    assert caught.value.status == status
    assert re.search(text, str(caught.value))
