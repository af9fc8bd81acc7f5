"""Converts weights that are computed at run time to the layout of a cell's parameters."""

from __future__ import annotations

from typing import Any

from ....declare.cell import Cell
from ....declare.functions.basic import broadcast_to
from ...gates import LAYOUTS, PEEPHOLES, layout_of
from ...steps import Value
from ..core.known import shape_of
from ..core.tensors import Tensors
from .cells import FreeLSTMCell
from .layer import Direction


def runtime_weights(tensors: Tensors, cell: Cell, direction: Direction) -> dict[str, Value]:
    """Return the Tensors that replace a cell's parameters, by name."""
    take = _Gates(tensors, direction)
    layout = LAYOUTS["lstm"] if isinstance(cell, FreeLSTMCell) else layout_of(cell)
    weights = {name: take(what, gates) for name, (what, gates) in layout.items()}
    if "P" in direction.weights:
        units = direction.kind.units
        for number, gate in enumerate("iof"):
            part = slice(number * units, (number + 1) * units)
            weights[PEEPHOLES[gate]] = tensors.value(tensors.index(direction.weights["P"], [part]))
    return weights


class _Gates:
    """Function that returns the arrays of a direction in the layout of a cell's parameters."""

    def __init__(self, tensors: Tensors, direction: Direction) -> None:
        self._tensors, self._direction = tensors, direction
        self._units = direction.kind.units

    def __call__(self, what: str, gates: str) -> Value:
        """Return the array for a code of ``layout_of``, such as WR for W and R stacked, with ``gates`` in order."""
        match what:
            case "W" | "R":
                return self._tensors.value(self._tensors.transpose(self._rows(what, 0, gates), (1, 0)))
            case "WR":
                return self._tensors.value(self._tensors.concat([self("W", gates), self("R", gates)], 0))
        if "B" not in self._direction.weights:
            return self._tensors.script.call(broadcast_to, 0.0, (len(gates) * self._units,))
        if what == "B":
            return self._tensors.script.operation("+", self("b", gates), self("r", gates))
        return self._rows("B", 0 if what == "b" else len(self._direction.order), gates)

    def _rows(self, name: str, first: int, gates: str) -> Value:
        """Return the rows of an array that belong to gates, in the order of ``gates``.

        Args:
            name: Name of the array.
            first: 0, or the number of gates for the recurrent bias, which is the second half of B.
            gates: Letters of the gates.
        """
        array, rank = self._direction.weights[name], len(shape_of(self._direction.weights[name]))
        parts = []
        for gate in gates:
            begin = (first + self._direction.order.index(gate)) * self._units
            index: list[Any] = [slice(begin, begin + self._units), *[slice(None)] * (rank - 1)]
            parts.append(self._tensors.index(array, index))
        return self._tensors.value(self._tensors.concat(parts, 0))
