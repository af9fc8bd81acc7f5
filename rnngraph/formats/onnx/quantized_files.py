"""Chooses the options of ``rg.compile`` with which the program of a quantized file computes in 8 bits."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..script import Script
from .core.model import Graph, Model, Node, subgraphs

OF_WEIGHTS = frozenset(("DequantizeLinear", "DynamicQuantizeLSTM"))
"""Ops that show that a file has quantized weights, but not that its activations are quantized."""
OF_BOTH = frozenset(
    (
        "ConvInteger",
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "QGemm",
        "QLinearConv",
        "QLinearMatMul",
        "QuantizeLinear",
    )
)
"""Ops that show that a file has quantized weights and activations."""
MIN_DEPTH, MIN_WEIGHTS = 32, 4096
"""Minimum rows and elements of one weight. If all weights are smaller, products in 8 bits are not faster."""


def narrow_options(model: Model, script: Script) -> dict[str, str | dict[str, str]]:
    """Return the options of ``rg.compile`` with which the program of a quantized file computes in 8 bits.

    {} if the file is not quantized, has a float64 parameter, or has only weights that are too small to gain.
    """
    ops = {node.op for node in _nodes(model.graph)}
    shapes = [array.shape for array in script.parameters.values() if len(array.shape) > 1]
    is_wide = any(shape[-2] >= MIN_DEPTH and math.prod(shape) >= MIN_WEIGHTS for shape in shapes)
    is_float32 = all(array.dtype != "float64" for array in script.parameters.values())
    if not is_wide or not is_float32 or not ops & (OF_WEIGHTS | OF_BOTH):
        return {}
    return {"weights": "int8", "activations": "int8"} if ops & OF_BOTH else {"weights": "int8"}


def _nodes(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        yield node
        for inner in subgraphs(node):
            yield from _nodes(inner)
