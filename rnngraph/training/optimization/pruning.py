"""Pruning: during training, whole blocks of weights become zero, the smallest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from ...support.api_guard import api
from ...support.arguments import check_within, whole_number
from ...support.errors import ArgumentError, DtypeError, NameLookupError, Where, shown


@api
@dataclass(frozen=True)
class Prune:
    """Pruning of weights in blocks: those with the smallest sum of squares become zero, and stay zero.

    Args:
        density: Final share of blocks that are not zero.
        block: (rows, columns) of a block; smaller at the edges. ``compile(sparse=True)`` skips blocks of 4 x 8.
        begin: Update at which pruning begins.
        end: Update at which the share reaches ``density``. The share falls along a cubic, steeply at first (Zhu and
            Gupta 2017).
        only: Names of parameters, or patterns such as ``"rnn/*"``; None: all trained matrices.
        diagonal: Number n. The last n rows consist of squares of n columns, whose diagonals are never pruned. With
            n = units, these are the weights from a unit's state to itself in a matrix [inputs + units, gates ·
            units]. In matrices of other shapes, and for None, every weight may be pruned. It must fit one matrix.
    """

    density: float
    block: tuple[int, int] = (4, 8)
    begin: int = 0
    end: int = 1000
    only: str | Sequence[str] | None = None
    diagonal: int | None = None

    def __post_init__(self) -> None:
        check_within("density", self.density, 0, 1)
        block = self.block
        if not isinstance(block, tuple | list) or len(block) != 2:
            raise DtypeError(f"block={shown(block)} must be (rows, columns), such as (4, 8)")
        object.__setattr__(self, "block", tuple(whole_number(size, "block", 1) for size in block))
        begin, end = whole_number(self.begin, "begin", 0), whole_number(self.end, "end", 0)
        if end < begin:
            raise ArgumentError(f"end={end} comes before begin={begin}; give the update after which pruning stops")
        if self.diagonal is not None:
            whole_number(self.diagonal, "diagonal", 1)
        if self.only is not None and not isinstance(self.only, str):
            if not isinstance(self.only, Sequence) or not all(isinstance(item, str) for item in self.only):
                raise DtypeError(f"only={shown(self.only)} must be names of parameters, or patterns")
            object.__setattr__(self, "only", tuple(self.only))

    def density_after(self, update: int) -> float:
        """Return the share of nonzero blocks after an update.

        Args:
            update: Index of the update, from 0.
        """
        if update < self.begin:
            return 1.0
        if update >= self.end:
            return self.density
        left = 1 - (update - self.begin) / (self.end - self.begin)
        return self.density + (1 - self.density) * left**3

    def names(self, shapes: Mapping[str, Sequence[int]], where: Where | None) -> tuple[str, ...]:
        """Return the names of pruned parameters.

        Args:
            shapes: Shapes of all trained parameters, by name.
            where: The user's call, for errors.

        Raises:
            NameLookupError: A pattern matches no trained matrix.
            ArgumentError: ``diagonal`` fits none of the pruned matrices.
        """
        matrices = [name for name, shape in shapes.items() if len(shape) == 2]
        patterns = ("*",) if self.only is None else (self.only,) if isinstance(self.only, str) else self.only
        for pattern in patterns:
            if not any(is_named(name, pattern) for name in matrices):
                there = ", ".join(matrices) or "none"
                raise NameLookupError(
                    f"only={shown(pattern)} names no trained matrix to prune; there are {there}", where
                )
        names = tuple(name for name in matrices if any(is_named(name, pattern) for pattern in patterns))
        if self.diagonal is not None and not any(self._has_diagonal(shapes[name]) for name in names):
            each = ", ".join(f"{name} {list(shapes[name])}" for name in names)
            raise ArgumentError(
                f"diagonal={self.diagonal} fits no pruned matrix, which needs as many rows or more, and a multiple of "
                f"columns: {each}; give the units of the cell, or leave diagonal out",
                where,
            )
        return names

    def _has_diagonal(self, shape: Sequence[int]) -> bool:
        """True if the last ``diagonal`` rows of a matrix consist of squares."""
        return self.diagonal is not None and self.diagonal <= shape[0] and shape[1] % self.diagonal == 0

    def remaining_blocks(self, weights: np.ndarray, before: np.ndarray | None, update: int) -> np.ndarray:
        """Return a mask of the blocks that stay nonzero after an update.

        Args:
            weights: The matrix.
            before: Earlier result; zero blocks stay zero.
            update: Index of the update, from 0.

        Returns:
            bool [blocks of rows, blocks of columns].
        """
        if before is not None and update > self.end:
            return before
        sizes = self._in_blocks(np.square(weights, dtype=np.float64)).sum(axis=(1, 3))
        if before is not None:
            sizes[~before] = -1
        count = round(self.density_after(update) * sizes.size)
        order = np.argsort(-sizes, axis=None, kind="stable")[:count]
        remaining = np.zeros(sizes.shape, np.bool_)
        remaining.flat[order] = True
        return remaining if before is None else remaining & before

    def zeros(self, left: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return a mask of the elements to set to zero. ``left`` is the mask of the blocks that stay nonzero."""
        rows, columns = self.block
        kept = np.repeat(np.repeat(left, rows, 0), columns, 1)[: shape[0], : shape[1]]
        if self.diagonal is not None and self._has_diagonal(shape):
            units, place = self.diagonal, np.arange(self.diagonal)
            for square in range(0, shape[1], units):
                kept[shape[0] - units + place, square + place] = True
        return ~kept

    def _in_blocks(self, matrix: np.ndarray) -> np.ndarray:
        """Reshape a matrix to [blocks, rows of a block, blocks, columns of a block], zero-padded at edges."""
        rows, columns = self.block
        padded = np.pad(matrix, [(0, -matrix.shape[0] % rows), (0, -matrix.shape[1] % columns)])
        return padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)


def prune_text(prune: Prune | None) -> dict[str, Any] | None:
    """Return pruning options as JSON values; None without pruning."""
    return None if prune is None else asdict(prune)


def prune_from(text: Mapping[str, Any] | None) -> Prune | None:
    """Return the pruning options that ``prune_text`` wrote; None without pruning."""
    return None if text is None else Prune(**text)


def is_named(name: str, pattern: str) -> bool:
    """True if a pattern such as ``"rnn/*"`` matches a parameter's name."""
    return name == pattern or fnmatchcase(name, pattern)
