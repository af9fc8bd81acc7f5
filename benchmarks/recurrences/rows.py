"""Workloads: recurrences of several heads over raw inputs [batch, time, width], without projections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

HEADS, SIZE = 4, 64
TIME = 512
STATES = 16
"""States of each channel of an S6."""

DIAGONAL = ("minGRU", "RG-LRU", "LRU")
KINDS = ("GLA", "GDN", "SSD", "RWKV-7", "mLSTM", "S6", *DIAGONAL)
INFERENCE, STEP, TRAINING = "inference", "step", "training"


@dataclass(frozen=True)
class Row:
    """Recurrence with ``heads`` · ``size`` channels. The matrix state of a head is [size, size].

    Attributes:
        call: Inference, a step of a stream, or training (the loss and the gradients of the input and of parameters).
    """

    kind: str
    call: str
    batch: int = 1
    time: int = TIME
    heads: int = HEADS
    size: int = SIZE

    @property
    def name(self) -> str:
        time = "" if self.call == STEP else f" T{self.time}"
        return f"{self.call}: {self.kind} {self.heads}x{self.size} B{self.batch}{time}"

    @property
    def channels(self) -> int:
        return self.heads * self.size

    def widths(self) -> tuple[int, ...]:
        """Return the widths of the parts of the raw input."""
        n, heads, size = self.channels, self.heads, self.size
        match self.kind:
            case "GLA":  # q, k, v, decay
                return (n,) * 4
            case "GDN" | "mLSTM":  # q, k, v, two gates of a head
                return (n,) * 3 + (heads,) * 2
            case "SSD":  # u, step, decay, B and C of all heads
                return (n, heads, heads, size, size)
            case "RWKV-7":  # r, decay, k, v, learning rate
                return (n,) * 5
            case "S6":  # u, step, B, C
                return (n, n, STATES, STATES)
            case "RG-LRU":  # two gates, input
                return (n,) * 3
        return (n,) * 2

    def states(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of the states of one row of the batch."""
        match self.kind:
            case "S6":
                return ((self.channels, STATES),)
            case "LRU":
                return ((self.channels,),) * 2
            case "minGRU" | "RG-LRU":
                return ((self.channels,),)
        matrices = (self.heads, self.size, self.size)
        return (matrices, matrices[:2], matrices[:1]) if self.kind == "mLSTM" else (matrices,)

    def parameters(self) -> dict[str, np.ndarray]:
        """Return the parameters of the recurrence by name, initialised as in its paper."""
        n = self.channels
        match self.kind:
            case "S6":
                values = {"A_log": np.log(np.tile(np.arange(1, STATES + 1), (n, 1))), "D": np.ones(n)}
            case "RG-LRU":
                values = {"lam": np.linspace(-2, 1, n)}
            case "LRU":
                values = {"nu": np.linspace(-4, -1, n), "theta": np.linspace(-3, 1, n)}
            case _:
                values = {}
        return {name: array.astype(np.float32) for name, array in values.items()}

    def inputs(self) -> np.ndarray:
        """Return raw inputs [batch, time, width], normally distributed."""
        shape = (self.batch, self.time, sum(self.widths()))
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def parts(x: np.ndarray, row: Row) -> list[np.ndarray]:
    """Return contiguous copies of the parts of a raw input."""
    return [np.ascontiguousarray(part) for part in np.split(x, np.cumsum(row.widths())[:-1], -1)]


def rows(words: Iterable[str] = ()) -> Iterator[Row]:
    """Yield rows of 4 heads of size 64, or those that ``words`` select, such as ``4x48`` or ``GLA 3x40``."""
    sizes = dict.fromkeys((int(heads), int(size)) for word in words for heads, size in re.findall(r"(\d+)x(\d+)", word))
    for heads, size in sizes or [(HEADS, SIZE)]:
        for kind in KINDS:
            for call, batch in ((INFERENCE, 1), (INFERENCE, 8), (STEP, 1), (TRAINING, 1), (TRAINING, 8)):
                yield Row(kind, call, batch, 1 if call == STEP else TIME, heads, size)
