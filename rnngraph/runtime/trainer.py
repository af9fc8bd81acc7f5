"""Training: a loss, its gradients, clipping and the optimizer's update as one native call."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from ..declare.nest import flatten
from ..declare.tensor import Tensor
from ..errors import ArgumentError, DtypeError, GraphError, NameLookupError, ShapeError, Where, user_line
from ..ir.graph import Graph, Node, topological
from ..ir.types import evaluate
from ..passes.lower import GIVEN, SHOWN, Lowered
from ..passes.pipeline import Pass
from ..passes.train_step import NEW, NORM, NUMBER, SLOT, SUM, AddGradients, TrainStep, update_graph
from .compiled import CompiledGraph
from .feeds import Check, run_checks
from .native import NativeEntry, Sized, Weights
from .optimizers import Adam, Optimizer
from .program import Program
from .updates import Spares

MOST_KNOWN_SHAPES = 1024


class Trainer:
    """Trains a program's parameters; both of its graphs, and its live streams, use the new values at once.

    optimizer: ``Adam(1e-3)`` by default. clip_norm: the norm of all gradients together is at most this
    (Pascanu et al. 2013). clip_value: each element of a gradient is within ±clip_value, before the norm.
    only: names of the parameters to train, or patterns such as ``"rnn/*"``; None trains all that are trainable.
    accumulate: steps whose gradients are averaged for one update.

    An update that would not be finite is left out: ``step`` gives the loss as it is, parameters stay.
    """

    def __init__(
        self,
        program: Program,
        optimizer: Optimizer | None = None,
        clip_norm: float | None = None,
        only: str | Sequence[str] | None = None,
        *,
        clip_value: float | None = None,
        accumulate: int = 1,
    ) -> None:
        where = user_line()
        if not isinstance(program, Program):
            raise DtypeError(f"a Trainer takes a Program of rg.compile, not {type(program).__name__}", where)
        if program.loss is None:
            raise GraphError("a Trainer needs a loss; give one to rg.compile", where)
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise DtypeError(f"optimizer={optimizer!r} is no optimizer; give one such as rg.Adam(1e-3)", where)
        self.program, self.optimizer = program, Adam() if optimizer is None else optimizer
        self.clip_norm = _positive("clip_norm", clip_norm, where)
        self.clip_value = _positive("clip_value", clip_value, where)
        if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
            raise ArgumentError(f"accumulate={accumulate!r} must be a positive int", where)
        self.accumulate = accumulate
        self.trained = _trained(program, only, where)
        self.updates, self.skipped, self.pending = 0, 0, 0
        self.gradient_norm = math.nan
        self.slots = {
            f"{SLOT}{slot}/{name}": np.full_like(program.parameters[name], value)
            for name in self.trained
            for slot, value in self.optimizer.slots().items()
        }
        self.sums: dict[str, np.ndarray] = {}
        self.carried: dict[str, np.ndarray] | None = None
        self._lock = threading.RLock()
        self._spares, self._parameter_spares = Spares(), Spares()
        self._ways: dict[str, _Way] = {}
        self._update: _Native | None = None

    # Steps ---------------------------------------------------------------------------------------

    def step(
        self, feeds: Mapping[Any, Any] | None = None, /, *, carry: bool = False, seed: int | None = None, **named: Any
    ) -> float:
        """One batch: forward, backward, clip and update. Gives the loss before the update.

        feeds: as in ``program.training``. carry: states start where the last step's ended, and no gradient
        passes to that step; without one they start as declared. seed: of the masks; None draws the next from
        the program's generator.
        """
        where = user_line()
        training = self.program.training
        arrays = training.gather(feeds, named, where)
        arrays.update(training.counters(seed))
        with self._lock:
            return self._step(arrays, carry, where)

    def _step(self, arrays: dict[str, np.ndarray], carry: bool, where: Where | None) -> float:
        if carry and self.carried is not None:
            way = self._way(GIVEN, where)
            found = way.run(self, arrays, self.carried, where)
        else:
            way = self._way(SHOWN, where)
            if carry:
                way.check_carries(where)
            found = way.run(self, arrays, {}, where)
        loss = float(found["loss"])
        if not self._counts(loss, found):
            return loss
        self.carried = {label: found[label] for label in way.states} if way.states else None
        if self.accumulate == 1:
            self._take(found)
            return loss
        self.sums = self._spares.swap(self._present_sums())
        self.pending += 1
        if self.pending >= self.accumulate:
            self.flush()
        return loss

    def flush(self) -> None:
        """Makes an update of the gradients that were accumulated so far, if there are any."""
        with self._lock:
            if not self.pending:
                return
            if self._update is None:
                kinds = {name: self.program.parameters.slot(name).type for name in self.trained}
                compiled = self._compiled(update_graph(kinds), (), self._train_step())
                self._update = _Native(compiled, tuple(name for name, _ in compiled.graph.outputs))
            inputs = {**self._present_sums(), **self.slots, **self._numbers()}
            inputs[f"{NUMBER}share"] = np.asarray(1 / self.pending)
            found = self._update.call(self, inputs, {})
            self.sums, self.pending = {}, 0
            if self._counts(0.0, found):
                self._take(found)

    def _counts(self, loss: float, found: Mapping[str, np.ndarray]) -> bool:
        """Whether what was computed may be taken over: the loss and all gradients are finite."""
        self.gradient_norm = float(found[NORM])
        finite = math.isfinite(loss) and math.isfinite(self.gradient_norm)
        self.skipped += not finite
        return finite

    def _take(self, found: Mapping[str, np.ndarray]) -> None:
        """The new parameters and slots become the present ones."""
        parameters = self.program.parameters
        parameters.replace(self._parameter_spares.swap({name: parameters[name] for name in self.trained}))
        self.slots = self._spares.swap(self.slots)
        self.updates += 1

    def target(self, name: str) -> np.ndarray | None:
        """Where an output of a step is written, if it replaces something."""
        if name.startswith(NEW):
            label = name.removeprefix(NEW)
            return self._parameter_spares.target(label, self.program.parameters[label])
        if name.startswith(SLOT):
            return self._spares.target(name, self.slots[name])
        if name.startswith(SUM):
            return self._spares.target(name, self.program.parameters[name.removeprefix(SUM)])
        return None

    def inputs(self) -> dict[str, np.ndarray]:
        """What a step reads beside feeds and states."""
        if self.accumulate > 1:
            return self._present_sums()
        return {**self.slots, **self._numbers()}

    def _present_sums(self) -> dict[str, np.ndarray]:
        if not self.sums:
            self.sums = {SUM + name: np.zeros_like(self.program.parameters[name]) for name in self.trained}
        return self.sums

    def _numbers(self) -> dict[str, np.ndarray]:
        numbers = self.optimizer.numbers(self.updates)
        return {NUMBER + name: np.asarray(value, np.float64) for name, value in numbers.items()}

    # State ---------------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update. Set it to a number or a schedule to change it from here on."""
        return self.optimizer.numbers(self.updates)["rate"]

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self.optimizer = replace(self.optimizer, learning_rate=rate)

    def reset(self) -> None:
        """Forgets the states that ``carry=True`` would start from."""
        with self._lock:
            self.carried = None

    @property
    def graph(self) -> Graph:
        """The graph of a step: masks, loss, gradients and updates; ``str()`` prints it."""
        return self._way(SHOWN, user_line()).native.compiled.graph

    def show(self, stage: str = "graph") -> str:
        """The text of one stage of a step, as ``program.training.show``."""
        return self._way(SHOWN, user_line()).native.compiled.show(stage)

    # Graphs --------------------------------------------------------------------------------------

    def _way(self, states: str, where: Where | None) -> _Way:
        if states not in self._ways:
            lowered = self.program.with_states(states)
            then = AddGradients() if self.accumulate > 1 else self._train_step()
            compiled = self._compiled(lowered.graph, self.trained, then)
            self._ways[states] = _Way(self, lowered, compiled, states)
        return self._ways[states]

    def _compiled(self, graph: Graph, wrt: tuple[str, ...], then: Pass) -> CompiledGraph:
        program = self.program
        return CompiledGraph(
            graph, "training", program.target, program.unroll, program.declared_text, wrt, then=(then,)
        )

    def _train_step(self) -> TrainStep:
        optimizer = self.optimizer

        def update(
            parameter: Node, gradient: Node, slots: Mapping[str, Node], numbers: Mapping[str, Node]
        ) -> tuple[Node, dict[str, Node]]:
            after, kept = optimizer.update(
                Tensor(parameter),
                Tensor(gradient),
                {name: Tensor(node) for name, node in slots.items()},
                {name: Tensor(node) for name, node in numbers.items()},
            )
            return after.node, {name: tensor.node for name, tensor in kept.items()}

        slots, numbers = tuple(optimizer.slots()), tuple(optimizer.numbers(0))
        return TrainStep(update, slots, numbers, self.clip_norm, self.clip_value)


class _Native:
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


class _Way:
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
        self.native = _Native(compiled, tuple(outputs))
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


def _positive(name: str, value: Any, where: Where | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not value > 0:
        raise ArgumentError(f"{name}={value!r} must be a positive number, or None", where)
    return float(value)


def _trained(program: Program, only: str | Sequence[str] | None, where: Where | None) -> tuple[str, ...]:
    """Names of the parameters to train, in order."""
    parameters = program.parameters
    trainable = [name for name in parameters if parameters.slot(name).trainable]
    if only is None:
        chosen = trainable
    else:
        patterns = [only] if isinstance(only, str) else list(only)
        for pattern in patterns:
            if not isinstance(pattern, str):
                raise DtypeError(f"only={only!r} takes names of parameters, not {pattern!r}", where)
            if not any(fnmatchcase(name, pattern) for name in parameters):
                raise NameLookupError(
                    f"only={pattern!r} names no parameter; there are {', '.join(parameters) or 'none'}", where
                )
        chosen = [name for name in trainable if any(fnmatchcase(name, pattern) for pattern in patterns)]
    read = {str(node["label"]) for node in topological([program.lowered.graph.output("loss")]) if node.get("label")}
    idle = [name for name in chosen if name not in read]
    if len(idle) == len(chosen):
        raise ArgumentError(
            "there is nothing to train: the loss reads no parameter that is trainable and chosen", where
        )
    if idle:
        text = f"{where}: the loss does not depend on {', '.join(idle)}; they are not trained"
        warnings.warn(text, stacklevel=3)
    return tuple(name for name in chosen if name in read)
