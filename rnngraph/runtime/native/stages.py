"""A compiled graph as text, at each stage between the declaration and assembly."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...codegen.machine.engine import assembly
from ...ir.graph import Graph
from ...ir.types import dim_text
from ...passes.pipeline import forbidden, run
from ...support.errors import NameLookupError, shown
from ...support.stage_text import StageLine, StageText
from .compiled_graph import CompiledGraph
from .optimized_graph import open_sizes

if TYPE_CHECKING:
    from ...codegen.loop_ir.origins import Origins

NATIVE_STAGES = ("plan", "loops", "llvm", "asm")


def stages_of(compiled: CompiledGraph) -> tuple[str, ...]:
    """Names of the stages, in order."""
    return ("declared", "graph", *(single.name for single in compiled.pipeline), *NATIVE_STAGES)


def stage_text(compiled: CompiledGraph, stage: str) -> StageText:
    """The text of one stage. Raises ``NameLookupError`` where there is no such stage."""
    stages = stages_of(compiled)
    if not isinstance(stage, str) or stage not in stages:
        raise NameLookupError(f"no stage is named {shown(stage)}; there are {', '.join(stages)}")
    if stage == "declared":
        return compiled.declared().text() if compiled.declared is not None else StageText(())
    if stage == "graph":
        return compiled.graph.text()
    if stage in NATIVE_STAGES:
        return _native_text(compiled, stage)
    found: list[StageLine] = []

    def seen(name: str, graph: Graph) -> None:
        if name == stage:
            found[:] = [StageLine(f"# after {name}"), *graph.text().lines]

    run(compiled.lowered, compiled.pipeline, forbidden(compiled.kind), seen)
    return StageText(found)


class PassChange(NamedTuple):
    """What a pass was given and what it made of it. law: the sentence that says what it keeps."""

    before: StageText
    after: StageText
    law: str


def change_of(compiled: CompiledGraph, name: str) -> PassChange:
    """What the pass of this name changed. Raises ``NameLookupError`` where there is none."""
    passes = {single.name: single for single in compiled.pipeline}
    if name not in passes:
        raise NameLookupError(f"no pass is named {shown(name)}; there are {', '.join(passes)}")
    graphs: list[Graph] = [compiled.lowered]
    names = [*passes]

    def seen(_: str, graph: Graph) -> None:
        graphs.append(graph)

    run(compiled.lowered, compiled.pipeline[: names.index(name) + 1], forbidden(compiled.kind), seen)
    law = " ".join((type(passes[name]).__doc__ or "").split())
    return PassChange(graphs[-2].text(), graphs[-1].text(), law[law.find("Law: ") :].removeprefix("Law: "))


def _native_text(compiled: CompiledGraph, stage: str) -> StageText:
    """The plan, loops, LLVM or assembly, at the sizes of the last call: those of a twin of the code that runs, which
    knows where its instructions come from.
    """
    from ...codegen.compile import planned  # half the package's time to import; calls whose code is on disk need none
    from ...codegen.llvm.debug_info import with_debug_info
    from ...codegen.llvm.listing import listing
    from ...codegen.llvm.module import module_lines
    from ...codegen.schedule.plan_text import plan_text

    target, kind = compiled.options.target, compiled.kind
    outputs = tuple(name for name, _ in compiled.graph.outputs)
    graph = compiled.optimized(outputs)
    last = {name: compiled.last_sizes.get(name, 1) for name in graph.symbols}
    sizes = compiled.likely(outputs, last, compiled.last_sizes)
    again = compiled.steps_again(outputs, sizes)
    plan = planned(compiled.sized(outputs, sizes, again=again), target, kind, compiled.options.threads.parts)
    settled = compiled.settled_sizes(outputs, sizes, open_sizes(graph))
    fixed = ", ".join(f"{name} = {dim_text(dim)}" for name, dim in settled.items())
    head = f"compiled for {target.name} ({target.processor}), {target.vector_bits}-bit vectors"
    head += f", with {fixed}" if fixed else ""
    if stage == "plan":
        return _under(f"# {head}", plan_text(plan))
    if stage == "loops":
        return _under(f"# {head}", plan.loops())
    lines = module_lines(plan.functions, [plan.main, plan.pack], target, kind)
    if stage == "llvm":
        return _under(f"; {head}", with_debug_info(lines))
    numbered: dict[Origins, int] = {}
    twin = with_debug_info(lines, numbered)
    return _under(f"# {head}", listing(assembly(twin, target), twin, numbered))


def _under(head: str, text: StageText) -> StageText:
    return StageText([StageLine(head), *text.lines])
