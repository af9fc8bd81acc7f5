"""Builds the graphs of a trainer: one for each variant of a step, and the update from accumulated gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...declare.nest import flatten, matched
from ...declare.parameters import layer_of
from ...declare.tensor import Tensor
from ...ir.graph import Graph, Node, with_lines, with_sizes
from ...ir.types import TensorType
from ...passes.gradients.autodiff import with_parameters
from ...passes.label_weights import LabelWeights
from ...passes.lowering.lowered import Lowered
from ...passes.pipeline import Pass
from ...passes.shards.shard import ShardGraph, shard
from ...passes.train_step import AddGradients, GiveGradients, TrainStep, gradients_graph, update_graph, with_updates
from ...runtime.native.compiled_graph import CompiledGraph
from ...runtime.native.optimized_graph import Changes
from ...support.errors import DtypeError, ShapeError, StructureError, Where, shown
from ..optimization.optimizers import is_own, numbers_of, slots_of
from .batch_rows import BatchRows
from .fetches import Fetch
from .step_runner import NativeStep, StepVariant
from .train_state import TrainState


def variant_of(
    state: TrainState, states: str, label_weights: tuple[float, ...], fetch: Fetch | None = None
) -> StepVariant:
    """Build a step: loss, gradients, and the update or, with ``accumulate``, the sums of gradients.

    Args:
        state: State of the trainer.
        states: ``SHOWN`` to start from declared states, ``FED`` to start from fed ones.
        label_weights: Weight of each class in the loss; empty for none.
        fetch: Results besides the loss; None for none.
    """
    lowered, graph, wrt, then = _step(state, states, label_weights, fetch)
    then = (*then, AddGradients(state.where) if state.accumulate > 1 else _train_step(state))
    compiled = _compiled(state, graph, wrt, then)
    return StepVariant(state, lowered, compiled, states, state.program.training.input_names(), fetch)


def shard_of(
    state: TrainState, states: str, label_weights: tuple[float, ...], fetch: Fetch | None, rows: BatchRows
) -> tuple[StepVariant, ShardGraph]:
    """Build the step that computes the gradients of one shard of a batch. Return (step, its sharded graph)."""
    lowered, graph, wrt, _ = _step(state, states, label_weights, fetch)
    sharded = shard(with_sizes(graph, rows.likely), rows.names)
    compiled = _compiled(state, sharded.graph, wrt, (GiveGradients(),))
    variant = StepVariant(state, lowered, compiled, states, state.program.training.input_names(), fetch)
    return variant, sharded


def _step(
    state: TrainState, states: str, label_weights: tuple[float, ...], fetch: Fetch | None
) -> tuple[Lowered, Graph, tuple[str, ...], tuple[Pass, ...]]:
    """Lower a step. Return (lowering, graph without gradients, names to differentiate by, later passes)."""
    beside = [] if fetch is None else [*fetch.declared.items()]
    applied = [] if state.applied is None else state.applied.declared()
    lowered = state.program.parts.source.with_states(states, [*beside, *applied])
    then: tuple[Pass, ...] = ()
    wrt = state.trained
    fetched = [] if fetch is None else fetch.labelled(lowered.graph)
    if state.applied is not None:
        fetched += [(label, lowered.graph.output(label)) for label, _ in applied]
        wrt = state.applied.wrt(wrt)
        then = (state.applied.replacing(lowered.placeholders),)
    graph = _needed_to_train(lowered, fetched, _parameter_types(state, _touched_parameters(wrt, state)))
    graph = LabelWeights(label_weights)(graph) if label_weights else graph
    return lowered, graph, wrt, then


def update_of(state: TrainState) -> NativeStep:
    """Build the native step that updates parameters from accumulated gradients."""
    graph = update_graph(_parameter_types(state, state.trained), _update_lines(state))
    compiled = _compiled(state, graph, (), (_train_step(state),))
    return NativeStep(state, compiled, tuple(name for name, _ in compiled.graph.outputs), state.flush_inputs)


def adding_of(state: TrainState, gradients: Callable[[], Mapping[str, np.ndarray]]) -> NativeStep:
    """Build the native step that adds gradients to the accumulated sums.

    Args:
        state: State of the trainer.
        gradients: Function that returns the gradients, as inputs ``gradient/<label>``.
    """
    graph = gradients_graph(_parameter_types(state, state.trained))
    compiled = _compiled(state, graph, (), (AddGradients(state.where),))
    names = tuple(name for name, _ in compiled.graph.outputs)
    return NativeStep(state, compiled, names, lambda: {**state.present_sums(), **gradients()})


def _compiled(state: TrainState, graph: Graph, wrt: tuple[str, ...], then: tuple[Pass, ...]) -> CompiledGraph:
    parts = state.program.parts
    changes = Changes(wrt, then=then)
    return CompiledGraph(graph, "training", parts.options, parts.source.described, changes, state.recompute)


def _touched_parameters(wrt: tuple[str, ...], state: TrainState) -> tuple[str, ...]:
    """Return the names of parameters that a step updates, or with respect to which it differentiates."""
    return tuple(name for name in dict.fromkeys((*wrt, *state.updated)) if name in state.program.parameters)


def _parameter_types(state: TrainState, names: tuple[str, ...]) -> dict[str, TensorType]:
    return {name: state.program.parameters.slot(name).type for name in names}


def _needed_to_train(
    lowered: Lowered, fetched: Sequence[tuple[str, Node]], parameters: Mapping[str, TensorType]
) -> Graph:
    """Return the part of a training graph that a step computes: loss, fetched values, states and declared updates.

    The program's outputs are left out, because their names could equal those of other outputs.

    Args:
        lowered: Lowered training graph.
        fetched: Labels and nodes of fetched values.
        parameters: Types of the parameters that the step changes, by label. All become inputs, even if nothing reads
            them, as a learned initial state that a fed state replaces.
    """
    states = sum(len(flatten(nest)) for nest in lowered.states)
    graph = lowered.graph
    outputs = [("loss", graph.output("loss")), *fetched, *graph.outputs[len(graph.outputs) - states :]]
    needed = with_updates(Graph.of(graph.name, outputs, graph.inputs, graph.comments), graph)
    return with_parameters(needed, parameters)


def _checked_node(parameter: Node, value: object, what: str) -> Node:
    """Return the node of a result of an optimizer's update. Raise an error unless it has the parameter's type.

    Args:
        parameter: The parameter.
        value: The result: the new parameter, or a new slot.
        what: Name of the optimizer's method in errors.
    """
    if not isinstance(value, Tensor):
        raise DtypeError(f"{what} returns {shown(value)} for {parameter['label']}; return a Tensor")
    if value.type != parameter.tensor:
        raise ShapeError(f"{what} returns {value.type} for {parameter['label']}; return {parameter.tensor}")
    return value.node


def _train_step(state: TrainState) -> TrainStep:
    """Return the pass that adds the optimizer's update of parameters to a graph with gradients."""
    optimizer = state.optimizer

    def update(
        parameter: Node, gradient: Node, slots: Mapping[str, Node], numbers: Mapping[str, Node]
    ) -> tuple[Node, dict[str, Node]]:
        """Return (updated parameter, new slots) by the optimizer. Raise an error for results of a wrong type."""
        what = f"{type(optimizer).__name__}.update"
        updated = optimizer.update(
            Tensor(parameter),
            Tensor(gradient),
            {name: Tensor(node) for name, node in slots.items()},
            {name: Tensor(node) for name, node in numbers.items()},
        )
        if not isinstance(updated, tuple) or len(updated) != 2:
            raise StructureError(f"{what} returns {shown(updated)}; return (parameter, slots), both after the update")
        after, kept = updated
        values = matched(dict.fromkeys(slots), kept, f"{what}: new slots")
        converted = [_checked_node(parameter, item, what) for item in (after, *values)]
        if not is_own(optimizer):  # a built-in optimizer's ops get no line of their own here
            converted = with_lines(converted, [parameter, gradient, *slots.values(), *numbers.values()], lambda _: None)
        return converted[0], dict(zip(slots, converted[1:], strict=True))

    return TrainStep(
        update,
        tuple(slots_of(optimizer)),
        tuple(numbers_of(optimizer, 0)),
        state.clip_norm,
        state.clip_value,
        state.skip_non_finite,
        state.where,
        _update_lines(state),
    )


def _update_lines(state: TrainState) -> dict[str, Where]:
    """Return the source line of each parameter's update: the trainer's line, in the parameter's layer."""
    parameters, where = state.program.parameters, state.where
    if where is None:
        return {}
    return {name: where.of(layer_of(parameters.slot(name), name), "update") for name in state.trained}
