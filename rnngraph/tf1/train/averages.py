"""``tf.train.ExponentialMovingAverage``: moving averages of variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...declare.initializers import zeros
from ...declare.parameters import ParameterSpec
from ...declare.tensor import Tensor
from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, shown
from ..core.graph import GraphKeys, get_default_graph
from ..core.operations import Operation
from ..core.variable import Variable, specs_of
from ..core.variables import added_variable


class ExponentialMovingAverage:
    """Moving averages of variables. Each run of ``apply``'s result computes average -= (1 - decay)(average - variable).

    Args:
        decay: Decay, from 0 to 1.
        num_updates: A number, a Tensor or None. Unless None, the decay is at most (1 + num_updates) / (10 +
            num_updates).
    """

    @api
    def __init__(
        self, decay: float, num_updates: Any = None, zero_debias: bool = False, name: str = "ExponentialMovingAverage"
    ) -> None:
        if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay <= 1:
            raise ArgumentError(f"tf.train.ExponentialMovingAverage: decay={shown(decay)} must be from 0 to 1")
        if zero_debias:
            raise ArgumentError(
                "zero_debias=True is not offered, because averages begin with their variables' values; leave it out"
            )
        self._decay, self._updates, self._name = float(decay), num_updates, name
        self._averages: dict[str, Variable] = {}

    @property
    def name(self) -> str:
        """Last part of the averages' names."""
        return self._name

    @api
    def apply(self, var_list: Sequence[Any] | None = None) -> Operation:
        """Return an operation that updates the averages of variables, by default of all trainable variables.

        Averages that do not exist are created, and begin with the values of the variables.
        """
        graph = get_default_graph()
        variables = graph.get_collection(GraphKeys.TRAINABLE_VARIABLES) if var_list is None else list(var_list)
        for item in variables:
            if not isinstance(item, Variable) or item.dtype not in FLOATS:
                raise DtypeError(
                    f"averages need floating-point variables, not {shown(item)}; average fetched values in NumPy"
                )
            if item.full not in self._averages:
                average = added_variable(f"{item.full}/{self._name}", item.node.tensor, zeros, item)
                self._averages[item.full] = average
                graph.collections[GraphKeys.MOVING_AVERAGE_VARIABLES].append(item)
        return _UpdateAverages(
            [(item, self._averages[item.full]) for item in variables], self._decay, self._updates, self._name
        )

    @api
    def average(self, var: Any) -> Variable | None:
        """Return the average of a variable; None if ``apply`` created no average of it."""
        return self._averages.get(getattr(var, "full", ""))

    @api
    def average_name(self, var: Any) -> str:
        """Return the name of a variable's average."""
        if not isinstance(var, Variable):
            raise DtypeError(f"averages need variables, not {shown(var)}")
        return f"{var.full}/{self._name}"

    @api
    def variables_to_restore(self, moving_avg_variables: Sequence[Any] | None = None) -> dict[str, Any]:
        """Return {name in a checkpoint: variable} for a ``Saver`` that restores variables from their averages."""
        graph = get_default_graph()
        variables = moving_avg_variables
        if variables is None:
            averages = graph.collections[GraphKeys.MOVING_AVERAGE_VARIABLES]
            variables = [*graph.get_collection(GraphKeys.TRAINABLE_VARIABLES), *averages]
        averaged = {item.full: item for item in variables}
        restored = {self.average_name(item): item for item in averaged.values()}
        others = [item for item in graph.global_variables() if item.full not in averaged and item.full not in restored]
        return restored | {item.full: item for item in others}


class _UpdateAverages(Operation):
    """Operation that updates averages.

    Args:
        pairs: (variable, average) pairs.
    """

    def __init__(self, pairs: Sequence[tuple[Variable, Variable]], decay: float, updates: Any, name: str) -> None:
        self._pairs, self._decay, self._updates = list(pairs), decay, updates
        super().__init__(name)

    def needs(self) -> list[Tensor]:
        return [self._updates] if isinstance(self._updates, Tensor) else []

    def writes(self) -> list[ParameterSpec]:
        return specs_of(average for _, average in self._pairs)

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> None:
        """Move each average towards its variable's value, by the share 1 - decay."""
        decay = np.float32(self._decay)  # in float32 for all dtypes, as in TensorFlow
        if self._updates is not None:
            updates = np.float32(values[0] if values else self._updates)
            decay = np.minimum(decay, (1 + updates) / (10 + updates))
        share = np.float32(1) - decay
        for variable, average in self._pairs:
            before = session.value(average)
            step = (before - session.value(variable)) * np.asarray(share, before.dtype)
            session.set_value(average, before - step)
