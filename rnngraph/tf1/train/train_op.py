"""Training operations: a step of a Trainer, which computes what a run fetches beside it in the same native call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.tensor import Tensor
from ...errors import ArgumentError, DtypeError, GraphError, shown
from ...ir.graph import Node, topological
from ...passes.train_step import SLOT
from ...training.steps.applied_gradients import AppliedGradients
from ...training.trainer import Trainer
from ..core.programs import Asked, FetchProgram, Step, as_fed
from ..core.variable import ExtraVariable, Variable
from .gradients import Derivative, stand_ins_of, targets_of
from .rules import Rule, rounded


class Powers:
    """Numbers that an optimizer changes with each update, such as β₁ᵗ, in float32, as TensorFlow's variables."""

    def __init__(self, factors: Mapping[str, float]) -> None:
        self.factors = {name: np.float32(factor) for name, factor in factors.items()}
        self.present = dict(self.factors)

    def advance(self) -> None:
        """To those of the next update."""
        for name, factor in self.factors.items():
            self.present[name] = np.float32(self.present[name] * factor)


class TrainOp(Step):
    """``optimizer.apply_gradients``: one update of its variables.

    rule: the equations. numbers: of every update, rates and others, as numbers, functions or Tensors. slots: what the
    rule keeps of each variable, in the session whose turn it is; they are TensorFlow's variables too, by its names.
    """

    def __init__(
        self, rule: Rule, numbers: Mapping[str, Any], powers: Powers, pairs: Sequence[tuple[Tensor, Variable]],
        global_step: Any, name: str, slot_name: str, scope: str,
    ) -> None:  # fmt: skip
        self.rule, self.numbers, self.powers, self.pairs = rule, dict(numbers), powers, list(pairs)
        self.global_step = global_step
        if global_step is not None and not isinstance(global_step, Variable):
            raise DtypeError(
                f"global_step is a variable, not {shown(global_step)}; use tf.train.get_or_create_global_step()"
            )
        self.loss = _loss_of(self.pairs)
        self.slots: dict[str, np.ndarray] = {}
        self.slot_variables: dict[tuple[str, str], ExtraVariable] = {}
        self._programs: dict[frozenset[Node], TrainProgram] = {}
        super().__init__(name)
        for power in powers.factors:
            self._add_power(power)
        for _, variable in self.pairs:
            for slot, value in rule.slots().items():
                self._add_slot(slot, value, variable, f"{scope}{variable.full}/{slot_name}")

    def _add_power(self, name: str) -> None:
        powers = self.powers

        def write(array: np.ndarray) -> None:
            powers.present[name] = np.float32(array)

        full = self.graph.unique(f"{self.graph.name_scope}{name}")
        start = np.asarray(powers.factors[name])
        self.graph.extra[full] = ExtraVariable(full, start, lambda: np.asarray(powers.present[name]), write)

    def _add_slot(self, slot: str, value: float, variable: Variable, name: str) -> None:
        key, full = f"{SLOT}{slot}/{variable.full}", self.graph.unique(name)
        start = np.full([int(str(size)) for size in variable.shape], value, variable.dtype)
        self.slots[key] = start.copy()

        def write(array: np.ndarray) -> None:
            self.slots[key] = np.array(array, order="C")

        made = ExtraVariable(full, start, lambda: self.slots[key].copy(), write)
        self.graph.extra[full] = self.slot_variables[variable.full, slot] = made

    def step(self, session: Any, asked: Asked, values: Mapping[Node, Any], seed: int) -> Sequence[np.ndarray]:
        program = self._programs.get(asked.fed)
        if program is None or not program.knows(asked):
            program = self._programs[asked.fed] = TrainProgram(self, asked, program)
        found = program.step(session, asked, self._present(session, values, seed), values, seed)
        self.powers.advance()
        if self.global_step is not None:
            session.set_value(self.global_step, np.asarray(session.value(self.global_step) + 1))
        return found

    def _present(self, session: Any, values: Mapping[Node, Any], seed: int) -> dict[str, float]:
        """The numbers of this update."""
        found = {name: self._number(item, session, values, seed) for name, item in self.numbers.items()}
        for name, power in self.powers.present.items():
            found[name] = float(power)
        return found

    def _number(self, item: Any, session: Any, values: Mapping[Node, Any], seed: int) -> float:
        if callable(item) and not isinstance(item, Tensor):
            item = item()
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
        graph, cut = op.graph, asked.cut
        self.op, self.version = op, graph.version
        loss = cut.tensor(op.loss)
        applied = {variable.full: cut(gradient.node) for gradient, variable in op.pairs}
        reads = [node for node in topological([loss.node, *applied.values()]) if node.op == "input"]
        places = dict.fromkeys([*(earlier.places if earlier is not None else ()), *reads, *asked.reads])
        self.places: tuple[Node, ...] = tuple(places)
        outputs = {f"place/{number}": Tensor(node) for number, node in enumerate(self.places)}
        graph.all_variables()
        outputs |= {f"variable/{name}": variable for name, variable in graph.by_name.items()}
        self.program = FetchProgram(graph, outputs, loss)
        stand_ins = stand_ins_of(self.places)
        targets = targets_of(graph, stand_ins, cut)
        self.program.inputs = {node: item for node, item in self.program.inputs.items() if node not in targets}
        self.trainer = Trainer(self.program.program, op.rule, only=list(applied), skip_non_finite=False)
        state = self.trainer.state
        state.applied = AppliedGradients({name: applied[name] for name in self.trainer.trained}, targets)
        state.slots = op.slots
        self._loss_reads = _variables(graph, [loss.node, *applied.values()])
        self._reads: dict[Asked, frozenset[str]] = {}

    def knows(self, asked: Asked) -> bool:
        """Whether all that is asked for reads what the program has."""
        return self.version == self.op.graph.version and {*asked.reads} <= {*self.places}

    def step(
        self, session: Any, asked: Asked, numbers: Mapping[str, float], values: Mapping[Node, Any], seed: int
    ) -> list[np.ndarray]:
        """A step; gives what is asked for."""
        needed = self._reads.get(asked)
        if needed is None:
            nodes = [tensor.node for tensor in asked.tensors.values()]
            slots = (item.full for item in self.op.slot_variables.values())
            needed = self._reads[asked] = frozenset((*self._loss_reads, *_variables(self.op.graph, nodes), *slots))
        if not session.initialized.issuperset(needed):
            self.program.variables = tuple(sorted(needed))
            self.program.check(session, self.op.where)
        self.program.tell()
        self.op.rule.present.update(numbers)
        feeds = self.program.feeds(session, asked.cut, values, seed)
        if not asked.tensors:
            self.trainer.step(feeds, seed=seed)
            return []
        _, found = self.trainer.step(feeds, seed=seed, fetch=asked.tensors)
        return list(found.values())


def _variables(graph: Any, nodes: Sequence[Node]) -> set[str]:
    """Full names of variables that nodes read."""
    specs = set()
    for node in topological(nodes):
        if node.op == "parameter":
            specs.add(node["slot"])
        elif node.op == "driver":
            specs.update(spec for driver, _ in node["driver"].with_inner() for spec, _ in driver.parameters)
    graph.all_variables()
    return {graph.variables[spec].full for spec in specs}


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


Numbers = Mapping[str, float | Callable[[], float] | Tensor]
