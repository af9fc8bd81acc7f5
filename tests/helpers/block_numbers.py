"""Weights and activations in blocks of 32 numbers with one scale, rounded by NumPy, as ``block_matmul`` reads them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BLOCKS = ("int8_blocks", "int4")
"""Forms of weights with one scale per block."""


def in_halves(scales: np.ndarray) -> np.ndarray:
    """Return scales [blocks, 1, columns] rounded to float16, after division by one power of two per column."""
    largest = np.maximum(np.abs(scales).max(0, keepdims=True), 1e-30)
    fraction, exponent = np.frexp(largest)
    unit = 2.0 ** (exponent - (fraction < 0.75) - 14.0)
    unit = np.where(largest > np.finfo(np.float16).max, unit, np.minimum(unit, 1.0))
    return (scales / unit).astype(np.float32).astype(np.float16).astype(np.float64) * unit


def weights_in_blocks(
    matrix: np.ndarray, form: str, stored: Callable[[np.ndarray], np.ndarray] = in_halves
) -> np.ndarray:
    """Return a float32 matrix rounded in blocks of its columns, as GGUF's Q8_0 or Q4_0, in float64.

    Args:
        matrix: Matrix to round.
        form: Form in ``BLOCKS``.
        stored: Function from exact scales to scales as they are stored.
    """
    depth, width = matrix.shape
    padded = np.concatenate([matrix, np.zeros((-depth % 32, width), np.float32)]).reshape(-1, 32, width)
    largest = np.abs(padded).max(1, keepdims=True)
    if form == "int8_blocks":
        whole = np.rint(padded * (np.float32(127) / np.maximum(largest, np.float32(1e-30))))
        kept = whole.astype(np.float64) * stored(np.maximum(largest, 1e-30).astype(np.float64) / 127)
    else:
        positive = padded.max(1, keepdims=True) >= largest
        farthest = np.where(positive, largest, -largest)
        divisor = np.where(largest < 1e-30, np.float32(1e-30), farthest)
        steps = (padded.astype(np.float64) * (np.float32(-8) / divisor) + 8.5).astype(np.float32)
        kept = (np.minimum(np.trunc(steps), 15) - 8).astype(np.float64) * stored(farthest.astype(np.float64) / -8)
    return kept.reshape(-1, width)[:depth]


def activations_in_blocks(x: np.ndarray) -> np.ndarray:
    """Return float32 rows rounded in blocks to 8-bit numbers with float32 scales, in float64."""
    return weights_in_blocks(x.T, "int8_blocks", np.copy).T
