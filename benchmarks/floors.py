"""What no code can beat here: multiply-adds and a cell's elementwise work at their rates, weights at that of reads.

The rates are measured at each call. ``PRODUCTS`` is the same without the elementwise work.
"""

from __future__ import annotations

import machine
import numpy as np
from tails import KINDS, tail_seconds
from workloads import Row

FEW = 16
"""Steps below which the stream of the input's weights is looked at."""


FLOOR, PRODUCTS = "floor", "floor of products"


def forward_seconds(row: Row) -> dict[str, float]:
    """Return the floor of a forward pass: the input's products of all steps, then the steps.

    A step takes as long as its products and elementwise work, or as the stream of its weights if that is longer.
    """
    floor = _Floor(row)
    inputs = sum(floor.inputs(width) for width in row.widths())
    return {name: inputs + row.layers * floor.steps(tail) for name, (tail, _) in floor.tails.items()}


def training_seconds(row: Row) -> dict[str, float]:
    """Three times the multiply-adds of the forward part, but for the gradient of the net's own input.

    Forward; the state's gradient back through every step, which streams the weights again; the gradients of both
    kernels, a product over all steps each; the gradient of the input of all layers but the first.
    """
    floor = _Floor(row)
    from_inputs = [floor.inputs(width) for width in row.widths()]
    gradients = sum(from_inputs) + row.layers * floor.products_of_steps()
    whole = gradients + 2.0 * sum(from_inputs) - from_inputs[0]
    return {name: whole + row.layers * sum(map(floor.steps, tails)) for name, tails in floor.tails.items()}


def matrices_seconds(count: int, rows: int, depth: int, columns: int) -> dict[str, float]:
    """Of products matrix by matrix: their multiply-adds, or what they read and write if that takes longer."""
    work = 2.0 * count * rows * depth * padded(columns) / machine.flops()
    moved = _stream_seconds(count * (rows * depth + depth * columns + rows * columns))
    return {FLOOR: max(work, moved), PRODUCTS: work}


class _Floor:
    """Seconds of one layer's parts, all directions, at the rates of this moment.

    Directions wait for nobody, so one can run after the other with its weights in the cache that holds them. Rows that
    have ended need nothing: a step takes the products of those that still run.
    """

    def __init__(self, row: Row) -> None:
        self.row, self.flops = row, machine.flops()
        lengths = row.lengths()
        lengths = np.full(row.batch, row.time) if lengths is None else lengths
        self.running = (np.arange(row.time)[:, None] < lengths).sum(1)
        """Rows by step."""
        self.state_weights = row.products.state * padded(row.units) * row.hidden
        if row.projection:  # of the output, once a step
            self.state_weights += padded(row.projection) * row.units
        self.stream = _stream_seconds(self.state_weights)
        forward = both = 0.0
        if row.cell in KINDS:
            forward, both = tail_seconds(row.cell), tail_seconds(row.cell, training=True)
        self.tails = {FLOOR: (forward, both - forward), PRODUCTS: (0.0, 0.0)}
        """Seconds of a unit's elementwise work in a step, forward and backward; 0 where they are not known."""

    def inputs(self, width: int) -> float:
        """Products that wait for no state, all steps; at few steps reading their weights once takes longer."""
        row = self.row
        columns = row.products.inputs * width + row.products.between * row.units
        weights = padded(row.units) * columns
        products = 2.0 * float(self.running.sum()) * weights / self.flops
        return row.directions * max(products, _stream_seconds(weights) if row.time < FEW else 0.0)

    def products_of_steps(self) -> float:
        """Products with the state, all steps."""
        return self.row.directions * 2.0 * float(self.running.sum()) * self.state_weights / self.flops

    def steps(self, tail: float) -> float:
        """Each step's products and elementwise work, or the stream of its weights if that takes longer."""
        work = self.running * (2.0 * self.state_weights / self.flops + padded(self.row.units) * tail)
        return self.row.directions * float(np.maximum(work, self.stream).sum())


def _stream_seconds(weights: int) -> float:
    """To read so many float32 once, over and over, from the cache that holds them."""
    return 4 * weights / machine.reads(4 * weights) if weights else 0.0


def padded(columns: int) -> int:
    """Columns of a kernel up to whole vectors."""
    lanes = machine.target().lanes(4)
    return -(-columns // lanes) * lanes
