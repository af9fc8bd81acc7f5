"""Description of a program's inputs, which ``batching`` needs to read examples."""

from __future__ import annotations

from typing import Any

from ..batching.input_axes import GraphInputs, ProgramInputs
from .callable_graph import CallableGraph


def example_inputs(
    inference: CallableGraph[Any], evaluation: CallableGraph[Any], training: CallableGraph[Any]
) -> ProgramInputs:
    """Return the inputs of the graphs of one program."""
    first, second, third = (
        GraphInputs(graph.compiled, graph.input_types()) for graph in (inference, evaluation, training)
    )
    parts = training.parts
    return ProgramInputs(parts.names, first, second, third, frozenset(parts.lowered.defaults))
