"""Nets of torch drawn as source files, with inputs, parts and outputs as published nets have them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from drawn_modules import module_of

HEADER = """import math
import torch
from torch import nn
import torch.nn.functional as F
"""
EINOPS = """from einops import rearrange, reduce, repeat
from einops.layers.torch import Rearrange, Reduce
"""
WIDTHS = (4, 6, 8)
HEADS = 2
"""Number of heads of parts with heads. Every width is a multiple of it."""
IDS = 11
"""Number of words of embeddings."""
HEIGHT = 12
"""Height of pictures in pixels."""
INDENT = "    "


class Net:
    """Source of a module whose parts map ``x`` [batch, time, width].

    Attributes:
        draw: Random number generator.
        width: Width of ``x`` after the parts so far.
        is_double: True for float64.
        form: Name of the kind of inputs, a key of ``_FORMS``.
        skips: Numbers of steps for which the module executes another branch than for the example.
    """

    def __init__(self, seed: int, parts: Sequence[Callable[[Net], None]], with_einops: bool = True) -> None:
        self.draw, self.with_einops = random.Random(seed), with_einops
        self.width = self.draw.choice(WIDTHS)
        self.is_double = self.draw.random() < 0.15
        self.form = self.draw.choice([*_FORMS, "steps", "steps", "steps"])
        self.skips: set[int] = set()
        self.inits: list[str] = []
        self.lines: list[str] = []
        self.classes: list[str] = []
        self.count = 0
        self.head = ""
        self.inner = self.width
        _FORMS[self.form](self)
        for _ in range(self.draw.randint(1, 3)):
            self._part(self.draw.choice(parts))
        self.draw.choice(_ENDS)(self)

    # Parts ------------------------------------------------------------------------------------------

    def _part(self, part: Callable[[Net], None]) -> None:
        """Add a part, either in ``forward`` itself or as a module of its own."""
        inits, lines = self.inits, self.lines
        if self.draw.random() < 0.5:
            part(self)
            return
        self.inits, self.lines = [], []
        part(self)
        name = f"Part{len(self.classes)}"
        self.classes.append(_class(name, self.inits, "x", [*self.lines, "return x"]))
        self.inits, self.lines = inits, lines
        self.add(f"x = {self.layer(f'{name}()')}(x)")

    def one(self, *texts: str) -> str:
        """Return one of several texts at random."""
        return self.draw.choice(texts)

    def layer(self, text: str) -> str:
        """Add a layer or parameter to the module, and return the code that reads it, such as ``self.m0``."""
        name = f"self.m{self.count}"
        self.count += 1
        self.inits.append(f"{name} = {text}")
        return name

    def linear(self, inputs: int, outputs: int, **options: Any) -> str:
        more = "".join(f", {key}={value}" for key, value in options.items())
        return self.layer(f"nn.Linear({inputs}, {outputs}{more})")

    def parameter(self, *shape: int) -> str:
        return self.layer(f"nn.Parameter(0.4 * torch.randn{shape})")

    def add(self, text: str) -> None:
        self.lines += text.strip("\n").split("\n")

    def next_width(self) -> int:
        return self.draw.choice(WIDTHS)

    def like(self) -> str:
        """Return code of keyword arguments that give a new tensor the dtype of ``x``; sometimes none for float32."""
        return self.one(*([] if self.is_double else ["", ""]), ", dtype=x.dtype", ", device=x.device, dtype=x.dtype")

    def zeros(self, *sizes: object) -> str:
        """Return code that creates zeros of these sizes. The first size is the batch size of ``x``."""
        text = ", ".join(map(str, sizes))
        return self.one(
            f"torch.zeros({text}{self.like()})", f"x.new_zeros({text})", f"torch.zeros(({text}){self.like()})"
        )

    # Files ------------------------------------------------------------------------------------------

    def source(self) -> str:
        imports = HEADER + (EINOPS if self.with_einops else "")
        return "\n\n".join([imports, *self.classes, _class("Drawn", self.inits, self.head, self.lines)])

    def module(self, folder: Path, name: str) -> Any:
        """Write the file, import it, and create the module. Batch normalizations get random statistics."""
        import torch

        module = module_of(self, folder, name)
        with torch.no_grad():
            for part in module.modules():
                if isinstance(getattr(part, "running_mean", None), torch.Tensor):
                    part.running_mean.normal_()
                    part.running_var.uniform_(0.5, 2)
        return module.double() if self.is_double else module

    def arguments(self, rows: int, steps: int, seed: int) -> tuple[Any, ...]:
        """Return arguments of ``forward``. ``steps`` is the size of the time axis; a picture is 4 times as wide."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        kind = torch.float64 if self.is_double else torch.float32

        def normal(*shape: int) -> Any:
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(kind)

        match self.form:
            case "ids" | "positions":
                return (torch.randint(0, IDS, (rows, steps), generator=generator),)
            case "channels":
                return (normal(rows, self.inner, steps),)
            case "time first":
                return (normal(steps, rows, self.inner),)
            case "picture":
                return (normal(rows, 1, HEIGHT, 4 * steps),)
            case "waves":
                return (normal(rows, steps),)
            case "state":
                return normal(rows, steps, self.inner), normal(rows, self.inner)
            case "lengths":
                lengths = torch.randint(1, steps + 1, (rows,), generator=generator)
                lengths[0] = steps
                return normal(rows, steps, self.inner), lengths
            case "mask":
                return normal(rows, steps, self.inner), torch.rand((rows, steps), generator=generator) < 0.7
        return (normal(rows, steps, self.inner),)


def _class(name: str, inits: Sequence[str], head: str, lines: Sequence[str]) -> str:
    rows = [f"class {name}(nn.Module):", f"{INDENT}def __init__(self):", f"{2 * INDENT}super().__init__()"]
    rows += [2 * INDENT + line for line in inits]
    return "\n".join([*rows, "", f"{INDENT}def forward(self, {head}):", *(2 * INDENT + line for line in lines), ""])


# Inputs -------------------------------------------------------------------------------------------------


def _steps(d: Net) -> None:
    d.head = "x"


def _ids(d: Net) -> None:
    d.head = "ids"
    table = d.layer(f"nn.Embedding({IDS}, {d.width}{d.one('', ', padding_idx=0')})")
    drop = d.layer("nn.Dropout(0.1)")
    d.add(d.one(f"x = {table}(ids)", f"x = {drop}({table}(ids))", f"x = {table}(ids) * math.sqrt({d.width})"))


def _positions(d: Net) -> None:
    d.head = "ids"
    table, places = d.layer(f"nn.Embedding({IDS}, {d.width})"), d.layer(f"nn.Embedding(64, {d.width})")
    d.add(
        d.one(
            f"x = {table}(ids) + {places}(torch.arange(ids.size(1)))",
            f"x = {table}(ids) + {places}.weight[: ids.shape[1]]",
            f"p = torch.arange(ids.size(1), device=ids.device).unsqueeze(0).expand_as(ids)\n"
            f"x = {table}(ids) + {places}(p)",
        )
    )


def _channels(d: Net) -> None:
    d.head, n = "x", d.next_width()
    conv = d.layer(f"nn.Conv1d({d.width}, {n}, 3, padding=1)")
    d.add(d.one(f"x = F.relu({conv}(x)).transpose(1, 2)", f"x = {conv}(x)\nx = x.permute(0, 2, 1).contiguous()"))
    d.width = n


def _time_first(d: Net) -> None:
    d.head, n = "x", d.next_width()
    rnn = d.layer(f"nn.{d.one('GRU', 'LSTM', 'RNN')}({d.width}, {n})")
    d.add(
        d.one("x = x.transpose(0, 1)", f"x, _ = {rnn}(x)\nx = x.permute(1, 0, 2)", f"x = {rnn}(x)[0].transpose(0, 1)")
    )
    d.width = n if "_ =" in d.lines[0] or "[0]" in d.lines[0] else d.width


def _picture(d: Net) -> None:
    d.head, n, k = "image", d.next_width(), d.draw.choice((2, 3))
    pool = d.one("2", "(2, 2)", "2, 2")
    front = d.layer(
        f"nn.Sequential(nn.Conv2d(1, 2, 3, 1, 1), nn.ReLU(), nn.MaxPool2d({pool}), nn.Conv2d(2, {k}, 3, padding=1), "
        f"nn.BatchNorm2d({k}), nn.{d.one('ReLU', 'LeakyReLU', 'SiLU')}(), nn.{d.one('MaxPool2d', 'AvgPool2d')}(2))"
    )
    rows = k * HEIGHT // 4
    out = d.linear(rows, n)
    d.add(f"x = {front}(image)")
    joined = [
        "b, c, h, w = x.size()\nx = x.reshape(b, c * h, w).permute(0, 2, 1)",
        "x = x.permute(0, 3, 1, 2)\nx = x.reshape(x.size(0), x.size(1), -1)",
        "x = x.flatten(1, 2).transpose(1, 2)",
        "b, c, h, w = x.shape\nx = x.permute(0, 3, 1, 2).contiguous().view(b, w, c * h)",
    ]
    if d.with_einops:
        joined.append("x = rearrange(x, 'b c h w -> b w (c h)')")
    d.add(d.one(*joined))
    d.add(f"x = {out}(x)")
    d.width = n


def _waves(d: Net) -> None:
    d.head, n = "wave", d.next_width()
    conv = d.layer(f"nn.Conv1d(1, {n}, 5, padding=4)")
    w = d.linear(1, n)
    d.add(
        d.one(
            f"x = {conv}(wave.unsqueeze(1))[..., : wave.size(-1)].transpose(1, 2)",
            f"x = torch.tanh({w}(wave[..., None]))",
            f"x = {conv}(wave[:, None])[:, :, :-4].permute(0, 2, 1)",
        )
    )
    d.width = n


def _state(d: Net) -> None:
    d.head, n = "x, h0", d.width
    rnn = d.layer(f"nn.{d.one('GRU', 'RNN')}({n}, {n}, batch_first=True)")
    cell, norm = d.layer(f"nn.GRUCell({n}, {n})"), d.layer(f"nn.LayerNorm({n})")
    d.add(
        d.one(
            f"x, hn = {rnn}(x, h0[None])",
            f"x, hn = {rnn}(x, {norm}(h0).unsqueeze(0))",
            f"h, seen = h0, []\nfor t in range(x.size(1)):\n    h = {cell}(x[:, t], h)\n    seen.append(h)\n"
            "x = torch.stack(seen, 1)",
        )
    )


def _lengths(d: Net) -> None:
    d.head = "x, lengths"
    d.add(
        d.one(
            "mask = torch.arange(x.size(1))[None, :] < lengths[:, None]",
            "mask = torch.arange(x.size(1), device=x.device).expand(x.size(0), -1).lt(lengths.unsqueeze(1))",
        )
    )
    _masked(d)


def _mask(d: Net) -> None:
    d.head = "x, mask"
    _masked(d)


def _masked(d: Net) -> None:
    n = d.width
    cell, score = d.layer(f"nn.GRUCell({n}, {n})"), d.linear(n, 1)
    d.add(
        d.one(
            "x = x * mask.unsqueeze(-1).to(x.dtype)",
            "x = x.masked_fill(~mask[:, :, None], 0.0)",
            f"h = {d.zeros('x.size(0)', n)}\nseen = []\nfor t in range(x.size(1)):\n    new = {cell}(x[:, t], h)\n"
            "    h = torch.where(mask[:, t, None], new, h)\n    seen.append(h)\nx = torch.stack(seen, 1)",
            f"h = {d.zeros('x.shape[0]', n)}\nseen = []\nfor u, m in zip(x.unbind(1), mask.unbind(1)):\n"
            f"    m = m.to(x.dtype).unsqueeze(1)\n    h = m * {cell}(u, h) + (1 - m) * h\n    seen.append(h)\n"
            "x = torch.stack(seen, dim=1)",
            f"w = {score}(x).squeeze(-1).masked_fill(~mask, -1e4).softmax(1)\nx = x + torch.bmm(w.unsqueeze(1), x)",
            "count = mask.sum(1, keepdim=True).clamp(min=1)\n"
            "x = x - ((x * mask[..., None]).sum(1) / count).unsqueeze(1)",
        )
    )


_FORMS: dict[str, Callable[[Net], None]] = {
    "steps": _steps,
    "ids": _ids,
    "positions": _positions,
    "channels": _channels,
    "time first": _time_first,
    "picture": _picture,
    "waves": _waves,
    "state": _state,
    "lengths": _lengths,
    "mask": _mask,
}

# Outputs ------------------------------------------------------------------------------------------------


def _all(d: Net) -> None:
    d.add(
        d.one("return x", f"return {d.linear(d.width, 3)}(x)", f"return F.log_softmax({d.linear(d.width, 3)}(x), -1)")
    )


def _one_number(d: Net) -> None:
    d.add(f"return {d.linear(d.width, 1)}(x).squeeze(-1)")


def _last(d: Net) -> None:
    d.add(
        f"return {d.linear(d.width, 3)}({d.one('x[:, -1]', 'x[:, -1, :]', 'x.mean(1)', 'x.max(dim=1)[0]', 'x.sum(1)')})"
    )


def _two(d: Net) -> None:
    d.add(
        d.one("return x, x[:, -1]", "return {'steps': x, 'last': x[:, -1, :]}", "return x.permute(1, 0, 2), x.mean(1)")
    )


def _every_second(d: Net) -> None:
    d.add(d.one("return x[:, ::2]", "return x[:, 1:] - x[:, :-1]", "return torch.cat([x[:, :1], x], 1)"))
    d.skips |= {1} if "1:" in d.lines[-1] else set()


_ENDS = (_all, _all, _all, _one_number, _last, _two, _every_second)
