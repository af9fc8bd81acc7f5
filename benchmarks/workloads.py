"""What is timed: layers of a cell over [batch, time, inputs], and the cell that a user wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import rnngraph as rg

Call = Callable[[], object]

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3, "GRU before": 3, "peephole": 4, "own peephole": 4}
"""By cell, its products with the input and with the state. ``GRU`` resets after the product, as torch does."""


@dataclass(frozen=True)
class Products:
    """A cell's products: with its input, with its state, and of units with units that wait for no state."""

    inputs: int
    state: int
    between: int = 0


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
"""The further cells, by name without ``Cell``."""

ENTRIES = 64
DRIVEN = {"attention": Products(3, 7), "decode": Products(0, 6)}
"""A GRU of 128 units that attends to a memory of 64 entries (Luong), and one that is fed what it gave.

Scores and context are two products of a row with the memory, 2 · 64 · 128 multiply-adds: one of units with units.
"""


@dataclass(frozen=True)
class Row:
    """A workload: so many layers of a cell over [batch, time, inputs]."""

    cell: str
    batch: int
    time: int
    inputs: int
    units: int
    layers: int = 1

    @property
    def name(self) -> str:
        stack = f" ×{self.layers}" if self.layers > 1 else ""
        return f"{self.cell} B{self.batch} T{self.time} I{self.inputs} H{self.units}{stack}"

    @property
    def gates(self) -> int:
        return GATES[self.cell]

    @property
    def products(self) -> Products:
        return (VARIANTS | DRIVEN).get(self.cell) or Products(self.gates, self.gates)

    def widths(self) -> list[int]:
        """The width of what each layer is given."""
        return [self.inputs, *[self.units] * (self.layers - 1)]

    def parameters(self) -> int:
        return sum(self.gates * self.units * (width + self.units + 1) for width in self.widths())

    def batch_major(self) -> np.ndarray:
        """Inputs [batch, time, inputs]."""
        shape = (self.batch, self.time, self.inputs)
        return np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def time_major(self) -> np.ndarray:
        """The same inputs [time, batch, inputs]."""
        return np.ascontiguousarray(self.batch_major().transpose(1, 0, 2))

    def weights(self) -> list[dict[str, np.ndarray]]:
        """By layer: W [inputs, gates × units], U [units, gates × units], b and, inside a reset, c; P of peepholes."""
        generator, layers = np.random.default_rng(1), []
        for width in self.widths():
            shapes: dict[str, tuple[int, ...]] = {
                "W": (width, self.gates * self.units),
                "U": (self.units, self.gates * self.units),
                "b": (self.gates * self.units,),
            }
            if self.cell == "GRU":
                shapes["c"] = (self.units,)
            if "peephole" in self.cell:
                shapes["P"] = (3, self.units)
            limit = self.units**-0.5
            layers.append({k: generator.uniform(-limit, limit, s).astype(np.float32) for k, s in shapes.items()})
        return layers


INFERENCE = (
    Row("LSTM", 1, 1, 64, 64),
    Row("LSTM", 1, 100, 40, 100, 3),
    Row("RNN", 1, 100, 40, 100, 3),
    Row("LSTM", 1, 100, 128, 128),
    Row("GRU", 1, 100, 128, 128),
    Row("GRU before", 1, 100, 128, 128),
    Row("LSTM", 1, 100, 256, 256, 2),
    Row("LSTM", 1, 100, 1024, 1024),
    Row("LSTM", 16, 100, 128, 128, 2),
    Row("RNN", 32, 100, 100, 100, 3),
    Row("GRU", 32, 100, 256, 256, 3),
    Row("LSTM", 32, 100, 256, 256, 3),
    Row("LSTM", 64, 100, 512, 512, 2),
    Row("peephole", 1, 100, 64, 128),
    Row("own peephole", 1, 100, 64, 128),
    Row("peephole", 32, 100, 64, 128),
    Row("own peephole", 32, 100, 64, 128),
)

CELLS = (
    *(Row(cell, batch, 100, 64, 128) for cell in VARIANTS for batch in (1, 32)),
    *(Row(cell, 1, 1000, 64, 128) for cell in ("IndRNN", "SRU")),
    *(Row(cell, batch, 100, 64, 128) for cell in DRIVEN for batch in (1, 32)),
)
"""IndRNN and SRU have no product with their state: at one row and 100 steps the call itself counts."""

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
)

STEP = (
    Row("LSTM", 1, 100, 128, 128),
    Row("LSTM", 1, 100, 40, 100, 3),
    Row("LSTM", 16, 100, 128, 128, 2),
    Row("LSTM", 32, 100, 256, 256, 3),
    Row("GRU", 32, 100, 256, 256, 3),
)
"""Nets of 100 000 parameters and more, where the update's own traffic counts."""

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
)
"""Batches whose rows end early."""

NARROW = (
    *(Row(cell, 1, 100, units, units) for cell in ("LSTM", "GRU") for units in (128, 256, 512, 1024)),
    Row("LSTM", 16, 100, 128, 128),
    Row("GRU", 32, 100, 256, 256),
)
"""One row, where the weights' stream is the bound, and many, where arithmetic is."""


@dataclass(frozen=True)
class Point:
    """A row of the sweep: where it lies on the axis that it belongs to."""

    axis: str
    value: int
    row: Row

    @property
    def name(self) -> str:
        return f"{self.axis}: {self.row.name}"


HIDDEN_ONE, HIDDEN_MANY = "hidden size, 1 row", "hidden size, 32 rows"


def sweep() -> list[Point]:
    """Hidden sizes at one and at 32 rows, batches, and lengths, of an LSTM and a GRU."""
    points = []
    for cell in ("LSTM", "GRU"):
        for axis, batch in ((HIDDEN_ONE, 1), (HIDDEN_MANY, 32)):
            for units in (1, 7, 16, 25, 63, 64, 100, 128, 256, 513, 1024):
                points.append(Point(axis, units, Row(cell, batch, 100, units, units)))
        for batch in (1, 2, 4, 7, 8, 16, 25, 32, 64, 128, 256):
            points.append(Point("batch", batch, Row(cell, batch, 100, 128, 128)))
        for time in (1, 3, 10, 30, 100, 300, 1000, 3000, 10000):
            points.append(Point("length", time, Row(cell, 1, time, 100, 100)))
    return points


class OwnPeephole(rg.Cell):
    """A peephole LSTM as a user would write it, gate by gate."""

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
