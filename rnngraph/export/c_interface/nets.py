"""What is exported for one target: a net that runs step by step, or one that takes whole sequences."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...codegen.cost_model.chunk_length import MAX_CHUNK
from ...codegen.machine.alignment import ALIGNMENT, padded
from ...codegen.machine.target import Target
from ...ir.types import Dim, evaluate
from ...runtime.native.size_bounds import Bounds
from .ports import ExportedEntry, Port

HEADER = 64
"""Bytes before an instance's states: which of the two copies is the present one, the variant, and where weights lie."""


@dataclass(frozen=True)
class ExportedNet:
    """parameters: all, in canonical order; embedded: whether their values are part of the code."""

    target: Target
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    parameters: Mapping[str, np.ndarray]
    embedded: bool

    @property
    @abstractmethod
    def entries(self) -> Sequence[ExportedEntry]:
        """All entries of the code."""

    # Weights that are given at run time ----------------------------------------------------------

    @cached_property
    def canonical_places(self) -> dict[str, int]:
        """Where each parameter lies in the canonical layout, one behind the other."""
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
        names = dict.fromkeys(name for entry in self.entries for name in entry.raw_parameters)
        return places_of({name: self.parameters[name].nbytes for name in names})

    @property
    def raw_places(self) -> dict[str, int]:
        """Where parameters that are read as they are lie in the memory of packed weights."""
        return self._raw[0]

    @property
    def panels_place(self) -> int:
        """Where packed weights begin there."""
        return self._raw[1]

    @cached_property
    def _panels(self) -> tuple[dict[str, dict[str, int]], int]:
        places: dict[object, int] = {}
        found: dict[str, dict[str, int]] = {}
        total = 0
        for entry in self.entries:
            mine = found.setdefault(entry.plan.main.name, {})
            for name, (_, count) in entry.panel_places.items():
                key = entry.plan.layouts.get(name, (entry.plan.main.name, name))
                if key not in places:
                    places[key] = total
                    total += count
                mine[name] = places[key]
        return found, total

    @property
    def panel_offsets(self) -> dict[str, dict[str, int]]:
        """By name of an entry and of a buffer, where in packed weights it lies: what is packed alike lies once."""
        return self._panels[0]

    @property
    def weights_bytes(self) -> int:
        """Bytes of packed weights, with what is lost to alignment."""
        return self.panels_place + self._panels[1] + ALIGNMENT


@dataclass(frozen=True)
class RowBatch:
    """The entry of a step of several streams at once, side by side, each as if it were alone.

    most: how many there may be. ports: inputs and states, which begin with the axis of streams.
    """

    entry: ExportedEntry
    most: int
    ports: tuple[Port, ...]

    @property
    def arena_bytes(self) -> int:
        return evaluate(self.entry.plan.arena_bytes, dict.fromkeys(self.entry.plan.sizes, self.most))


@dataclass(frozen=True)
class ExportedStream(ExportedNet):
    """A net that runs step by step.

    rate: entries of sequences in a step. delay: steps after which the results of the first one come. tail: the entry
    that gives what is owed when sequences end, and owed: the outputs as it gives them. block: None where a block of
    steps is a loop of single ones. together: None where steps of several streams are such a loop. initial: the entry
    that gives the initial state, or the state itself, by name, where it depends on no feed and weights are embedded.
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
        """Inputs that are the same at all steps."""
        return tuple(port for port in self.inputs if port.time_axis is None)

    @property
    def entries(self) -> Sequence[ExportedEntry]:
        return [*self._of_one, *([] if self.together is None else [self.together.entry])]

    @property
    def _of_one(self) -> list[ExportedEntry]:
        """The entries for one stream."""
        found = [self.step, self.block, self.tail, self.initial]
        return [entry for entry in found if isinstance(entry, ExportedEntry)]

    @cached_property
    def _states(self) -> tuple[dict[str, int], int]:
        return places_of({port.name: port.step_bytes for port in self.states})

    @property
    def state_places(self) -> dict[str, int]:
        """Where each state lies within a copy of all."""
        return self._states[0]

    @property
    def copy_bytes(self) -> int:
        """Bytes of one copy of all states."""
        return self._states[1]

    @property
    def packed_bytes(self) -> int:
        """Bytes of all states one behind the other, as callers get and set them."""
        return sum(port.step_bytes for port in self.states)

    @cached_property
    def _scratch(self) -> tuple[dict[str, int], int]:
        scattered = [port for port in self.outputs if port.is_scattered] if self.block is None else []
        return places_of({port.name: port.step_bytes for port in scattered})

    @property
    def scratch_places(self) -> dict[str, int]:
        """Where a single step's results lie that have to be moved to their place in a block."""
        return self._scratch[0]

    @cached_property
    def _streams(self) -> tuple[dict[str, int], int]:
        most = 0 if self.together is None else self.together.most
        return places_of({port.name: most * port.step_bytes for port in self.states} if most else {})

    @property
    def streams_place(self) -> int:
        """Where states of several streams lie side by side, twice: as a step reads them, and as it writes them."""
        return HEADER + 2 * self.copy_bytes + self._scratch[1]

    @property
    def streams_places(self) -> dict[str, int]:
        """Where each state of all streams lies in one of the two."""
        return self._streams[0]

    @property
    def streams_bytes(self) -> int:
        """Bytes of one of the two."""
        return self._streams[1]

    @property
    def arena_place(self) -> int:
        return self.streams_place + 2 * self.streams_bytes

    @property
    def memory_bytes(self) -> int:
        """Bytes of an instance, with what is lost to alignment."""
        return self._bytes_for(self._of_one)

    def _bytes_for(self, entries: Sequence[ExportedEntry]) -> int:
        """Bytes of an instance for some of the entries of one stream, and for several streams."""
        arenas = [int(str(entry.plan.arena_bytes)) for entry in entries]
        arenas += [] if self.together is None else [self.together.arena_bytes]
        return self.arena_place + max(arenas) + ALIGNMENT

    @property
    def block_bytes(self) -> int:
        """Bytes of an instance that are there for blocks of steps alone."""
        return self.memory_bytes - self._bytes_for([entry for entry in self._of_one if entry is not self.block])

    @property
    def max_block(self) -> int:
        """Steps whose temporaries a block holds at once."""
        groups = () if self.block is None else self.block.plan.groups
        longest = [group.chunks.longest for group in groups if group.chunks is not None]
        return max((steps for steps in longest if steps < MAX_CHUNK), default=1)


@dataclass(frozen=True)
class SizeArgument:
    """A size that callers give: its name in C, and the number that it must be, None where it is any."""

    name: str
    fixed: int | None = None


@dataclass(frozen=True)
class ExportedSequence(ExportedNet):
    """A net that takes whole sequences.

    sizes: what callers give, batch and steps first; by their names in C all formulas here are written. slots: by name
    in the entry's argument block, the size's name in C. arena_bytes: of temporaries. differences: sizes that must not
    be negative. bounds: what else must hold of sizes.
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
        """Bytes of the caller's memory, with what is lost to alignment."""
        return self.arena_bytes + ALIGNMENT


def places_of(sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Where arrays of so many bytes lie one behind the other, each at a cache line, and the bytes of all."""
    places, total = {}, 0
    for name, count in sizes.items():
        places[name] = total
        total += padded(count)
    return places, total
