"""What no code can beat here: multiply-adds at their rate, weights at that of reads; both are measured at each call."""

from __future__ import annotations

from machine import multiply_rate, read_rate
from workloads import Row

from rnngraph.codegen.target import target_of


def forward_seconds(row: Row) -> float:
    """The input's products of all steps; then each step's products, or the stream of its weights if that is longer."""
    products, step = _rates(row)
    return sum(_input_products(row, width) / products for width in row.widths()) + row.layers * row.time * step


def training_seconds(row: Row) -> float:
    """Three times the multiply-adds of the forward part, but for the gradient of the net's own input.

    Forward; the state's gradient back through every step, which streams the weights again; the gradients of both
    kernels, a product over all steps each; the gradient of the input of all layers but the first.
    """
    products, step = _rates(row)
    from_inputs = [_input_products(row, width) for width in row.widths()]
    whole = 3.0 * sum(from_inputs) - from_inputs[0] + row.layers * row.time * _step_products(row)
    return whole / products + 2.0 * row.layers * row.time * step


def _rates(row: Row) -> tuple[float, float]:
    """Operations a second, and seconds of a step of one layer; the weights lie in the cache that holds them."""
    products = multiply_rate()
    weights = 4 * row.products.state * _padded(row) * row.units
    return products, max(_step_products(row) / products, weights / read_rate(weights) if weights else 0.0)


def _input_products(row: Row, width: int) -> float:
    """Operations of one layer's products that wait for no state, all steps."""
    columns = row.products.inputs * width + row.products.between * row.units
    return 2.0 * row.batch * row.time * _padded(row) * columns


def _step_products(row: Row) -> float:
    """Operations of one layer's products with its state, one step."""
    return 2.0 * row.batch * row.products.state * _padded(row) * row.units


def _padded(row: Row) -> int:
    """Units up to whole vectors."""
    lanes = target_of(None).lanes(4)
    return -(-row.units // lanes) * lanes
