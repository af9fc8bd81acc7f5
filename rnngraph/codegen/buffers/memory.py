"""Interface of memory for kernels: locations of values to read and write, and an allocator of scratch memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from ...ir.graph import Node
from ...ir.types import Dim
from ...support.records import dataclass
from ..loop_ir.nodes import Buffer
from .packing import Panels
from .views import View

Scratch = Callable[[str, str, Dim], Buffer]
"""Allocator of scratch memory of one kernel, by name, dtype and number of elements. Other kernels may overwrite it."""


@dataclass(frozen=True)
class Memory:
    """Memory of values for kernels.

    Attributes:
        panels: Packed weights.
        scratch: Allocator of scratch memory.
        views: Location from which each value is read.
        stores: For each value, all locations to which it is written.
    """

    panels: Panels
    scratch: Scratch
    views: Mapping[Node, View]
    stores: Mapping[Node, Sequence[View]] = field(default_factory=dict)
