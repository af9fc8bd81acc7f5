"""Writes convolutions and pools. ONNX's sequences are [batch, width, time]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....ir.graph import Node
from .recognition.convolutions import Past, Windows, channels_of, convolution_of, is_last_of, past_of, pool_of
from .scope import Scope

Operands = Sequence[str]
SINCE = 27
"""First opset with ``CausalConvWithState``."""


def product(scope: Scope, node: Node, operands: Operands) -> str:
    """Write a matrix product: as a convolution if the operand is windows of a sequence, else as MatMul."""
    windows = convolution_of(node)
    hint = node.name or node.op
    if windows is None:
        value = scope.add("MatMul", *operands[:2], hint=hint)
    else:
        value = _convolution(scope, node, windows, operands[1])
    return value if len(operands) == 2 else scope.add("Add", value, operands[2], hint=hint)


def total(scope: Scope, node: Node, bias: str = "") -> str | None:
    """Write a sum that is a depthwise convolution, plus ``bias`` if given. Return its name; None for other sums."""
    channels = channels_of(node)
    if channels is None:
        return None
    windows, kernel = channels
    width = node.shape[2]
    assert isinstance(width, int)
    transposed = scope.add("Transpose", scope.reshape(scope.values[kernel], (windows.size, width)), perm=[1, 0])
    weight = scope.reshape(transposed, (width, 1, windows.size))
    past = past_of(windows) if scope.model.opset >= SINCE else None
    biases = [bias] if bias else []
    if past is None:
        return _over_windows(scope, node, "Conv", windows, weight, *biases, group=width)
    return _after_past(scope, node, past, weight, bias)


def sum_with_bias(scope: Scope, node: Node, operands: Operands) -> str:
    """Write a sum. The sum of a convolution and a bias becomes a convolution with the bias."""
    for inner, bias in (node.operands, node.operands[::-1]):
        if bias.shape != inner.shape[-1:]:
            continue
        if inner.op == "reduce_sum" and (value := total(scope, inner, scope.values[bias])) is not None:
            return value
        windows = convolution_of(inner) if inner.op == "matmul" and len(inner.operands) == 2 else None
        if windows is not None:
            return _convolution(scope, node, windows, scope.values[inner.operands[1]], scope.values[bias])
    return scope.add("Add", *operands, hint=node.name or node.op)


def largest(scope: Scope, node: Node) -> str | None:
    """Write a maximum that is a pool, and return the result's name; None for other maxima."""
    windows = pool_of(node)
    return None if windows is None else _over_windows(scope, node, "MaxPool", windows)


def last_steps(scope: Scope, node: Node) -> str | None:
    """Return the name of a slice that is the final state of a causal convolution with a past; None for other slices."""
    present = scope.model.presents.get(node.operands[0])
    if present is None or not is_last_of(node, present.past):
        return None
    return present.name if present.past.axis == 2 else scope.add("Transpose", present.name, perm=[0, 2, 1])


def _convolution(scope: Scope, node: Node, windows: Windows, kernel: str, *bias: str) -> str:
    """Write a convolution. The kernel [size * width, filters] is transposed to ONNX's [filters, width, size]."""
    width = windows.source.shape[2]
    assert isinstance(width, int)
    matrix = scope.reshape(kernel, (windows.size, width, -1))
    return _over_windows(scope, node, "Conv", windows, scope.add("Transpose", matrix, perm=[2, 1, 0]), *bias)


def _over_windows(scope: Scope, node: Node, op: str, windows: Windows, *weights: str, **options: Any) -> str:
    """Write a node ``op`` over the windows of a sequence [batch, time, width], and return the result's name."""
    padding = {"auto_pad": "SAME_UPPER"} if windows.padding is None else {"pads": list(windows.padding)}
    value = scope.add(
        op,
        scope.add("Transpose", scope.values[windows.source], perm=[0, 2, 1]),
        *weights,
        kernel_shape=[windows.size],
        strides=[windows.stride],
        dilations=[windows.dilation],
        **padding,
        **options,
    )
    return scope.add("Transpose", value, hint=node.name or node.op, perm=[0, 2, 1])


def _after_past(scope: Scope, node: Node, past: Past, weight: str, bias: str) -> str:
    """Write a convolution over past steps and the following sequence. Record the next past, its second output."""
    before, x = (scope.values[item] for item in past.joined.operands)
    if past.axis == 1:
        before, x = (scope.add("Transpose", item, perm=[0, 2, 1]) for item in (before, x))
    hint = node.name or node.op
    y, present = scope.add_many("CausalConvWithState", [x, weight, bias, before], [hint, f"{hint}/state"])
    scope.model.keep_present(past, present)
    transposed = scope.add("Transpose", y, hint=hint, perm=[0, 2, 1])
    scope.model.transposes[transposed] = y, (0, 2, 1)
    return transposed
