"""Code for other processors, run by emulators, against the float64 interpreter and the host's equivalent target."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cross
import cross_cases
import numpy as np
import pytest
from declaration_checks import feeds_of
from native_calls import call_native
from sparse_nets import BLOCKS, both

import rnngraph as rg
from rnngraph.codegen.compile import compile_graph
from rnngraph.codegen.machine.target import host_equivalent, target_of
from rnngraph.ir.interpreter import interpret
from rnngraph.runtime.native.entry import NativeEntry

Arrays = dict[str, np.ndarray]
MACHINES = [pytest.param(name, id=name.replace(" ", "_")) for name in cross.MACHINES]
WITH_DOUBLE = [name for name in cross.MACHINES if not name.startswith("thumb")]

pytestmark = pytest.mark.cross


class Net:
    """A program's inference graph on another machine, and on the host with equal vectors and arithmetic."""

    def __init__(self, machine: str, program: rg.Program, sizes: Mapping[str, int], folder: Path) -> None:
        self.machine, self.made, self.sizes, self.folder = cross.MACHINES[machine], program, sizes, folder
        if self.machine.missing:
            pytest.skip(f"needs {', '.join(self.machine.missing)}")
        target = target_of(machine.partition(" on ")[0])
        graph = program.inference.compiled
        sized = graph.sized(tuple(name for name, _ in graph.graph.outputs), sizes)
        self.code = compile_graph(sized, target, "entry")
        self.equivalent = NativeEntry(compile_graph(sized, host_equivalent(target), "entry"), host_equivalent(target))

    def there(self, feeds: Arrays) -> Arrays:
        return cross.call(self.machine, self.folder, self.code, self.made.parameters, feeds, self.sizes)

    def here(self, feeds: Arrays) -> Arrays:
        return call_native(self.equivalent, self.made.parameters, feeds, self.sizes)


@pytest.mark.parametrize("case", cross_cases.CASES)
@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_and_bits(machine: str, case: str, tmp_path: Path) -> None:
    check(machine, case, "float32", tmp_path, 4e-6)


@pytest.mark.parametrize("case", ["basic_lstm", "layer_norm", "stack", "heads", "whole"])
@pytest.mark.parametrize("machine", WITH_DOUBLE)
def test_float64(machine: str, case: str, tmp_path: Path) -> None:
    check(machine, case, "float64", tmp_path, 1e-14)


def check(machine: str, case: str, dtype: str, folder: Path, tolerance: float) -> None:
    program = cross_cases.program(case, dtype)
    for batch, steps in ((3, 5), (1, 1)):
        feeds = cross_cases.feeds(program, batch, steps)
        net = Net(machine, program, {"B": batch, "T": steps}, folder)
        actual, expected = net.there(feeds), net.here(feeds)
        graph = program.inference.graph
        wide = interpret(graph, feeds_of(graph, feeds, program), wide=True)
        rounded = interpret(graph, feeds_of(graph, feeds, program))
        for name, array in actual.items():
            np.testing.assert_array_equal(bits(array), bits(expected[name]), f"{name} on {machine}")
            if name in ("wide", "back", "narrow", "beyond") or array.dtype.kind != "f":  # these cases round on purpose
                np.testing.assert_array_equal(array, rounded[name], name)
            else:
                np.testing.assert_allclose(array, wide[name], tolerance, tolerance, err_msg=name)


def bits(array: np.ndarray) -> np.ndarray:
    return array.view(f"u{array.itemsize}")


@pytest.mark.parametrize("machine", MACHINES)
def test_non_finite_values_stay_non_finite(machine: str, tmp_path: Path) -> None:
    """NaN and infinities agree with the interpreter, and do not affect other rows' bits."""
    program = cross_cases.program("basic_lstm")
    net = Net(machine, program, {"B": 5, "T": 3}, tmp_path)
    feeds = cross_cases.feeds(program, 5, 3)
    before = net.there(feeds)
    feeds["x"][1, 1, 4], feeds["x"][3, 0, 0] = np.nan, np.inf
    after = net.there(feeds)
    graph = program.inference.graph
    expected = interpret(graph, feeds_of(graph, feeds, program), wide=True)
    for name, array in after.items():
        np.testing.assert_array_equal(np.isnan(array), np.isnan(expected[name]), name)
        for row in (0, 2, 4):
            np.testing.assert_array_equal(array[row], before[name][row])


@pytest.mark.parametrize("machine", MACHINES)
def test_elementary_functions_at_their_edges(machine: str, tmp_path: Path) -> None:
    """Arguments are zeros, the largest numbers, infinities, NaN, and denormals, which some processors flush to 0."""
    x = rg.placeholder("x", (None,))
    names = ("tanh", "sigmoid", "exp", "log", "log1p", "sin", "atan", "erf", "sqrt")
    functions = {name: getattr(rg, name) for name in names}
    functions |= {"power": lambda x: rg.power(x, 1.25), "fmod": lambda x: rg.fmod(x, 0.3), "base": lambda x: 3.0**x}
    program = rg.compile({name: function(x) for name, function in functions.items()}, cache=False)
    edges = [0.0, -0.0, 1.0, -1.0, 88.0, -88.0, 100.0, -104.0, 3e38, -3e38, np.inf, -np.inf, np.nan, 1e-37, 0.5, 2.0]
    tiny = [1e-39, -1e-39, 1e-45, 3e-40]
    feeds = {"x": np.array(edges + tiny, np.float32)}
    (name,) = program.inference.compiled.graph.symbols
    net = Net(machine, program, {name: len(feeds["x"])}, tmp_path)
    actual, expected = net.there(feeds), net.here(feeds)
    flushes = machine == "armv7-linux"  # vector instructions flush denormals in every mode
    for name, array in actual.items():
        wanted = expected[name]
        count = len(edges) if flushes else len(wanted)
        same = (bits(array) == bits(wanted)) | (np.isnan(array) & np.isnan(wanted))
        if flushes:
            same |= (array == 0) & (np.abs(wanted) < 1.2e-38)
            np.testing.assert_allclose(
                array[count:], wanted[count:], atol=1.2e-38, err_msg=name
            ) if name != "log" else None
        assert same[:count].all(), (name, feeds["x"][:count][~same[:count]], array[:count][~same[:count]])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("weights", "activations"), [("int8", "float32"), ("int8", "int8"), ("bfloat16", "float32")])
def test_narrow_weights(machine: str, weights: str, activations: str, tmp_path: Path) -> None:
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(64), rg.placeholder("x", (None, None, 64)))
    target = machine.partition(" on ")[0]
    program = rg.compile({"outputs": outputs}, weights=weights, activations=activations, target=target, cache=False)
    feeds = {"x": np.random.default_rng(3).normal(size=(2, 4, 64)).astype(np.float32)}
    net = Net(machine, program, {"B": 2, "T": 4}, tmp_path)
    actual, expected = net.there(feeds), net.here(feeds)
    np.testing.assert_array_equal(actual["outputs"], expected["outputs"])
    full = rg.compile({"outputs": outputs}, parameters=program, cache=False).inference(**feeds)["outputs"]
    np.testing.assert_allclose(actual["outputs"], full, atol=0.02)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_sparse_weights(machine: str, weights: str, tmp_path: Path) -> None:
    """Bits equal those of the host and of dense code, and the self-test of a step and a block passes."""
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(25), rg.placeholder("x", (None, None, 33)))
    options = {"weights": weights, "target": machine.partition(" on ")[0], "cache": False}
    sparse, dense = both({"outputs": outputs}, 0.3, BLOCKS[len(machine) % 3], **options)
    inputs = {"x": np.random.default_rng(3).normal(size=(6, 4, 33)).astype(np.float32)}
    net = Net(machine, sparse, {"B": 6, "T": 4}, tmp_path)
    actual = net.there(inputs)["outputs"]
    np.testing.assert_array_equal(bits(actual), bits(net.here(inputs)["outputs"]))
    np.testing.assert_array_equal(actual, Net(machine, dense, {"B": 6, "T": 4}, tmp_path).here(inputs)["outputs"])
    if not machine.startswith("wasm"):
        sparse.inference.export(tmp_path / "net", "net", target=options["target"], link=False)
        output = cross.self_test(cross.MACHINES[machine], tmp_path, tmp_path / "net", "net")
        assert output == "ok, largest difference 0\n"


@pytest.mark.parametrize("case", ["gru", "basic_lstm", "layer_norm", "own", "stack", "ahead"])
@pytest.mark.parametrize("machine", [name for name in cross.MACHINES if not name.startswith("wasm")])
def test_exported_nets_pass_their_self_test(machine: str, case: str, tmp_path: Path) -> None:
    """``step``, ``process`` and saved states equal the host's results."""
    check_self_test(machine, case, "stream", tmp_path)


@pytest.mark.parametrize("case", ["whole", "heads", "basic_lstm", "front"])
@pytest.mark.parametrize("machine", [name for name in cross.MACHINES if not name.startswith("wasm")])
def test_nets_for_sequences_pass_their_self_test(machine: str, case: str, tmp_path: Path) -> None:
    """Self-tests cover both directions, lengths, tables and sums over time, at two sizes and at sizes beyond memory."""
    check_self_test(machine, case, "sequence", tmp_path)


@pytest.mark.parametrize("machine", [name for name in cross.MACHINES if not name.startswith("wasm")])
def test_streams_that_step_at_once_pass_their_self_test(machine: str, tmp_path: Path) -> None:
    check_self_test(machine, "stack", "stream", tmp_path, rows=2)


def check_self_test(machine: str, case: str, form: str, folder: Path, **options: Any) -> None:
    tools, target = cross.MACHINES[machine], machine.partition(" on ")[0]
    if tools.missing:
        pytest.skip(f"needs {', '.join(tools.missing)}")
    program = cross_cases.program(case)
    program.inference.export(folder / "net", "net", target=target, link=False, form=form, **options)
    assert cross.self_test(tools, folder, folder / "net", "net") == "ok, largest difference 0\n"


@pytest.mark.parametrize("form", ["stream", "sequence"])
@pytest.mark.parametrize("machine", ["aarch64-linux", "armv7-linux", "riscv64"])
def test_exported_nets_take_weights_from_a_file(machine: str, form: str, tmp_path: Path) -> None:
    if cross.MACHINES[machine].missing:
        pytest.skip(f"needs {', '.join(cross.MACHINES[machine].missing)}")
    program = cross_cases.program("basic_lstm")
    program.inference.export(tmp_path / "net", "net", target=machine, weights="external", link=False, form=form)
    inputs = (str(tmp_path / "net" / "net.safetensors"),)
    output = cross.self_test(cross.MACHINES[machine], tmp_path, tmp_path / "net", "net", inputs)
    assert output == "ok, largest difference 0\n"


@pytest.mark.parametrize("target", ["wasm32", "wasm32-simd128"])
def test_exported_modules(target: str, tmp_path: Path) -> None:
    """A WebAssembly module in node: a block has the bits of its steps, and both have the host's."""
    if cross.MACHINES[target].missing:
        pytest.skip(f"needs {', '.join(cross.MACHINES[target].missing)}")
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(17), rg.placeholder("x", (None, None, 3)))
    program = rg.compile({"outputs": outputs}, cache=False)
    program.inference.export(tmp_path / "net", "net", target=target)
    x = np.random.default_rng(1).normal(size=(1, 6, 3)).astype(np.float32)
    actual = cross.exported_module(tmp_path, tmp_path / "net" / "net.wasm", "net", 6, x, 4 * 6 * 17)
    np.testing.assert_array_equal(bits(actual["steps"]), bits(actual["block"]))
    graph = program.inference.compiled
    sizes = {"B": 1, "T": 6}
    here = host_equivalent(target_of(target))
    code = compile_graph(graph.sized(("outputs",), sizes), here, "entry")
    expected = call_native(NativeEntry(code, here), program.parameters, {"x": x}, sizes)["outputs"]
    np.testing.assert_array_equal(bits(actual["block"]), bits(expected.ravel()))


_STREAM = """\
import fs from "fs";
import { Net } from "./net.mjs";

const net = new Net(new WebAssembly.Module(fs.readFileSync("net.wasm")));
const x = JSON.parse(fs.readFileSync("x.json"));
const found = [net.step({ x: x.slice(0, 6) }), net.process({ x: x.slice(6) }), net.flush()];
const again = net.step({ x: x.slice(0, 6) });
const parts = found.map((part) => [...part.outputs]);
console.log(JSON.stringify({ y: parts.flat(), last: [...found[2].last], again: [...again.outputs] }));
"""


@pytest.mark.parametrize("target", ["wasm32", "wasm32-simd128"])
def test_modules_of_streams_that_are_late(target: str, tmp_path: Path) -> None:
    """A WebAssembly module, called through its JavaScript, flushes a sequence and starts the next one."""
    if cross.MACHINES[target].missing:
        pytest.skip(f"needs {', '.join(cross.MACHINES[target].missing)}")
    program = cross_cases.program("ahead")
    program.inference.export(tmp_path, "net", target=target)
    x = np.random.default_rng(1).normal(size=(1, 12, 3)).astype(np.float32)
    (tmp_path / "x.json").write_text(json.dumps(x.ravel().tolist()))
    (tmp_path / "run.mjs").write_text(_STREAM)
    output = json.loads(cross.run(("node", "run.mjs"), tmp_path))
    whole, late = program.inference(x=x), program.inference.stream().delay * 7
    assert not any(output["y"][:late])
    np.testing.assert_allclose(output["y"][late:], whole["outputs"].ravel(), atol=1e-6)
    np.testing.assert_allclose(output["last"], whole["last"].ravel(), atol=1e-6)
    assert output["again"] == output["y"][:7]


_MODULE = """\
import fs from "fs";
import { Net } from "./net.mjs";

const net = new Net(new WebAssembly.Module(fs.readFileSync("net.wasm")));
const { shape, x, n } = JSON.parse(fs.readFileSync("feeds.json"));
const found = net.run({ x: new Float32Array(x), n }, { batch: shape[0] });
fs.writeFileSync("y.bin", Buffer.from(found.y.slice().buffer));
const alone = net.run({ x: new Float32Array(x.slice(0, x.length / shape[0])), n: n.slice(0, 1) });
const said = [];
for (const sizes of [{ batch: 2 ** 30, steps: 1 }, { batch: 3 }, {}]) {
  const feeds = { x: sizes.batch ? [1, 2, 3] : [1, 2], n: [1] };
  try { net.run(feeds, sizes); said.push("fine"); } catch (error) { said.push(error.message); }
}
console.log(JSON.stringify({ same: alone.y.every((value, at) => value === found.y[at]), said }));
"""


@pytest.mark.parametrize("target", ["wasm32", "wasm32-simd128"])
def test_modules_for_sequences(target: str, tmp_path: Path) -> None:
    """A WebAssembly module, called through its JavaScript, has the host's bits, also for a single row."""
    if cross.MACHINES[target].missing:
        pytest.skip(f"needs {', '.join(cross.MACHINES[target].missing)}")
    x, n = rg.placeholder("x", (None, None, 3)), rg.placeholder("n", (None,), "int32")
    outputs, _ = rg.bidirectional_dynamic_rnn(rg.LSTMCell(17), rg.GRUCell(7), x, sequence_length=n)
    third = rg.conv1d(x, 2, 3, "same", strides=3)  # JavaScript must round this size down
    program = rg.compile({"y": rg.concat(outputs, 2), "third": third}, cache=False)
    program.inference.export(tmp_path, "net", target=target, form="sequence")
    inputs = {
        "x": np.random.default_rng(1).normal(size=(3, 6, 3)).astype(np.float32),
        "n": np.array([6, 0, 4], np.int32),
    }
    feeds = {"shape": [3, 6, 3], "x": inputs["x"].ravel().tolist(), "n": inputs["n"].tolist()}
    (tmp_path / "feeds.json").write_text(json.dumps(feeds))
    (tmp_path / "run.mjs").write_text(_MODULE)
    output = json.loads(cross.run(("node", "run.mjs"), tmp_path))
    assert output["same"]
    assert output["said"][0].startswith("net can't take the sizes")
    assert output["said"][1].startswith("x has 3 elements, which makes steps 0.33")
    assert output["said"][2].startswith("x has 2 elements, which makes steps 0.66")
    graph, sizes = program.inference.compiled, {"B": 3, "T": 6}
    code = compile_graph(graph.sized(("y",), sizes), host_equivalent(target_of(target)), "entry")
    expected = call_native(NativeEntry(code, host_equivalent(target_of(target))), program.parameters, inputs, sizes)[
        "y"
    ]
    actual = np.frombuffer((tmp_path / "y.bin").read_bytes(), np.float32)
    np.testing.assert_array_equal(bits(actual), bits(expected.ravel()))
