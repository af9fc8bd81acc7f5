"""Exported nets for one target: a net that runs step by step, or one of whole sequences."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...codegen.cost_model.chunk_length import MAX_CHUNK
from ...codegen.machine.alignment import ALIGNMENT, padded
from ...codegen.machine.target import Target
from ...codegen.schedule.emit.pack_stages import parts_of
from ...ir.types import Dim, evaluate
from ...runtime.native.size_bounds import Bounds
from .ports import ExportedEntry, Port

HEADER = 64
"""Size in bytes of an instance's header: index of the present copy, variant, and address of weights."""


@dataclass(frozen=True)
class ExportedNet:
    """Net for one target, with entries and parameters. If ``embedded``, the code contains their values."""

    target: Target
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    parameters: Mapping[str, np.ndarray]
    embedded: bool

    @property
    @abstractmethod
    def entries(self) -> Sequence[ExportedEntry]:
        """All entries of the code."""

    # Weights that are passed at run time ----------------------------------------------------------

    @cached_property
    def canonical_places(self) -> dict[str, int]:
        """Offset of each parameter in the canonical layout, in which parameters follow each other."""
        places, total = {}, 0
        for name, array in self.parameters.items():
            places[name] = total
            total += array.nbytes
        return places

    @property
    def canonical_bytes(self) -> int:
        return sum(array.nbytes for array in self.parameters.values())

    @cached_property
    def _raw(self) -> tuple[dict[str, int], int]:
        names = dict.fromkeys(name for entry in self.entries for name in entry.plan.unpacked_parameters)
        return places_of({name: self.parameters[name].nbytes for name in names})

    @property
    def raw_places(self) -> dict[str, int]:
        """Offset of each unpacked parameter in the memory for weights."""
        return self._raw[0]

    @property
    def panels_place(self) -> int:
        """Offset of packed weights in the memory for weights."""
        return self._raw[1]

    @cached_property
    def _panels(self) -> tuple[dict[str, dict[str, int]], int, int]:
        """(offsets by entry and buffer, bytes that steps read, bytes with the intermediate values of packing)."""
        places: dict[object, int] = {}
        offsets: dict[str, dict[str, int]] = {}
        kept = peak = 0
        parts = {entry.plan.main.name: (entry.plan, parts_of(entry.plan)) for entry in self.entries}
        for main, (plan, of_plan) in parts.items():
            own_offsets = offsets.setdefault(main, {})
            for part in of_plan:
                for number, (buffer, count) in enumerate(part.results.items()):
                    alone = plan.layouts.get(buffer.name, (main, buffer.name))
                    key = (part.key, number) if part.key else alone
                    if key not in places:
                        places[key] = kept
                        kept += count
                    own_offsets[buffer.name] = places[key]
        for main, (_, of_plan) in parts.items():
            for part in of_plan:  # stages run one after another, and reuse the same scratch memory
                total = kept
                for buffer, count in part.scratch.items():
                    offsets[main][buffer.name] = total
                    total += count
                peak = max(peak, total)
        return offsets, kept, max(kept, peak)

    @property
    def panel_offsets(self) -> dict[str, dict[str, int]]:
        """Offsets of panels among packed weights, by entry and buffer. Equal panels share an offset."""
        return self._panels[0]

    @property
    def weights_bytes(self) -> int:
        """Bytes of the memory for weights: unpacked and packed ones, what packing needs, and space for alignment."""
        return self.panels_place + self._panels[2] + ALIGNMENT

    @property
    def weights_file_bytes(self) -> int:
        """Bytes of the file of packed weights, which has no memory for intermediate values."""
        return self.panels_place + self._panels[1]


@dataclass(frozen=True)
class RowBatch:
    """Entry that steps several independent streams at once.

    ``max_rows`` is their maximum number. ``ports`` are inputs and states, whose first axis is the streams.
    """

    entry: ExportedEntry
    max_rows: int
    ports: tuple[Port, ...]

    @property
    def arena_bytes(self) -> int:
        return evaluate(self.entry.plan.arena_bytes, dict.fromkeys(self.entry.plan.sizes, self.max_rows))


@dataclass(frozen=True)
class ExportedStream(ExportedNet):
    """Net that runs step by step, for one target.

    Args:
        rate: Sequence entries in a step.
        delay: Steps from the inputs of a step to its results.
        owed: Outputs at the end of sequences.
        states: States.
        initial_inputs: Inputs of the initial state.
        step: Entry of a step.
        block: Entry of several steps; None: a loop of single steps.
        together: Entry of several streams; None: a loop over them.
        tail: Entry of outputs at the end of sequences.
        initial: Entry of the initial state, or its values if they are constants.
    """

    rate: int
    delay: int
    owed: tuple[Port, ...]
    states: tuple[Port, ...]
    initial_inputs: tuple[Port, ...]
    step: ExportedEntry
    block: ExportedEntry | None
    together: RowBatch | None
    tail: ExportedEntry | None
    initial: ExportedEntry | Mapping[str, np.ndarray]

    @property
    def held_inputs(self) -> tuple[Port, ...]:
        """Inputs without a time axis, which are equal at all steps."""
        return tuple(port for port in self.inputs if port.time_axis is None)

    @property
    def entries(self) -> Sequence[ExportedEntry]:
        return [*self._of_one, *([] if self.together is None else [self.together.entry])]

    @property
    def _of_one(self) -> list[ExportedEntry]:
        """Entries that compute one stream."""
        candidates = [self.step, self.block, self.tail, self.initial]
        return [entry for entry in candidates if isinstance(entry, ExportedEntry)]

    @cached_property
    def _states(self) -> tuple[dict[str, int], int]:
        return places_of({port.name: port.step_bytes for port in self.states})

    @property
    def state_places(self) -> dict[str, int]:
        """Byte offset of each state within one copy of all states."""
        return self._states[0]

    @property
    def copy_bytes(self) -> int:
        """Bytes of one copy of all states."""
        return self._states[1]

    @property
    def packed_bytes(self) -> int:
        """Bytes of all states without gaps, as callers get and set them."""
        return sum(port.step_bytes for port in self.states)

    @cached_property
    def _scratch(self) -> tuple[dict[str, int], int]:
        scattered = [port for port in self.outputs if port.is_scattered] if self.block is None else []
        return places_of({port.name: port.step_bytes for port in scattered})

    @property
    def scratch_places(self) -> dict[str, int]:
        """Byte offsets of results of a step that are moved to their place in a block afterwards."""
        return self._scratch[0]

    @cached_property
    def _streams(self) -> tuple[dict[str, int], int]:
        max_streams = 0 if self.together is None else self.together.max_rows
        return places_of({port.name: max_streams * port.step_bytes for port in self.states} if max_streams else {})

    @property
    def streams_place(self) -> int:
        """Byte offset of the states of several streams, in two copies: one to read, one to write."""
        return HEADER + 2 * self.copy_bytes + self._scratch[1]

    @property
    def streams_places(self) -> dict[str, int]:
        """Byte offset of each state within one of both copies of the streams' states.

        Empty if the net has no entry for several streams.
        """
        return self._streams[0]

    @property
    def streams_bytes(self) -> int:
        """Bytes of one copy of the states of all streams."""
        return self._streams[1]

    @property
    def arena_place(self) -> int:
        return self.streams_place + 2 * self.streams_bytes

    @property
    def memory_bytes(self) -> int:
        """Bytes of an instance, with space for alignment."""
        return self._bytes_for(self._of_one)

    def _bytes_for(self, entries: Sequence[ExportedEntry]) -> int:
        """Return the bytes of an instance whose arena suffices for ``entries`` and for the entry of several streams."""
        arenas = [int(str(entry.plan.arena_bytes)) for entry in entries]
        arenas += [] if self.together is None else [self.together.arena_bytes]
        return self.arena_place + max(arenas) + ALIGNMENT

    @property
    def block_bytes(self) -> int:
        """Bytes of an instance that only blocks of steps need."""
        return self.memory_bytes - self._bytes_for([entry for entry in self._of_one if entry is not self.block])

    @property
    def max_block(self) -> int:
        """Maximum steps that a block computes at once; 1 if the net has no entry for blocks."""
        groups = () if self.block is None else self.block.plan.groups
        longest = [group.chunks.longest for group in groups if group.chunks is not None]
        return max((steps for steps in longest if steps < MAX_CHUNK), default=1)


@dataclass(frozen=True)
class SizeArgument:
    """Size that callers pass: the C name, and the value if it is fixed."""

    name: str
    fixed: int | None = None


@dataclass(frozen=True)
class ExportedSequence(ExportedNet):
    """Net that takes whole sequences, for one target.

    Args:
        sizes: Callers' sizes, batch and steps first. Their C names are the variables of all formulas here.
        slots: C name of a size by slot of the entry's argument block.
        arena_bytes: Bytes of temporaries.
        differences: Sizes that must not be negative.
        bounds: Other conditions of sizes.
    """

    sizes: tuple[SizeArgument, ...]
    entry: ExportedEntry
    slots: Mapping[str, str]
    arena_bytes: Dim
    differences: tuple[Dim, ...]
    bounds: Bounds

    @property
    def entries(self) -> Sequence[ExportedEntry]:
        return [self.entry]

    @property
    def scratch_bytes(self) -> Dim:
        """Bytes of the caller's scratch memory, with space for alignment."""
        return self.arena_bytes + ALIGNMENT


def places_of(sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Return the offsets of consecutive arrays, each at a cache line, and the total bytes."""
    places, total = {}, 0
    for name, count in sizes.items():
        places[name] = total
        total += padded(count)
    return places, total
