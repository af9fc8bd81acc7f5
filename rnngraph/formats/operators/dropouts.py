"""Dropout with a shared mask, and alpha dropout. Both act in the training graph only."""

from __future__ import annotations

import math
from collections.abc import Collection

from ...declare.functions.basic import less, where
from ...declare.functions.randomness import by_graph, dropout
from .backend import Backend, Item
from .errors import UnreadableError

ALPHA = 1.7580993408473766
"""Negated limit of SELU(x) as x approaches minus infinity."""


def shared_dropout(b: Backend[Item], x: Item, keep: float, axes: Collection[int]) -> Item:
    """Return dropout of x, with one mask for all entries along ``axes``.

    Args:
        keep: The probability that an entry is kept.
    """
    return b.call(by_graph, training=b.operation("*", x, _mask(b, x, keep, axes)), inference=x)


def alpha_dropout(b: Backend[Item], x: Item, keep: float, axes: Collection[int] = ()) -> Item:
    """Return alpha dropout of x (Klambauer et al. 2017), which preserves the mean 0 and variance 1 of x.

    Dropped entries become SELU's lower bound; then all entries are scaled and shifted.

    Args:
        b: The backend.
        x: The value.
        keep: Probability that an entry is kept, above 0.
        axes: Axes whose entries share the mask.
    """
    if not keep > 0:
        raise UnreadableError("it drops every entry; the probability of dropping must be below 1")
    rate = 1 - keep
    scale = 1 / math.sqrt(keep * (1 + rate * ALPHA**2))
    kept = b.operation("*", _mask(b, x, keep, axes), keep)
    raised = b.operation("*", b.operation("+", x, ALPHA), kept)
    noisy = b.operation("*", b.operation("-", raised, ALPHA * keep), scale)
    return b.call(by_graph, training=noisy, inference=x)


def _mask(b: Backend[Item], x: Item, keep: float, axes: Collection[int]) -> Item:
    """Return a dropout mask of 0 and 1 / keep, with size 1 along ``axes``."""
    rank = len(b.shape(x))
    first = b.item(x, *(slice(0, 1) if axis in axes else slice(None) for axis in range(rank))) if axes else x
    never = b.call(less, first, float("-inf"))  # False everywhere: the next line gives ones like ``first``
    return b.call(dropout, b.call(where, never, first, 1.0), keep)
