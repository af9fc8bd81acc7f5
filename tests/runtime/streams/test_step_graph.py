"""Step graphs of nets without a recurrence: time and batch axes, and nets that can't be streamed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import Instance, program_of
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.runtime.calls.random_feeds import random_feeds

BATCH, TIME, WIDTH = 2, 6, 3
Feeds = Mapping[str, np.ndarray]
Case = tuple[Any, Feeds]


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


X = normal(BATCH, TIME, WIDTH)


def sequence(name: str = "x", shape: Any = (None, None, WIDTH)) -> rg.Tensor:
    return rg.placeholder(name, shape)


def two_inputs() -> Case:
    y = rg.dense(sequence(), 2) + rg.dense(sequence("z"), 2, name="other")
    return y, {"x": X, "z": normal(BATCH, TIME, WIDTH + 0) * 2}


def rows_of_a_table() -> Case:
    ids = rg.placeholder("ids", (None, None), "int64")
    return rg.embedding(ids, 12, 4), {"ids": np.arange(BATCH * TIME).reshape(BATCH, TIME)}


def merged_rows() -> Case:
    """Return sums of values of merged rows and steps, which may round once or twice."""
    x = sequence("x", ("B", "T", WIDTH))
    rows = rg.reshape(x, (-1, WIDTH))
    scaled = rg.reshape(rows * rg.parameter("g", (WIDTH,), "ones") * 1.3, ("B", -1, WIDTH))
    return rg.dense(x + scaled, 3) + rg.reshape(rg.dense(rows, 3, name="other"), ("B", -1, 3)), {"x": X}


def merged_rows_twice() -> Case:
    """Return a sum over an axis that an earlier layer split into groups, of merged rows and steps."""
    x = sequence("x", ("B", "T", WIDTH))
    wide = rg.dense(x, 6)
    grouped = rg.reshape(rg.group_norm(rg.reshape(wide, (-1, 6)), 2, axis=1), ("B", -1, 6))
    return rg.reshape(rg.layer_norm(rg.reshape(grouped + wide, (-1, 6))), ("B", -1, 6)), {"x": X}


class Idle(rg.Cell):
    """Cell whose outputs need no state, so that they are computed outside of the loop."""

    def state(self) -> Any:
        return {"h": 2}

    def step(self, p: rg.Scope, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        return x @ p.kernel("w", (x.width, 4)), {"h": state["h"]}


CASES: dict[str, Callable[[], Case]] = {
    "dense": lambda: (rg.dense(sequence(), 2), {"x": X}),
    "named sizes": lambda: (rg.dense(sequence("x", ("rows", "steps", WIDTH)), 2), {"x": X}),
    "a fixed batch": lambda: (rg.dense(sequence("x", (BATCH, None, WIDTH)), 2), {"x": X}),
    "softmax": lambda: (rg.softmax(sequence()), {"x": X}),
    "two inputs": two_inputs,
    "a table": rows_of_a_table,
    "the last step": lambda: (rg.dense(sequence()[:, -1], 2), {"x": X}),
    "merged rows and steps": merged_rows,
    "merged rows and steps twice": merged_rows_twice,
    "a causal convolution": lambda: (rg.conv1d(sequence(), 2, 3), {"x": X}),
    "a cell without use for its state": lambda: (rg.dynamic_rnn(Idle(), sequence())[0], {"x": X}),
}


@pytest.mark.parametrize("case", CASES)
def test_steps_and_chunks_have_the_bits_of_the_whole_sequence(case: str) -> None:
    output, feeds = CASES[case]()
    program = program_of(output)
    whole = np.asarray(program.inference(feeds))
    stream = program.inference.stream(batch=BATCH)
    steps = [stream.step({name: array[:, step] for name, array in feeds.items()}) for step in range(TIME)]
    stream.reset()
    chunks = [
        stream.process({name: array[:, part] for name, array in feeds.items()}) for part in (slice(4), slice(4, 6))
    ]
    if whole.ndim == 2:
        assert_array_equal(steps[-1], whole)
        assert_array_equal(chunks[-1], whole)
        return
    assert_array_equal(np.stack(steps, 1), whole)
    assert_array_equal(np.concatenate(chunks, 1), whole)
    assert stream.process({name: array[:, :0] for name, array in feeds.items()}).shape == (BATCH, 0, whole.shape[2])
    with pytest.raises(rg.ShapeError, match=r"this stream runs 2 rows|axis 0 must be 2"):
        stream.step({name: np.concatenate([array, array])[:3, 0] for name, array in feeds.items()})


@pytest.mark.parametrize("case", CASES)
def test_an_export_has_the_bits_of_the_whole_sequence(case: str, tmp_path: Path) -> None:
    output, feeds = CASES[case]()
    program = program_of(output)
    whole = np.asarray(program.inference(feeds))
    program.inference.export(tmp_path, "net", batch=BATCH, link=False)
    net = Instance(tmp_path, "net", program.target)
    assert "equal at all steps" not in (tmp_path / "net.h").read_text()
    steps = [net.step(**{name: array[:, step] for name, array in feeds.items()})["output"] for step in range(TIME)]
    net.reset()
    assert_array_equal(np.stack(steps, 1) if whole.ndim == 3 else steps[-1], whole)
    assert_array_equal(net.process(TIME, **feeds)["output"], whole)
    if shutil.which("cc") and case in ("dense", "the last step"):
        command = ["cc", "net_test.c", "net.o", "-lm", "-o", "test"]
        subprocess.run(command, cwd=tmp_path, check=True)
        process = subprocess.run(["./test"], cwd=tmp_path, check=False, capture_output=True, text=True)
        assert process.stdout == "ok, largest difference 0\n"


NEEDS_OTHERS: dict[str, tuple[Callable[[rg.Tensor], rg.Tensor], str]] = {
    "twice as many steps": (lambda x: rg.concat([x, x], 1), "sequences are concatenated along time"),
    "a mean": (lambda x: rg.reduce_mean(x, 1), "reduce_sum runs over time"),
    "softmax over time": (lambda x: rg.softmax(x, 1), "reduce_max runs over time"),
    "the second step": (lambda x: x[:, 1] + 0.0, "a slice 1:2 over time"),
    "steps in the order of entries": (
        lambda _: rg.reshape(sequence("named", ("B", "T", WIDTH)) + 0.0, ("B", WIDTH, "T")),
        "reshape runs over time",
    ),
    "rows and steps": (lambda x: rg.reshape(x, (-1, WIDTH)) * 2.0, "reshape joins steps with another axis"),
}


@pytest.mark.parametrize("case", NEEDS_OTHERS)
def test_ops_that_need_other_steps_are_rejected_with_their_line(case: str, tmp_path: Path) -> None:
    declare, why = NEEDS_OTHERS[case]
    program = program_of(declare(sequence()))
    here = r"test_step_graph\.py:\d+"
    words = rf"{here}: .*{re.escape(why)}.*{here}; nothing recurs here, so time is the second"
    with pytest.raises(rg.GraphError, match=words):
        program.inference.stream()
    with pytest.raises(rg.GraphError, match=words):
        program.inference.export(tmp_path / "out", "net")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_window_of_a_fixed_length_is_no_sequence(padding: str, tmp_path: Path) -> None:
    program = program_of(rg.conv1d(sequence("x", (None, TIME, WIDTH)), 2, 3, padding=padding))
    program.inference.export(tmp_path, "net", batch=BATCH, link=False)
    whole = program.inference(x=X)
    assert_array_equal(Instance(tmp_path, "net", program.target).step(x=X)["output"], whole)
    assert_array_equal(program.inference.stream(batch=BATCH).step(x=X), whole)


def test_feeds_determine_the_number_of_rows(tmp_path: Path) -> None:
    program = program_of(rg.dense(sequence("x", (4, None, WIDTH)), 2))
    for make in (program.inference.stream, lambda: program.inference.export(tmp_path / "out", "net")):
        with pytest.raises(rg.ShapeError, match="declared for a batch of 4, not 1"):
            make()
    wide = program_of(rg.dense(sequence("x", (None, None, None, WIDTH)), 2))
    with pytest.raises(rg.ShapeError, match="x has the symbolic size x_2, which is neither the batch nor time"):
        wide.inference.export(tmp_path / "out", "net")
    x = normal(BATCH, TIME, 5, WIDTH)
    assert_array_equal(wide.inference.stream(batch=BATCH).process(x=x), wide.inference(x=x))


def test_rows_of_a_stream_without_recurrences() -> None:
    program = program_of(rg.dense(sequence(), 2))
    whole = program.inference(x=X)
    actual = program.inference.stream(batch=BATCH).step(x=X[:, 3], rows=[1])
    assert_array_equal(actual, np.stack([np.zeros(2, np.float32), whole[1, 3]]))


def test_bench_counts_steps_without_recurrences() -> None:
    program = program_of(rg.dense(sequence(), 2))
    assert random_feeds(program.inference.compiled, 2, 50)["x"].shape == (2, 50, WIDTH)


def test_a_self_test_has_feeds_that_differ_everywhere_and_expects_the_whole_sequence(tmp_path: Path) -> None:
    x, ids = sequence(), rg.placeholder("ids", (None, None), "int64")
    gate = rg.placeholder("gate", (None, None, 1), "bool")
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), rg.concat([x, rg.embedding(ids, 50, 2)], 2))
    program = program_of(rg.where(gate, outputs, -outputs))
    program.inference.export(tmp_path, "net", batch=3, link=False)
    text = (tmp_path / "net_test.c").read_text()

    def array(name: str, shape: tuple[int, ...]) -> np.ndarray:
        match = re.search(rf"{name}\[\] = {{(.*?)}}", text, re.S)
        assert match is not None
        return np.array([float(item) for item in match[1].split(",")]).reshape(shape)

    feeds = {"x": array("in_x", (3, 7, WIDTH)).astype("f"), "ids": array("in_ids", (3, 7)).astype("i8")}
    feeds["gate"] = array("in_gate", (3, 7, 1)).astype(bool)
    assert np.unique(feeds["x"]).size == feeds["x"].size
    assert np.unique(feeds["ids"]).size == feeds["ids"].size
    assert 0 < feeds["gate"].sum() < feeds["gate"].size
    assert_array_equal(array("expected_output", (3, 7, 4)).astype("f"), program.inference(feeds))
