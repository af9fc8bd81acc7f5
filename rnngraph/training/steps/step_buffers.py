"""Memory of native steps, with argument blocks that are kept because values alternate between few arrays."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from operator import is_
from typing import Any, Protocol
from weakref import ref

import numpy as np

from ...passes.train_step import NEW, SUM
from ...program.program import Program
from ...runtime.calls.prepared_call import PreparedCall
from ...runtime.native.aligned_memory import aligned_bytes
from ...runtime.native.argument_block import ArgumentBlock
from ...runtime.native.entry import TEMPORARIES, NativeEntry
from ...support.bounded_cache import BoundedCache

MAX_BLOCKS = 8
"""Maximum argument blocks that one entry keeps: one for each combination of arrays."""


class StepTarget(Protocol):
    """Interface of an object that owns the values which native steps replace, such as a trainer's state.

    ``program`` has the parameters that steps read. ``interrupt`` is a context that defers a Ctrl-C.
    """

    @property
    def program(self) -> Program: ...

    @property
    def interrupt(self) -> AbstractContextManager[Any]: ...

    def target(self, name: str) -> np.ndarray:
        """Return the array to which the output ``name`` is written."""


class StepMemory:
    """Memory that all calls of one entry share. Only one call runs at a time."""

    def __init__(self, entry: NativeEntry) -> None:
        self._entry, self._panels, self._arena = entry, entry.panels(), aligned_bytes(1)
        self._replacing = [name for name in entry.output_slots if name.startswith((NEW, SUM))]
        self._blocks: BoundedCache[tuple[int, ...], tuple[ArgumentBlock, list[ref[np.ndarray]]]]
        self._blocks = BoundedCache(MAX_BLOCKS)

    def block(
        self,
        call: PreparedCall,
        target: StepTarget,
        parameters: Mapping[str, np.ndarray],
        own: Mapping[str, np.ndarray],
    ) -> ArgumentBlock:
        """Return the argument block of a call, for the current parameters, inputs and targets.

        The block has only their addresses. The caller keeps the parameters alive until the call ends, because other
        code may replace them.

        Args:
            call: The call.
            target: Owner of the arrays to which new values are written.
            parameters: Current parameters.
            own: Inputs besides parameters and feeds.
        """
        if self._arena.size < call.spec.sized.arena_bytes:
            self._blocks.clear()  # cleared first, as they hold the address of the old arena
            self._arena = aligned_bytes(call.spec.sized.arena_bytes, TEMPORARIES)
        targets = [*map(target.target, self._replacing)]
        arrays = [*map(parameters.__getitem__, self._entry.parameter_slots), *own.values(), *targets]
        key = tuple(map(id, arrays))
        block, kept = self._blocks.get(key, (None, ()))
        # the id of a freed array may belong to another one
        if block is None or not all(map(is_, [known() for known in kept], arrays)):
            block = self._block_of(parameters, own, dict(zip(self._replacing, targets, strict=True)))
            self._blocks[key] = block, [ref(array) for array in arrays]
        if block.owner is not call:
            call.write(block)
        return block

    def _block_of(
        self, parameters: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray]
    ) -> ArgumentBlock:
        """Return a new argument block with all addresses but those of feeds and of the results that callers get."""
        block, entry = self._entry.block(), self._entry
        block.set_parameters(parameters, self._panels)
        block.set_arena(self._arena)
        for name, array in own.items():
            if name in entry.input_slots:
                block.set_input(name, array)
        for name, array in targets.items():
            block.set_output(entry.output_slots[name], array)
        return block
