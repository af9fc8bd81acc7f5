"""Outputs that are samples, and the error for a sample of NaN logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..ir.graph import Graph, Node
from ..ir.scan import ScanParts
from ..support.errors import NonFiniteError, Where

_MOVED = ("reshape", "transpose", "broadcast", "slice", "ensure_shape", "tap")
"""Ops whose result has values of their operand only."""


def samples_of(graph: Graph) -> dict[str, Where | None]:
    """Return the outputs of a graph that are samples, with the lines that draw them."""
    sources = {name: _source(node) for name, node in graph.outputs}
    return {name: node.where for name, node in sources.items() if node is not None}


def _source(node: Node) -> Node | None:
    """Return the ``select`` that computes a sample; None if the value is not a sample."""
    while True:
        if node.op == "select" and node.get("samples"):
            return node
        if node.op == "select" and _is_filler(node.operands[2]):  # past the end of a row, or where a mask is False
            node = node.operands[1]
        elif node.op in _MOVED:
            node = node.operands[0]
        elif node.op == "get" and node.operands[0].op == "scan":
            parts = ScanParts.of(node.operands[0])
            every = [*(carry.next for carry in parts.carries), *(value for _, value in parts.emits)]
            node = every[node["index"]]
        else:
            return None


def _is_filler(node: Node) -> bool:
    """True for the results of rows that have ended: zeros, or the output of the last step."""
    return node.op == "input" or (node.op == "constant" and not (node["value"] == -1).any())


def check_samples(samples: Mapping[str, Where | None], leaves: Sequence[str], arrays: Sequence[Any]) -> None:
    """Raise ``NonFiniteError`` if a sample is -1, which means that its logits had a NaN."""
    for name, array in zip(leaves, arrays, strict=True):
        if name in samples and (array == -1).any():
            output = f"output {name} samples" if name else "the output samples"
            raise NonFiniteError(
                f"{output} NaN logits, and is -1 there; the call ran, and a stream went on; "
                "program.inference.check says where the NaN began",
                samples[name],
            )
