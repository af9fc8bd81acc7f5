"""Writes affine recurrences as ONNX's LinearAttention nodes."""

from __future__ import annotations

from ....ir.graph import Node
from ....ir.scan import ScanParts
from .operators import Writer, hint_of
from .recognition.linear_attention import LinearAttention
from .recognition.patterns import is_filled

SINCE = 27
"""First opset with ``LinearAttention``."""


def write_linear_attention(writer: Writer, node: Node, operator: LinearAttention) -> list[str]:
    """Write a scan as a LinearAttention node. Return the names of [last state, outputs [time, rows, width]]."""
    scope, scan = writer.scope, ScanParts.of(node)
    (carry,) = scan.carries
    by_label = {str(binding.inside["label"]): _rows_first(writer, binding.outside) for binding in scan.sequences}
    past = "" if is_filled(carry.initial, 0) else scope.values[carry.initial]
    inputs = [*(by_label[label] for label in "qkv"), past, by_label.get("g", ""), by_label.get("b", "")]
    while not inputs[-1]:
        inputs.pop()
    y, state = scope.add_many(
        "LinearAttention",
        inputs,
        [f"{hint_of(node)}/y", f"{hint_of(node)}/S"],
        q_num_heads=operator.heads,
        kv_num_heads=operator.heads,
        scale=1.0,
        update_rule=operator.rule,
    )
    transposed = writer.add("Transpose", y, hint=f"{hint_of(node)}/y", perm=[1, 0, 2])
    scope.model.transposes[transposed] = y, (1, 0, 2)
    return [state, transposed]


def _rows_first(writer: Writer, sequence: Node) -> str:
    """Return the name of a sequence [time, rows, width] as [rows, time, width]."""
    if sequence.op == "transpose" and sequence["order"] == (1, 0, 2):
        return writer.scope.values[sequence.operands[0]]
    return writer.add("Transpose", writer.scope.values[sequence], perm=[1, 0, 2])
