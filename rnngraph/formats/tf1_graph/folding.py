"""Computes ONNX nodes with constant inputs during translation, such as permutations, sizes and conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..onnx.core.known import constant_fold, is_constant_foldable, known

MAX_ENTRIES = 1 << 12
"""Maximum entries of an array that is folded here. ONNX's reader folds larger arrays."""


def _sum(array: np.ndarray, axes: np.ndarray | None = None, keepdims: int = 1, **_: Any) -> Any:
    where = tuple(range(array.ndim) if axes is None else axes.tolist())
    total = array.sum(where, array.dtype, keepdims=True)
    return total if keepdims else total.squeeze(where)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Range": lambda first, end, step, **_: np.arange(first, end, step, dtype=first.dtype),
    "Concat": lambda *arrays, axis=0, **_: np.concatenate(arrays, axis),
    "Unsqueeze": lambda array, axes, **_: np.expand_dims(array, tuple(axes.tolist())),
    "Gather": lambda array, index, axis=0, **_: np.take(array, index, axis),
    "Shape": lambda array, **_: np.array(array.shape, np.int64),
    "ReduceSum": _sum,
    "ReduceProd": lambda array, axes=None, keepdims=1, **_: array.prod(
        None if axes is None else tuple(axes), keepdims=bool(keepdims), dtype=array.dtype
    ),
}
"""NumPy functions of (*inputs, **attributes), by ONNX op. ``constant_fold`` folds elementwise ops."""


def folded(op: str, arrays: Sequence[np.ndarray], attributes: Mapping[str, Any]) -> np.ndarray | None:
    """Return the result of an ONNX op on constant arrays; None if the op is not folded, or arrays are too large."""
    if sum(array.size for array in arrays) > MAX_ENTRIES:
        return None
    if is_constant_foldable(op):
        result = constant_fold(op, [known(array) for array in arrays]).array
        return result if result.size <= MAX_ENTRIES else None
    function = FUNCTIONS.get(op)
    if function is None:
        return None
    if op == "Range" and not all(array.size == 1 for array in arrays):
        return None
    if op == "Range" and (not arrays[2] or abs((arrays[1] - arrays[0]) / arrays[2]) > MAX_ENTRIES):
        return None
    result = np.asarray(function(*arrays, **attributes))
    return result if result.size <= MAX_ENTRIES else None
