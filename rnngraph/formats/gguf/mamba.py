"""Mamba and Mamba-2 (Gu and Dao 2023; Dao and Gu 2024): a causal convolution, a state space and a gate."""

from __future__ import annotations

import numpy as np

from ...declare.cells.state_spaces import S6Cell, SSDCell
from ...declare.functions.activations import softplus, swish
from ...declare.functions.basic import reshape
from ...declare.functions.convolutions import conv1d
from ...declare.functions.normalization import rms_norm
from ...declare.running.drivers import dynamic_rnn
from ..steps import Value
from .declaring import Model


class Mamba:
    """Language model of Mamba layers. Each layer is a residual branch that starts with an RMS norm."""

    def __init__(self, model: Model) -> None:
        self.m, self.script = model, model.script
        self.width, self.layers = model.count("embedding_length"), model.count("block_count")
        self.steps, self.inner = model.count("ssm.conv_kernel"), model.count("ssm.inner_size")
        self.states, self.rank = model.count("ssm.state_size"), model.count("ssm.time_step_rank")
        self.epsilon = model.real("attention.layer_norm_rms_epsilon")

    def logits(self, ids: Value) -> Value:
        """Declare the net, and return the logits. If the file has no output matrix, the embedding table is used."""
        m, width = self.m, self.width
        vocabulary = m.shape("token_embd.weight")[0]
        x = m.embedding(ids, "token_embd.weight", vocabulary, width)
        for number in range(self.layers):
            layer = f"blk.{number}"
            x = m.add(x, self.layer(layer, m.rms_norm(x, f"{layer}.attn_norm", width, self.epsilon)))
        head = "output.weight" if m.has("output.weight") else "token_embd.weight"
        return m.product(m.rms_norm(x, "output_norm", width, self.epsilon), head, vocabulary, width)

    def layer(self, layer: str, x: Value) -> Value:
        """Declare a Mamba layer without its residual connection. Return the output [batch, time, width].

        Args:
            layer: Prefix of the layer's tensors.
            x: The normalized input.
        """
        m, script = self.m, self.script
        u, z = m.split(m.product(x, f"{layer}.ssm_in.weight", 2 * self.inner, self.width), self.inner, self.inner)
        u = self.convolved(layer, u, self.inner)
        widths = (self.rank, self.states, self.states)
        steps, key, query = m.split(m.product(u, f"{layer}.ssm_x.weight", sum(widths), self.inner), *widths)
        if m.flag("ssm.dt_b_c_rms"):
            steps, key, query = (script.call(rms_norm, part, epsilon=self.epsilon) for part in (steps, key, query))
        steps = m.product(steps, f"{layer}.ssm_dt.weight", self.inner, self.rank)
        dt = script.call(softplus, m.add(steps, m.vector(f"{layer}.ssm_dt.bias", self.inner)))
        cell = script.call(S6Cell, self.inner, self.states, hint="cell")
        parts = {"x": u, "dt": dt, "B": key, "C": query}
        y = self.run(layer, cell, parts, "s6_cell", (self.inner, self.states), (self.inner,))
        y = m.multiply(y, script.call(swish, z))
        return m.product(y, f"{layer}.ssm_out.weight", self.width, self.inner)

    def convolved(self, layer: str, x: Value, width: int) -> Value:
        """Declare swish(causal depthwise convolution of x [batch, time, width], with bias)."""
        name = f"{layer}.ssm_conv1d"
        kernel = self.m.floats(f"{name}.weight", width, self.steps).T.reshape(self.steps, 1, width)
        self.script.own(name, {"kernel": kernel, "bias": self.m.floats(f"{name}.bias", width)})
        return self.script.call(conv1d, x, width, self.steps, activation=swish, groups=width, name=name)

    def run(
        self,
        layer: str,
        cell: Value,
        parts: dict[str, Value],
        name: str,
        shape: tuple[int, ...],
        factors: tuple[int, ...],
    ) -> Value:
        """Declare the driver of a layer's cell, and return its outputs.

        The layer's arrays A (decays) and D (factors of the input) become parameters of the cell.

        Args:
            layer: Prefix of the layer's tensors.
            cell: The cell.
            parts: Inputs of the cell, by name.
            name: Last component of the scope of A and D.
            shape: Shape of A.
            factors: Shape of D.
        """
        script, scope = self.script, f"{layer}.ssm"
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithms = np.log(-self.m.floats(f"{scope}_a", *shape))
        script.own(f"{scope}/{name}", {"A_log": logarithms, "D": self.m.floats(f"{scope}_d", *factors)})
        y, _ = script.call(dynamic_rnn, cell, parts, scope=scope, hint=("y", "state"))
        return y


class Mamba2(Mamba):
    """Language model of Mamba-2 layers. Unlike in Mamba, all channels of a head have the same decay."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.heads = self.rank
        self.head = model.share(self.inner, self.heads, "ssm.time_step_rank")
        self.groups = model.count("ssm.group_count")
        model.share(self.heads, self.groups, "ssm.group_count")

    def layer(self, layer: str, x: Value) -> Value:
        """Declare a Mamba-2 layer, as ``Mamba.layer`` does for Mamba."""
        m, script, inner, shared = self.m, self.script, self.inner, self.groups * self.states
        widths = (inner, inner + 2 * shared, self.heads)
        z, u, dt = m.split(m.product(x, f"{layer}.ssm_in.weight", sum(widths), self.width), *widths)
        u, key, query = m.split(self.convolved(layer, u, widths[1]), inner, shared, shared)
        dt = script.call(softplus, m.add(dt, m.vector(f"{layer}.ssm_dt.bias", self.heads)))
        parts = {
            "x": m.heads(u, self.heads, self.head),
            "dt": dt,
            "B": m.heads(key, self.groups, self.states),
            "C": m.heads(query, self.groups, self.states),
        }
        cell = script.call(SSDCell, self.heads, self.head, self.states, self.groups, hint="cell")
        y = m.multiply(self.run(layer, cell, parts, "ssd_cell", (self.heads,), (self.heads,)), script.call(swish, z))
        part = inner // self.groups
        y = script.call(rms_norm, m.heads(y, self.groups, part), epsilon=self.epsilon)
        gamma = m.vector(f"{layer}.ssm_norm.weight", self.groups, part)
        y = script.call(reshape, m.multiply(y, gamma), (None, None, inner))
        return m.product(y, f"{layer}.ssm_out.weight", self.width, inner)
