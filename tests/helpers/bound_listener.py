"""Program with many features, feeds for it, and its calls on the slow path, for tests of prepared calls."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.testing import assert_array_equal

import rnngraph as rg
from rnngraph.declare.nest import flatten
from rnngraph.runtime.calls.signatures import SMALL

WIDTH, UNITS = 3, 7
LONG = SMALL // (WIDTH * 4) + 1
"""Steps of one row from which on the feed is read, and results are written, without a copy."""
Array = np.ndarray


def data(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def listener(**options: Any) -> rg.Program:
    """Return a program with states as a namedtuple in a dict, a loss with labels, dropout by a placeholder, and ids."""
    x, y = rg.placeholder("x", (None, None, WIDTH)), rg.placeholder("y", (None, None), "int32")
    keep, who = rg.placeholder("keep", ()), rg.placeholder("who", (None,), "int64")
    known = rg.embedding(who, 5, WIDTH)
    cell = rg.DropoutWrapper(rg.BasicLSTMCell(UNITS), output_keep_prob=keep)
    outputs, state = rg.dynamic_rnn(cell, x + known[:, None])
    logits = rg.dense(outputs, 4)
    loss = rg.sparse_softmax_cross_entropy(y, logits)
    return rg.compile({"logits": logits, "inner": {"state": state, "twice": [outputs * 2]}}, loss=loss, **options)


def fed(rows: int = 2, steps: int = 5, seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng([rows, steps, seed])
    labels = generator.integers(0, 4, (rows, steps), dtype=np.int32)
    return {"x": data(rows, steps, WIDTH, seed=seed), "who": generator.integers(0, 5, rows), "y": labels, "keep": 0.7}


def general(call: Any, feeds: dict[str, Any], **options: Any) -> Any:
    """Return the result of a call on the slow path. Feeds in a mapping that is not a dict select this path."""
    return call(MappingProxyType(feeds), **options)


def same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    for mine, other in zip(flatten(ours), flatten(theirs), strict=True):
        assert type(mine) is np.ndarray
        assert mine.dtype == other.dtype
        assert_array_equal(mine, other)


def unaligned(array: Array) -> Array:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    odd = raw[1:].view(array.dtype).reshape(array.shape)
    odd[...] = array
    return odd
