"""Native steps of a trainer: the graph of one way to step, its entries by the sizes they meet, and their calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..declare.nest import flatten
from ..errors import GraphError, ShapeError, Where
from ..ir.graph import Graph, topological
from ..ir.types import evaluate
from ..passes.lower import GIVEN, Lowered
from ..passes.train_step import NEW, NORM, SLOT, SUM
from .compiled import CompiledGraph
from .feeds import Check, run_checks
from .native import NativeEntry, Sized, Weights

if TYPE_CHECKING:
    from .trainer import Trainer

MOST_KNOWN_SHAPES = 1024


class Native:
    """Native entries of one graph by the sizes they meet, with packed weights that each step packs anew."""

    def __init__(self, compiled: CompiledGraph, outputs: tuple[str, ...]) -> None:
        self.compiled, self.outputs = compiled, outputs
        self._weights: dict[NativeEntry, Weights] = {}

    def call(
        self, trainer: Trainer, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> dict[str, np.ndarray]:
        entry = self.compiled.entry(self.outputs, sizes)
        return self.run(trainer, arrays, entry, entry.sized(sizes))

    def run(
        self, trainer: Trainer, arrays: Mapping[str, np.ndarray], entry: NativeEntry, sized: Sized
    ) -> dict[str, np.ndarray]:
        version, values = trainer.program.parameters.snapshot()
        weights = entry.packed(version, values, self._weights.get(entry))
        results = []
        for item, shape in zip(entry.outputs, sized.shapes, strict=True):
            target = trainer.target(item.name)
            results.append(np.empty(shape, item.dtype) if target is None else target)
        entry.call_with(weights, arrays, sized, results)
        self._weights[entry] = replace(weights, arrays=())  # old values are free to be written over
        return dict(zip(entry.output_slots, results, strict=True))


def needed_to_train(lowered: Lowered) -> Graph:
    """The loss and the states, without what the user wanted to see: its names may be those of new values."""
    states = sum(len(flatten(nest)) for nest in lowered.states)
    graph = lowered.graph
    outputs = [("loss", graph.output("loss")), *graph.outputs[len(graph.outputs) - states :]]
    return Graph.of(graph.name, outputs, graph.inputs, graph.comments)


class Way:
    """One way to step: with states as declared, or carried on from the step before."""

    def __init__(self, trainer: Trainer, lowered: Lowered, compiled: CompiledGraph, states: str) -> None:
        self.lowered = lowered
        graph = compiled.graph
        reached = set(topological([graph.output("loss")]))
        labels = [label for nest in lowered.states for label in flatten(nest)]
        finals = {name: node for name, node in graph.outputs if name in labels}
        # Only what the loss depends on is carried, and only forward in time.
        scans = {name: node.operands[0] for name, node in finals.items()}
        self.backward = [node.where for node in scans.values() if node["reverse"]]
        self.states = tuple(label for label in labels if scans[label] in reached) if not self.backward else ()
        ours = (NEW, SLOT, SUM)
        outputs = [name for name, _ in graph.outputs if name.startswith(ours) or name in ("loss", NORM, *self.states)]
        self.native = Native(compiled, tuple(outputs))
        self.kinds = {str(node["label"]): node.tensor for node in graph.inputs if node.op == "input"}
        given = self.states if states == GIVEN else ()
        self.given = {name: self.kinds[name] for name in given if name in self.kinds}
        self.own = frozenset((*self.kinds.keys() - trainer.program.training.takes(), *given))
        self._known: dict[Any, tuple[NativeEntry, Sized, tuple[Check, ...]]] = {}

    def check_carries(self, where: Where | None) -> None:
        if self.backward:
            raise GraphError(
                f"carry=True can't carry a backward recurrence (declared at {self.backward[0]}): its state comes from "
                "the end of the sequence",
                where,
            )
        if not self.states:
            raise GraphError("carry=True has no state to carry: the loss depends on no recurrence", where)

    def run(
        self,
        trainer: Trainer,
        arrays: dict[str, np.ndarray],
        states: Mapping[str, np.ndarray],
        where: Where | None,
    ) -> dict[str, np.ndarray]:
        key = tuple((name, array.shape) for name, array in arrays.items())
        known = self._known.get(key)
        if known is None:  # shapes that were met before need no checks of sizes
            compiled, outputs = self.native.compiled, self.native.outputs
            sizes = trainer.program.training.sizes(arrays, outputs, where, compiled, self.own)
            entry = compiled.entry(outputs, sizes)
            if len(self._known) >= MOST_KNOWN_SHAPES:
                self._known.clear()
            known = self._known[key] = (entry, entry.sized(sizes), compiled.range_checks(outputs))
        entry, sized, ranges = known
        self._check_states(states, sized.sizes, where)
        if ranges:
            run_checks(ranges, arrays, sized.sizes, where)
        return self.native.run(trainer, {**arrays, **states, **trainer.inputs()}, entry, sized)

    def _check_states(self, states: Mapping[str, np.ndarray], sizes: Mapping[str, int], where: Where | None) -> None:
        for name, kind in self.given.items():
            wanted = tuple(evaluate(dim, sizes) for dim in kind.shape)
            if states[name].shape != wanted:
                raise ShapeError(
                    f"carry=True continues {states[name].shape[0]} rows, and this step feeds {wanted[0]}; feed as "
                    "many, or call reset() to begin anew",
                    where,
                )
