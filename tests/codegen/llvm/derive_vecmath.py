"""Derive the coefficients in `rnngraph/codegen/llvm/vecmath_tables.py` and print them as Python tuples.

Run it by hand: `python tests/codegen/llvm/derive_vecmath.py`. It needs mpmath, takes a minute, and is not a test.

Each fit minimises the largest weighted error, by Lawson's algorithm (C. L. Lawson, 1961): least squares on Chebyshev
points, where the weight of each point is multiplied by its error until the largest errors are equal. The algorithm
needs no Haar condition. Our weights would violate it, because they are 0 at zero, where all forms are exact.

Coefficients are rounded to the target's precision one after another, from the lowest degree up. After each rounding,
the remaining coefficients are fitted again, to compensate for the rounding error (a simple form of Brisebarre and
Chevillard, "Efficient polynomial L-infinity approximations", 2007).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath  # type: ignore[import-untyped,unused-ignore]
from mpmath import mpf

Real = Any  # mpmath publishes no types
Function = Callable[[Real], Real]
LAWSON_STEPS = 25


@dataclass(frozen=True)
class Fit:
    """Fit of ``target(x)`` on an interval by a polynomial in ``variable(x)``, with errors weighted by ``weight(x)``."""

    name: str
    target: Function
    weight: Function
    interval: tuple[Real, Real]
    coefficients: dict[str, int]
    variable: Function = lambda x: x


def fits() -> tuple[Fit, ...]:
    """Return the forms that vecmath evaluates. Weights make errors relative to the result."""
    half = mpmath.log(2) / 2 + mpf("4e-4")  # the quotient is rounded, so a remainder may slightly exceed ln2/2
    third = mpf(1) / 3 + mpf("1e-6")
    one = mpf(1)
    return (
        # exp(r) = 1 + r h(r)
        Fit(
            "exp",
            lambda r: mpmath.expm1(r) / r,
            lambda r: r / mpmath.exp(r),
            (-half, half),
            {"float32": 6, "float64": 11},
        ),
        # expm1(r) = r + r² q(r)
        Fit(
            "expm1",
            lambda r: (mpmath.expm1(r) - r) / r**2,
            lambda r: r**2 / mpmath.expm1(r),
            (-half, half),
            {"float32": 5, "float64": 10},
        ),
        # log(1 + f) = f + f² q(f)
        Fit(
            "log1p",
            lambda f: (mpmath.log1p(f) - f) / f**2,
            lambda f: f**2 / mpmath.log1p(f),
            (-third, third),
            {"float32": 9, "float64": 20},
        ),
        # 2 atanh(s) = 2 s + 2/3 s³ + s⁵ p(s²)
        Fit(
            "atanh",
            lambda s: (2 * mpmath.atanh(s) - 2 * s - 2 * s**3 / 3) / s**5,
            lambda s: s**5 / (2 * mpmath.atanh(s)),
            (mpf("1e-3"), mpf("0.2001")),
            {"float32": 4, "float64": 10},
            lambda s: s**2,
        ),
        # sin(r) = r + r³ s(r²); the interval exceeds π/2, because a float32 quotient at 1e5 has an error of 0.004
        Fit(
            "sin",
            lambda r: (mpmath.sin(r) - r) / r**3,
            lambda r: r**3 / mpmath.sin(r),
            (mpf("1e-3"), mpf("1.6")),
            {"float32": 5, "float64": 9},
            lambda r: r**2,
        ),
        # atan(t) = t + t³ a(t²)
        Fit(
            "atan",
            lambda t: (mpmath.atan(t) - t) / t**3,
            lambda t: t**3 / mpmath.atan(t),
            (mpf("1e-3"), one),
            {"float32": 8, "float64": 20},
            lambda t: t**2,
        ),
        # erf(a) = a + a p(a²) for a < 1
        Fit(
            "erf_small",
            lambda a: mpmath.erf(a) / a - 1,
            lambda a: a / mpmath.erf(a),
            (mpf("1e-3"), one),
            {"float32": 7, "float64": 13},
            lambda a: a**2,
        ),
        # erf(a) = 1 - exp(l(a - 2)) for a >= 1; the weight of an error is erfc(a)
        Fit(
            "erf_large",
            lambda a: mpmath.log(mpmath.erfc(a)),
            mpmath.erfc,
            (one, mpf("4.1")),
            {"float32": 8},
            lambda a: a - 2,
        ),
        Fit(
            "erf_large",
            lambda a: mpmath.log(mpmath.erfc(a)),
            mpmath.erfc,
            (one, mpf("6.1")),
            {"float64": 20},
            lambda a: a - 2,
        ),
        # erfc(x) = exp(-x²) c((x - k)/(x + k)) / (1 + 2x) for x >= 0.5, used by `elementary/normal.py`
        *(
            Fit(
                "erfc",
                scaled_tail,
                lambda x: 1 / scaled_tail(x),
                (mpf("0.45"), end),
                size,
                lambda x, k=k: (x - k) / (x + k),
            )
            for k, end, size in ((2, mpf(12), {"float32": 9}), (4, mpf(28), {"float64": 20}))
        ),
    )


def scaled_tail(x: Real) -> Real:
    """Return erfc(x) exp(x²) (1 + 2x)."""
    return mpmath.erfc(x) * mpmath.exp(x * x) * (1 + 2 * x)


def least_squares(rows: list[list[Real]], right: list[Real], weights: list[Real]) -> list[Real]:
    """Solve the weighted normal equations. With this precision, their condition number does not matter."""
    size = len(rows[0])
    matrix = mpmath.matrix(size, size)
    vector = mpmath.matrix(size, 1)
    for row, value, weight in zip(rows, right, weights, strict=True):
        weighted = [weight * entry for entry in row]
        for i in range(size):
            vector[i] += weighted[i] * value
            for j in range(i + 1):
                matrix[i, j] += weighted[i] * row[j]
    for i in range(size):
        for j in range(i):
            matrix[j, i] = matrix[i, j]
    return list(mpmath.lu_solve(matrix, vector))


def lawson(rows: list[list[Real]], right: list[Real]) -> list[Real]:
    """Return coefficients that approximately minimise the largest |right - rows·coefficients|."""
    weights = [mpf(1)] * len(rows)
    best: list[Real] = []
    best_error = mpmath.inf
    for _ in range(LAWSON_STEPS):
        candidate = least_squares(rows, right, weights)
        errors = [abs(r - mpmath.fdot(row, candidate)) for row, r in zip(rows, right, strict=True)]
        largest = max(errors)
        if largest < best_error:
            best, best_error = candidate, largest
        weights = [w * (e / largest + mpf("1e-6")) for w, e in zip(weights, errors, strict=True)]
        total = mpmath.fsum(weights)
        weights = [w / total for w in weights]
    return best


def round_to(dtype: str, value: Real) -> float:
    """Return the nearest number of a dtype, as a Python float."""
    if dtype == "float32":
        return float(struct.unpack("f", struct.pack("f", float(value)))[0])
    return float(value)


def derive(fit: Fit, dtype: str) -> tuple[list[float], Real]:
    """Return rounded coefficients, lowest degree first, and the largest weighted error on the points."""
    count = fit.coefficients[dtype]
    low, high = fit.interval
    size = 10 * count + 1
    # An even number of Chebyshev points has no point at zero, where the forms divide by zero.
    size += size % 2
    points = [
        (low + high) / 2 + (high - low) / 2 * mpmath.cos(mpmath.pi * (i + mpf(1) / 2) / size) for i in range(size)
    ]
    weights = [fit.weight(x) for x in points]
    rows = [[w * fit.variable(x) ** k for k in range(count)] for x, w in zip(points, weights, strict=True)]
    right = [w * fit.target(x) for x, w in zip(points, weights, strict=True)]
    # In double precision only the first few roundings change the result.
    careful = count if dtype == "float32" else 3
    rounded: list[float] = []
    while len(rounded) < count:
        done = len(rounded)
        rest = [r - mpmath.fdot(row[:done], map(mpf, rounded)) for row, r in zip(rows, right, strict=True)]
        free = lawson([row[done:] for row in rows], rest)
        rounded += [round_to(dtype, c) for c in (free[:1] if done < careful else free)]
    error = max(abs(r - mpmath.fdot(row, map(mpf, rounded))) for row, r in zip(rows, right, strict=True))
    return rounded, error


def pieces(constant: Real, bits: tuple[int, ...]) -> list[float]:
    """Split a constant into floats with given numbers of significant bits, so that products with integers are exact."""
    result = []
    for width in bits:
        unit = mpf(2) ** (mpmath.floor(mpmath.log(abs(constant), 2)) + 1 - width)
        piece = mpmath.nint(constant / unit) * unit
        result.append(float(piece))
        constant -= piece
    return result


def main() -> None:
    """Print all tables."""
    mpmath.mp.dps = 60
    print("ln2 float32", pieces(mpmath.log(2), (15, 24)), "float64", pieces(mpmath.log(2), (41, 53)))
    print("pi float32", pieces(mpmath.pi, (8, 8, 8, 8, 24)), "float64", pieces(mpmath.pi, (33, 33, 33, 53)))
    print("pi/2 float32", pieces(mpmath.pi / 2, (24, 24)), "float64", pieces(mpmath.pi / 2, (53, 53)))
    print("2/3 float32", pieces(mpf(2) / 3, (24, 24)), "float64", pieces(mpf(2) / 3, (53, 53)))
    for fit in fits():
        for dtype in fit.coefficients:
            coefficients, error = derive(fit, dtype)
            print(f"{fit.name} {dtype}: weighted error 2^{float(mpmath.log(error, 2)):.2f}")
            # Nine digits identify every float32, seventeen every float64.
            digits = 9 if dtype == "float32" else 17
            print("    (" + ", ".join(f"{c:.{digits}g}" for c in coefficients) + ")", flush=True)


if __name__ == "__main__":
    main()
