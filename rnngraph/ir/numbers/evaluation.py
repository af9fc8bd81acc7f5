"""Functions that return the values of ops in NumPy, and so define the ops: the column ``evaluate`` of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import erf as erf_of_number
from math import prod
from typing import Any

import numpy as np

from . import narrow, random

Evaluate = Callable[[Sequence[np.ndarray], Mapping[str, Any]], np.ndarray]
"""Function from the operands' values and the attributes to the op's value."""


def plain(function: Callable[..., Any]) -> Evaluate:
    """Return the function that computes an op without attributes in NumPy, by a function of the operands' arrays."""

    def evaluate(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays))

    return evaluate


def sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, np.ones_like(small)) / (1 + small)


def erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(erf_of_number, otypes=[x.dtype])(x) if x.size else x


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b. For integers, the quotient is truncated, and 0 if b is 0."""
    if a.dtype.kind == "f":
        return np.divide(a, b)
    divisor = _divisor(b)
    quotient = (a - np.fmod(a, divisor)) // divisor
    return np.where(b == 0, np.zeros_like(quotient), np.where(b == -1, -a, quotient))


def fmod(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.fmod(a, b) if a.dtype.kind == "f" else np.fmod(a, _divisor(b))


def _divisor(b: np.ndarray) -> np.ndarray:
    """Replace the divisors 0 and -1 by 1, so that remainders neither raise errors nor overflow."""
    return np.where((b == 0) | (b == -1), np.ones_like(b), b)


def power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a to the power b. For a negative integer exponent, the result is 1 / a^-b, truncated, and 0 if a is 0."""
    if a.dtype.kind == "f":
        return np.power(a, b)
    inverse = np.where(np.abs(a) == 1, np.power(a, b & 1), np.zeros_like(a))
    return np.where(b < 0, inverse, np.power(a, np.maximum(b, 0)))


def matmul(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    left, right = arrays[:2]
    if attributes.get("rounded"):
        left, right = narrow.rounded_to_bfloat16(left), narrow.rounded_to_bfloat16(right)
    value = narrow.product(left, right)
    with np.errstate(all="ignore"):
        return value + arrays[2] if len(arrays) == 3 else value


def block_matmul(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    return narrow.block_product(arrays, attributes["block"], attributes["zero"])


def outer_sum(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    left, right = (array.reshape(prod(array.shape[:-1]), array.shape[-1]) for array in arrays)
    with np.errstate(all="ignore"):
        return left.T @ right


def reduce(function: Callable[..., Any]) -> Evaluate:
    """Return the function that computes a reduction over axes by a NumPy function."""

    def evaluate(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
        with np.errstate(all="ignore"):
            value = function(arrays[0], axis=tuple(attributes["axes"]), keepdims=attributes["keepdims"])
        return np.asarray(value, dtype=arrays[0].dtype)

    return evaluate


def part(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    """Return the value of the op ``slice``."""
    bounds = [*zip(attributes["start"], attributes["stop"], attributes["step"], strict=True)]
    for (start, stop, _), dim in zip(bounds, arrays[0].shape, strict=True):
        if not 0 <= start <= stop <= dim:  # NumPy would wrap or clamp such bounds
            raise ValueError(f"the slice {start}:{stop} does not lie within {dim} entries")
    return arrays[0][tuple(slice(start, stop, step) for start, stop, step in bounds)]


def windows(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    axis, size, dilation = attributes["axis"], attributes["size"], attributes["apart"]
    starts = np.arange(0, arrays[0].shape[axis] - dilation * (size - 1), attributes["step"])
    return np.take(arrays[0], starts[:, None] + dilation * np.arange(size), axis)


def overlap_add(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    axis = attributes["axis"]
    parts = np.moveaxis(arrays[0], (axis, axis + 1), (0, 1))
    value = np.zeros((attributes["size"], *parts.shape[2:]), parts.dtype)
    with np.errstate(all="ignore"):
        for window, part in enumerate(parts):
            for entry, item in enumerate(part):
                value[window * attributes["step"] + entry * attributes["apart"]] += item
    return np.moveaxis(value, 0, axis)


def random_key(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    seed, step, row = arrays
    return random.random_key(seed, step, row, attributes["site"], attributes["salt"])


def sample_key(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    number, step = arrays
    return random.random_key(number, step, np.zeros((), np.int64), attributes["site"], attributes["salt"])


def ensure_shape(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    if arrays[0].shape != attributes["shape"]:
        raise ValueError(f"a value has shape {arrays[0].shape}, and its graph requires {attributes['shape']}")
    return arrays[0]


def extreme(
    function: Callable[..., Any],
    of_none: Callable[[np.dtype[Any]], Any],
    check_nonempty: Callable[[tuple[int, ...], tuple[int, ...]], None],
) -> Evaluate:
    """Return the function that computes a maximum or minimum over axes in NumPy, also of no elements.

    Args:
        function: ``np.max`` or ``np.min``.
        of_none: Function that returns the identity element of a dtype, which is the result if there are no elements.
        check_nonempty: Function that raises ``ValueError`` if there are no elements. It is called if the node has
            ``nonempty``.
    """

    def evaluate(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
        axes, keep = tuple(attributes["axes"]), attributes["keepdims"]
        if attributes.get("nonempty"):
            check_nonempty(arrays[0].shape, axes)
        return np.asarray(function(arrays[0], axis=axes, keepdims=keep, initial=of_none(arrays[0].dtype)))

    return evaluate


def lowest(dtype: np.dtype[Any]) -> Any:
    """Return the identity element of a maximum."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def highest(dtype: np.dtype[Any]) -> Any:
    """Return the identity element of a minimum."""
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max


def gather(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    """Return the rows of a table at the indices, which are clamped to the table."""
    return arrays[0][np.clip(arrays[1], 0, arrays[0].shape[0] - 1)]


def scatter_add(arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray:
    """Return a table of zeros to whose rows the updates are added. Indices of rows are clamped to the table."""
    indices, updates = arrays
    value = np.zeros((attributes["rows"], *updates.shape[indices.ndim :]), updates.dtype)
    with np.errstate(all="ignore"):
        np.add.at(value, np.clip(indices, 0, attributes["rows"] - 1), updates)
    return value
