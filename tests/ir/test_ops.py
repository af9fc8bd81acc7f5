"""The table of ops: rows have all columns of their kind, columns are correct, and no other file lists ops."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import rnngraph
from rnngraph.codegen.llvm.vecmath import ERROR_BOUNDS, FUNCTIONS
from rnngraph.ir.node import DIVISION, DRAW, FUNCTION, INSTRUCTION, OPS, Op

PACKAGE = Path(rnngraph.__file__).parent
DIFFERENTIATED = ("elementwise", "contraction", "reduction", "movement")
BY_OP = {
    "ir/elementwise_ops.py": "the table itself",
    "codegen/llvm/vecmath.py": "vector functions, and their bounds",
    "codegen/llvm/elementwise.py": "single instructions",
    "passes/simplify.py": "rules of rewriting, which an op may do without",
    "passes/label_weights.py": "what losses are written with, between their labels and their weights",
}
"""Files that may name several elementwise ops, with the reason."""
MAX_TOGETHER = 3
"""Maximum number of elementwise ops in one literal of another file. Facts about more ops belong in their rows."""


SAMPLES = ("sample_key", "sample_uniform")
"""Ops whose draws depend on their operands alone, so that the inference graph may contain them."""


@pytest.mark.parametrize("row", OPS.values(), ids=OPS)
def test_a_row_has_the_columns_of_its_kind(row: Op) -> None:
    assert (row.derivative is not None) == (row.kind in DIFFERENTIATED)
    assert row.cost in (INSTRUCTION, DIVISION, FUNCTION, DRAW)
    assert row.kind == "elementwise" or (row.cost, row.keeps_zero) == (INSTRUCTION, False)
    assert row.evaluate is not None or row.kind in ("leaf", "structured")
    assert row.optional <= row.attributes.keys()
    if row.cost == DRAW:
        assert row.random or row.name in SAMPLES


@pytest.mark.parametrize("name", [name for name, row in OPS.items() if row.kind == "elementwise" and not row.random])
def test_exactly_the_declared_ops_map_zero_to_zero(name: str) -> None:
    """Bools do not count as zeros."""
    row = OPS[name]
    assert row.evaluate is not None
    zeros = [np.zeros(3)] * row.arity[0]
    zeros[:1] = [np.zeros(3, bool)] if name == "select" else zeros[:1]
    value = row.evaluate(zeros, {"dtype": "float64", "site": "s", "salt": 0})
    assert row.keeps_zero == (value.dtype != bool and bool((value == 0).all()))


def test_every_function_has_vector_code_with_a_bound() -> None:
    functions = {name for name, row in OPS.items() if row.cost == FUNCTION}
    assert functions == FUNCTIONS.keys() == ERROR_BOUNDS.keys()


def _lists(path: Path) -> Iterator[tuple[int, set[str]]]:
    """Yield (line, elementwise ops) of each literal that lists ops."""
    elementwise = {name for name, row in OPS.items() if row.kind == "elementwise"}
    for node in ast.walk(ast.parse(path.read_text())):
        parts: list[ast.expr | None] = []
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            parts = [*node.elts]
        elif isinstance(node, ast.Dict):
            parts = [*node.keys]
        elif isinstance(node, ast.MatchOr):
            parts = [pattern.value for pattern in node.patterns if isinstance(pattern, ast.MatchValue)]
        names = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        yield getattr(node, "lineno", 0), names & elementwise


ROOMS = ("ir", "passes", "codegen", "runtime", "export", "batching", "program", "training")


@pytest.mark.parametrize(
    "path", [path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))], ids=lambda path: path.stem
)
def test_no_other_module_has_a_list_of_ops(path: Path) -> None:
    """A new op would be missing from such a list."""
    lists = [f"{path}:{line}: {sorted(names)}" for line, names in _lists(path) if len(names) > MAX_TOGETHER]
    if path.relative_to(PACKAGE).as_posix() in BY_OP:
        return
    assert lists == []
