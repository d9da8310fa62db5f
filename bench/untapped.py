"""The daemon without the points at which it could be traced, for what those cost.

    python -m bench.untapped serve ...

Its modules are this tree's, less each statement that asks whether anybody watches.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

POINTS = {
    "ovsdp_cuse.families.device_door": 7,
    "ovsdp_cuse.families.stream_door": 2,
    "ovsdp_cuse.families.session": 5,
    "ovsdp_cuse.families.dispatch": 2,
}
"""The modules, and how many points each has at least."""


class _Remover(ast.NodeTransformer):
    """Takes out what depends on `taps.active`."""

    def __init__(self) -> None:
        self.removed = 0

    def visit_If(self, node: ast.If) -> Any:
        """`if taps.active is not None: ...`; what else there would be stays."""
        self.generic_visit(node)
        if _asks(node.test):
            self.removed += 1
            return node.orelse or ast.Pass()
        return node

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        """`... if taps.active is not None else 0`."""
        self.generic_visit(node)
        if _asks(node.test):
            self.removed += 1
            return node.orelse
        return node


def _asks(test: ast.expr) -> bool:
    return any(
        isinstance(inner, ast.Attribute)
        and inner.attr == "active"
        and isinstance(inner.value, ast.Attribute)
        and inner.value.attr in ("taps", "_taps")
        for inner in ast.walk(test)
    )


def strip(source: bytes | str, module: str) -> ast.Module:
    """A module's tree without its points; RuntimeError where it has fewer than it should."""
    tree = ast.parse(source)
    remover = _Remover()
    stripped: ast.Module = remover.visit(tree)
    if remover.removed < POINTS[module]:
        raise RuntimeError(f"{module} has {remover.removed} points, not {POINTS[module]}")
    return ast.fix_missing_locations(stripped)


class _Loader(SourceFileLoader):
    """Compiles the stripped source, and leaves what is cached of the other alone."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return compile(strip(self.get_data(path), fullname), path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module with our loader, where it is one of those."""
        if fullname not in POINTS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


def main() -> None:
    """Run ovsdp-cuse so."""
    sys.meta_path.insert(0, _Finder())
    from ovsdp_cuse.__main__ import main as run

    run()


if __name__ == "__main__":
    main()
