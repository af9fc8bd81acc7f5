"""The constructors of cells and of attention beside the signatures that TensorFlow 1.15.5 has."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.tf1.ops.recurrent.signatures import LAYER, SIGNATURES

RECORDED: dict[str, str] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "tensorflow_signatures.json").read_text()
)
CLASSES = {path: text for path, text in RECORDED.items() if path != "tensorflow"}


def made(path: str) -> Any:
    module, _, name = path.rpartition(".")
    found: Any = tf
    for part in module.split("."):
        found = getattr(found, part)
    return getattr(found, name)


def test_the_table_is_tensorflows() -> None:
    assert {path.rpartition(".")[2]: text for path, text in CLASSES.items()} == SIGNATURES


@pytest.mark.parametrize("path", CLASSES)
def test_constructors_take_these_arguments_in_this_order(path: str) -> None:
    parameters = inspect.signature(made(path)).parameters.values()
    by_place = [item.replace(annotation=item.empty) for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD]
    assert ", ".join(map(str, by_place)) == CLASSES[path].removesuffix(", **kwargs")
    assert {item.name for item in parameters if item.kind is not item.POSITIONAL_OR_KEYWORD} <= {*LAYER}


def test_what_the_layer_of_a_cell_takes() -> None:
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
    with pytest.raises(rg.NotOfferedError, match="dtype=float64 is not the memory's"):
        tf.contrib.seq2seq.BahdanauAttention(3, memory, dtype=tf.float64)
