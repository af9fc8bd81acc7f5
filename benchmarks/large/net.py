"""Declares a language model of RWKV-7 layers, with random weights, from rnngraph's cells."""

from __future__ import annotations

from typing import Any

import rnngraph as rg

HEAD = 64


class ChannelMix(rg.Cell):
    """Channel mix of RWKV-7: two products around a squared relu, of the input mixed with the previous step's input."""

    def __init__(self, width: int, inner: int) -> None:
        self.width, self.inner = width, inner

    def state(self) -> Any:
        return rg.memory(self.width)

    @property
    def output_size(self) -> int:
        return self.width

    def step(self, p: rg.Scope, x: rg.Tensor, before: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
        mixed = x + (before - x) * p.parameter("mix", (self.width,), 0.5)
        inner = rg.square(rg.relu(mixed @ p.kernel("key", (self.width, self.inner))))
        return inner @ p.kernel("value", (self.inner, self.width)), x


def language_model(layers: int, width: int, classes: int) -> rg.Tensor:
    """Return logits [batch, time, classes] of the input ``ids``."""
    ids = rg.placeholder("ids", (None, None), "int64")
    x = _norm("begin", rg.gather(rg.parameter("table", (classes, width)), ids), width)
    for number in range(layers):
        mixed, _ = rg.dynamic_rnn(rg.RWKV7Cell(width // HEAD, HEAD), _norm(f"time_{number}", x, width))
        x = x + mixed
        mixed, _ = rg.dynamic_rnn(ChannelMix(width, 4 * width), _norm(f"channels_{number}", x, width))
        x = x + mixed
    return rg.dense(_norm("end", x, width), classes, use_bias=False, name="head")


def _norm(name: str, x: rg.Tensor, width: int) -> rg.Tensor:
    gamma, beta = rg.parameter(f"{name}/gamma", (width,), "ones"), rg.parameter(f"{name}/beta", (width,), "zeros")
    return rg.layer_norm(x, gamma, beta, epsilon=1e-5)
