"""Accuracy of the vector functions, on samples with all exponents, or on every float32 if requested."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator
from functools import cache

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest
from vector_harness import Array, Compiled

from rnngraph.codegen.llvm.vecmath import (
    ERROR_BOUNDS,
    FUNCTIONS,
)
from rnngraph.ir.ops import OPS

NAMES = sorted(name for name in FUNCTIONS if OPS[name].arity == (1, 1))
ODD = ("tanh", "sin", "atan", "erf")
# Bounds of sin and cos hold up to this value.
TRIGONOMETRIC_LIMIT = {"float32": 1e5, "float64": 1e6}
NAN, INFINITY = math.nan, math.inf
SPECIAL_VALUES = {
    #          -inf       -1                    -0.0  0.0   inf
    "tanh": (-1.0, math.tanh(-1), -0.0, 0.0, 1.0),
    "sigmoid": (0.0, 1 / (1 + math.exp(1)), 0.5, 0.5, 1.0),
    "exp": (0.0, math.exp(-1), 1.0, 1.0, INFINITY),
    "expm1": (-1.0, math.expm1(-1), -0.0, 0.0, INFINITY),
    "log": (NAN, NAN, -INFINITY, -INFINITY, INFINITY),
    "log1p": (NAN, -INFINITY, -0.0, 0.0, INFINITY),
    "sin": (NAN, math.sin(-1), -0.0, 0.0, NAN),
    "cos": (NAN, math.cos(-1), 1.0, 1.0, NAN),
    "atan": (-math.pi / 2, -math.pi / 4, -0.0, 0.0, math.pi / 2),
    "erf": (-1.0, math.erf(-1), -0.0, 0.0, 1.0),
}


def targets() -> list[str]:
    """Return the test's targets.

    `fused` needs hardware with fma; `plain` has a product and a sum instead, and no AVX on x86. `estimated` is `fused`
    with reciprocals that AVX-512 estimates.
    """
    features = llvm.get_host_cpu_features()
    fused = platform.machine() != "x86_64" or features.get("fma", False)
    estimated = features.get("avx512f", False) and features.get("avx512vl", False)
    return ["fused"] * fused + ["plain"] + ["estimated"] * estimated


@cache
def compiled(name: str, dtype: str, target: str, lanes: int = 0, optimize: bool = False) -> Compiled:
    """Return native code for one function, cached between tests."""
    old = target == "plain" and platform.machine() == "x86_64"
    return Compiled(
        FUNCTIONS[name],
        dtype,
        lanes=lanes,
        fused=target != "plain",
        estimates=target == "estimated",
        cpu="x86-64-v2" if old else "",
        optimize=optimize,
    )


def reference_sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    result: Array = np.where(x < 0, e, 1) / (1 + e)
    return result


def reference_erf(x: Array) -> Array:
    a = np.minimum(np.abs(x), 6.0)
    square = a * a
    series = np.zeros_like(a)
    for n in range(7, -1, -1):  # the Maclaurin series, accurate to 1e-17 for a < 1/16
        series = series * -square + 1 / (math.factorial(n) * (2 * n + 1))
    result = a * series * (2 / math.sqrt(math.pi))
    middle = a >= 1 / 16
    result[middle] = np.fromiter(map(math.erf, a[middle].tolist()), float)
    return np.copysign(result, x)


def reference(name: str, x: Array) -> Array:
    """Return the function in double precision, accurate enough to judge float32 results."""
    functions: dict[str, Callable[[Array], Array]] = {"sigmoid": reference_sigmoid, "erf": reference_erf}
    with np.errstate(all="ignore"):
        function = functions[name] if name in functions else getattr(np, name)
        result: Array = function(x.astype(np.float64))
    return result


def errors(y: Array, exact: Array) -> Array:
    """Return |y - exact| in units of the float32 spacing at the rounded exact result; infinity if only one is NaN.

    Infinity is treated as 2^128, which would be the next number after the largest.
    """
    with np.errstate(all="ignore"):
        exponent = (np.abs(exact.astype(np.float32)).view(np.uint32) >> np.uint32(23)).clip(1, 254)
        spacing = ((exponent.astype(np.uint64) + np.uint64(1023 - 150)) << np.uint64(52)).view(np.float64)
        error = np.abs(y - exact) / spacing
        if not np.isfinite(error).all():
            limit = 2.0**128
            error = np.abs(y.astype(np.float64).clip(-limit, limit) - exact.clip(-limit, limit)) / spacing
            either, both = np.isnan(y) | np.isnan(exact), np.isnan(y) & np.isnan(exact)
            error[either] = INFINITY
            error[both] = 0
    result: Array = error
    return result


def worst(name: str, function: Compiled, chunks: Iterator[Array]) -> tuple[float, float]:
    """Return the largest error over all chunks, and its argument."""
    largest, where = -1.0, NAN
    for chunk in chunks:
        x = chunk
        if name in ("sin", "cos"):
            x = x[~(np.isfinite(x) & (np.abs(x) > TRIGONOMETRIC_LIMIT["float32"]))]
            if not x.size:
                continue
        y = function(x)
        if name in ("tanh", "erf", "sin", "cos"):
            assert not np.any(np.abs(y) > 1)
        error = errors(y, reference(name, x))
        index = int(error.argmax())
        if error[index] > largest:
            largest, where = float(error[index]), float(x[index])
    return largest, where


@cache
def float32_samples() -> Array:
    """Return about two million numbers: all signs and exponents, critical ranges, and special values."""
    generator = np.random.default_rng(20)
    high = np.arange(512, dtype=np.uint32)[:, None] << np.uint32(23)
    every = (high | generator.integers(0, 1 << 23, (512, 2000), dtype=np.uint32)).view(np.float32).ravel()
    dense = [generator.uniform(-a, a, 200_000).astype(np.float32) for a in (0.75, 4, 20, 105)]
    near_one = np.float32(1) + generator.uniform(-0.3, 0.4, 100_000).astype(np.float32)
    multiples = np.arange(-63_000, 63_000) * (math.pi / 2)
    # Ends of each exponent's range, and the smallest denormal numbers.
    ends = (np.arange(512, dtype=np.uint32)[:, None] << np.uint32(23)) + np.array([0, 1, 2, (1 << 23) - 1], np.uint32)
    return np.concatenate([every, *dense, near_one, multiples.astype(np.float32), ends.view(np.float32).ravel()])


@pytest.mark.parametrize("target", targets())
@pytest.mark.parametrize("name", NAMES)
def test_float32_samples(name: str, target: str) -> None:
    largest, where = worst(name, compiled(name, "float32", target), iter([float32_samples()]))
    assert largest <= ERROR_BOUNDS[name]["float32"], f"{name}({where!r}) is {largest:.3f} ulp off"


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", targets())
@pytest.mark.parametrize("name", NAMES)
def test_every_float32(name: str, target: str) -> None:
    size = 1 << 17
    offsets = np.arange(size, dtype=np.uint32)
    chunks = ((offsets + np.uint32(start)).view(np.float32) for start in range(0, 1 << 32, size))
    largest, where = worst(name, compiled(name, "float32", target), chunks)
    print(f"{name} {target}: {largest:.3f} ulp at {where!r}")
    assert largest <= ERROR_BOUNDS[name]["float32"], f"{name}({where!r}) is {largest:.3f} ulp off"


def float64_samples(name: str, count: int) -> Array:
    """Return arguments where results are neither constant nor out of range, near zero, near one, and near multiples of
    π/2.
    """
    generator = np.random.default_rng(21)
    low, high = {
        "tanh": (-20.0, 20.0),
        "sigmoid": (-746.0, 40.0),
        "exp": (-746.0, 710.0),
        "expm1": (-40.0, 710.0),
        "log": (0.0, 3.0),
        "log1p": (-1.0, 3.0),
        "atan": (-100.0, 100.0),
        "erf": (-6.0, 6.0),
    }.get(name, (-1e6, 1e6))
    parts: list[Array] = [generator.uniform(max(low, -a), min(high, a), count) for a in (0.6, 3, 1e6)]
    tiny = 10.0 ** generator.uniform(-323, 0, count)
    parts.append(tiny if name.startswith("log") else np.copysign(tiny, generator.uniform(-1, 1, count)))
    if name.startswith("log"):
        parts += [10.0 ** generator.uniform(-307, 307, count), 1 + generator.normal(0, 1e-3, count)]
    if name in ("sin", "cos"):
        parts.append(generator.integers(1, 636_000, count) * (math.pi / 2))
    return np.concatenate(parts)


@pytest.mark.parametrize("name", NAMES)
def test_float64_samples(name: str) -> None:
    x = float64_samples(name, 500)
    with mpmath.workprec(140):
        functions = {"sigmoid": lambda v: 1 / (1 + mpmath.exp(-v))}
        function = functions[name] if name in functions else getattr(mpmath, name)
        exact = [function(mpmath.mpf(v)) for v in x.tolist()]
        for target in targets():
            for v, y, e in zip(x.tolist(), compiled(name, "float64", target)(x).tolist(), exact, strict=True):
                rounded = float(e)
                if math.isinf(rounded):
                    assert y == rounded, (target, v)
                else:
                    error = float(abs(mpmath.mpf(y) - e) / math.ulp(rounded))
                    assert error <= ERROR_BOUNDS[name]["float64"], (target, v, error)


@pytest.mark.parametrize("target", targets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str, dtype: str, target: str) -> None:
    function = compiled(name, dtype, target)
    y = function(np.array([-INFINITY, -1.0, -0.0, 0.0, INFINITY], dtype))
    expected = np.array(SPECIAL_VALUES[name], dtype)
    np.testing.assert_allclose(y, expected, rtol=4 * float(np.finfo(dtype).eps))
    zeros = expected == 0
    assert (np.signbit(y[zeros]) == np.signbit(expected[zeros])).all()
    assert np.isnan(function(np.array([NAN, -NAN], dtype))).all()
    # NaN of any payload and sign, including signalling ones.
    if dtype == "float32":
        patterns = np.array([0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFC00000], np.uint32)
        assert np.isnan(function(patterns.view(np.float32))).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_bits_depend_on_the_element_only(name: str, dtype: str) -> None:
    """Bits agree for any number of lanes, with and without LLVM's optimiser. Undefined behaviour would differ."""
    samples = float32_samples()[::997]
    x = np.concatenate([samples[np.isfinite(samples)].astype(dtype), np.array([NAN, INFINITY, -INFINITY], dtype)])
    target = targets()[0]
    expected = compiled(name, dtype, target)(x)
    for lanes, optimize in ((1, False), (2, True), (4, False), (16, False), (16, True)):
        np.testing.assert_array_equal(compiled(name, dtype, target, lanes, optimize)(x), expected)


@pytest.mark.parametrize("name", ODD)
def test_odd_functions_are_odd_to_the_bit(name: str) -> None:
    x = float32_samples()[::31]
    if name == "sin":
        x = x[np.abs(x) <= TRIGONOMETRIC_LIMIT["float32"]]
    function = compiled(name, "float32", targets()[0])
    np.testing.assert_array_equal(function(-x), -function(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sine_and_cosine_stay_in_range_for_huge_arguments(name: str, dtype: str) -> None:
    x = float32_samples()[np.isfinite(float32_samples())][::7].astype(dtype)
    if dtype == "float64":
        x = np.concatenate([x, x * 1e200])
    with np.errstate(over="ignore"):
        x = x[np.isfinite(x)]
    for target in targets():
        assert (np.abs(compiled(name, dtype, target)(x)) <= 1).all()


@pytest.mark.parametrize("target", targets())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_the_code_calls_no_functions(name: str, dtype: str, target: str) -> None:
    """Code has no calls of libm or libc, no loops over lanes, and at most one division."""
    function = compiled(name, dtype, target)
    assert "call" not in function.assembly
    divides = name in ("tanh", "sigmoid", "atan") and (target != "estimated" or dtype == "float64")
    assert function.text.count("fdiv") == divides


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_may_take_square_roots(dtype: str) -> None:
    """A square root is one instruction, without a call."""
    x = np.array([0.0, -0.0, 2.0, 1e-300 if dtype == "float64" else 1e-40, -1.0, np.inf, np.nan], dtype)
    root = Compiled(lambda b, value: b.sqrt(value), dtype)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(root(x), np.sqrt(x))
    assert "call" not in root.assembly
