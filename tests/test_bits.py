"""Equal inputs give equal bits, for any batch and any partition of the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import own_cells
import pytest
from declaration_checks import flat, poisoned
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.codegen.machine.target import host
from rnngraph.ir.interpreter import interpret

Arrays = dict[str, np.ndarray]
WIDTH = 5

CELLS: dict[str, Callable[[], rg.Cell]] = {
    "rnn": lambda: rg.BasicRNNCell(7),
    "lstm": lambda: rg.LSTMCell(17, use_peepholes=True, cell_clip=1.0, num_proj=9),
    "gru": lambda: rg.MultiRNNCell([rg.GRUCell(9), rg.GRUCell(3, reset_after=True)]),
    "norm": lambda: own_cells.NormCell(7),
    "delay": lambda: rg.MultiRNNCell([own_cells.DelayCell(3), own_cells.SwapCell(5)]),
    "joined": lambda: rg.MultiRNNCell(
        [rg.BasicLSTMCell(7, state_is_tuple=False), rg.BasicRNNCell(3)], state_is_tuple=False
    ),
}


def declared(cell: rg.Cell, time: int | None = None, dtype: str = "float32", lengths: bool = False) -> dict[str, Any]:
    x = rg.placeholder("x", (None, time, WIDTH), dtype)
    n = rg.placeholder("n", (None,), "int64") if lengths else None
    outputs, state = rg.dynamic_rnn(cell, x, sequence_length=n)
    return {"outputs": outputs, "state": state, "logits": rg.softmax(rg.dense(outputs[:, -1], 3))}


def sequences(batch: int, time: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(batch * 100 + time).normal(size=(batch, time, WIDTH)).astype(dtype)


def same(a: Any, b: Any) -> None:
    first, second = flat(a), flat(b)
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert_array_equal(array, second[name], name)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_alone_and_among_others(name: str, dtype: str) -> None:
    program = rg.compile(declared(CELLS[name](), dtype=dtype))
    x = sequences(7, 5, dtype)
    whole = flat(program.inference(x=x))
    for rows in ([3], [1, 2], [0, 2, 4, 5, 6]):
        part = flat(program.inference(x=x[rows]))
        for key, array in part.items():
            assert_array_equal(array, whole[key][rows], key)


@pytest.mark.parametrize("name", CELLS)
def test_whole_and_steps_and_chunks(name: str) -> None:
    program = rg.compile(declared(CELLS[name]()))
    x = sequences(3, 7)
    with poisoned():
        whole = program.inference(x=x)
        stream = program.inference.stream(batch=3)
        steps = [stream.step(x=x[:, t]) for t in range(7)]
        assert_array_equal(np.stack([step["outputs"] for step in steps], 1), whole["outputs"])
        same(steps[-1]["state"], whole["state"])
        assert_array_equal(steps[-1]["logits"], whole["logits"])
        for size in (1, 2, 3, 7):
            stream.reset()
            chunks = [stream.process(x=x[:, t : t + size]) for t in range(0, 7, size)]
            assert_array_equal(np.concatenate([chunk["outputs"] for chunk in chunks], 1), whole["outputs"])
            same(chunks[-1]["state"], whole["state"])
        stream.reset()  # steps and chunks share one state
        parts = [stream.step(x=x[:, 0])["outputs"][:, None], stream.process(x=x[:, 1:4])["outputs"]]
        parts += [stream.step(x=x[:, t])["outputs"][:, None] for t in (4, 5)]
        parts.append(stream.process(x=x[:, 6:])["outputs"])
        assert_array_equal(np.concatenate(parts, 1), whole["outputs"])
        same(stream.state, whole["state"])


@pytest.mark.parametrize("name", ["lstm", "gru", "delay"])
def test_loop_and_unrolled(name: str) -> None:
    time, x = 7, sequences(2, 7)
    results = []
    for unroll in (None, 1, 2, 3, "full"):
        program = rg.compile(declared(CELLS[name](), time=time), unroll=unroll, seed=3)
        results.append(program.inference(x=x))
    for result in results[1:]:
        same(result, results[0])


def test_calls_repeat() -> None:
    program = rg.compile(declared(CELLS["lstm"]()))
    x = sequences(3, 5)
    first = program.inference(x=x)
    kept = {key: array.copy() for key, array in flat(first).items()}
    program.inference(x=x + 1)
    same(program.inference(x=x), first)
    for key, array in flat(first).items():  # later calls do not change earlier results
        assert_array_equal(array, kept[key])


def test_any_length_without_compiling_again() -> None:
    program = rg.compile(declared(CELLS["gru"]()))
    x = sequences(2, 40)
    whole = program.inference(x=x)
    entries = len(program.inference.compiled._entries)
    for time in (1, 2, 3, 8, 33):
        part = program.inference(x=x[:, :time])
        assert_array_equal(part["outputs"], whole["outputs"][:, :time])
    assert len(program.inference.compiled._entries) == entries


# Dropout ------------------------------------------------------------------------------------------


def dropped(variational: bool) -> rg.Cell:
    cells = [
        rg.DropoutWrapper(
            cell, input_keep_prob=0.7, output_keep_prob=0.6, state_keep_prob=0.8, variational_recurrent=variational
        )
        for cell in (rg.BasicRNNCell(9), rg.BasicLSTMCell(17))
    ]
    return rg.MultiRNNCell(cells)


@pytest.mark.parametrize("variational", [False, True])
def test_masks_of_a_split_call_are_the_whole_calls(variational: bool) -> None:
    program = rg.compile(declared(dropped(variational)))
    x = sequences(5, 6)
    whole = program.training(x=x, seed=11)
    masks = program.training.dropout_masks(x=x, seed=11)
    same(program.training(x=x, seed=11), whole)
    same(program.training.dropout_masks(x=x, seed=11), masks)
    for first in (0, 2, 4):
        part = program.training(x=x[first : first + 2], seed=11, first_row=first)
        assert_array_equal(part["outputs"], whole["outputs"][first : first + 2])
        some = program.training.dropout_masks(x=x[first : first + 2], seed=11, first_row=first)
        for site, mask in some.items():
            assert_array_equal(mask, masks[site][first : first + 2], site)
    late = program.training.dropout_masks(x=x[:, 4:], seed=11, first_step=4)
    for site, mask in late.items():
        assert_array_equal(mask, masks[site] if variational else masks[site][:, 4:], site)
    other = program.training.dropout_masks(x=x, seed=12)
    assert any(not np.array_equal(mask, masks[site]) for site, mask in other.items())


def test_a_call_split_over_steps() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    start = rg.placeholder("start", (None, 9))
    cell = rg.DropoutWrapper(rg.BasicRNNCell(9), input_keep_prob=0.5, state_keep_prob=0.5)
    outputs, state = rg.dynamic_rnn(cell, x, initial_state=start)
    program = rg.compile({"outputs": outputs, "state": state})
    feed, zeros = sequences(3, 7), np.zeros((3, 9), np.float32)
    whole = program.training(x=feed, start=zeros, seed=5)
    head = program.training(x=feed[:, :3], start=zeros, seed=5)
    tail = program.training(x=feed[:, 3:], start=head["state"], seed=5, first_step=3)
    assert_array_equal(np.concatenate([head["outputs"], tail["outputs"]], 1), whole["outputs"])
    assert_array_equal(tail["state"], whole["state"])


def test_masks_equal_those_of_the_call() -> None:
    """An identity cell shows its masks: dropped units are 0, and kept ones are divided by keep_prob."""
    x = rg.placeholder("x", (None, None, WIDTH))
    cell = rg.DropoutWrapper(own_cells.DelayCell(4), input_keep_prob=0.5)
    seen = rg.DropoutWrapper(cell, output_keep_prob=0.8)
    outputs, _ = rg.dynamic_rnn(seen, x)
    program = rg.compile(outputs)
    feed = np.abs(sequences(4, 6)) + 1
    values = program.training(x=feed, seed=3)
    masks = program.training.dropout_masks(x=feed, seed=3)
    output = masks["rnn/output"]
    assert_array_equal(values[:, 1:] != 0, output[:, 1:] == 1)
    assert 0.3 < np.mean(output) < 1.0


# How arrays lie in memory -------------------------------------------------------------------------

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "a slice of rows": lambda x: np.repeat(x, 3, axis=0)[::3],
    "a slice of steps": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "a slice of units": lambda x: np.repeat(x, 2, axis=2)[:, :, ::2],
    "columns of a wider array": lambda x: np.concatenate([x, x, x], 2)[:, :, x.shape[2] : 2 * x.shape[2]],
    "time-major": lambda x: np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1),
    "rows from last to first": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "steps from last to first": lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
    "units from last to first": lambda x: np.ascontiguousarray(x[:, :, ::-1])[:, :, ::-1],
    "Fortran order": np.asfortranarray,
    "the other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "not aligned": lambda x: _shifted(x),
    "read-only": lambda x: _frozen(x),
    "nested lists": lambda x: x.tolist(),
    "float64": lambda x: x.astype(np.float64),
    "one row repeated": lambda x: np.broadcast_to(x[:1], x.shape),
}


def _shifted(x: np.ndarray) -> np.ndarray:
    raw = np.zeros(x.nbytes + 1, np.uint8)
    moved = raw[1:].view(x.dtype).reshape(x.shape)
    moved[...] = x
    return moved


def _frozen(x: np.ndarray) -> np.ndarray:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


@pytest.mark.parametrize("layout", LAYOUTS)
def test_feeds_of_any_layout(layout: str) -> None:
    program = _layout_program()
    x = sequences(4, 5)
    if layout == "one row repeated":
        x = np.repeat(x[:1], 4, axis=0)
    fed = LAYOUTS[layout](x)
    same(program.inference(x=fed), program.inference(x=x))
    stream = program.inference.stream(batch=4)
    if isinstance(fed, np.ndarray):
        last = [stream.step(x=fed[:, t]) for t in range(5)][-1]
        same(last["state"], program.inference(x=x)["state"])


def _layout_program(cached: list[rg.Program] = []) -> rg.Program:  # noqa: B006  (compiled once)
    if not cached:
        cached.append(rg.compile(declared(CELLS["gru"]()), seed=1))
    return cached[0]


@pytest.mark.parametrize(
    "layout", ["a slice of rows", "time-major", "Fortran order", "a slice of units", "not aligned"]
)
def test_results_in_arrays_of_any_layout(layout: str) -> None:
    program = _layout_program()
    x = sequences(4, 5)
    expected = program.inference(x=x)
    outputs = LAYOUTS[layout](np.full((4, 5, 3), 9, np.float32))
    logits = np.full((4, 3), 9, np.float32)
    result = program.inference(x=x, out={"outputs": outputs, "logits": logits})
    assert result["outputs"] is outputs
    assert result["logits"] is logits
    assert_array_equal(outputs, expected["outputs"])
    assert_array_equal(logits, expected["logits"])
    same(result["state"], expected["state"])


def test_results_in_two_parts_of_one_array() -> None:
    x = rg.placeholder("x", (None, 3))
    program = rg.compile({"one": x * 2, "two": x * 3})
    both = np.zeros((4, 6), np.float32)
    program.inference(x=np.ones((4, 3)), out={"one": both[:, :3], "two": both[:, 3:]})
    assert_array_equal(both, np.repeat(np.array([[2, 3]], np.float32), 3, axis=1).repeat(4, axis=0))


def test_results_over_the_fed_array() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(WIDTH), x)
    program = rg.compile(outputs)
    feed = sequences(3, 6)
    expected = program.inference(x=feed)
    assert program.inference(x=feed, out=feed) is feed
    assert_array_equal(feed, expected)


# Long sequences -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lstm", "gru", "joined", "norm"])
def test_sequences_longer_than_a_chunk(name: str) -> None:
    """A long sequence consists of several chunks, which affect neither bits nor values."""
    cell = {"lstm": lambda: rg.LSTMCell(65, num_proj=33), "gru": lambda: rg.GRUCell(100), **CELLS}[name]()
    program = rg.compile(declared(cell))
    time = 2 * _chunk(program, sequences(2, 3)) + 331  # the chunk length depends on the machine's caches
    x = sequences(2, time)
    with poisoned():
        whole = program.inference(x=x)
        stream = program.inference.stream(batch=2)
        parts = [stream.process(x=x[:, t : t + 700]) for t in range(0, time, 700)]
    assert_array_equal(np.concatenate([part["outputs"] for part in parts], 1), whole["outputs"])
    same(stream.state, whole["state"])
    graph = program.inference.graph
    expected = interpret(graph, {"x": x[:, :300], **program.parameters}, wide=True)
    assert np.abs(whole["outputs"][:, :300] - expected["outputs"]).max() < 1e-4


def _chunk(program: rg.Program, x: np.ndarray) -> int:
    """Return the program's longest chunk, from the text of its loops."""
    program.inference(x=x)
    actual = [line for line in program.inference.show("loops").splitlines() if "steps at a time" in line]
    return min(int(line.rpartition(", ")[2].split()[0]) for line in actual)


def test_long_sequences_backward_with_lengths_and_dropout() -> None:
    x = rg.placeholder("x", (None, None, WIDTH))
    n = rg.placeholder("n", (None,), "int64")
    forward = rg.DropoutWrapper(rg.GRUCell(33), input_keep_prob=0.8, state_keep_prob=0.9)
    (fw, bw), states = rg.bidirectional_dynamic_rnn(forward, rg.BasicLSTMCell(25), x, sequence_length=n)
    program = rg.compile({"both": rg.concat([fw, bw], -1), "states": states, "mean": rg.reduce_mean(bw, 1)})
    feeds = {"x": sequences(3, 2600), "n": np.array([2600, 1, 1999])}
    with poisoned():
        result = flat(program.training(**feeds, seed=3))
        for row in range(3):
            one = {"x": feeds["x"][row : row + 1], "n": feeds["n"][row : row + 1]}
            alone = flat(program.training(one, seed=3, first_row=row))
            for key, array in alone.items():
                assert_array_equal(array, result[key][row : row + 1], key)
    short = {"x": feeds["x"][:, :400], "n": np.minimum(feeds["n"], 400)}
    counters = {"seed": 3, "first_row": 0, "first_step": 0}
    expected = interpret(program.training.graph, {**short, **counters, **program.parameters}, wide=True)
    for key, array in flat(program.training(**short, seed=3)).items():
        assert np.abs(array - expected[key]).max() < 1e-4, key


CUT = [1.0, 2.0**24, 1.0, -(2.0**24), 1.0, 0.0, 1.0, 0.0, 1.0]
"""The sum in order is 3 in float32; the sums of even and odd entries are 5 and 0."""


@pytest.mark.skipif(host().registers <= 16, reason="sums are cut where there are registers to spare")
@pytest.mark.parametrize(("width", "total"), [(1, 5.0), (17, 5.0), (64, 5.0), (65, 3.0), (256, 3.0)])
@pytest.mark.parametrize("batch", [1, 2, 7, 32])
def test_a_sum_is_cut_by_the_shape_of_its_weights_alone(width: int, total: float, batch: int) -> None:
    x = rg.placeholder("x", (None, None, len(CUT)))
    weights = rg.constant(np.ones((len(CUT), width), np.float32))
    program = rg.compile(x @ weights, cache=False)
    feed = np.broadcast_to(np.array(CUT, np.float32), (batch, 3, len(CUT)))
    assert_array_equal(program.inference(x=feed), np.full((batch, 3, width), total, np.float32))
