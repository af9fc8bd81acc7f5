"""What no code can beat here: multiply-adds over their measured rate, weights over the bandwidth of their cache."""

from __future__ import annotations

from machine import Limits
from workloads import Row

from rnngraph.codegen.target import target_of


def forward_seconds(row: Row, found: Limits) -> float:
    """The input's products of all steps at the rate of multiply-adds; a step's at that rate, or its weights' stream."""
    return sum(
        from_input + row.time * step for from_input, step in (_layer(row, width, found) for width in row.widths())
    )


def training_seconds(row: Row, found: Limits) -> float:
    """Three times the multiply-adds of the forward part, but for the gradient of the net's own input.

    Forward; the state's gradient back through every step, which streams the weights again; the gradients of both
    kernels, a product over all steps each; the gradient of the input of all layers but the first.
    """
    total = forward_seconds(row, found)
    for number, width in enumerate(row.widths()):
        from_input, step = _layer(row, width, found)
        gradients = from_input + row.time * _step_products(row, found)
        total += row.time * step + gradients + (from_input if number else 0.0)
    return total


def _layer(row: Row, width: int, found: Limits) -> tuple[float, float]:
    """Seconds of the input's products of all steps, and of one step."""
    target = target_of(None)
    units = _padded(row)
    from_input = 2.0 * row.batch * row.time * row.gates * units * width / found.flops
    weights = 4.0 * row.gates * units * row.units
    rate = found.first_cache if weights <= target.first_cache else found.second_cache
    rate = found.third_cache if weights > target.second_cache else rate
    return from_input, max(_step_products(row, found), weights / rate)


def _step_products(row: Row, found: Limits) -> float:
    return 2.0 * row.batch * row.gates * _padded(row) * row.units / found.flops


def _padded(row: Row) -> int:
    """Units up to whole vectors."""
    lanes = target_of(None).lanes(4)
    return -(-row.units // lanes) * lanes
