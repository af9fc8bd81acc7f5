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
"""Allocator of a kernel's own memory by name, dtype and number of elements. Each kernel may overwrite it."""


@dataclass(frozen=True)
class Memory:
    """Locations of values to read (``views``), and all locations to which a value is written (``stores``)."""

    panels: Panels
    scratch: Scratch
    views: Mapping[Node, View]
    stores: Mapping[Node, Sequence[View]] = field(default_factory=dict)
