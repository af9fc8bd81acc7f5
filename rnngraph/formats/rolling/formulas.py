"""``Formula``: numbers that a loop computes from the index of its iteration, such as ``0.9 ** (t + 1)``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...declare.functions import basic
from ..script import Script
from ..steps import Value

MIN_NUMBERS = 4
"""Minimum iterations from which a formula is derived. Two determine its parameters, and the others confirm it."""
DIGITS = 12
"""Significant digits of a formula's parameters. Python's numbers are rounded after about 16 digits."""
_INVERSES: Mapping[str, Callable[[float], float]] = {
    "linear": lambda number: number,
    "reciprocal": lambda number: 1 / number,
    "sqrt": lambda number: number * number,
    "rsqrt": lambda number: 1 / (number * number),
}
"""Inverse functions by the form's name. They map numbers of the form to equally spaced numbers."""


@dataclass(frozen=True)
class Formula:
    """Formula of a number by the index k of an iteration, from 0.

    Attributes:
        form: ``"linear"`` (first + step * k), a function of that (``"reciprocal"``, ``"sqrt"``, ``"rsqrt"``), or
            ``"power"`` (first * step ** k).
        is_whole: True if all numbers are ints.
    """

    form: str
    first: float
    step: float
    is_whole: bool


def formula_of(numbers: Sequence[object]) -> Formula | None:
    """Return the formula of numbers in consecutive iterations; None if they have none of the known forms."""
    if len(numbers) < MIN_NUMBERS or not all(type(number) in (int, float) for number in numbers):
        return None
    values = [float(number) for number in numbers if isinstance(number, int | float)]
    is_whole = all(type(number) is int for number in numbers)
    if not all(map(math.isfinite, values)):
        return None
    for form, inverse in _INVERSES.items():
        if form != "linear" and min(values) <= 0:
            continue
        images = [*map(inverse, values)]
        first, step = _rounded(images[0]), _rounded(images[1] - images[0])
        if _are_close(images, [first + step * place for place in range(len(images))]):
            return Formula(form, first, step, is_whole)
    if min(values) <= 0:
        return None
    first, step = _rounded(values[0]), _rounded(values[1] / values[0])
    is_power = _are_close(values, [first * step**place for place in range(len(values))])
    return Formula("power", first, step, is_whole) if is_power else None


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


def _are_close(actual: Sequence[float], expected: Sequence[float]) -> bool:
    scale = max(map(abs, actual))
    return all(
        math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12 * scale)
        for one, other in zip(actual, expected, strict=True)
    )


def declare_numbers(script: Script, formula: Formula, index: Value, dtype: str) -> Value:
    """Declare the numbers of all iterations, rounded to ``dtype`` after a computation in float64.

    Args:
        index: Indices of the iterations, int64 [time].
    """
    if formula.is_whole and formula.form == "linear":
        return _cast(script, _line(script, index, int(formula.first), int(formula.step)), dtype)
    exact = script.call(basic.cast, index, "float64")
    if formula.form == "power":
        numbers = script.operation("**", formula.step, exact)
        numbers = numbers if formula.first == 1 else script.operation("*", numbers, formula.first)
    else:
        numbers = _line(script, exact, formula.first, formula.step)
        numbers = script.call(basic.sqrt, numbers) if formula.form in ("sqrt", "rsqrt") else numbers
        numbers = script.operation("/", 1.0, numbers) if formula.form in ("reciprocal", "rsqrt") else numbers
    return _cast(script, numbers, dtype)


def _line(script: Script, index: Value, first: float, step: float) -> Value:
    line = index if step == 1 else script.operation("*", index, step)
    return script.operation("+", line, first) if first else line


def _cast(script: Script, value: Value, dtype: str) -> Value:
    return value if value.tensor.dtype == dtype else script.call(basic.cast, value, dtype)
