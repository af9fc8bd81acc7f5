"""The two sets of arrays between which train steps in machine code go back and forth."""

from __future__ import annotations

from ctypes import c_int64
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from .train_state import TrainState

HOLDERS = 2
"""References to an array that steps write over: where it is kept, and here."""
GONE = -1
"""In place of a version: parameters never have it."""


class Located(NamedTuple):
    """A value as an attribute or, of a dict, an entry of its owner."""

    owner: Any
    key: str
    value: Any


class ParameterSides:
    """Arrays of the parameters that steps change, as they are at one time: the present ones and the spare ones.

    All steps of one trainer that machine code runs share one of these, as it counts who holds an array. names: of the
    parameters; where others lie is written into blocks once. side: which side is present, 0 or 1. version: of the
    parameters as they are after the last step here.
    """

    def __init__(self, state: TrainState, names: tuple[str, ...], version: int) -> None:
        parameters, spares = state.program.parameters, state.spares
        self.names, self.side, self.version = names, c_int64(0), c_int64(version)
        self._state, self.slots, self._spares = state, state.slots, spares
        self._holders = {name: parameters.holder(name) for name in parameters}
        self.sides = {name: parameters[name] for name in names}, {name: spares[name] for name in names}
        self.kept = [*self.slots.values()]
        self._others = [(name, ref(parameters[name])) for name in parameters if name not in self.sides[0]]
        state.beside = frozenset(map(id, (*self.kept, *self.sides[0].values(), *self.sides[1].values())))
        for array in self.sides[1].values():
            array.flags.writeable = False  # as of parameters; native code asks for no leave

    def is_present(self) -> bool:
        """Whether these are the arrays of the present parameters, spares and slots, and other parameters are where they
        were. Takes over which side is whose, and their version.
        """
        state = self._state
        version, present = state.program.parameters.snapshot()
        if self.version.value == GONE or state.slots is not self.slots or state.spares is not self._spares:
            return False
        if [*map(id, self.slots.values())] != [*map(id, self.kept)]:
            return False
        if any(present[name] is not array() for name, array in self._others):
            return False
        for side in (0, 1):
            mine, other = self.sides[side], self.sides[1 - side]
            if all(present[name] is mine[name] and self._spares.get(name) is other[name] for name in self.names):
                self.side.value, self.version.value = side, version
                return True
        return False

    def let_go(self) -> None:
        """Ends all steps by these, which hold no arrays any more that new sides would find held."""
        self.version.value = GONE
        self.sides, self.kept = ({}, {}), []
        self._state.beside = frozenset()

    def present(self, side: int) -> list[Located]:
        """What must be where before a step that begins on this side."""
        here, there = self.sides[side], self.sides[1 - side]
        return [
            Located(self._state, "slots", self.slots),
            Located(self._state, "drawn", None),  # else a seed waits for its step
            *(Located(self.slots, name, array) for name, array in self.slots.items()),
            *(Located(self._holders[name], "array", array) for name, array in here.items()),
            *(Located(self._spares, name, array) for name, array in there.items()),
        ]

    def changes(self, side: int) -> list[Located]:
        """What is put where behind such a step."""
        here, there = self.sides[side], self.sides[1 - side]
        return [
            *(Located(self._holders[name], "array", array) for name, array in there.items()),
            *(Located(self._spares, name, array) for name, array in here.items()),
        ]

    def owned(self, side: int) -> list[np.ndarray]:
        """What such a step writes over."""
        return [*self.kept, *self.sides[1 - side].values()]


def sides_of(state: TrainState, names: tuple[str, ...], before: ParameterSides | None) -> ParameterSides | None:
    """The sides as they are now, ``before`` if these are; None where a step in Python has to make room first."""
    if before is not None:
        if before.names == names and before.is_present():
            return before
        before.let_go()
    version, present = state.program.parameters.snapshot()
    spares = state.spares
    if not all(name in spares for name in names):
        return None
    arrays = [*state.slots.values(), *(present[name] for name in names), *(spares[name] for name in names)]
    if any(array.base is not None for array in arrays):  # of memory that others may hold nobody can say
        return None
    return ParameterSides(state, names, version)
