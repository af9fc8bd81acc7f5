"""Inference with weights of 16 and 8 bits, against NumPy in float64 on equally rounded weights, with equal bits for any
rows, chunks and threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import own_cells
import pytest
import reference
from block_numbers import BLOCKS, weights_in_blocks
from declaration_checks import check_rows, check_stream, feeds_of, flat, inputs_of
from declarations import declare
from exported import object_name
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.codegen.machine.target import host
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.numbers.narrow import rounded_to_bfloat16
from rnngraph.ir.text.parser import parse
from rnngraph.runtime.native import weight_options

FORMS = {
    "bfloat16": {"weights": "bfloat16"},
    "bfloat16 alone": {"weights": "bfloat16", "activations": "bfloat16"},
    "int8": {"weights": "int8"},
    "int8 alone": {"weights": "int8", "activations": "int8"},
    "int8_blocks": {"weights": "int8_blocks"},
    "int4": {"weights": "int4"},
}
SOME = [
    pytest.param(form, marks=pytest.mark.exhaustive) if form in ("bfloat16 alone", "int8") else form for form in FORMS
]
"""Forms of weights; the exhaustive ones are read and rounded like others."""
FAR = {
    "bfloat16": 4e-5,
    "bfloat16 alone": 2e-2,
    "int8": 2e-4,
    "int8 alone": 6e-2,
    "int8_blocks": 6e-2,
    "int4": 6e-2,
}
"""Maximum effect of rounded activations. Rounded weights change results 10 to 100 times as much."""
GENERATOR = np.random.default_rng(2)


@pytest.fixture(autouse=True)
def own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reseed the generator for each test, because a number near a half may be rounded either way."""
    monkeypatch.setitem(globals(), "GENERATOR", np.random.default_rng(2))


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert weights of every size to narrow formats, including odd and small sizes."""

    kind_of = weight_options.narrow_kind
    forced = partial(replace, force=True)
    monkeypatch.setattr(weight_options, "narrow_kind", lambda narrow, *rest: kind_of(forced(narrow), *rest))


def rounded(matrix: np.ndarray, form: str) -> np.ndarray:
    """Return a float32 matrix as the form stores it, in float64, by an independent method."""
    wide = matrix.astype(np.float64)
    if form.startswith("bfloat16"):
        fraction, exponent = np.frexp(wide)
        return np.ldexp(np.rint(fraction * 256), exponent - 8)
    if form in BLOCKS:
        return weights_in_blocks(matrix, form)
    largest = np.abs(matrix).max(0)
    largest = np.maximum(largest, np.float32(1e-30))  # the minimum is specified in float32
    whole = np.rint(matrix * (np.float32(127) / largest))
    return whole.astype(np.float64) * (largest.astype(np.float64) / 127)


def rounded_kernels(parameters: Mapping[str, np.ndarray], width: int, form: str) -> dict[str, np.ndarray]:
    """Round the rows of the inputs and of the states in every kernel separately, as products read them."""
    results = {}
    for name, array in parameters.items():
        if array.ndim == 2:
            array = np.concatenate([rounded(array[:width], form), rounded(array[width:], form)])
        results[name] = array
    return results


def normal(*shape: int) -> np.ndarray:
    return GENERATOR.normal(size=shape).astype(np.float32)


CELLS: dict[str, tuple[Callable[[int], rg.Cell], Callable[[int], Any]]] = {
    "rnn": (rg.BasicRNNCell, reference.RNN),
    "lstm": (rg.BasicLSTMCell, lambda units: reference.LSTM(units, name="basic_lstm_cell")),
    "gru": (rg.GRUCell, reference.GRU),
}


def declared(cell: rg.Cell, width: int) -> rg.Tensor:
    return rg.dynamic_rnn(cell, rg.placeholder("x", (None, None, width)))[0]


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("width", "units", "batch"), [(3, 1, 1), (7, 17, 3), (25, 63, 1), (100, 7, 32), (1, 100, 3)])
def test_cells_with_rounded_weights(form: str, cell: str, width: int, units: int, batch: int) -> None:
    make, spec = CELLS[cell]
    program = rg.compile(declared(make(units), width), seed=1, **FORMS[form])
    x = normal(batch, 6, width)
    kernels = rounded_kernels(program.parameters, width, form)
    expected, _ = reference.dynamic_rnn(spec(units), kernels, x)
    np.testing.assert_allclose(program.inference(x=x), expected, rtol=0, atol=FAR[form])


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("form", ["bfloat16", "int8"])
def test_rounding_shows(form: str) -> None:
    """Rounding of weights changes results far more than the tests' tolerance."""
    exact, program = (rg.compile(declared(rg.BasicLSTMCell(63), 25), seed=1, **kind) for kind in ({}, FORMS[form]))
    x = normal(3, 6, 25)
    assert np.abs(program.inference(x=x) - exact.inference(x=x)).max() > 5 * FAR[form]


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [own_cells.GatedCell, own_cells.NormCell, own_cells.SwapCell])
@pytest.mark.parametrize("target", ["host", "x86-64-v3"])
def test_native_code_computes_the_results_of_the_graph(form: str, make: Callable[[int], rg.Cell], target: str) -> None:
    """User-defined cells agree, and so does the printed graph after parsing."""
    program = rg.compile(declared(make(17), 7), seed=11, target=target, **FORMS[form])
    x = normal(3, 5, 7)
    graph = program.inference.compiled.optimized(("",))
    reparsed = parse(str(graph))
    feeds = {"x": x, **program.parameters}
    expected = interpret(graph, feeds)[""]
    np.testing.assert_array_equal(interpret(reparsed, feeds)[""], expected)
    np.testing.assert_allclose(program.inference(x=x), expected, rtol=0, atol=2e-5)


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("form", FORMS)
def test_targets_agree(form: str) -> None:
    x, results = normal(3, 6, 25), []
    for target in ("host", "x86-64-v2", "x86-64-v3"):
        program = rg.compile(declared(rg.BasicLSTMCell(33), 25), seed=3, target=target, **FORMS[form])
        results.append(program.inference(x=x))
    for actual in results[1:]:
        np.testing.assert_allclose(actual, results[0], rtol=0, atol=FAR[form])


@pytest.mark.usefixtures("any_size")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "seed", [1, 22, 23, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in (4, 9, 12, 29))]
)
def test_random_declarations(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Native code equals the optimised graph; streams and single rows have equal bits."""
    kind = list(FORMS.values())[seed % len(FORMS)]
    monkeypatch.setattr(rg, "compile", partial(rg.compile, **kind))
    declaration = declare(seed)
    program, arrays = declaration.compile(), declaration.arrays()
    graph = program.inference.graph
    outputs = tuple(name for name, _ in graph.outputs)
    optimized = program.inference.compiled.optimized(outputs)
    assert "'bfloat16'" in str(optimized) or "'int8'" in str(optimized)
    expected = interpret(optimized, feeds_of(optimized, arrays, program))
    for name, array in flat(program.inference(inputs_of(graph, arrays))).items():
        np.testing.assert_allclose(array, expected[name], rtol=2e-3, atol=2e-3, err_msg=name)
    check_stream(declaration, program, arrays)
    check_rows(declaration, program, arrays)


def stack(units: int = 70) -> dict[str, Any]:
    """Declare a net large enough to be narrowed, with an odd width, and with products inside and outside of a loop."""
    x = rg.placeholder("x", (None, None, 65))
    outputs, states = rg.dynamic_rnn(rg.MultiRNNCell([rg.BasicLSTMCell(units), rg.GRUCell(units)]), x)
    return {"outputs": outputs, "states": states, "logits": rg.dense(outputs, 67)}


def layer() -> dict[str, Any]:
    """Declare a single product that is large enough."""
    return {"logits": rg.dense(rg.placeholder("x", (None, None, 65)), 131)}


def same(a: Any, b: Any) -> None:
    first, second = flat(a), flat(b)
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert_array_equal(array, second[name], name)


@pytest.mark.parametrize("form", SOME)
def test_a_row_alone_and_among_others(form: str) -> None:
    program, x = rg.compile(stack(), **FORMS[form]), normal(32, 4, 65)
    x[5] *= 1e4  # each row has its own scale
    whole = flat(program.inference(x=x))
    for rows in ([3], [5], [1, 5, 9]):
        for name, array in flat(program.inference(x=x[rows])).items():
            assert_array_equal(array, whole[name][rows], name)


@pytest.mark.parametrize("form", SOME)
@pytest.mark.parametrize("batch", [3, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_steps_chunks_and_the_whole_are_one(form: str, batch: int) -> None:
    program, x = rg.compile({"logits": stack()["logits"]}, **FORMS[form]), normal(batch, 7, 65)
    whole = program.inference(x=x)["logits"]
    steps, chunks = program.inference.stream(batch=batch), program.inference.stream(batch=batch)
    for step in range(7):
        assert_array_equal(steps.step(x=x[:, step])["logits"], whole[:, step])
    parts = [chunks.process(x=x[:, first:last])["logits"] for first, last in ((0, 1), (1, 4), (4, 7))]
    assert_array_equal(np.concatenate(parts, 1), whole)


@pytest.mark.parametrize("form", SOME)
def test_threads_unrolling_and_out_do_not_change_results(form: str) -> None:
    outputs, x = stack(), normal(3, 6, 65)
    program = rg.compile(outputs, seed=4, **FORMS[form])
    expected = program.inference(x=x)
    same(rg.compile(outputs, seed=4, threads=2, unroll=2, **FORMS[form]).inference(x=x), expected)
    mine = np.empty_like(expected["logits"])
    assert program.inference(x=x, out={"logits": mine})["logits"] is mine
    assert_array_equal(mine, expected["logits"])


@pytest.mark.parametrize("form", FORMS)
def test_new_parameters_count_from_the_next_call(form: str) -> None:
    program, other = (rg.compile(layer(), seed=seed, **FORMS[form]) for seed in (1, 2))
    x = normal(2, 3, 65)
    stream = program.inference.stream(batch=2)
    before = program.inference(x=x)
    stream.step(x=x[:, 0])
    for name, array in other.parameters.items():
        program.parameters[name] = array
    same(program.inference(x=x), other.inference(x=x))
    assert np.abs(before["logits"] - program.inference(x=x)["logits"]).max() > 1e-3
    stream.reset()
    assert_array_equal(stream.step(x=x[:, 0])["logits"], other.inference(x=x)["logits"][:, 0])


def test_training_never_sees_it_and_evaluation_does() -> None:
    outputs = layer()["logits"]
    y = rg.placeholder("y", (None, None, 131))
    loss = rg.mean_squared_error(y, outputs)
    exact, reduced = (rg.compile({"y": outputs}, loss=loss, seed=5, **kind) for kind in ({}, FORMS["int8"]))
    feeds = {"x": normal(3, 4, 65), "y": normal(3, 4, 131)}
    same(exact.training(**feeds, seed=1), reduced.training(**feeds, seed=1))
    first, second = (program.training.gradients(**feeds, seed=1) for program in (exact, reduced))
    assert first[0] == second[0]
    same(first[1], second[1])
    actual = reduced.evaluate(**feeds)
    assert_array_equal(actual["y"], reduced.inference(x=feeds["x"])["y"])
    assert actual["loss"] != exact.evaluate(**feeds)["loss"]
    assert "i8[" in reduced.inference.show("simplify_last")
    assert "i8[" not in reduced.training.show("simplify_last")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_values_stay_so_in_their_row(form: str, value: float) -> None:
    x, p = rg.placeholder("x", (None, 80)), rg.parameter("p", (80, 103))
    program = rg.compile(x @ p, **FORMS[form])
    inputs = normal(4, 80)
    clean = program.inference(x=inputs)
    inputs[2, 7] = value
    actual = program.inference(x=inputs)
    assert not np.isfinite(actual[2]).any()
    assert_array_equal(np.delete(actual, 2, 0), np.delete(clean, 2, 0))
    weights = np.array(program.parameters["p"])
    weights[3, 9] = value
    program.parameters["p"] = weights
    actual = program.inference(x=normal(3, 80))
    assert not np.isfinite(actual[:, 9]).any()
    assert np.isfinite(np.delete(actual, 9, 1)).all()


@pytest.mark.parametrize("form", FORMS)
def test_zeros_denormals_and_large_ranges(form: str) -> None:
    x, p = rg.placeholder("x", (None, 80)), rg.parameter("p", (80, 103))
    program = rg.compile(x @ p, **FORMS[form])
    inputs, weights = normal(6, 80), normal(80, 103)
    weights[:, 3] = 0
    weights[:, 4] = 1e-41
    weights[:, 5] *= 1e30
    weights[:, 6] *= 1e-25
    inputs[0], inputs[1] = 0, 1e-40
    inputs[2] *= 1e6
    inputs[3] *= 1e-20
    inputs[4, 0] = 1e7
    program.parameters["p"] = weights
    actual = program.inference(x=inputs).astype(np.float64)
    kept = rounded(weights, form)
    left = rounded(inputs, form) if form == "bfloat16 alone" else inputs.astype(np.float64)
    expected = left @ kept
    # Activations keep 16 or 8 bits: of each number in bfloat16, of the row's range in int8.
    sizes = np.abs(inputs).astype(np.float64)
    sizes = np.broadcast_to(sizes.max(1, keepdims=True), sizes.shape) if form.startswith("int") else sizes
    # Magnitudes below 1e-30 may be treated as 0, in rows and in weights.
    far = 1.02 / 253 if form in ("int8 alone", *BLOCKS) else 2.0**-15
    bound = sizes @ np.abs(kept) * far + 1e-30 * (np.abs(kept).sum(0) + sizes.sum(1, keepdims=True)) + 1e-33
    assert np.all(np.abs(actual - expected) <= bound)
    assert not actual[0].any()
    assert not actual[:, 3].any()


@pytest.mark.filterwarnings("ignore:.*changes nothing:UserWarning")
def test_small_weights_stay_float32() -> None:
    """Weights with a small shape stay float32, bit for bit."""
    outputs, x = declared(rg.BasicLSTMCell(25), 17), normal(3, 4, 17)
    same(rg.compile(outputs, weights="int8").inference(x=x), rg.compile(outputs).inference(x=x))


def test_errors() -> None:
    outputs = layer()["logits"]
    for options, words in (
        ({"weights": "int2"}, "'int2' is not offered; use one of float32, bfloat16, int8, int8_blocks, int4"),
        ({"weights": None}, "None is not offered"),
        ({"weights": "int8", "activations": "int4"}, "activations='int4' is not offered"),
        ({"weights": "bfloat16", "activations": "int8"}, 'needs weights="int8", and the formats are bfloat16'),
        ({"activations": "int8"}, 'activations="int8" needs weights="int8", and the formats are float32'),
        ({"weights": "int8", "activations": "bfloat16"}, 'needs weights="bfloat16", and the formats are int8'),
        ({"activations": "bfloat16"}, 'needs weights="bfloat16", and the formats are float32'),
    ):
        with pytest.raises(rg.ArgumentError, match=words) as caught:
            rg.compile(outputs, **options)
        assert caught.value.where is not None
        assert caught.value.where.file == __file__
    x = rg.placeholder("x", (None, 80), "float64")
    wide = x @ rg.parameter("wide", (80, 80), dtype="float64")
    for form in FORMS.values():
        with pytest.raises(rg.DtypeError, match="needs float32 parameters, and wide is float64"):
            rg.compile(wide, **form)


@pytest.mark.peers
@pytest.mark.parametrize(("units", "width", "batch"), [(63, 100, 1), (100, 65, 3), (320, 100, 16), (128, 128, 7)])
def test_errors_compared_with_onnxruntimes(units: int, width: int, batch: int, tmp_path: Path) -> None:
    """onnxruntime's dynamic quantization has a larger error, because rows share a scale, and so do columns."""
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    outputs, x = declared(rg.BasicLSTMCell(units), width), normal(batch, 12, width)
    x[:, 3] *= 3
    exact = rg.compile({"y": outputs}, seed=3)
    rg.write_onnx(exact, tmp_path / "whole.onnx")
    quantize_dynamic(tmp_path / "whole.onnx", tmp_path / "narrow.onnx", weight_type=QuantType.QInt8)
    assert "DynamicQuantizeLSTM" in [node.op_type for node in onnx.load(tmp_path / "narrow.onnx").graph.node]
    session = onnxruntime.InferenceSession(str(tmp_path / "narrow.onnx"), providers=["CPUExecutionProvider"])
    ours = rg.compile({"y": outputs}, parameters=exact, **FORMS["int8 alone"]).inference(x=x)["y"]
    wanted = exact.inference(x=x)["y"]
    errors = [np.sqrt(np.mean(np.square(actual - wanted))) for actual in (ours, session.run(["y"], {"x": x})[0])]
    assert errors[0] < errors[1] < 0.02


@pytest.mark.parametrize("form", FORMS)
def test_saved_programs_keep_it_or_take_another(form: str, tmp_path: Path) -> None:
    program, x = rg.compile(layer(), seed=6, **FORMS[form]), normal(2, 3, 65)
    program.save(tmp_path / "model")
    same(rg.load(tmp_path / "model").inference(x=x), program.inference(x=x))
    exact = rg.compile(layer(), seed=6)
    same(rg.load(tmp_path / "model", weights="float32").inference(x=x), exact.inference(x=x))
    exact.save(tmp_path / "model")
    same(rg.load(tmp_path / "model", **FORMS[form]).inference(x=x), program.inference(x=x))
    with pytest.raises(rg.ArgumentError, match="'int2' is not offered"):
        rg.load(tmp_path / "model", weights="int2")


def test_forms_do_not_share_compiled_code(tmp_path: Path) -> None:
    outputs, x, kinds = layer(), normal(2, 3, 65), ({}, *FORMS.values())
    expected = [rg.compile(outputs, seed=7, cache=False, **kind).inference(x=x) for kind in kinds]
    for _ in range(2):  # compiled first, then loaded from disk
        for kind, result in zip(kinds, expected, strict=True):
            same(rg.compile(outputs, seed=7, cache=tmp_path / "cache", **kind).inference(x=x), result)
    assert len(list((tmp_path / "cache").glob("*.code"))) == 1 + len(FORMS)


@pytest.mark.parametrize("rows", [1, 3, 4, 32])
@pytest.mark.parametrize(("depth", "width"), [(64, 64), (65, 200), (384, 384), (1030, 40)])
def test_bfloat16_weights_have_the_bits_of_rounded_float32_weights(depth: int, width: int, rows: int) -> None:
    """Tiles widen weights, which is exact, and add products in the order of float32."""
    y = rg.dense(rg.placeholder("x", (None, depth)), width)
    narrow = rg.compile(y, seed=1, weights=rg.Narrow("bfloat16", force=True))
    wide = rg.compile(y, seed=1)
    wide.parameters["dense/kernel"] = rounded_to_bfloat16(wide.parameters["dense/kernel"])
    x = normal(rows, depth)
    same(narrow.inference(x=x), wide.inference(x=x))


def test_code_of_dot_products_calls_no_functions() -> None:
    for form, word in (("bfloat16 alone", "vdpbf16ps"), ("int8", "vpdpbusd"), ("int8 alone", "vpdpbusd")):
        if FORMS[form]["weights"] not in host().dots:
            pytest.skip(f"code for this processor multiplies no {form}")
        program = rg.compile(layer(), **FORMS[form])
        text = program.inference.show("asm")
        assert word in text
        assert "@PLT" not in text
        assert word not in program.training.show("asm")


def test_summary_counts_the_bytes_that_are_read() -> None:
    x = rg.placeholder("x", (None, 128))
    y = rg.dense(x, 100, use_bias=False)
    bytes_of = {}
    for name, kind in (("float32", {}), *FORMS.items()):
        line = rg.compile(y, **kind).summary().splitlines()[-1]
        bytes_of[name] = int(line.split()[3].replace(",", ""))
    assert bytes_of["float32"] == 4 * 12800
    assert bytes_of["bfloat16"] == bytes_of["bfloat16 alone"] == 2 * 12800
    assert bytes_of["int8"] == bytes_of["int8 alone"] == 12800 + 8 * 100
    assert bytes_of["int8_blocks"] == 12800 + 2 * 4 * 100
    assert bytes_of["int4"] == 12800 // 2 + 2 * 4 * 100


@pytest.mark.parametrize(("form", "stored"), [("int8_blocks", 128 * 100), ("int4", 64 * 100)])
def test_summary_counts_the_zeros_that_fill_a_block(form: str, stored: int) -> None:
    program = rg.compile(rg.dense(rg.placeholder("x", (None, 100)), 100, use_bias=False), **FORMS[form])
    assert int(program.summary().splitlines()[-1].split()[3].replace(",", "")) == stored + 2 * 4 * 100


EDGES = {"ordinary": 1.0, "large": 7e37, "largest": float(np.finfo(np.float32).max), "small": 1e-29, "subnormal": 1e-41}
"""Magnitudes of a unit's weights."""
ROWS = (1.0, 1e-3, 1e-20, 1e-37, 1e6, 0.0)


def edge_weights(depth: int) -> np.ndarray:
    """Return units of all magnitudes among ordinary ones. The largest weight of each is its magnitude."""
    weight = GENERATOR.uniform(-1, 1, (depth, 100))
    weight[:, : len(EDGES)] *= [*EDGES.values()] / np.abs(weight[:, : len(EDGES)]).max(0)
    return weight.astype(np.float32)


def product_program(weight: np.ndarray, form: str, target: str = "host") -> rg.Program:
    product = rg.matmul(rg.placeholder("x", (None, len(weight))), rg.parameter("w", weight.shape))
    program = rg.compile(product, target=target, **FORMS[form])
    program.parameters["w"] = weight
    return program


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", ["host", "x86-64-v2", "x86-64-v3"])
def test_weights_near_the_end_of_floats(form: str, target: str) -> None:
    """Results are finite wherever the sum of magnitudes is, on every target, and equal float64 with rounded weights."""
    weight = edge_weights(64)
    x = GENERATOR.uniform(-1, 1, (len(ROWS), 64)).astype(np.float32) * np.array(ROWS, np.float32)[:, np.newaxis]
    actual = product_program(weight, form, target).inference(x=x)
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    exact, magnitudes = x @ weight, np.abs(x) @ np.abs(weight)
    kept_value = magnitudes < np.finfo(np.float32).max
    assert kept_value.mean() > 0.9
    assert np.isfinite(actual[kept_value]).all()
    rounding = {
        "bfloat16": 2**-8,
        "bfloat16 alone": 2**-7,
        "int8": 2**-7,
        "int8 alone": 2**-6,
        "int8_blocks": 2**-6,
        "int4": 2**-3,
    }[form]
    largest = np.maximum(np.abs(weight).max(0), 1e-30) * np.maximum(np.abs(x).max(1, keepdims=True), 1e-30) * 64
    assert (np.abs(actual - exact)[kept_value] <= rounding * largest[kept_value] + np.finfo(np.float32).tiny).all()


@pytest.mark.parametrize("form", FORMS)
def test_a_zero_next_to_the_largest_weights_stays_zero(form: str) -> None:
    weight = np.full((64, 100), np.finfo(np.float32).max, np.float32)
    x = np.zeros((2, 64), np.float32)
    x[1, :2] = 2.0**-100, -(2.0**-100)  # two numbers that cancel
    assert_array_equal(product_program(weight, form).inference(x=x), np.zeros((2, 100), np.float32))


@pytest.mark.parametrize("form", ["bfloat16", "bfloat16 alone", "int8 alone"])
def test_the_largest_activations(form: str) -> None:
    largest = np.finfo(np.float32).max
    x = np.array([[largest] + [0] * 63, [-largest] * 64, [largest / 2, -largest] * 32], np.float32)
    weight = GENERATOR.uniform(0.5e-3, 1e-3, (64, 100)).astype(np.float32)
    exact = x.astype(np.float64) @ weight.astype(np.float64)
    np.testing.assert_allclose(product_program(weight, form).inference(x=x), exact, rtol=2e-2)


@pytest.mark.parametrize("target", ["host", "x86-64-v3"])
def test_units_next_to_one_with_large_steps_keep_their_weights(target: str) -> None:
    """A single unit with all weights 1e5 is not mistaken for a quantized matrix with one scale."""
    weight = GENERATOR.normal(size=(64, 100)).astype(np.float32)
    weight[:, 7] = 1e5
    x = normal(3, 64)
    actual = product_program(weight, "int8 alone", target).inference(x=x)
    exact = x.astype(np.float64) @ weight.astype(np.float64)
    assert np.abs(actual - exact)[:, :7].max() < 0.5
    assert np.abs(exact)[:, :7].max() > 5


# Which weights become narrow --------------------------------------------------------------------------


def small_net() -> rg.Tensor:
    """Return a GRU and a layer whose weights are too small to be narrowed."""
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(32), rg.placeholder("x", (None, None, 32)))
    return rg.dense(outputs, 10, name="head")


def formats_held(program: rg.Program) -> dict[str, str]:
    """Return the kind of each weight in the summary, by the last part of its name."""
    lines = [line.split() for line in program.summary().splitlines() if line.startswith("  ")]
    return {words[0]: words[next(at for at, word in enumerate(words) if word.endswith("]")) + 1] for words in lines}


DOTS = pytest.mark.skipif("int8" not in host().dots, reason="without dot products small weights become narrow, too")
BODIES = "gates/kernel", "candidate/kernel"


@DOTS
def test_a_kind_without_effect_is_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"test_narrow_weights.py:\d+: weights=\"int8\" changes nothing") as caught:
        program = rg.compile(small_net(), weights="int8")
    (warning,) = caught
    for text in ("rnn/gru_cell/gates/kernel: float32, as 2,048 elements", 'rg.Narrow("int8", force=True)', "head/k"):
        assert text in str(warning.message)
    assert set(formats_held(program).values()) == {"float32,", "float32"}
    assert "2,048 elements are fewer than the 4,096 from which int8 pays" in program.summary()


@pytest.mark.filterwarnings("error")
def test_small_weights_are_forced() -> None:
    exact, x = rg.compile(small_net(), seed=3), normal(2, 5, 32)
    program = rg.compile(small_net(), seed=3, weights=rg.Narrow("int8", force=True))
    assert [formats_held(program)[name] for name in (*BODIES, "kernel", "bias")] == ["int8", "int8", "int8", "float32"]
    error = np.abs(program.inference(x=x) - exact.inference(x=x)).max()
    assert 1e-5 < error < 0.05
    kernels = rounded_kernels({name: exact.parameters[name] for name in exact.parameters if "gru" in name}, 32, "int8")
    kernels |= {"head/kernel": rounded(exact.parameters["head/kernel"], "int8")}
    kernels |= {"head/bias": exact.parameters["head/bias"]}
    states, _ = reference.dynamic_rnn(reference.GRU(32), kernels, x)
    expected = states @ kernels["head/kernel"] + kernels["head/bias"]
    np.testing.assert_allclose(program.inference(x=x), expected, rtol=0, atol=FAR["int8"])


@pytest.mark.filterwarnings("error")
def test_kinds_by_patterns_of_names(tmp_path: Path) -> None:
    """The first matching pattern counts. Saved programs and pickles store all patterns, and compiled code depends on
    them.
    """
    narrow = partial(rg.Narrow, force=True)
    kinds = {"head/*": narrow("bfloat16"), "*gates*": "float32", "*": narrow("int8")}
    program, x = rg.compile(small_net(), seed=3, weights=kinds), normal(2, 5, 32)
    assert [formats_held(program)[name] for name in (*BODIES, "kernel")] == ["float32", "int8", "bfloat16"]
    program.save(tmp_path / "net")
    restored, pickled = rg.load(tmp_path / "net"), rg.loads(rg.dumps(program))
    for other in (restored, pickled):
        assert other.summary() == program.summary()
        same(other.inference(x=x), program.inference(x=x))
    exact = rg.load(tmp_path / "net", weights="float32")
    same(exact.inference(x=x), rg.compile(small_net(), seed=3).inference(x=x))
    one = rg.load(tmp_path / "net", weights={"*candidate*": rg.Narrow("int8", force=True)})
    assert [formats_held(one)[name] for name in (*BODIES, "kernel")] == ["float32", "int8", "float32"]
    assert 0 < np.abs(one.inference(x=x) - exact.inference(x=x)).max() < 0.05


@DOTS
def test_each_pattern_without_effect_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"weights=\{'head/\*': 'int8'\} changes nothing.*What is narrow: rnn"):
        rg.compile(small_net(), weights={"head/*": "int8", "*": rg.Narrow("int8", force=True)})
    with pytest.warns(UserWarning, match="no product multiplies activations by it"):
        rg.compile(small_net(), weights={"*bias": rg.Narrow("int8", force=True)})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"tail/*": "int8"}, r"'tail/\*'\] matches no parameter; there are rnn/gru_cell/gates/kernel, .*head/bias"),
        ({"*": "int8", "head/*": "bfloat16"}, r"'head/\*'\] has no effect.*write 'head/\*' before"),
        ({"head/*": "int2"}, "use one of float32, bfloat16, int8"),
        ({7: "int8"}, "7 is not a str"),
        (7, "use one of float32, bfloat16, int8"),
    ],
)
def test_wrong_kinds_are_errors(weights: Any, message: str) -> None:
    with pytest.raises((rg.ArgumentError, rg.DtypeError), match=message):
        rg.compile(small_net(), weights=weights)


def test_a_parameter_of_float64_that_stays_may_be_float64() -> None:
    x, wide = rg.placeholder("x", (None, 64)), rg.placeholder("w", (None, 64), "float64")
    outputs = {"narrow": rg.dense(x, 64, name="one"), "wide": rg.dense(wide, 64, name="two")}
    rg.compile(outputs, weights={"one/*": "int8"})
    with pytest.raises(rg.DtypeError, match="two/kernel is float64"):
        rg.compile(outputs, weights="int8")


def test_exports_describe_the_kinds_of_weights(tmp_path: Path) -> None:
    program = rg.compile(small_net(), weights={"head/*": rg.Narrow("int8", force=True)})
    net = program.inference.export(tmp_path / "net", link=False)
    header = net.files["net.h"].read_text()
    assert "head/kernel: int8" in header
    assert "rnn/gru_cell/gates/kernel, rnn/gru_cell/gates/bias" in header
    plain = rg.compile(small_net()).inference.export(tmp_path / "plain", link=False)
    assert "int8" not in plain.files["net.h"].read_text()
    assert net.files[object_name("net")].read_bytes() != plain.files[object_name("net")].read_bytes()


def test_a_profile_describes_the_kinds_of_weights() -> None:
    program = rg.compile(small_net(), weights=rg.Narrow("int8", force=True))
    profile = program.inference.profile(x=normal(1, 2, 32), seconds=0.05)
    assert "Weights: rnn/gru_cell/gates/kernel, " in profile.headline()


def test_a_weight_of_several_parameters_has_the_widest_of_their_kinds() -> None:
    x = rg.placeholder("x", (None, 96))
    y = rg.matmul(x, rg.parameter("a", (96, 96)) + rg.parameter("b", (96, 96)))
    rows = normal(2, 96)
    both, wide, exact = (
        rg.compile(y, seed=1, weights=kinds)
        for kinds in ({"a": "int8", "b": "bfloat16"}, {"*": "bfloat16"}, {"*": "float32"})
    )
    assert formats_held(both) == {"a": "bfloat16", "b": "bfloat16"}
    same(both.inference(x=rows), wide.inference(x=rows))
    with pytest.warns(UserWarning, match="a: float32, as it forms one weight with b, kept float32"):
        alone = rg.compile(y, seed=1, weights={"a": "int8"})
    same(alone.inference(x=rows), exact.inference(x=rows))
