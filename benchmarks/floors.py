"""Lower bounds (floors) of times on this machine: a cell's operations at peak rate, and its weights at the read rate.

The rates are measured at each call. ``FLOOR`` includes the elementwise work, and ``PRODUCTS`` only matrix products.
"""

from __future__ import annotations

import machine
import numpy as np
from tails import KINDS, tail_seconds
from workloads import Row

MAX_FEW_STEPS = 16
"""Maximum number of steps for which the time to read the input's weights counts; more steps amortise it."""


FLOOR, PRODUCTS = "floor", "floor of products"


def forward_seconds(row: Row) -> dict[str, float]:
    """Return the floors of a forward pass, by name: the products with the inputs of all steps, then the steps.

    A step takes the time of its products and elementwise work, or the time to read its weights if that is longer.
    """
    floor = _Floor(row)
    inputs = sum(floor.inputs(width) for width in row.widths())
    return {name: inputs + row.layers * floor.steps(tail) for name, (tail, _) in floor.tails.items()}


def training_seconds(row: Row) -> dict[str, float]:
    """Return the floors of training, by name: about three times the forward multiply-adds.

    They count the forward pass; the state's gradient back through every step, which reads the weights again; the
    gradients of both kernels, each a product over all steps; and the gradients of the inputs of all layers except the
    first.
    """
    floor = _Floor(row)
    from_inputs = [floor.inputs(width) for width in row.widths()]
    gradients = sum(from_inputs) + row.layers * floor.products_of_steps()
    whole = gradients + 2.0 * sum(from_inputs) - from_inputs[0]
    return {name: whole + row.layers * sum(map(floor.steps, tails)) for name, tails in floor.tails.items()}


def matrices_seconds(count: int, rows: int, depth: int, columns: int) -> dict[str, float]:
    """Return the floor of a batch of matrix products: multiply-adds, or memory traffic if that takes longer."""
    work = 2.0 * count * rows * depth * padded(columns) / machine.flops()
    moved = _stream_seconds(count * (rows * depth + depth * columns + rows * columns))
    return {FLOOR: max(work, moved), PRODUCTS: work}


class _Floor:
    """Minimum seconds of the parts of one layer's work, in all directions, at the rates of this moment.

    Directions are independent, so they can run in turn, each with its weights in cache. Rows that have ended cost
    nothing: a step computes the products of the other rows.
    """

    def __init__(self, row: Row) -> None:
        self.row, self.flops = row, machine.flops()
        lengths = row.lengths()
        lengths = np.full(row.batch, row.time) if lengths is None else lengths
        self.running = (np.arange(row.time)[:, None] < lengths).sum(1)
        """Number of rows that have not ended, by step."""
        self.state_weights = row.products.state * padded(row.units) * row.hidden
        if row.projection:  # product with the output, once a step
            self.state_weights += padded(row.projection) * row.units
        self.stream = _stream_seconds(self.state_weights)
        forward = both = 0.0
        if row.cell in KINDS:
            forward, both = tail_seconds(row.cell), tail_seconds(row.cell, training=True)
        self.tails = {FLOOR: (forward, both - forward), PRODUCTS: (0.0, 0.0)}
        """(Forward, backward) seconds of a unit's elementwise work in a step, by floor; 0 where it is not counted."""

    def inputs(self, width: int) -> float:
        """Return the seconds of the products with the inputs.

        Below ``MAX_FEW_STEPS`` steps, it is the time to read the weights of the inputs if that is longer.
        """
        row = self.row
        columns = row.products.inputs * width + row.products.between * row.units
        weights = padded(row.units) * columns
        products = 2.0 * float(self.running.sum()) * weights / self.flops
        return row.directions * max(products, _stream_seconds(weights) if row.time < MAX_FEW_STEPS else 0.0)

    def products_of_steps(self) -> float:
        """Return the seconds of products with the state over all steps."""
        return self.row.directions * 2.0 * float(self.running.sum()) * self.state_weights / self.flops

    def steps(self, tail: float) -> float:
        """Return the seconds of all steps: products and elementwise work, or reading the weights if that is longer."""
        work = self.running * (2.0 * self.state_weights / self.flops + padded(self.row.units) * tail)
        return self.row.directions * float(np.maximum(work, self.stream).sum())


def _stream_seconds(weights: int) -> float:
    """Return the seconds to read float32 weights once, from the smallest cache that holds them."""
    return 4 * weights / machine.reads(4 * weights) if weights else 0.0


def padded(columns: int) -> int:
    """Return the number of a kernel's columns, rounded up to whole vectors."""
    lanes = machine.target().lanes(4)
    return -(-columns // lanes) * lanes
