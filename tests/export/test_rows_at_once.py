"""``NAME_step_rows`` of exports with ``rows=``: several streams at once, each with the bits that it has alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import Instance, program_of
from numpy.testing import assert_array_equal

import rnngraph as rg

STREAMS = 9
Declaration = Callable[[], Any]


def placeholder(width: int = 3, dtype: str = "float32") -> rg.Tensor:
    return rg.placeholder("x", (None, None, width), dtype)


def stack() -> Any:
    cells = [rg.LSTMCell(17, use_peepholes=True, num_proj=5), rg.ResidualWrapper(rg.GRUCell(5)), rg.BasicRNNCell(1)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), placeholder())
    return {"y": rg.dense(outputs, 2), "states": states}


def convolutions() -> Any:
    """Declare a causal convolution with two input entries for each step, and a GRU."""
    value = rg.relu(rg.conv1d(placeholder(), 7, 5, strides=2, padding="causal"))
    return {"y": rg.dynamic_rnn(rg.GRUCell(4, reset_after=True), value)[0]}


def ahead() -> Any:
    return {"y": rg.conv1d(rg.dynamic_rnn(rg.GRUCell(4), placeholder())[0], 3, 3, padding="same")}


def time_major() -> Any:
    x = rg.placeholder("x", (None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), rg.transpose(x, (1, 0, 2)), time_major=True)
    return {"y": outputs * 2.0}  # [steps, rows, units]


CASES: dict[str, Declaration] = {
    "stack": stack,
    "convolutions": convolutions,
    "ahead": ahead,
    "time major": time_major,
    "float64": lambda: {"y": rg.dynamic_rnn(rg.LayerNormBasicLSTMCell(7), placeholder(dtype="float64"))[0]},
    "large": lambda: {"y": rg.dynamic_rnn(rg.LSTMCell(100), placeholder(25))[0]},
    "no state": lambda: {"y": rg.tanh(rg.dense(placeholder(), 4))},
}


def check(program: rg.Program, folder: Path, maximum: int, **weights: Any) -> None:
    """Compare streams that begin, step and pause at different times with an instance for each."""
    kind = program.inference.input_types()["x"]
    rate = program.inference.stream().rate
    nets = [Instance(folder, "net", program.target, **weights) for _ in range(STREAMS)]
    shared = Instance(folder, "net", program.target, odd=4, **weights)
    table = np.frombuffer(shared.state * STREAMS, np.uint8).copy().reshape(STREAMS, -1)
    draw = np.random.default_rng(maximum)
    shape = (1, rate, kind.shape[-1]) if rate > 1 else (1, kind.shape[-1])
    for count in (0, 1, maximum - 1, maximum, maximum + 1, STREAMS, 2, STREAMS):
        rows = [*map(int, draw.permutation(STREAMS)[:count])]
        x = draw.standard_normal((count, *shape)).astype(kind.dtype)
        actual = shared.step_rows(table, rows, x=x)
        for place, row in enumerate(rows):
            for name, array in nets[row].step(x=x[place]).items():
                assert_array_equal(actual[name][place], array, err_msg=name, strict=True)
    assert [row.tobytes() for row in table] == [net.state for net in nets]


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", CASES)
def test_the_bits_of_a_stream_alone(case: str, tmp_path: Path) -> None:
    program = program_of(CASES[case]())
    exported = program.inference.export(tmp_path, "net", rows=4, link=False)
    check(program, tmp_path, 4)
    assert json.loads((tmp_path / "net.json").read_text())["rows"] == 4
    assert "up to 4 at once" in (tmp_path / "net.h").read_text()
    assert exported.state_size > program.inference.export(tmp_path / "alone", "net", link=False).state_size


@pytest.mark.exhaustive
@pytest.mark.parametrize(("target", "rows"), [("x86-64-v2", 3), ("host", 7)])
def test_weights_that_are_set_after_init(target: str, rows: int, tmp_path: Path) -> None:
    program = program_of(stack(), target=target)
    program.inference.export(tmp_path, "net", rows=rows, weights="external", link=False)
    check(program, tmp_path, rows, weights=(tmp_path / "net.safetensors").read_bytes())


def test_a_net_that_returns_its_states(tmp_path: Path) -> None:
    """Rows step together in a net whose call is one step and returns its states, as in files of other formats."""
    x, h = rg.placeholder("x", (None, 6)), rg.placeholder("h", (1, None, 4))
    after = rg.tanh(rg.dense(x, 4) + rg.dense(h[0], 4))
    program = rg.compile({"y": rg.dense(after, 2), "next": after[None]}, states={"next": h}, seed=1)
    program.inference.export(tmp_path, "net", rows=4, link=False)
    check(program, tmp_path, 4)


def test_the_self_test_and_the_module(tmp_path: Path) -> None:
    program = program_of(stack())
    written = program.inference.export(tmp_path, "net", rows=2)
    if "net.py" not in written.files:
        pytest.skip("needs a C compiler")
    command = ["cc", "-std=c99", "-Wall", "-Werror", "net_test.c", "net.o", "-lm", "-o", "test"]
    subprocess.run(command, cwd=tmp_path, check=True)
    output = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert output == "ok, largest difference 0\n"
    script = """
import numpy as np, net
m, x = net.Model(), np.random.default_rng(0).normal(size=(5, 1, 3)).astype("f")
table = m.states(5)
found = m.step_rows(table, [4, 2, 0, 1, 3], x=x)["y"]
for row, one in zip(x, found):
    m.reset()
    np.testing.assert_array_equal(m.step(x=row)["y"], one)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    ("declaration", "options", "error", "message"),
    [
        (lambda: {"y": (x := placeholder()) - rg.reduce_mean(x, 0, keepdims=True)}, {}, rg.GraphError, "mixes rows"),
        (
            lambda: {"y": placeholder() * rg.placeholder("knob", ())},
            {},
            rg.GraphError,
            "knob f32.*not that of the streams",
        ),
        (lambda: {"y": placeholder() * 2.0}, {"batch": 2}, rg.ArgumentError, "streams of one row"),
        (lambda: {"y": placeholder() * 2.0}, {"form": "sequence"}, rg.ArgumentError, "streams of one row"),
        (lambda: {"y": placeholder() * 2.0}, {"rows": 0}, rg.ArgumentError, "rows of an exported net"),
    ],
)
def test_nets_that_can_not_step_rows_at_once_are_rejected(
    declaration: Declaration, options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=rf"test_rows_at_once\.py:\d+: .*{message}"):
        program_of(declaration()).inference.export(tmp_path, "net", **{"rows": 4, **options})
    assert [*tmp_path.iterdir()] == []
