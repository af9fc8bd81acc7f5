"""Random declarations as ONNX files: onnxruntime has the interpreter's results."""

from __future__ import annotations

import pytest
from chained_drivers import declare_chain
from declaration_checks import close, feeds_of, inputs_of
from declarations import Declaration, declare
from onnx_files import by_onnxruntime, written
from wired_cells import declare_cell

from rnngraph.ir.interpreter import interpret

pytestmark = pytest.mark.peers
OPSETS = range(13, 23)
BASE_FLOAT32 = {"Erf", "Atan"}
"""Operators that onnxruntime computes in float32 only."""


def declare_any(seed: int) -> Declaration:
    return (declare, declare_chain, declare_cell)[seed % 3](seed // 3)


def check(seed: int) -> None:
    declaration = declare_any(seed)
    program = declaration.compile()
    graph, arrays = program.inference.graph, declaration.arrays()
    model = written(program, OPSETS[seed % len(OPSETS)])
    results = by_onnxruntime(model, inputs_of(graph, arrays))
    feeds = feeds_of(graph, arrays, program)
    wide, narrow = interpret(graph, feeds, wide=True), interpret(graph, feeds)
    is_narrow = bool(BASE_FLOAT32 & {node.op_type for node in every_node(model.graph)})
    for name, expected in wide.items():
        assert results[name].dtype == narrow[name].dtype
        problem = close("float32" if is_narrow else declaration.dtype, results[name], expected, narrow[name])
        assert not problem, f"{name}: {problem}\n{declaration.text()}"


def every_node(graph: object) -> list[object]:
    """Return the nodes of a file's graph and of its inner graphs."""
    results = list(graph.node)  # type: ignore[attr-defined]
    for node in list(results):
        for item in node.attribute:
            results += every_node(item.g) if item.HasField("g") else []
    return results


@pytest.fixture(autouse=True)
def _onnxruntime() -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("seed", range(12))
def test_random_net(seed: int) -> None:
    check(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(12, 3000))
def test_many_random_nets(seed: int) -> None:
    check(seed)
