"""Pruning: weights that become zero while a net is trained, whole blocks of them, the smallest first."""

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
    """Sets blocks of weights to zero, those with the least sum of squares first, and keeps them there.

    density: the share of blocks that are left in the end.
    block: (rows, columns) of one; those at the edges may be smaller. Blocks of 4 x 8 are what ``compile(sparse=True)``
        leaves out.
    begin, end: updates between which the share falls from 1 to ``density``, by a cubic that is steep at first (Zhu and
        Gupta 2017); nothing is pruned before, and no more behind.
    only: names of parameters, or patterns such as ``"rnn/*"``; None prunes all trained matrices.
    diagonal: whether elements on the diagonals of the last square blocks of rows stay, as in a matrix
        [inputs + units, gates · units] a unit's weight of its own state does.
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
            raise DtypeError(f"block={shown(block)} must be (rows, columns)")
        object.__setattr__(self, "block", tuple(whole_number(size, "block", 1) for size in block))
        begin, end = whole_number(self.begin, "begin", 0), whole_number(self.end, "end", 0)
        if end < begin:
            raise ArgumentError(f"end={end} comes before begin={begin}; give the update from which no more is pruned")
        if self.diagonal is not None:
            whole_number(self.diagonal, "diagonal", 1)
        if self.only is not None and not isinstance(self.only, str):
            if not isinstance(self.only, Sequence) or not all(isinstance(item, str) for item in self.only):
                raise DtypeError(f"only={shown(self.only)} must be names of parameters, or patterns")
            object.__setattr__(self, "only", tuple(self.only))

    def density_after(self, update: int) -> float:
        """The share of blocks that are left after an update, which are counted from 0."""
        if update < self.begin:
            return 1.0
        if update >= self.end:
            return self.density
        left = 1 - (update - self.begin) / (self.end - self.begin)
        return self.density + (1 - self.density) * left**3

    def names(self, shapes: Mapping[str, Sequence[int]], where: Where | None) -> tuple[str, ...]:
        """Which of the trained parameters are pruned.

        shapes: of all that are trained, by name.
        """
        matrices = [name for name, shape in shapes.items() if len(shape) == 2]
        patterns = ("*",) if self.only is None else (self.only,) if isinstance(self.only, str) else self.only
        for pattern in patterns:
            if not any(is_named(name, pattern) for name in matrices):
                there = ", ".join(matrices) or "none"
                raise NameLookupError(
                    f"only={shown(pattern)} names no trained matrix to prune; there are {there}", where
                )
        return tuple(name for name in matrices if any(is_named(name, pattern) for pattern in patterns))

    def left(self, weights: np.ndarray, before: np.ndarray | None, update: int) -> np.ndarray:
        """Which blocks are left after an update: bool [blocks of rows, blocks of columns].

        before: those that were; what is zero once stays so.
        """
        if before is not None and update > self.end:
            return before
        sizes = self._in_blocks(np.square(weights, dtype=np.float64)).sum(axis=(1, 3))
        if before is not None:
            sizes[~before] = -1
        count = round(self.density_after(update) * sizes.size)
        order = np.argsort(-sizes, axis=None, kind="stable")[:count]
        found = np.zeros(sizes.shape, np.bool_)
        found.flat[order] = True
        return found if before is None else found & before

    def zeros(self, left: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Which elements of a matrix are zero, where these blocks are left."""
        rows, columns = self.block
        kept = np.repeat(np.repeat(left, rows, 0), columns, 1)[: shape[0], : shape[1]]
        if self.diagonal is not None and self.diagonal <= shape[0] and shape[1] % self.diagonal == 0:
            units, place = self.diagonal, np.arange(self.diagonal)
            for square in range(0, shape[1], units):
                kept[shape[0] - units + place, square + place] = True
        return ~kept

    def _in_blocks(self, matrix: np.ndarray) -> np.ndarray:
        """[blocks, rows of one, blocks, columns of one], zeros where a block at an edge is smaller."""
        rows, columns = self.block
        padded = np.pad(matrix, [(0, -matrix.shape[0] % rows), (0, -matrix.shape[1] % columns)])
        return padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)


def prune_text(prune: Prune | None) -> dict[str, Any] | None:
    """What JSON can hold of it."""
    return None if prune is None else asdict(prune)


def prune_from(text: Mapping[str, Any] | None) -> Prune | None:
    """What ``prune_text`` wrote."""
    return None if text is None else Prune(**text)


def is_named(name: str, pattern: str) -> bool:
    """Whether a pattern such as ``"rnn/*"`` means a parameter."""
    return name == pattern or fnmatchcase(name, pattern)
