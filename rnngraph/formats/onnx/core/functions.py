"""Functions that ONNX has and rnngraph lacks. Scripts contain their source, so they call public names only."""

from __future__ import annotations

from typing import Any

from ....declare.functions.basic import tanh, where
from ....declare.tensor import Tensor


def affine(x: Any, alpha: float, beta: float) -> Tensor:
    """Return alpha x + beta."""
    return x * alpha + beta


def scaled_tanh(x: Any, alpha: float, beta: float) -> Tensor:
    """Return alpha tanh(beta x)."""
    return tanh(x * beta) * alpha


def thresholded_relu(x: Any, alpha: float) -> Tensor:
    """Return x where it is above alpha, and 0 elsewhere, also for NaN."""
    return where(x > alpha, x, 0)


def shrink(x: Any, bias: float, lambd: float) -> Tensor:
    """Return x moved towards 0 by ``bias`` where |x| is above ``lambd``, and 0 elsewhere, also for NaN."""
    return where(x < -lambd, x + bias, where(x > lambd, x - bias, 0))
