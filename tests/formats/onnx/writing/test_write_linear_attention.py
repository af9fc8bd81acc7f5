"""Affine recurrences of any cell are written as LinearAttention where ONNX can express them, else as loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from affine_cells import CHUNKED, MatrixCell, declared, fed
from onnx_files import attributes, by_onnxruntime, by_reference, inputs_of, node, ops, written

import rnngraph as rg

pytest.importorskip("onnx")
OPSET = 27


class RuleCell(MatrixCell):
    """Cell of queries, keys and values whose update is ``function``."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.of_keys, self.of_keys, self.of_values)

    def rule(self, S: rg.Tensor, *parts: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
        q, k, v = parts
        return self.function(self, S, self.column(q), self.column(k), self.row(v))


def retention(cell: Any, S: Any, q: Any, k: Any, v: Any) -> Any:
    """Apply constant decays, one for each head."""
    S = rg.constant(np.array([0.9, 0.8], np.float32).reshape(1, 2, 1, 1)) * S + k * v
    return cell.read(q * 0.25, S), S


def plain(cell: Any, S: Any, q: Any, k: Any, v: Any) -> Any:
    S = S + k * v
    return cell.read(q, S), S


def half(cell: Any, S: Any, q: Any, k: Any, v: Any) -> Any:
    """Apply the delta rule with a constant rate, which scales the removed part."""
    k = rg.tanh(k) * 0.5
    S = S + k * (0.5 * (v - cell.read(k, S)))
    return cell.read(q, S), S


def unlike(cell: Any, S: Any, q: Any, k: Any, v: Any) -> Any:
    """Remove the value at one key, and add a value at another key."""
    S = S + k * (0.5 * v - 0.1 * cell.read(rg.tanh(q), S))
    return cell.read(q, S), S


def before(cell: Any, S: Any, q: Any, k: Any, v: Any) -> Any:
    """Read the state before the update."""
    return cell.read(q, S), 0.5 * S + k * v


def negative(cell: Any, S: Any, q: Any, k: Any, v: Any) -> Any:
    S = -0.5 * S + k * v
    return cell.read(q, S), S


RECOGNISED: dict[str, tuple[Any, str]] = {
    "shared": (CHUNKED["shared"], "gated"),
    "delta": (CHUNKED["delta"], "gated_delta"),
    "equation": (CHUNKED["equation"], "gated_delta"),
    "stabilised": (CHUNKED["stabilised"], "gated"),
    "later": (CHUNKED["later"], "gated_delta"),
    "retention": (lambda: RuleCell(retention), "gated"),
    "plain": (lambda: RuleCell(plain), "linear"),
    "half": (lambda: RuleCell(half), "delta"),
}
"""Update and rule by name."""
OTHERS: dict[str, Any] = {
    "decays of any sign": CHUNKED["gated"],
    "read before": CHUNKED["products"],
    "two keys": CHUNKED["twice"],
    "another key": CHUNKED["mixed"],
    **{function.__name__: lambda function=function: RuleCell(function) for function in (unlike, before, negative)},
}


def program_of(cell: MatrixCell, lengths: bool = False) -> tuple[Any, dict[str, np.ndarray]]:
    feeds = {name: array.astype("int64" if name == "lengths" else "float32") for name, array in fed(cell, 3, 6).items()}
    return rg.compile(declared(cell, lengths=lengths)[0]), feeds


def assert_close(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", RECOGNISED)
def test_recurrences_are_nodes(name: str, lengths: bool) -> None:
    pytest.importorskip("onnxruntime")
    make, rule = RECOGNISED[name]
    program, feeds = program_of(make(), lengths)
    model = written(program, OPSET)
    options = attributes(node(model, "LinearAttention"))
    assert options["update_rule"].decode() == rule
    assert (options["q_num_heads"], options["kv_num_heads"], options["scale"]) == (2, 2, 1)
    feeds = inputs_of(model, feeds)
    expected = program.inference(feeds)
    assert_close(by_onnxruntime(model, feeds), expected)
    assert_close(rg.read_onnx(model).program().inference(feeds), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_recurrences_are_loops(name: str) -> None:
    program, feeds = program_of(OTHERS[name]())
    model = written(program, OPSET)
    assert "LinearAttention" not in ops(model)
    assert "Scan" in ops(model)
    feeds = inputs_of(model, feeds)
    assert_close(by_reference(model, feeds), program.inference(feeds))


def test_contents_of_a_file() -> None:
    """Only a reshape follows the node. Earlier opsets lack the node."""
    cell = RuleCell(plain)
    x = rg.placeholder("x", (None, None, cell.wide))
    program = rg.compile({"y": rg.dynamic_rnn(cell, x)[0]})
    model = written(program, OPSET)
    assert ops(model).count("LinearAttention") == 1
    names = ops(model)
    assert names[names.index("LinearAttention") + 1 :] in (["Reshape"], [])
    assert [len(item.input) for item in model.graph.node if item.op_type == "LinearAttention"] == [3]
    assert "Scan" in ops(written(program, 26))
