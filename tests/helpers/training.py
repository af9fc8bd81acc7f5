"""Small networks to train, whose machine code is shared by all tests that request the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.codegen import compile as code

Arrays = dict[str, np.ndarray]
INPUTS, UNITS = 3, 4


_object_code = lru_cache(maxsize=None)(code.object_code)


@contextmanager
def compiled_once() -> Iterator[None]:
    """Compile equal LLVM texts once, because tests of training spend most of their time in compilation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "object_code", _object_code)
        yield


def network(
    cell: Callable[[], rg.Cell] = lambda: rg.BasicRNNCell(UNITS),
    *,
    dtype: str = "float32",
    lengths: bool = False,
    seed: int = 0,
    keep_prob: float = 1.0,
    **options: Any,
) -> rg.Program:
    """Return a network that predicts ``y`` [batch, time, 2] from ``x`` [batch, time, INPUTS].

    ``n`` [batch] has the number of steps of each row. ``options`` are those of ``rg.compile``.
    """
    x = rg.placeholder("x", (None, None, INPUTS), dtype)
    y = rg.placeholder("y", (None, None, 2), dtype)
    n = rg.placeholder("n", (None,), "int32") if lengths else None
    wrapped = cell()
    wrapped = wrapped if keep_prob == 1 else rg.DropoutWrapper(wrapped, output_keep_prob=keep_prob)
    outputs, states = rg.dynamic_rnn(wrapped, x, n)
    shown = rg.dense(outputs, 2)
    loss = rg.mean_squared_error(y, shown, lengths=n)
    return rg.compile({"shown": shown, "states": states}, loss=loss, seed=seed, **options)


def data(rows: int = 5, steps: int = 6, seed: int = 0) -> Arrays:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, steps, INPUTS))
    return {"x": x, "y": np.stack([x.mean(2), np.cumsum(x[..., 0], 1)], axis=2)}


def copies(arrays: Any) -> Arrays:
    return {name: np.array(array) for name, array in arrays.items()}


def leaves(nest: Any) -> list[np.ndarray]:
    return [nest] if isinstance(nest, np.ndarray) else [leaf for part in nest for leaf in leaves(part)]


def same(left: Any, right: Any) -> None:
    """Check that arrays are equal, bit for bit."""
    assert list(left) == list(right)
    for name, array in left.items():
        assert array.tobytes() == right[name].tobytes(), name
