"""Who may import whom: the layers of docs/design.md, read off the import statements."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "ovsdp_cuse"
PACKAGE = "ovsdp_cuse"

RULES: dict[str, tuple[str, ...]] = {
    "errors": (),
    "wire": ("errors",),
    "captures": ("errors", "wire"),
    "switch": ("errors",),
    "families": ("errors", "wire", "switch"),
    "ports": ("errors", "switch.names", "switch.packet", "switch.port"),
    "device": ("errors", "families.dispatch", "families.session"),
    "replay": ("errors", "wire", "captures", "client"),
    "client": ("errors", "wire"),
    "metrics": ("errors", "wire"),
    "filesystem": (
        *("errors", "wire", "client", "metrics"),
        *("device.mounting", "device.mounts", "device.node"),
    ),
    "shim": (),
}
"""What each layer may import of the package, beside itself."""

ABOVE = (
    "__main__",
    "command_line",
    "configuration",
    "daemon",
    "logs",
    "service",
    "state",
    "state_trace",
    "testing",
)
"""What puts the layers together: it may import all, and none of them may import it."""

PURE = ("errors", "wire", "captures", "metrics", "switch")
"""Layers with no I/O, which therefore may not import these."""
IO = ("trio", "os", "socket", "select", "signal", "subprocess", "threading", "asyncio")


def modules_of(layer: str) -> list[Path]:
    """The source files of a layer: a module, or all of a package."""
    module = ROOT / f"{layer}.py"
    files = [module] if module.exists() else sorted((ROOT / layer).rglob("*.py"))
    assert files, f"there is no {layer}"
    return files


def imports_of(file: Path) -> Iterator[tuple[str, int]]:
    """(module, line) of each import; what is imported from a package counts as its module.

    Imports for type checkers only are left out: they are no dependency.
    """
    tree = ast.parse(file.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: relative import"
            module = node.module or ""
            for alias in node.names:
                path = ROOT.parent / module.replace(".", "/")
                is_module = (path / alias.name).is_dir() or (path / f"{alias.name}.py").exists()
                yield (f"{module}.{alias.name}" if is_module else module), node.lineno


def within(module: str, packages: tuple[str, ...]) -> bool:
    """Whether a module is one of the packages, or in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


LAYERS = [(layer, file) for layer in RULES for file in modules_of(layer)]

every_module = pytest.mark.parametrize(
    ("layer", "file"),
    LAYERS,
    ids=[str(file.relative_to(ROOT).with_suffix("")) for _layer, file in LAYERS],
)


@every_module
def test_a_layer_imports_what_is_below_it(layer: str, file: Path) -> None:
    allowed = tuple(f"{PACKAGE}.{name}" for name in (layer, *RULES[layer]))
    wrong = [
        f"{file}:{line}: {layer} imports {module}"
        for module, line in imports_of(file)
        if within(module, (PACKAGE,)) and not within(module, allowed)
    ]
    assert not wrong


@every_module
def test_the_pure_layers_do_no_io(layer: str, file: Path) -> None:
    if layer not in PURE:
        return
    # `errors` asks os for the texts of error numbers.
    forbidden = tuple(module for module in IO if (layer, module) != ("errors", "os"))
    wrong = [
        f"{file}:{line}: {layer} imports {module}"
        for module, line in imports_of(file)
        if within(module, forbidden)
    ]
    assert not wrong


def test_every_layer_is_known() -> None:
    """A new folder has a rule, or stands above all layers."""
    there = {
        path.stem
        for path in ROOT.iterdir()
        if (path.is_dir() and list(path.glob("*.py"))) or path.suffix == ".py"
    }
    assert there - {"__init__"} <= {*RULES, *ABOVE}


def test_the_reader_of_imports() -> None:
    """It sees what it must; a rule that nothing can break holds nothing."""
    found = {module for module, _line in imports_of(ROOT / "device" / "serve.py")}
    assert {"trio", "os", f"{PACKAGE}.families.dispatch", f"{PACKAGE}.errors"} <= found
    assert f"{PACKAGE}.device.connection" in found
    assert not within(f"{PACKAGE}.wired", (f"{PACKAGE}.wire",))
