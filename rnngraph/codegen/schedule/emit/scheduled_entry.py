"""Result of scheduling: the functions of an entry, its arguments and its memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from ....ir.types import Dim
from ....support.records import dataclass
from ....support.stage_text import StageLine, StageText
from ...buffers.arena import Arena
from ...buffers.packing import PanelLayout
from ...cost_model.work_sharing import Work
from ...loop_ir.functions import Entry, Function
from ...machine.alignment import padded
from ..analyse.arguments import Argument
from ..plan.entry_plan import EntryPlan
from ..plan.group_plan import GroupPlan
from .ticks import Ticks


@dataclass(frozen=True)
class ScheduledEntry:
    """Entry in the loop IR, with its plan: all that code generation and the runtime need.

    Attributes:
        entry_plan: Plan of the entry.
        functions: Functions that ``main`` and ``pack`` call.
        main: The entry.
        pack: The function that packs parameters.
        sizes: Names of the graph's symbolic sizes, without internal ones, which start with an underscore.
        ticks: Timers of a profiled entry.
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
        """For each feed, the names of the sizes that hold its strides. The last axis is contiguous, and has none."""
        return self.entry_plan.entry.arguments.strides

    @property
    def parts(self) -> int:
        """Number of parts of a kernel, and maximum number of workers."""
        return self.entry_plan.parts

    @property
    def work(self) -> Work:
        return self.entry_plan.work

    @property
    def groups(self) -> tuple[GroupPlan, ...]:
        """All fusion groups in order of execution."""
        return self.entry_plan.groups

    @property
    def arena(self) -> Arena:
        """Allocator of temporaries."""
        return self.entry_plan.memory.arena

    @property
    def residual_bytes(self) -> Dim:
        """Bytes of the arena for values that one group stores at all steps for a later group."""
        return self.entry_plan.memory.residual_bytes

    @property
    def panel_bytes(self) -> int:
        """Bytes of packed weights, and of other values that are computed when parameters change."""
        return self.entry_plan.memory.panels.total

    @cached_property
    def layouts(self) -> Mapping[str, PanelLayout]:
        """Layouts of packed parameters, by buffer name."""
        return self.entry_plan.memory.panels.layouts()

    def used_bytes(self, panels: bytes) -> dict[str, int]:
        """Return {name of a buffer: bytes at its start that the code reads}, for buffers that packing may fill in part.

        How much of them is read depends on the zeros in sparse weights.

        Args:
            panels: All packed weights.
        """
        return self.entry_plan.memory.panels.used_bytes(panels)

    @property
    def arena_bytes(self) -> Dim:
        """Bytes of the arena, a formula of run-time sizes."""
        return self.arena.total

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters that the entry reads."""
        return [item.name for item in self.arguments if item.kind == "parameter"]

    @property
    def read_arguments(self) -> list[Argument]:
        """Arguments of the main function, without weights and constants that are only packed."""
        used = {slot for slot, _ in self.main.places.values()}
        return [item for item in self.arguments if item.buffer.name in used]

    @property
    def unpacked_parameters(self) -> list[str]:
        """Names of the parameters that the main function reads."""
        return [item.name for item in self.read_arguments if item.kind == "parameter"]

    @cached_property
    def panel_places(self) -> dict[str, tuple[int, int]]:
        """Offset and bytes of each buffer with packed weights, by name. The bytes are padded to whole cache lines."""
        places = self.entry_plan.memory.panels.places
        return {buffer.name: (offset, padded(count)) for buffer, (offset, count) in places.items()}

    @property
    def memory_text(self) -> str:
        """Description of the entry's memory."""
        arena = f"{self.arena_bytes} bytes, of them kept from group to group: {self.residual_bytes}"
        return f"arena: {arena}; packed weights: {self.panel_bytes} bytes"

    def loops(self) -> StageText:
        """Loop IR as text."""
        from ...loop_ir.printer import function_text  # imported late, because few print loops

        lines = [StageLine(f"# {self.memory_text}")]
        for function in (*self.functions, self.main.function, self.pack.function):
            lines += [*function_text(function).lines, StageLine("")]
        return StageText(lines[:-1])
