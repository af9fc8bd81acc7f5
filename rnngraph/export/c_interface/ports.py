"""What is exported: one step, a block of steps and the initial state as plans, and the arrays that callers see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...codegen.loop_ir.nodes import Entry
from ...codegen.machine.alignment import ALIGNMENT, padded
from ...codegen.machine.target import Target
from ...codegen.schedule.plan import Plan
from ...ir.types import ITEM_BYTES
from .llvm_text import STEPS, elements

HEADER = 64
"""Bytes before an instance's states: which of the two copies is the present one, the variant, and where weights lie."""


@dataclass(frozen=True)
class Port:
    """An array at the C interface. shape: of a step, with ``STEPS`` in place of time. default: what a null pointer
    stands for.
    """

    name: str
    symbol: str
    dtype: str
    shape: tuple[int, ...]
    default: np.ndarray | None = None

    @property
    def shown(self) -> str:
        """Its name for callers: a graph's only output may have none."""
        return self.name or "output"

    @property
    def step_bytes(self) -> int:
        return elements(self.shape) * ITEM_BYTES[self.dtype]

    @property
    def around(self) -> tuple[int, int]:
        """Elements of the axes before that of time, and of those behind it."""
        axis = self.shape.index(STEPS)
        return elements(self.shape[:axis]), elements(self.shape[axis + 1 :])

    @property
    def is_scattered(self) -> bool:
        """Whether the results of one step don't lie together in those of a block."""
        return STEPS in self.shape and self.around[0] != 1


@dataclass(frozen=True)
class ExportedEntry:
    """An entry of the exported code, and its packed weights where they are embedded. arena_bytes: for a block of any
    length.
    """

    plan: Plan
    arena_bytes: int
    panels: bytes = b""

    @cached_property
    def panel_places(self) -> dict[str, tuple[int, int]]:
        """By name of buffer its offset in the packed weights and the bytes up to the next one."""
        places = {**self.plan.pack.places, **self.plan.main.places}
        found = {buffer.name: int(str(offset)) for buffer, (slot, offset) in places.items() if slot == "panels"}
        ends = [*sorted({*found.values(), self.plan.panel_bytes})]
        return {name: (start, ends[ends.index(start) + 1] - start) for name, start in found.items()}

    def placed(self, offsets: Mapping[str, int]) -> Entry:
        """The main entry with its packed weights at other offsets, by name of buffer."""
        main = self.plan.main
        places = {
            buffer: (slot, offsets[buffer.name] if slot == "panels" else offset)
            for buffer, (slot, offset) in main.places.items()
        }
        return replace(main, places=places)

    @property
    def raw_parameters(self) -> list[str]:
        """Names of the parameters that the main entry reads as they are, not packed."""
        used = {slot for slot, _ in self.plan.main.places.values()}
        return [item.name for item in self.plan.arguments if item.kind == "parameter" and item.buffer.name in used]


@dataclass(frozen=True)
class ExportedNet:
    """All that is exported for one target.

    block: None where a block of steps is a loop of single ones. initial: the entry that gives the initial state, or
    the state itself, by name, where it depends on no feed and weights are embedded. parameters: all, in canonical
    order; embedded: whether their values are part of the code.
    """

    target: Target
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[Port, ...]
    initial_inputs: tuple[Port, ...]
    step: ExportedEntry
    block: ExportedEntry | None
    initial: ExportedEntry | Mapping[str, np.ndarray]
    parameters: Mapping[str, np.ndarray]
    embedded: bool

    @property
    def entries(self) -> Iterator[ExportedEntry]:
        yield self.step
        if self.block is not None:
            yield self.block
        if isinstance(self.initial, ExportedEntry):
            yield self.initial

    # The caller's memory -------------------------------------------------------------------------

    @cached_property
    def _states(self) -> tuple[dict[str, int], int]:
        return _places({port.name: port.step_bytes for port in self.states})

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
        return _places({port.name: port.step_bytes for port in scattered})

    @property
    def scratch_places(self) -> dict[str, int]:
        """Where a single step's results lie that have to be moved to their place in a block."""
        return self._scratch[0]

    @property
    def arena_place(self) -> int:
        return HEADER + 2 * self.copy_bytes + self._scratch[1]

    @property
    def memory_bytes(self) -> int:
        """Bytes of an instance, with what is lost to alignment."""
        return self.arena_place + max(entry.arena_bytes for entry in self.entries) + ALIGNMENT

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
        return _places({name: self.parameters[name].nbytes for name in names})

    @property
    def raw_places(self) -> dict[str, int]:
        """Where parameters that are read as they are lie in the memory of packed weights."""
        return self._raw[0]

    def panels_place(self, entry: ExportedEntry) -> int:
        """Where an entry's packed weights begin there."""
        place = self._raw[1]
        for other in self.entries:
            if other is entry:
                return place
            place += padded(other.plan.panel_bytes)
        return place

    @property
    def weights_bytes(self) -> int:
        """Bytes of packed weights, with what is lost to alignment."""
        last = list(self.entries)[-1]
        return self.panels_place(last) + padded(last.plan.panel_bytes) + ALIGNMENT


def _places(sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    places, total = {}, 0
    for name, count in sizes.items():
        places[name] = total
        total += padded(count)
    return places, total
