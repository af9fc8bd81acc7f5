"""Calling interface of machine code: the layout of its argument block."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...ir.types import Dim, Shape
from ...support.records import dataclass


@dataclass(frozen=True)
class Output:
    """Slot, NumPy dtype and shape of a result."""

    name: str
    dtype: str
    shape: Shape
    slot: int


@dataclass(frozen=True)
class PackStage:
    """Part of packing that is independent of the other parts.

    Attributes:
        parameters: Parameters that it reads.
        slot: Slot of the memory for its results.
        bytes: Bytes of that memory.
        key: Digest that is equal for stages of any entry that pack the same; empty for the first stage, which has all
            small parts.
    """

    parameters: tuple[str, ...]
    slot: int
    bytes: int
    key: str


@dataclass(frozen=True)
class Packing:
    """Packing in stages, which run in any order.

    Attributes:
        begin: Slot of the first stage to run; ``end`` is that of the stage after the last one.
        scratch: Slot of the memory for intermediate values.
        stages: The first has the memory of slot ``panels``.
    """

    begin: int
    end: int
    scratch: int
    scratch_bytes: int
    stages: tuple[PackStage, ...]


@dataclass(frozen=True)
class Interface:
    """Calling interface of a compiled graph.

    Attributes:
        main: Name of the entry; ``pack`` is that of packing.
        slots: Number of 8-byte slots of the argument block. Other fields have indices of slots.
        inputs: By name, the slot of a feed and those of its strides.
        constants: Slots with the arrays to which they point.
        arena: Slot of the temporaries; ``panels`` is that of packed weights.
        arena_bytes: Formula of run-time sizes.
        unpacked: Parameters that the main function reads; others are only packed.
        packing: Stages of packing; None: one function packs all.
        parts: Maximum number of workers that can share a call; they synchronise in the memory of slot ``team``.
        cycles: Estimated cycles of a call on one worker, a formula.
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
