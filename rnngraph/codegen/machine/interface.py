"""Calling interface of machine code: the layout of its argument block."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...ir.types import Dim, Shape
from ...support.records import dataclass


@dataclass(frozen=True)
class Output:
    """Name, NumPy dtype and shape of a result, and the slot with the address of its memory."""

    name: str
    dtype: str
    shape: Shape
    slot: int


@dataclass(frozen=True)
class PackStage:
    """Part of the packing of weights that is independent of the other parts.

    A slot is the index of an 8-byte word in the argument block.

    Attributes:
        parameters: Names of the parameters that the stage reads.
        slot: Slot with the address of the memory for the results.
        bytes: Size of that memory.
        scratch_bytes: Size of the memory for intermediate values.
        key: Digest. Stages with equal digests, also of different entries, pack the same values. Empty for the first
            stage, which combines all small parts.
    """

    parameters: tuple[str, ...]
    slot: int
    bytes: int
    scratch_bytes: int
    key: str


@dataclass(frozen=True)
class Packing:
    """Packing of weights in stages, which can run in any order.

    Attributes:
        begin: Slot for the index of the first stage to run.
        end: Slot for the index of the stage after the last one to run.
        scratch: Slot with the address of the memory for intermediate values.
        stages: The stages. The first one writes its results to the memory of ``Interface.panels``.
    """

    begin: int
    end: int
    scratch: int
    stages: tuple[PackStage, ...]

    @property
    def scratch_bytes(self) -> int:
        """Size of the memory for intermediate values with which every stage can run."""
        return max(stage.scratch_bytes for stage in self.stages)


@dataclass(frozen=True)
class Interface:
    """Calling interface of a compiled graph. The argument block consists of slots of 8 bytes.

    Attributes:
        main: Name of the entry.
        pack: Name of the function that packs parameters.
        slots: Number of slots.
        inputs: For each feed, its slot and the slots of its strides.
        parameters: For each parameter, its slot.
        unpacked: Parameters that the entry reads itself. All others it reads only as packed weights.
        outputs: Results with their slots.
        constants: Slots of constants, with the arrays.
        sizes: For each size that is known only at run time, its slot.
        arena: Slot with the address of the memory for temporaries.
        panels: Slot with the address of the memory for packed weights.
        arena_bytes: Size of the arena, a formula of sizes known at run time.
        panel_bytes: Size of the memory for packed weights.
        parts: Maximum number of workers that can share a call.
        team: Slot with the address of the memory through which workers synchronise.
        cycles: Estimated cycles of a call on one worker, a formula of sizes known at run time.
        packing: Packing in stages; None if a call of ``pack`` packs all parameters.
    """

    main: str
    pack: str
    slots: int
    inputs: Mapping[str, tuple[int, tuple[int, ...]]]
    parameters: Mapping[str, int]
    unpacked: tuple[str, ...]
    outputs: tuple[Output, ...]
    constants: tuple[tuple[int, np.ndarray], ...]
    sizes: Mapping[str, int]
    arena: int
    panels: int
    arena_bytes: Dim
    panel_bytes: int
    parts: int
    team: int
    cycles: Dim
    packing: Packing | None = None


@dataclass(frozen=True)
class ObjectCode:
    """Object file with its calling interface: all that is needed to run a graph."""

    interface: Interface
    binary: bytes
