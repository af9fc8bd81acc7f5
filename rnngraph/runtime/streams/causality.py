"""Check that a graph is causal: no step depends on later steps or on the number of steps."""

from __future__ import annotations

from collections.abc import Collection, Set

from ...ir.axes.by_size import counts
from ...ir.axes.walk import fates
from ...ir.axis_maps import Dropped, Indexed, Kept, Merged, Reduced, Shifted, Spread
from ...ir.graph import Graph, Node, symbols_of_node, topological
from ...ir.scan import ScanParts, is_final
from ...ir.types import Size, TensorType, dim_text
from ...passes.chunks.timeline import Timeline
from ...support.errors import GraphError, Where

CONSTANT, STEPS, FINAL = "constant", "steps", "final"
"""Relation of a value to time: constant over all steps, one value per step, or available after the last step."""
BY_PLACE = (
    "nothing recurs here, so time is the second axis of what is fed; declare it with a fixed size if it is not time, "
    "or compute steps from earlier ones only, as a causal convolution does"
)
COMPARES = "sizes that may differ are compared at each call; give their axes one name"
WAITS = "a recurrence waits for the end of another one, or for a whole sequence"


def check_streamable(graph: Graph, initial: Graph, timeline: Timeline, where: Where | None) -> None:
    """Raise ``GraphError`` with the line of the first computation that cannot run step by step.

    Args:
        graph: Graph of the outputs without the loss, with states as inputs.
        initial: Graph of the initial states.
        timeline: Timeline of the graph.
        where: The user's line, for errors.
    """
    lengths = timeline.stream_rate.lengths
    roles: dict[Node, str] = {}
    advice = "" if any(node.op == "scan" for node in graph.nodes) else f"; {BY_PLACE}"
    for node in graph.nodes:
        why = "" if node in timeline.fronts else _why_not(node, timeline, roles)
        if why:
            raise GraphError(f"this graph can't be streamed: {why}, declared at {node.where}{advice}", where)
        roles[node] = _role(node, timeline, roles)
    inputs = set(initial.inputs)
    for node in initial.nodes:
        read = () if node in inputs else (node, *node.operands)
        why = WAITS if any(name in lengths for item in read for name in symbols_of_node(item)) else ""
        if why or node.op == "ensure_shape":
            raise GraphError(f"this graph can't be streamed: {why or COMPARES}, declared at {node.where}", where)


def check_states(timeline: Timeline, labels: Collection[str], kept: Collection[str], where: Where | None) -> None:
    """Raise ``GraphError`` if a loop carries a value that is not a state of the stream.

    Args:
        timeline: Timeline of the graph.
        labels: Labels of the inputs that are states.
        kept: Labels of states that are kept by name. A loop may carry parts of them.
        where: The user's line, for errors.
    """
    for node in timeline.graph.nodes:
        if node in timeline.started:
            continue
        initial = [carry.initial for carry in ScanParts.of(node).carries] if node.op == "scan" else []
        if kept and any(not _is_of(item, labels) and not _reads(item, kept) for item in initial):
            raise GraphError(
                f"this graph can't be streamed: the loop at {node.where} has an initial value that is not a state of "
                "the stream; name all values that it carries in states=",
                where,
            )
        if not kept and not all(_is_of(item, labels) for item in initial):
            raise GraphError(
                "this graph can't be streamed: a loop carries more than its cell's state from step to step, such as "
                f"an output that is fed back, declared at {node.where}; stream the cell under rg.dynamic_rnn, and feed "
                "its outputs back yourself",
                where,
            )


def _is_of(node: Node, labels: Collection[str]) -> bool:
    while node.op in ("cast", "reshape", "transpose"):  # streams store states in other dtypes and orders of axes
        node = node.operands[0]
    return node.op == "input" and node["label"] in labels


def _reads(node: Node, labels: Collection[str]) -> bool:
    return any(_is_of(item, labels) for item in topological([node]))


def _role(node: Node, timeline: Timeline, roles: dict[Node, str]) -> str:
    """Return ``STEPS`` for one entry a step, ``FINAL`` for a value known after the last step, else ``CONSTANT``."""
    if node.op == "scan":
        return STEPS
    if node.op == "get":
        return FINAL if is_final(node) else STEPS
    if node in timeline.firsts:
        return CONSTANT
    if any(map(timeline.stream_rate.grows, node.shape)):
        return STEPS
    if node.op == "dimension" and counts(node["size"], timeline.stream_rate.lengths):
        return FINAL
    return FINAL if any(roles[item] != CONSTANT for item in node.operands) else CONSTANT


def _why_not(node: Node, timeline: Timeline, roles: dict[Node, str]) -> str:
    """Return the reason why a node can't run step by step; empty if it can."""
    lengths = timeline.stream_rate.lengths
    if isinstance(node.type, TensorType):
        joined = [dim for dim in node.shape if counts(dim, lengths)]
        strange = [dim for dim in joined if timeline.stream_rate.growth(dim) is None]
        for dim in strange:
            if isinstance(dim, Size) and dim.symbols <= lengths:
                return f"{node.op} gives {dim_text(dim)} steps, which is not a fixed number for each step of the stream"
        if len(joined) > 1 or strange:
            return f"{node.op} joins steps with another axis"
    if node.op == "ensure_shape" and not timeline.keeps_rate(node):
        return COMPARES
    if node.op == "scan":
        return _why_not_scan(node, lengths, roles) or timeline.refused.get(node, "")
    if node.op in ("iota", "dimension") and counts(node["size"], lengths) and not node.get("runs"):
        return "it counts the steps of a whole sequence (sequence_length, or a mean over time)"
    if node in timeline.chunk_only or not node.operands or node.op == "get":
        return timeline.refused.get(node, "")
    if {STEPS, FINAL} <= {roles[item] for item in node.operands}:
        return f"{node.op} gives every step a value that is known only after the last step"
    if node in timeline.resumed and node.op == "slice":
        return timeline.refused.get(node, "")
    return timeline.refused.get(node, "") or _why_not_over_time(node, timeline)


def _why_not_scan(node: Node, lengths: Set[str], roles: dict[Node, str]) -> str:
    """Return the reason why a loop can't run step by step; empty if it can."""
    if node["reverse"]:
        return "a backward recurrence reads a sequence from its end"
    scan = ScanParts.of(node)
    if scan.when in [carry.inside for carry in scan.carries]:
        return "a loop that ends by a condition can't run inside a stream (rg.dynamic_decode with stop=)"
    if not counts(node["length"], lengths):
        return f"its time axis is declared as {dim_text(node['length'])}; declare it as None or by a name"
    whole = (*(carry.initial for carry in scan.carries), *(invariant.outside for invariant in scan.invariants))
    if any(roles[item] != CONSTANT for item in whole):
        return WAITS
    return ""


def _why_not_over_time(node: Node, timeline: Timeline) -> str:
    """Return the reason why a step of a value depends on other steps; empty if it does not."""
    for use in fates(node):
        dim = node.operands[use.number].shape[use.axis]
        if not timeline.stream_rate.grows(dim):
            continue
        match use.fate:
            case Kept() | Spread() | Dropped() | Merged():
                continue
            case Shifted() if node.op == "slice":
                start, stop = node["start"][use.axis], node["stop"][use.axis]
                if stop != dim or start not in (0, dim - 1):
                    return f"a slice {dim_text(start)}:{dim_text(stop)} over time"
            case Shifted(step=step) if step > 0:
                continue  # allowed: the timeline delays the value
            case Reduced() if node.op == "matmul":
                return "a product runs over time"
            case Indexed():
                return "gather picks steps"
            case _:
                return f"{node.op} runs over time"
    return ""
