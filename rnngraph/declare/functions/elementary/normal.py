"""Tails of the normal distribution, accurate down to the smallest numbers.

For x >= 0.5, erfc(x) = exp(-x²) c(t) / (1 + 2x) with t = (x - k)/(x + k) and a polynomial c (Shepherd & Laframboise
1981). ``tests/codegen/llvm/derive_vecmath.py`` derives its coefficients.
"""

from __future__ import annotations

import math
from typing import Any

from ....support.api_guard import api
from ....support.records import dataclass
from ...tensor import Tensor, as_tensor
from ..basic import erf, exp, maximum, minimum, where
from ..rounding import round


@dataclass(frozen=True)
class _Tail:
    """Approximation for one dtype.

    Attributes:
        largest: Bound from which erfc(x) rounds to 0.
        middle: The constant k of the module's formula.
        coefficients: Coefficients of the polynomial c, lowest degree first.
    """

    largest: float
    middle: float
    coefficients: tuple[float, ...]


_TAILS = {
    "float32": _Tail(
        12.0,
        2.0,
        (
            1.27697837,
            -0.0927634984,
            -0.166030288,
            0.164039984,
            -0.054218132,
            -0.007932337,
            0.00868836138,
            0.000922936597,
            -0.00130348047,
        ),
    ),
    "float64": _Tail(
        28.0,
        4.0,
        (
            1.2329951186255526,
            -0.13962111684056192,
            0.01537965210259116,
            0.068097054254617997,
            -0.10103906603451092,
            0.093732835001092502,
            -0.06633036585362094,
            0.037167515490105635,
            -0.016197733579842406,
            0.0050319704392703746,
            -0.00075777644255491962,
            -0.0001992594507719032,
            0.00015063435525962705,
            -2.4388722740979183e-05,
            -1.1253762132092117e-05,
            5.6841553123284542e-06,
            3.4247202226183551e-07,
            -7.8656876171884106e-07,
            3.1900130697469854e-08,
            7.6019545152276042e-08,
        ),
    ),
}
_START = 0.5


@api
def erfc(x: Any) -> Tensor:
    """Return 1 - erf(x), elementwise, accurate also for small results. The error is at most 6 ulp."""
    x = as_tensor(x)
    return where(x < _START, 1.0 - erf(x), _tail(x, 1.0))


@api
def ndtr(x: Any) -> Tensor:
    """Return the standard normal distribution function, elementwise, accurate also for small results.

    The error is at most 7 ulp.
    """
    x = as_tensor(x)
    near = erf(x * math.sqrt(0.5)) * 0.5 + 0.5
    return where(x > -_START * math.sqrt(2), near, _tail(-x, math.sqrt(0.5)) * 0.5)


def _tail(x: Tensor, scale: float) -> Tensor:
    """Return erfc(scale x) where scale x is at least ``_START``, and finite values elsewhere. scale² is 1 or 0.5.

    In exp(-x²), x² is split into the square of a number with few bits, which is exact, and a small remainder.
    """
    tail = _TAILS[x.dtype]
    x = minimum(tail.largest / scale, maximum(_START / scale, x))
    short = round(x * 16.0) * 0.0625
    factor = 1.0 if scale == 1.0 else 0.5
    raised = exp(short * short * -factor) * exp((x - short) * (x + short) * -factor)
    z = x if scale == 1.0 else x * scale
    t = (z - tail.middle) / (z + tail.middle)
    value: Any = tail.coefficients[-1]
    for coefficient in reversed(tail.coefficients[:-1]):
        value = t * value + coefficient
    return raised * (value / (z * 2.0 + 1.0))
