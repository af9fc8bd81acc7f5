"""Training operations. One native call computes an update and the run's other fetches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.parameters import ParameterSpec
from ...declare.tensor import Tensor, build, constant
from ...ir.graph import Node, topological
from ...support.bounded_cache import BoundedCache
from ...support.errors import ArgumentError, DtypeError, shown
from ...training.steps.applied_gradients import AppliedGradients
from ...training.trainer import Trainer
from ..core.operations import Step
from ..core.programs import FetchProgram, FetchSet, as_fed
from ..core.rolling.cuts import fed_instead
from ..core.rolling.rolled import Rolled
from ..core.variable import Variable
from .gradients import Derivative, looked_up_rows, specs_of, stand_ins_of, targets_of
from .rules import EveryRow, Rule, rounded
from .slots import OptimizerState

MAX_PROGRAMS = 64
"""Maximum number of compiled programs that a training operation caches, one for each set of fed Tensors."""
MAX_FETCHES = 256
"""Maximum number of sets of fetches whose dependencies a program caches."""


class TrainOp(Step):
    """Result of ``optimizer.apply_gradients``. A run updates the variables once.

    Attributes:
        rule: The equations.
        state: State of the optimizer: slots and powers.
        pairs: (gradient, variable) pairs.
        touched: Masks of the rows that a step looks up, by name of a variable, for sparse updates.
        global_step: Variable that counts updates, or None.
        loss: The one loss whose gradients the pairs contain; None if there are several losses or none.
        declared: Nodes of the hyperparameters that are scalar Tensors. The update's native call computes them.
    """

    def __init__(
        self,
        rule: Rule,
        numbers: Mapping[str, Any],
        state: OptimizerState,
        pairs: Sequence[tuple[Tensor, Variable]],
        global_step: Any,
        name: str,
    ) -> None:
        self.rule, self.state, self.pairs = rule, state, list(pairs)
        fixed = {name: item for name, item in numbers.items() if not callable(item) and not isinstance(item, Tensor)}
        rule.present.update((name, rounded(item)) for name, item in fixed.items())
        tensors = {name: item for name, item in numbers.items() if isinstance(item, Tensor)}
        self.declared = {name: item.node for name, item in tensors.items() if not item.type.shape}
        self._run_time_numbers = {
            name: item for name, item in numbers.items() if name not in fixed and name not in self.declared
        }
        self.global_step = global_step
        if global_step is not None and not isinstance(global_step, Variable):
            raise DtypeError(
                f"global_step must be a variable, not {shown(global_step)}; use tf.train.get_or_create_global_step()"
            )
        if any(variable is global_step for _, variable in self.pairs):
            raise ArgumentError(f"global_step={global_step!r} is trainable; create it with trainable=False")
        self.loss = _loss_of(self.pairs)
        rows = [(variable.full, looked_up_rows(gradient)) for gradient, variable in self.pairs]
        self.touched = {
            name: touched for name, touched in rows if touched is not None and not isinstance(rule, EveryRow)
        }
        self._programs: BoundedCache[frozenset[Node], TrainProgram] = BoundedCache(MAX_PROGRAMS)
        self._separated: AppliedStep | None = None
        super().__init__(name)

    def reads(self) -> list[Node]:
        gradients = [gradient.node for gradient, _ in self.pairs]
        own = [] if self.loss is None else [self.loss.node]
        return [*dict.fromkeys((*own, *gradients, *self._reads_besides_gradients()))]

    def forces(self) -> list[Node]:
        return [*(gradient.node for gradient, _ in self.pairs), *self._reads_besides_gradients()]

    @property
    def is_whole(self) -> bool:
        return self.loss is not None

    def writes(self) -> list[ParameterSpec]:
        counted = [] if self.global_step is None else [self.global_step]
        return [variable.spec for variable in (*(variable for _, variable in self.pairs), *counted)]

    def _reads_besides_gradients(self) -> list[Node]:
        """Return the nodes that an update reads in addition to gradients."""
        return [*(rows.node for rows in self.touched.values()), *self.declared.values()]

    def separated(self) -> AppliedStep:
        if self._separated is None:
            self._separated = AppliedStep(self)
        return self._separated

    @property
    def slot_names(self) -> list[str]:
        """Full names of the slots that an update reads."""
        return [
            self.state.variables[variable.full, slot].full for _, variable in self.pairs for slot in self.rule.slots()
        ]

    def step(self, session: Any, fetches: FetchSet, values: Mapping[Node, Any], seed: int) -> Sequence[np.ndarray]:
        """Update the variables once, and return the values that ``fetches`` had before the update."""
        program = self._programs.get(fetches.fed)
        if program is None or not program.knows(fetches):
            program = self._programs[fetches.fed] = TrainProgram(self, fetches, program)
        self.rule.present.update(self.state.powers)
        if self._run_time_numbers:
            self.set_run_time_numbers(session, values, seed)
        results = program.step(session, fetches, values, seed)
        self.state.advance()
        return results

    def set_run_time_numbers(self, session: Any, values: Mapping[Node, Any], seed: int) -> None:
        """Set the hyperparameters that each update asks for anew, such as the rate from a function."""
        for name, item in self._run_time_numbers.items():
            self.rule.present[name] = self._number(item, session, values, seed)

    def _number(self, item: Any, session: Any, values: Mapping[Node, Any], seed: int) -> float:
        """Return a hyperparameter's value in a run, from a Tensor or a function without arguments.

        A function may return a number or a Tensor. Numbers are rounded to float32.
        """
        item = item if isinstance(item, Tensor) else item()
        if not isinstance(item, Tensor):
            return rounded(item)
        node = item.node
        if node in values:
            return float(as_fed(values[node], np.dtype(node.dtype), node))
        if isinstance(item, Variable):
            return float(session.value(item))
        return float(session.compute([node], values, seed)[0])


class AppliedStep:
    """Update of a training operation in a native call of its own, with gradients that earlier calls computed."""

    def __init__(self, op: TrainOp) -> None:
        self.op = op
        self.graph, self.rule, self.state, self.global_step = op.graph, op.rule, op.state, op.global_step
        self.slot_names = op.slot_names
        nodes = [*(gradient.node for gradient, _ in op.pairs), *op._reads_besides_gradients()]
        self._fed = {node: fed_instead(node) for node in nodes}
        self.loss: Tensor | None = constant(0.0)
        self.pairs = [(Tensor(self._fed[gradient.node]), variable) for gradient, variable in op.pairs]
        self.touched = {name: Tensor(self._fed[rows.node]) for name, rows in op.touched.items()}
        self.declared = {name: self._fed[node] for name, node in op.declared.items()}
        self._program: TrainProgram | None = None

    def needs(self) -> list[Tensor]:
        return [Tensor(node) for node in self._fed]

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> None:
        """Update the variables with the gradients in ``values``, which earlier calls computed."""
        fetches = FetchSet(self.graph, (), ())
        if self._program is None or self._program.version != self.graph.version:
            self._program = TrainProgram(self, fetches, None)
        self.rule.present.update(self.state.powers)
        self.op.set_run_time_numbers(session, {}, 0)
        self._program.step(session, fetches, dict(zip(self._fed.values(), values, strict=True)), 0)
        self.state.advance()


class TrainProgram:
    """Steps of one training operation for one set of fed nodes."""

    def __init__(self, op: TrainOp | AppliedStep, fetches: FetchSet, earlier: TrainProgram | None) -> None:
        """Compile the steps.

        Args:
            op: The training operation.
            fetches: Fetches that the program must be able to compute.
            earlier: Program for the same feeds that lacks some of the fetches; None if there is none.
        """
        graph = op.graph
        self.op, self.version = op, graph.version
        assert op.loss is not None, "a fused step has exactly one loss"
        gradients = [gradient.node for gradient, _ in op.pairs]
        differentiated = [node["gradient"].target for node in stand_ins_of(topological([*gradients, *fetches.nodes]))]
        self.cut = cut = Rolled(graph.cut(fetches.fed), [op.loss.node], differentiated)
        loss = _with_step_count(_with_trained_variables(cut.tensor(op.loss), graph, op), op.global_step)
        applied = {variable.full: cut(gradient.node) for gradient, variable in op.pairs}
        numbers = {name: cut(node) for name, node in op.declared.items()}
        roots = [loss.node, *applied.values(), *(cut(rows.node) for rows in op.touched.values()), *numbers.values()]
        reads = [node for node in topological(roots) if node.op == "input"]
        places = dict.fromkeys([*(earlier.places if earlier is not None else ()), *reads, *fetches.reads])
        self.places: tuple[Node, ...] = tuple(places)
        outputs = {f"place/{number}": Tensor(node) for number, node in enumerate(self.places)}
        graph.all_variables()
        outputs |= {f"variable/{name}": variable for name, variable in graph.by_name.items()}
        self.program = FetchProgram(graph, outputs, loss)
        self.parameters = self.program.program.parameters
        own = [node for node in stand_ins_of(self.places) if node["gradient"].loss.node is op.loss.node]
        targets = targets_of(graph, own, cut)
        self.program.inputs = {node: item for node, item in self.program.inputs.items() if node not in targets}
        self.trainer = Trainer(self.program.program, op.rule, only=list(applied), skip_non_finite=False)
        state = self.trainer.state
        trained = self.trainer.trained
        touched = {name: cut(rows.node) for name, rows in op.touched.items() if name in trained}
        state.applied = AppliedGradients({name: applied[name] for name in trained}, targets, touched, numbers)
        state.slots = op.state.slots.arrays
        self._loss_reads = _variable_names(graph, [loss.node, *applied.values(), *numbers.values()])
        self._reads: BoundedCache[FetchSet, frozenset[str]] = BoundedCache(MAX_FETCHES)
        self._fetched: BoundedCache[FetchSet, dict[str, Tensor]] = BoundedCache(MAX_FETCHES)

    def knows(self, fetches: FetchSet) -> bool:
        """True if the program is up to date, and has all placeholders that ``fetches`` read."""
        return self.version == self.op.graph.version and (fetches in self._reads or {*fetches.reads} <= {*self.places})

    def step(self, session: Any, fetches: FetchSet, values: Mapping[Node, Any], seed: int) -> list[np.ndarray]:
        """Update the variables once, and return the values that ``fetches`` had before the update."""
        needed = self._reads.get(fetches)
        if needed is None:
            nodes = [tensor.node for tensor in fetches.tensors.values()]
            slots = [*self.op.slot_names, *([] if self.op.global_step is None else [self.op.global_step.full])]
            needed = self._reads[fetches] = frozenset(
                (*self._loss_reads, *_variable_names(self.op.graph, nodes), *slots)
            )
        self.program.check(session, needed)
        self.program.warn_of_dropout()
        feeds = self.program.feeds(session, fetches.cut, values, seed)
        if not fetches.tensors:
            self.trainer.step(feeds, seed=seed)
            return []
        fetched = self._fetched.get(fetches)
        if fetched is None:
            fetched = {str(number): Tensor(self.cut(node)) for number, node in enumerate(fetches.nodes)}
            self._fetched[fetches] = fetched
        _, results = self.trainer.step(feeds, seed=seed, fetch=fetched)
        return list(results.values())


def _with_trained_variables(loss: Tensor, graph: Any, op: TrainOp | AppliedStep) -> Tensor:
    """Return the loss plus 0 times each trained variable that the loss does not read.

    A ``Trainer`` updates only variables on which its loss depends.
    """
    read = _variable_names(graph, [loss.node])
    for _, variable in op.pairs:
        if variable.full not in read:
            loss = loss + functions.cast(functions.reduce_sum(variable), loss.dtype) * 0.0
    return loss


def _with_step_count(loss: Tensor, global_step: Variable | None) -> Tensor:
    """Return the loss, whose computation also increments ``global_step`` unless it is None."""
    if global_step is None:
        return loss
    one = functions.cast(constant(1), global_step.type.dtype)
    return build("with_update", loss, global_step, Tensor(global_step.node) + one)


def _variable_names(graph: Any, nodes: Sequence[Node]) -> set[str]:
    """Return the full names of the variables on which nodes depend."""
    own, driven = specs_of(topological(nodes))
    graph.all_variables()
    return {graph.variables[spec].full for spec in own | driven}


def _loss_of(pairs: Sequence[tuple[Tensor, Variable]]) -> Tensor | None:
    """Return the one loss whose gradients the pairs contain; None if there are several losses or none."""
    losses: dict[Node, Tensor] = {}
    for gradient, _ in pairs:
        for node in stand_ins_of(topological([gradient.node])):
            derivative: Derivative = node["gradient"]
            losses[derivative.loss.node] = derivative.loss
    return next(iter(losses.values())) if len(losses) == 1 else None
