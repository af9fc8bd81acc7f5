"""Makes boxes of a lowered declaration.

Nodes of one layer or line share a box, and a scan is a driver with its cells.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from ...declare.description import Described
from ...ir.graph import Graph, Node
from ...ir.printer import is_literal, names_of, operand_text
from ...ir.scan import ScanParts
from ...ir.types import dim_text
from ...passes.lowering.lowered import SEED_INPUTS
from ...support.errors import Where
from ...support.source_lines import source_line
from .boxes import Arrow, Box, Declaration, State
from .expressions import equations, in_inference, in_training, needed, passing, read_by
from .nesting import DriverCells, DriverFacts, nested
from .node_texts import adds_or_drops_ones, count_text, layer_of, short_name, step_index, steps_text, type_text
from .step_names import step_names, without_lengths

MAX_IN_GROUP = 40
"""Maximum ops in a box of a layer or line. Further ops get another box."""

MAX_NAMES = 3
"""Maximum names of outputs that are shown."""

_UNDRAWN = frozenset(("get", "transpose", "broadcast", "reshape", "iota", "dimension"))
"""Ops of a driver's line that rearrange its sequence."""

_FORMS = frozenset(("cast", "ensure_shape", "stop_gradient"))
"""Ops that change only the form of a value."""

_STEPS = {-1: "last step", 0: "first step"}
"""Titles of boxes that take one step of a sequence."""


def declaration_of(graph: Graph, described: Described, with_source: bool) -> Declaration:
    """Return the contents of a declaration's picture.

    Args:
        described: Cells of its drivers.
        with_source: Show lines of the script; False for programs from elsewhere, whose files could name any path.
    """
    return _Reader(graph, described, with_source).declaration()


class _Reader:
    """A lowered graph and its boxes."""

    def __init__(self, graph: Graph, described: Described, with_source: bool) -> None:
        self.graph, self.driver_cells, self.with_source = graph, DriverCells(described), with_source
        without_loss = [node for name, node in graph.outputs if name != "loss"]
        self.training = needed((node for _, node in graph.outputs), in_training)
        self.inference = needed(without_loss, in_inference)
        self.alive = needed(without_loss, passing)  # includes dropout nodes, which pass their input on in inference
        self.names = names_of(node for node in graph.nodes)
        self.names |= {node: short_name(node) for node in graph.nodes if node.op == "parameter"}
        self.layers = {str(node["label"]).rpartition("/")[0] for node in graph.nodes if node.op == "parameter"}
        self.drawn = [node for node in graph.nodes if node in self.training or node in self.inference]
        self.users: dict[Node, list[Node]] = {}
        for node in self.drawn:
            for operand in read_by(node):
                self.users.setdefault(operand, []).append(node)
        self.data_dependent: set[Node] = set()  # nodes that depend on more than sizes and seeds
        for node in self.drawn:
            is_fed = node.op == "input" and str(node["label"]) not in SEED_INPUTS
            is_source = node.op in ("parameter", "scan", "driver") or (node.op == "constant" and not is_literal(node))
            if is_fed or is_source or not self.data_dependent.isdisjoint(node.operands):
                self.data_dependent.add(node)
        for node in self.drawn:  # a node that is not drawn takes the name of its operand
            if self._is_undrawn(node) and node.operands and not is_literal(node.operands[0]) and not node.name:
                self.names[node] = self.names.get(node.operands[0], node.op)
        self.names |= {
            node: text for node in self.drawn if node not in self.data_dependent and (text := count_text(node))
        }

    def declaration(self) -> Declaration:
        """Return the boxes and arrows of the net's picture."""
        shown = [node for node in self.drawn if not self._is_undrawn(node)]
        groups = _groups(shown, self._sources, self._key)
        number_of = {node: number for number, group in enumerate(groups) for node in group}
        boxes = [self._box(group, f"box{number}", number_of) for number, group in enumerate(groups)]
        arrows: dict[tuple[str, str], Arrow] = {}
        for node in shown:
            passed = self._sources(node, passing) if node in self.alive else {}
            for source, value in self._sources(node).items():
                here, there = boxes[number_of[source]], boxes[number_of[node]]
                if here is not there:
                    label, in_both = type_text(value.type), source in passed and source in self.alive
                    _add(arrows, Arrow(here.key, there.key, label, node in self.training, in_both))
        read = {arrow.source for arrow in arrows.values() if boxes[int(arrow.target[3:])].inference}
        boxes = [replace(box, is_folded=_is_of_loss(box) and box.key not in read) for box in boxes]
        return self._with_outputs(boxes, arrows, number_of)

    def _key(self, node: Node) -> object:
        """Return the key that nodes of one box share: their layer, or their line. A scan or input has its own box."""
        if node.op in ("scan", "input") or node.where is None:
            return node
        return self._own_layer(node) or (node.where.file, node.where.line)

    def _own_layer(self, node: Node) -> str:
        """Return the layer of a node, if the layer has parameters; "" to group the node by line."""
        layer = layer_of(node)
        return layer if layer in self.layers else ""

    def _is_undrawn(self, node: Node) -> bool:
        """True if a node gets no box, and arrows pass through it: a parameter, a number or a change of form."""
        if node.op in ("parameter", "get", "by_graph", "with_update") or is_literal(node):
            return True
        if node not in self.data_dependent or node.op in _FORMS:
            return True
        if node.op == "reshape" and adds_or_drops_ones(node) and node.operands[0].op != "slice" and not node.name:
            return True
        if node.op not in _UNDRAWN:
            return False
        if node.where is None:
            return True
        near = [*node.operands, *self.users.get(node, ())]
        near += [other for item in near if item.op == "get" for other in item.operands]
        if node.op == "broadcast" and is_literal(node.operands[0]):
            return True
        return any(item.op == "scan" and item.where and _line(item) == _line(node) for item in near)

    def _sources(self, node: Node, stands_for: Callable[[Node], Node] = in_training) -> dict[Node, Node]:
        """Return {drawn node that ``node`` reads, perhaps through undrawn ones: value that is read}.

        ``stands_for`` selects the graph.
        """
        sources: dict[Node, Node] = {}
        pending = [(operand, operand) for operand in read_by(node, stands_for)]
        while pending:
            operand, value = pending.pop()
            if not self._is_undrawn(operand):
                sources.setdefault(operand, value)
                continue
            is_form = operand.op == "reshape" and adds_or_drops_ones(operand)
            passed = operand if operand.op == "get" else value
            pending += [(other, other if is_form and value is operand else passed) for other in operand.operands]
        return sources

    def _box(self, group: Sequence[Node], key: str, number_of: Mapping[Node, int]) -> Box:
        """Return the picture's box of nodes of one layer or line: an input, a recurrence, or a layer with equations."""
        first = group[0]
        training = any(node in self.training for node in group)
        inference = any(node in self.inference for node in group)
        wheres = tuple(dict.fromkeys(node.where for node in group if node.where))
        if first.op == "scan":
            return self._driver(first, key, training, inference)
        if first.op == "input":
            name = str(first["label"])
            return Box(
                key, "input", (name,), type_text(first.type), wheres=wheres, training=training, inference=inference
            )
        number = number_of[first]
        outside = {node for _, node in self.graph.outputs}
        leaving = [
            node
            for node in group
            if node in outside or any(number_of.get(user) != number for user in self.users.get(node, ()))
        ]
        rows = equations(group, leaving, self.names, lambda _: 0, self.training, self.inference)
        layer = self._own_layer(first)
        called = {node: name for name, node in self.graph.outputs}
        named = dict.fromkeys(node.name or called.get(node) or _op_title(node) for node in leaving[-MAX_NAMES:])
        title = layer or ", ".join(named)
        # inference omits a box that computes nothing there, even if a value passes through the box
        inference = inference and any(row.inference for row in rows)
        passes = not inference and any(node in self.alive for node in group)
        note = _source_line(wheres) if self.with_source else ""
        return Box(
            key,
            "layer",
            (title or first.op,),
            note,
            layer,
            tuple(rows),
            wheres=wheres,
            training=training,
            inference=inference,
            passes=passes,
        )

    def _driver(self, scan: Node, key: str, in_training_graph: bool, in_inference_graph: bool) -> Box:
        """Return the box of a recurrence (scan), with its cells and the equations of a step."""
        step, has_lengths = without_lengths(scan)
        parts = ScanParts.of(step)
        body: Graph = step["body"]
        param = {*body.inputs}
        roots = [carry.next for carry in parts.carries] + [node for _, node in parts.emits]
        training = needed(roots, in_training, param) if in_training_graph else set()
        inference = needed(roots, in_inference, param) if in_inference_graph else set()
        shown = [node for node in body.nodes if node not in param and (node in training or node in inference)]
        names = step_names(parts, body.nodes)
        rows = equations(shown, roots, names, layer_of, training, inference)
        names = step_names(parts, body.nodes, [row.node for row in rows])
        rows = equations(shown, roots, names, layer_of, training, inference)
        last = "length−1" if has_lengths else steps_text(parts.length).removeprefix("0 … ")
        note = f"for t = {last} … 0, backward in time" if parts.reverse else f"for t = 0 … {last}"
        states = {carry.next: State(names[carry.inside], _width(carry.inside)) for carry in reversed(parts.carries)}
        title = layer_of(scan) or scan.name
        facts = DriverFacts(key, title, note, scan.where, in_inference_graph)
        return nested(self.driver_cells.take(scan), facts, rows, states)

    def _with_outputs(
        self, boxes: list[Box], arrows: dict[tuple[str, str], Arrow], number_of: Mapping[Node, int]
    ) -> Declaration:
        """Return the picture with a box for each output, or for all outputs of one nest that one box computes."""
        joined: dict[tuple[str, str], list[tuple[str, Node]]] = {}
        for name, node in self.graph.outputs:
            drawn = [node] if not self._is_undrawn(node) else list(self._sources(node))
            source = boxes[number_of[drawn[0]]].key if drawn else ""
            joined.setdefault((source, name.partition("/")[0]), []).append((name, node))
        for number, ((source, first), outputs) in enumerate(joined.items()):
            names = [name for name, _ in outputs]
            left_out = len(names) - MAX_NAMES
            title = ", ".join(names if left_out <= 1 else [*names[: MAX_NAMES - 1], f"… {names[-1]}"])
            is_loss = first == "loss"
            label = type_text(outputs[0][1].type)
            box = Box(
                f"output{number}",
                "loss" if is_loss else "output",
                (title or "output",),
                label if len(outputs) == 1 else f"{len(outputs)} of {label}",
                wheres=tuple({node.where: None for _, node in outputs if node.where}),
                inference=not is_loss,
            )
            boxes.append(box)
            if source:
                _add(arrows, Arrow(source, box.key, "", True, not is_loss))
        return Declaration(tuple(boxes), tuple(arrows.values()))


def _is_of_loss(box: Box) -> bool:
    """True for a layer that only the training graph computes, such as a loss."""
    return box.kind == "layer" and not box.inference and not box.passes


def _op_title(node: Node) -> str:
    """Return the title of a value without a name."""
    index = step_index(node)
    return node.op if index is None else _STEPS[index]


def _line(node: Node) -> tuple[str, int] | None:
    return (node.where.file, node.where.line) if node.where else None


def _width(node: Node) -> str:
    return ", ".join(map(dim_text, node.shape[1:])) if node.tensor.rank > 1 else operand_text(node, {node: ""})


def _add(arrows: dict[tuple[str, str], Arrow], arrow: Arrow) -> None:
    """Put an arrow into ``arrows``, merged with the arrow between the same two boxes, if there is one."""
    key = arrow.source, arrow.target
    old = arrows.get(key)
    if old is None:
        arrows[key] = arrow
        return
    label = old.label if old.label == arrow.label or not arrow.label else old.label or arrow.label
    arrows[key] = Arrow(*key, label, old.training or arrow.training, old.inference or arrow.inference)


def _groups(
    nodes: Sequence[Node], sources: Callable[[Node], Collection[Node]], key_of: Callable[[Node], object]
) -> list[list[Node]]:
    """Return nodes grouped by key, in an order in which groups depend only on earlier ones."""
    groups: list[list[Node]] = []
    before: list[int] = []  # for each group the set of groups that it depends on, as bits
    number_of: dict[Node, int] = {}
    latest: dict[object, int] = {}
    for node in nodes:
        key = key_of(node)
        read = {number_of[source] for source in sources(node)}
        ancestors = 0
        for number in read:
            ancestors |= before[number] | 1 << number
        latest_group = latest.get(key, len(groups))
        fits = latest_group < len(groups) and len(groups[latest_group]) < MAX_IN_GROUP
        if not fits or any(before[number] >> latest_group & 1 for number in read if number != latest_group):
            latest_group = latest[key] = len(groups)
            groups.append([])
            before.append(0)
        groups[latest_group].append(node)
        number_of[node] = latest_group
        before[latest_group] |= ancestors & ~(1 << latest_group)
        for number, depends in enumerate(before):
            if depends >> latest_group & 1:
                before[number] |= before[latest_group]
    return _in_order(groups, before)


def _in_order(groups: list[list[Node]], before: Sequence[int]) -> list[list[Node]]:
    """Return the groups, each after all groups on which it depends.

    ``before`` has for each group the set of these groups, direct and indirect, as bits.
    """
    return [
        groups[number] for number in sorted(range(len(groups)), key=lambda number: (before[number].bit_count(), number))
    ]


def _source_line(wheres: Sequence[Where]) -> str:
    """Return the text of the script's line on which all places are; empty for several lines or an unreadable one."""
    lines = {(where.file, where.line) for where in wheres}
    if len(lines) != 1:
        return ""
    ((file, line),) = lines
    return " ".join(source_line(file, line).partition("  #")[0].split())
