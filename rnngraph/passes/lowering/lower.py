"""lower: turn a declaration into one graph. The pass assigns names, solves sizes, and turns drivers into scans.

Law: every op keeps its meaning. A driver becomes a scan over time-major sequences, whose body is the whole cell with
all its inner cells. Dropout stays a node, and gets its seed, step and row as operands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from ...declare.driver import Driver
from ...declare.nest import flatten, pack, paths
from ...declare.parameters import ParameterSpec, layer_of
from ...declare.placeholders import RESERVED, placeholder_names
from ...declare.state import Columns, named, public
from ...ir.graph import Graph, Node, topological, with_sizes
from ...ir.text.source import assigned_names
from ...ir.types import TensorType, symbols_of
from ...support.errors import ArgumentError, GraphError, Where
from ...support.records import NamedTuple
from .context import Context
from .lowered import FED, INNER, NUMBER, STATE, TAP, Lowered, kept_label
from .names import Layers, Names, settle
from .random_nodes import RandomNodes, units_of
from .scan_body import Body
from .sized_nodes import SizedNodes

LOSS = "loss"
"""Name of the output that is the loss, and of the layer of nodes that only the loss needs."""


def lower(
    outputs: Iterable[tuple[str, Node]],
    known: Mapping[ParameterSpec, str],
    states: str = INNER,
    placeholders: Mapping[Node, str] | None = None,
    taps: Mapping[Node, str] | None = None,
    taps_are_inputs: bool = False,
    kept: Mapping[str, str] | None = None,
) -> Lowered:
    """Translate declared outputs into graphs of the outputs, dropout masks and initial states; name all parameters.

    Args:
        outputs: Pairs of a path and a declared node.
        known: Names of parameters from an earlier compile.
        states: ``INNER``: states are neither outputs nor inputs. ``SHOWN``: every driver also returns its final state,
            as outputs ``state/<number>/<leaf>``. ``FED``: as ``SHOWN``, and a driver starts from inputs of these
            names, as in the graph of a stream. Drivers whose initial state depends on another driver, or on a kept
            state, are excepted.
        placeholders: Names of placeholders from an earlier lowering of this declaration.
        taps: Names of the taps that the graph returns, as ``tap:<name>``. Other taps are the identity.
        taps_are_inputs: Add an input ``tap:<name>`` to each tap instead of returning it. The input's gradient equals
            the tap's.
        kept: {path of an output: placeholder whose next value it is}. Output and placeholder become one state,
            ``kept/<placeholder>``, which starts as the placeholder's default, or as zeros.
    """
    kept = kept or {}
    outputs = list(outputs)
    order = topological(node for _, node in outputs)
    names = settle(order, known)
    labels = placeholder_names(order) | dict(placeholders or {})
    of_loss = set(order).difference(topological(node for path, node in outputs if path != LOSS))
    drivers = [driver for node in order if node.op == "driver" for driver, _ in node["driver"].with_inner()]
    runs = {driver.where.place for driver in drivers if driver.where is not None}
    cells = {place for driver in drivers for place in driver.source.places} - runs  # lines of cells' steps, not drivers
    form = LoweredForm(states, taps or {}, taps_are_inputs, {*kept.values()})
    state = Lowering(names, labels, assigned_names(order, cells), form, of_loss)
    for node in order:
        state.lower(node)
    lowered = [(path, state.new[node]) for path, node in outputs if path not in kept] + state.finals
    lowered += state.keep({kept[path]: node for path, node in outputs if path in kept})
    lowered += [(f"{TAP}{name}", state.context.tapped[name]) for name in (taps or {}).values() if not taps_are_inputs]
    masks = [(site, state.random.masks[site]) for site in _sites(order, names) if site in state.random.masks]
    if state.random.number is not None:
        state.placeholders.append(state.random.number)
        if NUMBER in labels.values():
            raise ArgumentError(f"a placeholder can't be named {NUMBER!r} in a program that samples; rename it")
    sizes, inputs = state.nodes.final_sizes(state.placeholders), state.inputs()
    graph = with_sizes(Graph.of("declared", lowered, inputs), sizes)
    mask_graph = with_sizes(Graph.of("masks", masks, inputs if masks else []), sizes)
    initial = with_sizes(Graph.of("initial", state.initials, inputs), sizes)
    defaults = {name: node["default"] for node, name in labels.items() if node.get("default") is not None}
    if state.random.number is not None:
        defaults[NUMBER] = np.zeros((), np.int64)  # by default, every row has the stream number 0
    keep_probs, nests = frozenset(state.random.keep_probs), (tuple(state.states), tuple(state.named))
    return Lowered(graph, mask_graph, names.specs, initial, *nests, labels, defaults, keep_probs, state.nodes.layers)


def _sites(order: Sequence[Node], names: Names) -> list[str]:
    """Return the names of all sites that may draw dropout masks, in the order of declaration."""
    outermost: list[Driver] = [node["driver"] for node in order if node.op == "driver"]
    drivers = [driver for item in outermost for driver, _ in item.with_inner()]
    sites = [(d.serial, f"{names.scopes[d.scope]}/{site}") for d in drivers for site in d.names.sites]
    scopes = [scope for driver in drivers for scope in driver.names.scopes]
    scopes += [node["scope"] for node in order if node.op == "dropout"]
    sites += [(scope.serial, names.scopes[scope]) for scope in scopes]
    return [site for _, site in sorted(sites, key=lambda site: site[0])]


class LoweredForm(NamedTuple):
    """Options of ``lower``; see its arguments."""

    states: str
    taps: Mapping[Node, str]
    taps_are_inputs: bool
    kept: Set[str]


class Lowering:
    """Builder of the graph of a declaration."""

    def __init__(
        self,
        names: Names,
        labels: Mapping[Node, str],
        assigned: Mapping[Node, str],
        form: LoweredForm,
        of_loss: Set[Node],
    ) -> None:
        """Set up the builder. ``of_loss`` has the nodes that only the loss needs."""
        self.names = names
        self.labels = labels
        self.assigned = assigned
        self.show, taps, taps_are_inputs, self.kept_labels = form
        self.of_loss = of_loss
        self.kept_inputs: dict[str, Node] = {}  # inputs of kept states, by name of the placeholder
        self.nodes = SizedNodes(Layers(names.scopes))
        self.random = RandomNodes(self.nodes)
        self.context = Context(self.nodes, self.random, names.scopes, taps, taps_are_inputs)
        self.make = self.nodes.make
        self.placeholders = self.context.placeholders
        self.finals: list[tuple[str, Node]] = []
        self.initials: list[tuple[str, Node]] = []
        self.states: list[Any] = []
        self.named: list[Any] = []
        self.new: dict[Node, Node] = {}
        self.parameters: dict[ParameterSpec, Node] = {}

    def lower(self, node: Node) -> None:
        """Translate one declared node, whose operands are translated already, and record the result."""
        match node.op:
            case "input":
                self._placeholder(node)
            case "parameter":
                self.new[node] = self._parameter(node)
            case "driver":
                self.new[node] = self._driver(node)
            case "dropout" | "noise":
                self.new[node] = self._drawn(node, [self.new[operand] for operand in node.operands])
            case "sample_noise":
                self.new[node] = self._sample_noise(node, self.new[node.operands[0]])
            case "tap":
                self.new[node] = self._tap(node, self.new[node.operands[0]])
            case _:
                operands = [self.new[operand] for operand in node.operands]
                name = node.name or self.assigned.get(node, "")
                where = self._in_layer(node, operands)
                self.new[node] = self.make(node.op, *operands, where=where, name=name, **dict(node.attributes))

    def _in_layer(self, node: Node, operands: Sequence[Node]) -> Where | None:
        """Return the source line of a node, with a layer if the line has none.

        The layer is, in this order: the scope of a parameter that the node reads, as in ``x @ rg.parameter("a/w", …)``;
        ``loss``, if only the loss needs the node; the layer of an operand.
        """
        where = node.where
        if where is None or where.layer:
            return where
        layers = [(item.op, item.where.layer) for item in operands if item.where is not None]
        layer = next((name for op, name in layers if op == "parameter" and name), "")
        if not layer and node in self.of_loss:
            layer = LOSS
        return where.of(layer or next((name for _, name in layers if name), ""))

    def _placeholder(self, node: Node) -> None:
        if node.get("body"):
            raise GraphError(
                "a Tensor created in a cell's step is used outside of it; return it as output or state", node.where
            )
        label = self.labels[node]
        if label in RESERVED:
            raise ArgumentError(f"a placeholder can't be named {label}, which is reserved; rename it", node.where)
        if any(other["label"] == label for other in self.placeholders):
            raise ArgumentError(f"two placeholders are named {label!r}; rename one", node.where)
        is_kept, name = label in self.kept_labels, label.replace(".", "_")
        shown = kept_label(label) if is_kept else label
        new = self.make("input", where=node.where, name=name, label=shown, type=node.tensor)
        if is_kept:
            self.kept_inputs[label] = new
        for axis, dim in enumerate(node.tensor.shape):
            for symbol in symbols_of(dim):
                self.nodes.roles.setdefault(symbol, f"{new.name}_{axis}")
        self.placeholders.append(new)
        self.new[node] = new

    def inputs(self) -> list[Node]:
        """Return the placeholders in the order of lowering, but leaves of one state in the order of declaration.

        A state with the leaves ``state0.c`` and ``state0.h`` can therefore be fed as a plain tuple.
        """
        serials = {self.new[node]: node["serial"] for node in self.labels if node in self.new}
        states: dict[str, list[Node]] = {}
        for node in self.placeholders:
            if node in serials and "." in node["label"]:
                states.setdefault(node["label"].partition(".")[0], []).append(node)
        reordered: dict[Node, Node] = {}
        for nodes in states.values():
            reordered.update(zip(nodes, sorted(nodes, key=serials.__getitem__), strict=True))
        return [reordered.get(node, node) for node in self.placeholders]

    def _parameter(self, node: Node) -> Node:
        spec: ParameterSpec = node["slot"]
        if spec not in self.parameters:
            label = self.names.specs.get(spec)
            if label is None:
                raise GraphError(
                    f"parameter {node['label']} was created from a Scope after its driver was declared; create it in "
                    "the cell's step, or use rg.parameter",
                    node.where,
                )
            where = spec.where and spec.where.of(layer_of(spec, label))
            self.parameters[spec] = self.make("parameter", where=where, label=label, type=spec.type)
        return self.parameters[spec]

    def _tap(self, node: Node, value: Node) -> Node:
        name = self.context.taps.get(node)
        if name is None:
            return value
        if not self.context.taps_are_inputs:
            self.context.tapped[name] = value
            return value
        return self.make("add", value, self.context.added_to_tap(node, value.tensor), where=node.where)

    def _driver(self, node: Node) -> Node:
        """Translate a loop over a cell's steps to a scan; its states become inputs and outputs as ``states`` asks."""
        driver: Driver = node["driver"]
        operands = driver.by_role([self.new[operand] for operand in node.operands])
        time, batch, initial = driver.iteration.length, driver.batch(operands), operands.initial
        for dim, role in ((time, "T"), (batch, "B")):
            for symbol in symbols_of(self.nodes.resolve(dim)):
                if not self.nodes.roles.get(symbol, "").isupper():
                    self.nodes.roles[symbol] = role
        labels: list[str] = []
        structure = driver.streamed(public(driver.cell))
        leaf_count = len(flatten(structure))
        initial_values = topological(initial[:leaf_count])
        if (
            leaf_count
            and self.show != INNER
            and not any(item.op == "scan" or item in self.kept_inputs.values() for item in initial_values)
        ):
            prefix = f"{STATE}{len(self.states)}/"
            labels = [f"{prefix}{path or number}" for number, (path, _) in enumerate(paths(structure))]
            self.states.append(pack(structure, labels))
            self.named.append(pack(driver.streamed(named(driver.cell)), labels))
            self.initials += zip(labels, initial[:leaf_count], strict=True)
        if labels and self.show == FED:
            kinds = [TensorType(item.dtype, (batch, *item.shape[1:])) for item in initial[:leaf_count]]
            shown = [
                self.make("input", where=node.where, label=label, type=kind)
                for label, kind in zip(labels, kinds, strict=True)
            ]
            self.placeholders += shown
            carried = zip(shown, flatten(structure), strict=True)
            operands = operands._replace(
                initial=[*(self._round_state(*item) for item in carried), *initial[leaf_count:]]
            )
        body = Body(self.context, driver, time, batch, where=node.where)
        scan = body.scan(operands, node.name)
        self.finals += [(label, self.make("get", scan, index=index)) for index, label in enumerate(labels)]
        return scan

    def _round_state(self, node: Node, columns: Columns) -> Node:
        """Round a fed state to the dtype in which the cell stores it."""
        if not columns.is_narrow:
            return node
        narrow = self.make("cast", node, where=node.where, dtype=columns.dtype)
        return self.make("cast", narrow, where=node.where, dtype=node.dtype)

    def keep(self, after: Mapping[str, Node]) -> list[tuple[str, Node]]:
        """Return the outputs with the next values of kept states: pairs of a label and a node.

        ``after`` maps the names of placeholders to their next values, as declared nodes.
        """
        outputs: list[tuple[str, Node]] = []
        for name, declared in after.items():
            before, label, where = self.kept_inputs.get(name), kept_label(name), declared.where
            if before is None:
                raise GraphError(
                    f"no output depends on {name}, so it can't be a kept state; remove it from states=", where
                )
            if label in self.labels.values():
                text = f"a placeholder can't be named {label!r}, because the state {name} has this name; rename it"
                raise ArgumentError(text, where)
            node = self.nodes.in_type_of(self.new[declared], before, f"the next value of {name}", where)
            default = next(
                (item.get("default") for item, placeholder in self.labels.items() if placeholder == name), None
            )
            first = self.make("constant", value=np.zeros((), before.dtype) if default is None else default)
            self.initials.append((label, self.make("broadcast", first, shape=before.shape, where=where)))
            outputs.append((label, node))
        if after:
            nest = {name: kept_label(name) for name in after}
            self.states.append(nest)
            self.named.append(nest)
        return outputs

    def _sample_noise(self, node: Node, x: Node) -> Node:
        """Return the uniform random numbers by which ``rg.sample`` of logits ``x`` chooses, outside of a cell's step.

        A value [rows, steps, …] gets the noise of each step, and a value [rows, units] the noise of the last step.
        """
        site, salt, rank = self.names.scopes[node["scope"]], node["salt"], x.tensor.rank
        if rank == 1:
            zero = self.random.constant(0)
            return self.random.sampled(x, x.shape, site, salt, zero, zero, node.where)
        number = self.nodes.with_size(self.random.numbers(x.shape[0]), 0, x.shape[0], node.where)
        if rank == 2:
            number = self.make("reshape", number, shape=(x.shape[0], 1))
            return self.random.sampled(x, x.shape, site, salt, self._last_step(x), number, node.where)
        number = self.make("reshape", number, shape=(x.shape[0], 1, 1))
        steps = self.make("reshape", self.make("iota", size=x.shape[1], runs=True), shape=(x.shape[1], 1))
        shape = (*x.shape[:2], units_of(x, 2))
        return self.random.sampled(x, shape, site, salt, steps, number, node.where)

    def _last_step(self, x: Node) -> Node:
        """Return the index of the last step of the last recurrence of symbolic length on which a value depends.

        Without such a recurrence, the steps are calls.
        """
        lengths = [item["length"] for item in topological([x]) if item.op == "scan"]
        steps = next((dim for dim in reversed(lengths) if not isinstance(dim, int)), 1)
        return self.make("sub", self.make("dimension", size=steps, runs=True), self.random.constant(1))

    def _drawn(self, node: Node, operands: Sequence[Node]) -> Node:
        """Return a dropout or noise op outside of a cell's step. Steps of [rows, steps, …] draw their own numbers."""
        x = operands[0]
        shape = (
            x.shape if x.tensor.rank == 2 else (1, *x.shape) if x.tensor.rank == 1 else (*x.shape[:2], units_of(x, 2))
        )
        seed, step, row = self.random.seed, self.random.constant(-1), self.random.rows(shape[0], x)
        if len(shape) == 3:
            row = self.make("reshape", row, shape=(shape[0], 1, 1))
            step = self.make("reshape", self.random.steps(shape[1]), shape=(shape[1], 1))
        site = self.names.scopes[node["scope"]]
        if node.op == "dropout":
            drawn = self.random.dropout_mask(site, node["salt"], operands[1], step, row, shape)
            self.random.masks[site] = self.make("reshape", drawn, shape=x.shape)
        return self.random.draw(node, operands, shape, site, seed, step, row)
