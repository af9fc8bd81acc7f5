"""Gradients as Tensors. A gradient is declared as a placeholder, its stand-in. Runs compute and feed its value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.parameters import ParameterSpec
from ...declare.tensor import Tensor, as_tensor, build, constant, declared
from ...ir import derivatives
from ...ir.graph import Node, make
from ...ir.ops import OPS
from ...ir.types import FLOATS, TensorType
from ...passes.lowering.lowered import INNER
from ...program.parts import by_name
from ...runtime.native.compiled_graph import CompiledGraph
from ...runtime.native.optimized_graph import Changes
from ...support.api_guard import api
from ...support.arguments import check_positive, one_of
from ...support.errors import ArgumentError, DtypeError, NotOfferedError, shown, user_line
from ...training.steps.applied_gradients import AppliedGradients
from ..core import elementwise
from ..core.graph import get_default_graph
from ..core.programs import FetchProgram, FetchSet, Values
from ..core.rolling.rolled import Rolled
from ..core.tensors import TfTensor, gives_tensors
from ..table.missing import GUIDE

_UNCONNECTED = ("none", "zero")
RESULTS = "result/"
"""Prefix of the names of fetched Tensors in a gradient program."""


@dataclass(frozen=True, eq=False)
class Derivative:
    """Derivative of the scalar ``loss`` with respect to ``target``, a variable or another node."""

    loss: Tensor
    target: Node

    def name(self, graph: Any) -> str | None:
        """Return the full name of the target variable; None if the target is another node."""
        variable = graph.variables.get(self.target["slot"]) if self.target.op == "parameter" else None
        return None if variable is None else variable.full

    def raise_if_fed(self, fed: Iterable[Node]) -> None:
        """Raise ``ArgumentError`` if the gradient passes through a Tensor that a run feeds."""
        nodes = {*_reachable_by_gradient(self.loss.node)}
        for node in fed:
            if node in nodes and node is not self.target and reached_by(Tensor(node)).has(Tensor(self.target)):
                raise ArgumentError(
                    f"{Tensor(node)!r} is fed, and the gradient of {self.loss!r} passes through it to "
                    f"{Tensor(self.target)!r}, but TensorFlow computes that gradient from the value before the "
                    "feed; run without this feed, or declare a tf.placeholder in its place"
                )

    def compute(self, session: Any, fetches: FetchSet, values: Mapping[Node, Any], seed: int) -> Sequence[np.ndarray]:
        """Return the values of fetches that depend on gradients, in a run with the feeds ``values``.

        One native call suffices for gradients of one loss. For several losses, one call per loss computes the
        gradients, and a last call the fetches.
        """
        by_loss = _by_loss(fetches.reads)
        if len(by_loss) == 1:
            ((loss, stand_ins),) = by_loss.items()
            return _gradient_program(session.graph, loss, stand_ins, fetches).values(session, fetches.cut, values, seed)
        stand_ins = [node for nodes in by_loss.values() for node in nodes]
        known = {**values, **self.stand_in_values(session, stand_ins, values, seed)}
        return fetches.program().run(session, fetches.cut, known, seed)

    @staticmethod
    def stand_in_values(session: Any, stand_ins: Sequence[Node], values: Values, seed: int) -> dict[Node, np.ndarray]:
        """Return {placeholder of a gradient: the gradient's value}, from one native call for each loss."""
        graph, arrays = session.graph, dict[Node, np.ndarray]()
        fed = [node for node in values if node.op != "input"]
        for loss, group in _by_loss(stand_ins).items():
            alone = FetchSet(graph, group, fed)
            program = _gradient_program(graph, loss, group, alone)
            arrays.update(zip(group, program.values(session, alone.cut, values, seed), strict=True))
        return arrays


def stand_ins_of(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes of ``nodes`` that are stand-ins: placeholders that represent gradients."""
    return [node for node in nodes if node.op == "input" and node.get("gradient") is not None]


def _by_loss(nodes: Sequence[Node]) -> dict[Tensor, list[Node]]:
    """Return the gradients' stand-ins among ``nodes``, by the loss that is differentiated."""
    by_loss: dict[Tensor, list[Node]] = {}
    for node in stand_ins_of(nodes):
        by_loss.setdefault(node["gradient"].loss, []).append(node)
    return by_loss


def targets_of(graph: Any, stand_ins: Sequence[Node], cut: Any) -> dict[Node, str | Node]:
    """Return {placeholder of a gradient: what the loss is differentiated by, a variable's name or a node}."""
    targets: dict[Node, str | Node] = {}
    for node in stand_ins:
        derivative: Derivative = node["gradient"]
        targets[node] = derivative.name(graph) or cut(derivative.target)
    return targets


def _gradient_program(graph: Any, loss: Tensor, stand_ins: Sequence[Node], fetches: FetchSet) -> GradientProgram:
    """Return the program that computes ``fetches`` from gradients of ``loss``, compiled on first use."""
    key = "gradients", loss.node, fetches.nodes, fetches.fed, graph.version
    if key not in graph.plans:
        cut = Rolled(graph.cut(fetches.fed), [loss.node], [node["gradient"].target for node in stand_ins])
        tensors = {str(number): Tensor(cut(node)) for number, node in enumerate(fetches.nodes)}
        graph.plans[key] = GradientProgram(graph, cut.tensor(loss), targets_of(graph, stand_ins, cut), tensors)
    program: GradientProgram = graph.plans[key]
    return program


class GradientProgram(FetchProgram):
    """Program of Tensors that depend on gradients of one loss.

    Args:
        targets: By stand-in, the name of the variable, or the node, with respect to which the loss is differentiated.
    """

    def __init__(
        self, graph: Any, loss: Tensor, targets: Mapping[Node, str | Node], tensors: Mapping[str, Tensor]
    ) -> None:
        variables = {f"variable/{name}": graph.by_name[name] for name in targets.values() if isinstance(name, str)}
        places = {f"stand_in/{number}": Tensor(node) for number, node in enumerate(targets)}
        inputs = {f"tensor/{name}": tensor for name, tensor in tensors.items()}
        super().__init__(graph, {"loss_itself": loss, **variables, **places, **inputs}, loss)
        self.inputs = {node: item for node, item in self.inputs.items() if node not in targets}
        replaced = AppliedGradients({f"{RESULTS}{name}": tensor.node for name, tensor in tensors.items()}, targets)
        source, parts = self.program.parts.source, self.program.parts
        lowered = source.with_states(INNER, replaced.declared())
        self._names = tuple(f"gradient/{RESULTS}{name}" for name in tensors)
        changes = Changes(replaced.wrt(()), then=(replaced.replacing(lowered.placeholders),))
        compiled = CompiledGraph(lowered.graph, "training", parts.options, source.described, changes, "auto")
        self._form = by_name(compiled, self._names)

    def values(self, session: Any, cut: Any, values: Mapping[Node, Any], seed: int) -> list[np.ndarray]:
        """Return the values of the fetched Tensors, in order."""
        self.check(session)
        self.warn_of_dropout()
        outputs = self.program.training.run_form(self._form, self.feeds(session, cut, values, seed), seed)
        return [outputs[name] for name in self._names]


# Declaring -------------------------------------------------------------------------------------------


@gives_tensors
def gradients(
    ys: Any,
    xs: Any,
    grad_ys: Any = None,
    name: str = "gradients",
    colocate_gradients_with_ops: bool = False,
    gate_gradients: Any = False,
    aggregation_method: Any = None,
    stop_gradients: Any = None,
    unconnected_gradients: Any = None,
) -> list[Tensor | None]:
    """Return the derivative of the sum of ys with respect to each of xs; None for an x on which no y depends.

    ``unconnected_gradients="zero"`` gives zeros in place of None. ``colocate_gradients_with_ops``, ``gate_gradients``
    and ``aggregation_method`` have no effect.

    No gradient passes through functions such as ``tf.floor``, ``tf.argmax`` and ``tf.stop_gradient``, as in TensorFlow.
    """
    if grad_ys is not None or stop_gradients is not None:
        raise ArgumentError(
            "tf.gradients does not offer grad_ys and stop_gradients; multiply ys, or use tf.stop_gradient"
        )
    unconnected = getattr(unconnected_gradients, "value", unconnected_gradients) or "none"
    gives_none = one_of(unconnected, "unconnected_gradients", _UNCONNECTED) == "none"
    losses = list(ys) if isinstance(ys, list | tuple) else [ys]
    if not losses:
        raise ArgumentError("tf.gradients needs at least one Tensor")
    total: Any = None
    for loss in losses:
        if not isinstance(loss, Tensor) or loss.dtype not in FLOATS:
            raise DtypeError(f"ys of tf.gradients must be float Tensors, not {shown(loss)}")
        summed = functions.reduce_sum(loss) if loss.rank else loss
        total = summed if total is None else total + summed
    targets = list(xs) if isinstance(xs, list | tuple) else [xs]
    reached = reached_by(total)
    results: list[Tensor | None] = []
    for target in targets:
        if not isinstance(target, Tensor) or target.dtype not in FLOATS:
            raise DtypeError(f"xs of tf.gradients must be float Tensors, not {shown(target)}")
        missing = None if gives_none else functions.filled_like(target, 0)
        results.append(stand_in(total, target.node) if reached.has(target) else missing)
    graph = get_default_graph()
    return graph.following(results, results) if graph.collections["control_inputs"] else results


def stand_in(loss: Tensor, target: Node) -> Tensor:
    """Return the placeholder that represents the derivative of a loss with respect to a target node."""
    graph = get_default_graph()
    key = "stand-in", loss.node, target["slot"] if target.op == "parameter" else target
    if key not in graph.plans:
        graph.plans[key] = TfTensor(
            make(
                "input",
                where=user_line(),
                name="gradient",
                type=target.tensor,
                label="gradient",
                serial=next(declared),
                unnamed=True,
                gradient=Derivative(loss, target),
            )
        )
    tensor: Tensor = graph.plans[key]
    return tensor


def specs_of(nodes: Iterable[Node]) -> tuple[set[ParameterSpec], set[ParameterSpec]]:
    """Return (parameters among nodes, parameters that the cells of recurrences among nodes read)."""
    own: set[ParameterSpec] = set()
    driven: set[ParameterSpec] = set()
    for node in nodes:
        if node.op == "parameter":
            own.add(node["slot"])
        elif node.op == "driver":
            driven.update(spec for driver, _ in node["driver"].with_inner() for spec, _ in driver.names.parameters)
    return own, driven


def reached_by(loss: Tensor) -> Reached:
    """Return the nodes and parameters on which the loss depends differentiably. The graph caches them."""
    plans = get_default_graph().plans
    if ("reached", loss.node) not in plans:
        plans["reached", loss.node] = Reached(loss)
    reached: Reached = plans["reached", loss.node]
    return reached


def _reachable_by_gradient(loss: Node) -> list[Node]:
    """Return the float nodes to which a gradient of the loss flows, through ops that have a derivative.

    A node without a derivative, such as ``tf.floor``, ends the search.
    """
    reached, waiting = {loss: None}, [loss]
    while waiting:
        node = waiting.pop()
        if OPS[node.op].derivative is derivatives.nothing:
            continue
        new = [item for item in node.operands if item not in reached and _may_be_float(item)]
        reached.update(dict.fromkeys(new))
        waiting += new
    return list(reached)


def _may_be_float(node: Node) -> bool:
    """True for nodes of floats, and for tuples, which may contain floats."""
    return not isinstance(node.type, TensorType) or node.dtype in FLOATS


class Reached:
    """Nodes and parameters that the gradient of a loss reaches, through functions that have a derivative.

    Attributes:
        nodes: The nodes, in a dict without values.
        own: Parameters among the nodes.
        driven: Parameters that the cells of drivers among the nodes read.
    """

    def __init__(self, loss: Tensor) -> None:
        self.nodes = dict.fromkeys(_reachable_by_gradient(loss.node))
        if stand_ins_of([*self.nodes]):
            raise NotOfferedError(
                f"{loss!r} depends on gradients: second derivatives are not offered; put "
                f"tf.stop_gradient around these gradients, or write out the first derivative ({GUIDE})"
            )
        self.own, self.driven = specs_of(self.nodes)

    def has(self, target: Tensor) -> bool:
        """True if a gradient of the loss flows to a Tensor or variable."""
        node = target.node
        return node["slot"] in self.own | self.driven if node.op == "parameter" else node in self.nodes

    def gathers(self, target: Node) -> list[Node]:
        """Return the gathers that read rows of the variable ``target``; [] if other ops read the variable, too."""
        if target.op != "parameter" or target["slot"] in self.driven:
            return []
        tables = {node for node in self.nodes if node.op == "parameter" and node["slot"] is target["slot"]}
        users = [node for node in self.nodes if any(operand in tables for operand in node.operands)]
        lookups = all(node.op == "gather" and node.operands[0] in tables for node in users)
        return users if lookups else []


# Norms and limits of gradients ---------------------------------------------------------------------------


def _slices(gradient: Tensor) -> list[tuple[Node, Tensor]]:
    """Return (gather, gradient of the gathered rows) pairs of a sparse gradient; [] for a dense one.

    ``IndexedSlices`` have one row per looked-up id. In norms and limits, an id that occurs twice counts twice. The list
    is empty for dense gradients.
    """
    node, after = gradient.node, get_default_graph().after
    if node.op == "reshape" and node in after:  # a copy of the gradient that has control dependencies
        node = node.operands[0]
    derivative = node.get("gradient") if node.op == "input" else None
    if derivative is None:
        return []
    lookups = reached_by(derivative.loss).gathers(derivative.target)
    return [(node, stand_in(derivative.loss, node)) for node in lookups]


def _as_slices(gradient: Tensor, limited: Tensor) -> Tensor:
    """Return a clipped gradient, marked as sparse if the gradient before clipping is sparse."""
    rows = _rows_of(gradient)
    if rows:
        get_default_graph().plans["rows", limited.node] = rows
    return limited


def _rows_of(gradient: Tensor) -> list[Node]:
    """Return the gathers whose rows a sparse gradient changes; [] for a dense one."""
    lookups: list[Node] = [node for node, _ in _slices(gradient)]
    return lookups or get_default_graph().plans.get(("rows", gradient.node), [])


def looked_up_rows(gradient: Tensor) -> Tensor | None:
    """Return the mask bool [rows, 1, …] of a variable's rows that a sparse gradient changes; None for a dense one."""
    total: Any = None
    for lookup in _rows_of(gradient):
        table, ids = lookup.operands
        ones = build("broadcast", constant(1.0), shape=(*ids.shape, *[1] * (table.tensor.rank - 1)))
        counted = build("scatter_add", Tensor(ids), ones, rows=table.shape[0])
        total = counted if total is None else total + counted
    return None if total is None else functions.not_equal(total, 0.0)


def _sum_of_squares(gradient: Tensor) -> Tensor:
    """Return the sum of the squares of a gradient; for a sparse one, of each gathered row's gradient."""
    rows = [rows for _, rows in _slices(gradient)] or [gradient]
    total = functions.reduce_sum(functions.square(rows[0]))
    for item in rows[1:]:
        total = total + functions.reduce_sum(functions.square(item))
    return total


@gives_tensors
def global_norm(t_list: Sequence[Any], name: str | None = None) -> Tensor:
    """Return the Euclidean norm of the concatenation of all Tensors. None among them is ignored."""
    total: Any = None
    for tensor in _tensors_of(t_list):
        squares = _sum_of_squares(tensor)
        total = squares if total is None else total + functions.cast(squares, total.dtype)
    if total is None:
        raise ArgumentError("tf.global_norm needs at least one Tensor")
    return functions.sqrt(total)


class AggregationMethod:
    """``tf.AggregationMethod``, which has no effect: gradients are summed in one fixed order."""

    @api
    def __init__(self) -> None:
        """Do nothing: the methods are attributes of the class."""

    ADD_N = DEFAULT = 0
    EXPERIMENTAL_TREE, EXPERIMENTAL_ACCUMULATE_N = 1, 2


@gives_tensors
def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Tensor | None], Tensor]:
    """Scale Tensors by one factor, so that their global norm is at most ``clip_norm``.

    Args:
        t_list: Tensors, and None, which stays None.
        clip_norm: Maximum norm.
        use_norm: Global norm to scale by. None: that of ``t_list``.
        name: No effect.

    Returns:
        (scaled Tensors, global norm before scaling).
    """
    _check_limit(clip_norm)
    norm = global_norm(t_list) if use_norm is None else as_tensor(use_norm)
    scale = clip_norm * functions.minimum(1.0 / norm, 1.0 / clip_norm)
    clipped = [None if item is None else _as_slices(item, item * functions.cast(scale, item.dtype)) for item in t_list]
    return clipped, norm


@gives_tensors
def clip_by_norm(t: Tensor, clip_norm: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """Scale a Tensor so that its norm is at most ``clip_norm``; with ``axes``, each of its norms along these axes."""
    t = as_tensor(t)
    _check_limit(clip_norm)
    if axes is None:
        norm = functions.sqrt(_sum_of_squares(t))
    else:
        norm = functions.sqrt(functions.reduce_sum(functions.square(t), axes, keepdims=True))
    return _as_slices(t, t * clip_norm / functions.maximum(norm, clip_norm))


def _check_limit(clip_norm: Any) -> None:
    """Raise an error if a norm is neither a Tensor nor a positive number."""
    if not isinstance(clip_norm, Tensor):
        check_positive("clip_norm", clip_norm)


def clipped_by_value(t: Tensor, low: Any, high: Any) -> Tensor:
    """Return a Tensor clamped to [low, high]. For ``IndexedSlices``, clamp the gradients of looked-up rows.

    The lower limit wins if it exceeds the upper limit. Derivatives of this function are 1 at the limits.
    """
    slices = _slices(t) if isinstance(t, Tensor) else []
    if not slices:
        return elementwise.clip_by_value(t, low, high)
    total: Any = None
    for lookup, rows in slices:
        limited = elementwise.clip_by_value(rows, low, high)
        added = build("scatter_add", Tensor(lookup.operands[1]), limited, rows=t.type.shape[0])
        total = added if total is None else total + added
    return _as_slices(t, total)


def _tensors_of(t_list: Any) -> Iterator[Tensor]:
    """Yield the entries of a list that are not None, as Tensors."""
    if not isinstance(t_list, list | tuple):
        raise DtypeError(f"a global norm needs a list of Tensors, not {shown(t_list)}")
    for tensor in t_list:
        if tensor is None:
            continue
        if not isinstance(tensor, Tensor):
            raise DtypeError(f"a global norm needs a list of Tensors, which must not contain {shown(tensor)}")
        yield tensor
