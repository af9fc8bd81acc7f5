"""Exported nets: the bits of the compiled program, for any memory, steps and entry point."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import own_cells
import pytest
from exported import Instance, flat, object_name, program_of
from numpy.testing import assert_array_equal
from systems import runs

import rnngraph as rg
from rnngraph.codegen.machine.target import host
from rnngraph.runtime.parameters import Parameters

GENERATOR = np.random.default_rng(3)
LEVELS = [name for name in ("x86-64-v2", "x86-64-v3", "x86-64-v4") if runs(name)]
only_x86 = pytest.mark.skipif(not host().triple.startswith("x86_64"), reason="levels are of x86-64")


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    return GENERATOR.standard_normal(shape).astype(dtype)


def stack(units: int = 7, width: int = 5) -> dict[str, rg.Tensor]:
    x = rg.placeholder("x", shape=(None, None, width))
    cells = [rg.BasicLSTMCell(units), rg.DropoutWrapper(rg.GRUCell(units + 2), input_keep_prob=0.5)]
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    return {"y": rg.dense(outputs, 3), "last": outputs[:, -1], "states": states}


def one(cell: Any, width: int = 5, dtype: str = "float32", **options: Any) -> Any:
    x = rg.placeholder("x", shape=(None, None, width), dtype=dtype)
    return rg.dynamic_rnn(cell, x, **options)[0]


class Started(rg.Cell):
    """Cell with a learned initial state."""

    def state(self) -> Any:
        return {"h": 6}

    def initial_state(self, p: Any) -> Any:
        return {"h": rg.tanh(p.bias("start", (6,)) + 0.3)}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> Any:
        h = rg.tanh(x @ p.kernel("w", (x.width, 6)) + state["h"] @ p.kernel("u", (6, 6)))
        return h, {"h": h}


CASES: dict[str, Callable[[], Any]] = {
    "stack": stack,
    "wide": lambda: one(rg.LSTMCell(63, use_peepholes=True, num_proj=17), 25),
    "one unit": lambda: one(rg.BasicRNNCell(1), 1),
    "reset after": lambda: one(rg.GRUCell(25, reset_after=True), 3),
    "layer norm": lambda: one(rg.LayerNormBasicLSTMCell(17)),
    "own": lambda: one(own_cells.GatedCell(9)),
    "norm": lambda: one(own_cells.NormCell(9)),
    "learned start": lambda: one(Started()),
    "float64": lambda: one(rg.GRUCell(7), dtype="float64"),
    "residual": lambda: one(rg.ResidualWrapper(rg.HighwayWrapper(rg.GRUCell(5)))),
}


def check_same(program: Any, directory: Path, batch: int, width: int, dtype: str = "float32", **weights: Any) -> None:
    """Compare steps, blocks and a restored state with the program's own call."""
    x = normal(batch, 9, width, dtype=dtype)
    expected = program.inference(x=x)
    expected = {"output": expected} if isinstance(expected, np.ndarray) else flat(expected)
    net = Instance(directory, "net", program.target, odd=4, **weights)
    begin = net.state
    results = [net.step(x=x[:, step]) for step in range(9)]
    end = net.state
    for name, array in expected.items():
        actual = [result.get(name, next(iter(result.values()))) for result in results]
        shown = np.stack(actual, 1) if array.ndim == 3 and array.shape[1] == 9 else actual[-1]
        assert_array_equal(shown, array, err_msg=name, strict=True)
    net.reset()
    assert net.state == begin
    first, second = net.process(4, x=x[:, :4]), net.process(5, x=x[:, 4:])
    assert net.state == end
    for name, array in expected.items():
        parts = [part.get(name, next(iter(part.values()))) for part in (first, second)]
        whole = np.concatenate(parts, 1) if array.ndim == 3 and array.shape[1] == 9 else parts[1]
        assert_array_equal(whole, array, err_msg=name, strict=True)
    net.process(0, x=x[:, :0])
    assert net.state == end
    check_rows(net, begin, end, x, results)


def check_rows(net: Instance, begin: bytes, end: bytes, x: np.ndarray, expected: list[dict[str, np.ndarray]]) -> None:
    """Compare rows of a table of states, which begin at different times, with a separate instance."""
    table, count = np.frombuffer(begin * 4, np.uint8).copy().reshape(4, -1), len(expected)
    for turn in range(count + 2):
        now = {row: turn - late for row, late in ((3, 0), (0, 2)) if 0 <= turn - late < count}
        actual = net.step_rows(table, [*now], x=np.stack([x[:, step] for step in now.values()]))
        for place, step in enumerate(now.values()):
            for name, array in expected[step].items():
                assert_array_equal(actual[name][place], array, err_msg=name, strict=True)
    assert [row.tobytes() for row in table] == [end, begin, begin, end]
    net.step_rows(table, [], x=np.zeros((0, *x[:, 0].shape)))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_the_same_bits(case: str, batch: int, tmp_path: Path) -> None:
    program = program_of(CASES[case]())
    (shape,) = (node.shape for node in program.inference.graph.inputs if node.get("label") == "x")
    dtype = "float64" if case == "float64" else "float32"
    program.inference.export(tmp_path, "net", batch=batch, link=False)
    check_same(program, tmp_path, batch, int(shape[-1]), dtype)


@only_x86
@pytest.mark.parametrize("level", LEVELS)
def test_the_same_bits_at_a_level(level: str, tmp_path: Path) -> None:
    program = program_of(stack(), target=level)
    program.inference.export(tmp_path, "net", link=False)
    check_same(program, tmp_path, 1, 5)


@pytest.mark.parametrize(
    ("weights", "activations"),
    [("bfloat16", "float32"), pytest.param("int8", "float32", marks=pytest.mark.exhaustive), ("int8", "int8")],
)
def test_narrow_weights(weights: str, activations: str, tmp_path: Path) -> None:
    program = program_of(one(rg.GRUCell(100), 100), weights=weights, activations=activations)
    program.inference.export(tmp_path, "net", link=False)
    check_same(program, tmp_path, 1, 100)


def test_feeds_without_a_time_axis(tmp_path: Path) -> None:
    x, knob = rg.placeholder("x", shape=(None, None, 3)), rg.placeholder("knob", shape=(None, 2))
    ids = rg.placeholder("ids", shape=(None, None), dtype="int64")
    gate = rg.placeholder("gate", shape=(None, None, 1), dtype="bool")
    start = rg.placeholder("start", shape=(None, 7))
    joined = rg.concat([x, rg.embedding(ids, 11, 4)], 2)
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(7), joined, initial_state=start)
    held_feeds = rg.expand_dims(rg.dense(knob, 7), 1)
    program = program_of({"y": rg.where(gate, outputs * held_feeds, outputs)})
    feeds = {"x": normal(3, 5, 3), "knob": normal(3, 2), "start": normal(3, 7)}
    feeds |= {"ids": GENERATOR.integers(0, 11, (3, 5)), "gate": GENERATOR.integers(0, 2, (3, 5, 1)).astype(bool)}
    expected = program.inference(feeds)["y"]
    program.inference.export(tmp_path, "net", batch=3, link=False)
    net = Instance(tmp_path, "net", host(), start=feeds.pop("start"))
    assert_array_equal(net.process(5, **feeds)["y"], expected, strict=True)
    net.reset()
    for step in range(5):
        now = {name: array if name == "knob" else array[:, step] for name, array in feeds.items()}
        assert_array_equal(net.step(**now)["y"], expected[:, step], strict=True)
    net.reset()
    table = np.frombuffer(net.state, np.uint8).copy()[None]
    for step in range(5):
        now = {name: (array if name == "knob" else array[:, step])[None] for name, array in feeds.items()}
        assert_array_equal(net.step_rows(table, [0], **now)["y"], expected[None, :, step], strict=True)


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_feeds_of_one_number(tmp_path: Path) -> None:
    x, knob = rg.placeholder("x", shape=(None, None, 3)), rg.placeholder("knob", shape=())
    gains = rg.placeholder("gains", shape=(None,))  # one for each step, shared by all rows
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x, time_major=True)
    program = program_of({"y": outputs * knob * rg.reshape(gains, (-1, 1, 1))})
    feeds = {"x": normal(5, 2, 3), "knob": np.float32(0.3), "gains": normal(5)}
    expected = program.inference(feeds)["y"]
    program.inference.export(tmp_path, "net", batch=2)
    net = Instance(tmp_path, "net", host())
    assert_array_equal(net.process(5, **feeds)["y"], expected, strict=True)
    np.savez(tmp_path / "feeds.npz", **feeds)
    script = """
import numpy as np, net
feeds, model = dict(np.load("feeds.npz")), net.Model()
knob = feeds.pop("knob")
steps = [model.step(knob=knob, **{name: array[step] for name, array in feeds.items()})["y"] for step in range(5)]
np.save("steps.npy", steps)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, env={"PATH": ""})
    assert_array_equal(np.load(tmp_path / "steps.npy"), expected, strict=True)


def test_time_first_and_defaults(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, None, 4))
    gain = rg.placeholder_with_default("gain", np.float32(1.5)) if hasattr(rg, "placeholder_with_default") else None
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(6), x, time_major=True)
    program = program_of(outputs if gain is None else outputs * gain)
    program.inference.export(tmp_path, "net", batch=2, link=False)
    feed = normal(7, 2, 4)
    net = Instance(tmp_path, "net", host())
    assert_array_equal(next(iter(net.process(7, x=feed).values())), program.inference(x=feed), strict=True)


def test_no_recurrence_at_all(tmp_path: Path) -> None:
    program = program_of(rg.dense(rg.placeholder("x", shape=(None, 4)), 3, activation="relu"))
    program.inference.export(tmp_path, "net", batch=2, link=False)
    feed = normal(2, 4)
    net = Instance(tmp_path, "net", host())
    assert_array_equal(next(iter(net.step(x=feed).values())), program.inference(x=feed), strict=True)
    assert net.state == b""


# Weights passed at run time ------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["stack", "wide", "learned start", "norm"])
def test_weights_passed_at_run_time(case: str, tmp_path: Path) -> None:
    program = program_of(CASES[case]())
    (shape,) = (node.shape for node in program.inference.graph.inputs if node.get("label") == "x")
    program.inference.export(tmp_path, "net", weights="external", link=False)
    for seed in (1, 2):
        program.initialize(seed)
        for name, array in program.parameters.items():  # initial biases of zero would hide a swap
            program.parameters[name] = array + normal(*array.shape) * 0.1
        program.parameters.save(tmp_path / "w.safetensors")
        arrays = [
            program.parameters[item["name"]] for item in json.loads((tmp_path / "net.json").read_text())["parameters"]
        ]
        canonical = b"".join(array.tobytes() for array in arrays)
        for image in (canonical, (tmp_path / "w.safetensors").read_bytes()):
            check_same(program, tmp_path, 1, int(shape[-1]), weights=image)


def test_wrong_weights_are_refused(tmp_path: Path) -> None:
    program = program_of(stack())
    program.inference.export(tmp_path, "net", weights="external", link=False)
    image = (tmp_path / "net.safetensors").read_bytes()
    net = Instance(tmp_path, "net", host(), weights=image)
    before = net.packed.copy()
    length = int.from_bytes(image[:8], "little")
    header = json.loads(image[8 : 8 + length])
    wrong: list[bytes] = [b"", b"x", image[:7], image[:100], image[:-4], b"\xff" * 64, image[:8] + b" " * length]

    def again(change: Callable[[dict[str, Any]], Any]) -> bytes:
        described = json.loads(json.dumps(header))
        change(described)
        text = json.dumps(described).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + image[8 + length :]

    name = next(iter(program.parameters))
    wrong.append(again(lambda all_of: all_of.pop(name)))
    wrong.append(again(lambda all_of: all_of[name].update(dtype="F16")))
    wrong.append(again(lambda all_of: all_of[name].update(data_offsets=[0, 4])))
    wrong.append(again(lambda all_of: all_of[name].update(data_offsets=[10**9, 10**9 + 4])))
    wrong.append(
        again(lambda all_of: all_of[name].update(data_offsets=[2 + at for at in all_of[name]["data_offsets"]]))
    )
    for data in wrong:
        assert net.set_weights(net.packed, data) == 2
        assert_array_equal(net.packed, before)
    reordered = again(lambda all_of: [all_of.update({key: all_of.pop(key)}) for key in sorted(all_of, reverse=True)])
    assert net.set_weights(net.packed, reordered) == 0
    assert_array_equal(net.packed, before)


def test_weights_are_swapped_between_steps(tmp_path: Path) -> None:
    program = program_of(stack())
    program.inference.export(tmp_path, "net", weights="external", link=False)
    first = (tmp_path / "net.safetensors").read_bytes()
    net = Instance(tmp_path, "net", host(), weights=first)
    stream = program.inference.stream()
    x = normal(1, 5)
    assert_array_equal(net.step(x=x)["y"], stream.step(x=x)["y"])
    program.initialize(9)
    program.parameters.save(tmp_path / "w.safetensors")
    other = np.zeros_like(net.packed)
    assert net.set_weights(other, (tmp_path / "w.safetensors").read_bytes()) == 0
    net.function("use_weights")(net.memory, other.ctypes.data)
    assert_array_equal(net.step(x=x)["y"], stream.step(x=x)["y"])


# Several levels in one object ----------------------------------------------------------------------


@only_x86
@pytest.mark.parametrize("weights", ["embedded", "external"])
def test_levels_in_one_object(weights: str, tmp_path: Path) -> None:
    program = program_of(stack())
    program.inference.export(tmp_path, "net", dispatch=True, weights=weights, link=False)
    same = program_of(stack(), target=LEVELS[-1])
    same.parameters.load(dict(program.parameters))
    weights_argument = {"weights": (tmp_path / "net.safetensors").read_bytes()} if weights == "external" else {}
    x = normal(1, 9, 5)
    net = Instance(tmp_path, "net", host(), **weights_argument)
    assert_array_equal(net.process(9, x=x)["y"], same.inference(x=x)["y"], strict=True)


@only_x86
@pytest.mark.parametrize("number", range(len(LEVELS)))
def test_each_level_runs(number: int, tmp_path: Path) -> None:
    """Each level's code runs; the test selects it by overwriting the variant's number in the header."""
    program = program_of(stack())
    program.inference.export(tmp_path, "net", dispatch=True, link=False)
    same = program_of(stack(), target=LEVELS[number])
    same.parameters.load(dict(program.parameters))
    net = Instance(tmp_path, "net", host())
    net.room[8] = number
    x = normal(1, 9, 5)
    assert_array_equal(net.process(9, x=x)["y"], same.inference(x=x)["y"], strict=True)


# Files ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.parametrize("options", [{}, {"batch": 3}, {"weights": "external"}, {"dispatch": True}])
def test_the_self_test_builds_and_passes(options: dict[str, Any], tmp_path: Path) -> None:
    program = program_of(stack())
    program.inference.export(tmp_path, "net", **options)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run(["cc", *flags, "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
    done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "ok, largest difference 0"
    undefined = subprocess.run(["nm", "-u", "net.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert undefined.stdout == ""
    shown = subprocess.run(["nm", "-g", "net.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert all(line.split()[1:][0] == "T" and line.split()[2].startswith("net_") for line in shown.stdout.splitlines())
    every = subprocess.run(["nm", "net.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "net.entry" not in every.stdout  # steps and blocks inline their entries
    text = (tmp_path / "net_test.c").read_text()
    changed = text.replace("expected_y[] = {\n    ", "expected_y[] = {\n    1 + ", 1)
    assert changed != text
    (tmp_path / "net_test.c").write_text(changed)
    subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
    assert subprocess.run(["./test"], cwd=tmp_path, check=False, capture_output=True).returncode == 1


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.parametrize("weights", ["embedded", "external"])
def test_the_python_module(weights: str, tmp_path: Path) -> None:
    program = program_of(stack())
    program.inference.export(tmp_path, "net", weights=weights)
    x = normal(1, 6, 5)
    np.save(tmp_path / "x.npy", x)
    argument = "'net.safetensors'" if weights == "external" else ""
    script = f"""
import sys, numpy as np, net
assert "rnngraph" not in sys.modules and "llvmlite" not in sys.modules
x, m = np.load("x.npy"), net.Model({argument})
whole = m.process(x=x)["y"]
m.reset()
first = m.step(x=x[:, 0])["y"]
saved = m.state
m.process(x=x[:, 1:])
m.state = saved
rest = m.process(x=x[:, 1:])["y"]
np.save("whole.npy", whole)
np.save("parts.npy", np.concatenate([first[:, None], rest], 1))
m.reset()
table = m.states(3)
rows = [m.step_rows(table, [2, 0], x=np.stack([x[:, step]] * 2))["y"] for step in range(6)]
np.save("rows.npy", np.stack(rows, 2))
for wrong in ([0, 0], [3]):
    try:
        m.step_rows(table, wrong, x=np.stack([x[:, 0]] * len(wrong)))
    except ValueError:
        continue
    raise AssertionError(wrong)
for wrong in (dict(x=x[0]), dict(y=x), dict()):
    try:
        m.process(**wrong)
    except (ValueError, TypeError):
        continue
    raise AssertionError(wrong)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, env={"PATH": ""})
    expected = program.inference(x=x)["y"]
    assert_array_equal(np.load(tmp_path / "whole.npy"), expected, strict=True)
    assert_array_equal(np.load(tmp_path / "parts.npy"), expected, strict=True)
    assert_array_equal(np.load(tmp_path / "rows.npy"), np.stack([expected] * 2), strict=True)


def test_the_object_is_the_same_each_time(tmp_path: Path) -> None:
    program = program_of(stack())
    hashes = []
    for folder in ("a", "b"):
        program.inference.export(tmp_path / folder, "net", link=False)
        hashes.append((tmp_path / folder / object_name("net")).read_bytes())
    assert hashes[0] == hashes[1]


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.parametrize("weights", ["embedded", "external"])
def test_names_and_numbers_that_c_could_stumble_over(weights: str, tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x)
    names = (
        "X NULL EOF int32_t size_t unix linux and concept NET_BATCH NET_X_STEP INT32_MAX a*/b /* stdout errno I Größe"
    )
    results = {name: outputs * float(number) for number, name in enumerate([*names.split(), "two\nlines", "end\\"])}
    program = program_of({**results, "infinite": outputs / 0.0, "nan": (outputs - outputs) / 0.0})
    program.inference.export(tmp_path, "net", weights=weights, link=False)
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
    for dialect in ("c99", "gnu11"):
        command = ["cc", f"-std={dialect}", *flags, "net_test.c", "net.o", "-o", "test"]
        subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "ok, largest difference 0"
    (tmp_path / "use.cpp").write_text('#include <cstdio>\n#include <complex>\n#include "net.h"\n')
    if shutil.which("c++"):
        subprocess.run(["c++", "-std=c++11", *flags, "-fsyntax-only", "use.cpp"], cwd=tmp_path, check=True)


def test_the_weights_are_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export has the weights of one moment, even if another thread trains during the export."""
    program = program_of(stack())
    program.inference.export(tmp_path / "still", "net", link=False)
    changing, snapshot = program_of(stack()), Parameters.snapshot
    changing.parameters.load(dict(program.parameters))

    def trained(parameters: Parameters) -> Any:
        result = snapshot(parameters)
        name = next(iter(parameters))
        parameters[name] = parameters[name] + 1
        return result

    monkeypatch.setattr(Parameters, "snapshot", trained)
    changing.inference.export(tmp_path / "trained", "net", link=False)
    for file in (object_name("net"), "net_test.c"):
        assert (tmp_path / "still" / file).read_bytes() == (tmp_path / "trained" / file).read_bytes()


def test_names_are_converted_to_valid_c_names(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, None, 3))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x)
    program = program_of({"float": outputs, "a b": outputs * 2, "a_b": outputs * 3, "9": outputs + 1, "x": -outputs})
    program.inference.export(tmp_path, "net", link=False)
    symbols = [port["symbol"] for port in json.loads((tmp_path / "net.json").read_text())["outputs"]]
    assert len({*symbols, "x"}) == 6
    assert all(symbol.isidentifier() and symbol != "float" for symbol in symbols)


# Mistakes ------------------------------------------------------------------------------------------


def test_graphs_that_can_not_be_exported_raise_errors_with_the_reason(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, None, 3))
    backward = rg.bidirectional_dynamic_rnn(rg.GRUCell(4), rg.GRUCell(4), x)[0][1]
    with pytest.raises(rg.RnnGraphError, match=r"test_export.py:\d+: this graph can't be streamed.*--form sequence"):
        program_of(backward).inference.export(tmp_path, "net")
    memory = rg.placeholder("memory", shape=(None, None, 4))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(4), x)
    program = program_of(outputs + rg.expand_dims(rg.reduce_sum(memory, 1), 1))
    with pytest.raises(rg.RnnGraphError, match=r"memory has the symbolic size .*declare the placeholder with an int"):
        program.inference.export(tmp_path, "net")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "9net"}, "can't begin C names"),
        ({"name": "a-b"}, "can't begin C names"),
        ({"name": None}, "can't begin C names"),
        ({"name": "net\n"}, "can't begin C names"),
        ({"batch": 0}, "at least 1"),
        ({"batch": True}, "must be an int"),
        ({"target": "pdp11"}, "unknown target"),
        ({"weights": "bfloat16"}, "not offered"),
        ({"dispatch": True, "target": "x86-64-v3"}, "leave target out"),
        ({"directory": 3}, "3 is not a path"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    program = program_of(one(rg.BasicRNNCell(3)))
    arguments = {"directory": tmp_path, "name": "net", **options}
    with pytest.raises(rg.RnnGraphError, match=words):
        program.inference.export(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(rg.RnnGraphError, match="can't write"):
        program_of(one(rg.BasicRNNCell(3))).inference.export(tmp_path / "file", "net")


# Shared panels -------------------------------------------------------------------------------------

LARGE: dict[str, Callable[[], Any]] = {
    "reset after": lambda: one(rg.GRUCell(130, reset_after=True), 70),
    "reset before": lambda: one(rg.GRUCell(135), 70),
    "lstm": lambda: one(rg.LSTMCell(100, use_peepholes=True, num_proj=90), 110),
    "rnn": lambda: one(rg.BasicRNNCell(200), 130),
    "two layers": lambda: one(rg.MultiRNNCell([rg.BasicLSTMCell(96), rg.GRUCell(128)]), 64),
}
PADDED = 1.12
"""Maximum ratio of packed weights to weights, for widths that are no multiple of a vector."""


def exhaustive(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.exhaustive)


@pytest.mark.parametrize(
    ("case", "target", "weights"),
    [
        ("reset after", "host", "embedded"),
        *(exhaustive(case, level, "embedded") for case in LARGE for level in ["host", *LEVELS]),
        *(exhaustive(case, "host", "external") for case in LARGE),
    ],
)
def test_a_step_and_a_block_read_the_same_weights(case: str, target: str, weights: str, tmp_path: Path) -> None:
    program = program_of(LARGE[case](), target=target)
    exported = program.inference.export(tmp_path, "net", weights=weights, link=False)
    size = sum(array.nbytes for array in program.parameters.values())
    image = {"weights": (tmp_path / "net.safetensors").read_bytes()} if weights == "external" else {}
    packed = json.loads((tmp_path / "net.json").read_text()).get("weights_size", exported.object_size - 50_000)
    assert size / 2 < packed < PADDED * size
    (shape,) = (node.shape for node in program.inference.graph.inputs if node.get("label") == "x")
    check_same(program, tmp_path, 1, int(shape[-1]), **image)


@pytest.mark.parametrize("target", ["aarch64-linux", "wasm32-simd128", "armv7-linux", "x86-64-v2"])
def test_weights_are_there_once_on_other_processors(target: str, tmp_path: Path) -> None:
    program = program_of(one(rg.GRUCell(100, reset_after=True), 100))
    exported = program.inference.export(tmp_path, "net", target=target, link=False)
    assert exported.object_size < sum(array.nbytes for array in program.parameters.values()) * PADDED + 50_000
