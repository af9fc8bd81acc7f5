"""Native products of narrow numbers: exact sums of bytes, and sums of bfloat16 in one order, for every size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import llvmlite.binding as llvm
import numpy as np
import pytest
from native_calls import call_native
from systems import levels

import rnngraph as rg
from rnngraph.codegen.compile import compile_graph
from rnngraph.codegen.llvm.module import module_text
from rnngraph.codegen.machine.engine import assembly
from rnngraph.codegen.machine.target import Target, host, target_of
from rnngraph.codegen.schedule.scheduler import schedule
from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.interpreter import interpret
from rnngraph.ir.numbers.narrow import rounded_to_bfloat16, rounded_to_float16
from rnngraph.ir.types import TensorType
from rnngraph.runtime.native.entry import NativeEntry, aligned_bytes

DEPTHS, WIDTHS = (1, 2, 3, 4, 5, 7, 17, 25, 63, 100), (1, 2, 3, 7, 25, 100)
GENERATOR = np.random.default_rng(4)


def with_dots(form: str) -> Target:
    """Return the host with the dot-product instruction of a form enabled, even where it is slow."""
    if form not in host().dots and not (form == "bfloat16" and llvm.get_host_cpu_features().get("avx512bf16", False)):
        pytest.skip(f"this processor has no instruction for products of {form}")
    return replace(host(), dots=(form,))


def run(
    graph: Graph, feeds: dict[str, np.ndarray], weights: dict[str, np.ndarray], target: Target | None = None
) -> np.ndarray:
    """Return the graph's only output, computed by native code."""
    target = target or host()
    entry = NativeEntry(compile_graph(graph, target, "product"), target)
    (found,) = call_native(entry, weights, feeds, {}).values()
    return found


def given(op: str, label: str, shape: Sequence[int]) -> Node:
    return make(op, label=label, name=label, type=TensorType("float32", tuple(shape)))


def bytes_product(rows: int, depth: int, widths: Sequence[int], dtype: str = "uint8") -> Graph:
    """Return a graph of adjacent products of one row of bytes, like gates. The first is added to sums of columns."""
    x, w = given("input", "x", (rows, depth)), given("parameter", "w", (depth, sum(widths)))
    left, right = make("cast", x, dtype=dtype), make("cast", w, dtype="int8")
    sums = make("reduce_sum", make("cast", right, dtype="int32"), axes=(0,), keepdims=False)
    pieces, first = [], 0
    for width in widths:
        bounds = {"start": (0, first), "stop": (depth, first + width), "step": (1, 1)}
        begin = make("slice", sums, start=(first,), stop=(first + width,), step=(1,))
        starts = [begin] if first == 0 else []
        pieces.append(make("matmul", left, make("slice", right, **bounds), *starts))
        first += width
    return Graph.of("bytes", [("y", make("concat", *pieces, axis=1))], [x, w])


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("width", WIDTHS)
def test_sums_of_bytes_are_exact(depth: int, width: int) -> None:
    with_dots("int8")
    rows = (1, 3, 32)[(depth + width) % 3]
    x = GENERATOR.integers(0, 256, (rows, depth)).astype(np.float32)
    w = GENERATOR.integers(-127, 128, (depth, 2 * width)).astype(np.float32)
    found = run(bytes_product(rows, depth, (width, width)), {"x": x}, {"w": w})
    expected = x.astype(np.int64) @ w.astype(np.int64)
    expected[:, :width] += w[:, :width].astype(np.int64).sum(0)
    np.testing.assert_array_equal(found, expected)


WAYS = [
    ("plain", 128),
    ("plain", 512),
    *((way, bits) for bits in (128, 256, 512) for way in ("maddubs", "maddwd") if (way, bits) != ("maddubs", 512)),
]


@pytest.mark.parametrize(("way", "bits"), WAYS)
def test_sums_of_signed_bytes_are_exact(way: str, bits: int) -> None:
    """Sums are exact with each processor's instructions, and for extreme values, whose sum of two products fills 16
    bits.
    """
    if way != "plain" and not (host().triple.startswith("x86_64") and bits <= host().vector_bits):
        pytest.skip(f"this processor can't do {way} in {bits} bits")
    target = replace(host(), vector_bits=bits, registers=16, dots=(), signed_dots=way)
    for number, (depth, width) in enumerate([(1, 1), (2, 2), (3, 3), (7, 4), (17, 25), (63, 7), (100, 17), (4, 100)]):
        rows = (1, 3, 32)[number % 3]
        x, w = (
            GENERATOR.integers(-127, 128, shape).astype(np.float32) for shape in ((rows, depth), (depth, 2 * width))
        )
        x[0], w[:, 0], w[::2, -1] = 127, -127, 127
        found = run(bytes_product(rows, depth, (width, width), "int8"), {"x": x}, {"w": w}, target)
        expected = x.astype(np.int64) @ w.astype(np.int64)
        expected[:, :width] += w[:, :width].astype(np.int64).sum(0)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "instruction"),
    [
        ("aarch64-linux-dotprod", "sdot"),
        ("aarch64-macos", "sdot"),
        ("wasm32-simd128", "i32x4.dot_i16x8_s"),
        ("thumbv7em-none-eabihf", "smlad"),
    ],
)
def test_instructions_of_other_processors(name: str, instruction: str) -> None:
    target = target_of(name)
    for widths in ((40,), (1, 2)):
        plan = schedule(bytes_product(3, 33, widths, "int8"), target, "product")
        assert instruction in assembly(module_text(plan.functions, [plan.main, plan.pack], target, "product"), target)


@pytest.mark.parametrize("bits", [128, 256])
def test_narrower_vectors_give_the_same_results(bits: int) -> None:
    """Vectors are narrow on processors that have byte products but not AVX-512."""
    with_dots("int8")
    x, w = GENERATOR.integers(0, 256, (3, 25)), GENERATOR.integers(-127, 128, (25, 34))
    feeds, weights = {"x": x.astype(np.float32)}, {"w": w.astype(np.float32)}
    target = replace(host(), vector_bits=bits, registers=16)
    graph = bytes_product(3, 25, (17, 17))
    np.testing.assert_array_equal(run(graph, feeds, weights, target), run(graph, feeds, weights))


def test_code_for_a_processor_with_avx_vnni() -> None:
    """Code uses the encoding of AVX-VNNI and no AVX-512. It is not run, because not all machines can run it."""
    if not host().triple.startswith("x86_64"):
        pytest.skip("the instruction is one of x86-64")
    target = Target("host", host().triple, "alderlake", "", 256, 16, True, dots=("int8",))
    plan = schedule(bytes_product(3, 64, (40,)), target, "product")
    text = assembly(module_text(plan.functions, [plan.main, plan.pack], target, "product"), target)
    assert "vpdpbusd" in text
    assert "zmm" not in text
    assert "@PLT" not in text


def test_the_largest_sums_of_bytes_fit() -> None:
    with_dots("int8")
    depth = 1 << 16
    for weight in (-127, 127):
        graph = bytes_product(1, depth, (3,))
        x, w = np.full((1, depth), 255, np.float32), np.full((depth, 3), weight, np.float32)
        sums = interpret(graph, {"x": x, "w": w})["y"]
        np.testing.assert_array_equal(run(graph, {"x": x}, {"w": w}), sums)
        assert abs(256 * depth * weight) < 2**31


@pytest.mark.parametrize("name", ["host", *levels("x86-64-v2", "x86-64-v3")])
def test_casts_to_float16_round_to_even_and_saturate(name: str) -> None:
    """All float16 numbers, the numbers halfway between them, and their neighbours."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    finite = np.sort(halves[np.isfinite(halves)])
    middles = (finite[1:] + finite[:-1]) / 2
    beyond = np.array([65519, 65520, 1e6, np.inf, 1e-8, 2.0**-25, 1e-40], np.float32)
    x = np.concatenate(
        [halves, middles, np.nextafter(middles, np.inf), np.nextafter(middles, -np.inf), beyond, -beyond]
    )
    source = given("input", "x", x.shape)
    node = make("cast", make("cast", source, dtype="float16"), dtype="float32")
    result = run(Graph.of("halves", [("y", node)], [source]), {"x": x}, {}, target_of(name))
    np.testing.assert_array_equal(result, rounded_to_float16(x))
    np.testing.assert_array_equal(np.signbit(result), np.signbit(x))


def bfloat16_product(rows: int, depth: int, width: int, split: bool) -> Graph:
    x, w = given("input", "x", (rows, depth)), given("parameter", "w", (depth, width))
    narrow = make("cast", w, dtype="bfloat16")
    high = make("cast", x, dtype="bfloat16")
    low = make("cast", make("sub", x, make("cast", high, dtype="float32")), dtype="bfloat16")
    parts = [make("matmul", part, narrow) for part in ((high, low) if split else (high,))]
    return Graph.of("pairs", [("y", make("add", *parts) if split else parts[0])], [x, w])


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("width", WIDTHS)
def test_sums_of_bfloat16(depth: int, width: int) -> None:
    target = with_dots("bfloat16")
    rows, split = ((1, True), (3, True), (32, False))[(depth + width) % 3]
    x, w = GENERATOR.normal(size=(rows, depth)), GENERATOR.normal(size=(depth, width))
    x, w = x.astype(np.float32), w.astype(np.float32)
    found = run(bfloat16_product(rows, depth, width, split), {"x": x}, {"w": w}, target)
    rounded = rounded_to_bfloat16(w).astype(np.float64)
    kept = x if split else rounded_to_bfloat16(x)
    bound = np.abs(kept).astype(np.float64) @ np.abs(rounded) * (2.0**-16 if split else 2.0**-22)
    assert np.all(np.abs(found - kept.astype(np.float64) @ rounded) <= bound + 1e-30)


@pytest.mark.parametrize("threads", [1, 2])
def test_chunks_of_many_steps_convert_weights_once_with_the_bits_of_steps(threads: int) -> None:
    """The number of steps decides at the call: for few rows, each tile converts weights; for many, a loop does."""
    x = rg.placeholder("x", (None, None, 70))
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(48), rg.dense(x, 70, name="first"))
    options = {"weights": rg.Narrow("bfloat16", force=True), "target": "x86-64-v3", "threads": threads}
    program = rg.compile({"y": rg.dense(outputs, 37, name="last")}, seed=1, **options)
    fed = GENERATOR.normal(size=(1, 90, 70)).astype(np.float32)
    steps = program.inference.stream()
    expected = np.stack([steps.step(x=fed[:, number])["y"] for number in range(90)], 1)
    for count in (1, 7, 17, 18, 19, 64, 90):
        chunks = program.inference.stream()
        result = chunks.process(x=fed[:, :count])["y"]
        np.testing.assert_array_equal(result, expected[:, :count])
    assert re.search(r"cast %w\.\d+ : f32x8", str(program.inference.show("loops")))


@pytest.mark.parametrize("width", [3, 17, 64])
def test_entries_after_the_end_of_a_row_are_not_added(width: int) -> None:
    """With an odd number of k, half of the last pair is unused, and its memory may contain anything."""
    target = with_dots("bfloat16")
    graph = bfloat16_product(3, 33, width, split=True)
    x = np.zeros((3, 33), np.float32)
    entry = NativeEntry(compile_graph(graph, target, "product"), target)
    arena = aligned_bytes(entry.sized({}).arena_bytes)
    arena[...] = 0xFF  # NaN in bfloat16 and in float32
    entry._arenas.append(arena)
    (found,) = call_native(entry, {"w": np.ones((33, width), np.float32)}, {"x": x}, {}).values()
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "uint8"])
def test_casts_to_narrow_numbers_are_numpys(dtype: str) -> None:
    """Conversion in both directions: numbers of every magnitude, ties, limits, NaN and infinities."""
    bits = GENERATOR.integers(0, 1 << 32, 4000, dtype=np.uint32).view(np.float32)
    if host().is_arm64:  # Arm converts signalling NaN, which NumPy never creates, to 0
        bits[np.isnan(bits)] = np.nan
    ties = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, 3.3895e38, 3.4e38, 1e-45, -1e-45, 0.0, -0.0], np.float32)
    near = GENERATOR.uniform(-300, 300, 1000).astype(np.float32)
    special = np.array([np.nan, np.inf, -np.inf, 127.99, 128, 255.5, 256, -0.5, -128.9, -129], np.float32)
    x = np.concatenate([bits, ties, near, special])
    node = given("input", "x", x.shape)
    graph = Graph.of("casts", [("y", make("cast", make("cast", node, dtype=dtype), dtype="float32"))], [node])
    np.testing.assert_array_equal(run(graph, {"x": x}, {}), interpret(graph, {"x": x})["y"])


def test_bfloat16_is_the_nearest_of_both_neighbours() -> None:
    """Results are compared with float64: no representable number is nearer."""
    x = GENERATOR.normal(size=5000).astype(np.float32) * np.float32(2.0) ** GENERATOR.integers(-100, 100, 5000)
    x = x.astype(np.float32)
    found = rounded_to_bfloat16(x)
    assert not (found.view(np.uint32) & 0xFFFF).any()
    exponent = np.floor(np.log2(np.abs(x.astype(np.float64))))
    assert np.all(np.abs(found.astype(np.float64) - x) <= 2.0 ** (exponent - 8))
    assert np.abs(found.astype(np.float64) - x).max() > 0


def test_rounding_is_to_even_numbers() -> None:
    x = np.array([-2.5, -1.5, -0.5, -0.2, 0.5, 1.5, 2.4999998, 2.5, 1e30, np.inf, -np.inf, np.nan], np.float32)
    node = given("input", "x", x.shape)
    graph = Graph.of("rounds", [("y", make("round", node))], [node])
    expected = np.array([-2, -2, -0.0, -0.0, 0, 2, 2, 2, x[8], np.inf, -np.inf, np.nan], np.float32)
    for found in (run(graph, {"x": x}, {}), interpret(graph, {"x": x})["y"]):
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(np.signbit(found[:-1]), np.signbit(expected[:-1]))


@pytest.mark.parametrize("target", ["host", *levels("x86-64-v2", "x86-64-v3")])
@pytest.mark.parametrize("form", ["int8", "bfloat16"])
def test_narrow_weights_together_with_floats(form: str, target: str) -> None:
    """Narrow weights are widened when they are loaded, with the bits of a product with float32 weights."""
    for depth in DEPTHS[::2]:
        for width in WIDTHS[1::2]:
            rows = (1, 3, 32)[(depth + width) % 3]
            x = GENERATOR.standard_normal((rows, depth)).astype(np.float32)
            w = GENERATOR.integers(-127, 128, (depth, width)).astype(np.float32)
            first, second = given("input", "x", (rows, depth)), given("parameter", "w", (depth, width))
            narrow = Graph.of(
                "narrow", [("y", make("matmul", first, make("cast", second, dtype=form)))], [first, second]
            )
            wide = Graph.of("wide", [("y", make("matmul", first, second))], [first, second])
            chosen = target_of(target)
            expected = run(wide, {"x": x}, {"w": w}, chosen)
            np.testing.assert_array_equal(run(narrow, {"x": x}, {"w": w}, chosen), expected)
            plan = schedule(narrow, chosen, "product")
            assert "i8" in str(plan.loops()) or "bf16" in str(plan.loops())


@pytest.mark.parametrize("form", ["int8", "bfloat16"])
def test_narrow_and_wide_weights_of_one_row(form: str) -> None:
    """Some gates of a row are too small to be narrowed."""
    x, w = GENERATOR.standard_normal((3, 17)).astype(np.float32), GENERATOR.integers(-127, 128, (17, 34))
    feed, weight = given("input", "x", (3, 17)), given("parameter", "w", (17, 34))
    halves = [make("slice", weight, start=(0, first), stop=(17, first + 17), step=(1, 1)) for first in (0, 17)]
    products = [make("matmul", feed, make("cast", halves[0], dtype=form)), make("matmul", feed, halves[1])]
    graph = Graph.of("mixed", [("y", make("add", make("tanh", products[0]), products[1]))], [feed, weight])
    weights = w.astype(np.float32)
    found = run(graph, {"x": x}, {"w": weights}, target_of("x86-64-v2") if host().triple.startswith("x86_64") else None)
    wide = x.astype(np.float64) @ weights
    np.testing.assert_allclose(found, np.tanh(wide[:, :17]) + wide[:, 17:], rtol=1e-4, atol=1e-3)
