"""What scheduling gives: the functions of one compiled entry, its arguments and the memory that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...ir.types import Dim
from ...support.stage_text import StageLine, StageText
from ..buffers.arena import Arena
from ..buffers.packing import PanelLayout
from ..cost_model.work_sharing import Work
from ..loop_ir.functions import Entry, Function
from ..loop_ir.printer import function_text
from .arguments import Argument
from .group_plan import GroupPlan
from .ticks import Ticks


@dataclass(frozen=True)
class Plan:
    """Everything that code generation and the runtime need to know of one compiled entry.

    arena: where temporaries lie. residual_bytes: the part of it that holds values of all steps, made by one group and
    read by a later one, which is what a derivative keeps. strides: names of slots that hold a feed's
    strides, by argument name, in elements; the last axis of a feed is contiguous. parts: into how many kernels are cut.
    groups: what was decided of every fusion group, in the order in which they run. layouts: by name of buffer, how
    parameters are packed. shrinking: names of buffers of packed weights of which, by what weights are, only the first
    part may be used, with zeros behind. ticks: what the entry counts, if it does.
    """

    functions: tuple[Function, ...]
    main: Entry
    pack: Entry
    arguments: tuple[Argument, ...]
    sizes: tuple[str, ...]
    strides: dict[str, tuple[str, ...]]
    arena: Arena
    residual_bytes: Dim
    panel_bytes: int
    parts: int
    work: Work
    groups: tuple[GroupPlan, ...] = ()
    layouts: Mapping[str, PanelLayout] = field(default_factory=dict)
    shrinking: frozenset[str] = frozenset()
    ticks: Ticks | None = None

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
