"""What a caller must know of machine code: where its argument block holds what. Needs nothing of the compiler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...ir.types import Dim, Shape


@dataclass(frozen=True)
class Output:
    """A result: the slot that names its memory, and how it looks there."""

    name: str
    dtype: str
    shape: Shape
    slot: int


@dataclass(frozen=True)
class Interface:
    """How compiled code is called.

    main, pack: its entries. slots: of the argument block, 8 bytes each; the other slots are numbers of these.
    inputs: by name the slot of a feed, and those of its strides. constants: slots and what they point to.
    arena, panels: slots of the two kinds of memory. arena_bytes: a formula in the run-time sizes. parts: so many
    workers can share a call, who signal to each other in the memory that slot ``team`` names. cycles: about what a call
    takes one worker, a formula too.
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
    """An object file and its interface: all that is needed to run a graph."""

    interface: Interface
    binary: bytes
