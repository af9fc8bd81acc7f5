"""Recognises products of windows that are ONNX's Conv, with or without a past, and maxima that are MaxPool."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .....declare.functions.padding import same_padding
from .....ir.graph import Node
from .....ir.types import Dim
from .patterns import in_order, is_filled


class Windows(NamedTuple):
    """Windows along time of a sequence [batch, time, width].

    Attributes:
        padding: Steps (before, after); None for ONNX's SAME_UPPER.
    """

    source: Node
    size: int
    stride: int
    dilation: int
    padding: tuple[int, int] | None


def convolution_of(product: Node) -> Windows | None:
    """Return the windows if a product multiplies windows by a matrix [size * width, filters]; else None.

    None also for dtypes other than float32, for which onnxruntime has no convolution.
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
    """Return the windows over which a maximum along the windows' entries is taken; None for other maxima."""
    windows = largest.operands[0]
    if largest.dtype != "float32" or windows.op != "windows" or windows["axis"] != 1 or windows.tensor.rank != 4:
        return None
    if largest["axes"] != (2,) or largest["keepdims"]:
        return None
    return _windows(windows, -np.inf)


def channels_of(total: Node) -> tuple[Windows, Node] | None:
    """Return (windows, kernel [size, width]) of a depthwise convolution; None for other sums."""
    product = total.operands[0]
    if total.dtype != "float32" or product.op != "mul" or total["axes"] != (2,) or total["keepdims"]:
        return None
    for one, kernel in (product.operands, product.operands[::-1]):
        windows = in_order(one)
        if windows.op != "windows" or windows["axis"] != 1 or windows.tensor.rank != 4:
            continue
        if one.shape == windows.shape and kernel.shape == windows.shape[2:]:
            return _windows(windows, 0.0), kernel
    return None


class Past(NamedTuple):
    """Concatenation ``joined``, along the time ``axis``, of past steps and the sequence that follows them."""

    joined: Node
    axis: int


def past_of(windows: Windows) -> Past | None:
    """Return the past if a convolution's first window reads all past steps and one step of the sequence; else None."""
    if (windows.stride, windows.dilation, windows.padding) != (1, 1, (0, 0)) or windows.size < 2:
        return None
    joined, axis = windows.source, 1
    if joined.op == "transpose" and joined["order"] == (0, 2, 1):
        joined, axis = joined.operands[0], 2
    if joined.op != "concat" or joined["axis"] != axis or len(joined.operands) != 2:
        return None
    return Past(joined, axis) if joined.operands[0].shape[axis] == windows.size - 1 else None


def is_last_of(part: Node, past: Past) -> bool:
    """True if a slice is the next past: the last steps of the concatenation, as many as the past has."""
    shape = past.joined.shape
    start = tuple(past.joined.operands[1].shape[axis] if axis == past.axis else 0 for axis in range(3))
    return bool(part["start"] == start and part["stop"] == shape and part["step"] == (1, 1, 1))


def _windows(windows: Node, fill: float) -> Windows:
    """Return the windows of a node ``windows``. Steps of ``fill`` at the sequence's ends become their padding."""
    size, stride, dilation = windows["size"], windows["step"], windows["apart"]
    source, before, after = _split_padding(windows.operands[0], fill)
    if isinstance(before, int) and isinstance(after, int):
        return Windows(source, size, stride, dilation, (before, after))
    if (before, after) == same_padding(source.shape[1], dilation * (size - 1), stride):
        return Windows(source, size, stride, dilation, None)
    return Windows(windows.operands[0], size, stride, dilation, (0, 0))


def _split_padding(node: Node, fill: float) -> tuple[Node, Dim, Dim]:
    """Return (sequence, steps of ``fill`` before it, steps of ``fill`` after it)."""
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
