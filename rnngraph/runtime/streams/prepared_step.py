"""Prepared calls for steps and chunks of a stream, with an argument block for each of the two buffers of the states."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy import ndarray

from ..calls.direct_call import DirectCall, DirectMemory, NativeTime, can_be_direct, is_ready
from ..calls.prepared_call import CallSpec, PreparedCall, with_omitted_axis
from ..calls.runner import DirectSource, Runner
from ..native.aligned_memory import aligned_bytes
from ..native.argument_block import ArgumentBlock, Weights
from ..native.entry import TEMPORARIES
from ..parameters import Parameters
from .some_rows import SomeRows
from .states import States
from .step_graph import StepGraph
from .stream_feeds import HeldInputs


class StateBlocks:
    """Argument blocks of a stream, one for each of its two state buffers.

    The block of side 0 or 1 reads the states in this buffer, and writes the next states to the other buffer.

    Attributes:
        left_out: Mask of the rows that the running call must leave unchanged; None if there are none.
    """

    is_shared = False

    def __init__(self, graph: StepGraph, parameters: Parameters, spec: CallSpec, states: States) -> None:
        """Fill in both blocks."""
        self._spec, self._states, self._row_axes = spec, states, graph.row_axes
        self._parameters, self._changes, self._side = parameters, parameters.counter().word, states.word
        self._call = PreparedCall(spec)
        self.left_out: ndarray | None = None
        self.arena, entry = aligned_bytes(spec.sized.arena_bytes, TEMPORARIES), spec.entry
        self.blocks = self._call.new_block(), self._call.new_block()
        for side, block in enumerate(self.blocks):
            block.set_arena(self.arena)
            for name, before, after in zip(
                graph.states.labels, states.sides[side], states.sides[1 - side], strict=True
            ):
                if name in entry.input_slots:
                    block.set_input(name, before)
                block.set_output(entry.output_slots[name], after)
        self._renew()

    def call(self, spec: CallSpec) -> PreparedCall:
        """Return memory for a call."""
        return self._call

    def _renew(self) -> None:
        """Switch both blocks to the current parameters."""
        self._weights = self._spec.entry.weights(self._parameters)
        for block in self.blocks:
            block.set_weights(self._weights)
        self._version = self._weights.version

    def weights(self) -> Weights:
        """Return the weights to which both blocks refer."""
        return self._weights

    def block(self, call: PreparedCall, arrays: list[Any] | None) -> tuple[ArgumentBlock, int]:
        """Return the block that reads the present states, and its side."""
        if self._version != self._changes.value:
            self._renew()
        side = self._side.value
        return self.blocks[side], side

    def record_run(self, call: PreparedCall, arrays: list[Any] | None, side: int) -> None:
        """Switch the present states to those that a call has written."""
        if self.left_out is not None:
            results = dict(zip(self._spec.leaves, call.present(arrays), strict=True))
            self._restore_other_rows(self.left_out, {**results, **call.flags}, side)
        self._side.value = 1 - side

    def _restore_other_rows(self, others: ndarray, results: Mapping[str, ndarray], side: int) -> None:
        """Restore the states of the rows in the mask ``others``, and zero their results."""
        for new, old in zip(self._states.sides[1 - side], self._states.sides[side], strict=True):
            np.copyto(new, old, where=others.reshape(-1, *(1,) * (new.ndim - 1)))
        for name, array in results.items():
            axis = self._row_axes[name]
            if axis is not None:
                np.moveaxis(with_omitted_axis(array, self._spec.result_axes.get(name)), axis, 0)[others] = 0


class PreparedStep(Runner):
    """Runner of single steps, or of chunks of one length, for feeds of one signature."""

    def __init__(
        self,
        graph: StepGraph,
        parameters: Parameters,
        spec: CallSpec,
        states: States,
        held_feeds: HeldInputs,
        keys: Mapping[str, Any],
        one_step: bool,
    ) -> None:
        """Prepare the call.

        Args:
            spec: Spec of the feeds that have a time axis.
            held_feeds: All feeds without a time axis.
            keys: Keys of feeds in mappings, other than names.
            one_step: True for single steps, which can compute a subset of rows. In a chunk, all rows are computed, and
                then the rows outside of the subset are restored.
        """
        options = graph.compiled.options
        self._parameters, self._states, self._graph, self._options = parameters, states, graph, options
        self._held_feeds, self._keys, self._one_step = held_feeds, keys, one_step
        self._blocks = blocks = StateBlocks(graph, parameters, spec, states)
        # Checked now, because compiling takes time anyway, and not during a step for which a caller waits.
        self._may_be_direct = can_be_direct(blocks.call(spec), len(held_feeds.arrays)) and is_ready(options)
        direct = DirectSource(self._direct_call, blocks.weights) if self._may_be_direct else None
        super().__init__(spec, blocks, options.threads, optional=self._held_feeds, direct=direct)

    def set_key_aliases(self, keys: Mapping[str, Any]) -> None:
        """Set the keys of placeholders in mappings, other than names."""
        if keys != self._keys:
            self._keys = keys
            self.forget_direct()

    def _direct_call(self, time: NativeTime) -> DirectCall:
        held_feeds, blocks, states = self._held_feeds.arrays, self._blocks, self._states
        # held feeds are converted before they are checked, so machine code does not take held feeds with a check
        checked = {*self.spec.feeds, *(check.label for check in self._held_feeds.ranges)}
        optional = {name: array for name, array in held_feeds.items() if name not in checked}
        memory = DirectMemory(blocks.blocks, [states, *held_feeds.values(), blocks.arena], states.word, optional)
        call, changes = blocks.call(self.spec), self._parameters.counter()
        return DirectCall(call, memory, self._keys, changes, self._options.threads, time.is_long)

    def run_rows(
        self, feeds: Mapping[str, Any] | None, selected: ndarray, out: Any, arrays: list[Any] | None = None
    ) -> Any:
        """Run a step of the rows in the mask ``selected``. Other rows get zero results.

        Return None, with nothing done, if the call needs the slow path.
        """
        some = self._some_rows
        if some is None or feeds is None or not self.is_current:
            self._blocks.left_out = ~selected
            try:
                return self.run(feeds, None, out, arrays)
            finally:
                self._blocks.left_out = None
        if out is not None:
            arrays = self.outs.arrays(out)
            if arrays is None:
                return None
        rows, count = np.flatnonzero(selected), len(self.spec.names)
        if not some.fill(feeds, rows):
            return None
        if len(feeds) != count and not self._held_feeds.take(feeds, self._blocks.call(self.spec), is_checked=True):
            return None
        some.run(rows)
        return some.collect(rows, arrays)

    @cached_property
    def _some_rows(self) -> SomeRows | None:
        """Steps of a subset of rows; None if all rows must be computed. Made on first use, because code is compiled."""
        graph = self._graph
        if not self._one_step or not graph.rows.is_open:
            return None
        return SomeRows(graph, self._parameters, self.spec, self._states, self._held_feeds.arrays)

    def is_for(self, spec: CallSpec) -> bool:
        """True if this runner can run calls of ``spec``."""
        own_spec = self.spec
        return (
            own_spec.entry is spec.entry and own_spec.sized.sizes == spec.sized.sizes and own_spec.feeds == spec.feeds
        )
