"""Handlers of ``scaled_dot_product_attention`` and ``nn.MultiheadAttention``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from ....declare.functions import basic
from ....declare.functions.activations import masked_softmax, softmax
from ....ir.types import Dim
from ...layers import declare_affine, declare_dense
from ...operators.attention import attend, join_heads, not_later, product_scores, split_heads
from ...steps import Value
from ..tracing.calls import array_of
from ..tracing.kinds import Operand, Result
from ..tracing.registry import UnreadableError, reads, reads_module
from ..tracing.tracer import Tracer
from ..tracing.values import Positions, dtype_of, shape_of
from .backend import TorchBackend
from .layers import warn_of_dropout
from .products import linear
from .shapes import permuted, reshaped


def attended(
    tracer: Tracer,
    query: Value,
    key: Value,
    value: Value,
    masks: Sequence[Value],
    scale: float | None,
    keep: float,
    is_zero: bool = True,
) -> tuple[Value, Value]:
    """Declare dot-product attention, and return (output, weights).

    Args:
        tracer: The tracer.
        query: [..., queries, width].
        key: [..., keys, width].
        value: [..., keys, width].
        masks: Masks of scores: bool, True for scores to keep, or floats that are added.
        scale: Factor of the scores; None for 1 / sqrt(width).
        keep: Keep probability of dropout on the weights.
        is_zero: Weights of a query whose scores are all masked: True for 0, False for NaN.
    """
    b, script = TorchBackend(tracer), tracer.script
    width = tracer.sizes.fix(shape_of(query)[-1])
    tracer.sizes.unify(shape_of(key)[-1], width)
    tracer.sizes.unify(shape_of(key)[-2], shape_of(value)[-2])
    tracer.sizes.broadcast(*((1, *shape_of(x)[:-2]) for x in (query, key, value)))

    def weigh(scores: Value) -> Value:
        for mask in masks:
            if dtype_of(mask) == "bool":
                scores = tracer.call(basic.where, mask, scores, float("-inf"), hint="scores")
            else:
                scores = script.operation("+", scores, mask)
        return tracer.call(masked_softmax if masks and is_zero else softmax, scores, hint="weights")

    scores = product_scores(b, query, key, 1 / math.sqrt(width) if scale is None else float(scale))
    return attend(b, scores, value, weigh, keep)


def _causal(tracer: Tracer, rows: Dim, columns: Dim) -> Value:
    """Declare the causal mask [rows, columns]: True where column <= row."""
    places = (tracer.value(Positions(count, 0, 1, "int64")) for count in (rows, columns))
    return not_later(TorchBackend(tracer), *places)


@reads("scaled_dot_product_attention")
def _scaled(
    tracer: Tracer,
    query: Operand,
    key: Operand,
    value: Operand,
    attn_mask: Operand | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Result:
    """Declare ``scaled_dot_product_attention``."""
    if enable_gqa:
        raise UnreadableError("enable_gqa is not supported; repeat the heads of key and value")
    warn_of_dropout(tracer, dropout_p > 0)
    query, key, value = map(tracer.value, (query, key, value))
    masks = [] if attn_mask is None else [tracer.value(attn_mask)]
    if is_causal:
        masks.append(_causal(tracer, shape_of(query)[-2], shape_of(key)[-2]))
    return attended(tracer, query, key, value, masks, scale, 1 - float(dropout_p))[0]


@reads_module(nn.MultiheadAttention)
def _multihead(
    tracer: Tracer,
    module: nn.MultiheadAttention,
    query: Operand,
    key: Operand,
    value: Operand,
    key_padding_mask: Operand | None = None,
    need_weights: bool = True,
    attn_mask: Operand | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Value, Value | None]:
    """Declare ``nn.MultiheadAttention``. Return (output, attention weights or None)."""
    if module.bias_k is not None or module.add_zero_attn:
        raise UnreadableError("add_bias_kv and add_zero_attn are not supported; leave them out")
    query, key, value = map(tracer.value, (query, key, value))
    has_batch = len(shape_of(query)) == 3
    order = [0, 1, 2] if module.batch_first else [1, 0, 2]
    b = TorchBackend(tracer)

    def by_head(x: Value, part: int, name: str) -> Value:
        """Declare a projection of x to heads: [batch, heads, entries, width]."""
        x = tracer.value(permuted(tracer, x, order)) if has_batch else tracer.call(basic.expand_dims, x, 0)
        projected = _project(tracer, module, x, part, name)
        return split_heads(b, projected, module.num_heads, module.head_dim)

    q, k, v = (
        by_head(x, part, name) for part, (x, name) in enumerate(((query, "query"), (key, "key"), (value, "value")))
    )
    masks = _masks(tracer, attn_mask, key_padding_mask, shape_of(q), shape_of(k))
    mixed, weights = attended(tracer, q, k, v, masks, None, 1 - float(module.dropout), not need_weights)
    whole = join_heads(b, mixed)
    result = linear(tracer, whole, module.out_proj.weight, module.out_proj.bias)
    result = tracer.value(permuted(tracer, result, order)) if has_batch else tracer.call(basic.squeeze, result, 0)
    if not need_weights:
        return result, None
    if average_attn_weights:
        weights = tracer.call(basic.reduce_mean, weights, 1)
    return result, weights if has_batch else tracer.call(basic.squeeze, weights, 0)


def _project(tracer: Tracer, module: nn.MultiheadAttention, x: Value, part: int, name: str) -> Value:
    """Declare a projection of x by the module's weights: a dense layer, or a product if calls share the weights.

    Args:
        part: Index of the projection in ``in_proj_weight``: 0 for the query, 1 for the key, 2 for the value.
        name: Name of the projection.
    """
    width = module.embed_dim
    own = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)[part]
    rows = slice(part * width, (part + 1) * width)
    weight = module.in_proj_weight[rows] if own is None else own
    bias = None if module.in_proj_bias is None else module.in_proj_bias[rows]
    path = tracer.paths.get(id(module), "").replace(".", "/")
    path = f"{path}/{name}".lstrip("/")
    tracer.sizes.unify(shape_of(x)[-1], weight.shape[1])
    marker = ("dense", path, id(module))
    tracer.uses[marker] = tracer.uses.get(marker, 0) + 1
    arrays = array_of(weight).T, None if bias is None else array_of(bias)
    if marker not in tracer.shared:
        return declare_dense(tracer.script, x, *arrays, base=path)
    if marker not in tracer.kernels:
        shift = None if arrays[1] is None else tracer.declared(f"{path}/bias", arrays[1])
        tracer.kernels[marker] = tracer.declared(f"{path}/kernel", arrays[0]), shift
    return declare_affine(tracer.script, x, *tracer.kernels[marker])


def _masks(
    tracer: Tracer,
    attn_mask: Operand | None,
    key_padding_mask: Operand | None,
    queries: tuple[Dim, ...],
    keys: tuple[Dim, ...],
) -> list[Value]:
    """Return masks that broadcast with scores [batch, heads, queries, keys].

    A float mask is added to the scores. A bool mask is negated: in torch True drops a score, and here it keeps one.

    Raises:
        UnreadableError: A mask is neither bool nor float.
    """
    result = []
    for mask, is_padding in ((attn_mask, False), (key_padding_mask, True)):
        if mask is None:
            continue
        mask = tracer.value(mask)
        shape = shape_of(mask)
        if is_padding:
            mask = reshaped(tracer, mask, [shape[0] if len(shape) == 2 else 1, 1, 1, shape[-1]])
        elif len(shape) == 3:
            mask = reshaped(tracer, mask, [queries[0], queries[1], *shape[1:]])
        mask = tracer.value(mask)
        if dtype_of(mask) == "bool":
            mask = tracer.call(basic.logical_not, mask)
        elif not dtype_of(mask).startswith("float"):
            raise UnreadableError(f"a mask has dtype {dtype_of(mask)}; it must be bool or float")
        result.append(mask)
    return result
