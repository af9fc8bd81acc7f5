"""What kernels are told of memory: where values lie, where they must be written to, and what a kernel may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...ir.graph import Node
from ...ir.types import Dim
from ..loop_ir.nodes import Buffer
from .packing import Panels
from .views import View

Scratch = Callable[[str, str, Dim], Buffer]
"""Memory of one kernel's own, by name, dtype and number of elements; what the kernel before left there is lost."""


@dataclass(frozen=True)
class Memory:
    """views: of values that lie in memory. stores: every place that a value must be written to."""

    panels: Panels
    scratch: Scratch
    views: Mapping[Node, View]
    stores: Mapping[Node, Sequence[View]] = field(default_factory=dict)
