"""Interface of memory for kernels: places of values, places to write, and scratch memory."""

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
    """Places of values in memory (``views``), and all places to which a value must be written (``stores``)."""

    panels: Panels
    scratch: Scratch
    views: Mapping[Node, View]
    stores: Mapping[Node, Sequence[View]] = field(default_factory=dict)
