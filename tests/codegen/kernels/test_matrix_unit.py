"""Products on a matrix unit have the values of rounded factors, for every layout and size."""

from __future__ import annotations

import numpy as np
import pytest
from native_calls import call_native
from numpy.testing import assert_allclose

from rnngraph.codegen.compile import compile_graph
from rnngraph.codegen.machine.target import host, with_tiles
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.types import TensorType
from rnngraph.passes.pipeline import run
from rnngraph.passes.quantization.round_factors import RoundFactors
from rnngraph.runtime.native.entry import NativeEntry

TARGET = with_tiles(host())
HAS_TILES = pytest.mark.skipif(
    not TARGET.has_tiles, reason="the processor has no AMX, or the system does not permit it"
)
BATCH = (2, 3)


def product_graph(rows: int, depth: int, columns: int, transposed: tuple[bool, bool], started: bool = False) -> Graph:
    """Return the graph of a product of rounded factors, added to ``start`` if ``started``."""
    shapes = (rows, depth), (depth, columns)
    inputs, factors = [], []
    for name, shape, is_transposed in zip(("left", "right"), shapes, transposed, strict=True):
        there = shape[::-1] if is_transposed else shape
        node = make("input", name=name, label=name, type=TensorType("float32", (*BATCH, *there)))
        inputs.append(node)
        factors.append(make("transpose", node, order=(0, 1, 3, 2)) if is_transposed else node)
    if started:
        start = make("input", name="start", label="start", type=TensorType("float32", (*BATCH, rows, columns)))
        inputs.append(start)
        factors.append(start)
    y = make("matmul", *factors, rounded=True)
    return Graph.of("product", [("y", y), ("twice", make("add", y, y))], inputs, ())


def computed(graph: Graph, feeds: dict[str, np.ndarray], parts: int = 1) -> dict[str, np.ndarray]:
    entry = NativeEntry(compile_graph(graph, TARGET, "entry", parts), TARGET)
    return call_native(entry, {}, feeds, {})


def check(graph: Graph) -> None:
    rng = np.random.default_rng(0)
    feeds = {str(node["label"]): rng.normal(size=node.shape).astype("float32") for node in graph.inputs}
    expected = interpret(graph, feeds)
    for name, value in computed(graph, feeds).items():
        assert_allclose(value, expected[name], rtol=0, atol=2e-6 * np.abs(expected[name]).max(), err_msg=name)


@HAS_TILES
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(("rows", "depth", "columns"), [(32, 64, 48), (17, 25, 63)])
def test_every_layout(rows: int, depth: int, columns: int, transposed: tuple[bool, bool]) -> None:
    check(product_graph(rows, depth, columns, transposed, started=transposed == (False, True)))


@HAS_TILES
@pytest.mark.exhaustive
@pytest.mark.parametrize("rows", [1, 2, 7, 16, 33])
def test_sizes(rows: int) -> None:
    for depth in (1, 2, 3, 31, 32, 63):
        for columns in (1, 3, 16, 17, 100):
            for transposed in ((False, False), (True, True)):
                check(product_graph(rows, depth, columns, transposed, started=depth == 3))


def test_other_targets_round_first() -> None:
    graph = run(product_graph(5, 7, 3, (True, False)), (RoundFactors(has_tiles=False),))
    assert not any(node.get("rounded") for node in graph.nodes)
    assert sum(node.op == "cast" and node.dtype == "bfloat16" for node in graph.nodes) == 2
    feeds = {str(node["label"]): np.ones(node.shape, "float32") / 3 for node in graph.inputs}
    expected = interpret(product_graph(5, 7, 3, (True, False)), feeds)["y"]
    assert_allclose(interpret(graph, feeds)["y"], expected, rtol=1e-6)


def test_products_without_known_sizes_are_rounded_first() -> None:
    from rnngraph.ir.types import size

    def given(name: str, *shape: object) -> Node:
        return make("input", name=name, label=name, type=TensorType("float32", shape))  # type: ignore[arg-type]

    left, right = given("left", 2, size("R"), 4), given("right", 2, 4, 5)
    graph = Graph.of("open", [("y", make("matmul", left, right, rounded=True))], [left, right], ())
    assert not any(node.get("rounded") for node in run(graph, (RoundFactors(has_tiles=True),)).nodes)
