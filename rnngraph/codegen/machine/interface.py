"""Calling interface of machine code: the layout of its argument block."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...ir.types import Dim, Shape
from ...support.records import dataclass


@dataclass(frozen=True)
class Output:
    """Slot and layout of a result."""

    name: str
    dtype: str
    shape: Shape
    slot: int


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
        parts: Maximum number of workers that can share a call; they synchronise in the memory of slot ``team``.
        cycles: Estimated cycles of a call on one worker, a formula.
    """

    main: str
    pack: str
    slots: int
    inputs: Mapping[str, tuple[int, tuple[int, ...]]]
    parameters: Mapping[str, int]
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


@dataclass(frozen=True)
class ObjectCode:
    """Object file with its calling interface: all that is needed to run a graph."""

    interface: Interface
    binary: bytes
