"""Translates while loops to Loop nodes, tensor arrays to sequences, and ``tf.cond`` to selections by Where nodes.

A tensor array that a loop writes becomes a scan output of the Loop node, which stacks the values of all steps. A tensor
array that a loop only reads becomes the value from which it was filled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ...ir.types import FLOATS
from ..onnx.core.model import Graph, Kind
from ..onnx.core.model import Node as OnnxNode
from ..operators.errors import UnreadableError
from .order import Frame, is_state
from .source import Node, Ref
from .translation import PASSING, Translation, translates

MAX_CHAIN = 100
"""Maximum length of a chain of nodes in a loop's condition, because the search through it recurses."""
MAX_SEARCHED = 10_000
"""Maximum number of nodes that a search visits, so that a search in a damaged graph ends."""


@translates(*(op for op in PASSING if op not in ("Switch", "RefSwitch", "StopGradient")))
def _passing(t: Translation, node: Node) -> list[str | None]:
    _propagate(t, node)
    return [t.names.get(ref) for ref in node.inputs]


def _propagate(t: Translation, node: Node) -> None:
    """If an Enter, Identity or similar node reads a tensor array or random numbers, record them for its outputs."""
    for ref in node.inputs[:1]:
        if ref in t.drawn:
            t.drawn[node.name, 0] = t.drawn[node.name, 1] = t.drawn[ref]
        if ref in t.sequences:
            for place in (0, 1):
                t.sequences[node.name, place] = t.sequences[ref]


@translates("StopGradient")
def _stop_gradient(t: Translation, node: Node) -> list[str | None]:
    _propagate(t, node)
    name = t.names.get(node.inputs[0])
    is_constant = name is None or name in t.arrays or node.dtype("T") not in FLOATS
    return [name if is_constant else t.emit("StopGradient", [t.input(node, 0)], [node.name])]


@translates("Enter")
def _enter(t: Translation, node: Node) -> list[str | None]:
    _propagate(t, node)
    return [t.names.get(node.inputs[0])]


@translates("Switch", "RefSwitch")
def _switch(t: Translation, node: Node) -> list[str | None]:
    _propagate(t, node)
    return [t.names.get(node.inputs[0])] * 2


@translates("Merge", "RefMerge")
def _merge(t: Translation, node: Node) -> list[str | None]:
    if is_state(node, t.source.nodes):
        return _state(t, node)
    return _choice(t, node)


# Loops --------------------------------------------------------------------------------------------------


def _state(t: Translation, node: Node) -> list[str | None]:
    """Translate the Merge node of a loop's state. A state that is a tensor array has no ONNX value."""
    frame = t.frames[node.name]
    if not frame.is_placed:
        frame.parent = t.home([name for enter in frame.enters if (name := t.names.get(enter.inputs[0]))])
        frame.is_placed = True
    enter = _enter_of(t, node)
    if enter in t.sequences and t.resolved(_next_of(t, node)) == (node.name, 0):  # The loop only reads the array.
        t.sequences[node.name, 0] = t.sequences[enter]
        return []
    if _is_flow(t, enter):
        return []
    t.homes[node.name] = frame
    dtype = node.dtype("T")
    is_int = dtype in ("int32", "int64")  # A counter may become ONNX's step number, which is int64.
    return [t.cast(node.name, dtype) if dtype and is_int else node.name]


def _enter_of(t: Translation, merge: Node) -> Ref:
    """Return the Enter node's output that gives a state its initial value."""
    return next(ref for ref in merge.inputs if t.source.nodes[ref[0]].op.endswith("Enter"))


def _next_of(t: Translation, merge: Node) -> Ref:
    """Return the NextIteration node's output that gives a state its value for the next step."""
    return next(ref for ref in merge.inputs if t.source.nodes[ref[0]].op.endswith("NextIteration"))


def _is_flow(t: Translation, enter: Ref) -> bool:
    """True if an Enter node passes a newly created tensor array into a loop, so that the loop writes it."""
    source = t.source.nodes[enter[0]].inputs[0]
    for _ in range(MAX_SEARCHED):
        node = t.source.nodes[source[0]]
        if node.op not in PASSING and not node.op.endswith("Enter"):
            return node.op == "TensorArrayV3"
        source = node.inputs[0]
    return False


@translates("Exit", "RefExit")
def _exit(t: Translation, node: Node) -> list[str | None]:
    """Translate an Exit node to the final value of a loop's state. The first Exit node of a loop writes the loop."""
    frame = t.frames[node.name]
    merge = t.source.nodes[t.source.nodes[node.inputs[0][0]].inputs[0][0]]
    if (merge.name, 0) in t.sequences:
        t.sequences[node.name, 0] = t.sequences[merge.name, 0]
        return []
    final = f"{merge.name}/final"
    if final not in t.homes and final not in t.graph.makers:
        _write_loop(t, frame)
    if (merge.name, 0) not in t.names:
        t.sequences[node.name, 0] = final
        return []
    if frame.ends_early and _is_counter(t, merge):
        raise UnreadableError(
            "it counts the steps of a loop whose number of steps depends on the data, which is not supported"
        )
    return [final]


def _write_loop(t: Translation, frame: Frame) -> None:
    """Write the Loop node of a while loop, after all nodes of the loop have been translated."""
    carried = [merge for merge in frame.merges if (merge.name, 0) in t.names]
    written = [merge for merge in frame.merges if (merge.name, 0) not in t.names and (merge.name, 0) not in t.sequences]
    following = {merge.name: t.name(_next_of(t, merge)) for merge in carried}
    if frame.condition is None:
        raise UnreadableError("its loop has no LoopCond, which ends it; read a graph that tf.while_loop built")
    number, condition, count, more = f"{frame.name}/step~", f"{frame.name}/condition~", "", list[OnnxNode]()
    ending, holds = frame.condition.inputs[0], condition
    frame.ends_early = _ends_early(t, ending)
    if frame.ends_early:
        if t.max_steps is None:
            raise UnreadableError(
                "the number of steps of its loop depends on the data; pass max_steps=, the steps to run"
            )
        count = t.constant(t.max_steps, "int64")
        emitted = _bounded(t, frame, ending, following, written)
    else:
        emitted = [_entry_written(t, merge) for merge in written]
        holds, more = _condition_after_step(t.name(ending), t.lists.get(frame, []), following)
    body = Graph([*t.lists.get(frame, []), *more], outputs=[holds, *following.values(), *emitted])
    body.inputs = {number: Kind("int64", ()), condition: Kind("bool", ())}
    body.inputs |= {name: Kind(None, None) for name in following}
    body.makers = {name: item for item in body.nodes for name in item.outputs}
    initial = [t.name(t.source.nodes[_enter_of(t, merge)[0]].inputs[0]) for merge in carried]
    outputs = tuple(f"{merge.name}/final" for merge in (*carried, *written))
    node = OnnxNode("Loop", "", frame.name.strip("/"), (count, "", *initial), outputs, {"body": body})
    t.write(node, frame.parent)


def _ends_early(t: Translation, condition: Ref, depth: int = 0) -> bool:
    """True if a loop's number of steps may depend on the data: its condition does more than compare step counters."""
    node = t.source.nodes[t.resolved(condition)[0]]
    if node.op == "LogicalAnd" and depth < MAX_CHAIN:
        return any(_ends_early(t, ref, depth + 1) for ref in node.inputs)
    sides = [t.source.nodes[t.resolved(ref)[0]] for ref in node.inputs] if node.op in ("Less", "Greater") else []
    return not any(is_state(side, t.source.nodes) and _is_counter(t, side) for side in sides)


def _bounded(t: Translation, frame: Frame, condition: Ref, following: dict[str, str], written: list[Node]) -> list[str]:
    """Make a loop run ``max_steps`` steps, although its condition may end it before.

    In steps after the end, states keep their values, and zeros are written. Counters count on, so that they remain
    indices of steps.

    Args:
        t: The translation.
        frame: The loop.
        condition: The loop's condition.
        following: Name of each state's next value, by the state's name. Updated in place.
        written: Merge nodes of the tensor arrays that the loop writes.

    Returns:
        Names of the values that a step writes to these tensor arrays.
    """
    holds = t.name(condition)
    for merge in frame.merges:
        if merge.name in following and not _is_counter(t, merge):
            following[merge.name] = t.emit("Where", [holds, following[merge.name], merge.name])
    return [_zeroed(t, holds, merge) for merge in written]


def _zeroed(t: Translation, holds: str, merge: Node) -> str:
    """Return the name of the value that a step writes to a tensor array: its entry, or zeros after the loop's end."""
    entry = _entry_written(t, merge)
    dtype = t.source.nodes[t.resolved(_next_of(t, merge))[0]].dtype("T")
    if dtype is None:
        raise UnreadableError("it writes a tensor array of a dtype that is not supported")
    return t.emit("Where", [holds, entry, t.constant(0, dtype)])


def _condition_after_step(
    condition: str, nodes: list[OnnxNode], following: dict[str, str]
) -> tuple[str, list[OnnxNode]]:
    """Rewrite a loop's condition in terms of the next states.

    TensorFlow tests the condition before a step, and ONNX after it.

    Args:
        condition: Name of the condition in the loop.
        nodes: Nodes of the loop.
        following: Name of each state's next value, by the state's name.

    Returns:
        (name of the new condition, nodes that compute it).
    """
    makers = {name: node for node in nodes for name in node.outputs}
    renamed, more = dict(following), list[OnnxNode]()

    def rewrites(name: str, depth: int = 0) -> bool:
        """Rewrite a value, and all values that it reads, if it depends on states. Return True if it does."""
        if name in renamed:
            return True
        node = makers.get(name)
        if node is None:
            return False
        if depth > MAX_CHAIN or "body" in node.attributes:
            raise UnreadableError(
                f"the condition of its loop depends on another loop, or on a chain of more than {MAX_CHAIN} nodes; "
                "compute it from states of the loop by few operations"
            )
        if not [item for item in node.inputs if rewrites(item, depth + 1)]:
            return False
        outputs = tuple(f"{item}/next~" for item in node.outputs)
        renamed.update(zip(node.outputs, outputs, strict=True))
        more.append(replace(node, inputs=tuple(renamed.get(item, item) for item in node.inputs), outputs=outputs))
        return True

    rewrites(condition)
    return renamed.get(condition, condition), more


# Tensor arrays --------------------------------------------------------------------------------------------


@translates("TensorArrayV3")
def _array(t: Translation, node: Node) -> list[str | None]:
    return []


@translates("TensorArrayScatterV3")
def _scattered(t: Translation, node: Node) -> list[str | None]:
    _, indices, value, _ = node.inputs
    if not _counts_up(t, indices):
        raise UnreadableError("it writes arrays to entries that are not consecutive, which is not supported")
    t.sequences[node.name, 0] = t.name(value)
    return []


@translates("TensorArrayReadV3")
def _read(t: Translation, node: Node) -> str:
    _, _, flow = node.inputs
    return t.emit("Gather", [_entries(t, flow), t.input(node, 1)], axis=0)


@translates("TensorArrayGatherV3")
def _gathered(t: Translation, node: Node) -> str:
    _, indices, flow = node.inputs
    if not _counts_up(t, indices):
        return t.emit("Gather", [_entries(t, flow), t.input(node, 1)], axis=0)
    return _entries(t, flow)


@translates("TensorArraySizeV3")
def _size(t: Translation, node: Node) -> str | list[str | None]:
    flow = node.inputs[1]
    if flow not in t.sequences:
        return []  # A tensor array that was not filled yet has no ONNX value.
    shape = t.emit("Shape", [_entries(t, flow)])
    first = t.emit("Gather", [shape, t.constant(0, "int64")], axis=0)
    return t.cast(first, "int32")


@translates("TensorArrayWriteV3")
def _write(t: Translation, node: Node) -> list[str | None]:
    return []


@translates("TensorArrayCloseV3")
def _closed(t: Translation, node: Node) -> list[str | None]:
    return []


def _entries(t: Translation, flow: Ref) -> str:
    """Return the name of the value that contains a tensor array's entries along axis 0.

    Raises ``UnreadableError`` if the loop that reads the array also writes it.
    """
    sequence = t.sequences.get(flow) or t.sequences.get(t.resolved(flow))
    if sequence is None:
        raise UnreadableError("it reads a tensor array that the same loop writes, which is not supported")
    return sequence


def _counts_up(t: Translation, ref: Ref) -> bool:
    """True if indices are surely 0, 1, 2 and so on: such a constant, or a Range from 0 in steps of 1."""
    node = t.source.nodes[t.resolved(ref)[0]]
    if node.op == "Const":
        array = t.arrays.get(t.name((node.name, 0)))
        return array is not None and array.ndim == 1 and bool(np.array_equal(array, np.arange(array.size)))
    if node.op != "Range":
        return False
    first, step = (t.arrays.get(t.names.get(node.inputs[place], "")) for place in (0, 2))
    return first is not None and step is not None and int(first) == 0 and int(step) == 1


def _entry_written(t: Translation, merge: Node) -> str:
    """Return the name of the value that each step writes to a tensor array, at the index of the step.

    Raises ``UnreadableError`` if a step writes otherwise.
    """
    source = t.source.nodes[t.resolved(_next_of(t, merge))[0]]
    if source.op != "TensorArrayWriteV3" or t.resolved(source.inputs[3]) != (merge.name, 0):
        raise UnreadableError(f"{source} must write one entry of the tensor array in each step, and do nothing else")
    place = t.source.nodes[t.resolved(source.inputs[1])[0]]
    if not is_state(place, t.source.nodes) or not _is_counter(t, place):
        raise UnreadableError(f"{source} must write to the index that equals the step number")
    return t.name(source.inputs[2])


def _is_counter(t: Translation, merge: Node) -> bool:
    """True if a state is 0 in the first step of a loop, and 1 more in each later step."""
    first = t.arrays.get(t.name(t.source.nodes[_enter_of(t, merge)[0]].inputs[0]))
    add = t.source.nodes[t.resolved(_next_of(t, merge))[0]]
    if first is None or first.size != 1 or int(first) != 0 or add.op not in ("Add", "AddV2"):
        return False
    resolved = [t.resolved(ref) for ref in add.inputs]
    others = [ref for ref in resolved if ref != (merge.name, 0)]
    number = t.arrays.get(t.names.get(others[0], "")) if len(others) == 1 else None
    return number is not None and number.size == 1 and int(number) == 1


# Conditions -----------------------------------------------------------------------------------------------


def _choice(t: Translation, node: Node) -> list[str | None]:
    """Translate a Merge node of ``tf.cond``, which selects between the values of both branches."""
    if len(node.inputs) != 2:
        raise UnreadableError(f"it selects among {len(node.inputs)} values; it must select between 2")
    condition = next((ref for item in node.inputs for ref in _conditions(t, item[0])), None)
    if condition is None:
        raise UnreadableError(
            "none of its inputs depends on the condition of a branch or loop; read a graph that tf.cond built"
        )
    name, other, chosen = t.name(condition), *node.inputs
    known = t.arrays.get(name)
    if known is not None:
        return [t.name(chosen if bool(known.reshape(-1)[0]) else other)]
    return [t.emit("Where", [name, t.name(chosen), t.name(other)])]


def _conditions(t: Translation, start: str) -> Iterator[Ref]:
    """Yield the conditions of Switch nodes on which a node in a branch depends, except those of nested ``tf.cond``."""
    pending, seen = [(start, 0)], set[tuple[str, int]]()
    while pending and len(seen) < MAX_SEARCHED:
        name, depth = pending.pop()
        if (name, depth) in seen:
            continue
        seen.add((name, depth))
        node = t.source.nodes.get(name)
        if node is None or node.op.endswith("Enter"):
            continue
        if node.op == "Switch" and t.source.nodes[node.inputs[1][0]].op != "LoopCond":
            if depth == 0:
                yield node.inputs[1]
                continue
            depth -= 1
        elif node.op == "Merge" and not is_state(node, t.source.nodes):
            depth += 1
        pending += [(other, depth) for other in (*(ref[0] for ref in node.inputs), *node.controls)]
