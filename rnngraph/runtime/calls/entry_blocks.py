"""Argument blocks for concurrent calls, and a function that runs a single call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...support.allocation import LARGE
from ..native.argument_block import ArgumentBlock, Weights
from ..native.entry import NativeEntry
from ..native.worker_pool import ThreadCount
from .prepared_call import CallInputs, CallResults, CallSpec, PreparedCall, spec_of
from .runner import Runner


class EntryBlocks:
    """Source of argument blocks for concurrent calls.

    Each running call has a separate block, with an arena from the entry's free list and the current weights.
    """

    is_shared = True

    def __init__(self, spec: CallSpec, weights: Callable[[], Weights]) -> None:
        """Make a source for a spec. ``weights`` returns the current weights of its entry."""
        self._entry, self._sized, self._weights = spec.entry, spec.sized, weights
        self._is_large = spec.sized.result_bytes + spec.sized.arena_bytes >= LARGE

    def call(self, spec: CallSpec) -> PreparedCall:
        """Return memory for another concurrent call."""
        return PreparedCall(spec)

    def block(self, call: PreparedCall, arrays: list[Any] | None) -> tuple[ArgumentBlock, tuple[np.ndarray, Weights]]:
        """Return the argument block for a filled call, with the arena and the weights to which it refers."""
        weights, block, entry, sized = self._weights(), call.block, self._entry, self._sized
        if block.version != weights.version:
            block.set_weights(weights)
        if self._is_large:
            entry.raise_if_out_of_memory(sized, sum(array.nbytes for array in arrays or () if array is not None))
        arena = entry.take(sized.arena_bytes)
        if block.arena() is not arena:
            block.set_arena(arena)
        return block, (arena, weights)  # parameters may change, but these weights must live until the call ends

    def record_run(self, call: PreparedCall, arrays: list[Any] | None, context: tuple[np.ndarray, Weights]) -> None:
        """Put the arena of a finished call back on the free list."""
        self._entry.give_back(context[0])


def run_once(
    entry: NativeEntry, weights: Weights, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Run a single call on validated inputs. Return the outputs by name."""
    outputs = [*entry.output_slots]
    inputs = CallInputs({name: name for name in arrays}, arrays)
    spec = spec_of(entry, entry.sized(sizes), inputs, CallResults.by_name(outputs))
    results: dict[str, np.ndarray] = Runner(spec, EntryBlocks(spec, lambda: weights), ThreadCount()).run(arrays)
    return results
