"""State of an optimizer: slots, which are arrays for each trained variable, and powers of numbers, such as β₁ᵗ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...passes.train_step import SLOT
from ...support.errors import ArgumentError, NotOfferedError
from ..core.scopes import present_scope
from ..core.variable import ExtraVariable, Variable
from ..table.missing import GUIDE
from .rules import Rule, rounded


class SlotArrays:
    """Arrays of slots by the keys of a ``Trainer``'s state. Optimizers that share slots share one ``SlotArrays``."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.variables: dict[str, Slot] = {}

    def add(self, key: str, full: str, start: np.ndarray) -> Slot:
        """Create a slot, and return its variable.

        Args:
            key: Key of the array.
            full: Full name of the variable.
            start: Initial value.
        """
        self.arrays[key] = start.copy()
        self.variables[key] = Slot(self, key, full, start)
        return self.variables[key]


class Slot(ExtraVariable):
    """Variable of a slot, such as ``w/Adam``."""

    def __init__(self, owner: SlotArrays, key: str, full: str, start: np.ndarray) -> None:
        self.owner, self.key = owner, key

        def write(array: np.ndarray) -> None:
            owner.arrays[key] = np.array(array, order="C")

        super().__init__(full, start, lambda: owner.arrays[key].copy(), write)


class OptimizerState:
    """State of an optimizer in one graph, shared by all training operations of the optimizer.

    Attributes:
        variables: Slots by (full name of the trained variable, name of the slot).
        powers: Present powers, such as β₁ᵗ, by name. Each update multiplies them by their factors, in float32 as in
            TensorFlow.
    """

    def __init__(self, graph: Any, factors: Mapping[str, float]) -> None:
        self.graph = graph
        self.slots = SlotArrays()
        self.variables: dict[tuple[str, str], Slot] = {}
        self._factors = {name: rounded(factor) for name, factor in factors.items()}
        self.powers = dict(self._factors)
        self.power_variables = [self._add_power(name) for name in self._factors]

    def all_variables(self) -> list[ExtraVariable]:
        """Return powers and slots, sorted by name."""
        return sorted([*self.power_variables, *self.variables.values()], key=lambda item: item.full)

    def advance(self) -> None:
        """Multiply the powers by their factors, for the next update."""
        for name, factor in self._factors.items():
            power = np.float32(self.powers[name] * factor)  # the product is exact before rounding
            self.powers[name] = float(power)

    def add_slots(self, rule: Rule, variable: Variable, name: str) -> None:
        """Create the missing slots of a variable in the open variable scope, or reuse those of another optimizer.

        Args:
            rule: Update rule, which determines the slots and their initial values.
            variable: The variable.
            name: Name of the optimizer.
        """
        for slot, value in rule.slots().items():
            if (variable.full, slot) not in self.variables:
                self.variables[variable.full, slot] = self._add_or_share_slot(slot, value, variable, name)

    def _add_power(self, name: str) -> ExtraVariable:
        """Create the variable by which checkpoints read and write a power, such as ``beta1_power``."""

        def write(array: np.ndarray) -> None:
            self.powers[name] = float(array)

        full = self.graph.unique(f"{self.graph.name_scope}{name}")
        start = np.asarray(self._factors[name], np.float32)
        variable = ExtraVariable(full, start, lambda: np.asarray(self.powers[name], np.float32), write)
        self.graph.extra[full] = variable
        return variable

    def _add_or_share_slot(self, slot: str, value: float, variable: Variable, name: str) -> Slot:
        """Return the slot (optimizer state) of a variable: a new one, or one to reuse in the open variable scope."""
        scope = present_scope()
        full = scope.enter(scope.free(f"{variable.full}/{name}"))
        key = f"{SLOT}{slot}/{variable.full}"
        known = self.graph.extra.get(full)
        if known is None and scope.reuse is True:
            raise ArgumentError(
                f"the slot {full} does not exist, but its scope has reuse=True; did you mean reuse=tf.AUTO_REUSE?"
            )
        if known is not None and not scope.reuse:
            raise ArgumentError(
                f"the slot {full} already exists; create the optimizer once, set another name=, or open the "
                "scope with reuse=True to train with the same slots"
            )
        if known is not None:
            return self._slot_to_share(key, known)
        if key in self.slots.variables:
            raise _partly_shared_error(self.slots.variables[key], full)
        self.graph.unique(full)
        start = np.full([int(str(size)) for size in variable.shape], value, variable.dtype)
        array = self.graph.extra[full] = self.slots.add(key, full, start)
        return array

    def _slot_to_share(self, key: str, known: Any) -> Slot:
        """Return ``known``, another optimizer's slot (state of a variable), for use by both optimizers."""
        if not isinstance(known, Slot) or known.key != key:
            raise NotOfferedError(
                f"{known!r} is a slot of another kind of optimizer, or of another variable; set another "
                f"name= for this optimizer ({GUIDE})"
            )
        if not self.variables:
            self.slots = known.owner
        if self.slots is not known.owner:
            raise _partly_shared_error(known, next(iter(self.variables.values())).full)
        return known


def _partly_shared_error(slot: ExtraVariable, other: str) -> NotOfferedError:
    """Return the error for an optimizer that shares some slots but not ``other``."""
    return NotOfferedError(
        f"an optimizer can share slots with one other optimizer only, not {slot.full} with one and {other} with "
        f"another or none; create both optimizers under the same variable scopes ({GUIDE})"
    )
