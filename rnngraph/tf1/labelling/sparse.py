"""Sparse Tensors in which labels are fed and decoded classes fetched: ``tf.SparseTensor`` and kin.

What a run computes with are the labels of each row side by side, and how many these are; they are made of the three
parts of a sparse Tensor when it is fed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions.losses import real_steps
from ...declare.placeholders import fed
from ...declare.tensor import Tensor
from ...ir.types import INTEGERS
from ...support.allocation import zeros
from ...support.api_guard import api
from ...support.errors import DtypeError, NotOfferedError, shown
from ..core.errors import InvalidArgumentError
from ..core.graph import Derived, get_default_graph
from ..core.names import dtype_name
from ..core.operations import Operation
from ..core.tensors import as_tensorflow, gives_tensors
from ..ops.functions import constant
from ..ops.inputs import placeholder
from ..table.missing import GUIDE


@api
class SparseTensorValue(NamedTuple):
    """What a sparse Tensor is fed, and what a run gives of one: places [n, 2], values [n] and the dense shape [2]."""

    indices: Any
    values: Any
    dense_shape: Any


class Sparse(Operation):
    """A matrix [rows, columns] of which some places have values."""

    dtype: str

    def packed(self) -> tuple[Tensor, Tensor]:
        """(values of each row side by side [rows, longest], how many each row has, int64 [rows])."""
        raise NotImplementedError

    def steps(self) -> tuple[Tensor, Tensor]:
        """(values in order [rows, places], whether each place has one)."""
        raise NotImplementedError

    def cast_to(self, dtype: str) -> Sparse:
        """The same with values of another dtype."""
        raise NotImplementedError

    def dense(self, default: Any) -> Any:
        """All places, ``default`` where there is no value."""
        raise NotImplementedError

    def part(self, number: int) -> Any:
        """Its indices, values or dense shape."""
        raise NotImplementedError

    indices = property(lambda self: self.part(0), doc="Places of values [n, 2].")
    values = property(lambda self: self.part(1), doc="Values [n].")
    dense_shape = property(lambda self: self.part(2), doc="The shape, [2].")
    shape = dense_shape


class SparseTensor(Sparse):
    """``tf.SparseTensor(indices, values, dense_shape)``, of arrays or of placeholders."""

    @api
    def __init__(self, indices: Any, values: Any, dense_shape: Any, name: str | None = None) -> None:
        kinds = ("int64", None, "int64")
        parts = zip((indices, values, dense_shape), kinds, strict=True)
        self.parts = [item if isinstance(item, Tensor) else constant(item, kind) for item, kind in parts]
        for item in self.parts:
            if item.node.op not in ("input", "constant"):
                raise NotOfferedError(f"a tf.SparseTensor is made of placeholders or arrays, not of {item!r} ({GUIDE})")
        self.dtype = self.parts[1].dtype
        self._packed: tuple[Tensor, Tensor] | None = None
        super().__init__(name or "SparseTensor")

    def places(self, value: Any) -> Iterator[tuple[Tensor, Any]]:
        """(placeholder, array) of each part of what is fed."""
        if not isinstance(value, list | tuple) or len(value) != 3:
            raise InvalidArgumentError(
                f"{self.full} is fed a tf.SparseTensorValue, or (indices, values, dense_shape), not {shown(value)}"
            )
        yield from zip(self.parts, value, strict=True)

    def part(self, number: int) -> Tensor:
        return self.parts[number]

    def needs(self) -> list[Tensor]:
        return self.parts

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> SparseTensorValue:
        return SparseTensorValue(*values)

    def cast_to(self, dtype: str) -> SparseTensor:
        indices, values, shape = self.parts
        made: SparseTensor = SparseTensor(indices, values, shape)
        made.dtype = dtype
        return made

    def packed(self) -> tuple[Tensor, Tensor]:
        if self._packed is None:
            labels = self._derived("labels", [None, None], self.dtype, lambda parts: _packed(parts)[0])
            self._packed = labels, self._derived("label_lengths", [None], "int64", lambda parts: _packed(parts)[1])
        return self._packed

    def steps(self) -> tuple[Tensor, Tensor]:
        labels, counts = self.packed()
        return labels, real_steps(labels, counts)

    def dense(self, default: Any) -> Tensor:
        return self._derived("dense", [None, None], self.dtype, lambda parts: _dense(parts, default))

    def _derived(self, what: str, shape: list[Any], dtype: str, function: Any) -> Tensor:
        """A Tensor that is made of the parts when these are fed."""
        if all(item.node.op == "constant" for item in self.parts):
            return constant(function([item.node["value"] for item in self.parts]), dtype)
        made: Tensor = as_tensorflow(fed(f"{self.full}_{what}".replace("/", "_"), shape, dtype, unnamed=True))
        graph = get_default_graph()
        graph.place(made, None)
        graph.derived[made.node] = Derived(self.full, [item.node for item in self.parts], function)
        return made


class Taken(Sparse):
    """What a run takes of a dense matrix: the values of each row where ``taken`` holds, side by side."""

    def __init__(self, ids: Tensor, taken: Tensor, dtype: str = "int64") -> None:
        self._ids, self._taken, self.dtype = ids, taken, dtype
        super().__init__("Taken")

    def steps(self) -> tuple[Tensor, Tensor]:
        return functions.cast(self._ids, self.dtype), self._taken

    def packed(self) -> tuple[Tensor, Tensor]:
        raise NotOfferedError(
            f"what a decoder gives is no label and no truth to compare with; fetch it, and feed it ({GUIDE})"
        )

    def cast_to(self, dtype: str) -> Taken:
        return Taken(self._ids, self._taken, dtype)

    def needs(self) -> list[Tensor]:
        return [self._ids, self._taken]

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> SparseTensorValue:
        ids, taken = values
        rows, columns = np.nonzero(taken)
        counts = taken.sum(1, dtype=np.int64)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        places = np.stack([rows, np.arange(len(rows)) - first], 1).astype(np.int64).reshape(-1, 2)
        shape = np.array([len(ids), counts.max(initial=0)], np.int64)
        return SparseTensorValue(places, ids[rows, columns].astype(self.dtype), shape)

    def part(self, number: int) -> Operation:
        return _Made(self, lambda found: found[number])

    def dense(self, default: Any) -> Operation:
        return _Made(self, lambda found: _dense(found, default))


class _Made(Operation):
    """What a run makes of a sparse Tensor, to be fetched."""

    def __init__(self, sparse: Taken, function: Any) -> None:
        self._sparse, self._function = sparse, function
        super().__init__("SparseToDense")

    def needs(self) -> list[Tensor]:
        return self._sparse.needs()

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> Any:
        return self._function(self._sparse.execute(session, values))


@api
def sparse_placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> SparseTensor:
    """A sparse matrix that is fed: as a ``tf.SparseTensorValue``, or as (indices, values, dense_shape)."""
    base = name or "SparsePlaceholder"
    kinds = ("indices", "int64", [None, 2]), ("values", dtype_name(dtype), [None]), ("shape", "int64", [2])
    indices, values, dense_shape = (
        placeholder(kind, size, f"{base}/{what}" if name else None) for what, kind, size in kinds
    )
    return SparseTensor(indices, values, dense_shape, base)


@gives_tensors
def sparse_tensor_to_dense(
    sp_input: Any, default_value: Any = 0, validate_indices: bool = True, name: str | None = None
) -> Any:
    """All places of a sparse Tensor, ``default_value`` where it has none. Of what a decoder gives it can be fetched."""
    return check_sparse(sp_input, "tf.sparse_tensor_to_dense").dense(default_value)


def check_sparse(given: Any, what: str) -> Sparse:
    """A sparse Tensor of ints."""
    if isinstance(given, SparseTensorValue):
        given = SparseTensor(*given)
    if not isinstance(given, Sparse):
        raise DtypeError(
            f"{what} takes a sparse Tensor, such as tf.sparse_placeholder(tf.int32), not {shown(given)}; padded labels "
            "are for rg.ctc_loss"
        )
    if given.dtype not in INTEGERS:
        raise DtypeError(f"{what} takes a sparse Tensor of ints, not of {given.dtype}; convert it with tf.cast")
    return given


# What is fed, as arrays ------------------------------------------------------------------------------


def _checked(parts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Places, values and the shape, once they fit each other."""
    try:
        places, values, shape = (np.asarray(item) for item in parts)
        places = places.astype(np.int64).reshape(-1, 2) if places.size else np.zeros((0, 2), np.int64)
        rows, columns = (int(size) for size in shape)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"a sparse matrix has indices [n, 2], values [n] and a dense_shape of two ints: {error}"
        ) from None
    if values.ndim != 1 or len(values) != len(places) or rows < 0 or columns < 0:
        raise InvalidArgumentError(
            f"a sparse matrix has as many values as indices, not {values.shape} and {places.shape}"
        )
    if len(places) and (places.min() < 0 or (places >= [rows, columns]).any()):
        raise InvalidArgumentError(f"indices of a sparse matrix lie outside its dense_shape, {rows} by {columns}")
    return places, values, (rows, columns)


def _packed(parts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Values of each row side by side, and how many there are."""
    places, values, (rows, _) = _checked(parts)
    order = np.lexsort((places[:, 1], places[:, 0]))
    places, values = places[order], values[order]
    counts = np.bincount(places[:, 0], minlength=rows).astype(np.int64)
    found = zeros((rows, max(1, int(counts.max(initial=0)))), str(values.dtype), "sparse labels")
    found[places[:, 0], np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)] = values
    return found, counts


def _dense(parts: Sequence[Any], default: Any) -> np.ndarray:
    places, values, shape = _checked(parts)
    found = zeros(shape, str(values.dtype), "a sparse matrix as a dense one")
    found[...] = default
    found[places[:, 0], places[:, 1]] = values
    return found
