"""Steps and chunks of a stream with everything bound: feeds are copied into place, two argument blocks take turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from .argument_block import WORKER, WORKERS, ArgumentBlock
from .arrays import aligned_bytes
from .feeds import Check, run_checks
from .native import NativeEntry, Sized
from .parameters import Parameters
from .result import giver


@dataclass(frozen=True)
class Layout:
    """What a stream knows of names: the states; the time axis of each feed, and that of each output, None where it has
    none; the axis of rows in each output, likewise; the outputs that are shown, in the order of their structure.
    """

    states: Sequence[str]
    feed_time: Mapping[str, int | None]
    output_time: Mapping[str, int | None]
    output_rows: Mapping[str, int | None]
    shown: Sequence[str]
    structure: Any


class States:
    """A stream's states, twice: what the step of one turn writes as the new ones the next turn's reads."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.sides = [np.array(array, order="C") for array in arrays], [np.empty_like(array) for array in arrays]
        self.turn = 0

    @property
    def present(self) -> list[np.ndarray]:
        """Not copied."""
        return self.sides[self.turn]

    def set(self, arrays: Sequence[np.ndarray]) -> None:
        for held, array in zip(self.present, arrays, strict=True):
            held[...] = array


class BoundStep:
    """Steps, or chunks of one length, over fixed memory, with feeds of one kind."""

    def __init__(
        self, parameters: Parameters, entry: NativeEntry, sized: Sized, layout: Layout, states: States,
        feeds: Mapping[str, np.ndarray], ranges: Sequence[Check], parts: int, one_step: bool,
    ) -> None:  # fmt: skip
        """feeds: all inputs but states; those that have a time axis differ from call to call."""
        self._parameters, self._entry, self._states, self.parts = parameters, entry, states, parts
        self._changes = parameters.counter()
        self._inputs = {name: np.array(array, order="C") for name, array in feeds.items()}
        self._arena, self._native, self._sizes = aligned_bytes(sized.arena_bytes), sized.run, sized.sizes
        memory = {
            item.name: np.empty(shape, item.dtype) for item, shape in zip(entry.outputs, sized.shapes, strict=True)
        }
        self._blocks = []
        for side in (0, 1):
            before, after = (dict(zip(layout.states, states.sides[turn], strict=True)) for turn in (side, 1 - side))
            block = ArgumentBlock(entry, sized, self._inputs | before, memory | after)
            entry.set_arena(block.numbers, self._arena)
            self._blocks.append(block)
        self._addresses = [block.address for block in self._blocks]
        self._renew()
        self._feeds = []
        for name, array in self._inputs.items():
            axis = layout.feed_time[name]
            if axis is not None:
                view = array.squeeze(axis) if one_step else array
                self._feeds.append((name, view.shape, view.dtype, view))
        self._count = len(self._feeds)
        self._ranges = [check for check in ranges if check.label in {name for name, *_ in self._feeds}]
        self._results = []
        for name in layout.shown:
            axis = layout.output_time[name]
            self._results.append(memory[name].squeeze(axis) if one_step and axis is not None else memory[name])
        self._before_rows = [_before_rows(layout, name, one_step) for name in layout.shown]
        self._give = giver(layout.structure, [array.copy for array in self._results])

    def _renew(self) -> None:
        """The present parameters from here on."""
        self._weights = self._entry.weights(self._parameters)
        for block in self._blocks:
            block.set_weights(self._weights)
        self._version = self._weights.version

    def run(self, named: Mapping[str, Any], kept: np.ndarray | None) -> Any:
        """The results, fresh; None where the feeds are not arrays of just the bound kind. kept: rows that take part."""
        if len(named) != self._count:
            return None
        for name, shape, dtype, held in self._feeds:
            value = named.get(name)
            if type(value) is not ndarray or value.shape != shape:
                return None
            if value.dtype is not dtype and value.dtype != dtype:  # mostly the very object
                return None
            held[...] = value
        if self._ranges:
            run_checks(self._ranges, self._inputs, self._sizes, None)
        if self._version != self._changes.version:
            self._renew()
        states = self._states
        turn = states.turn
        self._native(self._addresses[turn], WORKER, WORKERS)
        if kept is not None:
            self._leave(~kept)
        states.turn = 1 - turn
        return self._give()

    def _leave(self, others: np.ndarray) -> None:
        """These rows keep their state, and have zeros for results."""
        turn = self._states.turn
        for new, old in zip(self._states.sides[1 - turn], self._states.sides[turn], strict=True):
            np.copyto(new, old, where=others[:, None])
        for array, before in zip(self._results, self._before_rows, strict=True):
            if before is not None:
                index: tuple[Any, ...] = (*before, others)
                array[index] = 0

    def fits(self, entry: NativeEntry, sized: Sized) -> bool:
        """Whether it is for this entry at these sizes."""
        return self._entry is entry and self._sizes == sized.sizes


def _before_rows(layout: Layout, name: str, one_step: bool) -> list[slice] | None:
    """The index of all axes of a result that stand before that of rows; None where it has none."""
    rows, time = layout.output_rows[name], layout.output_time[name]
    if rows is None:
        return None
    return [slice(None)] * (rows - (one_step and time is not None and time < rows))
