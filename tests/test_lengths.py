"""Rows that have ended are not computed, which does not affect results: any padding gives equal bits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from native_calls import call_native
from teams import in_turns, share_everything

import rnngraph as rg
from rnngraph.codegen.analysis.row_independence import row_by_row
from rnngraph.codegen.analysis.row_lengths import RowLengths
from rnngraph.ir.text.parser import parse
from rnngraph.program.callable_graph import CallableGraph

ROWS, STEPS, WIDTH, UNITS = 7, 9, 3, 17
LENGTHS = {
    "mixed": [0, 1, 9, 5, 8, 3, 9],
    "short": [2, 1, 2, 0, 1, 2, 2],
    "all": [9] * 7,
    "none": [0] * 7,
}

CELLS: dict[str, Callable[[], Any]] = {
    "rnn": lambda: rg.BasicRNNCell(UNITS),
    "lstm": lambda: rg.LSTMCell(UNITS, use_peepholes=True, num_proj=UNITS - 2),
    "stack": lambda: rg.MultiRNNCell([rg.GRUCell(UNITS), rg.ResidualWrapper(rg.LSTMCell(UNITS))]),
    "dropout": lambda: rg.DropoutWrapper(
        rg.LSTMCell(UNITS), input_keep_prob=0.7, state_keep_prob=0.8, output_keep_prob=0.9
    ),
    "norm": lambda: rg.LayerNormBasicLSTMCell(UNITS),
}


def network(kind: str, both: bool = False, lengths: bool = True) -> rg.Program:
    x = rg.placeholder("x", (None, None, WIDTH))
    ids = rg.placeholder("ids", (None, None), "int64")
    n = rg.placeholder("n", (None,), "int64") if lengths else None
    sequence = rg.embedding(ids, 11, WIDTH) + x
    cell = CELLS[kind]
    if not both:
        outputs, state = rg.dynamic_rnn(cell(), sequence, sequence_length=n)
        return rg.compile({"outputs": outputs, "state": state}, loss=rg.reduce_mean(outputs * outputs), seed=0)
    (forward, backward), states = rg.bidirectional_dynamic_rnn(cell(), cell(), sequence, sequence_length=n)
    logits = rg.dense(rg.concat([forward, backward], axis=2), 5)
    return rg.compile({"logits": logits, "backward": backward, "state": states}, loss=rg.reduce_mean(logits * logits))


def feeds(lengths: list[int], seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    shape = len(lengths), STEPS
    x = rng.standard_normal((*shape, WIDTH)).astype("float32")
    return {"x": x, "ids": rng.integers(0, 11, shape), "n": np.asarray(lengths)}


def flat(value: Any, path: str = "") -> dict[str, np.ndarray]:
    if isinstance(value, Mapping):
        return {key: leaf for name, item in value.items() for key, leaf in flat(item, f"{path}/{name}").items()}
    if isinstance(value, tuple | list):
        return flat(dict(enumerate(value)), path)
    return {path: np.asarray(value)}


def results(program: rg.Program, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
    loss, gradients = program.training.gradients(**feeds, seed=3)
    actual = {"inference": dict(program.inference(**feeds)), "training": dict(program.training(**feeds, seed=3))}
    return flat({**actual, "loss": loss, "gradients": gradients})


@pytest.mark.parametrize(
    ("kind", "both"),
    [("rnn", False), ("lstm", True), ("dropout", False)]
    + [pytest.param(*case, marks=pytest.mark.exhaustive) for case in (("stack", False), ("norm", True))],
)
def test_the_bits_are_those_of_computing_all_rows(kind: str, both: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    program = network(kind, both)
    actual = {name: results(program, feeds(lengths)) for name, lengths in LENGTHS.items()}
    monkeypatch.setattr(RowLengths, "_drop_unfit_scans", lambda self, mask, scans: None)
    whole = network(kind, both)
    for name, array in program.parameters.items():
        whole.parameters[name] = array
    for name, lengths in LENGTHS.items():
        for key, array in results(whole, feeds(lengths)).items():
            np.testing.assert_array_equal(actual[name][key], array, err_msg=f"{name} {key}")


@pytest.mark.parametrize("kind", ["rnn", "stack"])
def test_each_row_is_as_alone_without_lengths(kind: str) -> None:
    inputs = feeds(LENGTHS["mixed"])
    program, alone = network(kind), network(kind, lengths=False)
    for name, array in program.parameters.items():
        alone.parameters[name] = array
    actual = program.inference(**inputs)
    for row, length in enumerate(LENGTHS["mixed"]):
        assert not actual["outputs"][row, length:].any()
        if length:
            part = {name: inputs[name][row : row + 1, :length] for name in ("x", "ids")}
            one = alone.inference(**part)
            np.testing.assert_array_equal(actual["outputs"][row, :length], one["outputs"][0])
            for key, array in flat(actual["state"]).items():
                np.testing.assert_array_equal(array[row], flat(one["state"])[key][0])


@pytest.mark.parametrize("both", [False, True], ids=["forward", "both"])
def test_steps_after_the_end_are_not_read(both: bool) -> None:
    program, inputs = network("stack", both), feeds(LENGTHS["mixed"])
    past = np.arange(STEPS)[None, :] >= inputs["n"][:, None]
    clean = results(program, {**inputs, "x": np.where(past[..., None], np.float32(0), inputs["x"])})
    for key, array in results(
        program, {**inputs, "x": np.where(past[..., None], np.float32(np.nan), inputs["x"])}
    ).items():
        np.testing.assert_array_equal(array, clean[key], err_msg=key)


@pytest.mark.parametrize(
    ("kind", "both", "parts", "fewest"),
    [
        pytest.param("norm", False, 3, 1, marks=pytest.mark.exhaustive),
        ("rnn", True, 3, 1),
        pytest.param("stack", True, 2, 100, marks=pytest.mark.exhaustive),
        pytest.param("stack", False, 3, 1, marks=pytest.mark.exhaustive),
    ],
)
def test_workers_compute_the_same_rows(
    kind: str, both: bool, parts: int, fewest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_everything(monkeypatch, parts, fewest)
    program = network(kind, both)
    counters = {"seed": 3, "first_row": 0, "first_step": 0}
    for graphs in (program.inference, program.training):
        compiled = graphs.full_graph()
        names = tuple(name for name, _ in compiled.graph.outputs)
        wanted = [str(node["label"]) for node in compiled.graph.inputs if node.op == "input"]
        for lengths in (LENGTHS["mixed"], LENGTHS["none"]):
            every = {**feeds(lengths), **{name: np.asarray(value) for name, value in counters.items()}}
            arrays = {name: every[name] for name in wanted}
            sizes = graphs.sizes(arrays, names, None, compiled)
            alone = call_native(compiled.entry(names, sizes), program.parameters, arrays, sizes)
            graph = compiled.sized(names, sizes)
            for reverse in (False, True):
                actual = in_turns(monkeypatch, graph, program.parameters, arrays, sizes, parts, reverse)
                for name, array in alone.items():
                    np.testing.assert_array_equal(actual[name], array, err_msg=f"{name} {reverse}")


def limits_of(graphs: CallableGraph) -> tuple[RowLengths, Any]:
    compiled = graphs.full_graph()
    names = tuple(name for name, _ in compiled.graph.outputs)
    graph = compiled.sized(names, {"B": ROWS})
    return RowLengths(graph), graph


@pytest.mark.parametrize("kind", CELLS)
def test_every_loop_sum_and_hoisted_product_leaves_rows_out(kind: str) -> None:
    program = network(kind, both=True)
    for graphs in (program.inference, program.training):
        limits, graph = limits_of(graphs)
        scans = [node for node in graph.nodes if node.op == "scan"]
        assert scans
        assert set(scans) == set(limits.scans)
        left = [node for node in scans if not row_by_row(node, limits.scans[node])]
        # the backward loop of layer normalization reduces over rows, so it skips only whole steps
        assert not left or kind == "norm"
        products = [node for node in graph.nodes if node.op == "matmul" and node not in limits.unread]
        assert {node.shape[-1] for node in products} == {5}  # a bias makes the products of ended rows nonzero
        sums = {node for node in graph.nodes if node.op in ("outer_sum", "scatter_add")}
        assert {node.shape[-1] for node in sums - set(limits.sums)} <= {5}  # outputs are stored batch-major there


WRITTEN = """\
graph written
  x = input : f32[T,7,4]
  n = input : i64[7,1]
  u = parameter : f32[4,4]
  iota = iota {size=T} : i64[T]
  t = reshape iota {shape=(T, 1, 1)} : i64[T,1,1]
  live = less t, n : bool[T,7,1]
  begin = broadcast f32(0.0) {shape=(7, 4)} : f32[7,4]
  loop = scan {length=T, reverse=False} : (f32[7,4], f32[T,7,4])
    carry h = begin : f32[7,4]
    over x_1 = x : f32[7,4]
    over live_1 = live : bool[7,1]
    with u_1 = u : f32[4,4]
    drive = matmul h, u_1, x_1 : f32[7,4]
    tanh = tanh drive : f32[7,4]
    held = select live_1, tanh, h : f32[7,4]
    next h = held
    emit tanh = tanh
  emit = get loop {index=1} : f32[T,7,4]
  masked = select live, emit, f32(0.0) : f32[T,7,4]
  h_1 = get loop {index=0} : f32[7,4]
  output 'h' = h_1
  output 'masked' = masked
"""
OTHERS = {
    "goes on": ("next h = held", "next h = tanh"),
    "shown": ("output 'masked' = masked", "output 'masked' = emit"),
    "shown beside": ("select live, emit, f32(0.0)", "select live, f32(0.0), emit"),
    "from the end": ("less t, n", "less n, t"),
    "of each step": ("n = input : i64[7,1]", "n = input : i64[T,7,1]"),
}


def test_rows_that_have_ended_are_left_out_together_with_a_mask() -> None:
    """Every loop of both graphs skips rows that have ended, even with a mask, and with outputs that are not states."""
    x = rg.placeholder("x", (None, None, WIDTH))
    m, n = rg.placeholder("m", (None, None), "bool"), rg.placeholder("n", (None,), "int64")
    cell = rg.OutputProjectionWrapper(rg.MultiRNNCell([rg.LSTMCell(UNITS), rg.GRUCell(UNITS)]), 5)
    outputs, _ = rg.dynamic_rnn(cell, x, n, mask=m)
    program = rg.compile({"outputs": outputs}, loss=rg.reduce_sum(rg.square(outputs)))
    for graphs in (program.inference, program.training):
        limits, graph = limits_of(graphs)
        scans = {node for node in graph.nodes if node.op == "scan"}
        assert scans
        assert scans == set(limits.scans)
        products = [node for node in graph.nodes if node.op == "matmul" and node not in limits.unread]
        assert {node.shape[-1] for node in products} <= {5}


def test_a_mask_is_recognised_by_its_use() -> None:
    graph = parse(WRITTEN)
    limits = RowLengths(graph)
    assert [node.name for node in limits.scans] == ["loop"]
    assert {node.name for node in limits.unread} >= {"emit", "x"}


@pytest.mark.parametrize("case", OTHERS)
def test_other_masks_skip_no_rows(case: str) -> None:
    old, new = OTHERS[case]
    assert old in WRITTEN
    assert not RowLengths(parse(WRITTEN.replace(old, new))).scans


@pytest.mark.parametrize("graph", ["inference", "training"])
def test_tiles_read_no_row_that_has_ended(graph: str) -> None:
    """Memory past a row's end is uninitialised. Denormal numbers there made steps 40 times as slow."""
    x, n = rg.placeholder("x", (11, None, 24)), rg.placeholder("n", (11,), "int64")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(96), x, sequence_length=n)
    program = rg.compile(outputs, loss=rg.reduce_mean(outputs), cache=False)
    text = getattr(program, graph).show("loops")
    assert re.search(r"active\d* = min r\d+\+1, ", text)
    assert not re.search(r"load m\d+\[r\d+\+\d+\] : i64", text)
