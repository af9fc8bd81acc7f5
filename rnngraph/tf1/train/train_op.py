"""Training operations: a step of a Trainer, which computes what a run fetches beside it in the same native call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, build, constant
from ...errors import ArgumentError, DtypeError, GraphError, shown
from ...ir.graph import Node, topological
from ...training.steps.applied_gradients import AppliedGradients
from ...training.trainer import Trainer
from ..core.programs import Asked, FetchProgram, Step, as_fed
from ..core.rolled import Rolled
from ..core.variable import Variable
from .gradients import Derivative, met_rows, specs_of, stand_ins_of, targets_of
from .rules import EveryRow, Rule, rounded
from .slots import Kept


class TrainOp(Step):
    """``optimizer.apply_gradients``: one update of its variables.

    rule: the equations. numbers: of every update, rates and others, as numbers, functions or Tensors. kept: what the
    optimizer keeps. declared: scalar Tensors among the numbers, which the update's native call computes.
    """

    def __init__(
        self, rule: Rule, numbers: Mapping[str, Any], kept: Kept, pairs: Sequence[tuple[Tensor, Variable]],
        global_step: Any, name: str,
    ) -> None:  # fmt: skip
        self.rule, self.kept, self.pairs = rule, kept, list(pairs)
        fixed = {name: item for name, item in numbers.items() if not callable(item) and not isinstance(item, Tensor)}
        rule.present.update((name, rounded(item)) for name, item in fixed.items())
        tensors = {name: item for name, item in numbers.items() if isinstance(item, Tensor)}
        self.declared = {name: item.node for name, item in tensors.items() if not item.type.shape}
        self._open = {name: item for name, item in numbers.items() if name not in fixed and name not in self.declared}
        self.global_step = global_step
        if global_step is not None and not isinstance(global_step, Variable):
            raise DtypeError(
                f"global_step is a variable, not {shown(global_step)}; use tf.train.get_or_create_global_step()"
            )
        if any(variable is global_step for _, variable in self.pairs):
            raise ArgumentError(f"global_step={global_step!r} is trained itself; make it with trainable=False")
        self.loss = _loss_of(self.pairs)
        rows = [(variable.full, met_rows(gradient)) for gradient, variable in self.pairs]
        self.met = {name: met for name, met in rows if met is not None and not isinstance(rule, EveryRow)}
        self._programs: dict[frozenset[Node], TrainProgram] = {}
        super().__init__(name)

    @property
    def slot_names(self) -> list[str]:
        """Full names of the slots that an update reads."""
        return [
            self.kept.variables[variable.full, slot].full for _, variable in self.pairs for slot in self.rule.slots()
        ]

    def step(self, session: Any, asked: Asked, values: Mapping[Node, Any], seed: int) -> Sequence[np.ndarray]:
        program = self._programs.get(asked.fed)
        if program is None or not program.knows(asked):
            program = self._programs[asked.fed] = TrainProgram(self, asked, program)
        present = self.rule.present
        present.update(self.kept.powers)
        for name, item in self._open.items():
            present[name] = self._number(item, session, values, seed)
        found = program.step(session, asked, values, seed)
        self.kept.advance()
        return found

    def _number(self, item: Any, session: Any, values: Mapping[Node, Any], seed: int) -> float:
        item = item if isinstance(item, Tensor) else item()
        if not isinstance(item, Tensor):
            return rounded(item)
        node = item.node
        if node in values:
            return float(as_fed(values[node], np.dtype(node.dtype), node))
        if isinstance(item, Variable):
            return float(session.value(item))
        return float(session.compute([node], values, seed)[0])


class TrainProgram:
    """The steps of one training operation where certain nodes are fed."""

    def __init__(self, op: TrainOp, asked: Asked, earlier: TrainProgram | None) -> None:
        """earlier: one that lacks what is asked for."""
        graph = op.graph
        self.op, self.version = op, graph.version
        gradients = [gradient.node for gradient, _ in op.pairs]
        by = [node["gradient"].target for node in stand_ins_of(topological([*gradients, *asked.nodes]))]
        self.cut = cut = Rolled(graph.cut(asked.fed), [op.loss.node], by)
        loss = _counting(_reading(cut.tensor(op.loss), graph, op), op.global_step)
        applied = {variable.full: cut(gradient.node) for gradient, variable in op.pairs}
        numbers = {name: cut(node) for name, node in op.declared.items()}
        made = [loss.node, *applied.values(), *(cut(rows.node) for rows in op.met.values()), *numbers.values()]
        reads = [node for node in topological(made) if node.op == "input"]
        places = dict.fromkeys([*(earlier.places if earlier is not None else ()), *reads, *asked.reads])
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
        met = {name: cut(rows.node) for name, rows in op.met.items() if name in trained}
        state.applied = AppliedGradients({name: applied[name] for name in trained}, targets, met, numbers)
        state.slots = op.kept.slots.arrays
        self._loss_reads = _variables(graph, [loss.node, *applied.values(), *numbers.values()])
        self._reads: dict[Asked, frozenset[str]] = {}
        self._fetched: dict[Asked, dict[str, Tensor]] = {}

    def knows(self, asked: Asked) -> bool:
        """Whether all that is asked for reads what the program has."""
        return self.version == self.op.graph.version and (asked in self._reads or {*asked.reads} <= {*self.places})

    def step(self, session: Any, asked: Asked, values: Mapping[Node, Any], seed: int) -> list[np.ndarray]:
        """A step; gives what is asked for."""
        needed = self._reads.get(asked)
        if needed is None:
            nodes = [tensor.node for tensor in asked.tensors.values()]
            slots = [*self.op.slot_names, *([] if self.op.global_step is None else [self.op.global_step.full])]
            needed = self._reads[asked] = frozenset((*self._loss_reads, *_variables(self.op.graph, nodes), *slots))
        self.program.check(session, needed)
        self.program.tell()
        feeds = self.program.feeds(session, asked.cut, values, seed)
        if not asked.tensors:
            self.trainer.step(feeds, seed=seed)
            return []
        fetched = self._fetched.get(asked)
        if fetched is None:
            fetched = {str(number): Tensor(self.cut(node)) for number, node in enumerate(asked.nodes)}
            self._fetched[asked] = fetched
        _, found = self.trainer.step(feeds, seed=seed, fetch=fetched)
        return list(found.values())


def _reading(loss: Tensor, graph: Any, op: TrainOp) -> Tensor:
    """The loss, which also reads what an update changes by gradients of other variables, such as of a copy."""
    read = _variables(graph, [op.loss.node])
    for _, variable in op.pairs:
        if variable.full not in read:
            loss = loss + functions.cast(functions.reduce_sum(variable), loss.dtype) * 0.0
    return loss


def _counting(loss: Tensor, global_step: Variable | None) -> Tensor:
    """The loss, with which a step adds 1 to the variable that counts updates."""
    if global_step is None:
        return loss
    one = functions.cast(constant(1), global_step.type.dtype)
    return build("with_update", loss, global_step, Tensor(global_step.node) + one)


def _variables(graph: Any, nodes: Sequence[Node]) -> set[str]:
    """Full names of variables that nodes read."""
    own, driven = specs_of(topological(nodes))
    graph.all_variables()
    return {graph.variables[spec].full for spec in own | driven}


def _loss_of(pairs: Sequence[tuple[Tensor, Variable]]) -> Tensor:
    """The loss of which gradients are made."""
    found: dict[Node, Tensor] = {}
    for gradient, _ in pairs:
        for node in stand_ins_of(topological([gradient.node])):
            derivative: Derivative = node["gradient"]
            found[derivative.loss.node] = derivative.loss
    if not found:
        raise GraphError(
            "these gradients depend on no loss; apply_gradients takes what tf.gradients or compute_gradients gives, or "
            "Tensors that are made of it"
        )
    if len(found) > 1:
        raise ArgumentError("gradients of several losses are applied together; add the losses up, or apply them apart")
    return next(iter(found.values()))
