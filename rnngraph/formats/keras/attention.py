"""Declares attention layers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from ...declare.functions.activations import masked_softmax, softmax
from ...declare.functions.basic import (
    expand_dims,
    logical_and,
    not_equal,
    where,
)
from ...declare.functions.sequences import positions
from ..layers import declare_affine
from ..operators.attention import additive_scores, attend, join_heads, not_later, product_scores, split_heads
from ..operators.backend import ScriptBackend
from ..steps import Value
from .activations import number
from .core.configuration import Layer
from .core.declaration import Declaration, Handler, Inputs, Signal, Unreadable
from .plain import keep_prob

MASK_PENALTY = 1e9
"""Number that Keras subtracts from the scores of masked steps, so that their softmax is 0."""


def _query_value_key(inputs: Inputs) -> tuple[Signal, Signal, Signal]:
    """Return (query, value, key) from a layer's inputs [query, value, key]. Without a key, the value is the key."""
    tensors = inputs.several
    if len(tensors) not in (2, 3) or any(x.rank != 3 for x in tensors):
        raise Unreadable("its inputs must be sequences [query, value] or [query, value, key]")
    return tensors[0], tensors[1], tensors[-1]


def _attention(b: Declaration, layer: Layer, inputs: Inputs) -> list[Signal]:
    """Declare Luong's attention. Scores are dot products or, in the mode ``concat``, sums of tanh."""
    query, _, key = _query_value_key(inputs)
    of, script = b.script.operation, ScriptBackend(b.script)
    scale = b.parameter(layer, "scale", b.array(layer, "scale")) if "scale" in b.arrays(layer) else None
    if layer.config.get("score_mode", "dot") == "concat":
        total = additive_scores(script, query.value, key.value, scale=scale)
        scores = of("*", total, b.parameter(layer, "concat_score_weight", b.array(layer, "concat_score_weight")))
    else:
        scores = product_scores(script, query.value, key.value)
        scores = scores if scale is None else of("*", scores, scale)
    return _weighted_values(b, layer, inputs, scores)


def _additive_attention(b: Declaration, layer: Layer, inputs: Inputs) -> list[Signal]:
    """Declare Bahdanau's attention."""
    query, _, key = _query_value_key(inputs)
    has_scale = "scale" in b.arrays(layer)
    v = b.parameter(layer, "scale", b.array(layer, "scale", key.width)) if has_scale else None
    return _weighted_values(b, layer, inputs, additive_scores(ScriptBackend(b.script), query.value, key.value, v))


def _weighted_values(b: Declaration, layer: Layer, inputs: Inputs, scores: Value) -> list[Signal]:
    """Declare attention from its scores. Return the weighted sums of the value's steps, and the weights if asked for.

    Args:
        inputs: Query, value and key.
        scores: [batch, query's steps, value's steps].
    """
    query, value, _ = _query_value_key(inputs)
    unmasked = None if value.mask is None else b.script.call(expand_dims, value.mask, 1)
    if inputs.keywords.get("use_causal_mask", layer.config.get("causal", False)):
        unmasked = _both(b, unmasked, _causal(b, query, value))
    weigh = partial(_weights, b, unmasked=unmasked)
    y, weights = attend(ScriptBackend(b.script), scores, value.value, weigh, _keep(b, layer))
    if query.mask is not None:
        y = b.script.call(where, b.script.call(expand_dims, query.mask, -1), y, 0)
    results = [Signal(y, query.mask)]
    return [*results, Signal(weights)] if inputs.keywords.get("return_attention_scores", False) else results


def _weights(b: Declaration, scores: Value, unmasked: Value | None, zeroes: bool = False) -> Value:
    """Declare the softmax of scores over the unmasked steps.

    Args:
        b: The declaration.
        scores: [..., query's steps, value's steps].
        unmasked: Mask that broadcasts with the scores, True for unmasked steps; None for no mask.
        zeroes: True for weights of 0 if all of the value's steps are masked; False for the softmax of the scores minus
            ``MASK_PENALTY``, which float32 rounds to nearly equal weights.
    """
    if unmasked is None:
        return b.script.call(softmax, scores)
    if zeroes:
        return b.script.call(masked_softmax, scores, unmasked)
    far = b.script.operation("-", scores, MASK_PENALTY)
    return b.script.call(softmax, b.script.call(where, unmasked, scores, far))


def _keep(b: Declaration, layer: Layer) -> float:
    """Return the keep probability of dropout on the attention weights."""
    rate = b.drops(number(layer.config, "dropout", 0.0))
    return keep_prob(rate) if 0 < rate < 1 else 1.0


def _causal(b: Declaration, query: Signal, value: Signal) -> Value:
    """Declare the causal mask [1, query's steps, value's steps]."""
    places = (b.script.call(positions, x.value, 1) for x in (query, value))
    return b.script.call(expand_dims, not_later(ScriptBackend(b.script), *places), 0)


def _both(b: Declaration, one: Value | None, other: Value | None) -> Value | None:
    """Declare the conjunction of two masks, where None masks nothing."""
    if one is None or other is None:
        return other if one is None else one
    return b.script.call(logical_and, one, other)


def _heads(b: Declaration, layer: Layer, inputs: Inputs) -> list[Signal]:
    """Declare multi-head attention (Vaswani et al. 2017)."""
    query, value = inputs.one, inputs.keyword("value", 1)
    key = inputs.keyword("key", 2)
    key = value if key is None else key
    if not isinstance(value, Signal) or not isinstance(key, Signal) or {query.rank, value.rank, key.rank} != {3}:
        raise Unreadable("its query, value and key must be sequences [batch, time, width]")
    if layer.config.get("attention_axes", None) not in (None, [1], 1) or layer.config.get("use_gate", False):
        raise Unreadable("attention_axes and use_gate are not supported")
    if layer.config.get("sliding_window", None) is not None:
        raise Unreadable("sliding_window is not supported")
    count, depth = layer.config.count("num_heads"), layer.config.count("key_dim")
    wide = layer.config.count("value_dim", None) if layer.config.get("value_dim", None) is not None else depth
    q, k, v = (
        _of_heads(b, layer, name, x, count, size)
        for name, x, size in (("query", query, depth), ("key", key, depth), ("value", value, wide))
    )
    scaled = b.script.operation("*", q, depth**-0.5)
    backend = ScriptBackend(b.script)
    if b.version >= 3:
        b.take_masks(query, value, key)
    returns_scores = inputs.keywords.get("return_attention_scores", False)
    # Keras computes the softmax itself in these cases, and calls its backend's attention function in all others.
    is_explicit = returns_scores or number(layer.config, "dropout", 0.0) > 0
    zeroes = is_explicit and (b.version, b.minor) >= (3, 14)
    weigh = partial(_weights, b, unmasked=_score_mask(b, inputs, query, value, key), zeroes=zeroes)
    mixed, weights = attend(backend, product_scores(backend, scaled, k), v, weigh, _keep(b, layer))
    flat = join_heads(backend, mixed)
    kernel = b.array(layer, "output/kernel", count, wide, None)
    bias = b.array(layer, "output/bias", kernel.shape[2]) if layer.config.flag("use_bias", True) else None
    y = _affine(b, layer, "output", flat, kernel.reshape(count * wide, -1), bias)
    results = [Signal(y, query.mask)]
    return [*results, Signal(weights)] if returns_scores else results


def _of_heads(b: Declaration, layer: Layer, name: str, x: Signal, count: int, size: int) -> Value:
    """Declare the projection of x to the heads' queries, keys or values [batch, heads, steps, size].

    Args:
        name: ``query``, ``key`` or ``value``, the prefix of the arrays' names.
        x: [batch, steps, width].
        count: Number of heads.
        size: Width of a head.
    """
    kernel = b.array(layer, f"{name}/kernel", x.width, count, size).reshape(x.width, count * size)
    bias = b.array(layer, f"{name}/bias", count, size).reshape(-1) if layer.config.flag("use_bias", True) else None
    y = _affine(b, layer, name, x.value, kernel, bias)
    return split_heads(ScriptBackend(b.script), y, count, size)


def _affine(b: Declaration, layer: Layer, name: str, x: Value, kernel: np.ndarray, bias: np.ndarray | None) -> Value:
    matrix = b.parameter(layer, f"{name}/kernel", kernel)
    return declare_affine(b.script, x, matrix, None if bias is None else b.parameter(layer, f"{name}/bias", bias))


def _score_mask(b: Declaration, inputs: Inputs, query: Signal, value: Signal, key: Signal) -> Value | None:
    """Declare the mask of attention scores, True for unmasked ones; None if no score is masked.

    Its shape broadcasts to [batch, 1, query's steps, value's steps].
    """
    total: Value | None = None
    for name, x, axis in (("query_mask", query, 2), ("value_mask", value, 1), ("key_mask", key, 1)):
        explicit = inputs.keywords.get(name) if b.version < 3 or x is not query else None
        mask = explicit.value if isinstance(explicit, Signal) else x.mask
        if mask is not None and not (name == "key_mask" and x is value):
            total = _both(b, total, b.script.call(expand_dims, mask, axis))
    if inputs.keywords.get("use_causal_mask", False):
        total = _both(b, total, _causal(b, query, value))
    attention_mask = inputs.keywords.get("attention_mask")
    if isinstance(attention_mask, Signal):
        if attention_mask.rank != 3:
            raise Unreadable(f"its attention_mask has rank {attention_mask.rank}; it must have rank 3")
        is_bool = attention_mask.dtype == "bool"
        allowed = attention_mask.value if is_bool else b.script.call(not_equal, attention_mask.value, 0)
        total = _both(b, total, allowed)
    return None if total is None else b.script.call(expand_dims, total, 1)


LAYERS: Mapping[str, Handler] = {
    "Attention": _attention,
    "AdditiveAttention": _additive_attention,
    "MultiHeadAttention": _heads,
}
