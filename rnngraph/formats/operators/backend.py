"""``Backend``, the interface of the primitive operations from which operators are composed, and two implementations."""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from ...declare.functions.basic import broadcast_to, concat, reshape, transpose
from ...declare.functions.padding import pad
from ...declare.tensor import Tensor
from ...ir.types import Dim, Size
from ..script import Script
from ..steps import Function, Value
from .errors import UnreadableError

Item = TypeVar("Item")
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "@": operator.matmul,
    "<=": operator.le,
}


class Backend(Protocol[Item]):
    """Interface of the primitive operations from which operators are composed."""

    def shape(self, x: Item) -> tuple[Dim, ...]:
        """Return the shape of ``x``."""

    def dtype(self, x: Item) -> str:
        """Return the dtype of ``x``, by NumPy's name."""

    def call(self, function: Function, *operands: Any, **keywords: Any) -> Item:
        """Call a public function of ``rg``. Operands are values, literals, or lists of these."""

    def operation(self, sign: str, left: Any, right: Any) -> Item:
        """Apply one of the operators ``+ - * / @ <=`` to values or numbers."""

    def item(self, x: Item, *index: Any) -> Item:
        """Index with ints and slices, as NumPy's basic indexing does."""

    def transpose(self, x: Item, order: Sequence[int]) -> Item:
        """Permute axes: axis i of the result is axis ``order[i]`` of x."""

    def reshape(self, x: Item, shape: Sequence[Dim]) -> Item:
        """Reshape to these sizes, some of which may be symbolic."""

    def concat(self, items: Sequence[Item], axis: int) -> Item:
        """Concatenate along an axis."""

    def pad(self, x: Item, pairs: Mapping[int, tuple[int, int]], value: float = 0.0) -> Item:
        """Pad axes with entries of one value. ``pairs`` is {axis: (entries before, entries after)}."""

    def broadcast(self, x: Item, shape: Sequence[Dim]) -> Item:
        """Broadcast to these sizes, some of which may be symbolic."""

    def own(self, scope: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Record the arrays of a layer's parameters, which are named ``scope/name``."""


def entries_of(own: Sequence[Dim], target: Sequence[Dim], unnamed: Container[Dim] = ()) -> tuple[int | str | None, ...]:
    """Return the argument of ``rg.reshape`` for a reshape from ``own`` to ``target``: ints, None, -1 and names.

    Args:
        own: Shape before the reshape.
        target: Shape after the reshape.
        unnamed: Sizes that are the first choice for -1, where only one size can be -1 and the others get their names.

    Raises:
        UnreadableError: More than one size has no name, and would have to be -1.
    """
    entries: list[int | str | None] = []
    for axis, dim in enumerate(target):
        if isinstance(dim, int):
            entries.append(dim)
        else:
            entries.append(None if axis < len(own) and own[axis] == dim else -1)
    for axis, dim in sorted(enumerate(target), key=lambda item: item[1] in unnamed):
        is_named = isinstance(dim, Size) and dim.symbol and not dim.symbol.startswith("_")
        if entries.count(-1) > 1 and entries[axis] == -1 and is_named:
            entries[axis] = str(dim)
    if entries.count(-1) > 1:
        raise UnreadableError("several sizes of a reshape are computed; fix all but one, or name the sizes of inputs")
    return tuple(entries)


class ScriptBackend:
    """Backend that declares calls in a script."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def shape(self, x: Value) -> tuple[Dim, ...]:
        return x.tensor.type.shape

    def dtype(self, x: Value) -> str:
        return x.tensor.dtype

    def call(self, function: Function, *operands: Any, **keywords: Any) -> Value:
        return self.script.call(function, *operands, **keywords)

    def operation(self, sign: str, left: Any, right: Any) -> Value:
        return self.script.operation(sign, left, right)

    def item(self, x: Value, *index: Any) -> Value:
        return self.script.item(x, *index)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        return self.call(transpose, x, tuple(order))

    def reshape(self, x: Value, shape: Sequence[Dim]) -> Value:
        return self.call(reshape, x, entries_of(self.shape(x), shape))

    def concat(self, items: Sequence[Value], axis: int) -> Value:
        return self.call(concat, list(items), axis)

    def pad(self, x: Value, pairs: Mapping[int, tuple[int, int]], value: float = 0.0) -> Value:
        options = {"value": value} if value else {}
        return self.call(pad, x, dict(pairs), **options)

    def broadcast(self, x: Value, shape: Sequence[Dim]) -> Value:
        own = (-1,) * (len(shape) - len(self.shape(x))) + self.shape(x)
        entries = [None if have == want else want for have, want in zip(own, shape, strict=True)]
        names = [str(dim) for dim in entries if isinstance(dim, Size)]
        if any(not name.isidentifier() or name.startswith("_") for name in names):
            raise UnreadableError("its result depends on a symbolic size without a name; name the input's axes")
        return self.call(broadcast_to, x, tuple(str(dim) if isinstance(dim, Size) else dim for dim in entries))

    def own(self, scope: str, arrays: Mapping[str, np.ndarray]) -> None:
        self.script.own(scope, arrays)


class TensorBackend:
    """Backend that applies functions to Tensors immediately."""

    def __init__(self) -> None:
        self.weights: dict[str, np.ndarray] = {}
        """Arrays of layers, by the names of the program's parameters."""

    def shape(self, x: Tensor) -> tuple[Dim, ...]:
        return x.type.shape

    def dtype(self, x: Tensor) -> str:
        return x.type.dtype

    def call(self, function: Function, *operands: Any, **keywords: Any) -> Tensor:
        result: Tensor = function(*operands, **keywords)
        return result

    def operation(self, sign: str, left: Any, right: Any) -> Tensor:
        result: Tensor = _OPERATORS[sign](left, right)
        return result

    def item(self, x: Tensor, *index: Any) -> Tensor:
        return x[index]

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        return transpose(x, tuple(order))

    def reshape(self, x: Tensor, shape: Sequence[Dim]) -> Tensor:
        entries: Any = tuple(shape)  # Any: the public type has no symbolic sizes, but they are accepted
        return reshape(x, entries)

    def concat(self, items: Sequence[Tensor], axis: int) -> Tensor:
        return concat(list(items), axis)

    def pad(self, x: Tensor, pairs: Mapping[int, tuple[int, int]], value: float = 0.0) -> Tensor:
        return pad(x, dict(pairs), value=value)

    def broadcast(self, x: Tensor, shape: Sequence[Dim]) -> Tensor:
        entries: Any = tuple(shape)  # Any: the public type has no symbolic sizes, but they are accepted
        return broadcast_to(x, entries)

    def own(self, scope: str, arrays: Mapping[str, np.ndarray]) -> None:
        self.weights |= {f"{scope}/{name}": np.ascontiguousarray(array) for name, array in arrays.items()}
