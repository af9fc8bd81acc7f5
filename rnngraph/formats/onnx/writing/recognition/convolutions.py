"""Which products of windows are ONNX's Conv, and which maxima its MaxPool."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .....declare.functions.padding import same_padding
from .....ir.graph import Node
from .....ir.types import Dim
from .patterns import is_filled


class Windows(NamedTuple):
    """Windows of a sequence [batch, time, width]. padding: how many steps are put around the sequence; None for as many
    as ONNX's SAME_UPPER says.
    """

    source: Node
    size: int
    stride: int
    dilation: int
    padding: tuple[int, int] | None


def convolution_of(product: Node) -> Windows | None:
    """What a product of a matrix [size * width, filters] with windows side by side takes windows of; None where it is
    no such product, or not of float32, which alone onnxruntime has.
    """
    left, kernel = product.operands[:2]
    if product.dtype != "float32" or left.op != "reshape" or kernel.tensor.rank != 2:
        return None
    windows = left.operands[0]
    if windows.op != "windows" or windows["axis"] != 1 or windows.tensor.rank != 4:
        return None
    batch, count, size, width = windows.shape
    joined = isinstance(size, int) and left.shape == (batch, count, size * width)
    return _windows(windows, 0.0) if joined else None


def pool_of(largest: Node) -> Windows | None:
    """What the largest entry of each window is taken of; None where a maximum is of anything else."""
    windows = largest.operands[0]
    if largest.dtype != "float32" or windows.op != "windows" or windows["axis"] != 1 or windows.tensor.rank != 4:
        return None
    if largest["axes"] != (2,) or largest["keepdims"]:
        return None
    return _windows(windows, -np.inf)


def _windows(windows: Node, fill: float) -> Windows:
    size, stride, dilation = windows["size"], windows["step"], windows["apart"]
    source, before, after = _within(windows.operands[0], fill)
    if isinstance(before, int) and isinstance(after, int):
        return Windows(source, size, stride, dilation, (before, after))
    if (before, after) == same_padding(source.shape[1], dilation * (size - 1), stride):
        return Windows(source, size, stride, dilation, None)
    return Windows(windows.operands[0], size, stride, dilation, (0, 0))


def _within(node: Node, fill: float) -> tuple[Node, Dim, Dim]:
    """A sequence, and how many steps of ``fill`` stand before and after it."""
    if node.op != "concat" or node["axis"] != 1:
        return node, 0, 0
    inner = [item for item in node.operands if not is_filled(item, fill)]
    if len(inner) != 1:
        return node, 0, 0
    place = node.operands.index(inner[0])
    before, after = (
        sum((item.shape[1] for item in items), start=0) for items in (node.operands[:place], node.operands[place + 1 :])
    )
    return inner[0], before, after
