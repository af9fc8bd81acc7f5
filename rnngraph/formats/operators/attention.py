"""Dot-product and additive attention, with one head or several."""

from __future__ import annotations

from collections.abc import Callable

from ...declare.functions.arrays.moves import swapped_order
from ...declare.functions.basic import expand_dims, reduce_sum, tanh
from ...declare.functions.randomness import dropout
from .backend import Backend, Item


def split_heads(b: Backend[Item], x: Item, count: int, width: int) -> Item:
    """Reshape x [batch, steps, count * width] to [batch, count, steps, width]."""
    batch, steps, _ = b.shape(x)
    return b.transpose(b.reshape(x, (batch, steps, count, width)), (0, 2, 1, 3))


def join_heads(b: Backend[Item], x: Item) -> Item:
    """Reshape x [batch, heads, steps, width] to [batch, steps, heads * width]."""
    batch, count, steps, width = b.shape(x)
    return b.reshape(b.transpose(x, (0, 2, 1, 3)), (batch, steps, count * width))


def product_scores(b: Backend[Item], query: Item, key: Item, scale: float | None = None) -> Item:
    """Return the scores scale * query @ key^T [..., queries, keys].

    Args:
        b: The backend.
        query: [..., queries, width].
        key: [..., keys, width].
        scale: Factor of the products; None for 1.
    """
    rank = len(b.shape(key))
    products = b.operation("@", query, b.transpose(key, swapped_order(rank, -2, -1)))
    return products if scale is None else b.operation("*", products, scale)


def additive_scores(b: Backend[Item], query: Item, key: Item, v: Item | None = None, scale: Item | None = None) -> Item:
    """Return the scores [batch, queries, keys]: the sums of v * tanh(scale * (query + key)) over the width.

    ``rg.BahdanauAttention`` computes them with transposed keys.

    Args:
        b: The backend.
        query: [batch, queries, width].
        key: [batch, keys, width].
        v: [width]; None for ones.
        scale: Scalar; None for 1.
    """
    both = b.operation("+", b.call(expand_dims, query, 2), b.call(expand_dims, key, 1))
    terms = b.call(tanh, both if scale is None else b.operation("*", both, scale))
    return b.call(reduce_sum, terms if v is None else b.operation("*", terms, v), axis=-1)


def attend(
    b: Backend[Item], scores: Item, value: Item, weigh: Callable[[Item], Item], keep: float = 1.0
) -> tuple[Item, Item]:
    """Return (weighted sum of the values for each query, weights).

    Args:
        b: The backend.
        scores: [..., queries, keys].
        value: [..., keys, width].
        weigh: Function from scores to weights: a softmax with the front end's masks.
        keep: Keep probability of dropout on the weights.
    """
    weights = weigh(scores)
    applied = weights if keep == 1.0 else b.call(dropout, weights, keep)
    return b.operation("@", applied, value), weights


def not_later(b: Backend[Item], queries: Item, keys: Item) -> Item:
    """Return the causal mask [queries, keys]: True where a key's position is not after the query's position."""
    return b.operation("<=", b.call(expand_dims, keys, 0), b.call(expand_dims, queries, 1))
