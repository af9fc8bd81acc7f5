"""Sparse matrices: ``tf.SparseTensor``, which a program feeds with labels, and decoded classes, which it fetches.

The graph computes with dense arrays: each row's labels without gaps, and the number of labels in each row. A run
computes these arrays from the three parts of a fed sparse matrix.
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
from ..core.dtypes import dtype_name
from ..core.errors import InvalidArgumentError
from ..core.graph import Derived, get_default_graph
from ..core.operations import Operation
from ..core.tensors import as_tensorflow, gives_tensors
from ..ops.functions import constant
from ..ops.placeholders import placeholder
from ..table.missing import GUIDE


@api
class SparseTensorValue(NamedTuple):
    """Feed or fetch of a sparse Tensor: indices [n, 2], values [n] and the dense shape [2]."""

    indices: Any
    values: Any
    dense_shape: Any


class Sparse(Operation):
    """Base of sparse matrices [rows, columns]. A fetch returns a ``SparseTensorValue``."""

    dtype: str

    def packed(self) -> tuple[Tensor, Tensor]:
        """Return (values [rows, longest], number of values in each row, int64 [rows]).

        Each row begins with its values in order, without gaps, and ends with zeros.
        """
        raise NotImplementedError

    def steps(self) -> tuple[Tensor, Tensor]:
        """Return (values [rows, positions], mask of the positions that have a value). Other positions are arbitrary."""
        raise NotImplementedError

    def cast_to(self, dtype: str) -> Sparse:
        """Return the sparse matrix in another dtype."""
        raise NotImplementedError

    def dense(self, default: Any) -> Any:
        """Return the dense matrix, with ``default`` in entries without a value."""
        raise NotImplementedError

    def part(self, number: int) -> Any:
        """Return part 0, 1 or 2: the indices, the values or the dense shape."""
        raise NotImplementedError

    indices = property(lambda self: self.part(0), doc="Indices of the values [n, 2].")
    values = property(lambda self: self.part(1), doc="Values [n].")
    dense_shape = property(lambda self: self.part(2), doc="Dense shape [2].")
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
                raise NotOfferedError(f"a tf.SparseTensor needs placeholders or arrays, not {item!r} ({GUIDE})")
        self.dtype = self.parts[1].dtype
        self._packed: tuple[Tensor, Tensor] | None = None
        super().__init__(name or "SparseTensor")

    def part_feeds(self, value: Any) -> Iterator[tuple[Tensor, Any]]:
        """Yield (placeholder, array) for each part of ``value``, a feed of the sparse matrix."""
        if not isinstance(value, list | tuple) or len(value) != 3:
            raise InvalidArgumentError(
                f"{self.full} needs a tf.SparseTensorValue, or (indices, values, dense_shape), not {shown(value)}"
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
        result: SparseTensor = SparseTensor(indices, values, shape)
        result.dtype = dtype
        return result

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
        """Return a Tensor that is computed from the three parts: a constant, or a placeholder that a run feeds itself.

        Args:
            what: Suffix of the placeholder's name.
            shape: Shape of the placeholder.
            dtype: Dtype of the Tensor.
            function: Function from the list of the parts' arrays to the value.
        """
        if all(item.node.op == "constant" for item in self.parts):
            return constant(function([item.node["value"] for item in self.parts]), dtype)
        derived: Tensor = as_tensorflow(fed(f"{self.full}_{what}".replace("/", "_"), shape, dtype, unnamed=True))
        graph = get_default_graph()
        graph.place(derived, None)
        graph.derived[derived.node] = Derived(self.full, [item.node for item in self.parts], function)
        return derived


class MaskedSparse(Sparse):
    """Sparse matrix of the entries of a dense matrix where a mask is True. They move to the beginning of their row."""

    def __init__(self, ids: Tensor, mask: Tensor, dtype: str = "int64") -> None:
        self._ids, self._mask, self.dtype = ids, mask, dtype
        super().__init__("CTCGreedyDecoder")

    def steps(self) -> tuple[Tensor, Tensor]:
        return functions.cast(self._ids, self.dtype), self._mask

    def packed(self) -> tuple[Tensor, Tensor]:
        raise NotOfferedError(
            f"the result of a decoder can't be used as labels in the same run; fetch it, and feed it in a later "
            f"run ({GUIDE})"
        )

    def cast_to(self, dtype: str) -> MaskedSparse:
        return MaskedSparse(self._ids, self._mask, dtype)

    def needs(self) -> list[Tensor]:
        return [self._ids, self._mask]

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> SparseTensorValue:
        ids, mask = values
        rows, columns = np.nonzero(mask)
        counts = mask.sum(1, dtype=np.int64)
        row_starts = np.repeat(np.cumsum(counts) - counts, counts)
        indices = np.stack([rows, np.arange(len(rows)) - row_starts], 1).astype(np.int64).reshape(-1, 2)
        shape = np.array([len(ids), counts.max(initial=0)], np.int64)
        return SparseTensorValue(indices, ids[rows, columns].astype(self.dtype), shape)

    def part(self, number: int) -> Operation:
        return _SparseFetch(self, lambda values: values[number])

    def dense(self, default: Any) -> Operation:
        return _SparseFetch(self, lambda values: _dense(values, default))


class _SparseFetch(Operation):
    """Operation that applies a function to the (indices, values, dense shape) of a ``MaskedSparse``."""

    def __init__(self, sparse: MaskedSparse, function: Any) -> None:
        self._sparse, self._function = sparse, function
        super().__init__("SparseToDense")

    def needs(self) -> list[Tensor]:
        return self._sparse.needs()

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> Any:
        return self._function(self._sparse.execute(session, values))


@api
def sparse_placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> SparseTensor:
    """Return a sparse placeholder, which is fed a ``tf.SparseTensorValue`` or (indices, values, dense_shape).

    ``shape`` has no effect.
    """
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
    """Return a sparse matrix of ints as a dense matrix, with ``default_value`` in entries without a value.

    For the output of a decoder, the result can only be fetched. ``validate_indices`` has no effect: indices outside of
    the dense shape are errors.
    """
    return check_sparse(sp_input, "tf.sparse_tensor_to_dense").dense(default_value)


def check_sparse(value: Any, what: str) -> Sparse:
    """Return ``value`` as a sparse Tensor of ints. Raise ``DtypeError`` for anything else."""
    if isinstance(value, SparseTensorValue):
        value = SparseTensor(*value)
    if not isinstance(value, Sparse):
        raise DtypeError(
            f"{what} needs a sparse Tensor, such as tf.sparse_placeholder(tf.int32), not {shown(value)}; for padded "
            "labels use rg.ctc_loss"
        )
    if value.dtype not in INTEGERS:
        raise DtypeError(f"{what} needs a sparse Tensor of ints, not of {value.dtype}; convert it with tf.cast")
    return value


# Arrays of feeds -------------------------------------------------------------------------------------


def _checked(parts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Return (indices [n, 2], values [n], dense shape) from the parts of a feed. Raise an error if they do not fit."""
    try:
        places, values, shape = (np.asarray(item) for item in parts)
        places = places.astype(np.int64).reshape(-1, 2) if places.size else np.zeros((0, 2), np.int64)
        rows, columns = (int(size) for size in shape)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"a sparse matrix needs indices [n, 2], values [n] and a dense_shape of two ints: {error}"
        ) from None
    if rows < 0 or columns < 0:
        raise InvalidArgumentError(
            f"the dense_shape of a sparse matrix can't be negative, but is {rows} by {columns}; feed sizes of 0 or more"
        )
    if values.ndim != 1 or len(values) != len(places):
        raise InvalidArgumentError(
            f"a sparse matrix needs as many values as indices, not values of shape {values.shape} and indices of shape "
            f"{places.shape}"
        )
    if len(places) and (places.min() < 0 or (places >= [rows, columns]).any()):
        raise InvalidArgumentError(
            f"indices of a sparse matrix are outside of its dense_shape, {rows} by {columns}; feed a larger dense_shape"
        )
    return places, values, (rows, columns)


def _packed(parts: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return (values [rows, longest], number of values in each row) of a feed. See ``Sparse.packed``."""
    places, values, (rows, _) = _checked(parts)
    order = np.lexsort((places[:, 1], places[:, 0]))
    places, values = places[order], values[order]
    counts = np.bincount(places[:, 0], minlength=rows).astype(np.int64)
    packed = zeros((rows, max(1, int(counts.max(initial=0)))), str(values.dtype), "sparse labels")
    packed[places[:, 0], np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)] = values
    return packed, counts


def _dense(parts: Sequence[Any], default: Any) -> np.ndarray:
    """Return the dense matrix of a feed, with ``default`` in entries without a value."""
    places, values, shape = _checked(parts)
    dense = zeros(shape, str(values.dtype), "a sparse matrix as a dense one")
    dense[...] = default
    dense[places[:, 0], places[:, 1]] = values
    return dense
