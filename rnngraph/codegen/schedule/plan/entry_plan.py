"""Second phase: all that is decided of an entry before its first statement is written."""

from __future__ import annotations

from dataclasses import dataclass

from ....ir.types import Dim
from ...buffers.arena import Arena
from ...buffers.packing import Panels
from ...cost_model.work_sharing import Work
from ..analyse.group_kernels import EntryGraph
from .group_plan import GroupPlan, SectionPlan


@dataclass(frozen=True)
class MemoryPlan:
    """The memory of an entry.

    arena: temporaries, each with its size. panels: values that are computed when parameters change; the writers of
    tiles add the packed weights that they read. residual_bytes: the part of the arena that holds values of all steps,
    made by one group and read by a later one, which is what a derivative keeps.
    """

    arena: Arena
    panels: Panels
    residual_bytes: Dim


@dataclass(frozen=True)
class EntryPlan:
    """An entry, whole: what runs in which order, who computes it, and where each value lies.

    parts: into how many kernels are cut, for as many workers at most.
    """

    entry: EntryGraph
    parts: int
    sections: tuple[SectionPlan, ...]
    memory: MemoryPlan
    work: Work

    @property
    def groups(self) -> tuple[GroupPlan, ...]:
        """Every fusion group, in the order in which they run."""
        return tuple(group for section in self.sections for group in section.groups)
