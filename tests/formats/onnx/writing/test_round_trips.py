"""Files of ``write_onnx`` read by ``read_onnx``: equal results, as readable scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import own_cells
import pytest
from chained_drivers import declare_chain
from declaration_checks import close, feeds_of, inputs_of
from declarations import Declaration, declare
from onnx_files import assert_same, ours, spread, written

import rnngraph as rg
from rnngraph.ir.interpreter import interpret

pytest.importorskip("onnx")
RANDOM = np.random.default_rng(0)
KNOWN_LIMITS = ("share no axis of rows", "a range of the computed size", "it needs the computed size")
"""Known limits of loops and of computed sizes, as words of their messages."""


def declare_any(seed: int) -> Declaration:
    return (declare, declare_chain)[seed % 2](seed // 2)


def check(declaration: Declaration, opset: int) -> None:
    program = declaration.compile()
    graph, arrays = program.inference.graph, declaration.arrays()
    reread = rg.read_onnx(written(program, opset)).program()
    feeds = feeds_of(graph, arrays, program)
    wide, narrow = interpret(graph, feeds, wide=True), interpret(graph, feeds)
    own = reread.inference.graph
    own_feeds = inputs_of(own, arrays) | dict(reread.parameters)
    results = interpret(own, {str(node["label"]): np.asarray(own_feeds[str(node["label"])]) for node in own.inputs})
    is_narrow = any(node.op in ("erf", "atan") for node in graph.walk())
    for name, expected in wide.items():
        dtype = "float32" if is_narrow else declaration.dtype
        problem = close(dtype, results[name], expected, narrow[name])
        assert not problem, f"{name}: {problem}\n{declaration.text()}"


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 9, 13])
def test_random_nets_survive_a_round_trip(seed: int) -> None:
    check(declare_any(seed), 13 + seed % 10)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(14, 1000))
def test_many_random_nets_survive_a_round_trip(seed: int) -> None:
    try:
        check(declare_any(seed), 13 + seed % 10)
    except rg.NotReadableError as error:
        if not all(any(limit in text for limit in KNOWN_LIMITS) for text in error.problems):
            raise


# As scripts ------------------------------------------------------------------------------------------


def over(cell: Any, **options: Any) -> rg.Program:
    outputs, state = rg.dynamic_rnn(cell, rg.placeholder("x", (None, None, 3)), **options)
    return spread(rg.compile({"outputs": outputs, "state": state}))


def lengths() -> rg.Tensor:
    return rg.placeholder("n", (None,), "int64")


def both_ways() -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    (forward, backward), _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(4), rg.GRUCell(4), x, lengths())
    return spread(rg.compile(rg.dense(rg.concat([forward, backward], -1), 2)))


def decoder() -> rg.Program:
    x = rg.placeholder("x", (None, None, 3))
    _, state = rg.dynamic_rnn(rg.GRUCell(4), x)
    outputs, _, steps = rg.dynamic_decode(
        rg.GRUCell(4),
        rg.placeholder("first", (None, 4)),
        lambda output, _: output * 2,
        5,
        initial_state=state,
        stop=lambda output: output[:, 0] > 0.3,
    )
    return spread(rg.compile({"outputs": outputs, "steps": steps}))


def convolution() -> rg.Program:
    y = rg.conv1d(rg.placeholder("x", (None, None, 3)), 4, 3, strides=2, padding="valid")
    return spread(rg.compile(rg.max_pool1d(y, 2)))


NETS: dict[str, tuple[Callable[[], rg.Program], str]] = {
    "lstm": (lambda: over(rg.BasicLSTMCell(4)), "rg.dynamic_rnn(rg.BasicLSTMCell(4"),
    "peepholes": (lambda: over(rg.LSTMCell(4, use_peepholes=True)), "use_peepholes=True"),
    "gru": (lambda: over(rg.GRUCell(4), sequence_length=lengths()), "rg.GRUCell(4), x, sequence_length="),
    "after": (lambda: over(rg.GRUCell(4, reset_after=True), reverse=True), "reset_after=True"),
    "own": (lambda: over(own_cells.SwapCell(4), sequence_length=lengths()), "class Steps(rg.Cell):"),
    "both": (both_ways, "rg.GRUCell(4)"),
    "decoder": (decoder, "class Steps(rg.Cell):"),
    "convolution": (convolution, "program = rg.compile"),
}


@pytest.mark.parametrize("name", NETS)
def test_scripts_survive_a_round_trip(name: str) -> None:
    program, text = NETS[name][0](), NETS[name][1]
    net = rg.read_onnx(written(program))
    assert text in net.script()
    x = RANDOM.standard_normal((2, 9, 3)).astype(np.float32)
    feeds = {"x": x, "n": np.array([9, 4]), "first": x[:, 0, :1] * np.ones(4, np.float32)}
    assert_same(ours(net.program(), feeds), ours(program, feeds))
