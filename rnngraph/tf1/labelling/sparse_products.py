"""Products of sparse matrices, such as adjacency matrices, with dense matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, as_tensor
from ...support.errors import DtypeError, NotOfferedError, shown
from ..core.operations import operation
from ..ops.functions import matmul
from ..table.missing import GUIDE
from .sparse import SparseTensor


@operation
def sparse_tensor_dense_matmul(
    sp_a: Any, b: Any, adjoint_a: bool = False, adjoint_b: bool = False, name: str | None = None
) -> Tensor:
    """Return the product of a sparse and a dense matrix, computed as a dense product."""
    if not isinstance(sp_a, SparseTensor):
        raise DtypeError(f"sp_a of tf.sparse_tensor_dense_matmul must be a tf.SparseTensor, not {shown(sp_a)}")
    dense = functions.cast(as_tensor(sp_a.dense(0)), sp_a.dtype)
    return matmul(dense, as_tensor(b), transpose_a=adjoint_a, transpose_b=adjoint_b)


@operation
def sparse_reorder(sp_input: Any, name: str | None = None) -> SparseTensor:
    """Return a sparse matrix with its values in row-major order. Its parts must be arrays, not placeholders."""
    parts = sp_input.parts if isinstance(sp_input, SparseTensor) else []
    if not parts or any(part.node.op != "constant" for part in parts):
        raise NotOfferedError(f"tf.sparse_reorder needs a tf.SparseTensor of arrays, not {shown(sp_input)} ({GUIDE})")
    indices, values, shape = (np.asarray(part.node["value"]) for part in parts)
    order = np.lexsort(indices.T[::-1])
    return SparseTensor(indices[order], values[order], shape)
