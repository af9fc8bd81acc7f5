"""Values that are known while a file is read: the file's arrays, and arrays that are computed from sizes.

A formula is a ``Size``: an expression of symbolic sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....ir.numbers import evaluation
from ....ir.types import FLOATS, INTEGERS, Dim, Size, quotient
from ...array_bounds import FOLDED_SHARE, max_folded
from ...steps import Value
from .sizes import BINARY, Undecided, UnreadableError, checked, equal, inverted


@dataclass(frozen=True, eq=False)
class Known:
    """Array that is known while reading.

    Attributes:
        array: An array of numbers or bools, or an object array that has formulas or ``Undecided`` comparisons.
        dtype: NumPy's name of the dtype in the file, usually ``int64`` for formulas.
    """

    array: np.ndarray
    dtype: str

    @property
    def is_symbolic(self) -> bool:
        return self.array.dtype == object

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.array.shape

    def numbers(self, what: str) -> np.ndarray:
        """Return the array. Raises ``UnreadableError`` if an entry is a formula."""
        if self.is_symbolic:
            raise UnreadableError(f"{what} depends on symbolic sizes; it must be constant")
        return self.array


@dataclass(frozen=True, eq=False)
class Expanded:
    """Operand ``source``, broadcast to a shape that may have symbolic sizes. Most ops compute with ``source`` alone."""

    source: Known | Value
    shape: tuple[Dim, ...]


@dataclass(frozen=True, eq=False)
class Dequantized:
    """Quantized value, stored as the floats that it represents. Only ops that move entries or dequantize may read it.

    Attributes:
        source: The floats: (n - zero) * scale for quantized numbers n.
        scale: Scale; None if it is computed at run time.
        zero: Zero point; None if it is computed at run time.
    """

    source: Operand
    scale: np.ndarray | None
    zero: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Listed:
    """Sequence of arrays, of known length. Only ops on sequences may read it."""

    items: tuple[Known | Expanded | Value, ...]


@dataclass(frozen=True, eq=False)
class Stacked:
    """Sequence of arrays, stacked along a new first axis. The sequence's length may be symbolic."""

    items: Known | Expanded | Value


@dataclass(frozen=True, eq=False)
class NonZeroIndices:
    """Indices [rank, count], or transposed, at which a mask is true. Only Transpose and ScatterND may read them."""

    mask: Value
    is_transposed: bool = False


Deferred = Dequantized | Listed | Stacked | NonZeroIndices
"""Value that a script cannot represent. Only ops that support it may read it."""
Operand = Known | Expanded | Value
"""Value that a script can represent, as an operand of a node."""


def place_of(array: np.ndarray) -> tuple[Any, ...]:
    """Return a key that identifies an array's memory and layout."""
    return array.__array_interface__["data"][0], array.shape, array.strides


def known(array: Any, dtype: str | None = None) -> Known:
    """Return an array as ``Known``. An object array without formulas becomes numeric.

    Args:
        dtype: Dtype in the file; by default the array's, or int64 for an object array.
    """
    array = np.asarray(array)
    if array.dtype == object and all(isinstance(entry, int | bool | np.integer) for entry in array.reshape(-1)):
        array = array.astype(dtype or np.int64)
    if dtype is None:
        dtype = "int64" if array.dtype == object else str(array.dtype)
    if array.dtype != object and str(array.dtype) != dtype:
        array = array.astype(dtype)
    return Known(array, dtype)


def of_sizes(shape: Sequence[Dim]) -> Known:
    """Return sizes as a 1-D int64 ``Known``."""
    array = np.empty(len(shape), object)
    array[:] = list(shape)
    return known(array, "int64")


def number_like(number: float, x: Operand) -> Known:
    """Return a number as a ``Known`` with x's dtype."""
    return Known(np.array(number, dtype_of(x)), dtype_of(x))


def shape_of(x: Operand) -> tuple[Dim, ...]:
    return x.tensor.type.shape if isinstance(x, Value) else x.shape


def dtype_of(x: Operand) -> str:
    if isinstance(x, Value):
        return x.tensor.dtype
    return dtype_of(x.source) if isinstance(x, Expanded) else x.dtype


def all_are(x: Operand, entry: Dim) -> bool:
    """True if x has integers that are all known to equal ``entry``, whatever the symbolic sizes are."""
    source = x.source if isinstance(x, Expanded) else x
    if not isinstance(source, Known) or source.dtype not in INTEGERS:
        return False
    return all(equal(have, entry) is True for have in source.array.reshape(-1).tolist())


def is_zero(x: Operand) -> bool:
    """True if all entries of x are known to be 0."""
    source = x.source if isinstance(x, Expanded) else x
    return isinstance(source, Known) and not source.is_symbolic and not source.array.any()


def check_count(count: int) -> int:
    """Return ``count``; raise ``UnreadableError`` if an array that reading computes may not have so many entries."""
    if count > max_folded():
        raise UnreadableError(
            f"reading the file would create an array of {count:,} entries; if you trust the file, give "
            f"max_entries={FOLDED_SHARE * count}"
        )
    return count


_NUMPY: Mapping[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": evaluation.divide,
    "Mod": np.mod,
    "FMod": evaluation.fmod,
    "Pow": evaluation.power,
    "Max": np.maximum,
    "Min": np.minimum,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Reciprocal": np.reciprocal,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.rint,
    "Sign": np.sign,
    "Tanh": np.tanh,
    "Sin": np.sin,
    "Cos": np.cos,
    "Equal": np.equal,
    "Less": np.less,
    "Greater": np.greater,
    "LessOrEqual": np.less_equal,
    "GreaterOrEqual": np.greater_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
    "Not": np.logical_not,
}
"""NumPy functions of elementwise ops. ``FMod`` is ``Mod`` with the attribute fmod=1."""
_TRUTHS = ("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor", "Not")


def fold_size_comparison(op: str, left: Known, right: Known) -> Known | None:
    """Return a comparison's result for sizes that the file has cast to float; None if it is not known.

    The result is known unless ``op`` is no comparison, a number is a fraction, or the result depends on a symbolic
    size.
    """
    if op not in _TRUTHS or any(not item.is_symbolic and np.any(item.array % 1) for item in (left, right)):
        return None
    try:
        result = constant_fold(op, [Known(_whole_numbers(item), "int64") for item in (left, right)])
    except UnreadableError:
        return None
    return None if result.is_symbolic else result


def fold_float_sizes(op: str, *items: Known) -> Known | None:
    """Return an op's result for sizes that the file has cast to float, as for ``arange``; None if it is not known.

    The result is known for sums, differences, products, exact quotients and rounding, if all operands are integers.
    """
    entries = [entry for item in items for entry in item.array.reshape(-1).tolist()]
    if any(isinstance(entry, Undecided) or (not isinstance(entry, Size) and entry % 1) for entry in entries):
        return None
    if op in ("Ceil", "Floor", "Round"):
        return items[0]
    function = quotient if op == "Div" else BINARY[op] if op in ("Add", "Sub", "Mul") else None
    if function is None:
        return None
    result = np.asarray(np.frompyfunc(function, 2, 1)(*map(_whole_numbers, items)), object)
    return None if any(entry is None for entry in result.reshape(-1)) else known(result, items[0].dtype)


def _whole_numbers(item: Known) -> np.ndarray:
    """Return an object array of sizes and Python ints, so that no dtype limits them."""
    return item.array if item.is_symbolic else np.asarray(np.frompyfunc(int, 1, 1)(item.array), object)


def is_constant_foldable(op: str) -> bool:
    """True if ``constant_fold`` supports an elementwise op."""
    return op in _NUMPY


def constant_fold(op: str, items: Sequence[Known]) -> Known:
    """Return the result of an elementwise op of known arrays, computed with NumPy.

    The result has the first array's dtype, or bool for a comparison or logical op. More than two arrays are combined
    from left to right.
    """
    if len(items) > 2:
        return constant_fold(op, [constant_fold(op, items[:2]), *items[2:]])
    shape = np.broadcast_shapes(*(item.array.shape for item in items))
    check_count(int(np.prod(shape, dtype=np.float64)))
    dtype = "bool" if op in _TRUTHS else items[0].dtype
    if any(item.is_symbolic for item in items):
        if any(np.dtype(item.dtype).kind not in "iub" for item in items):
            raise UnreadableError("it computes with symbolic sizes as floats, which is not supported; fix the sizes")
        return known(_of_entries(op, [item.array.astype(object) for item in items]), dtype)
    if op in ("Div", "Mod", "FMod") and dtype not in FLOATS and not np.all(items[1].array):
        raise UnreadableError("it divides integers by 0; give divisors other than 0")
    with np.errstate(all="ignore"):
        return known(np.asarray(_NUMPY[op](*(item.array for item in items))).astype(dtype), dtype)


def _of_entries(op: str, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return an elementwise op's result for object arrays of sizes."""
    if op == "Not":
        return np.asarray(np.frompyfunc(inverted, 1, 1)(arrays[0]), object)
    if op == "Neg":
        return np.asarray(np.frompyfunc(lambda entry: checked(entry * -1), 1, 1)(arrays[0]), object)
    if op not in BINARY:
        raise UnreadableError("it computes with symbolic sizes, which this op does not support; fix the sizes")
    return np.asarray(np.frompyfunc(BINARY[op], 2, 1)(*arrays), object)


def select(condition: Known, a: Known, b: Known) -> Known:
    """Return the entries of a where ``condition`` is True, and of b elsewhere."""
    if any(isinstance(entry, Undecided) for entry in condition.array.reshape(-1)):
        raise UnreadableError("its result depends on whether symbolic sizes are equal; fix one of them")
    if a.dtype != b.dtype:
        raise UnreadableError(f"it selects between values of dtypes {a.dtype} and {b.dtype}, which must be equal")
    check_count(
        int(np.prod(np.broadcast_shapes(condition.array.shape, a.array.shape, b.array.shape), dtype=np.float64))
    )
    arrays = [item.array.astype(object) if a.is_symbolic or b.is_symbolic else item.array for item in (a, b)]
    return known(np.where(condition.array.astype(bool), *arrays), a.dtype)


def cast(x: Known, dtype: str) -> Known:
    """Cast x. Formulas stay as they are, whatever the dtype; only a cast to bool compares them with 0."""
    if not x.is_symbolic:
        with np.errstate(all="ignore"):
            return known(x.array.astype(dtype), dtype)
    if dtype == "bool":
        entries = [
            entry if isinstance(entry, bool | Undecided) else inverted(equal(entry, 0)) for entry in x.array.reshape(-1)
        ]
        array = np.empty(len(entries), object)
        array[:] = entries
        return known(array.reshape(x.array.shape), dtype)
    return Known(x.array, dtype)
