"""Steps and chunks of a stream that are prepared: feeds are copied into place, two argument blocks take turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from ...allocation import empty
from ..calls.prepared_outputs import OutSpec, ResultWriter
from ..native.aligned_memory import aligned_bytes
from ..native.argument_block import WORKER, WORKERS, ArgumentBlock
from ..native.entry import TEMPORARIES, NativeEntry, Sized
from ..native.preconditions import Precondition, check_preconditions
from ..native.worker_pool import ThreadCount
from ..parameters import Parameters


@dataclass(frozen=True)
class StreamLayout:
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
    """A stream's states, double-buffered: what one step writes the next one reads."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.sides = [np.array(array, order="C") for array in arrays], [np.empty_like(array) for array in arrays]
        self.turn = 0

    @property
    def present(self) -> list[np.ndarray]:
        """The present states, not copied."""
        return self.sides[self.turn]

    def set(self, arrays: Sequence[np.ndarray]) -> None:
        for held, array in zip(self.present, arrays, strict=True):
            held[...] = array


class PreparedStep:
    """Steps, or chunks of one length, over fixed memory, with feeds of one signature.

    What has a time axis is copied to memory of its own at each call. What has none is the stream's own copy, which
    all of its prepared calls read: fed again, it is written over.
    """

    def __init__(
        self, parameters: Parameters, entry: NativeEntry, sized: Sized, layout: StreamLayout, states: States,
        feeds: Mapping[str, np.ndarray], held: Mapping[str, np.ndarray], ranges: Sequence[Precondition],
        threads: ThreadCount, one_step: bool,
    ) -> None:  # fmt: skip
        """feeds: all with a time axis. held: all without one that the stream has."""
        self._parameters, self._entry, self._states = parameters, entry, states
        self._threads, self._parts = threads, threads.parts
        self._changes = parameters.counter()
        self._inputs = {**held, **{name: np.array(array, order="C") for name, array in feeds.items()}}
        self._arena, self._native, self._sizes = aligned_bytes(sized.arena_bytes, TEMPORARIES), sized.run, sized.sizes
        memory = {
            item.name: empty(shape, item.dtype, f"the result {item.name}")
            for item, shape in zip(entry.outputs, sized.shapes, strict=True)
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
        for name in feeds:
            array, axis = self._inputs[name], layout.feed_time[name]
            view = array.squeeze(axis) if one_step and axis is not None else array
            self._feeds.append((name, view.shape, view.dtype, view))
        self._count = len(self._feeds)
        self._held = held
        self._all_ranges = ranges
        self._ranges = [check for check in ranges if check.label in feeds]
        self._results = []
        for name in layout.shown:
            axis = layout.output_time[name]
            self._results.append(memory[name].squeeze(axis) if one_step and axis is not None else memory[name])
        self._before_rows = [_before_rows(layout, name, one_step) for name in layout.shown]
        writer = ResultWriter(layout.structure, self._results, [array.copy for array in self._results])
        self._give, self._give_into = writer.give, writer.give_into
        self._outs = OutSpec(layout.structure, [(array.shape, array.dtype) for array in self._results])

    def _renew(self) -> None:
        """Takes the present parameters from here on."""
        self._weights = self._entry.weights(self._parameters)
        for block in self._blocks:
            block.set_weights(self._weights)
        self._version = self._weights.version

    def run(self, named: Mapping[str, Any] | None, kept: np.ndarray | None, out: Any) -> Any:
        """The results; None, and nothing done, where feeds or ``out`` are not arrays of just this signature.

        kept: rows that take part.
        """
        if named is None or self._parts != self._threads.parts:
            return None
        arrays = None if out is None else self._outs.arrays(out)
        if arrays is None and out is not None:
            return None
        for name, shape, dtype, held in self._feeds:
            value = named.get(name)
            if type(value) is not ndarray or value.shape != shape:
                return None
            if value.dtype is not dtype and value.dtype != dtype:  # mostly the very object
                return None
            held[...] = value
        if len(named) != self._count:
            if not self._hold(named):
                return None
        elif self._ranges:
            check_preconditions(self._ranges, self._inputs, self._sizes, None)
        if self._version != self._changes.version:
            self._renew()
        states = self._states
        turn = states.turn
        self._native(self._addresses[turn], WORKER, WORKERS)
        if kept is not None:
            self._leave(~kept)
        states.turn = 1 - turn
        return self._give() if arrays is None else self._give_into(arrays)

    def _hold(self, named: Mapping[str, Any]) -> bool:
        """Takes over feeds without a time axis: all of them, or none and False, or none and an error."""
        given = []
        for name, value in named.items():
            held = self._held.get(name)
            if held is not None:
                if not _fits(value, held):
                    return False
                given.append((name, held, value))
        if len(given) + self._count != len(named):  # one that is not known, or too few
            return False
        if self._all_ranges:  # of copies, which nobody else can change
            given = [(name, held, np.array(value, held.dtype)) for name, held, value in given]
            inputs = self._inputs | {name: value for name, _, value in given}
            check_preconditions(self._all_ranges, inputs, self._sizes, None)
        elif len(given) > 1:  # of numbers arrays, before any is taken over: one that is too large may be an error
            given = [
                (name, held, value if type(value) is ndarray else np.array(value, held.dtype))
                for name, held, value in given
            ]
        for _, held, value in given:
            held[...] = value
        return True

    def _leave(self, others: np.ndarray) -> None:
        """Leaves the state of these rows as it was, and gives zeros for their results."""
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


def _fits(value: Any, held: np.ndarray) -> bool:
    """Whether a value has the shape and dtype of what is held in its place; a float fits a scalar."""
    if type(value) is ndarray:
        return value.shape == held.shape and value.dtype == held.dtype
    return not held.shape and held.dtype.kind == "f" and type(value) in (float, np.float64, held.dtype.type)


def _before_rows(layout: StreamLayout, name: str, one_step: bool) -> list[slice] | None:
    """The index of all axes of a result that stand before that of rows; None where it has none."""
    rows, time = layout.output_rows[name], layout.output_time[name]
    if rows is None:
        return None
    return [slice(None)] * (rows - (one_step and time is not None and time < rows))
