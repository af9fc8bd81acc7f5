"""Weights that are computed at run time, as the parameters of cells."""

from __future__ import annotations

from typing import Any

from ....declare.cell import Cell
from ....declare.cells.basic import BasicRNNCell, GRUCell
from ....declare.functions.basic import broadcast_to
from ...gates import PEEPHOLES
from ...steps import Value
from ..core.known import shape_of
from ..core.tensors import Tensors
from .layer import Direction


def given_weights(tensors: Tensors, cell: Cell, direction: Direction) -> dict[str, Value]:
    """Of a cell the Tensors that stand for its parameters, by their names."""
    take = _Gates(tensors, direction)
    if isinstance(cell, GRUCell):
        found = {"gates/kernel": take.both("ru"), "gates/bias": take.bias("ru")}
        if not cell.reset_after:
            return found | {"candidate/kernel": take.both("c"), "candidate/bias": take.bias("c")}
        return found | {
            "candidate/input_projection/kernel": take.kernel("W", "c"),
            "candidate/input_projection/bias": take.half(0, "c"),
            "candidate/hidden_projection/kernel": take.kernel("R", "c"),
            "candidate/hidden_projection/bias": take.half(1, "c"),
        }
    gates = "h" if isinstance(cell, BasicRNNCell) else "ijfo"
    found = {"kernel": take.both(gates), "bias": take.bias(gates)}
    if "P" in direction.weights:
        units = direction.kind.units
        for number, gate in enumerate("iof"):
            part = slice(number * units, (number + 1) * units)
            found[PEEPHOLES[gate]] = tensors.value(tensors.taken(direction.weights["P"], [part]))
    return found


class _Gates:
    """The arrays of a direction, gate by gate."""

    def __init__(self, tensors: Tensors, direction: Direction) -> None:
        self._tensors, self._direction = tensors, direction
        self._units = direction.kind.units

    def kernel(self, name: str, gates: str) -> Value:
        """W or R as [inputs, gates * units]."""
        rows = self._rows(name, 0, gates)
        return self._tensors.value(self._tensors.transpose(rows, (1, 0)))

    def both(self, gates: str) -> Value:
        """W above R."""
        return self._tensors.value(self._tensors.concat([self.kernel("W", gates), self.kernel("R", gates)], 0))

    def half(self, number: int, gates: str) -> Value:
        """The bias that stands with W (0) or with R (1)."""
        if "B" not in self._direction.weights:
            return self._tensors.script.call(broadcast_to, 0.0, (len(gates) * self._units,))
        return self._rows("B", number * len(self._direction.order), gates)

    def bias(self, gates: str) -> Value:
        if "B" not in self._direction.weights:
            return self.half(0, gates)
        return self._tensors.script.operation("+", self.half(0, gates), self.half(1, gates))

    def _rows(self, name: str, first: int, gates: str) -> Value:
        """The rows of gates, in this order."""
        array, rank = self._direction.weights[name], len(shape_of(self._direction.weights[name]))
        parts = []
        for gate in gates:
            begin = (first + self._direction.order.index(gate)) * self._units
            index: list[Any] = [slice(begin, begin + self._units), *[slice(None)] * (rank - 1)]
            parts.append(self._tensors.taken(array, index))
        return self._tensors.value(self._tensors.concat(parts, 0))
