"""What the documents say exists: links, commands, settings, packages; and their code compiles."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from ovsdp_cuse.command_line.group import program as command_line
from ovsdp_cuse.configuration import Configuration
from ovsdp_cuse.wire.netlink import Flag

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
INCLUDE = ROOT / "ovsdp_cuse" / "include"

C_SOURCES = {"porting.md": [ROOT / "tests" / "c" / f"port_socket.{end}" for end in "hc"]}
"""Pages whose C is a part of files that are compiled and run elsewhere."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> Iterator[str]:
    """The fenced blocks of a language."""
    for match in re.finditer(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL):
        yield match[1]


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The command lines of a program, in indented blocks or between back quotes, without it."""
    text = page.read_text()
    pattern = rf"(?:^    (?:\$ )?{program} (.*)$|`{program} ([^`]*)`)"
    for match in re.finditer(pattern, text, re.MULTILINE):
        line = (match[1] or match[2]).split(" # ")[0].rstrip("& ")
        yield shlex.split(line)


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


@every_page
def test_links_to_headings_lead_to_one(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        there = (page.parent / target if target else page).read_text()
        headings = re.findall(r"^#+ (.*)$", there, re.MULTILINE)
        anchors = {
            re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings
        }
        assert anchor in anchors


@every_page
def test_commands_exist(page: Path) -> None:
    for words in commands(page, "ovsdp-cuse"):
        known = command_line.params
        if words and not words[0].startswith("-"):
            command = command_line.get_command(click.Context(command_line), words[0])
            assert command is not None, f"{page.name}: ovsdp-cuse {words[0]}"
            known = command.params
            if isinstance(command, click.Group) and len(words) > 1:
                inner = command.get_command(click.Context(command), words[1])
                assert inner is not None, f"{page.name}: ovsdp-cuse {words[0]} {words[1]}"
                known = inner.params
        options = {option for parameter in known for option in parameter.opts}
        own = words[: words.index("--")] if "--" in words else words
        wanted = {word for word in own if word.startswith("--")}
        assert wanted <= options | {"--help"}, f"{page.name}: {words}"


@every_page
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wanted = {words[0] for words in commands(page, "make") if words}
    assert wanted <= targets


@every_page
def test_python_compiles(page: Path) -> None:
    for block in blocks(page, "python"):
        ast.parse(block)


@every_page
def test_c_compiles(page: Path, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    assert compiler, "no cc: a C compiler is needed (Debian: gcc, libc6-dev)"
    if page.name in C_SOURCES:
        return
    for number, block in enumerate(blocks(page, "c")):
        source = tmp_path / f"block{number}.c"
        source.write_text(block)
        options = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}", "-c"]
        done = subprocess.run(
            [compiler, *options, "-o", str(tmp_path / "block.o"), str(source)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", C_SOURCES)
def test_c_is_that_of_the_program_that_is_run(page: str) -> None:
    source = "".join(file.read_text() for file in C_SOURCES[page])
    found = list(blocks(ROOT / "docs" / page, "c"))
    assert found
    assert [block for block in found if f"\n{block}" not in source] == []


@every_page
def test_what_is_no_table_has_lines_of_100_characters(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert not [line for line in lines if len(line) > 100 and not line.startswith(("|", "    "))]


def test_the_settings_are_in_the_readme_with_their_defaults() -> None:
    rows = dict(re.findall(r"^\| `--([a-z-]+)` \| (.*?) \|", README.read_text(), re.MULTILINE))
    assert set(rows) == {field.name.replace("_", "-") for field in fields(Configuration)}
    settings = Configuration()
    for field in fields(Configuration):
        value = getattr(settings, field.name)
        shown = rows[field.name.replace("_", "-")]
        if isinstance(value, bool):
            assert shown == ("on" if value else "off")
        elif isinstance(value, int):
            assert shown.strip("`") == (f"{value:04o}" if field.name == "mode" else str(value))
        elif value is not None:
            assert shown == f"`{value}`"


def test_what_is_installed_is_in_the_readme() -> None:
    packages = set()
    for file in ("debian-packages.txt", "debian-packages-vm.txt"):
        lines = (ROOT / "tools" / file).read_text().splitlines()
        packages |= {line.split()[0] for line in lines if line and not line.startswith("#")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        packages.add(re.split(r"[<>=~ ]", requirement)[0])
    words = set(re.findall(r"[\w+.-]*[\w+]", README.read_text()))
    assert packages <= words


@pytest.mark.parametrize(
    ("page", "example", "end_of_imports"),
    [
        ("writing-a-family.md", "family/ovs_example_echo.py", ")\n"),
        ("writing-a-port.md", "port/ovs_unix_port.py", "import PortSpec\n"),
    ],
)
def test_the_example_is_the_one_in_the_text(page: str, example: str, end_of_imports: str) -> None:
    """Without its imports."""
    text = (ROOT / "docs" / "examples" / example).read_text()
    _docstring_and_imports, code = text.split(end_of_imports, 1)
    first = next(blocks(ROOT / "docs" / page, "python"))
    assert first.strip() == code.strip()


def test_the_public_names_exist() -> None:
    import ovsdp_cuse

    for name in ovsdp_cuse.__all__:
        assert getattr(ovsdp_cuse, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = ovsdp_cuse.nothing_of_this_name


def test_the_bytes_of_the_tutorial_are_what_it_says() -> None:
    words = next(w for w in commands(ROOT / "docs" / "tutorial.md", "ovsdp-cuse") if w[0] == "send")
    message = bytes.fromhex("".join(words[1:]))
    assert message[0] == len(message) == 24
    assert message[6] | message[7] << 8 == Flag.REQUEST | Flag.DUMP
