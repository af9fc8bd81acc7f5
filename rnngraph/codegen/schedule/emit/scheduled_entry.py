"""What scheduling gives: the functions of one compiled entry, its arguments and the memory that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ....ir.types import Dim
from ....support.stage_text import StageLine, StageText
from ...buffers.arena import Arena
from ...buffers.packing import PanelLayout
from ...cost_model.work_sharing import Work
from ...loop_ir.functions import Entry, Function
from ...loop_ir.printer import function_text
from ..analyse.arguments import Argument
from ..plan.entry_plan import EntryPlan
from ..plan.group_plan import GroupPlan
from .ticks import Ticks


@dataclass(frozen=True)
class ScheduledEntry:
    """One entry as loop IR, and the plan that it was written from: all that code generation and the runtime need.

    functions: those that ``main``, which is called from outside, and ``pack``, which packs parameters, call.
    sizes: names of the graph's sizes. ticks: what the entry counts, if it does.
    """

    entry_plan: EntryPlan
    functions: tuple[Function, ...]
    main: Entry
    pack: Entry
    sizes: tuple[str, ...]
    ticks: Ticks | None = None

    @property
    def arguments(self) -> tuple[Argument, ...]:
        return self.entry_plan.entry.arguments.items

    @property
    def strides(self) -> Mapping[str, tuple[str, ...]]:
        """Names of slots that hold a feed's strides, by argument name, in elements; its last axis is contiguous."""
        return self.entry_plan.entry.arguments.strides

    @property
    def parts(self) -> int:
        """Into how many kernels are cut, for as many workers at most."""
        return self.entry_plan.parts

    @property
    def work(self) -> Work:
        return self.entry_plan.work

    @property
    def groups(self) -> tuple[GroupPlan, ...]:
        """Every fusion group, in the order in which they run."""
        return self.entry_plan.groups

    @property
    def arena(self) -> Arena:
        """Where temporaries lie."""
        return self.entry_plan.memory.arena

    @property
    def residual_bytes(self) -> Dim:
        """The part of the arena that holds values of all steps, made by one group and read by a later one, which is
        what a derivative keeps.
        """
        return self.entry_plan.memory.residual_bytes

    @property
    def panel_bytes(self) -> int:
        """Bytes of what packing gives."""
        return self.entry_plan.memory.panels.total

    @cached_property
    def layouts(self) -> Mapping[str, PanelLayout]:
        """How parameters are packed, by name of buffer."""
        return self.entry_plan.memory.panels.layouts()

    @property
    def shrinking(self) -> frozenset[str]:
        """Names of buffers of packed weights of which, by what weights are, only the first part may be used, with zeros
        behind.
        """
        return self.entry_plan.memory.panels.shrinking

    @property
    def arena_bytes(self) -> Dim:
        """A formula in the run-time sizes."""
        return self.arena.total

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters that the entry reads."""
        return [item.name for item in self.arguments if item.kind == "parameter"]

    @property
    def memory_text(self) -> str:
        """What memory the entry needs, in words."""
        arena = f"{self.arena_bytes} bytes, of them kept from group to group: {self.residual_bytes}"
        return f"arena: {arena}; packed weights: {self.panel_bytes} bytes"

    def loops(self) -> StageText:
        """The loop IR as text."""
        lines = [StageLine(f"# {self.memory_text}")]
        for function in (*self.functions, self.main.function, self.pack.function):
            lines += [*function_text(function).lines, StageLine("")]
        return StageText(lines[:-1])
