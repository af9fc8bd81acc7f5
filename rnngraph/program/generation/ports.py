"""Input and output of a net for tokens, inferred from shapes and dtypes."""

from __future__ import annotations

from collections.abc import Mapping

from ...ir.types import INTEGERS, TensorType
from ...passes.lowering.lowered import NUMBER
from ...runtime.streams.step_graph import StepGraph
from ...support.errors import ArgumentError, GraphError, Where, did_you_mean, shown
from ...support.records import dataclass


@dataclass(frozen=True)
class TokenPorts:
    """Input and output of a step graph for tokens.

    Attributes:
        input: Name of the input.
        output: Path of the output.
        place: Position of the output among all outputs.
        dtype: Dtype of the input.
        classes: Size of the output's last axis, which has the logits of a step; None if the output is a token itself.
        draws: True if the net calls ``rg.sample``, so that its streams have numbers.
    """

    input: str
    output: str
    place: int
    dtype: str
    classes: int | None
    draws: bool


def token_ports(graph: StepGraph, input_name: str | None, output: str | None, where: Where | None) -> TokenPorts:
    """Return the input that takes a token a step, and the output that gives its logits or the next token.

    Args:
        graph: Graph of a step.
        input_name: Name of the input; None: the only one that takes an integer a step.
        output: Path of the output; None: the only output with logits or one token per step.
        where: Line of the call.

    Raises:
        ArgumentError: There is no such input or output, or several. The error lists the candidates.
        GraphError: The net needs other inputs, or its outputs come steps later.
    """
    if graph.delay or graph.rate != 1:
        raise GraphError(
            f"a step of this net takes {graph.rate} tokens and returns its outputs {graph.delay} steps later, but "
            "each output must be the next input; use a causal net that reads one token a step",
            where,
        )
    fed = {name: graph.types[name] for name in graph.types if name in graph.per_step_feeds}
    inputs = {name: kind for name, kind in fed.items() if _is_token(kind, graph.axes.feeds[name])}
    results = {name: node.tensor for name, node in graph.compiled.graph.outputs if name in graph.outputs}
    outputs = {name: kind for name, kind in results.items() if _gives_token(kind, graph.axes.outputs.get(name))}
    source = _chosen(input_name, inputs, fed, "input", "input that takes an integer for each row and step", where)
    what = "output that gives logits or an integer for each row and step"
    chosen = _chosen(output, outputs, results, "output", what, where)
    _check_others(graph, source, where)
    kind = outputs[chosen]
    classes = None if kind.dtype in INTEGERS else int(str(kind.shape[-1]))
    return TokenPorts(source, chosen, [*results].index(chosen), fed[source].dtype, classes, NUMBER in graph.types)


def _is_token(kind: TensorType, time_axis: int | None) -> bool:
    """True for the type of an input that takes one integer for each row and step."""
    return kind.dtype in INTEGERS and kind.rank == 2 and time_axis == 1


def _gives_token(kind: TensorType, time_axis: int | None) -> bool:
    """True for the type of an output that has logits, or one integer, for each row and step."""
    if time_axis != 1:
        return False
    return (kind.dtype in INTEGERS and kind.rank == 2) or (
        kind.dtype == "float32" and kind.rank == 3 and isinstance(kind.shape[-1], int)
    )


def _chosen(
    name: str | None,
    candidates: Mapping[str, TensorType],
    others: Mapping[str, TensorType],
    option: str,
    what: str,
    where: Where | None,
) -> str:
    """Return ``name`` if it is a candidate, or the only candidate for None; else raise ``ArgumentError``."""
    if name is None:
        if len(candidates) == 1:
            return next(iter(candidates))
        if candidates:
            raise ArgumentError(
                f"generate needs one {what}, and the net has several, {_listed(candidates, option)}; choose by "
                f"{option}=",
                where,
            )
        raise ArgumentError(
            f"generate needs one {what}, which the net lacks: it has {_listed(others, option)}; declare one", where
        )
    if name not in candidates:
        hint = did_you_mean(name, candidates) or f"; there are: {_listed(candidates, option)}"
        also = f", but {others[name]}" if name in others else ""
        raise ArgumentError(f"{option}={shown(name)} is not an {what}{also}{hint}", where)
    return name


def _listed(types: Mapping[str, TensorType], option: str) -> str:
    return ", ".join(f"{name or f'the only {option}'} {kind}" for name, kind in types.items()) or "nothing"


def _check_others(graph: StepGraph, source: str, where: Where | None) -> None:
    """Raise ``GraphError`` if the net needs an input other than tokens."""
    initial = tuple(name for name, _ in graph.initial.graph.outputs)
    needed = [*graph.compiled.needed(graph.outputs), *(graph.initial.needed(initial) if initial else ())]
    others = {
        name: graph.types[name]
        for name in needed
        if name in graph.types and name != source and (name in graph.per_step_feeds or name not in graph.held_feeds)
    }
    if others:
        raise GraphError(
            f"generate feeds only {source}, but the net also needs {_listed(others, 'input')}; give it a default, or "
            "step a stream and feed both",
            where,
        )
