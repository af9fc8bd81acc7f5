"""RWKV-6 and RWKV-7 (Peng et al. 2024, 2025): a token shift, a matrix state for each head, and a channel mix."""

from __future__ import annotations

from ...declare.cells.linear_attention import GROUP_NORM_EPSILON, GatedLinearAttentionCell, RWKV7Cell
from ...declare.functions.activations import relu, swish
from ...declare.functions.basic import exp, reduce_sum, sigmoid, square, tanh
from ...declare.functions.normalization import layer_norm, normalize
from ...declare.running.drivers import dynamic_rnn
from ..steps import Function, Value
from .declaring import Model

LARGEST_DECAY = -0.606531
"""Logarithm of RWKV-7's fastest decay per step, -exp(-0.5), as llama.cpp rounds it."""
MIXTURES_7 = "rwkvag"
"""Letters of RWKV-7's mixtures (inputs of r, w, k, v, a and g), in the order of the file's fused tensor."""
MIXTURES_6 = "wkvrg"
"""Letters of RWKV-6's mixtures, in the order of the file's fused tensor."""


class Rwkv:
    """Language model of RWKV layers: the parts that both versions share.

    A layer has two residual branches, ``time_mix`` and ``channel_mix``. Each starts with a layer norm.
    """

    def __init__(self, model: Model) -> None:
        self.m, self.script = model, model.script
        self.width, self.layers = model.count("embedding_length"), model.count("block_count")
        self.head = model.count("wkv.head_size")
        self.heads = model.share(self.width, self.head, "wkv.head_size")
        self.hidden = model.count("feed_forward_length")
        self.epsilon = model.real("attention.layer_norm_epsilon", 0.0)
        self.rescale = model.count("rescale_every_n_layers", 0, 0)

    def logits(self, ids: Value) -> Value:
        """Declare the net, and return the logits."""
        m, width = self.m, self.width
        vocabulary = m.shape("token_embd.weight")[0]
        x = m.embedding(ids, "token_embd.weight", vocabulary, width)
        x = m.layer_norm(x, "token_embd_norm", width, self.epsilon)
        for number in range(self.layers):
            layer = f"blk.{number}"
            x = m.add(x, self.time_mix(layer, m.layer_norm(x, f"{layer}.attn_norm", width, self.epsilon)))
            x = m.add(x, self.channel_mix(layer, m.layer_norm(x, f"{layer}.attn_norm_2", width, self.epsilon)))
            if self.rescale and (number + 1) % self.rescale == 0:
                x = m.multiply(x, 0.5)
        return m.product(m.layer_norm(x, "output_norm", width, self.epsilon), "output.weight", vocabulary, width)

    def time_mix(self, layer: str, x: Value) -> Value:
        """Declare a layer's first branch, the recurrence, on its normalized input."""
        raise NotImplementedError

    def channel_mix(self, layer: str, x: Value) -> Value:
        """Declare a layer's second branch, which reads the present and the previous step, on its normalized input."""
        raise NotImplementedError

    # Parts of both versions ----------------------------------------------------------------------

    def vector(self, name: str) -> Value:
        return self.m.vector(f"{name}.weight", self.width)

    def square(self, x: Value, name: str) -> Value:
        """Declare the product with a matrix [width, width]."""
        return self.m.product(x, f"{name}.weight", self.width, self.width)

    def low_rank(self, x: Value, first: str, second: str, activation: Function | None = None) -> Value:
        """Declare activation(x @ first) @ second, where both matrices have low rank."""
        rank = self.m.shape(f"{first}.weight")[0]
        inner = self.m.product(x, f"{first}.weight", rank, self.width)
        if activation is not None:
            inner = self.script.call(activation, inner)
        return self.m.product(inner, f"{second}.weight", self.width, rank)

    def mixtures(self, layer: str, order: str, x: Value, change: Value) -> dict[str, Value]:
        """Declare the mixtures x + change · share for all shares in the file's fused tensor, and return them by letter.

        Args:
            layer: Prefix of the layer's tensors.
            order: Letters of the mixtures, in the order of the fused tensor.
            x: The layer's input.
            change: x at the previous step, minus x.
        """
        shares = self.m.vector(f"{layer}.time_mix_lerp_fused.weight", len(order), self.width)
        parts = {name: self.script.item(shares, place) for place, name in enumerate(order)}
        return {name: self.m.add(x, self.m.multiply(change, share)) for name, share in parts.items()}

    def change(self, x: Value) -> Value:
        """Declare x at the previous step, minus x."""
        return self.script.operation("-", self.m.delayed(x), x)

    def by_heads(self, x: Value) -> Value:
        return self.m.heads(x, self.heads, self.head)

    def normalized(self, layer: str, y: Value) -> Value:
        """Declare the group norm of y [batch, time, heads · head], with one group per head."""
        m, name = self.m, f"{layer}.time_mix_ln"
        y = m.flat(self.script.call(layer_norm, self.by_heads(y), epsilon=GROUP_NORM_EPSILON), self.width)
        gamma, beta = m.affine_of(name, self.width)
        return m.add(m.multiply(y, gamma), beta)

    def bonus(self, r: Value, k: Value, v: Value, factors: Value) -> Value:
        """Declare sum(r · factors · k) · v for each head. The sum is over the head's width."""
        likeness = self.script.call(reduce_sum, self.m.multiply(self.m.multiply(r, factors), k), -1, keepdims=True)
        return self.m.flat(self.m.multiply(likeness, v), self.width)

    def squared_relu(self, x: Value) -> Value:
        return self.script.call(square, self.script.call(relu, x))


class Rwkv7(Rwkv):
    """Language model of RWKV-7 layers. Those after the first interpolate their values with the first layer's values."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._first_values: Value | None = None
        self.m.ignore(*(f"blk.0.time_mix_v{place}.weight" for place in range(3)))

    def time_mix(self, layer: str, x: Value) -> Value:
        m, script, name = self.m, self.script, f"{layer}.time_mix"
        mixed = self.mixtures(layer, MIXTURES_7, x, self.change(x))
        r, k, v = (self.square(mixed[key], f"{name}_{word}") for key, word in _PRODUCTS)
        w = m.add(self.low_rank(mixed["w"], f"{name}_w1", f"{name}_w2", tanh), self.vector(f"{name}_w0"))
        w = m.multiply(script.call(sigmoid, w), LARGEST_DECAY)
        v = self._with_first_values(name, mixed["v"], v)
        gate = self.low_rank(mixed["g"], f"{name}_g1", f"{name}_g2", sigmoid)
        rate = self._gate(mixed["a"], f"{name}_a")
        kappa = script.call(normalize, self.by_heads(m.multiply(k, self.vector(f"{name}_k_k"))))
        replaced = m.multiply(script.operation("-", rate, 1.0), self.vector(f"{name}_k_a"))
        k = m.multiply(k, m.add(replaced, 1.0))
        parts = {key: self.by_heads(part) for key, part in (("r", r), ("w", w), ("k", k), ("v", v), ("a", rate))}
        cell = script.call(RWKV7Cell, self.heads, self.head, hint="cell")
        y, _ = script.call(dynamic_rnn, cell, parts | {"kappa": kappa}, hint=("y", "state"))
        factors = m.vector(f"{name}_r_k.weight", self.heads, self.head)
        y = m.add(self.normalized(layer, y), self.bonus(parts["r"], parts["k"], parts["v"], factors))
        return self.square(m.multiply(y, gate), f"{name}_output")

    def _with_first_values(self, name: str, mixed: Value, v: Value) -> Value:
        """Declare v + gate · (the first layer's values - v). In the first layer, store v, and return it unchanged."""
        if self._first_values is None:
            self._first_values = v
            return v
        difference = self.script.operation("-", self._first_values, v)
        return self.m.add(v, self.m.multiply(difference, self._gate(mixed, f"{name}_v")))

    def _gate(self, x: Value, name: str) -> Value:
        """Declare sigmoid(x @ A @ B + bias), where both matrices have low rank."""
        low = self.low_rank(x, f"{name}1", f"{name}2")
        return self.script.call(sigmoid, self.m.add(low, self.vector(f"{name}0")))

    def channel_mix(self, layer: str, x: Value) -> Value:
        m, name = self.m, f"{layer}.channel_mix"
        mixed = m.add(x, m.multiply(self.change(x), self.vector(f"{name}_lerp_k")))
        k = self.squared_relu(m.product(mixed, f"{name}_key.weight", self.hidden, self.width))
        return m.product(k, f"{name}_value.weight", self.width, self.hidden)


_PRODUCTS = (("r", "receptance"), ("k", "key"), ("v", "value"))


class Rwkv6(Rwkv):
    """Language model of RWKV-6 layers, whose mixtures depend on the input."""

    def time_mix(self, layer: str, x: Value) -> Value:
        m, script, name = self.m, self.script, f"{layer}.time_mix"
        mixed = self._input_mixtures(layer, x)
        r, k, v = (self.by_heads(self.square(mixed[key], f"{name}_{word}")) for key, word in _PRODUCTS)
        gate = script.call(swish, self.square(mixed["g"], f"{name}_gate"))
        low = self.low_rank(mixed["w"], f"{name}_decay_w1", f"{name}_decay_w2", tanh)
        decay = script.negative(script.call(exp, m.add(low, self.vector(f"{name}_decay"))))
        # The output of a step reads the state before the step's update, so the cell applies the previous step's update.
        parts = {"q": r, "k": m.delayed(k), "v": m.delayed(v), "g": m.delayed(self.by_heads(decay))}
        cell = script.call(GatedLinearAttentionCell, self.heads, self.head, hint="cell")
        y, _ = script.call(dynamic_rnn, cell, parts, hint=("y", "state"))
        y = m.add(y, self.bonus(r, k, v, m.vector(f"{name}_first.weight", self.heads, self.head)))
        return self.square(m.multiply(self.normalized(layer, y), gate), f"{name}_output")

    def _input_mixtures(self, layer: str, x: Value) -> dict[str, Value]:
        """Declare RWKV-6's mixtures x + change · share, and return them by letter.

        A share is the sum of a constant and a low-rank product of a first mixture, so it depends on the input.
        """
        m, script, name = self.m, self.script, f"{layer}.time_mix"
        change = self.change(x)
        begin = m.add(x, m.multiply(change, self.vector(f"{name}_lerp_x")))
        count = len(MIXTURES_6)
        ranks = m.shape(f"{name}_w1.weight")[0]
        rank = m.share(ranks, count, f"{name}_w1.weight")
        inner = script.call(tanh, m.product(begin, f"{name}_w1.weight", ranks, self.width))
        matrix, width = m.matrix(f"{name}_w2.weight", count * self.width, rank), self.width
        shares = [
            script.operation("@", part, script.item(matrix, slice(None), slice(place * width, (place + 1) * width)))
            for place, part in enumerate(m.split(inner, *[rank] * count))
        ]
        own = self._constant_shares(name)
        return {
            key: m.add(x, m.multiply(change, m.add(share, own[key])))
            for key, share in zip(MIXTURES_6, shares, strict=True)
        }

    def _constant_shares(self, name: str) -> dict[str, Value]:
        """Declare the shares that do not depend on the input, from one tensor or, in older files, five."""
        if not self.m.has(f"{name}_lerp_fused.weight"):
            return {key: self.vector(f"{name}_lerp_{key}") for key in MIXTURES_6}
        fused = self.m.vector(f"{name}_lerp_fused.weight", len(MIXTURES_6), self.width)
        return {key: self.script.item(fused, place) for place, key in enumerate(MIXTURES_6)}

    def channel_mix(self, layer: str, x: Value) -> Value:
        m, name = self.m, f"{layer}.channel_mix"
        change = self.change(x)
        keys, gates = (m.add(x, m.multiply(change, self.vector(f"{name}_lerp_{key}"))) for key in "kr")
        k = self.squared_relu(m.product(keys, f"{name}_key.weight", self.hidden, self.width))
        gate = self.script.call(sigmoid, self.square(gates, f"{name}_receptance"))
        return m.multiply(gate, m.product(k, f"{name}_value.weight", self.width, self.hidden))
