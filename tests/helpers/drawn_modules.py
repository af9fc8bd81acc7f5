"""Modules of torch drawn as source files: loops, heads, einops and merged axes."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

HEADER = """import torch
from torch import nn
import torch.nn.functional as F
"""
EINOPS = "from einops import rearrange\n"
HEADS = 2
"""Number of heads of blocks with heads."""


class Drawn:
    """Source of a module of [batch, time, width], block by block.

    Attributes:
        is_causal: True if no block reads later steps.
        closes: True if a block requires the number of steps of the example.
        skips_one: True if a block executes another branch if there is a single step.
    """

    def __init__(self, seed: int, with_einops: bool) -> None:
        self.draw = random.Random(seed)
        self.with_einops = with_einops
        self.inits: list[str] = []
        self.lines: list[str] = []
        self.width = self.draw.choice((4, 6))
        self.first = self.width
        self.count = 0
        self.is_causal, self.closes, self.skips_one = True, False, False
        blocks = [*_BLOCKS, *(_EINOPS_BLOCKS if with_einops else ())]
        for _ in range(self.draw.randint(2, 4)):
            self.count += 1
            self.draw.choice(blocks)(self)

    def layer(self, text: str) -> str:
        """Add a layer or parameter to the module, and return the code that reads it, such as ``self.m0``."""
        name = f"self.m{len(self.inits)}"
        self.inits.append(f"{name} = {text}")
        return name

    def parameter(self, *shape: int) -> str:
        return self.layer(f"nn.Parameter(0.4 * torch.randn{shape})")

    def add(self, text: str) -> None:
        self.lines += text.strip("\n").split("\n")

    def next_width(self) -> int:
        return self.draw.choice((4, 6, 8))

    def source(self) -> str:
        inits = "".join(f"        {line}\n" for line in self.inits) or "        pass\n"
        body = "".join(f"        {line}\n" for line in self.lines)
        imports = HEADER + (EINOPS if self.with_einops else "")
        return (
            f"{imports}\n\nclass Drawn(nn.Module):\n    def __init__(self):\n        super().__init__()\n{inits}\n"
            f"    def forward(self, x):\n{body}        return x\n"
        )


def module_of(drawn: Drawn, folder: Path, name: str) -> Any:
    """Write a drawn module's file, import it, and create the module."""
    path = folder / f"{name}.py"
    path.write_text(drawn.source(), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Drawn().eval()


# Loops ------------------------------------------------------------------------------------------------


def _loop(d: Drawn, first: str, step: str, emitted: str, joined: str) -> None:
    """Add a loop over steps.

    Args:
        d: Module to which the loop is added.
        first: Expression of the initial state.
        step: Lines that compute the new state ``h`` from the step's input ``u`` and the state ``h``.
        emitted: Expression of the output of a step.
        joined: Expression of the sequence of outputs.
    """
    kind = d.draw.choice(("range", "unbind", "transposed"))
    head = {
        "range": "for t in range(x.size(1)):\n    u = x[:, t]",
        "unbind": "for u in x.unbind(1):",
        "transposed": "for u in x.transpose(0, 1):",
    }[kind]
    lines = "\n".join(f"    {line}" for line in step.strip().split("\n"))
    body = f"outputs = []\nh = {first}\n{head}\n{lines}\n    outputs.append({emitted})"
    d.add(f"{body}\nx = {joined}")


def _first(d: Drawn, *shape: int) -> str:
    sizes = ", ".join(map(str, shape))
    kind = d.draw.choice(("zeros", "ones", "scaled", "learned"))
    if kind == "learned":
        p = d.parameter(1, *shape)
        return f"{p}.expand(x.size(0), {', '.join('-1' for _ in shape)})"
    initial = f"torch.{'ones' if kind == 'ones' else 'zeros'}(x.size(0), {sizes})"
    return f"0.5 * torch.ones(x.size(0), {sizes})" if kind == "scaled" else initial


def _twice(d: Drawn) -> None:
    n = d.next_width()
    w, a, b = d.layer(f"nn.Linear({d.width}, {n})"), d.parameter(n, n), d.parameter(n, n)
    _loop(d, _first(d, n), f"h = torch.tanh({w}(u) + h @ {a} + h @ {b})", "h", "torch.stack(outputs, 1)")
    d.width = n


def _scaled_heads(d: Drawn) -> None:
    n = d.next_width()
    w, p = d.layer(f"nn.Linear({d.width}, {n})"), d.parameter(HEADS, 1)
    step = f"h = torch.tanh({w}(u).view(-1, {HEADS}, {n // HEADS}) + h * {p})"
    _loop(d, _first(d, HEADS, n // HEADS), step, "h.flatten(1)", "torch.stack(outputs, dim=1)")
    d.width = n


def _bmm(d: Drawn) -> None:
    n = d.next_width()
    each = n // HEADS
    w, p = d.layer(f"nn.Linear({d.width}, {n})"), d.parameter(HEADS, each, each)
    step = f"v = {w}(u).reshape(-1, {HEADS}, {each}).transpose(0, 1)\nh = torch.tanh(v + torch.bmm(h, {p}))"
    first = f"torch.zeros({HEADS}, x.size(0), {each})"
    _loop(d, first, step, f"h.transpose(0, 1).reshape(-1, {n})", "torch.stack(outputs, 1)")
    d.width = n


def _einsum(d: Drawn) -> None:
    n = d.next_width()
    each = n // HEADS
    w, p = d.layer(f"nn.Linear({d.width}, {n})"), d.parameter(HEADS, each, each)
    step = f"h = torch.tanh({w}(u).view(-1, {HEADS}, {each}) + torch.einsum('bhi,hij->bhj', h, {p}))"
    _loop(d, _first(d, HEADS, each), step, f"h.reshape(-1, {n})", "torch.stack(outputs, 1)")
    d.width = n


def _minimal(d: Drawn) -> None:
    n = d.next_width()
    w = d.layer(f"nn.Linear({d.width}, {2 * n})")
    step = f"z, c = {w}(u).chunk(2, -1)\nz = torch.sigmoid(z)\nh = (1 - z) * h + z * c"
    _loop(d, _first(d, n), step, "h", "torch.stack(outputs).transpose(0, 1)")
    d.width = n


def _outer(d: Drawn) -> None:
    """Add a loop with a matrix state."""
    n = d.next_width()
    k, v, q = (d.layer(f"nn.Linear({d.width}, {size})") for size in (3, n, 3))
    step = f"h = 0.9 * h + {k}(u)[:, :, None] * {v}(u)[:, None, :]\ny = torch.einsum('bi,bij->bj', {q}(u), h)"
    _loop(d, _first(d, 3, n), step, "y", "torch.stack(outputs, 1)")
    d.width = n


def _cell(d: Drawn) -> None:
    n = d.next_width()
    kind = d.draw.choice(("GRUCell", "LSTMCell", "RNNCell"))
    cell, out = d.layer(f"nn.{kind}({d.width}, {n})"), d.layer(f"nn.Linear({n}, {n})")
    if kind == "LSTMCell":
        first, step, emitted = (
            f"(torch.zeros(x.size(0), {n}), torch.zeros(x.size(0), {n}))",
            f"h = {cell}(u, h)",
            "h[0]",
        )
    else:
        first, step, emitted = _first(d, n), f"h = {cell}(u, h)", "h"
    if d.draw.random() < 0.5:
        emitted = f"torch.tanh({out}({emitted}))"
    _loop(d, first, step, emitted, "torch.stack(outputs, 1)")
    d.width = n


def _attending(d: Drawn) -> None:
    """Add a cell that attends to all steps."""
    n = d.next_width()
    cell, q = d.layer(f"nn.GRUCell({d.width}, {n})"), d.layer(f"nn.Linear({n}, {d.width})")
    step = (
        f"h = {cell}(u, h)\nscores = torch.softmax((x * {q}(h)[:, None]).sum(-1), -1)\n"
        "seen = (scores[:, :, None] * x).sum(1)"
    )
    _loop(d, _first(d, n), step, "torch.cat([h, seen], -1)", "torch.stack(outputs, 1)")
    d.width, d.is_causal = n + d.width, False


def _split_state(d: Drawn) -> None:
    """Add a loop whose state has layers, each of which reads the layer before."""
    each = d.next_width() // 2
    a, b = d.layer(f"nn.Linear({d.width + each}, {each})"), d.layer(f"nn.Linear({2 * each}, {each})")
    step = (
        f"a, b = torch.split(h, [{each}, {each}], dim=1)\na = torch.tanh({a}(torch.cat([u, a], 1)))\n"
        f"b = torch.tanh({b}(torch.cat([a, b], 1)))\nh = torch.cat([a, b], 1)"
    )
    _loop(d, _first(d, 2 * each), step, "b", "torch.stack(outputs, 1)")
    d.width = each


def _unfolded(d: Drawn) -> None:
    """Add a loop that runs several rounds of a solver within each step."""
    n = d.next_width()
    w, p = d.layer(f"nn.Linear({d.width}, {n})"), d.parameter(n)
    step = f"for _ in range(3):\n    h = h + 0.1 * (torch.tanh({w}(u)) - {p} * h)"
    _loop(d, _first(d, n), step, "h", "torch.stack(outputs, 1)")
    d.width = n


# Blocks without a loop ----------------------------------------------------------------------------------


def _layers(d: Drawn) -> None:
    n = d.next_width()
    kind = d.draw.choice(("GRU", "LSTM", "RNN"))
    two = d.draw.random() < 0.3
    rnn = d.layer(f"nn.{kind}({d.width}, {n}, batch_first=True{', bidirectional=True' if two else ''})")
    d.add(f"x = {rnn}(x)[0]")
    d.width, d.is_causal = 2 * n if two else n, d.is_causal and not two


def _merged(d: Drawn) -> None:
    n = d.next_width()
    w = d.layer(f"nn.Linear({d.width}, {n})")
    d.add(
        d.draw.choice(
            (
                f"b, t, _ = x.shape\nx = torch.relu({w}(x.reshape(-1, x.size(-1)))).view(b, t, -1)",
                f"x = {w}(x.flatten(0, 1)).unflatten(0, (x.size(0), x.size(1)))",
                f"y = x.transpose(0, 1)\nt, b, _ = y.shape\n"
                f"x = {w}(y.reshape(t * b, -1)).view(t, b, -1).transpose(0, 1)",
                f"b, t, c = x.shape\nx = {w}(x.contiguous().view(b * t, c)).reshape(b, t, {n})",
            )
        )
    )
    d.width = n


def _norms(d: Drawn) -> None:
    each = d.width // HEADS
    group = d.layer(f"nn.GroupNorm({HEADS}, {d.width})")
    norm = d.layer(f"nn.LayerNorm({each})")
    d.add(
        d.draw.choice(
            (
                f"b, t, c = x.shape\nx = {group}(x.reshape(b * t, c)).view(b, t, c)",
                f"b, t, c = x.shape\nx = {norm}(x.reshape(b, t, {HEADS}, {each})).flatten(2)",
                f"b, t, c = x.shape\nx = F.normalize(x.reshape(b * t * {HEADS}, {each}), dim=-1).reshape(b, t, c)",
            )
        )
    )


def _attention(d: Drawn) -> None:
    each = d.width // HEADS
    q, k = d.layer(f"nn.Linear({d.width}, {d.width})"), d.layer(f"nn.Linear({d.width}, {d.width})")
    d.add(
        f"b, t, c = x.shape\nq = {q}(x).view(b, t, {HEADS}, {each}).transpose(1, 2)\n"
        f"k = {k}(x).view(b, t, {HEADS}, {each}).permute(0, 2, 3, 1)\n"
        f"x = x + (torch.softmax(q @ k / {each} ** 0.5, -1) @ q).transpose(1, 2).reshape(b, t, c)"
    )
    d.is_causal = False


def _convolution(d: Drawn) -> None:
    n = d.next_width()
    conv = d.layer(f"nn.Conv1d({d.width}, {n}, 3)")
    d.add(f"x = {conv}(F.pad(x.transpose(1, 2), (2, 0))).transpose(1, 2)")
    d.width = n


def _chomped(d: Drawn) -> None:
    conv = d.layer(f"nn.Conv1d({d.width}, {d.width}, 3, padding=2, groups={HEADS})")
    d.add(f"x = torch.tanh({conv}(x.transpose(1, 2))[:, :, :-2]).transpose(1, 2)")


def _branch(d: Drawn) -> None:
    w = d.layer(f"nn.Linear({d.width}, {d.width})")
    d.add(f"if x.shape[1] == 1:\n    x = x * 0\nx = x + {w}(x)")
    d.skips_one = True


def _summed(d: Drawn) -> None:
    d.add(
        d.draw.choice(
            (
                "x = x.cumsum(1) / (1 + x.abs().cumsum(1))",
                "x = torch.exp(x - torch.logcumsumexp(x, 1))",
                "x = x - torch.cummax(x, 1)[0]",
            )
        )
    )


def _averaged(d: Drawn) -> None:
    d.add(d.draw.choice(("x = x - x.mean(1, keepdim=True)", "x = x / x.size(1)", "x = torch.cat([x, x.flip(1)], -1)")))
    if "cat" in d.lines[-1]:
        d.width *= 2
    d.is_causal = False


def _heads(d: Drawn) -> None:
    each = d.width // HEADS
    d.add(
        f"x = rearrange(x, 'b t (h d) -> b h t d', h={HEADS})\nx = x / (1 + x.pow(2).mean(-1, keepdim=True))\n"
        "x = rearrange(x, 'b h t d -> b t (h d)')"
    )
    assert each


def _separable(d: Drawn) -> None:
    """Add a convolution of each channel, and a gate."""
    n = d.next_width()
    deep, point = (
        d.layer(f"nn.Conv1d({d.width}, {d.width}, 3, groups={d.width})"),
        d.layer(f"nn.Conv1d({d.width}, {2 * n}, 1)"),
    )
    d.add(f"y = F.pad(x.transpose(1, 2), (2, 0))\nx = F.glu({point}({deep}(y)), dim=1).transpose(1, 2)")
    d.width = n


def _shifted(d: Drawn) -> None:
    """Add a mixture of each step with the step before."""
    d.add(f"x = x + {d.parameter(d.width)} * (F.pad(x, (0, 0, 1, -1)) - x)")


def _turned(d: Drawn) -> None:
    """Add rotary position embeddings."""
    d.add(
        f"angle = torch.arange(x.size(1))[:, None] * {d.parameter(d.width // 2)}\na, b = x.chunk(2, -1)\n"
        "x = torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)"
    )


def _layer_by_head(d: Drawn) -> None:
    each = d.width // HEADS
    layers = ", ".join(d.layer(f"nn.Linear({each}, {each})") for _ in range(HEADS))
    d.add(f"x = torch.cat([layer(part) for layer, part in zip(({layers}), x.chunk({HEADS}, -1))], -1)")


def _residual(d: Drawn) -> None:
    w, norm = d.layer(f"nn.Linear({d.width}, {d.width})"), d.layer(f"nn.LayerNorm({d.width})")
    d.add(f"x = x + torch.relu({w}({norm}(x)))")


def _squeezed(d: Drawn) -> None:
    w = d.layer(f"nn.Linear({d.width}, {d.width})")
    d.add(f"x = x * torch.sigmoid({w}(x.mean(1)))[:, None]")
    d.is_causal = False


def _scanned(d: Drawn) -> None:
    """Add a minimal GRU in parallel form."""
    n = d.next_width()
    w = d.layer(f"nn.Linear({d.width}, {2 * n})")
    d.add(
        f"z, c = {w}(x).chunk(2, -1)\na = F.logsigmoid(-z).cumsum(1)\n"
        "x = torch.exp(a + torch.logcumsumexp(F.logsigmoid(z) + torch.tanh(c) - a, 1))"
    )
    d.width = n


def _rows(d: Drawn) -> None:
    n = d.next_width()
    w = d.layer(f"nn.Linear({d.width}, {n})")
    d.add(f"y = rearrange(x, 'b t c -> (b t) c')\nx = rearrange({w}(y), '(b t) c -> b t c', b=x.shape[0])")
    d.width = n


_BLOCKS = (
    _twice,
    _scaled_heads,
    _bmm,
    _einsum,
    _minimal,
    _outer,
    _cell,
    _attending,
    _split_state,
    _unfolded,
    _layers,
    _merged,
    _norms,
    _attention,
    _convolution,
    _chomped,
    _branch,
    _summed,
    _averaged,
    _separable,
    _shifted,
    _turned,
    _layer_by_head,
    _residual,
    _squeezed,
    _scanned,
)
_EINOPS_BLOCKS = (_heads, _rows, _rows)
