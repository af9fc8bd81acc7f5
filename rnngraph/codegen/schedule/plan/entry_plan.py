"""Result of the second phase: all decisions for an entry, before its first statement is written."""

from __future__ import annotations

from ....ir.types import Dim
from ....support.records import dataclass
from ...buffers.arena import Arena
from ...buffers.packing import Panels
from ...cost_model.work_sharing import Work
from ..analyse.group_kernels import EntryGraph
from .group_plan import GroupPlan, SectionPlan


@dataclass(frozen=True)
class MemoryPlan:
    """Memory of an entry.

    Attributes:
        arena: Temporaries with their sizes.
        panels: Values that are computed when parameters change. The third phase adds the packed weights that tiles
            read.
        residual_bytes: Bytes of the arena for values that one group stores at all steps for a later group, such as
            values saved for the derivative.
    """

    arena: Arena
    panels: Panels
    residual_bytes: Dim


@dataclass(frozen=True)
class EntryPlan:
    """Complete plan of an entry: order of execution, workers, and memory of each value.

    Attributes:
        entry: Graph of the entry.
        parts: Number of parts of a kernel, and maximum number of workers.
        sections: Sections in order of execution.
        memory: Memory of values.
        work: Estimated cost.
    """

    entry: EntryGraph
    parts: int
    sections: tuple[SectionPlan, ...]
    memory: MemoryPlan
    work: Work

    @property
    def groups(self) -> tuple[GroupPlan, ...]:
        """All fusion groups in order of execution."""
        return tuple(group for section in self.sections for group in section.groups)
