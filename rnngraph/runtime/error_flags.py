"""Flags: outputs that callers do not get, which are True where a call that has run is an error.

A flag marks draws of ``rg.sample`` from NaN logits, or positions of a stream past the last row of a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..ir.graph import Graph, Node, make, rewrite
from ..ir.ops import OPS
from ..ir.scan import ScanParts
from ..passes.lowering.lowered import KEPT, NUMBER, STATE, STEPS
from ..passes.simplify import drop_dead
from ..support.errors import NameLookupError, NonFiniteError, RnnGraphError, ShapeError, Where

FLAG = "flag:"
"""Prefix of the names of flags."""
END = "end of "
"""Part of the names of flags for positions past the end of a table, before its number of rows."""
_MOVED = ("reshape", "transpose", "broadcast", "slice", "ensure_shape", "tap")
"""Ops whose result has only elements of the operand."""


def samples_of(graph: Graph) -> dict[str, Where | None]:
    """Return the outputs of a graph that are samples, with the lines that draw them."""
    sources = {name: _source(node) for name, node in graph.outputs}
    return {name: node.where for name, node in sources.items() if node is not None}


def with_flags(graph: Graph) -> tuple[Graph, dict[str, Where | None]]:
    """Return the graph with additional flag outputs, and the line of each flag's draw or table, by the flag's name.

    A draw gets a flag if no output returns its samples of all steps. The states of streams do not count as outputs,
    because callers do not get them with the results.
    """
    if not has_draws(graph) and not _passed_ends(graph):
        return graph, {}
    graph = drop_dead(graph)
    of_steps = {scan: _hidden(scan["body"].nodes, graph) for scan in graph.nodes if scan.op == "scan"}
    flags: list[tuple[Where | None, Node]] = []

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        draws = of_steps.get(node)
        if not draws:
            return None
        parts = ScanParts.of(node, operands)
        emits = [*parts.emits, *(("is_nan", draw.operands[0]) for draw in draws)]
        scan = replace(parts, emits=emits).build(node.where, node.name)
        flags.extend(
            (draw.where, make("get", scan, where=draw.where, index=index))
            for index, draw in enumerate(draws, len(parts.outputs))
        )
        return scan

    graph = rewrite(graph, rule)
    flags += [(draw.where, draw.operands[0]) for draw in _hidden(graph.nodes, graph)]
    outputs = [(f"{FLAG}{number}", node) for number, (_, node) in enumerate(flags)]
    for number, (lookup, is_past) in enumerate(_passed_ends(graph).items(), len(flags)):
        outputs.append((f"{FLAG}{number} {END}{lookup.operands[0].shape[0]}", is_past))
        flags.append((lookup.where, is_past))
    lines = {name: where for (name, _), (where, _) in zip(outputs, flags, strict=True)}
    return Graph.of(graph.name, (*graph.outputs, *outputs), graph.inputs, graph.comments), lines


def _hidden(nodes: Iterable[Node], graph: Graph) -> list[Node]:
    """Return the draws among ``nodes`` whose samples of all steps are in no output of the graph."""
    shown = {_source(node, whole=True) for name, node in graph.outputs if not name.startswith((STATE, KEPT))}
    return [node for node in nodes if _is_draw(node) and node not in shown]


def _passed_ends(graph: Graph) -> dict[Node, Node]:
    """Return {lookup of a table at a stream's positions: True where a position is past the table's last row}.

    Whole calls check such positions before they run.
    """
    flags, counts = dict[Node, Node](), _step_counts(graph)
    for node in graph.nodes:
        if node.op != "gather" or not isinstance(rows := node.operands[0].shape[0], int):
            continue
        index = node.operands[1]
        if counts[index] == 1:
            last = make("constant", value=np.asarray(rows - 1, index.dtype))
            flags[node] = make("less", last, index, where=node.where)
    return flags


def _step_counts(graph: Graph) -> dict[Node, int]:
    """Return {value: occurrences of the number of a stream's steps in it}: 0, 1, or 2 for several.

    A difference of two positions may be smaller than both. It has 2 occurrences, and no call checks it.
    """
    counts = dict[Node, int]()
    for node in graph.nodes:
        if node.op == "input":
            counts[node] = int(node["label"] == STEPS)
        elif OPS[node.op].kind == "elementwise" or node.op in _MOVED:
            counts[node] = min(2, sum(counts[item] for item in node.operands))
        else:
            counts[node] = 0
    return counts


def has_draws(graph: Graph) -> bool:
    """True if a graph draws with ``rg.sample``."""
    return any(_is_draw(node) for node in graph.walk())


def takes_number(graph: Graph, name: str) -> bool:
    """True if ``name`` is that of a stream's number, and the graph draws with ``rg.sample``.

    Draws of temperature 0 read no number, and calls of graphs that have no others ignore it.
    """
    return name == NUMBER and has_draws(graph)


def require_draws(graph: Graph, where: Where | None) -> None:
    """Raise ``NameLookupError`` for the number of a stream whose graph does not draw."""
    if not has_draws(graph):
        raise NameLookupError("the program calls no rg.sample, so its streams take no number; leave it out", where)


def _is_draw(node: Node) -> bool:
    return node.op == "select" and bool(node.get("samples"))


def _source(node: Node, whole: bool = False) -> Node | None:
    """Return the ``select`` that draws the sample which ``node`` moves or masks; None if it is no sample.

    Args:
        whole: The value must have the samples of all steps.
    """
    while True:
        if _is_draw(node):
            return node
        # a select of a sample or a filler, which replaces samples after a row's end and at masked steps
        if node.op == "select" and _is_filler(node.operands[2]):
            node = node.operands[1]
        elif node.op in _MOVED and not (whole and node.op == "slice"):
            node = node.operands[0]
        elif node.op == "get" and node.operands[0].op == "scan":
            parts = ScanParts.of(node.operands[0])
            if whole and node["index"] < len(parts.carries):  # a final carry has only the sample of the last step
                return None
            every = [*(carry.next for carry in parts.carries), *(value for _, value in parts.emits)]
            node = every[node["index"]]
        else:
            return None


def _is_filler(node: Node) -> bool:
    """True for a value that may stand for samples after a row's end.

    Such a value is an input, such as the previous output, or a constant without -1, which marks a NaN.
    """
    return node.op == "input" or (node.op == "constant" and not (node["value"] == -1).any())


def check_samples(samples: Mapping[str, Where | None], leaves: Iterable[str], arrays: Iterable[Any]) -> None:
    """Raise an error if a sample is -1, which means that its logits had a NaN, or if a flag is set.

    Args:
        samples: Lines of the draws, by output and by flag.
        leaves: Names of outputs and flags.
        arrays: Their arrays.

    Raises:
        NonFiniteError: A sample is drawn from NaN logits.
        ShapeError: A position of a stream is past the end of a table.
    """
    for name, array in zip(leaves, arrays, strict=True):
        if name not in samples:
            continue
        is_flag = name.startswith(FLAG)
        error: RnnGraphError | None = None
        if is_flag and END in name and array.any():
            error = ShapeError(
                f"a stream has taken more steps than the {name.partition(END)[2]} rows of a table of positions; "
                "later steps read its last row; the call has run, and streams have stepped; give the table more rows, "
                "or reset the stream",
                samples[name],
            )
        elif (array if is_flag else array == -1).any():
            drawn = "a value of rg.sample" if is_flag else f"output {name}" if name else "the output"
            error = NonFiniteError(
                f"{drawn} is drawn from NaN logits, and is -1 there; the call has run, and streams have stepped; "
                "call program.inference.check to find the first NaN",
                samples[name],
            )
        if error is not None:
            error.has_run = True
            raise error
        if (array if is_flag else array == -1).any():
            drawn = "a value of rg.sample" if is_flag else f"output {name}" if name else "the output"
            raise NonFiniteError(
                f"{drawn} is drawn from NaN logits, and is -1 there; the call has run, and streams have stepped; "
                "call program.inference.check to find the first NaN",
                samples[name],
            )
