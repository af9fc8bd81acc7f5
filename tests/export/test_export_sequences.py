"""Nets exported for whole sequences: the compiled program's bits at any sizes, and safety."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import Sequence, flat, object_name, program_of
from numpy.testing import assert_array_equal
from systems import runs

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.codegen.machine.target import host
from rnngraph.ir.sizes.parser import parse_dim
from rnngraph.ir.types import evaluate

GENERATOR = np.random.default_rng(5)
LEVELS = [name for name in ("x86-64-v2", "x86-64-v3", "x86-64-v4") if runs(name)]
FLAGS = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
MOST = 2**64 - 1
exhaustive = partial(pytest.param, marks=pytest.mark.exhaustive)
only_x86 = pytest.mark.skipif(not host().triple.startswith("x86_64"), reason="levels are of x86-64")
needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")


def two_directions(units: int = 7, width: int = 5) -> dict[str, Any]:
    x = rg.placeholder("x", shape=(None, None, width))
    n = rg.placeholder("n", shape=(None,), dtype="int32")
    cells = rg.LSTMCell(units), rg.DropoutWrapper(rg.GRUCell(units), input_keep_prob=0.5)
    (forward, backward), states = rg.bidirectional_dynamic_rnn(*cells, x, sequence_length=n)
    return {"y": rg.dense(rg.concat([forward, backward], 2), 3), "states": states}


def pooled(units: int = 7, width: int = 5) -> dict[str, Any]:
    """Declare attention over time, and the maximum over time."""
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(units), rg.placeholder("x", shape=(None, None, width)))
    shares = rg.softmax(rg.dense(rg.tanh(rg.dense(outputs, 6)), 1), 1)
    return {"y": rg.dense(rg.reduce_sum(outputs * shares, 1), 3), "largest": rg.reduce_max(outputs, 1)}


def front_end(units: int = 7, width: int = 5) -> dict[str, Any]:
    """Declare convolutions that look ahead, around a bidirectional net."""
    x = rg.placeholder("x", shape=(None, None, width))
    features = rg.conv1d(rg.conv1d(x, 6, 3, padding="same", activation="relu"), 4, 5, padding="same")
    outputs, _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(units), rg.GRUCell(units), features)
    return {"y": rg.dense(rg.concat(outputs, 2), 3)}


def strided(units: int = 7, width: int = 5) -> dict[str, Any]:
    """Declare a front end that keeps every sixth step, before a bidirectional net."""
    x = rg.placeholder("x", shape=(None, None, width))
    features = rg.conv1d(rg.conv1d(x, 6, 5, padding="same", strides=3), 4, 3, strides=2, activation="tanh")
    outputs, _ = rg.bidirectional_dynamic_rnn(rg.LSTMCell(units), rg.GRUCell(units), features)
    return {"y": rg.dense(rg.concat(outputs, 2), 3), "largest": rg.reduce_max(rg.max_pool1d(x, 3, padding="same"), 1)}


def translation(units: int = 7, width: int = 5) -> dict[str, Any]:
    """Declare an encoder, and a decoder of another length that attends to it."""
    x = rg.placeholder("x", shape=(None, None, width))
    z = rg.placeholder("z", shape=(None, "steps_out", 4))
    n = rg.placeholder("n", shape=(None,), dtype="int32")
    memory, _ = rg.dynamic_rnn(rg.GRUCell(units), x, sequence_length=n)
    first = rg.AttentionWrapper(rg.GRUCell(units), rg.BahdanauAttention(6, memory, memory_sequence_length=n))
    second = rg.AttentionWrapper(rg.LSTMCell(units), rg.LuongAttention(units, memory, memory_sequence_length=n))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([first, second]), z)
    return {"y": rg.dense(outputs, 3)}


def words(units: int = 7, width: int = 5) -> dict[str, Any]:
    """Declare rows of a table, a knob, and a placeholder with a default."""
    ids = rg.placeholder("ids", shape=(None, None), dtype="int64")
    knob = rg.placeholder("knob", shape=(None, 2))
    gain = tf.placeholder_with_default(np.float32(1.5), (), "gain")
    outputs, state = rg.dynamic_rnn(rg.GRUCell(units), rg.embedding(ids, 11, width), time_major=False)
    return {"y": outputs[:, ::-1] * rg.expand_dims(rg.dense(knob, units), 1) * gain, "state": state}


def attentive(units: int = 7, width: int = 5) -> dict[str, Any]:
    """Declare self-attention with two heads, then attention to a fed memory of another length, transposed."""
    x, z = rg.placeholder("x", shape=(None, None, width)), rg.placeholder("z", shape=(None, "steps_out", units))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(2 * units), x)
    heads = rg.transpose(rg.reshape(outputs, (-1, x.shape[1], 2, units)), (0, 2, 1, 3))
    read = rg.softmax(heads @ rg.transpose(heads, (0, 1, 3, 2))) @ heads
    turned = rg.transpose(rg.tanh(rg.dense(z, units)), (0, 2, 1))
    return {"y": rg.softmax(read[:, 0] @ turned) @ z, "largest": rg.reduce_max(read[:, 1] @ turned, 2)}


CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "two directions": two_directions,
    "pooled": pooled,
    "front end": front_end,
    "strided": strided,
    "translation": translation,
    "attentive": attentive,
    "words": words,
}
SIZES = ((3, 7, 2), (3, 1, 17), (1, 25, 1))
MORE_SIZES = (*SIZES, (17, 25, 5), (2, 100, 17), (7, 3, 63), (63, 2, 3))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[rg.Program, Path]]:
    """Return a function from a case's name to its program and exported folder, cached."""

    @cache
    def made(case: str) -> tuple[rg.Program, Path]:
        program, folder = program_of(CASES[case]()), tmp_path_factory.mktemp("exported")
        program.inference.export(folder, "net", form="sequence", link=False)
        return program, folder

    return made


Exported = Callable[[str], tuple[rg.Program, Path]]


def arrays(program: rg.Program, batch: int, steps: int, others: int = 3) -> dict[str, np.ndarray]:
    """Return feeds for the symbolic sizes in their shapes."""
    results: dict[str, np.ndarray] = {}
    for name, kind in program.inference.compiled.input_types().items():
        if name == "gain":
            continue
        sizes = {"B": batch, "T": steps, "steps_out": others}
        shape = [sizes.get(str(dim), dim) for dim in kind.shape]
        high = {"n": steps + 1, "ids": 11}.get(name)
        results[name] = (GENERATOR.normal(size=shape) if high is None else GENERATOR.integers(0, high, shape)).astype(
            kind.dtype
        )
    return results


def result_of(program: rg.Program, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return flat(program.inference(feeds))


def check_same(net: Sequence, program: rg.Program, sizes: tuple[tuple[int, int, int], ...] = SIZES) -> None:
    for call_sizes in sizes:
        feeds = arrays(program, *call_sizes)
        actual, expected = net.run(feeds), result_of(program, feeds)
        assert actual.keys() == expected.keys()
        for name, array in expected.items():
            assert_array_equal(actual[name], array, err_msg=f"{name} at {call_sizes}", strict=True)


@pytest.mark.parametrize("case", CASES)
def test_the_same_bits(case: str, exported: Exported) -> None:
    program, folder = exported(case)
    check_same(Sequence(folder, "net", host(), odd=4), program)


@pytest.mark.exhaustive
@pytest.mark.parametrize("units", [1, 3, 17, 63, 100])
@pytest.mark.parametrize("case", CASES)
def test_the_same_bits_at_more_sizes(case: str, units: int, tmp_path: Path) -> None:
    program = program_of(CASES[case](units, 25))
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    check_same(Sequence(tmp_path, "net", host(), odd=4), program, MORE_SIZES)


@pytest.mark.parametrize("case", [case if case == "pooled" else exhaustive(case) for case in CASES])
def test_the_same_bits_of_a_batch_that_is_known(case: str, tmp_path: Path) -> None:
    program = program_of(CASES[case](25, 3))
    program.inference.export(tmp_path, "net", form="sequence", batch=3, link=False)
    net = Sequence(tmp_path, "net", host())
    check_same(net, program, ((3, 7, 2), (3, 1, 5)))
    assert net.call([2, *[7] * (len(net.names) - 1)], [None] * 9) == 1


@only_x86
@pytest.mark.exhaustive
@pytest.mark.parametrize("level", LEVELS)
def test_the_same_bits_at_a_level(level: str, tmp_path: Path) -> None:
    program = program_of(two_directions(63, 17), target=level)
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    check_same(Sequence(tmp_path, "net", program.target), program)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("weights", "activations"), [("bfloat16", "float32"), ("int8", "float32"), ("int8", "int8")])
def test_narrow_weights(weights: str, activations: str, tmp_path: Path) -> None:
    program = program_of(two_directions(100, 100), weights=weights, activations=activations)
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    check_same(Sequence(tmp_path, "net", host()), program, ((1, 3, 1), (3, 7, 2)))


def test_float64_and_time_first(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, None, 3), dtype="float64")
    outputs, _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(5), rg.GRUCell(5), x, time_major=True)
    program = program_of({"y": rg.reduce_mean(rg.concat(outputs, 2), 0)})
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    net = Sequence(tmp_path, "net", host())
    assert [port["shape"] for port in net.about["inputs"]] == [["steps", "batch", 3]]
    feed = GENERATOR.normal(size=(9, 2, 3))
    assert_array_equal(net.run({"x": feed})["y"], program.inference(x=feed)["y"], strict=True)


def test_a_null_pointer_selects_the_default(exported: Exported) -> None:
    program, folder = exported("words")
    net = Sequence(folder, "net", host())
    feeds = arrays(program, 3, 7)
    louder = feeds | {"gain": np.asarray(2.5, np.float32)}
    assert_array_equal(net.run(louder)["y"], program.inference(louder)["y"], strict=True)


def test_a_stream_and_a_sequence_of_one_net_agree(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, None, 5))
    program = program_of({"y": rg.dynamic_rnn(rg.LSTMCell(17), x)[0]})
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    feeds = {"x": GENERATOR.normal(size=(2, 9, 5)).astype(np.float32)}
    actual = Sequence(tmp_path, "net", host()).run(feeds)["y"]
    assert_array_equal(actual, program.inference.stream(batch=2).process(x=feeds["x"])["y"], strict=True)


# Sizes ---------------------------------------------------------------------------------------------


def described(folder: Path) -> tuple[list[Any], dict[str, Any]]:
    """Return sizes and shapes from an export's description."""
    about = json.loads((folder / "net.json").read_text())
    return about["sizes"], {port["name"]: port["shape"] for port in [*about["inputs"], *about["outputs"]]}


def test_sizes_are_arguments_by_their_names(exported: Exported) -> None:
    sizes, shapes = described(exported("translation")[1])
    assert sizes == [{"name": "batch"}, {"name": "steps"}, {"name": "steps_out"}]
    assert shapes == {
        "x": ["batch", "steps", 5],
        "n": ["batch"],
        "z": ["batch", "steps_out", 4],
        "y": ["batch", "steps_out", 3],
    }


def test_sizes_that_are_numbers_stay_arguments(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(3, 20, 4))
    outputs, _ = rg.bidirectional_dynamic_rnn(rg.GRUCell(5), rg.GRUCell(5), x)
    program_of({"y": outputs[1]}).inference.export(tmp_path, "net", form="sequence", link=False)
    sizes, shapes = described(tmp_path)
    assert sizes == [{"name": "batch", "fixed": 3}, {"name": "steps", "fixed": 20}]
    assert shapes == {"x": [3, 20, 4], "y": [3, 20, 5]}
    net = Sequence(tmp_path, "net", host())
    assert net.number("scratch_size", 3, 20) < MOST
    assert net.number("scratch_size", 3, 19) == net.number("scratch_size", 2, 20) == MOST


def test_a_net_without_steps_takes_any(tmp_path: Path) -> None:
    program = program_of({"y": rg.dense(rg.placeholder("x", shape=(None, 4)), 3)})
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    net = Sequence(tmp_path, "net", host())
    feeds = {"x": GENERATOR.normal(size=(7, 4)).astype(np.float32)}
    for steps in (0, 1, 9):
        assert_array_equal(net.run(feeds, steps=steps)["y"], program.inference(feeds)["y"], strict=True)


def test_sizes_that_follow_are_formulas(tmp_path: Path) -> None:
    """Sizes of results are formulas, such as 2 * steps - 8. Too few steps for one window are refused."""
    x = rg.placeholder("x", shape=(None, None, 4))
    y = rg.conv1d(x, 3, 5, padding="valid")
    program = program_of({"y": rg.concat([y, rg.dynamic_rnn(rg.GRUCell(3), y)[0][:, ::-1]], 1)})
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    net = Sequence(tmp_path, "net", host())
    assert net.about["outputs"][0]["shape"] == ["batch", "2*steps-8", 3]
    for batch, steps in ((1, 4), (3, 5), (2, 25)):
        feeds = {"x": GENERATOR.normal(size=(batch, steps, 4)).astype(np.float32)}
        assert_array_equal(net.run(feeds)["y"], program.inference(feeds)["y"], strict=True)
    for steps in (0, 1, 3):
        assert net.number("scratch_size", 1, steps) == MOST
        assert net.call([1, steps], [None, None, None]) == 1
    assert "(size_t)2 * (size_t)(steps) - (size_t)8" in (tmp_path / "net.h").read_text()


def test_joined_sizes_that_only_a_call_can_tell(tmp_path: Path) -> None:
    """Flattened logits of all steps and a feed of equal length share one size argument."""
    x, y = rg.placeholder("x", (None, None, 4)), rg.placeholder("y", (None, None))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(5), x)
    flat_sum = rg.reshape(outputs, [-1, 5]) * rg.reshape(y, [-1, 1])
    program = program_of({"sum": flat_sum})
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    sizes, shapes = described(tmp_path)
    assert [size["name"] for size in sizes] == ["batch", "steps"]
    assert shapes["y"] == ["batch", "steps"]
    feeds = {"x": GENERATOR.normal(size=(3, 7, 4)).astype(np.float32)}
    feeds["y"] = GENERATOR.normal(size=(3, 7)).astype(np.float32)
    actual = Sequence(tmp_path, "net", host()).run(feeds)["sum"]
    assert_array_equal(actual, program.inference(feeds)["sum"], strict=True)


def test_no_rows_and_no_steps(exported: Exported) -> None:
    program, folder = exported("two directions")
    net = Sequence(folder, "net", host())
    feeds = arrays(program, 3, 0)
    actual, expected = net.run(feeds), result_of(program, feeds)
    for name, array in expected.items():
        assert_array_equal(actual[name], array, strict=True)
    assert {name: array.size for name, array in net.run(arrays(program, 0, 7)).items()} == dict.fromkeys(actual, 0)


def test_columns_of_one_matrix_are_open(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, None, 3))
    turned = rg.transpose(rg.dynamic_rnn(rg.GRUCell(4), x)[0][0])
    program = program_of({"y": rg.parameter("w", (5, 4)) @ turned})
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    check_same(Sequence(tmp_path, "net", host()), program, ((1, 1, 1), (2, 17, 1), (1, 0, 1)))


HUGE = (2**31, 2**32, 2**40, 2**40 + 1, 2**61, 2**62, 2**63 - 1, 2**63, MOST)


@pytest.mark.parametrize("case", CASES)
def test_sizes_too_large_for_memory_are_refused(case: str, exported: Exported) -> None:
    """Sizes beyond memory are refused before any access: all arrays are null pointers here."""
    net = Sequence(exported(case)[1], "net", host())
    arrays_of_net = [None] * (len(net.about["inputs"]) + len(net.about["outputs"]) + 1)
    others = [2] * (len(net.names) - 2)
    for batch in (0, 1, 3, *HUGE):
        for steps in (1, 7, *HUGE):
            counts = [batch, steps, *others]
            if batch <= 3 and steps <= 7:
                continue
            if net.number("scratch_size", *counts) == MOST:
                assert net.call(counts, arrays_of_net) == 1
            else:
                assert batch * steps * 3 <= 2**40
    for counts in ([MOST] * len(net.names), [1, 1, MOST][: len(net.names)] if others else [MOST, MOST]):
        assert net.number("scratch_size", *counts) == MOST


@pytest.mark.parametrize("case", CASES)
def test_scratch_is_the_formula_that_is_written(case: str, exported: Exported) -> None:
    net = Sequence(exported(case)[1], "net", host())
    (formula,) = net.about["scratch_size"]
    for batch, steps, others in (*MORE_SIZES, (0, 0, 0), (1000, 1000, 9)):
        sizes = dict(zip(net.names, (batch, steps, others), strict=False))
        assert net.number("scratch_size", *sizes.values()) == evaluate(parse_dim(formula), sizes)


# Weights, levels, files ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["two directions", exhaustive("translation")])
def test_weights_passed_at_run_time(case: str, tmp_path: Path) -> None:
    program = program_of(CASES[case]())
    program.inference.export(tmp_path, "net", form="sequence", weights="external", link=False)
    for seed in (1, 2):
        program.initialize(seed)
        program.parameters.save(tmp_path / "w.safetensors")
        net = Sequence(tmp_path, "net", host(), weights=(tmp_path / "w.safetensors").read_bytes(), odd=seed)
        check_same(net, program, ((3, 7, 2), (1, 1, 1)))


@only_x86
@pytest.mark.parametrize("weights", ["embedded", exhaustive("external")])
def test_levels_in_one_object(weights: str, tmp_path: Path) -> None:
    program = program_of(pooled())
    program.inference.export(tmp_path, "net", form="sequence", dispatch=True, weights=weights, link=False)
    same = program_of(pooled(), target=LEVELS[-1])
    same.parameters.load(dict(program.parameters))
    image = (tmp_path / "net.safetensors").read_bytes() if weights == "external" else None
    net = Sequence(tmp_path, "net", host(), weights=image)
    check_same(net, same)
    formulas = net.about["scratch_size"]
    assert len(formulas) == 3
    maximum = max(evaluate(parse_dim(formula), {"batch": 3, "steps": 7}) for formula in formulas)
    assert net.number("scratch_size", 3, 7) == maximum


@needs_compiler
@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("words", {"weights": "external"}),
        ("pooled", {"batch": 3}),
        *(exhaustive(case, {}) for case in CASES),
        *(exhaustive(case, {"weights": "external"}) for case in CASES),
        *(exhaustive(case, {"dispatch": True}) for case in CASES),
    ],
)
def test_the_self_test_builds_and_passes(case: str, options: dict[str, Any], tmp_path: Path) -> None:
    if "dispatch" in options and not host().triple.startswith("x86_64"):
        pytest.skip("levels are of x86-64")
    program_of(CASES[case]()).inference.export(tmp_path, "net", form="sequence", link=False, **options)
    subprocess.run(["cc", *FLAGS, "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
    done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "ok, largest difference 0"
    undefined = subprocess.run(["nm", "-u", "net.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert undefined.stdout == ""
    shown = subprocess.run(["nm", "-g", "net.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
    names = {line.split()[2] for line in shown.stdout.splitlines()}
    weights = {"net_weights_size", "net_set_weights"} if options.get("weights") == "external" else set()
    assert names == {"net_abi_version", "net_scratch_size", "net_run"} | weights
    text = (tmp_path / "net_test.c").read_text()
    changed = text.replace("expected0_y[] = {\n    ", "expected0_y[] = {\n    1 + ", 1)
    assert changed != text
    (tmp_path / "net_test.c").write_text(changed)
    subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
    assert subprocess.run(["./test"], cwd=tmp_path, check=False, capture_output=True).returncode == 1
    if shutil.which("c++"):
        use = '#include "net.h"\nint main() { return net_abi_version() != NET_ABI_VERSION; }\n'
        (tmp_path / "use.cpp").write_text(use)
        subprocess.run(["c++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-c", "use.cpp"], cwd=tmp_path, check=True)


BOTH = """\
#include <stdio.h>
#include <stdlib.h>
#include "one.h"
#include "two.h"

int main(void)
{
    static float x[ONE_X_ELEMENTS(2, 9)], y[ONE_Y_ELEMENTS(2, 9)], z[TWO_Y_ELEMENTS(2, 9)];
    static float largest[TWO_LARGEST_ELEMENTS(2, 9)];
    void *first = malloc(one_scratch_size(2, 9)), *second = malloc(two_scratch_size(2, 9));
    int wrong = one_run(NULL, 2, 9, x, y, largest, first);
    wrong |= two_run(NULL, 2, 9, x, z, largest, second);
    wrong |= two_run(NULL, SIZE_MAX, 9, x, z, largest, second) != 1;
    puts(wrong ? "wrong" : "right");
    free(first);
    free(second);
    return 0;
}
"""


@needs_compiler
def test_two_nets_in_one_executable(tmp_path: Path) -> None:
    program_of(pooled(4)).inference.export(tmp_path, "one", form="sequence", link=False)
    program_of(pooled(9)).inference.export(tmp_path, "two", form="sequence", link=False)
    (tmp_path / "both.c").write_text(BOTH)
    subprocess.run(
        ["cc", "-std=c99", "-Wall", "-Werror", "both.c", "one.o", "two.o", "-o", "b"], cwd=tmp_path, check=True
    )
    done = subprocess.run(["./b"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == "right\n"


@needs_compiler
@pytest.mark.parametrize(("case", "weights"), [("words", "embedded"), exhaustive("translation", "external")])
def test_the_python_module(case: str, weights: str, tmp_path: Path) -> None:
    program = program_of(CASES[case]())
    program.inference.export(tmp_path, "net", form="sequence", weights=weights)
    feeds = arrays(program, 3, 7, 4)
    np.savez(tmp_path / "feeds.npz", **feeds)
    argument = "'net.safetensors'" if weights == "external" else ""
    script = f"""
import sys, threading, numpy as np, net
assert "rnngraph" not in sys.modules and "llvmlite" not in sys.modules
feeds, model = dict(np.load("feeds.npz")), net.Model({argument})
np.save("whole.npy", model(**feeds)["y"])
found = {{}}
def row(number):
    found[number] = model(**{{name: array[number : number + 1] for name, array in feeds.items()}})["y"]
threads = [threading.Thread(target=row, args=(number,)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
np.save("rows.npy", np.concatenate([found[number] for number in range(3)]))
name = next(iter(feeds))
short, odd = {{**feeds, name: feeds[name][:2]}}, {{**feeds, name: feeds[name][0]}}
for wrong in (short, odd, dict(), {{**feeds, "q": 1}}, {{name: feeds[name]}}):
    try:
        model(**wrong)
    except (ValueError, TypeError):
        continue
    raise AssertionError(wrong)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, env={"PATH": ""})
    expected = program.inference(feeds)["y"]
    assert_array_equal(np.load(tmp_path / "whole.npy"), expected, strict=True)
    assert_array_equal(np.load(tmp_path / "rows.npy"), expected, strict=True)


@needs_compiler
def test_the_python_module_requires_sizes_that_no_feed_determines(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(None, None, 4))
    y = rg.conv1d(x, 3, 5, padding="valid")
    start = rg.placeholder("start", shape=(None, 3))
    program = program_of({"y": rg.reduce_max(rg.dynamic_rnn(rg.GRUCell(3), y, initial_state=start)[0], 1)})
    program.inference.export(tmp_path, "net", form="sequence", batch=2)
    script = """
import numpy as np, net
model = net.Model()
found = model(x=np.ones((2, 9, 4)), start=np.zeros((2, 3)))["y"]
assert found.shape == (2, 3)
for sizes in ({"batch": 3}, {"steps": 8}):
    try:
        model(sizes, x=np.ones((2, 9, 4)), start=np.zeros((2, 3)))
    except ValueError:
        continue
    raise AssertionError(sizes)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, env={"PATH": ""})


@pytest.mark.exhaustive
def test_the_object_is_the_same_each_time(tmp_path: Path) -> None:
    program = program_of(pooled())
    for folder in ("a", "b"):
        program.inference.export(tmp_path / folder, "net", form="sequence", link=False)
    assert (tmp_path / "a" / object_name("net")).read_bytes() == (tmp_path / "b" / object_name("net")).read_bytes()


def test_each_weight_is_there_once(tmp_path: Path) -> None:
    program = program_of(pooled(128, 64))
    exported = program.inference.export(tmp_path, "net", form="sequence", link=False)
    assert exported.object_size < 1.1 * sum(array.nbytes for array in program.parameters.values()) + 100_000


# Mistakes ------------------------------------------------------------------------------------------


def test_sizes_without_a_likely_value_are_refused(tmp_path: Path) -> None:
    x, y = rg.placeholder("x", (None, None, 4)), rg.placeholder("y", (None, 4))
    joined = rg.reshape(rg.concat([x, x[:, 1:]], 1), [-1, 4]) * y
    program = program_of({"y": rg.reshape(joined, [-1, 2]) * rg.reshape(rg.placeholder("z", (None, None, 2)), [-1, 2])})
    with pytest.raises(rg.ShapeError, match=r"must be equal .*give equal sizes one name"):
        program.inference.export(tmp_path, "net", form="sequence")


@pytest.mark.parametrize(
    ("options", "words_of_error"),
    [
        ({"form": "sequences"}, "form"),
        ({"form": None}, "form"),
        ({"form": "sequence", "batch": 0}, "at least 1"),
        ({"form": "sequence", "batch": 1.5}, "must be an int"),
        ({"form": "sequence", "target": "pdp11"}, "unknown target"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], words_of_error: str, tmp_path: Path) -> None:
    with pytest.raises(rg.RnnGraphError, match=words_of_error):
        program_of(pooled()).inference.export(tmp_path, "net", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_declared_batch_is_not_another_one(tmp_path: Path) -> None:
    x = rg.placeholder("x", shape=(2, None, 3))
    program = program_of({"y": rg.dynamic_rnn(rg.GRUCell(4), x)[0]})
    with pytest.raises(rg.ShapeError, match=r"test_export_sequences.py:\d+: the graph is declared for a batch of 2"):
        program.inference.export(tmp_path, "net", form="sequence", batch=3)
