"""Random tensors, drawn anew in each run, and as initial values of variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...declare.initializers import Initializer, Normal, TruncatedNormal, Uniform
from ...declare.placeholders import fed
from ...declare.tensor import Tensor
from ...errors import ShapeError, shown
from ..core.names import dtype_name
from ..core.operations import operation
from ..core.sizes import sizes_in


class Drawn:
    """Random numbers of a run, by the graph's seed, the operation's, and the run's."""

    def __init__(self, initializer: Initializer, shape: tuple[int, ...], seed: int | None) -> None:
        self.initializer, self._shape, self._seed = initializer, shape, seed
        self.serial = 0

    def __call__(self, graph_seed: int, run_seed: int) -> np.ndarray:
        seeds = [abs(graph_seed), self.serial if self._seed is None else abs(self._seed), run_seed]
        return np.asarray(self.initializer(self._shape, np.random.default_rng(seeds)))


def _drawn(what: str, initializer: Initializer, shape: Any, dtype: Any, seed: int | None) -> Tensor:
    sizes = sizes_in(shape)
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise ShapeError(f"tf.{what} needs sizes that are ints, not {shown(shape)}; draw in NumPy, and feed it")
    drawn = Drawn(initializer, tuple(sizes), seed)
    made = fed(what, sizes, dtype_name(dtype), unnamed=True, drawn=drawn)
    drawn.serial = made.node["serial"]
    return made


@operation
def random_normal(
    shape: Sequence[Any], mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32", seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Normal numbers."""
    return _drawn("random_normal", Normal(float(mean), float(stddev)), shape, dtype, seed)


@operation
def truncated_normal(
    shape: Sequence[Any], mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32", seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Normal numbers, what is more than two deviations away drawn again."""
    return _drawn("truncated_normal", TruncatedNormal(float(mean), float(stddev)), shape, dtype, seed)


@operation
def random_uniform(
    shape: Sequence[Any], minval: float = 0, maxval: float | None = None, dtype: Any = "float32",
    seed: int | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Numbers in [minval, maxval), by default [0, 1)."""
    high = 1.0 if maxval is None else float(maxval)
    return _drawn("random_uniform", Uniform(float(minval), high), shape, dtype, seed)
