"""Reads ``LinearAttention`` of ONNX and of onnxruntime, as a driver of a cell with one matrix state for each head."""

from __future__ import annotations

from typing import Any

from ....declare.cell import Cell, Scope
from ....declare.functions.basic import exp, expand_dims, reduce_sum, reshape, split
from ....declare.state import memory
from ....declare.tensor import Tensor
from ...layers import drive
from ..core.known import shape_of
from ..core.sizes import UnreadableError, texts
from ..core.table import Call, Outputs, reads
from ..core.values import shortest

RULES = ("linear", "gated", "delta", "gated_delta")


class LinearAttentionCell(Cell):
    """Cell of linear attention: S = a S + b k (v - k a S), or S = a S + k v without rates b. The output is scale q S.

    The input of a step concatenates queries q, keys k and values v of all heads, logarithms of the decays a, and b.

    Args:
        queries: Number of heads of q.
        heads: Number of heads of k and v.
        keys: Width of a key.
        values: Width of a value.
        scale: Factor of the output.
        decays: Number of decays: one for each head, or for each key of each head; 0 for none.
        rates: Number of rates: 1, or one for each head; 0 for the rule without rates.
    """

    def __init__(
        self,
        queries: int,
        heads: int,
        keys: int,
        values: int,
        scale: float = 1.0,
        decays: int = 0,
        rates: int = 0,
    ) -> None:
        self.queries, self.heads, self.keys, self.values = queries, heads, keys, values
        self.scale, self.decays, self.rates = scale, decays, rates

    @property
    def output_size(self) -> int:
        return max(self.queries, self.heads) * self.values

    def state(self) -> Any:
        return {"S": memory(self.heads * self.keys * self.values)}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        heads, keys, values = self.heads, self.keys, self.values
        widths = [self.queries * keys, heads * keys, heads * values]
        q, k, v, *rest = split(x, [*widths, *(width for width in (self.decays, self.rates) if width)], 1)
        s = reshape(state["S"], (None, heads, keys, values))
        k, v = reshape(k, (None, heads, keys, 1)), reshape(v, (None, heads, 1, values))
        if self.decays:
            s = exp(reshape(rest[0], (None, heads, self.decays // heads, 1))) * s
        if self.rates:
            v = reshape(rest[-1], (None, self.rates, 1, 1)) * (v - reduce_sum(k * s, 2, keepdims=True))
        s = s + k * v
        if self.queries == heads:
            y = reduce_sum(reshape(q, (None, heads, keys, 1)) * s, 2)
        elif self.queries > heads:
            y = reduce_sum(reshape(q, (None, heads, self.queries // heads, keys, 1)) * expand_dims(s, 2), 3)
        else:
            shared = reshape(s, (None, self.queries, heads // self.queries, keys, values))
            y = reduce_sum(reshape(q, (None, self.queries, 1, keys, 1)) * shared, 3)
        return reshape(y, (None, self.output_size)) * self.scale, {"S": reshape(s, (None, heads * keys * values))}


@reads("LinearAttention")
@reads("LinearAttention", domain="com.microsoft")
def _linear_attention(call: Call) -> Outputs:
    """Return (outputs [batch, time, width], last state). ``chunk_size`` is ignored, because it changes no result."""
    if call.whole("state_window", 0):
        raise UnreadableError("attribute state_window is not supported")
    tensors, script = call.tensors, call.script
    rule = call.text("update_rule", "gated_delta")
    if rule not in RULES:
        raise UnreadableError(f"update_rule {rule!r} is unknown; supported are {', '.join(RULES)}")
    queries, heads = call.whole("q_num_heads", 0), call.whole("kv_num_heads", 0)
    if min(queries, heads) < 1 or max(queries, heads) % min(queries, heads):
        raise UnreadableError(
            f"it has q_num_heads={queries} and kv_num_heads={heads}; give positive numbers, one a multiple of the other"
        )
    keys, values = _size(call, 0, queries), _size(call, 2, heads)
    if _size(call, 1, heads) != keys:
        raise UnreadableError(
            f"its queries {texts(call.shape(0))} and keys {texts(call.shape(1))} have heads of different widths; "
            "give both the same width for each head"
        )
    decays, rates = (_gates(call, number, name, rule) for number, name in ((4, "gated"), (5, "delta")))
    if decays not in (0, heads, heads * keys) or rates not in (0, 1, heads):
        raise UnreadableError(
            f"it has {decays} decays and {rates} rates for {heads} heads of {keys} keys; give {heads} or "
            f"{heads * keys} decays, and 1 or {heads} rates"
        )
    scale = call.number("scale", 0.0) or keys**-0.5
    options = {name: width for name, width in (("decays", decays), ("rates", rates)) if width}
    cell = script.call(LinearAttentionCell, queries, heads, keys, values, scale=shortest(scale), **options, hint="cell")
    numbers = [0, 1, 2, *([4] if decays else []), *([5] if rates else [])]
    x = tensors.value(tensors.concat([call.input(number) for number in numbers], 2))
    initial: Any = None
    if call.maybe(3) is not None:
        past = call.input(3)
        if shape_of(past)[1:] != (heads, keys, values):
            raise UnreadableError(f"its state {texts(shape_of(past))} must be [batch, {heads}, {keys}, {values}]")
        initial = [tensors.value(tensors.reshape(past, (shape_of(past)[0], heads * keys * values)), "initial_state")]
    driven = drive(script, [[cell]], x, script.scope("rnn"), [initial])
    (state,) = driven.states[0]
    return [driven.outputs[0], tensors.reshape(state, (shape_of(state)[0], heads, keys, values))]


def _size(call: Call, number: int, heads: int) -> int:
    """Return the width of a head in an input [batch, time, width]."""
    shape = call.shape(number)
    width = shape[-1] if len(shape) == 3 else None
    if not isinstance(width, int) or width % heads:
        raise UnreadableError(
            f"an input {texts(shape)} must be [batch, time, width], with a width that {heads} heads divide"
        )
    return width // heads


def _gates(call: Call, number: int, name: str, rule: str) -> int:
    """Return the width of an optional input, the decays or the rates; 0 if the update rule does not use it."""
    if name not in rule.split("_"):
        return 0
    if call.maybe(number) is None:
        raise UnreadableError(f"update_rule {rule!r} needs input {number}; give the node this input")
    return _size(call, number, 1)
