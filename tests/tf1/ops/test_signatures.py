"""Signatures of constructors of cells, and arguments of all functions, against those of TensorFlow 1.15.5."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.ops.recurrent.signatures import LAYER, SIGNATURES

FIXTURES = Path(__file__).parents[2] / "fixtures"
RECORDED: dict[str, str] = json.loads((FIXTURES / "tensorflow_signatures.json").read_text())
CLASSES = {path: text for path, text in RECORDED.items() if path != "tensorflow"}


OTHERS = {
    "DType": "programs take tf.float32",
    "device": "takes whatever it is given",
    "container": "as device",
    "colocate_with": "as device",
    "get_local_variable": "takes the rest as get_variable does",
    "matrix_diag": "has the main diagonal",
    "matrix_diag_part": "as matrix_diag",
    "gfile.Exists": "io.gfile.exists has path",
    "Operation": "no program makes one",
    "Tensor": "as Operation",
    "VariableScope": "as Operation",
    "train.NewCheckpointReader": "its argument has another name",
    "train.update_checkpoint_state": "keeps no times",
}
"""Functions with other arguments, with the reason."""


def function_at(path: str) -> Any:
    module, _, name = path.rpartition(".")
    results: Any = tf
    for part in module.split("."):
        results = getattr(results, part)
    return getattr(results, name)


def test_the_table_is_tensorflows() -> None:
    assert {path.rpartition(".")[2]: text for path, text in CLASSES.items()} == SIGNATURES


@pytest.mark.parametrize("path", CLASSES)
def test_constructors_take_these_arguments_in_this_order(path: str) -> None:
    parameters = inspect.signature(function_at(path)).parameters.values()
    by_place = [item.replace(annotation=item.empty) for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD]
    assert ", ".join(map(str, by_place)) == CLASSES[path].removesuffix(", **kwargs")
    assert {item.name for item in parameters if item.kind is not item.POSITIONAL_OR_KEYWORD} <= {*LAYER}


def test_arguments_of_the_layer_of_a_cell() -> None:
    cell = tf.contrib.rnn.NASCell(3, name="own", dtype=tf.float32)
    assert cell.scope_name == "own"
    with pytest.raises(rg.CallError, match=r"NASCell takes 4 arguments by position, and 5 are given"):
        tf.contrib.rnn.NASCell(3, None, False, None, "own")


def test_sizes_of_a_block_cell() -> None:
    block = tf.contrib.rnn.GRUBlockCellV2
    assert block(3).num_units == block(None, 3).num_units == block(cell_size=3).num_units == 3
    with pytest.raises(rg.ArgumentError, match="needs num_units"):
        block(3, 3)


def test_arguments_of_attention_that_are_not_offered() -> None:
    memory = tf.placeholder(tf.float32, [None, 4, 3])
    assert tf.contrib.seq2seq.LuongAttention(3, memory, name="own").num_units == 3
    with pytest.raises(rg.ArgumentError, match=r"custom_key_value_fn=.* is not offered"):
        tf.contrib.seq2seq.BahdanauAttention(3, memory, custom_key_value_fn=print)
    with pytest.raises(rg.NotOfferedError, match="dtype=float64 differs from the memory's"):
        tf.contrib.seq2seq.BahdanauAttention(3, memory, dtype=tf.float64)


def test_arguments_of_all_functions_have_tensorflows_order() -> None:
    arguments: dict[str, str] = json.loads((FIXTURES / "tensorflow_arguments.json").read_text())
    del arguments["tensorflow"]
    other = []
    for path, names in arguments.items():
        item = function_at(path)
        if path in ("no_regularizer", *OTHERS) or (isinstance(item, type) and issubclass(item, Exception)):
            continue
        by_place = [
            name for name, one in inspect.signature(item).parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD
        ]
        if by_place[: names.count(" ") + 1] != names.split():
            other.append(path)
    assert other == []


def test_arguments_that_were_in_another_order() -> None:
    with tf.Session() as session:
        assert session.run(tf.atan2(y=[1.0], x=[2.0])).tolist() == [np.float32(np.arctan2(1.0, 2.0))]
        assert session.run(tf.count_nonzero(input=[1, 0, 2])) == 2
        assert session.run(tf.arg_max([[1, 3], [4, 2]], 1, tf.int32)).dtype == np.int32
        logits = np.array([[1.0, 2.0]], np.float32)
        results = session.run(tf.nn.softmax_cross_entropy_with_logits_v2(np.array([[0.0, 1.0]]), tf.constant(logits)))
    np.testing.assert_allclose(results, [np.log1p(np.exp(-1.0))], rtol=1e-6)


@pytest.mark.parametrize(("arguments", "variance"), [((), 2 / 400), ((1.0, "FAN_AVG", True), 1 / 300)])
def test_initial_values_of_contrib(arguments: Any, variance: float) -> None:
    tf.reset_default_graph()
    initializer = tf.contrib.layers.variance_scaling_initializer(*arguments)
    drawn = tf.get_variable("drawn", [400, 200], initializer=initializer)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert abs(session.run(drawn).var() / variance - 1) < 0.05
