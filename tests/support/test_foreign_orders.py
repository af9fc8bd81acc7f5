"""Arguments in another framework's order: an error says what to write, or a warning if both orders are plausible."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

Call = Callable[[], Any]


def floats(*shape: int | None) -> rg.Tensor:
    return rg.placeholder("x", shape)


def made_of_parameters() -> rg.Tensor:
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(3), floats(None, None, 2))
    return outputs[:, -1]


def started(names: tuple[str, ...], form: Callable[[Any], Any] = tuple) -> Any:
    states = [rg.placeholder(name, (None, 3)) for name in names]
    return rg.dynamic_rnn(rg.LSTMCell(3), floats(None, None, 2), initial_state=form(states))


REFUSED: list[tuple[Call, str]] = [
    (lambda: rg.placeholder("int32", [None]), 'int32 is a dtype, .*write rg.placeholder."x", .None., "int32".'),
    (lambda: rg.placeholder("float", [None, 28]), 'write rg.placeholder."x", .None, 28., "float32".'),
    (lambda: rg.placeholder("int", [None]), '"int64"'),
    (lambda: rg.placeholder(np.float32, (None, 3)), 'write rg.placeholder."x", .None, 3., "float32".$'),
    (lambda: rg.placeholder(np.dtype("int64"), (None, 3)), '"int64"'),
    (lambda: rg.placeholder("float32", [None], "x"), 'write rg.placeholder."x"'),
    (lambda: rg.parameter("w", (3, 3), "float32"), "the dtype float32; .* write dtype='float32'"),
    (lambda: rg.parameter("w", (3, 3), np.float64), "write dtype='float64'"),
    (lambda: rg.parameter("w", (3,), True), "an initializer is a name, a number"),
    (lambda: rg.concat(1, [floats(2, 3)]), r"write rg.concat\(\[a, b\], 1\)"),
    (lambda: rg.split(1, 2, floats(2, 4)), "give the Tensors first, and the axis last"),
    (lambda: rg.argmax(1, floats(2, 4)), "give the Tensors first, and the axis last"),
    (lambda: rg.expand_dims(0, floats(2, 4)), "give the Tensors first, and the axis last"),
    (lambda: rg.reshape(floats(2, 3), 3, 2), r"as in reshape\(x, \(2, 3\)\)"),  # type: ignore[call-arg]
    (lambda: rg.transpose(floats(2, 3), 0, 1), r"as in transpose\(x, \(1, 0\)\)"),  # type: ignore[call-arg]
    (lambda: rg.tile(floats(2, 3), 1, 2), r"as in tile\(x, \(1, 2\)\)"),  # type: ignore[call-arg]
    (lambda: rg.gather(floats(2, 3), 1, [0]), "give the Tensors first, and the axis last"),  # type: ignore[arg-type]
    (lambda: rg.layer_norm(floats(2, 3), 3), "gamma of layer_norm must be an array or a Tensor"),
    (lambda: rg.layer_norm(floats(2, 3), 1e-5), "epsilon is passed by name"),
    (lambda: rg.layer_norm(floats(2, 3), None, True), "beta of layer_norm must be an array or a Tensor"),
    (lambda: rg.softmax_cross_entropy(made_of_parameters(), floats(None, 3)), "swap the arguments"),
    (lambda: rg.sigmoid_cross_entropy(made_of_parameters(), floats(None, 3)), "swap the arguments"),
    (lambda: rg.huber_loss(floats(None, 3), floats(None, 3), 0.5), "write delta=0.5"),
    (lambda: rg.BasicLSTMCell(28, 128), r"forget_bias=128 looks like a width, .* write 128.0"),
    (lambda: rg.LayerNormBasicLSTMCell(28, 128), "infers from its input"),
    (lambda: rg.LSTMCell(28, 128), "use_peepholes must be True or False"),  # type: ignore[arg-type]
    (lambda: rg.GRUCell(28, 128), "give units only"),  # type: ignore[arg-type]
    (lambda: rg.LSTMCell(64, True, None, None, 32), "proj_clip=32 needs a projection"),
    (lambda: started(("h0", "c0")), r"initial_state has the entries \(h0, c0\), but the order is \(c, h\)"),
    (lambda: started(("hidden", "cell")), "swap them, or give a mapping"),
]
DOUBTED: list[tuple[Call, str]] = [
    (lambda: rg.dropout(floats(2, 3), 0.4), "For a rate of 0.4 give keep_prob=0.6"),
    (lambda: rg.AdamW(1e-3, 0.01), "weight_decay=0.01"),
    (lambda: rg.CosineDecay(1e-3, 100, 0.1), "write final=0.0001"),
    (
        lambda: rg.pad(floats(None, 4, 3), (1, 1)),
        r"pads all 3 axes .* write \[\(1, 1\)\] for that, and \{-1: ",
    ),
]
TAKEN: list[Call] = [
    lambda: rg.placeholder("int32", [None], "float32"),
    lambda: rg.placeholder("string", [None], dtype="int64"),
    lambda: rg.state_placeholder("float32", rg.GRUCell(3)),
    lambda: rg.parameter("w", (3,), 1),
    lambda: rg.dropout(floats(2, 3), 0.5),
    lambda: rg.BasicLSTMCell(28, 5),
    lambda: rg.BasicLSTMCell(28, 128.0),
    lambda: rg.LSTMCell(64, True, None, 32, 3.0),
    lambda: rg.AdamW(1e-3, 0.5),
    lambda: rg.AdamW(1e-3, 0.0),
    lambda: rg.CosineDecay(1e-3, 100, 1e-3),
    lambda: rg.pad(floats(2, 3), (1, 1)),
    lambda: rg.pad(floats(None, 3), {-1: (1, 1)}),
    lambda: rg.pad(floats(None, 3), [(1, 1)]),
    lambda: rg.pad(floats(None), (1, 1)),
    lambda: rg.layer_norm(floats(2, 3), np.ones(3, np.float32), rg.constant(0.0)),
    lambda: rg.huber_loss(floats(None, 3), floats(None, 3), 1.0, 0.5),
    lambda: rg.huber_loss(floats(None, 3), floats(None, 3), 0.5, reduction="sum"),
    lambda: rg.softmax_cross_entropy(made_of_parameters(), made_of_parameters()),
    lambda: rg.softmax_cross_entropy(floats(None, 3), floats(None, 3)),
    lambda: rg.sigmoid_cross_entropy(floats(None, 3), made_of_parameters()),
    lambda: started(("c0", "h0")),
    lambda: started(("first", "second")),
    lambda: started(("h0", "h1")),
    lambda: started(("h0", "c0"), lambda states: {"h": states[0], "c": states[1]}),
    lambda: started(("h0", "c0"), lambda states: rg.LSTMStateTuple(*states)),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_an_order_of_another_framework_is_rejected(call: Call, words: str) -> None:
    with pytest.raises(rg.RnnGraphError, match=words) as caught:
        call()
    assert caught.value.where is not None
    assert Path(caught.value.where.file) == Path(__file__)


@pytest.mark.parametrize(("call", "words"), DOUBTED)
def test_a_probable_order_of_another_framework_is_a_warning(call: Call, words: str) -> None:
    with pytest.warns(UserWarning, match=words) as warned:
        call()
    assert Path(warned[0].filename) == Path(__file__)


@pytest.mark.parametrize("call", TAKEN)
def test_ambiguous_arguments_are_accepted(call: Call) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call()
