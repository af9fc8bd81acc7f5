"""train_step: compute new parameters in the graph that computes the gradients, so that a step is one native call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from functools import reduce

import numpy as np

from ..ir.graph import Graph, Node, make, topological, with_lines
from ..ir.types import TensorType
from ..support.errors import GraphError, Where
from ..support.records import dataclass
from .gradients.autodiff import PREFIX

NEW, SLOT, NUMBER, SUM, MET = "new/", "slot/", "number/", "sum/", "met/"
SHARE = f"{NUMBER}share"
NORM = "gradient_norm"

Update = Callable[[Node, Node, Mapping[str, Node], Mapping[str, Node]], tuple[Node, Mapping[str, Node]]]
"""Function (parameter, gradient, slots, numbers) -> (new parameter, new slots)."""


@dataclass(frozen=True)
class TrainStep:
    """Compute new parameters from gradients in the same graph.

    Law: outputs are unchanged, except that ``gradient/<label>`` becomes ``new/<label>`` and ``slot/<slot>/<label>``.

    Outputs that the pass adds:

    - ``new/<label>``: the parameter after ``update``. For a parameter that the declaration updates, it exists already,
      and is kept.
    - ``slot/<slot>/<label>``: the optimizer's state of a parameter. It overwrites the input of the same name.
    - ``gradient_norm``: the norm of all gradients together, after clipping by value and before clipping by norm.

    Outputs that the pass removes and passes to ``update``:

    - ``met/<label>``: mask of the rows of a parameter that were read. The parameter's update gets it as ``met``.
    - ``number/<name>``: a scalar, such as the learning rate, for all updates. Names in ``numbers`` without such an
      output become float64 inputs ``number/<name>``.

    Attributes:
        update: Equations of the optimizer.
        slots: Names of the optimizer's states of each parameter.
        numbers: Names of the scalars that updates read.
        clip_norm: Maximum norm of all gradients together; None does not clip.
        clip_value: Maximum magnitude of a gradient's elements; None does not clip.
        guarded: True to keep parameters and slots unchanged if the loss or the norm is not finite.
        where: Source line of the update. Values shared by all parameters get the layer ``gradient_norm``.
        lines: Source line and layer of each parameter's update, by label.

    Raises:
        GraphError: ``update`` returns a parameter or a slot of another type than the parameter's.
    """

    update: Update
    slots: tuple[str, ...]
    numbers: tuple[str, ...]
    clip_norm: float | None = None
    clip_value: float | None = None
    guarded: bool = True
    where: Where | None = None
    lines: Mapping[str, Where] = field(default_factory=dict)
    name: str = "train_step"

    def __call__(self, graph: Graph) -> Graph:
        gradients = _gradients(graph)
        parameters = {str(node["label"]): node for node in graph.inputs if node.op == "parameter"}
        inputs: list[Node] = list(graph.inputs)
        declared = {name.removeprefix(NUMBER): node for name, node in graph.outputs if name.startswith(NUMBER)}
        fed_names = [name for name in self.numbers if name not in declared]
        numbers = {name: _input(NUMBER + name, TensorType("float64", ())) for name in fed_names}
        inputs += numbers.values()
        numbers |= declared
        gradients = {label: self._clipped(g) for label, g in gradients.items()}
        squares = _sum_of_squares(gradients.values())
        factor = self._factor(squares)
        met = {name.removeprefix(MET): node for name, node in graph.outputs if name.startswith(MET)}
        outputs = [(name, node) for name, node in graph.outputs if not name.startswith((PREFIX, MET, NUMBER))]
        norm = make("sqrt", squares)
        outputs.append((NORM, norm))
        finite = _finite([norm, *(node for name, node in outputs if name == "loss")])
        if self.guarded:
            outputs = [(name, _guard(finite, node, name, parameters)) for name, node in outputs]
        lines: dict[Node, Where] = {}
        for label, g in gradients.items():
            parameter = parameters.get(label)
            if parameter is None:  # the gradients of an ``update_graph`` do not depend on parameters
                parameter = make("parameter", label=label, name=label, type=g.tensor)
                inputs.append(parameter)
            slots = {slot: _overwritten_input(f"{SLOT}{slot}/{label}", g.tensor) for slot in self.slots}
            inputs += slots.values()
            scaled = g if factor is None else make("mul", g, _as(factor, g))
            provided = {name: _as(node, g) for name, node in numbers.items()}
            if label in met:
                provided["met"] = met[label]
            after, kept = self.update(parameter, scaled, slots, provided)
            if any(node.tensor != parameter.tensor for node in (after, *kept.values())):
                raise GraphError(
                    f"the update of {label} must have the parameter's type, {parameter.tensor}", parameter.where
                )
            if (line := self.lines.get(label)) is not None:
                own = topological([after, *kept.values()], known={parameter, g, *slots.values(), *provided.values()})
                lines |= {node: (node.where or line).of(line.layer) for node in own if node not in lines}
            outputs.append((NEW + label, make("select", finite, after, parameter) if self.guarded else after))
            for slot, before in slots.items():
                new = make("select", finite, kept[slot], before) if self.guarded else kept[slot]
                outputs.append((f"{SLOT}{slot}/{label}", new))
        outputs = _with_update_lines(outputs, (*graph.nodes, *inputs), self.where, lines)
        return Graph.of(graph.name, outputs, inputs, graph.comments)

    def _clipped(self, g: Node) -> Node:
        """Return a gradient clipped by value."""
        if self.clip_value is None:
            return g
        low, high = (
            make("constant", value=np.asarray(bound, g.dtype)) for bound in (-self.clip_value, self.clip_value)
        )
        return make("minimum", make("maximum", g, low, where=g.where), high, where=g.where)

    def _factor(self, squares: Node) -> Node | None:
        """Return clip_norm / max(norm, clip_norm), by which all gradients are scaled; None without ``clip_norm``."""
        if self.clip_norm is None:
            return None
        limit = make("constant", value=np.asarray(self.clip_norm, np.float64))
        return make("div", limit, make("maximum", make("sqrt", squares), limit))


@dataclass(frozen=True)
class AddGradients:
    """Accumulate gradients over calls, in sums that the caller feeds.

    Law: outputs are unchanged, except that ``gradient/<label>`` becomes ``sum/<label>``, added to an input of that
    name. The norm of this call's gradients is added as ``gradient_norm``.
    """

    where: Where | None = None
    name: str = "add_gradients"

    def __call__(self, graph: Graph) -> Graph:
        gradients = _gradients(graph)
        sums = {label: _input(SUM + label, g.tensor) for label, g in gradients.items()}
        outputs = [(name, node) for name, node in graph.outputs if not name.startswith(PREFIX)]
        outputs.append((NORM, make("sqrt", _sum_of_squares(gradients.values()))))
        outputs += [(SUM + label, make("add", sums[label], g, where=g.where)) for label, g in gradients.items()]
        inputs = [*graph.inputs, *sums.values()]
        outputs = _with_update_lines(outputs, (*graph.nodes, *inputs), self.where, {})
        return Graph.of(graph.name, outputs, inputs, graph.comments)


@dataclass(frozen=True)
class GiveGradients:
    """Return the gradients of a shard as partial sums.

    Law: outputs are unchanged, except that ``gradient/<label>`` is renamed to ``sum/<label>``.
    """

    name: str = "give_gradients"

    def __call__(self, graph: Graph) -> Graph:
        outputs = [(_as_sum(name), node) for name, node in graph.outputs]
        return Graph.of(graph.name, outputs, graph.inputs, graph.comments)


def with_updates(graph: Graph, declared: Graph) -> Graph:
    """Add the outputs ``new/<label>`` for parameters that a declaration itself updates in training."""
    updates = [(NEW + label, node) for label, node in updates_of(declared).items()]
    return Graph.of(graph.name, [*graph.outputs, *updates], graph.inputs, graph.comments) if updates else graph


def updates_of(graph: Graph) -> dict[str, Node]:
    """Return the values that nodes below the loss assign to parameters in a training step, by label, sorted.

    Raises:
        GraphError: Two nodes assign different values to one parameter.
    """
    updates: dict[str, Node] = {}
    pending, visited = [graph.output("loss")], set[Node]()
    while pending:
        node = pending.pop()
        if node in visited:
            continue
        visited.add(node)
        if node.op == "with_update":
            label = str(node.operands[1]["label"])
            if updates.setdefault(label, node.operands[2]) is not node.operands[2]:
                raise GraphError(f"{label} is updated in two places; keep one rg.with_update of it", node.where)
        pending += node.operands[:1] if node.op == "by_graph" else node.operands
    return dict(sorted(updates.items()))


def update_graph(kinds: Mapping[str, TensorType], lines: Mapping[str, Where] | None = None) -> Graph:
    """Return the graph of an update by gradients that were summed over calls, scaled by ``number/share``.

    Args:
        kinds: Types by label.
        lines: Source line of each parameter's update, by label.
    """
    lines = lines or {}
    share = _input(SHARE, TensorType("float64", ()))
    sums = {label: _input(SUM + label, kind) for label, kind in kinds.items()}
    outputs = [
        (PREFIX + label, make("mul", node, _as(share, node), where=lines.get(label))) for label, node in sums.items()
    ]
    return Graph.of("update", outputs, [share, *sums.values()])


def _with_update_lines(
    outputs: Sequence[tuple[str, Node]], fixed: Iterable[Node], where: Where | None, lines: Mapping[Node, Where]
) -> list[tuple[str, Node]]:
    """Return the outputs with source lines for all nodes that are not ``fixed``: ``where``, the line of the update.

    A line in ``lines``, or of the node itself, takes precedence.
    """

    def line_of(node: Node) -> Where | None:
        line = lines.get(node) or node.where or (where and where.of(NORM))
        return line and line.of(phase="update")

    roots = with_lines([node for _, node in outputs], fixed, line_of)
    return [(name, node) for (name, _), node in zip(outputs, roots, strict=True)]


def gradients_graph(kinds: Mapping[str, TensorType]) -> Graph:
    """Return a graph whose outputs ``gradient/<label>`` are its inputs, for gradients that were computed elsewhere."""
    inputs = {label: _input(PREFIX + label, kind) for label, kind in kinds.items()}
    return Graph.of("add", [(PREFIX + label, node) for label, node in inputs.items()], [*inputs.values()])


def _as_sum(name: str) -> str:
    return SUM + name.removeprefix(PREFIX) if name.startswith(PREFIX) else name


def _gradients(graph: Graph) -> dict[str, Node]:
    """Return the gradients that a graph returns, by label."""
    return {name.removeprefix(PREFIX): node for name, node in graph.outputs if name.startswith(PREFIX)}


def _input(label: str, kind: TensorType) -> Node:
    return make("input", label=label, name=label.replace("/", "_"), type=kind)


def _overwritten_input(label: str, kind: TensorType) -> Node:
    """Return an input whose memory the output of the same name overwrites."""
    return make("input", label=label, name=label.replace("/", "_"), type=kind, becomes=label)


def _finite(numbers: Sequence[Node]) -> Node:
    """Return a bool node: True if all scalars are finite."""
    limits = [make("constant", value=np.asarray(np.inf, node.dtype)) for node in numbers]
    tests = [make("less", make("abs", node), limit) for node, limit in zip(numbers, limits, strict=True)]
    return reduce(lambda a, b: make("and", a, b), tests)


def _guard(finite: Node, node: Node, name: str, parameters: Mapping[str, Node]) -> Node:
    """Return the output ``name``. If the step is not finite, a new value of a parameter is replaced by the old one."""
    if not name.startswith(NEW):
        return node
    return make("select", finite, node, parameters[name.removeprefix(NEW)])


def _as(number: Node, like: Node) -> Node:
    """Cast a scalar to the dtype of ``like``."""
    return number if number.dtype == like.dtype else make("cast", number, dtype=like.dtype)


def _sum_of_squares(nodes: Iterable[Node]) -> Node:
    """Return the sum of squares of all elements, added in float64 across arrays.

    If the float32 sum of an array overflows, it is computed again from elements times 2**-96.
    """
    total = _number(0.0, "float64")
    for g in nodes:
        part = _squares(g)
        if part.dtype == "float32":
            where = g.where
            fits = make("less", part, _number(np.inf, "float32"), where=where)
            small = _squares(make("mul", g, _number(2.0**-96, "float32"), where=where))
            large = make("cast", small, where=where, dtype="float64")
            large = make("mul", large, _number(2.0**192, "float64"), where=where)
            part = make("select", fits, make("cast", part, where=where, dtype="float64"), large, where=where)
        total = make("add", total, part)
    return total


def _squares(g: Node) -> Node:
    """Return the sum of squares of an array's elements."""
    square = make("mul", g, g, where=g.where)
    axes = tuple(range(g.tensor.rank))
    return make("reduce_sum", square, where=g.where, axes=axes, keepdims=False) if axes else square


def _number(value: float, dtype: str) -> Node:
    return make("constant", value=np.asarray(value, dtype))
