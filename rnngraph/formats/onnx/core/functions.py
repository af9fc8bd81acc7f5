"""Functions that ONNX names and rnngraph doesn't. A script holds the text of those that it calls: public names only."""

from __future__ import annotations

from typing import Any

from ....declare.functions.basic import tanh, where
from ....declare.tensor import Tensor


def affine(x: Any, alpha: float, beta: float) -> Tensor:
    """alpha x + beta."""
    return x * alpha + beta


def scaled_tanh(x: Any, alpha: float, beta: float) -> Tensor:
    """alpha tanh(beta x)."""
    return tanh(x * beta) * alpha


def thresholded_relu(x: Any, alpha: float) -> Tensor:
    """x where it is above alpha, 0 elsewhere, for NaN too."""
    return where(x > alpha, x, 0)


def shrink(x: Any, bias: float, lambd: float) -> Tensor:
    """x moved by bias towards 0 where it is further from 0 than lambd, 0 elsewhere, for NaN too."""
    return where(x < -lambd, x + bias, where(x > lambd, x - bias, 0))
