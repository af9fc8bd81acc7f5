"""Nets whose weights are zero by blocks, and the same nets without leaving anything out."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.passes import pipeline
from rnngraph.passes.sparse_products import SparseProducts

BLOCKS = ((4, 8), (8, 4), (16, 1), (1, 16), (1, 1))
"""Rows and columns of blocks that are zero: as they are cut here, as others cut them, and no blocks at all."""


def zeroed(matrix: np.ndarray, density: float, block: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """The matrix with all but a share of its blocks zero, of either sign."""
    rows, columns = block
    left = generator.random((-(-matrix.shape[0] // rows), -(-matrix.shape[1] // columns))) < density
    left = np.repeat(np.repeat(left, rows, 0), columns, 1)[: matrix.shape[0], : matrix.shape[1]]
    zero = np.where(generator.random(matrix.shape) < 0.5, 0.0, -0.0).astype(matrix.dtype)
    return np.where(left, matrix, zero)


def zero_blocks(program: rg.Program, density: float, block: tuple[int, int], seed: int = 0) -> None:
    """Makes blocks of all matrices zero; a bias becomes what is not 0."""
    generator = np.random.default_rng(seed)
    for name, array in list(program.parameters.items()):
        changed = array + generator.normal(0, 0.1, array.shape).astype(array.dtype)
        program.parameters[name] = zeroed(changed, density, block, generator) if array.ndim == 2 else changed


def both(outputs: Any, density: float, block: tuple[int, int], **options: Any) -> tuple[rg.Program, rg.Program]:
    """The program that leaves zeros out, and the one that does not, of the same weights."""
    sparse = rg.compile(outputs, seed=1, sparse=True, **options)
    zero_blocks(sparse, density, block)
    return sparse, rg.compile(outputs, parameters=sparse, **options)


@pytest.fixture
def any_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros of weights of every size are looked for."""
    monkeypatch.setattr(pipeline, "SparseProducts", partial(SparseProducts, least_rows=1, least_columns=1))
