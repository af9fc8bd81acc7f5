"""reduced_weights: what each form means, interpreted, against NumPy in float64; and when it applies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rnngraph.ir.graph import Graph
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.narrow import rounded_to_bfloat16
from rnngraph.ir.text.parser import parse
from rnngraph.passes.quantization.reduced_weights import MOST_DEPTH, ReducedWeights

DIRECTORY = Path(__file__).parents[1] / "golden"


def int8(matrix: np.ndarray) -> np.ndarray:
    scale = np.abs(matrix).max(0) / 127
    return np.rint(matrix / scale) * scale


ROUNDED: dict[str, Callable[[np.ndarray], np.ndarray]] = {"int8": int8, "bfloat16": rounded_to_bfloat16}


def reduced(form: str, dots: bool = True) -> ReducedWeights:
    return ReducedWeights(form, dots, least_depth=1, least_weights=1)


def in_a_scan() -> Graph:
    return parse((DIRECTORY / "reduced_weights_int8/in_a_scan.in.txt").read_text(encoding="utf-8"))


@pytest.mark.parametrize("dots", [True, False])
@pytest.mark.parametrize("form", ROUNDED)
def test_values_are_those_of_rounded_weights(form: str, dots: bool) -> None:
    graph, generator = in_a_scan(), np.random.default_rng(1)
    shapes = {"x": (4, 3, 2), "K": (5, 6), "b": (6,)}
    feeds = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    rounded = ROUNDED[form]
    kernel = np.concatenate([rounded(feeds["K"][:2]), rounded(feeds["K"][2:])])
    expected = interpret(graph, feeds | {"K": kernel}, wide=True)["output"]
    found = interpret(reduced(form, dots)(graph), feeds)["output"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-4)
    assert np.abs(expected - interpret(graph, feeds)["output"]).max() > 1e-3


def product(shape: str, depth: int, width: int, first: int = 0) -> Graph:
    """x times the columns of a weight from ``first`` on."""
    text = f"""graph g
  x = input : f32[{shape}{depth}]
  W = parameter {{label='W'}} : f32[{depth},{width}]
  part = slice W[:, {first}:] : f32[{depth},{width - first}]
  y = matmul x, part : f32[{shape}{width - first}]
  output 'y' = y
"""
    return parse(text)


def changes(graph: Graph) -> bool:
    return ReducedWeights("int8", True)(graph) is not graph


def test_small_and_endless_weights_stay() -> None:
    """The rule knows shapes alone; of gates it is the whole weight that counts."""
    assert changes(product("B,", 64, 64))
    assert not changes(product("B,", 64, 63))
    assert not changes(product("B,", 31, 4096))
    assert changes(product("B,", 32, 128))
    assert changes(product("B,", 64, 64, 60))
    assert changes(product("B,", MOST_DEPTH, 2))
    assert not changes(product("B,", MOST_DEPTH + 1, 2))


@pytest.mark.parametrize("shape", ["", "B,", "T,B,"])
def test_rows_of_any_rank(shape: str) -> None:
    graph = product(shape, 64, 64)
    feeds = {"x": np.ones((2, 3, 64), np.float32)[(0,) * (2 - shape.count(","))], "W": np.eye(64, dtype=np.float32)}
    found = interpret(ReducedWeights("int8", True)(graph), feeds)["y"]
    np.testing.assert_allclose(found, feeds["x"], rtol=1e-4)
