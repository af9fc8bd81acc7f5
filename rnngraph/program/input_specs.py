"""Shapes and dtypes of a program's placeholders and outputs, for ``program.inputs``."""

from __future__ import annotations

from collections.abc import Mapping

from ..ir.graph import Graph
from ..ir.types import dim_text
from ..support.attribute_hints import Named
from ..support.records import NamedTuple


class InputSpec(NamedTuple):
    """Declared shape, with None for an unnamed symbolic size, and dtype of a placeholder or output."""

    shape: tuple[int | str | None, ...]
    dtype: str


class InputSpecs(Named):
    """Specs of placeholders or outputs, by name."""

    __slots__ = ()
    _title = "the program"


def output_specs(graph: Graph, shapes: Mapping[str, tuple[int | str | None, ...]], bare: str) -> InputSpecs:
    """Return the shape and dtype of each output of a graph, by path.

    Args:
        graph: The inference graph.
        shapes: Shapes of placeholders as they were declared; sizes that are named there keep their names.
        bare: Name for the output of a declaration that is a single Tensor.
    """
    named = {dim for shape in shapes.values() for dim in shape if isinstance(dim, str)}
    specs = {}
    for path, node in graph.outputs:
        texts = [dim if isinstance(dim, int) else dim_text(dim) for dim in node.shape]
        shape = tuple(text if isinstance(text, int) or text in named else None for text in texts)
        specs[path or bare] = InputSpec(shape, node.dtype)
    return InputSpecs(specs)
