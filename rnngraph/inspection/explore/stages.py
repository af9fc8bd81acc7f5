"""Stages of a graph: texts with source places of their lines, and the changes of each pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...ir.graph import Graph
from ...passes.pipeline import Pass, forbidden, run
from ...runtime.native.compiled_graph import CompiledGraph
from ...runtime.native.stages import NATIVE_STAGES, NativeStages, graph_text, lowered_text, purpose_and_law
from ...support.errors import RnnGraphError
from ...support.stage_text import StageLine
from .changes import Change, changes_between

ABOUT = {
    "declared": "What the script declares: tensors, drivers, and the cells that they run.",
    "lowered": "The declaration as one graph, from which both graphs come: every driver is one scan over time, dropout "
    "still a node.",
    "graph": "What this graph computes: after the split and before all optimisation.",
    "plan": "What runs together, and where values lie.",
    "loops": "Loops, vectors and register tiles.",
    "llvm": "LLVM's text, a function for each kernel.",
    "asm": "The processor's instructions.",
}


@dataclass(frozen=True)
class Stage:
    """Stage of compilation, as the page shows it.

    ``law`` is the guarantee of the pass, ``seconds`` its time, and ``before`` the stage from which it started.
    ``changes`` are the differences from that stage; None if the text is unchanged.
    """

    name: str
    lines: Sequence[StageLine]
    about: str = ""
    law: str = ""
    seconds: float = 0.0
    before: str = ""
    changes: Sequence[Change] | None = None


@dataclass
class _Passes:
    """Results of passes in order, and their times with verification."""

    stages: list[Stage]
    passes: dict[str, Pass]
    began: float = field(default_factory=time.perf_counter)

    def seen(self, name: str, graph: Graph) -> None:
        """Record a pass's result as a stage, with its time and its changes."""
        seconds = time.perf_counter() - self.began
        lines, before = graph.text().lines, self.stages[-1]
        about, law = purpose_and_law(self.passes[name])
        changes = changes_between(before.lines, lines)
        self.stages.append(Stage(name, lines, about, law, seconds, before.name, changes))
        self.began = time.perf_counter()


def stages_of_graph(compiled: CompiledGraph) -> list[Stage]:
    """Return all stages of a compiled graph, from declaration to machine code. A failed stage's text is its error."""
    declared = compiled.declared().text().lines if compiled.declared is not None else ()
    lowered = Stage("lowered", lowered_text(compiled).lines, ABOUT["lowered"])
    passes = _Passes([lowered], {single.name: single for single in compiled.pipeline})
    run(compiled.lowered, compiled.pipeline, forbidden(compiled.kind), passes.seen)
    graph = Stage("graph", graph_text(compiled).lines, ABOUT["graph"])
    after = 1 + len(compiled.meaning)
    stages = [Stage("declared", declared, ABOUT["declared"]), *passes.stages[:after], graph, *passes.stages[after:]]
    native = NativeStages(compiled)
    for name in NATIVE_STAGES:
        began = time.perf_counter()
        try:
            lines = native.text(name).lines
        except RnnGraphError as error:
            lines = (StageLine(f"# {error}"),)
        stages.append(Stage(name, lines, ABOUT[name], seconds=time.perf_counter() - began))
    return stages
