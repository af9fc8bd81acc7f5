"""Workloads of the benchmarks: layers of a cell over [batch, time, inputs], and a cell as a user would write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnngraph as rg

Call = Callable[[], object]


@dataclass(frozen=True)
class Products:
    """Numbers of a cell's matrix products: with the input, with the state, and of units by units with other values."""

    inputs: int
    state: int
    between: int = 0


CELLS_OF_LAYERS = {
    "RNN": Products(1, 1),
    "LSTM": Products(4, 4),
    "GRU": Products(3, 3),
    "GRU before": Products(3, 3),
    "peephole": Products(4, 4),
    "own peephole": Products(4, 4),
}
"""Products of the cells that workloads also stack. ``GRU`` resets after the product, as torch's does."""

VARIANTS = {
    "LayerNormBasicLSTM": Products(4, 4),
    "CoupledInputForgetGateLSTM": Products(3, 3),
    "NAS": Products(8, 8),
    "UGRNN": Products(2, 2),
    "IntersectionRNN": Products(1, 4, between=4),
    "IndRNN": Products(1, 0),
    "SRU": Products(4, 0),
    "MinimalRNN": Products(1, 1, between=1),
    "CFN": Products(3, 2),
}
"""Products of further cells, by class name without ``Cell``, which workloads use with one layer."""

ENTRIES = 64
DRIVEN = {"attention": Products(3, 7), "decode": Products(0, 6)}
"""Products of GRUs of 128 units: one attends to a memory of 64 entries (Luong), the other is fed its own outputs.

Scores and context, two products of a row with the memory, have 2 · 64 · 128 multiply-adds. They count as one product of
units by units.
"""


@dataclass(frozen=True)
class Row:
    """Workload: ``layers`` layers of a cell over [batch, time, inputs].

    Attributes:
        projection: Width of an LSTM's projected output; 0 for no projection.
        bidirectional: True for a forward and a backward cell in each layer.
        ended: True if rows end early, at ``lengths``.
    """

    cell: str
    batch: int
    time: int
    inputs: int
    units: int
    layers: int = 1
    projection: int = 0
    bidirectional: bool = False
    ended: bool = False

    @property
    def name(self) -> str:
        cell = f"{'bidirectional ' * self.bidirectional}{self.cell}"
        width = f"H{self.units}" + f" P{self.projection}" * bool(self.projection)
        stack = f" ×{self.layers}" if self.layers > 1 else ""
        return f"{cell} B{self.batch} T{self.time} I{self.inputs} {width}{stack}{' ended' * self.ended}"

    @property
    def products(self) -> Products:
        return (CELLS_OF_LAYERS | VARIANTS | DRIVEN)[self.cell]

    @property
    def hidden(self) -> int:
        """Width of a cell's output."""
        return self.projection or self.units

    @property
    def directions(self) -> int:
        return 1 + self.bidirectional

    def widths(self) -> list[int]:
        """Return the width of each layer's input."""
        return [self.inputs, *[self.directions * self.hidden] * (self.layers - 1)]

    def batch_major(self) -> np.ndarray:
        """Return inputs [batch, time, inputs]."""
        shape = (self.batch, self.time, self.inputs)
        return np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def time_major(self) -> np.ndarray:
        """Return the inputs of ``batch_major`` as [time, batch, inputs]."""
        return np.ascontiguousarray(self.batch_major().transpose(1, 0, 2))

    def memory(self) -> np.ndarray:
        """Return the memory of ``attention``, [batch, entries, units]."""
        shape = (self.batch, ENTRIES, self.units)
        return np.random.default_rng(2).normal(size=shape).astype(np.float32)

    def first(self) -> np.ndarray:
        """Return the first input of ``decode``, [batch, units]."""
        return np.random.default_rng(2).normal(size=(self.batch, self.units)).astype(np.float32)

    def lengths(self) -> np.ndarray | None:
        """Return the rows' lengths, evenly spread from 1 to ``time`` - 1 and shuffled; None if no row ends early."""
        return spread_lengths(self, 50) if self.ended else None


def spread_lengths(row: Row, percent: int) -> np.ndarray:
    """Return int64 lengths [batch], evenly spread from 1 on and shuffled, whose mean is ``percent`` of the steps."""
    maximum = max(1, 2 * row.time * percent // 100 - 1)
    lengths = np.linspace(1, maximum, row.batch).round().astype(np.int64)
    return lengths[np.random.default_rng(3).permutation(row.batch)]


INFERENCE = (
    Row("LSTM", 1, 1, 64, 64),
    Row("LSTM", 1, 100, 40, 100, 3),
    Row("RNN", 1, 100, 40, 100, 3),
    Row("LSTM", 1, 100, 128, 128),
    Row("GRU", 1, 100, 128, 128),
    Row("GRU before", 1, 100, 128, 128),
    Row("LSTM", 1, 100, 256, 256, 2),
    Row("GRU", 1, 100, 480, 480),
    Row("LSTM", 1, 100, 512, 512),
    Row("LSTM", 1, 100, 1024, 1024),
    Row("LSTM", 4, 100, 512, 512),
    Row("LSTM", 16, 100, 128, 128, 2),
    Row("RNN", 32, 100, 100, 100, 3),
    Row("GRU", 32, 100, 256, 256, 3),
    Row("LSTM", 32, 100, 256, 256, 3),
    Row("LSTM", 64, 100, 512, 512, 2),
    Row("peephole", 1, 100, 64, 128),
    Row("own peephole", 1, 100, 64, 128),
    Row("peephole", 32, 100, 64, 128),
    Row("own peephole", 32, 100, 64, 128),
    *(Row("LSTM", batch, 100, 128, 256, projection=128) for batch in (1, 32)),
    *(Row(cell, batch, 100, 128, 128, bidirectional=True) for cell in ("LSTM", "GRU") for batch in (1, 32)),
)

CELLS = (
    *(Row(cell, batch, 100, 64, 128) for cell in VARIANTS for batch in (1, 32)),
    *(Row(cell, 1, 1000, 64, 128) for cell in ("IndRNN", "SRU")),
    *(Row(cell, batch, 100, 64, 128) for cell in DRIVEN for batch in (1, 32)),
)
"""Workloads of the group ``cells``. IndRNN and SRU lack products with the state, so call overhead counts at one row."""

TRAINING = (
    Row("RNN", 1, 100, 40, 100, 3),
    Row("GRU", 1, 100, 128, 128),
    Row("LSTM", 1, 100, 128, 128),
    Row("RNN", 32, 100, 100, 100, 3),
    Row("LSTM", 16, 100, 128, 128, 2),
    Row("LSTM", 32, 100, 256, 256, 3),
    Row("GRU", 32, 100, 256, 256, 3),
    Row("own peephole", 1, 100, 64, 128),
    Row("own peephole", 32, 100, 64, 128),
    Row("GRU before", 1, 100, 128, 128),
    Row("GRU before", 32, 100, 256, 256),
    *(Row("LSTM", batch, 100, 128, 256, projection=128) for batch in (1, 32)),
    *(Row(cell, batch, 100, 128, 128, bidirectional=True) for cell in ("LSTM", "GRU") for batch in (1, 32)),
    *(Row("LayerNormBasicLSTM", batch, 100, 64, 128) for batch in (1, 32)),
)

ONE_STEP = tuple(Row(cell, 1, 1, units, units) for cell in ("LSTM", "GRU") for units in (8, 16, 32, 64, 128))
"""Workloads of streams: each call is one step with carried state."""

STEP = (
    Row("LSTM", 1, 100, 128, 128),
    Row("LSTM", 1, 100, 40, 100, 3),
    Row("LSTM", 16, 100, 128, 128, 2),
    Row("LSTM", 32, 100, 256, 256, 3),
    Row("GRU", 32, 100, 256, 256, 3),
)
"""Workloads of a trainer's step: nets of 100,000 parameters and more, where the update's memory traffic counts."""

COMPILE = (
    Row("RNN", 32, 100, 100, 100, 3),
    Row("LSTM", 32, 100, 100, 100, 3),
    Row("GRU", 32, 100, 100, 100, 3),
    Row("LSTM", 1, 100, 100, 100, 3),
)


LENGTHS = (
    Row("RNN", 32, 100, 100, 100),
    Row("GRU", 32, 100, 100, 100),
    Row("LSTM", 32, 100, 128, 128, 2),
    Row("LSTM", 32, 100, 256, 256),
    Row("LSTM", 32, 100, 128, 128, bidirectional=True),
)
"""Workloads with batches whose rows end early."""

NARROW = (
    *(Row(cell, 1, 100, units, units) for cell in ("LSTM", "GRU") for units in (128, 256, 512, 1024)),
    Row("LSTM", 16, 100, 128, 128),
    Row("GRU", 32, 100, 256, 256),
)
"""Workloads with narrow weights: one row, where reading weights is the bottleneck, and many, where arithmetic is."""

QUANTIZED = (
    *(Row("LSTM", batch, 20, 100, 320) for batch in (1, 12, 16)),
    *(Row("LSTM", batch, 20, 128, 128) for batch in (1, 16)),
    *(Row("LSTM", batch, 16, 384, 384, layers=3, bidirectional=True) for batch in (1, 16)),
)
"""Workloads with cells for which onnxruntime's dynamic quantization has an operator."""


@dataclass(frozen=True)
class Point:
    """Row of the sweep, with the axis that varies and the row's coordinate on it."""

    axis: str
    value: int
    row: Row

    @property
    def name(self) -> str:
        return f"{self.axis}: {self.row.name}"


HIDDEN_ONE, HIDDEN_MANY = "hidden size, 1 row", "hidden size, 32 rows"


def sweep() -> list[Point]:
    """Return points over hidden sizes (at 1 and 32 rows), batches and lengths, for an LSTM, a GRU and a simple RNN."""
    points = []
    for cell in ("LSTM", "GRU", "RNN"):
        for axis, batch in ((HIDDEN_ONE, 1), (HIDDEN_MANY, 32)):
            for units in (1, 7, 16, 25, 63, 64, 100, 128, 256, 513, 1024, 2048):
                points.append(Point(axis, units, Row(cell, batch, 100, units, units)))
        for batch in (1, 2, 4, 7, 8, 16, 25, 32, 64, 128, 256):
            points.append(Point("batch", batch, Row(cell, batch, 100, 128, 128)))
        for time in (1, 3, 10, 30, 100, 300, 1000, 3000, 10000):
            points.append(Point("length", time, Row(cell, 1, time, 100, 100)))
    return points


class OwnPeephole(rg.Cell):
    """Peephole LSTM as a user would write it, gate by gate."""

    state_type = rg.LSTMStateTuple

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"c": rg.memory(self.num_units), "h": self.num_units}

    def step(self, p: Any, x: Any, state: Any) -> Any:
        n, c, h = self.num_units, state["c"], state["h"]

        def gate(name: str) -> Any:
            from_input, from_state = p.kernel(f"w_{name}", (x.width, n)), p.kernel(f"u_{name}", (n, n))
            return x @ from_input + h @ from_state + p.bias(f"b_{name}", (n,))

        i = rg.sigmoid(gate("i") + p.kernel("p_i", (n,)) * c)
        f = rg.sigmoid(gate("f") + p.kernel("p_f", (n,)) * c + 1.0)
        c = f * c + i * rg.tanh(gate("j"))
        h = rg.sigmoid(gate("o") + p.kernel("p_o", (n,)) * c) * rg.tanh(c)
        return h, {"c": c, "h": h}
