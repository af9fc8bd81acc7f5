"""TensorFlow 1.x's ``tensordot``, ``einsum``, ``matrix_transpose`` and ``gather_nd``."""

from __future__ import annotations

from typing import Any

from ...declare.functions import basic as functions
from ...declare.functions import indexing
from ...declare.functions.arrays import contractions
from ...declare.tensor import Tensor, as_tensor
from ...support.errors import ShapeError
from ..core.operations import operation


@operation
def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """Return the tensor contraction.

    Args:
        axes: Number of last axes of a and first axes of b, or a pair of lists of axes.
    """
    return contractions.tensordot(a, b, axes)


@operation
def matrix_transpose(a: Any, name: str | None = None, conjugate: bool = False) -> Tensor:
    """Return matrices [..., rows, columns] as [..., columns, rows]."""
    x = as_tensor(a)
    if x.rank < 2:
        raise ShapeError(f"tf.matrix_transpose needs matrices [..., rows, columns], not {x!r}")
    return functions.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


@operation
def einsum(equation: str, *inputs: Any, name: str | None = None) -> Tensor:
    """Return the sum of products of the operands by an Einstein equation such as ``"btd,de->bte"``."""
    return contractions.einsum(equation, *inputs)


@operation
def gather_nd(params: Any, indices: Any, name: str | None = None, batch_dims: int = 0) -> Tensor:
    """Return the entries of ``params`` at index vectors: the last axis of ``indices`` has one index for each axis.

    The first ``batch_dims`` axes are common to both. The vectors index the axes of ``params`` after them.
    """
    return indexing.gather_nd(params, indices, batch_dims, negative=False)
