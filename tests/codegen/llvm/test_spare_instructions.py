"""LLVM text has no addresses that nothing reads, and no loops that never run."""

from __future__ import annotations

import re
from collections import Counter

import pytest

import rnngraph as rg

TARGETS = ("x86-64-v2", "x86-64-v4", "aarch64-linux", "wasm32")


def training_text(cell: rg.RNNCell, rows: int, target: str) -> str:
    """Return the LLVM text of the gradients of a layer with dropout, for a batch of ``rows`` rows."""
    x = rg.placeholder("x", (rows, None, 100))
    _, state = rg.dynamic_rnn(rg.DropoutWrapper(cell, input_keep_prob=0.5), x)
    last = state.h if isinstance(state, rg.LSTMStateTuple) else state
    loss = rg.reduce_mean(rg.square(rg.dense(last, 10)))
    return str(rg.compile({"y": last}, loss=loss, cache=False, target=target, threads=1).training.show("llvm"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("cell", [rg.LSTMCell, rg.GRUCell])
def test_every_address_is_read(cell: type[rg.RNNCell], target: str) -> None:
    text = training_text(cell(100), 4, target)
    spare = list[str]()
    for function in re.findall(r"^define .*?^}", text, re.MULTILINE | re.DOTALL):
        uses = Counter(re.findall(r"%[\w.]+", function))
        spare += [name for name in re.findall(r"(%[\w.]+) = getelementptr", function) if uses[name] == 1]
    assert spare == []


@pytest.mark.parametrize(("rows", "has_rest"), [(4, False), (6, False), (3, True), (1, True)])
def test_pairs_of_rows_leave_no_rest(rows: int, has_rest: bool) -> None:
    """Tiles of outer products add two rows at a time; of an even batch, no row of any step is left."""
    text = training_text(rg.LSTMCell(100), rows, "x86-64-v4")
    fills = re.compile(r"^; zeros .*?^}", re.MULTILINE | re.DOTALL)  # they divide an argument
    assert ("sdiv" in fills.sub("", text)) == has_rest


def test_fills_of_contiguous_memory_share_a_function() -> None:
    text = training_text(rg.LSTMCell(100), 4, "x86-64-v4")
    called = set(re.findall(r"; zeros .*\n  call void @(\w+)", text))
    assert len(called) == 1


def test_masks_have_as_many_lanes_as_the_numbers_they_compare() -> None:
    x = rg.placeholder("x", (2, None, 100))
    cells = [rg.DropoutWrapper(rg.BasicRNNCell(100), input_keep_prob=0.5) for _ in range(2)]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    program = rg.compile({"y": outputs}, loss=rg.reduce_mean(outputs), cache=False, target="x86-64-v4", threads=1)
    text = str(program.training.show("llvm"))
    assert set(re.findall(r"@random_uniform_\d+", text)) == {"@random_uniform_16"}
