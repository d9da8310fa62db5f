"""The benchmark's daemon without points for traces: it has none, and is otherwise the same."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from bench.untapped import POINTS, strip


@pytest.mark.parametrize("module", POINTS)
def test_no_point_is_left(module: str) -> None:
    file = importlib.import_module(module).__file__
    assert file is not None
    source = Path(file).read_text()
    stripped = ast.unparse(strip(source, module))
    assert "taps.active" in source
    assert "taps.active" not in stripped
    before = {n.name for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)}
    after = {n.name for n in ast.walk(ast.parse(stripped)) if isinstance(n, ast.FunctionDef)}
    assert before == after
    compile(stripped, file, "exec")


def test_a_module_with_too_few_points_is_told() -> None:
    with pytest.raises(RuntimeError, match="has 1 points, not"):
        strip("if self.taps.active is not None:\n    pass\n", next(iter(POINTS)))
