"""TensorFlow 1.x's ``tensordot`` and ``einsum``, and entries that are picked by several indices: ``gather_nd``."""

from __future__ import annotations

from typing import Any

from ...declare.functions import indexing
from ...declare.functions.arrays import contractions
from ...declare.tensor import Tensor
from ..core.operations import operation


@operation
def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """Products summed over axes: the last of a and the first of b, as many as ``axes`` says, or lists of both."""
    return contractions.tensordot(a, b, axes)


@operation
def einsum(equation: str, *inputs: Any, name: str | None = None) -> Tensor:
    """Products of entries by their letters, summed over those that ``->`` leaves out: ``"btd,de->bte"``."""
    return contractions.einsum(equation, *inputs)


@operation
def gather_nd(params: Any, indices: Any, name: str | None = None, batch_dims: int = 0) -> Tensor:
    """Entries of ``params`` by the indices of their first axes, which stand along the last axis of ``indices``."""
    return indexing.gather_nd(params, indices, batch_dims, negative=False)
