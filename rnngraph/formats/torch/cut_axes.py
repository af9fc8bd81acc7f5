"""Finds outputs that depend on the length of a cut axis: a time axis that torch cuts to the longest row.

The reader keeps all steps of a cut axis. It runs the module once more, with an input in place of the unpacked rows of
each cut axis. This input's time axis has its own symbolic size. The graph then shows which outputs depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ...batching.padding_safety import unproven
from ...ir.graph import Graph, symbols_of_node, topological
from ...ir.types import Dim, size, symbols_of
from ...passes.lowering.lower import lower
from ...passes.pipeline import forbidden, meaning, run
from ...support.errors import RnnGraphError, Where
from ..script import Script
from .tracing.cuts import Cut, CutAxes
from .tracing.sizes import Sizes, SizesChanged
from .tracing.tracer import Tracer

Start = Callable[[Sizes, CutAxes], Tracer]


def axes_to_check(
    cuts: Collection[Cut], known: Mapping[str, Dim], start: Start, run_once: Callable[[Tracer], Script], sizes: Sizes
) -> dict[int, frozenset[str]]:
    """Return {index of a time axis that torch cuts to the longest row: outputs that depend on the axis's cut length}.

    Axes on which no output depends are left out. An empty set means that outputs depend on the length, but which ones
    is unknown.

    Args:
        cuts: The cut axes, in the order of the calls.
        known: Fixed sizes, by name: the number or the other size that each equals.
        start: Function that creates a tracer.
        run_once: Function that runs the module with a tracer.
        sizes: Sizes of the last run.
    """
    checked: dict[int, frozenset[str]] = {}
    while len(checked) < len(cuts):
        more = _find_dependent(len(cuts), known, start, run_once, sizes, checked)
        if not more:
            break
        checked |= more
    return checked


def _find_dependent(
    count: int,
    known: Mapping[str, Dim],
    start: Start,
    run_once: Callable[[Tracer], Script],
    sizes: Sizes,
    checked: Collection[int],
) -> dict[int, frozenset[str]]:
    """Run the module once. Return {index of a cut axis outside of ``checked``: outputs that depend on its cut length}.

    Args:
        count: Number of cut axes.
        known: Fixed sizes, by name: the number or the other size that each equals.
        start: Function that creates a tracer.
        run_once: Function that runs the module with a tracer.
        sizes: Sizes of the last run.
        checked: Indices of the cut axes whose length is checked at run time.
    """
    run_sizes = Sizes(sizes.examples, known)
    tracer = start(run_sizes, CutAxes(frozenset(checked), as_inputs=True))
    rest = [number for number in range(count) if number not in checked]
    try:
        script = run_once(tracer)
    except SizesChanged:
        changed = {name for name, dim in run_sizes.known.items() if known.get(name) != dim}
        changed |= {other for name in changed for other in symbols_of(run_sizes.known[name])}
        read_axes = [number for number, cut in enumerate(tracer.cuts) if cut.size in changed and number in rest]
        return dict.fromkeys(read_axes or rest, frozenset())
    except RnnGraphError:
        return dict.fromkeys(rest, frozenset())
    graph = _graph_of(script)
    read = {number: _readers(graph, tracer.cuts[number]) for number in rest}
    return {number: outputs for number, outputs in read.items() if outputs}


def _graph_of(script: Script) -> Graph:
    """Return the inference graph of a script's outputs."""
    lowered = lower([(name, value.tensor.node) for name, value in script.outputs.items()], {})
    return run(lowered.graph, meaning("inference"), forbidden("inference"))


def _readers(graph: Graph, cut: Cut) -> frozenset[str]:
    """Return the names of outputs that may depend on the length of a time axis cut to the longest row.

    Packed rows are assumed to be nonempty.
    """
    counts = {} if cut.lengths is None else {cut.lengths: size(cut.size)}
    compared = {
        node
        for node in graph.nodes
        if node.op == "ensure_shape" and any(cut.size in symbols_of_node(item) for item in (node, *node.operands))
    }
    return frozenset(
        name
        for name, output in graph.outputs
        if not compared.isdisjoint(topological([output])) or unproven(graph, [name], cut.size, counts, nonempty=True)
    )


def unchecked(
    script: Script, cuts: Sequence[Cut], checked: Mapping[int, frozenset[str]]
) -> list[tuple[str, Where | None]]:
    """Return (error, line) for each axis cut to the longest row if outputs need its length and calls can't check it.

    Args:
        script: Script with the run-time checks.
        cuts: The cut axes, in the order of the calls.
        checked: {index of a cut axis: outputs that depend on its length}, as ``axes_to_check`` returns it.
    """
    problems = []
    for number, outputs in checked.items():
        lengths, where = cuts[number].lengths, cuts[number].where
        rows = {cut.rows for cut in cuts if cut.lengths == lengths and cut.rows is not None}
        reached = {
            name for name, value in script.outputs.items() if not rows.isdisjoint(topological([value.tensor.node]))
        }
        lost = sorted(outputs - reached) if outputs else [] if reached else list(script.outputs)
        if lost:
            text = (
                f"{where}: pad_packed_sequence: output {', '.join(lost)} depends on the length of the longest row, but "
                "on no row itself, so that calls can't check the length; write total_length= in the module"
            )
            problems.append((text, where))
    return problems
