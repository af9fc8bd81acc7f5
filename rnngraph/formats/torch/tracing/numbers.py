"""``Extent`` and ``OpenFloat``: Python numbers that a module's code computes from symbolic sizes.

Each number has the value in the example, and a symbolic expression that the script can compute.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, NoReturn, SupportsIndex, TypeAlias

import numpy as np

from ....ir.sizes.arithmetic import Relation, compare
from ....ir.sizes.polynomial import ceil_divide, floor_divide
from ....ir.types import Dim, Size, quotient
from .sizes import Sizes

FUNCTIONS: dict[str, Callable[[float], float]] = {"sqrt": math.sqrt, "log": math.log}
"""Supported functions of numbers, whose names are the same in ``rg``, ``math`` and NumPy."""
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
MAX_DENOMINATOR = 2**16
"""Maximum denominator of an exact fraction. With larger ones, the floor of Python's float may be another integer."""
Ratio = tuple[Dim, int]
"""Fraction: (numerator, which is a size, and positive denominator)."""
Open: TypeAlias = "Extent | OpenFloat"
"""A number that depends on symbolic sizes."""


def extent_of(sizes: Sizes, dim: Dim) -> int:
    """Return a size for the module's code: an ``Extent`` if it is symbolic, else an int."""
    return Extent(sizes, dim) if isinstance(dim, Size) else dim


def dim_of(number: Dim) -> Dim:
    """Return the symbolic formula of an ``Extent``, a ``Size`` unchanged, and any other number as an int."""
    if isinstance(number, Size):
        return number
    return number.dim if isinstance(number, Extent) else int(number)


def fixed(number: float) -> int:
    """Return a number of the module's code, truncated to an int.

    Raises ``SizesChanged`` if it depends on symbolic sizes.
    """
    if isinstance(number, Extent):
        return number.sizes.fix(number.dim)
    if isinstance(number, OpenFloat):
        number.close()
    return int(number)


def computed(name: str, *operands: float) -> float:
    """Return the result of an operator or function on numbers, at least one of which depends on symbolic sizes."""
    numbers = [_plain(operand) for operand in operands]
    value = SIGNS[name](*numbers) if name in SIGNS else FUNCTIONS[name](*numbers)
    first = next(operand for operand in operands if isinstance(operand, Extent | OpenFloat))
    ratio = _ratio_of_both(name, *map(_ratio, operands)) if name in SIGNS else None
    if ratio is not None and not isinstance(ratio[0], Size):
        return float(value)
    return OpenFloat(value, first.sizes, ratio, (name, *operands))


def truncated(number: Open) -> int:
    """Convert a symbolic number as ``int`` does: truncate towards 0.

    A float without exact fraction, or one that may be negative, becomes the number of the example.
    """
    if isinstance(number, Extent):
        return number
    is_positive = number.ratio and compare(operator.ge, number.ratio[0], 0)
    return math.floor(number) if is_positive else int(_plain(number))


def as_float(number: Extent | OpenFloat) -> OpenFloat:
    """Convert a symbolic number as ``float`` does."""
    return number if isinstance(number, OpenFloat) else OpenFloat(int(number), number.sizes, (number.dim, 1))


def _plain(number: float) -> float:
    """Return a number as a plain int or float, with its value in the example."""
    if isinstance(number, OpenFloat):
        return float(number)
    return int(number) if isinstance(number, Extent) else number


# Exact fractions ------------------------------------------------------------------------------------


def _ratio(number: float) -> Ratio | None:
    """Return a number as an exact fraction; None if the number has no exact fraction."""
    if isinstance(number, OpenFloat):
        return number.ratio
    if isinstance(number, int):
        return dim_of(number), 1
    if not math.isfinite(number):
        return None
    above, below = number.as_integer_ratio()
    return (above, below) if below <= MAX_DENOMINATOR else None


def _is_exact(ratio: Ratio) -> bool:
    """True if a float can represent the fraction exactly, because its denominator is a power of 2."""
    return ratio[1] & (ratio[1] - 1) == 0


def _ratio_of_both(sign: str, a: Ratio | None, b: Ratio | None) -> Ratio | None:
    """Return ``a sign b`` as a fraction; None if Python's rounded result might have another floor than the fraction."""
    if a is None or b is None:
        return None
    if sign == "/":
        if not isinstance(b[0], int) or not _is_exact(a) or not _is_exact(b):
            return None
        return _reduced(a[0] * b[1] * (1 if b[0] > 0 else -1), a[1] * abs(b[0]))
    if not (_is_exact(a) and _is_exact(b)) and (sign == "*" or 1 not in (a[1], b[1])):
        return None
    if sign == "*":
        return _reduced(a[0] * b[0], a[1] * b[1])
    return _reduced(SIGNS[sign](a[0] * b[1], b[0] * a[1]), a[1] * b[1])


def _reduced(dim: Dim, by: int) -> Ratio | None:
    """Return a fraction in lowest terms; None if its denominator is too large."""
    common = math.gcd(by, *(factor for _, factor in dim.terms)) if isinstance(dim, Size) else math.gcd(by, dim)
    exact = quotient(dim, common)
    by //= common
    return None if exact is None or by > MAX_DENOMINATOR else (exact, by)


# Symbolic numbers -----------------------------------------------------------------------------------


class _Open:
    """Base of ``Extent`` and ``OpenFloat``: division, powers and NumPy functions."""

    def __array_ufunc__(self, function: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        """Return a NumPy function of symbolic numbers, as a symbolic number if that is supported."""
        name = function.__name__
        if method == "__call__" and len(operands) == 1 and not options:
            if name in FUNCTIONS:
                return computed(name, *operands)
            if name in ("floor", "ceil"):
                rounded = math.floor(operands[0]) if name == "floor" else math.ceil(operands[0])
                return as_float(rounded) if isinstance(rounded, Extent) else float(rounded)
        return getattr(function, method)(*map(_plain, operands), **options)

    def __truediv__(self, other: object) -> Any:
        return _float("/", self, other)

    def __rtruediv__(self, other: object) -> Any:
        return _float("/", other, self)

    def __pow__(self, other: object, modulo: object = None) -> Any:
        return _power(self, other)


class Extent(_Open, int):
    """Size in the module's code: an int with the value in the example, and a symbolic formula."""

    sizes: Sizes
    dim: Dim

    def __new__(cls, sizes: Sizes, dim: Dim) -> Extent:
        number = super().__new__(cls, sizes.value(dim))
        number.sizes, number.dim = sizes, dim
        return number

    def _new(self, dim: Dim) -> int:
        return extent_of(self.sizes, dim)

    def __add__(self, other: object) -> Any:
        return self._new(self.dim + dim_of(other)) if isinstance(other, int) else _float("+", self, other)

    __radd__ = __add__

    def __sub__(self, other: object) -> Any:
        return self._new(self.dim - dim_of(other)) if isinstance(other, int) else _float("-", self, other)

    def __rsub__(self, other: object) -> Any:
        return self._new(dim_of(other) - self.dim) if isinstance(other, int) else _float("-", other, self)

    def __mul__(self, other: object) -> Any:
        return self._new(self.dim * dim_of(other)) if isinstance(other, int) else _float("*", self, other)

    __rmul__ = __mul__

    def __neg__(self) -> int:
        return self._new(-1 * self.dim)

    def __pos__(self) -> int:
        return self

    __trunc__ = __floor__ = __ceil__ = __pos__

    def __round__(self, digits: SupportsIndex | None = None) -> int:
        return self

    def __floordiv__(self, other: object) -> Any:
        if not isinstance(other, int):
            return NotImplemented if not isinstance(other, float) else int(self) // _plain(other)
        return self._new(self.sizes.arithmetic.divide(self.dim, dim_of(other)))

    def __mod__(self, other: object) -> Any:
        if not isinstance(other, int):
            return NotImplemented if not isinstance(other, float) else int(self) % _plain(other)
        return self._new(self.sizes.arithmetic.remainder(self.dim, dim_of(other)))

    def __divmod__(self, other: object) -> Any:
        return self // other, self % other

    def __rshift__(self, other: int) -> int:
        return self // 2**other

    def __lshift__(self, other: int) -> int:
        return self * 2**other

    def _compared(self, relation: Relation, other: object) -> bool:
        if not isinstance(other, int):
            return relation(int(self), _plain(other) if isinstance(other, float) else other)
        return self.sizes.arithmetic.compare(relation, self.dim, dim_of(other))

    def __eq__(self, other: object) -> bool:
        return self._compared(operator.eq, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: object) -> bool:
        return self._compared(operator.lt, other)

    def __le__(self, other: object) -> bool:
        return self._compared(operator.le, other)

    def __gt__(self, other: object) -> bool:
        return self._compared(operator.gt, other)

    def __ge__(self, other: object) -> bool:
        return self._compared(operator.ge, other)

    def __bool__(self) -> bool:
        return self._compared(operator.ne, 0)

    def __hash__(self) -> int:
        return int.__hash__(self)


class LongestRow(Extent):
    """Length of the longest row of a packed sequence, which is assumed to be the number of steps of the input."""


class OpenFloat(_Open, float):
    """Float that the module's code computes from symbolic sizes.

    Attributes:
        sizes: Known equalities and limits of sizes.
        ratio: The number as an exact fraction; None if it has none.
        expression: Name of the operator or function, and its operands.
    """

    sizes: Sizes
    ratio: Ratio | None
    expression: tuple[Any, ...]

    def __new__(cls, value: float, sizes: Sizes, ratio: Ratio | None, expression: tuple[Any, ...] = ()) -> OpenFloat:
        number = super().__new__(cls, value)
        number.sizes, number.ratio, number.expression = sizes, ratio, expression
        return number

    def close(self) -> NoReturn:
        """Fix all symbolic sizes of the expression to numbers. Raises ``SizesChanged``."""
        self.sizes.close(self.symbols)

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the symbolic sizes in the expression."""
        if self.ratio is not None:
            return self.ratio[0].symbols if isinstance(self.ratio[0], Size) else frozenset()
        dims = [item.dim for item in self.expression if isinstance(item, Extent)]
        parts = [dim.symbols for dim in dims if isinstance(dim, Size)]
        return frozenset().union(*parts, *(item.symbols for item in self.expression if isinstance(item, OpenFloat)))

    def __add__(self, other: object) -> float:
        return _float("+", self, other)

    __radd__ = __add__

    def __sub__(self, other: object) -> float:
        return _float("-", self, other)

    def __rsub__(self, other: object) -> float:
        return _float("-", other, self)

    def __mul__(self, other: object) -> float:
        return _float("*", self, other)

    __rmul__ = __mul__

    def __neg__(self) -> float:
        return self * -1

    def __pos__(self) -> float:
        return self

    def __floor__(self) -> int:
        return self._rounded(floor_divide, math.floor)

    def __ceil__(self) -> int:
        return self._rounded(ceil_divide, math.ceil)

    def _rounded(self, divide: Callable[[Dim, int], Dim], otherwise: Callable[[float], int]) -> int:
        return otherwise(float(self)) if self.ratio is None else extent_of(self.sizes, divide(*self.ratio))

    def __trunc__(self) -> int:
        return truncated(self)

    def __round__(self, digits: SupportsIndex | None = None) -> Any:
        if digits is None and self.ratio is not None and self.ratio[1] % 2:  # odd denominators have no ties
            dim, by = self.ratio
            return extent_of(self.sizes, floor_divide(2 * dim + by, 2 * by))
        return round(float(self), digits)

    def is_integer(self) -> bool:
        self.close()

    def _compared(self, other: object, compare: Relation) -> bool:
        """Return the result of a comparison, and restrict the symbolic sizes so that the result holds."""
        if not isinstance(other, int | float):
            return NotImplemented
        ours, theirs = self.ratio, _ratio(other)
        if ours is not None and theirs is not None:
            return compare(extent_of(self.sizes, ours[0] * theirs[1]), extent_of(self.sizes, theirs[0] * ours[1]))
        self.close()

    def __eq__(self, other: object) -> bool:
        return self._compared(other, operator.eq)

    def __ne__(self, other: object) -> bool:
        return self._compared(other, operator.ne)

    def __lt__(self, other: object) -> bool:
        return self._compared(other, operator.lt)

    def __le__(self, other: object) -> bool:
        return self._compared(other, operator.le)

    def __gt__(self, other: object) -> bool:
        return self._compared(other, operator.gt)

    def __ge__(self, other: object) -> bool:
        return self._compared(other, operator.ge)

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __hash__(self) -> int:
        return float.__hash__(self)


def _float(sign: str, a: object, b: object) -> Any:
    """Return ``a sign b`` as an ``OpenFloat``: a division, or an operation with a float operand."""
    return computed(sign, a, b) if isinstance(a, int | float) and isinstance(b, int | float) else NotImplemented


def _power(number: Any, exponent: object) -> Any:
    """Return a symbolic number to a power: a symbolic one for ±0.5 and 1 to 4, else a plain number of the example."""
    if not isinstance(exponent, int | float):
        return NotImplemented
    if exponent == 0.5:
        return computed("sqrt", number)
    if type(exponent) is int and 0 < exponent <= 4:
        return number if exponent == 1 else number * _power(number, exponent - 1)
    if exponent == -0.5:
        return 1.0 / computed("sqrt", number)
    return _plain(number) ** _plain(exponent)
