"""torch's elementwise functions at signed zeros, infinities, NaN, small and large numbers: torch's own values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from element_points import are_near, assert_all, signed_points

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
F = pytest.importorskip("torch.nn", exc_type=ImportError).functional
pytestmark = pytest.mark.peers

INFINITY, NAN = math.inf, math.nan
POINTS = signed_points()
Function = Callable[..., Any]
ELEMENTS: dict[str, Function] = {
    **{
        name: getattr(torch, name)
        for name in (
            "abs",
            "acos",
            "acosh",
            "asin",
            "asinh",
            "atan",
            "atanh",
            "ceil",
            "cos",
            "cosh",
            "deg2rad",
            "erf",
            "erfc",
            "exp",
            "exp2",
            "expm1",
            "floor",
            "frac",
            "isfinite",
            "isinf",
            "isnan",
            "isneginf",
            "isposinf",
            "log",
            "log10",
            "log1p",
            "log2",
            "logit",
            "nan_to_num",
            "neg",
            "rad2deg",
            "reciprocal",
            "round",
            "rsqrt",
            "sgn",
            "sigmoid",
            "sign",
            "signbit",
            "sin",
            "sinc",
            "sinh",
            "sqrt",
            "square",
            "tan",
            "tanh",
            "trunc",
        )
    },
    **{name: getattr(torch.special, name) for name in ("entr", "ndtr", "expit")},
    **{
        name: getattr(F, name)
        for name in (
            "celu",
            "elu",
            "hardshrink",
            "hardsigmoid",
            "hardswish",
            "hardtanh",
            "leaky_relu",
            "logsigmoid",
            "mish",
            "relu",
            "relu6",
            "selu",
            "silu",
            "softplus",
            "softshrink",
            "softsign",
            "tanhshrink",
            "gelu",
        )
    },
    "tanh gelu": lambda x: F.gelu(x, approximate="tanh"),
    "threshold": lambda x: F.threshold(x, 0.5, 9.0),
    "celu 2": lambda x: F.celu(x, 2.0),
    "finite": lambda x: torch.nan_to_num(x, 1.0, 2.0, 3.0),
    **{
        f"power {exponent}": (lambda x, exponent=exponent: x**exponent)
        for exponent in (
            0,
            1,
            2,
            3,
            -1,
            -2,
            9,
            0.5,
            2.5,
            -0.5,
            70.0,
        )
    },
    **{f"{base} to it": (lambda x, base=base: torch.pow(base, x)) for base in (2.0, 0.5, -2.0, 0.0, 1.0)},
    "% 0.1": lambda x: x % 0.1,
    "% -3": lambda x: x % -3.0,
    "fmod": lambda x: torch.fmod(x, 0.1),
    "// 0.1": lambda x: x // 0.1,
    "// 2": lambda x: x // 2,
    "5 % x": lambda x: 5.0 % x,
    "5 // x": lambda x: 5.0 // x,
    "floored": lambda x: torch.div(x, 0.1, rounding_mode="floor"),
    "cut": lambda x: torch.div(x, 0.1, rounding_mode="trunc"),
}
PAIRS: dict[str, Function] = {
    **{
        name: getattr(torch, name)
        for name in (
            "atan2",
            "copysign",
            "fmax",
            "fmin",
            "fmod",
            "floor_divide",
            "heaviside",
            "hypot",
            "logaddexp",
            "logaddexp2",
            "maximum",
            "minimum",
            "pow",
            "remainder",
            "xlogy",
        )
    },
}
UP_TO_1E5 = ("sin", "cos", "tan")
"""Sine and cosine of ``rg`` are undefined for larger arguments."""
LEAST = {
    "sigmoid": 2e-38,
    "expit": 2e-38,
    "silu": 2e-36,
    "power -2": 2e-40,
    "sinc": 1e-7,
    "ndtr": 6e-8,
    "tanhshrink": 2e-8,
    "logaddexp2": 2e-8,  # at -1 and -1, where torch has -1e-8 on Linux and 0 on Windows
    "gelu": 1e-6,
}
"""Maximum absolute error of torch's own result, by function: cancellation, or flushed subnormal numbers."""
NAN_OF_TORCH = ("gelu", "sinc", "% 0.1", "fmod", "5 % x", "remainder")
"""Functions for which torch's vector code wrongly returns NaN: infinite arguments, remainders of large quotients."""


class Module(torch.nn.Module):  # type: ignore[misc,name-defined,unused-ignore]
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def read(function: Function, *arrays: Any) -> tuple[Any, list[Any]]:
    """Return the values of torch, of the net, and of the net's script."""
    tensors = [torch.tensor(item) for item in arrays]
    net = rg.read_torch(Module(function).eval(), tuple(tensors))
    feeds = dict(zip(net.inputs, arrays, strict=True))
    (name,) = net.outputs
    names: dict[str, Any] = {}
    exec(compile(net.script(), "net.py", "exec"), names)
    programs = net.program(), names["program"]
    return function(*tensors).numpy(), [np.asarray(program.inference(feeds)[name]) for program in programs]


def check(name: str, wanted: Any, actual: Any, *where: Any) -> None:
    assert actual.dtype == wanted.dtype
    near = are_near(actual, wanted, 8e-7, LEAST.get(name, 3e-45))
    if name in NAN_OF_TORCH:
        near |= np.isnan(wanted) & np.isfinite(where[-1]) & (where[-1] != 0)
        near |= np.isnan(wanted) & (actual == np.inf)
    assert_all(near, wanted, actual, *where)


@pytest.mark.parametrize("name", ELEMENTS)
def test_a_function_of_one_number(name: str) -> None:
    x = POINTS[~(np.abs(POINTS) > 1e5) | ~np.isfinite(POINTS)] if name in UP_TO_1E5 else POINTS
    wanted, actual = read(ELEMENTS[name], x)
    for values in actual:
        check(name, wanted, values, x)


@pytest.mark.parametrize("name", PAIRS)
def test_a_function_of_two_numbers(name: str) -> None:
    a, b = (item.ravel().astype(np.float32) for item in np.meshgrid(POINTS, POINTS))
    wanted, actual = read(PAIRS[name], a, b)
    for values in actual:
        check(name, wanted, values, a, b)
