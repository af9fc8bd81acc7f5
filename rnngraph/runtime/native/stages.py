"""Text of a compiled graph at each stage between declaration and assembly."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from ...ir.graph import Graph
from ...ir.types import dim_text
from ...passes.pipeline import Pass, forbidden, run
from ...support.errors import NameLookupError, shown
from ...support.records import NamedTuple
from ...support.stage_text import StageLine, StageText
from .compiled_graph import CompiledGraph

if TYPE_CHECKING:
    from ...codegen.loop_ir.origins import Origins
    from ...codegen.schedule.emit.scheduled_entry import ScheduledEntry

NATIVE_STAGES = ("plan", "loops", "llvm", "asm")


def stages_of(compiled: CompiledGraph) -> tuple[str, ...]:
    """Return the names of the stages, in order."""
    names = [single.name for single in compiled.pipeline]
    count = len(compiled.meaning)
    return ("declared", "lowered", *names[:count], "graph", *names[count:], *NATIVE_STAGES)


def lowered_text(compiled: CompiledGraph) -> StageText:
    """Return the text of the declaration as one graph, before training and inference are split."""
    return replace(compiled.lowered, name="lowered").text()


def graph_text(compiled: CompiledGraph) -> StageText:
    """Return the text of the training or the inference graph before optimisation, with its affine recurrences."""
    return StageText([*compiled.graph.text().lines, *map(StageLine, _recurrences(compiled.graph))])


def stage_text(compiled: CompiledGraph, stage: str) -> StageText:
    """Return the text of a stage. Raise ``NameLookupError`` if there is no such stage."""
    stages = stages_of(compiled)
    if not isinstance(stage, str) or stage not in stages:
        raise NameLookupError(f"no stage is named {shown(stage)}; there are {', '.join(stages)}")
    if stage == "declared":
        return compiled.declared().text() if compiled.declared is not None else StageText(())
    if stage == "lowered":
        return lowered_text(compiled)
    if stage == "graph":
        return graph_text(compiled)
    if stage in NATIVE_STAGES:
        return NativeStages(compiled).text(stage)
    lines: list[StageLine] = []

    def seen(name: str, graph: Graph) -> None:
        if name == stage:
            lines[:] = [StageLine(f"# after {name}"), *graph.text().lines]

    run(compiled.lowered, compiled.pipeline, forbidden(compiled.kind), seen)
    return StageText(lines)


def _recurrences(graph: Graph) -> Iterator[str]:
    """Yield a comment for each affine recurrence of the forward pass."""
    from ...passes.affine.recurrences import recurrences_in  # rarely needed

    for recurrence in recurrences_in(graph):
        where = recurrence.scan.where
        if recurrence.is_affine and (where is None or where.phase != "backward"):
            yield f"# {recurrence}"


def purpose_and_law(single: Pass) -> tuple[str, str]:
    """Return the purpose of a pass and what it preserves (its law), from the docstrings of its file and class."""
    module = (sys.modules[type(single).__module__].__doc__ or "").partition("\n\n")[0]
    purpose = " ".join(module.split())
    law = " ".join((type(single).__doc__ or "").partition("Law:")[2].partition("\n\n")[0].split())
    name = purpose.partition(":")[0]
    purpose = purpose.removeprefix(f"{name}: ") if re.fullmatch(r"\w+", name) else purpose
    return purpose.replace("``", ""), law.replace("``", "")


class PassChange(NamedTuple):
    """Text of the graph before and after a pass, and the pass's purpose and law."""

    before: StageText
    after: StageText
    purpose: str
    law: str


def change_of(compiled: CompiledGraph, name: str) -> PassChange:
    """Return the graph's text before and after a pass. Raise ``NameLookupError`` if no pass has this name."""
    passes = {single.name: single for single in compiled.pipeline}
    if name not in passes:
        raise NameLookupError(f"no pass is named {shown(name)}; there are {', '.join(passes)}")
    texts: list[StageText] = [lowered_text(compiled)]
    names = [*passes]

    def seen(_: str, graph: Graph) -> None:
        texts.append(graph.text())

    run(compiled.lowered, compiled.pipeline[: names.index(name) + 1], forbidden(compiled.kind), seen)
    return PassChange(texts[-2], texts[-1], *purpose_and_law(passes[name]))


class NativeStages:
    """Texts of the stages after the passes, such as loops, LLVM and assembly, at the sizes of the last call.

    The texts show a debug build of the running code, whose instructions have source lines. All stages have the same
    plan.
    """

    def __init__(self, compiled: CompiledGraph) -> None:
        self._compiled = compiled

    def text(self, stage: str) -> StageText:
        """Return the text of one of ``NATIVE_STAGES``."""
        from ...codegen.llvm.debug_info import with_debug_info
        from ...codegen.llvm.listing import listing
        from ...codegen.machine.engine import assembly
        from ...codegen.schedule.plan_text import plan_text

        if stage == "plan":
            return self._headed("#", plan_text(self._plan))
        if stage == "loops":
            return self._headed("#", self._plan.loops())
        if stage == "llvm":
            return self._headed(";", with_debug_info(self._lines))
        numbered: dict[Origins, int] = {}
        text = with_debug_info(self._lines, numbered)
        return self._headed("#", listing(assembly(text, self._compiled.options.target), text, numbered))

    @cached_property
    def _sizes(self) -> dict[str, int]:
        compiled = self._compiled
        names = compiled.optimized(self._outputs).symbols
        last = {name: compiled.last_sizes.get(name, 1) for name in names}
        return compiled.likely(self._outputs, last, compiled.last_sizes)

    @property
    def _outputs(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self._compiled.graph.outputs)

    @cached_property
    def _plan(self) -> ScheduledEntry:
        from ...codegen.compile import planned  # slow to import, and not needed on a cache hit

        compiled = self._compiled
        recompute = compiled.rematerialisation(self._outputs, self._sizes)
        graph = compiled.sized(self._outputs, self._sizes, recompute=recompute)
        return planned(graph, compiled.options.target, compiled.kind, compiled.options.threads.parts)

    @cached_property
    def _lines(self) -> StageText:
        from ...codegen.llvm.module import module_lines

        plan, compiled = self._plan, self._compiled
        return module_lines(plan.functions, [plan.main, plan.pack], compiled.options.target, compiled.kind)

    def _headed(self, comment: str, text: StageText) -> StageText:
        """Return ``text`` below a line that names the processor and sizes."""
        compiled, target = self._compiled, self._compiled.options.target
        left_open = compiled.left_open(self._outputs)
        settled = compiled.settled_sizes(self._outputs, self._sizes, left_open)
        fixed = ", ".join(f"{name} = {dim_text(dim)}" for name, dim in settled.items())
        head = f"{comment} compiled for {target.name} ({target.processor}), {target.vector_bits}-bit vectors"
        return StageText([StageLine(f"{head}, with {fixed}" if fixed else head), *text.lines])
