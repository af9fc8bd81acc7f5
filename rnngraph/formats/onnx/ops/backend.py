"""``OnnxBackend``, with which the definitions of operations in ``formats.operators`` declare a node's results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ....ir.types import Dim
from ..core.known import Expanded, Known, Operand, dtype_of, shape_of
from ..core.table import Call
from ..core.values import storage_dtype
from .padding import padded


class OnnxBackend:
    """Implementation of ``Backend`` over ``Tensors``: it folds known arrays, and declares all other results."""

    def __init__(self, call: Call) -> None:
        self._call, self._tensors = call, call.tensors

    def shape(self, x: Operand) -> tuple[Dim, ...]:
        return shape_of(x)

    def dtype(self, x: Operand) -> str:
        return storage_dtype(dtype_of(x))

    def call(self, function: Callable[..., Any], *operands: Any, **keywords: Any) -> Operand:
        return self._call.script.call(function, *map(self._operand, operands), **keywords)

    def operation(self, sign: str, left: Any, right: Any) -> Operand:
        return self._call.script.operation(sign, self._operand(left), self._operand(right))

    def item(self, x: Operand, *index: Any) -> Operand:
        return self._tensors.index(x, index)

    def transpose(self, x: Operand, order: Sequence[int]) -> Operand:
        return self._tensors.transpose(x, order)

    def reshape(self, x: Operand, shape: Sequence[Dim]) -> Operand:
        return self._tensors.reshape(x, shape)

    def concat(self, items: Sequence[Operand], axis: int) -> Operand:
        return self._tensors.concat(items, axis)

    def pad(self, x: Operand, pairs: Mapping[int, tuple[int, int]], value: float = 0.0) -> Operand:
        sides = [pairs.get(axis, (0, 0)) for axis in range(len(shape_of(x)))]
        return padded(self._call, x, sides, "constant", value)

    def broadcast(self, x: Operand, shape: Sequence[Dim]) -> Operand:
        return Expanded(self._tensors.value(x), tuple(shape))

    def own(self, scope: str, arrays: Mapping[str, np.ndarray]) -> None:
        self._call.script.own(scope, arrays)

    def _operand(self, x: Any) -> Any:
        if isinstance(x, list):
            return [self._operand(entry) for entry in x]
        return self._tensors.value(x) if isinstance(x, Known | Expanded) else x
