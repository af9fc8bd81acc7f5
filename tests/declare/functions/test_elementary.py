"""Elementwise functions at hard points: NumPy's float64 for float32, mpmath for float64, and torch's gradients as
formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from systems import levels

import rnngraph as rg
from rnngraph.codegen.llvm.vecmath import ERROR_BOUNDS
from rnngraph.lazy_names import NAMES_OF_MODULE

Array = np.ndarray[Any, Any]
INFINITY, NAN = math.inf, math.nan
MAGNITUDES = (
    0.0,
    1e-8,
    1e-4,
    1e-3,
    0.1,
    0.25,
    0.5,
    0.6,
    0.75,
    0.9,
    0.999999,
    1.0,
    1.0000001,
    1.5,
    2.0,
    2.5,
    3.0,
    7.0,
    8.0,
    10.0,
    20.0,
    80.5,
    88.0,
    89.0,
    89.4,
    100.0,
    300.0,
    709.0,
    710.4,
    1000.0,
    1024.0,
    1e5,
    1e10,
    1.8e19,
    1e20,
    1e30,
    3.4028235e38,
    1e-20,
    1e-30,
    1.1754944e-38,
    1e-40,
    1e-45,
    1.7976931348623157e308,
    5e-324,
    INFINITY,
    NAN,
)
NAMES: dict[str, tuple[Callable[[Any], Any], float]] = {
    "sinh": (mpmath.sinh, 4),
    "cosh": (mpmath.cosh, 4),
    "tan": (mpmath.tan, 8),
    "asin": (mpmath.asin, 5),
    "acos": (mpmath.acos, 5),
    "asinh": (mpmath.asinh, 4),
    "acosh": (mpmath.acosh, 4),
    "atanh": (mpmath.atanh, 4),
    "exp2": (lambda x: mpmath.mpf(2) ** x, 1.2),
    "log2": (lambda x: mpmath.log(x, 2), 3),
    "log10": (mpmath.log10, 3),
    "erfc": (lambda x: mpmath.erfc(max(min(x, 1000), -1000)), 6),
    "ndtr": (lambda x: mpmath.ncdf(max(min(x, 1000), -1000)), 7),
    "logit": (lambda x: mpmath.log(x / (1 - x)), 4),
    "entr": (lambda x: -x * mpmath.log(x), 3),
    "rsqrt": (lambda x: 1 / mpmath.sqrt(x), 1.5),
    "reciprocal": (lambda x: 1 / x, 0.5),
    "deg2rad": (lambda x: x * mpmath.pi / 180, 1.1),
    "rad2deg": (lambda x: x * 180 / mpmath.pi, 1.1),
    "log_sigmoid": (lambda x: -mpmath.log1p(mpmath.exp(-x)), 4),
}
"""Unary functions by name, with their maximum error in ulp."""
SPECIAL: dict[str, dict[float, float]] = {
    "sinh": {INFINITY: INFINITY, -INFINITY: -INFINITY},
    "cosh": {INFINITY: INFINITY, -INFINITY: INFINITY},
    "asinh": {INFINITY: INFINITY, -INFINITY: -INFINITY},
    "acosh": {INFINITY: INFINITY},
    "atanh": {1.0: INFINITY, -1.0: -INFINITY},
    "exp2": {INFINITY: INFINITY, -INFINITY: 0.0},
    "log2": {0.0: -INFINITY, INFINITY: INFINITY},
    "log10": {0.0: -INFINITY, INFINITY: INFINITY},
    "erfc": {INFINITY: 0.0, -INFINITY: 2.0},
    "ndtr": {INFINITY: 1.0, -INFINITY: 0.0},
    "logit": {0.0: -INFINITY, 1.0: INFINITY},
    "entr": {0.0: 0.0, INFINITY: -INFINITY, -INFINITY: -INFINITY},
    "rsqrt": {INFINITY: 0.0},
    "reciprocal": {INFINITY: 0.0, -INFINITY: -0.0},
    "deg2rad": {INFINITY: INFINITY, -INFINITY: -INFINITY},
    "rad2deg": {INFINITY: INFINITY, -INFINITY: -INFINITY},
    "log_sigmoid": {INFINITY: 0.0, -INFINITY: -INFINITY},
}
ODD = ("sinh", "tan", "asin", "asinh", "atanh", "deg2rad", "rad2deg", "reciprocal")


def points(dtype: str) -> Array:
    generator = np.random.default_rng(4)
    drawn = [generator.normal(size=40), generator.uniform(-1, 1, 40), np.exp(generator.uniform(-60, 60, 40))]
    with np.errstate(all="ignore"):
        values = np.concatenate([MAGNITUDES, np.negative(MAGNITUDES), *drawn]).astype(dtype)
    return values


def computed(function: Callable[..., rg.Tensor], *arrays: Any, target: str | None = None) -> Array:
    """Return the values of a function of vectors."""
    operands = [rg.placeholder(f"x{number}", (None,), str(item.dtype)) for number, item in enumerate(arrays)]
    feeds = {f"x{number}": item for number, item in enumerate(arrays)}
    return np.asarray(rg.compile({"y": function(*operands)}, target=target).inference(feeds)["y"])


def gradients(function: Callable[..., rg.Tensor], *arrays: Any) -> list[Array]:
    """Return the gradients of the sum of a function's values by each operand."""
    operands = [rg.placeholder(f"x{number}", item.shape, str(item.dtype)) for number, item in enumerate(arrays)]
    feeds = {f"x{number}": item for number, item in enumerate(arrays)}
    value = function(*operands)
    program = rg.compile({"y": value}, loss=rg.reduce_sum(value))
    _, gradients = program.training.gradients(feeds, wrt=[*feeds])
    return [np.asarray(gradients[name]) for name in feeds]


def same(actual: Array, wanted: Array) -> Array:
    """Return True where bits are equal, or both are NaN."""
    return (np.isnan(actual) & np.isnan(wanted)) | ((actual == wanted) & (np.signbit(actual) == np.signbit(wanted)))


def exact(name: str, x: float) -> Any:
    """Return mpmath's value of a function; NaN outside of its domain."""
    if x in SPECIAL.get(name, {}):
        value = SPECIAL[name][x]
        return math.copysign(value, x) if x == 0 and name == "reciprocal" else value
    if math.isnan(x):
        return NAN
    if name == "entr" and x < 0:
        return -INFINITY
    if x == 0 and name in ("reciprocal", "rsqrt"):
        return math.copysign(INFINITY, x)
    if x == 0 and name in ODD:
        return x
    if math.isinf(x):
        return NAN
    try:
        value = NAMES[name][0](mpmath.mpf(x))
    except (ValueError, ZeroDivisionError):
        return NAN
    return NAN if isinstance(value, mpmath.mpc) and value.imag else mpmath.re(value)


@pytest.mark.parametrize("target", [None, *levels("x86-64-v2")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_a_function_of_one_number(name: str, dtype: str, target: str | None) -> None:
    x = points(dtype)
    if name == "tan":  # sine and cosine have an error bound only there
        x = x[~(np.isfinite(x) & (np.abs(x) > 1e5))]
    bound, actual = NAMES[name][1], computed(getattr(rg, name), x, target=target)
    with mpmath.workprec(400), np.errstate(over="ignore"):
        for number, value in zip(x.tolist(), actual, strict=True):
            wanted = exact(name, number)
            nearest = np.dtype(dtype).type(float(wanted))
            if not np.isfinite(nearest) or nearest == 0:
                is_zero = nearest == 0 and value == 0 and name not in ODD
                assert is_zero or same(value, nearest), (number, value, nearest)
                continue
            error = float(abs(mpmath.mpf(float(value)) - wanted) / np.spacing(np.abs(nearest)))
            assert error <= bound, (number, value, nearest, error)


def test_sinc_is_zero_at_whole_numbers_and_one_at_0() -> None:
    x = points("float64")
    x = x[np.abs(x) < 1e6]
    with mpmath.workprec(200):
        wanted = [1.0 if v == 0 else float(mpmath.sincpi(mpmath.mpf(v))) for v in x.tolist()]
    np.testing.assert_allclose(computed(rg.sinc, x), wanted, rtol=1e-14, atol=1e-300)
    assert computed(rg.sinc, np.array([-3.0, 1e30, -0.0], "float32")).tolist() == [0, 0, 1]


# Functions of two numbers ---------------------------------------------------------------------------------------


def every_pair(dtype: str, count: int) -> tuple[Array, Array]:
    """Return pairs of hard points, pairs of random bits, and near and exact quotients."""
    generator = np.random.default_rng(5)
    integers = {"float32": np.uint32, "float64": np.uint64}[dtype]
    with np.errstate(all="ignore"):
        hard = np.concatenate([MAGNITUDES, np.negative(MAGNITUDES)]).astype(dtype)
    left, right = (item.ravel() for item in np.meshgrid(hard, hard))
    bits = [generator.integers(0, np.iinfo(integers).max, count, integers, True).view(dtype) for _ in range(2)]
    divisor = generator.normal(size=count).astype(dtype)
    multiple = (generator.integers(-1000, 1000, count) * divisor).astype(dtype)
    return np.concatenate([left, bits[0], multiple]), np.concatenate([right, bits[1], divisor])


@pytest.mark.parametrize("target", [None, *levels("x86-64-v2", "x86-64-v3")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
def test_remainders_are_numpys_to_the_bit(name: str, dtype: str, target: str | None) -> None:
    a, b = every_pair(dtype, 300_000)
    with np.errstate(all="ignore"):
        wanted = getattr(np, name)(a, b)
    actual = computed(getattr(rg, name), a, b, target=target)
    wrong = ~same(actual, wanted)
    assert not wrong.any(), (a[wrong][:5], b[wrong][:5], actual[wrong][:5], wanted[wrong][:5])


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide", "trunc_divide", "power"])
def test_of_integers(name: str, dtype: str) -> None:
    generator, limits = np.random.default_rng(6), np.iinfo(dtype)
    hard = [0, 1, -1, 2, -2, 3, 7, -7, 10, limits.max, limits.min, limits.max - 1, limits.min + 1]
    a, b = (item.ravel() for item in np.meshgrid(np.array(hard, dtype), np.array(hard, dtype)))
    drawn = [
        generator.integers(limits.min, limits.max, 20_000, dtype) >> generator.integers(0, limits.bits, 20_000)
        for _ in range(2)
    ]
    a, b = (np.concatenate([item, more.astype(dtype)]) for item, more in zip((a, b), drawn, strict=True))
    if name == "power":
        b = b % 70
    with np.errstate(all="ignore"):
        if name == "trunc_divide":
            wanted = np.array([_truncated(int(p), int(q), limits) for p, q in zip(a, b, strict=True)], dtype)
        else:
            wanted = getattr(np, name)(a, b)
    np.testing.assert_array_equal(computed(getattr(rg, name), a, b), wanted)


def _truncated(a: int, b: int, limits: Any) -> int:
    """Return a quotient truncated towards 0, wrapped; 0 if b is 0."""
    quotient = 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return (quotient - int(limits.min)) % (1 << limits.bits) + int(limits.min)


def test_integers_to_an_exponent_below_0_are_cut_off() -> None:
    x, y = np.array([2, 1, -1, -1, 0, 5]), np.array([-1, -5, -3, -2, -2, 0])
    assert computed(rg.power, x, y).tolist() == [0, 1, -1, 1, 0, 1]


@pytest.mark.parametrize("target", [None, *levels("x86-64-v2")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_of_hard_points_are_numpys(dtype: str, target: str | None) -> None:
    a, b = every_pair(dtype, 1)
    with np.errstate(all="ignore"):
        wanted = np.power(a, b)
    actual = computed(rg.power, a, b, target=target)
    with np.errstate(all="ignore"):
        near = np.isclose(actual, wanted, rtol=2 * np.finfo(dtype).eps, atol=0) & (
            np.signbit(actual) == np.signbit(wanted)
        )
        near |= np.abs(actual - wanted) <= np.finfo(dtype).smallest_subnormal
    wrong = ~(near | same(actual, wanted))
    assert not wrong.any(), (a[wrong][:5], b[wrong][:5], actual[wrong][:5], wanted[wrong][:5])


@pytest.mark.parametrize("target", [None, *levels("x86-64-v2")])
def test_errors_of_powers_of_float32_are_within_their_bound(target: str | None) -> None:
    generator, count = np.random.default_rng(7), 500_000
    with np.errstate(all="ignore"):
        for x in (
            np.exp(generator.uniform(-87, 88, count)),
            generator.uniform(0.5, 2, count),
            1 + generator.normal(0, 1e-3, count),
            generator.integers(1, 50, count),
        ):
            base = x.astype(np.float32)
            exponent = (generator.uniform(-103, 88.7, count) / np.log(base.astype(float))).astype(np.float32)
            wanted = np.power(base.astype(float), exponent.astype(float))
            actual = computed(rg.power, base, exponent, target=target)
            error = np.abs(actual - wanted) / np.spacing(np.abs(wanted).astype(np.float32))
            assert error[wanted < 3.4028235e38].max() <= ERROR_BOUNDS["power"]["float32"]
    whole = generator.integers(-9, 10, (2, 1000)).astype(np.float32)
    wanted = np.power(whole[0].astype(float), np.abs(whole[1])).astype(np.float32)
    np.testing.assert_array_equal(computed(rg.power, whole[0], np.abs(whole[1])), wanted)


@pytest.mark.parametrize("target", [None, *levels("x86-64-v2")])
def test_errors_of_powers_of_float64_are_within_their_bound(target: str | None) -> None:
    generator = np.random.default_rng(8)
    base = np.concatenate([np.exp(generator.uniform(-700, 700, 500)), generator.uniform(0.5, 2, 1500)])
    exponent = generator.uniform(-744, 709, base.size) / np.log(base)
    with mpmath.workprec(200):
        for x, y, value in zip(base, exponent, computed(rg.power, base, exponent, target=target), strict=True):
            wanted = mpmath.mpf(x) ** mpmath.mpf(y)
            error = abs(mpmath.mpf(float(value)) - wanted) / math.ulp(float(wanted))
            assert error <= ERROR_BOUNDS["power"]["float64"], (x, y)


def test_exponents_that_are_numbers() -> None:
    x = np.array([-2.0, -0.0, 0.0, 3.0, INFINITY, -INFINITY, NAN, 1e20, 1e-30], np.float32)
    for exponent in (0, 1, 2, 3, 8, 9, -1, -2, -3, 1000, 0.5, 2.5, -0.5, 0.0, 1.0 / 3):
        with np.errstate(all="ignore"):
            wanted = np.sqrt(x) if exponent == 0.5 else np.power(x, np.float32(exponent))
        actual = computed(lambda x, exponent=exponent: x**exponent, x)
        np.testing.assert_allclose(actual, wanted, rtol=3e-7, err_msg=str(exponent))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(computed(lambda y: (-2.0) ** y, x), np.power(np.float32(-2.0), x), rtol=3e-7)
        np.testing.assert_allclose(
            computed(lambda x: x ** rg.constant([2.0, 3, 0, 2, 0, 3, 0, 2, 1]), x),
            np.power(x, np.float32([2, 3, 0, 2, 0, 3, 0, 2, 1])),
            rtol=3e-7,
        )


PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "logaddexp": np.logaddexp,
    "logaddexp2": np.logaddexp2,
    "copysign": np.copysign,
    "heaviside": np.heaviside,
    "fmax": np.fmax,
    "fmin": np.fmin,
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_function_of_two_numbers(name: str) -> None:
    a, b = every_pair("float32", 1000)
    with np.errstate(all="ignore"):
        wanted = PAIRS[name](a.astype(float), b.astype(float)).astype(np.float32)
    actual = computed(getattr(rg, name), a, b)
    with np.errstate(all="ignore"):
        near = np.isclose(actual, wanted, rtol=4e-7, atol=3e-45) & (np.signbit(actual) == np.signbit(wanted))
        if name.startswith("log"):  # absolute error where the terms cancel
            near |= np.abs(actual - wanted) <= 2e-7
    wrong = ~(near | same(actual, wanted) | ((actual == 0) & (wanted == 0) & (name in ("fmax", "fmin"))))
    assert not wrong.any(), (a[wrong][:5], b[wrong][:5], actual[wrong][:5], wanted[wrong][:5])


def test_xlogy_of_zeros() -> None:
    x = np.array([0, 0, 0, 0, 2, -1, NAN, 0], np.float32)
    y = np.array([0, -1, INFINITY, NAN, 3, 0, 1, 0.5], np.float32)
    wanted = np.array([0, 0, 0, NAN, 2 * math.log(3), INFINITY, NAN, 0], np.float32)
    np.testing.assert_allclose(computed(rg.xlogy, x, y), wanted, rtol=1e-6)


# Kinds of numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["isnan", "isinf", "isposinf", "isneginf", "isfinite", "signbit", "nan_to_num", "trunc"]
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_kinds_of_numbers(name: str, dtype: str) -> None:
    x = np.arange(-3, 4, dtype=dtype) if dtype == "int32" else np.concatenate([points(dtype), -points(dtype)])
    actual, wanted = computed(getattr(rg, name), x), getattr(np, name)(x)
    assert actual.dtype == wanted.dtype
    np.testing.assert_array_equal(actual, wanted)
    if wanted.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(actual), np.signbit(wanted))


def test_numbers_in_place_of_nan() -> None:
    x = np.array([NAN, INFINITY, -INFINITY, 1], np.float32)
    assert computed(lambda x: rg.nan_to_num(x, 7, 8, 9), x).tolist() == [7, 8, 9, 1]


# Activations --------------------------------------------------------------------------------------------


def test_activations_keep_nan_and_have_limits() -> None:
    x = np.array([NAN, -INFINITY, -1e30, -20, -0.4, 0, 0.4, 20, 1e30, INFINITY], np.float32)
    inner = np.array([-0.4, 0, 0.4])
    wanted: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
        "hard_shrink": (rg.hard_shrink, [NAN, -INFINITY, -1e30, -20, 0, 0, 0, 20, 1e30, INFINITY]),
        "soft_shrink": (rg.soft_shrink, [NAN, -INFINITY, -1e30, -19.5, 0, 0, 0, 19.5, 1e30, INFINITY]),
        "threshold": (lambda x: rg.threshold(x, 0.3, 7), [NAN, 7, 7, 7, 7, 7, 0.4, 20, 1e30, INFINITY]),
        "hard_tanh": (rg.hard_tanh, [NAN, -1, -1, -1, -0.4, 0, 0.4, 1, 1, 1]),
        "log_sigmoid": (rg.log_sigmoid, [NAN, -INFINITY, -1e30, -20, *-np.log1p(np.exp(-inner)), -2.0611537e-9, 0, 0]),
        "tanh_shrink": (rg.tanh_shrink, [NAN, -INFINITY, -1e30, -19, *inner - np.tanh(inner), 19, 1e30, INFINITY]),
        "celu": (rg.celu, [NAN, -1, -1, -1, np.expm1(-0.4), 0, 0.4, 20, 1e30, INFINITY]),
    }
    for name, (function, values) in wanted.items():
        np.testing.assert_allclose(computed(function, x), np.array(values, np.float32), rtol=2e-6, err_msg=name)


# Gradients ----------------------------------------------------------------------------------------------


def test_gradients_of_powers_are_finite_where_the_function_is_smooth() -> None:
    a = np.array([0, 0, 0, -2, 2, -3, 0.5, 2])
    b = np.array([2, 0, 1, 2, 0, 3, -1, 1.5])
    to_a, to_b = gradients(rg.power, a, b)
    np.testing.assert_allclose(to_a, [0, 0, 1, -4, 0, 27, -4, 1.5 * 2**0.5], rtol=1e-12)
    wanted = [0, 0, 0, NAN, math.log(2), NAN, 2 * math.log(0.5), 2**1.5 * math.log(2)]
    np.testing.assert_allclose(to_b, wanted, rtol=1e-12)
    assert gradients(lambda x: x**0, np.array([0.0, NAN]))[0].tolist() == [0, 0]
    assert gradients(lambda x: x**2, np.array([0.0, -3.0]))[0].tolist() == [0, -6]


def test_gradients_of_remainders_are_those_of_their_pieces() -> None:
    a, b = np.array([7.0, -7, 7, 6, 1]), np.array([2.0, 2, -2, 3, 0.1])
    to_a, to_b = gradients(rg.remainder, a, b)
    assert to_a.tolist() == [1] * 5
    assert to_b.tolist() == [-3, 4, 4, -2, -9]
    to_a, to_b = gradients(rg.fmod, a, b)
    assert to_a.tolist() == [1] * 5
    assert to_b.tolist() == [-3, 3, 3, -2, -9]


@pytest.mark.parametrize(
    ("name", "x", "slope"),
    [
        ("sinh", [0, -0.0, 1e-8, 100, -100], np.cosh),
        ("cosh", [0, 1e-300, 1e-8, -1e-3, 0.7, 100, -100, 709, 1000], np.sinh),
        ("asinh", [0, -0.0, 1e-30, 1e30, -2], lambda x: 1 / np.hypot(x, 1)),
        ("acosh", [1, 1.5, 1e30], lambda x: 1 / (np.sqrt(x - 1) * np.sqrt(x + 1))),
        ("atanh", [0, -0.5, 1], lambda x: 1 / (1 - x * x)),
        ("asin", [0, 0.5, 1, -1], lambda x: 1 / np.sqrt(1 - x * x)),
        ("acos", [0, -0.0, 0.5, -0.5, 1, -1], lambda x: -1 / np.sqrt(1 - x * x)),
        ("sinc", [0, -0.0], lambda x: x * 0),
        ("sinc", [1e-300, 1e-8, -1e-5], lambda x: -(np.pi**2) * x / 3),
        ("sinc", [0.3, -0.5, 0.75], lambda x: np.cos(np.pi * x) / x - np.sin(np.pi * x) / (np.pi * x * x)),
        ("log2", [8, 3, 0.5], lambda x: 1 / (x * np.log(2))),
        ("logit", [0.5, 0.1, 0.9], lambda x: 1 / (x * (1 - x))),
        ("erfc", [0, 0.5, 2, -3, 5], lambda x: -2 / np.sqrt(np.pi) * np.exp(-x * x)),
        ("ndtr", [0, 2, -3, -6], lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi)),
        ("nan_to_num", [1, NAN, INFINITY], lambda x: np.isfinite(x) * 1.0),
        ("celu", [0, 1, -1], lambda x: np.where(x > 0, 1, np.exp(x))),
        ("mish", [0], lambda x: x * 0 + 0.6),
    ],
)
def test_slopes_at_hard_points(name: str, x: list[float], slope: Callable[[Any], Any]) -> None:
    at = np.array(x, np.float64)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(gradients(getattr(rg, name), at)[0], slope(at), rtol=1e-9)


def test_slopes_at_limits() -> None:
    """A clip passes the gradient at its limits, and activations do not, as in torch, Keras and TensorFlow."""
    at = np.array([-3.0, -1, 0, 1, 3, 6])
    assert gradients(lambda x: rg.clip(x, -1, 1), at)[0].tolist() == [0, 1, 1, 1, 0, 0]
    assert gradients(rg.hard_tanh, at)[0].tolist() == [0, 0, 1, 0, 0, 0]
    assert gradients(rg.relu6, at)[0].tolist() == [0, 0, 0, 1, 1, 0]
    assert gradients(rg.relu, at)[0].tolist() == [0, 0, 0, 1, 1, 1]


def test_slopes_of_pairs_at_hard_points() -> None:
    to_a, to_b = gradients(rg.logaddexp, np.array([1.0, 2, -1e30]), np.array([1.0, 2, 5]))
    assert to_a.tolist() == [0.5, 0.5, 0]
    assert to_b.tolist() == [0.5, 0.5, 1]
    to_a, to_b = gradients(rg.hypot, np.array([3.0, 1, 0, 0]), np.array([4.0, 1, 2, 0]))
    np.testing.assert_allclose([to_a, to_b], [[0.6, 0.5**0.5, 0, 0], [0.8, 0.5**0.5, 1, 0]], rtol=1e-12)
    to_y, to_x = gradients(rg.atan2, np.array([0.0, 0, 2, -2, 1, 1]), np.array([3.0, -3, 0, 0, 1, -1]))
    np.testing.assert_allclose(to_y, [1 / 3, -1 / 3, 0, 0, 0.5, -0.5], atol=1e-12)
    np.testing.assert_allclose(to_x, [0, 0, -0.5, 0.5, -0.5, -0.5], atol=1e-12)
    to_x, to_y = gradients(rg.xlogy, np.array([0.0, 0, 2]), np.array([3.0, 0, 4]))
    np.testing.assert_allclose([to_x, to_y], [[math.log(3), 0, math.log(4)], [0, 0, 0.5]], rtol=1e-12)


# Operators ----------------------------------------------------------------------------------------------


def test_operators_are_these_functions() -> None:
    a, b = np.array([7.0, -7.5, 1]), np.array([2.0, 2, 0.1])
    np.testing.assert_array_equal(computed(lambda a, b: a % b, a, b), a % b)
    np.testing.assert_array_equal(computed(lambda a, b: a // b, a, b), a // b)
    np.testing.assert_array_equal(computed(lambda a, b: divmod(a, b)[1] + divmod(5.0, b)[0], a, b), a % b + 5.0 // b)
    np.testing.assert_array_equal(computed(lambda a: 7.0 % a + 7.0 // a, a), 7.0 % a + 7.0 // a)
    np.testing.assert_array_equal(computed(lambda b: np.remainder(a, b) + np.floor_divide(a, b), b), a % b + a // b)
    n = np.array([2**53 + 1, -(2**62), -7])
    np.testing.assert_array_equal(computed(lambda n: n // 3 + n % 3, n), n // 3 + n % 3)


def test_modules_of_operators_are_imported_with_the_package() -> None:
    """Operators such as ``x ** y`` read ``UFUNCS``, to which these modules add their functions."""
    root = Path(rg.__file__).parent
    adding = [path for path in (root / "declare").rglob("*.py") if "\nUFUNCS" in path.read_text(encoding="utf-8")]
    modules = {".".join(path.relative_to(root).with_suffix("").parts) for path in adding}
    assert "declare.functions.elementary.powers" in modules
    assert modules & NAMES_OF_MODULE.keys() == set()


def test_integers_are_not_divided_by_a_slash() -> None:
    n = rg.placeholder("n", (None,), "int64")
    with pytest.raises(rg.DtypeError, match="x // y"):
        n / 2
    with pytest.raises(rg.DtypeError, match="integers to the power -1"):
        n**-1
