"""The graphs that a trainer runs: a step of each way to step, and the update of summed gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..declare.nest import flatten, matched
from ..declare.tensor import Tensor
from ..ir.graph import Graph, Node
from ..ir.types import TensorType
from ..passes.gradients.autodiff import with_parameters
from ..passes.label_weights import LabelWeights
from ..passes.lowering.lowered import Lowered
from ..passes.pipeline import Pass
from ..passes.train_step import AddGradients, TrainStep, update_graph
from ..runtime.native.compiled_graph import CompiledGraph
from .step_runner import Native, Way

if TYPE_CHECKING:
    from .trainer import Trainer


def way_of(trainer: Trainer, states: str, label_weights: tuple[float, ...]) -> Way:
    """A step with states shown or given. label_weights: one for each class, by which the loss counts its labels."""
    lowered = trainer.program.with_states(states)
    then = AddGradients() if trainer.accumulate > 1 else _train_step(trainer)
    graph = _needed_to_train(lowered, _kinds(trainer))
    graph = LabelWeights(label_weights)(graph) if label_weights else graph
    return Way(trainer, lowered, _compiled(trainer, graph, trainer.trained, then), states)


def update_of(trainer: Trainer) -> Native:
    """An update of the gradients that steps have summed up."""
    compiled = _compiled(trainer, update_graph(_kinds(trainer)), (), _train_step(trainer))
    return Native(compiled, tuple(name for name, _ in compiled.graph.outputs))


def _compiled(trainer: Trainer, graph: Graph, wrt: tuple[str, ...], then: Pass) -> CompiledGraph:
    program = trainer.program
    return CompiledGraph(
        graph, "training", program.target, program.unroll, program.declared_text, wrt, then=(then,),
        cache=program.cache, workers=program.workers, notices=program.notices,
    )  # fmt: skip


def _kinds(trainer: Trainer) -> dict[str, TensorType]:
    return {name: trainer.program.parameters.slot(name).type for name in trainer.trained}


def _needed_to_train(lowered: Lowered, parameters: Mapping[str, TensorType]) -> Graph:
    """The loss and the states, without what the user wanted to see: its names may be those of new values.

    parameters: by label, those to train; with states given the graph may not read all (a learned initial state).
    """
    states = sum(len(flatten(nest)) for nest in lowered.states)
    graph = lowered.graph
    outputs = [("loss", graph.output("loss")), *graph.outputs[len(graph.outputs) - states :]]
    return with_parameters(Graph.of(graph.name, outputs, graph.inputs, graph.comments), parameters)


def _train_step(trainer: Trainer) -> TrainStep:
    """The pass that makes gradients new parameters, as the trainer's optimizer does."""
    optimizer = trainer.optimizer

    def update(
        parameter: Node, gradient: Node, slots: Mapping[str, Node], numbers: Mapping[str, Node]
    ) -> tuple[Node, dict[str, Node]]:
        after, kept = optimizer.update(
            Tensor(parameter),
            Tensor(gradient),
            {name: Tensor(node) for name, node in slots.items()},
            {name: Tensor(node) for name, node in numbers.items()},
        )
        values = matched(dict.fromkeys(slots), kept, f"{type(optimizer).__name__}.update: new slots")
        return after.node, {name: tensor.node for name, tensor in zip(slots, values, strict=True)}

    return TrainStep(
        update, tuple(optimizer.slots()), tuple(optimizer.numbers(0)), trainer.clip_norm, trainer.clip_value
    )
