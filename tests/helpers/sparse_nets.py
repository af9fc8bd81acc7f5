"""Nets whose weights are zero by blocks, compiled with and without skipping zeros."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.passes import sparse_products
from rnngraph.passes.sparse_products import SparseProducts

BLOCKS = ((4, 8), (8, 4), (16, 1), (1, 16), (1, 1))
"""Shapes (rows, columns) of zero blocks: rnngraph's shape first, then other shapes, and single elements."""


def zeroed(matrix: np.ndarray, density: float, block: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Return a matrix in which a share ``density`` of blocks is unchanged, and all others are zeros of either sign."""
    rows, columns = block
    left = generator.random((-(-matrix.shape[0] // rows), -(-matrix.shape[1] // columns))) < density
    left = np.repeat(np.repeat(left, rows, 0), columns, 1)[: matrix.shape[0], : matrix.shape[1]]
    zero = np.where(generator.random(matrix.shape) < 0.5, 0.0, -0.0).astype(matrix.dtype)
    return np.where(left, matrix, zero)


def zero_blocks(program: rg.Program, density: float, block: tuple[int, int], seed: int = 0) -> None:
    """Set blocks of all matrices to zero, and change all biases to nonzero values."""
    generator = np.random.default_rng(seed)
    for name, array in list(program.parameters.items()):
        changed = array + generator.normal(0, 0.1, array.shape).astype(array.dtype)
        program.parameters[name] = zeroed(changed, density, block, generator) if array.ndim == 2 else changed


def both(outputs: Any, density: float, block: tuple[int, int], **options: Any) -> tuple[rg.Program, rg.Program]:
    """Return (program that skips zeros, program that does not), with equal weights."""
    sparse = rg.compile(outputs, seed=1, sparse=True, **options)
    zero_blocks(sparse, density, block)
    return sparse, rg.compile(outputs, parameters=sparse, **options)


@pytest.fixture
def any_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip zeros in weights of every size."""
    monkeypatch.setattr(sparse_products, "SparseProducts", partial(SparseProducts, min_rows=1, min_columns=1))
