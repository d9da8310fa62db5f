"""Families of other packages: the example is installed and answers; broken ones are told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ovsdp_cuse.families.builtin import BUILT_IN
from ovsdp_cuse.families.registry import Registry

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "family"
TIME_LIMIT_S = 120


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the packages that are installed in `site`, too."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def installed_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has installed the example; built from a copy, for building leaves files."""
    directory = tmp_path_factory.mktemp("example")
    source, site = directory / "source", directory / "site"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    done = run(
        site, "pip", "install", "--no-deps", "--no-index", "--no-build-isolation",
        "--disable-pip-version-check", "--target", str(site), str(source),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return site


def test_the_example_is_found_listed_and_answers(installed_example: Path) -> None:
    done = run(installed_example, "tests.families.plugin_conversation", "example_echo", "hello")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "listed": [*(family.schema.name for family in Registry(BUILT_IN)), "example_echo"],
        "operations": {"1": {"1": 1, "2": 0xA}},  # CAP_DO and CAP_HASPOL
        "shown": f"EXAMPLE_ECHO_CMD_ECHO {{DATA={b'hello'.hex()}}}",
        "replied": "hello",
    }


def test_the_example_is_as_long_as_the_documentation_says() -> None:
    """About ten lines, without what it imports."""
    text = (EXAMPLE / "ovs_example_echo.py").read_text()
    _imports, code = text.split(")\n", 1)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def broken(site: Path, code: str) -> Path:
    """An installed package `broken` whose family is `broken:FAMILY`."""
    metadata = site / "broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[ovsdp_cuse.families]\nbroken = broken:FAMILY\n")
    (site / "broken.py").write_text(code)
    return site


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        pytest.param(
            "import nothing_of_this_name",
            "the family 'broken' of entry point 'broken:FAMILY' cannot be loaded: "
            "ModuleNotFoundError(\"No module named 'nothing_of_this_name'\"); "
            "repair or uninstall its package",
            id="does not import",
        ),
        pytest.param(
            "family = None",
            "the family 'broken' of entry point 'broken:FAMILY' cannot be loaded: "
            "AttributeError(\"module 'broken' has no attribute 'FAMILY'\"); "
            "repair or uninstall its package",
            id="has no family",
        ),
        pytest.param(
            "FAMILY = 'a string'",
            "the entry point 'broken' (broken:FAMILY) is no Family but str",
            id="is no family",
        ),
        pytest.param(
            "from ovsdp_cuse.families.datapath import FAMILY as OURS\n"
            "from ovsdp_cuse import Family\n"
            "FAMILY = Family(OURS.schema, ())",
            "family ovs_datapath (0x12) clashes with ovs_datapath (0x12), "
            "which is registered already",
            id="clashes",
        ),
    ],
)
def test_a_broken_plugin_is_told_in_one_line(tmp_path: Path, code: str, complaint: str) -> None:
    """The daemon does not start half: no node is made."""
    node = tmp_path / "node"
    site = broken(tmp_path, code)
    done = run(site, "ovsdp_cuse", "serve", "--state", "off", "--node", "fuse", "--path", str(node))
    assert done.returncode == 1
    assert done.stderr == f"Error: {complaint}\n"
    assert not node.exists()
