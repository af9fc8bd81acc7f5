"""Finds the nodes that outputs need, and sorts them so that the nodes of a while loop precede its Exit nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...support.errors import FileError, shown
from .source import Node


@dataclass(eq=False)
class Frame:
    """While loop, which TensorFlow 1 calls a frame.

    Attributes:
        name: The frame's name.
        enters: Enter nodes, which pass values into the loop.
        merges: Merge nodes, one for each state.
        condition: LoopCond node; None if there is none.
        parent: Enclosing loop; None for an outermost loop, or before it is determined.
        is_placed: True once ``parent`` is determined.
        ends_early: True if the number of steps depends on the data.
    """

    name: str
    enters: list[Node] = field(default_factory=list)
    merges: list[Node] = field(default_factory=list)
    condition: Node | None = None
    parent: Frame | None = None
    is_placed: bool = False
    ends_early: bool = False

    @property
    def depth(self) -> int:
        return 1 if self.parent is None else 1 + self.parent.depth


def is_state(node: Node, nodes: Mapping[str, Node]) -> bool:
    """True if a node is a Merge node of a while loop's state, rather than one of ``tf.cond``."""
    return node.op in ("Merge", "RefMerge") and any(nodes[name].op.endswith("NextIteration") for name, _ in node.inputs)


def needed(
    file: str, nodes: Mapping[str, Node], outputs: Iterable[str], leaves: Iterable[str], controls: bool = False
) -> list[Node]:
    """Return the nodes on which outputs depend, including the nodes of the outputs themselves.

    Args:
        file: The file's name in errors.
        nodes: All nodes, by name.
        outputs: Names of the outputs' nodes.
        leaves: Names of nodes whose inputs are not followed.
        controls: Also follow control dependencies.
    """
    needed_nodes: dict[str, Node] = {}
    pending, ends = list(outputs), set(leaves)
    while pending:
        name = pending.pop()
        if name in needed_nodes:
            continue
        if name not in nodes:
            raise FileError(f"{file} is damaged: no node computes {shown(name)}; save it again")
        node = needed_nodes[name] = nodes[name]
        if name not in ends:
            pending += [other for other, _ in node.inputs]
            pending += node.controls if controls else []
    return list(needed_nodes.values())


def frames_of(file: str, needed_nodes: Iterable[Node], nodes: Mapping[str, Node]) -> dict[str, Frame]:
    """Return the while loops among nodes, by the name of each of their Enter, Merge and Exit nodes."""
    frames: dict[str, Frame] = {}
    of_nodes: dict[str, Frame] = {}
    needed_nodes = list(needed_nodes)
    for node in needed_nodes:
        if node.op.endswith("Enter"):
            name = node.text("frame_name")
            frame = of_nodes[node.name] = frames.setdefault(name, Frame(name))
            frame.enters.append(node)
    for node in needed_nodes:
        if is_state(node, nodes):
            enter = next((name for name, _ in node.inputs if name in of_nodes), None)
            if enter is None:
                raise FileError(f"{file} is damaged: {node} has no initial value; save it again")
            frame = of_nodes[node.name] = of_nodes[enter]
            frame.merges.append(node)
    for node in needed_nodes:
        if node.op in ("Switch", "RefSwitch") and nodes[node.inputs[1][0]].op == "LoopCond":
            merge = node.inputs[0][0]
            if merge in of_nodes:
                of_nodes[merge].condition = nodes[node.inputs[1][0]]
    for node in needed_nodes:
        if node.op.endswith("Exit"):
            merge = nodes[node.inputs[0][0]].inputs[0][0]
            if merge not in of_nodes:
                raise FileError(f"{file} is damaged: {node} is an Exit without a loop; save it again")
            of_nodes[node.name] = of_nodes[merge]
    return of_nodes


def in_order(file: str, needed_nodes: list[Node], frames: Mapping[str, Frame], leaves: Iterable[str]) -> list[Node]:
    """Sort nodes topologically, without the cycles of loops.

    A Merge node of a loop follows the loop's Enter nodes, not the nodes that compute its next value. An Exit node
    follows the nodes that compute all next states and the loop's condition.

    Args:
        file: The file's name in errors.
        needed_nodes: Nodes to sort.
        frames: Loop of each Enter, Merge and Exit node, by name.
        leaves: Names of nodes whose inputs are not followed.

    Raises:
        FileError: A node depends on itself in another way.
    """
    by_name, ends = {node.name: node for node in needed_nodes}, set(leaves)

    def dependencies(node: Node) -> list[str]:
        """Return the names of the nodes that must precede a node."""
        if node.name in ends:
            return []
        frame = frames.get(node.name)
        if frame is None or node.op.endswith("Enter"):
            return [name for name, _ in node.inputs]
        if node.op.endswith("Exit"):
            steps = [name for merge in frame.merges for name, _ in merge.inputs if name in by_name]
            return [*steps, *([] if frame.condition is None else [frame.condition.name])]
        return [enter.name for enter in frame.enters]

    done: dict[str, Node] = {}
    for node in needed_nodes:
        pending, open_ones = [(node.name, False)], set[str]()
        while pending:
            name, is_ready = pending.pop()
            if name in done:
                continue
            if is_ready:
                done[name] = by_name[name]
                open_ones.discard(name)
                continue
            if name in open_ones:
                raise FileError(f"{file} is damaged: {shown(name)} depends on itself; save it again")
            open_ones.add(name)
            pending.append((name, True))
            pending += [(other, False) for other in dependencies(by_name[name]) if other not in done]
    return list(done.values())
