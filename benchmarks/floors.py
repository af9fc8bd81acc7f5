"""What no code can beat here: multiply-adds at their rate, weights at that of reads; both are measured at each call."""

from __future__ import annotations

import numpy as np
from machine import multiply_rate, read_rate
from workloads import Row

from rnngraph.codegen.target import target_of

FEW = 16
"""Steps below which the stream of the input's weights is looked at."""


def forward_seconds(row: Row) -> float:
    """The input's products of all steps; then each step's products, or the stream of its weights if that is longer."""
    floor = _Floor(row)
    return sum(floor.inputs(width) for width in row.widths()) + row.layers * floor.steps()


def training_seconds(row: Row) -> float:
    """Three times the multiply-adds of the forward part, but for the gradient of the net's own input.

    Forward; the state's gradient back through every step, which streams the weights again; the gradients of both
    kernels, a product over all steps each; the gradient of the input of all layers but the first.
    """
    floor = _Floor(row)
    from_inputs = [floor.inputs(width) for width in row.widths()]
    gradients = sum(from_inputs) + row.layers * floor.products_of_steps()
    return gradients + 2.0 * sum(from_inputs) - from_inputs[0] + 2.0 * row.layers * floor.steps()


class _Floor:
    """Seconds of one layer's parts, all directions, at the rates of this moment.

    Directions wait for nobody, so one can run after the other with its weights in the cache that holds them. Rows that
    have ended need nothing: a step takes the products of those that still run.
    """

    def __init__(self, row: Row) -> None:
        self.row, self.flops = row, multiply_rate()
        lengths = row.lengths()
        lengths = np.full(row.batch, row.time) if lengths is None else lengths
        self.running = (np.arange(row.time)[:, None] < lengths).sum(1)
        """Rows by step."""
        self.state_weights = row.products.state * _padded(row.units) * row.hidden
        if row.projection:  # of the output, once a step
            self.state_weights += _padded(row.projection) * row.units
        self.stream = _stream_seconds(self.state_weights)

    def inputs(self, width: int) -> float:
        """Products that wait for no state, all steps; at few steps reading their weights once takes longer."""
        row = self.row
        columns = row.products.inputs * width + row.products.between * row.units
        weights = _padded(row.units) * columns
        products = 2.0 * float(self.running.sum()) * weights / self.flops
        return row.directions * max(products, _stream_seconds(weights) if row.time < FEW else 0.0)

    def products_of_steps(self) -> float:
        """Products with the state, all steps."""
        return self.row.directions * 2.0 * float(self.running.sum()) * self.state_weights / self.flops

    def steps(self) -> float:
        """Each step's products, or the stream of its weights if that takes longer."""
        products = 2.0 * self.running * self.state_weights / self.flops
        return self.row.directions * float(np.maximum(products, self.stream).sum())


def _stream_seconds(weights: int) -> float:
    """To read so many float32 once, over and over, from the cache that holds them."""
    return 4 * weights / read_rate(4 * weights) if weights else 0.0


def _padded(columns: int) -> int:
    """Columns of a kernel up to whole vectors."""
    lanes = target_of(None).lanes(4)
    return -(-columns // lanes) * lanes
