"""lower: the declaration becomes one graph. Names and sizes are settled, drivers become scans.

Law: every op keeps its meaning; a driver becomes a scan over time-major sequences with the whole cell,
however nested, as its body. Dropout stays a node of its own, now with its seed, step and row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.drivers import Driver
from ...declare.nest import flatten, pack, paths
from ...declare.parameters import Slot
from ...declare.placeholders import RESERVED, placeholder_names
from ...declare.state import named, public
from ...errors import ArgumentError, GraphError, ShapeError, Where
from ...ir.graph import Graph, Namer, Node, make, topological, with_sizes
from ...ir.source import assigned_names
from ...ir.types import Dim, SizeTable, TensorType, dim_text, size, substitute, symbols_of
from ..split import converted
from .lowered import GIVEN, INNER, TAP, Lowered
from .names import Names, settle
from .scan_body import Body, units_of


def lower(
    outputs: Iterable[tuple[str, Node]],
    known: Mapping[Slot, str],
    states: str = INNER,
    placeholders: Mapping[Node, str] | None = None,
    taps: Mapping[Node, str] | None = None,
    moved: bool = False,
) -> Lowered:
    """outputs: (path, declared node). known: names that slots have from an earlier compile.

    placeholders: their names, where an earlier lowering of more of the declaration has settled them.
    states: ``SHOWN``: every driver also gives its final state as outputs ``state/<driver>/<leaf>``; ``GIVEN``: it
    also starts from inputs of these names, the graph of a stream. A driver whose initial state another driver
    gives keeps that one, and its states stay inside.
    taps: names of those that the graph gives beside the outputs, as ``tap:<name>``; others are what they tap.
    moved: instead, an input ``tap:<name>`` is added to each of them, so that its gradient is the tap's.
    """
    outputs = list(outputs)
    order = topological(node for _, node in outputs)
    names = settle(order, known)
    labels = placeholder_names(order) | dict(placeholders or {})
    state = Lowering(names, labels, assigned_names(order), states, taps or {}, moved)
    for node in order:
        state.lower(node)
    lowered = [(path, state.new[node]) for path, node in outputs] + state.finals
    lowered += [(f"{TAP}{name}", state.tapped[name]) for name in (taps or {}).values() if not moved]
    masks = [(site, state.masks[site]) for site in _sites(order, names) if site in state.masks]
    sizes, inputs = state.final_sizes(), state.inputs()
    graph = with_sizes(Graph.of("declared", lowered, inputs), sizes)
    mask_graph = with_sizes(Graph.of("masks", masks, inputs if masks else []), sizes)
    initial = with_sizes(Graph.of("initial", state.initials, inputs), sizes)
    defaults = {name: node["default"] for node, name in labels.items() if node.get("default") is not None}
    return Lowered(
        graph,
        mask_graph,
        names.slots,
        initial,
        tuple(state.states),
        tuple(state.named),
        labels,
        defaults,
        frozenset(state.keep_probs),
    )


def _sites(order: Sequence[Node], names: Names) -> list[str]:
    """Dropout sites in the order of declaration."""
    drivers = [node["driver"] for node in order if node.op == "driver"]
    sites = [(d.serial, f"{names.scopes[d.scope]}/{site}") for d in drivers for site in d.sites]
    scopes = [scope for driver in drivers for scope in driver.scopes]
    scopes += [node["scope"] for node in order if node.op == "dropout"]
    sites += [(scope.serial, names.scopes[scope]) for scope in scopes]
    return [site for _, site in sorted(sites, key=lambda site: site[0])]


class Lowering:
    """A declaration on its way to a graph."""

    def __init__(
        self, names: Names, labels: Mapping[Node, str], assigned: Mapping[Node, str], show: str,
        taps: Mapping[Node, str], moved: bool,
    ) -> None:  # fmt: skip
        self.names = names
        self.labels = labels
        self.assigned = assigned
        self.show = show
        self.taps, self.moved = taps, moved
        self.tapped: dict[str, Node] = {}
        self.keep_probs: set[str] = set()
        self.finals: list[tuple[str, Node]] = []
        self.initials: list[tuple[str, Node]] = []
        self.states: list[Any] = []
        self.named: list[Any] = []
        self.sizes = SizeTable()
        self.unequal: list[tuple[Dim, Dim]] = []  # sizes that met in an op and that only a call can tell
        self.assumed: list[tuple[Dim, Dim, Where | None]] = []
        self.new: dict[Node, Node] = {}
        self.placeholders: list[Node] = []
        self.parameters: dict[Slot, Node] = {}
        self.extra: dict[str, Node] = {}
        self.masks: dict[str, Node] = {}
        self.roles: dict[str, str] = {}

    def make(self, op: str, *operands: Node, where: Where | None = None, name: str = "", **attributes: Any) -> Node:
        self.unequal = []
        try:
            node = make(op, *operands, where=where, name=name, meet=self.meet, **attributes)
        except (ValueError, TypeError) as error:
            given = " and ".join(str(item.type) for item in operands)
            raise ShapeError(f"{op} of {given}: {error}", where) from None
        if not self.unequal:
            return node
        have, want = self.unequal[0]
        self.assumed.append((have, want, where))
        ensured = self._ensured(op, operands, attributes, have, want, where)
        return self.make(op, *ensured, where=where, name=name, **attributes)

    def meet(self, a: Dim, b: Dim) -> Dim:
        """What two sizes become; such as can't be solved ahead are compared at each call."""
        try:
            return self.sizes.meet(a, b)
        except ValueError:
            if not self.sizes.may_meet(a, b):
                raise
            self.unequal.append((self.sizes.resolve(a), self.sizes.resolve(b)))
            return a

    def _ensured(
        self, op: str, operands: Sequence[Node], attributes: Mapping[str, Any], have: Dim, want: Dim,
        where: Where | None,
    ) -> list[Node]:  # fmt: skip
        """The operands of an op in which two sizes met, with the one in place of the other."""
        first = operands[0]
        if op == "reshape":  # in which numbers of elements meet
            flat = self.make("reshape", first, where=where, shape=(have,))
            return [self.make("ensure_shape", flat, where=where, shape=(want,))]
        if op == "broadcast":
            pairs = zip(first.shape, attributes["shape"][-first.tensor.rank :], strict=True)
            return [self.ensure(first, [1 if dim == 1 else wide for dim, wide in pairs], where)]
        if self._rather_stays(have) > self._rather_stays(want):
            have, want = want, have
        shapes = ([want if self.sizes.resolve(dim) == have else dim for dim in item.shape] for item in operands)
        return [self.ensure(item, shape, where) for item, shape in zip(operands, shapes, strict=True)]

    def ensure(self, node: Node, shape: Sequence[Dim], where: Where | None) -> Node:
        """``node`` in a shape of sizes that a call finds equal to its own."""
        return node if node.shape == tuple(shape) else self.make("ensure_shape", node, where=where, shape=tuple(shape))

    def _rather_stays(self, dim: Dim) -> int:
        """Of sizes that are equal at a call a number is what the others become, and else what a driver has."""
        symbols = symbols_of(dim)
        return 2 if not symbols else int(all(self.roles.get(symbol, "").isupper() for symbol in symbols))

    def lower(self, node: Node) -> None:
        match node.op:
            case "input":
                self._placeholder(node)
            case "parameter":
                self.new[node] = self._parameter(node)
            case "driver":
                self.new[node] = self._driver(node)
            case "dropout" | "noise":
                self.new[node] = self._drawn(node, [self.new[operand] for operand in node.operands])
            case "tap":
                self.new[node] = self._tap(node, self.new[node.operands[0]])
            case _:
                operands = [self.new[operand] for operand in node.operands]
                name = node.name or self.assigned.get(node, "")
                self.new[node] = self.make(node.op, *operands, where=node.where, name=name, **dict(node.attributes))

    def _placeholder(self, node: Node) -> None:
        if node.get("body"):
            raise GraphError(
                "a Tensor made inside a cell's step is used outside it; return it as output or state", node.where
            )
        label = self.labels[node]
        if label in RESERVED:
            raise ArgumentError(f"a placeholder can't be named {label}; the name is reserved", node.where)
        if any(other["label"] == label for other in self.placeholders):
            raise ArgumentError(f"two placeholders are named {label!r}; rename one", node.where)
        new = self.make("input", where=node.where, name=label.replace(".", "_"), label=label, type=node.tensor)
        for axis, dim in enumerate(node.tensor.shape):
            for symbol in symbols_of(dim):
                self.roles.setdefault(symbol, f"{new.name}_{axis}")
        self.placeholders.append(new)
        self.new[node] = new

    def inputs(self) -> list[Node]:
        """The placeholders as they were met, but those of one state, ``state0.c`` and ``state0.h``, among themselves in
        the order of declaration: a state that is fed as a plain tuple is matched by it.
        """
        serials = {self.new[node]: node["serial"] for node in self.labels if node in self.new}
        states: dict[str, list[Node]] = {}
        for node in self.placeholders:
            if node in serials and "." in node["label"]:
                states.setdefault(node["label"].partition(".")[0], []).append(node)
        moved: dict[Node, Node] = {}
        for nodes in states.values():
            moved.update(zip(nodes, sorted(nodes, key=serials.__getitem__), strict=True))
        return [moved.get(node, node) for node in self.placeholders]

    def _parameter(self, node: Node) -> Node:
        slot: Slot = node["slot"]
        if slot not in self.parameters:
            label = self.names.slots.get(slot)
            if label is None:
                raise GraphError(
                    f"parameter {node['label']} was asked of a Scope after its driver was declared; ask for it in the "
                    "cell's step, or use rg.parameter",
                    node.where,
                )
            self.parameters[slot] = self.make("parameter", where=node.where, label=label, type=slot.type)
        return self.parameters[slot]

    def extra_input(self, label: str) -> Node:
        """seed, first_row and first_step: what the caller gives beside the placeholders."""
        if label not in self.extra:
            self.extra[label] = self.make("input", label=label, name=label, type=TensorType("int64", ()))
        return self.extra[label]

    def _tap(self, node: Node, value: Node) -> Node:
        name = self.taps.get(node)
        if name is None:
            return value
        if not self.moved:
            self.tapped[name] = value
            return value
        return self.make("add", value, self.moved_by(node, value.tensor), where=node.where)

    def moved_by(self, node: Node, kind: TensorType) -> Node:
        """The input that is added to a tap."""
        label = TAP + self.taps[node]
        self.placeholders.append(self.make("input", label=label, name=self.taps[node], where=node.where, type=kind))
        return self.placeholders[-1]

    def _driver(self, node: Node) -> Node:
        driver: Driver = node["driver"]
        operands = [self.new[operand] for operand in node.operands]
        sequences, rest = operands[: len(driver.sequences)], operands[len(driver.sequences) :]
        lengths = rest.pop(0) if driver.lengths else None
        initial, captured = rest[: len(driver.states)], rest[len(driver.states) :]
        time, batch = driver.length, sequences[0].shape[1] if sequences else initial[0].shape[0]
        for dim, role in ((time, "T"), (batch, "B")):
            for symbol in symbols_of(self.sizes.resolve(dim)):
                if not self.roles.get(symbol, "").isupper():
                    self.roles[symbol] = role
        labels: list[str] = []
        structure = public(driver.cell)
        own = len(flatten(structure))
        if self.show != INNER and not any(item.op == "scan" for item in topological(initial[:own])):
            labels = [f"state/{len(self.states)}/{path or number}" for number, (path, _) in enumerate(paths(structure))]
            self.states.append(pack(structure, labels))
            self.named.append(pack(named(driver.cell), labels))
            self.initials += zip(labels, initial[:own], strict=True)
        if labels and self.show == GIVEN:
            given = [
                self.make(
                    "input",
                    where=node.where,
                    label=label,
                    type=TensorType(item.dtype, (batch, item.shape[-1])),
                )
                for label, item in zip(labels, initial[:own], strict=True)
            ]
            self.placeholders += given
            initial = [*given, *initial[own:]]
        body = Body(self, driver, time, batch, where=node.where)
        scan = body.scan(sequences, lengths, initial, captured, node.name)
        self.finals += [(label, self.make("get", scan, index=index)) for index, label in enumerate(labels)]
        return scan

    def _drawn(self, node: Node, operands: Sequence[Node]) -> Node:
        """What is drawn outside of cells: of an array [rows, steps, …] for each step, of [rows, units] once."""
        x = operands[0]
        shape = (
            x.shape if x.tensor.rank == 2 else (1, *x.shape) if x.tensor.rank == 1 else (*x.shape[:2], units_of(x, 2))
        )
        seed, step, row = self.extra_input("seed"), self.constant(-1), self.rows(shape[0], x)
        if len(shape) == 3:
            row = self.make("reshape", row, shape=(shape[0], 1, 1))
            step = self.make("reshape", self.steps(shape[1]), shape=(shape[1], 1))
        site = self.names.scopes[node["scope"]]
        if node.op == "dropout":
            drawn = self.kept(site, node["salt"], operands[1], step, row, shape)
            self.masks[site] = self.make("reshape", drawn, shape=x.shape)
        return self.draw(node, operands, shape, site, seed, step, row)

    def draw(
        self, node: Node, operands: Sequence[Node], shape: Sequence[Dim], site: str, seed: Node, step: Node, row: Node
    ) -> Node:
        """A node that draws, at its site: numbers in ``shape``, then in the shape of what they are drawn for."""
        x, salt, where = operands[0], node["salt"], node.where
        if node.op == "dropout":
            flat = x if x.shape == tuple(shape) else self.make("reshape", x, shape=tuple(shape))
            drawn = self.make("dropout", flat, operands[1], seed, step, row, where=where, site=site, salt=salt)
        else:
            key = self.make("random_key", seed, step, row, where=where, site=site, salt=salt)
            drawn = self.make("random_uniform", key, self.make("iota", size=shape[-1]), where=where)
            drawn = drawn if x.dtype == drawn.dtype else self.make("cast", drawn, dtype=x.dtype)
        return drawn if drawn.shape == x.shape else self.make("reshape", drawn, shape=x.shape)

    def kept(self, site: str, salt: int, keep: Node, step: Node, row: Node, shape: Sequence[Dim]) -> Node:
        """The mask of a site, in float32, and what keep_prob it reads."""
        source = keep.operands[0] if keep.op == "cast" else keep
        if source.op == "input":
            self.keep_probs.add(str(source["label"]))
        key = self.make("random_key", self.extra_input("seed"), step, row, site=site, salt=salt)
        uniform = self.make("random_uniform", key, self.make("iota", size=shape[-1]))
        kept = self.make("less", uniform, converted(keep, uniform.dtype))
        return self.make("broadcast", self.make("cast", kept, dtype="float32"), shape=tuple(shape))

    def constant(self, value: int) -> Node:
        return self.make("constant", value=np.asarray(value, np.int64))

    def rows(self, count: Dim, x: Node | None = None) -> Node:
        """Numbers of rows [count, 1]. x: what they are of; parameters' are the same in any part of a call."""
        index = self.make("reshape", self.make("iota", size=count), shape=(count, 1))
        if x is not None and not any(node.op == "input" for node in topological([x])):
            return index
        return self.make("add", index, self.extra_input("first_row"))

    def steps(self, time: Dim) -> Node:
        return self.make("add", self.make("iota", size=time), self.extra_input("first_step"))

    def final_sizes(self) -> dict[str, Dim]:
        """Every declared size as what it became; open sizes that stay get names that read well."""
        table = self.sizes
        table.meet_all([(have, want) for have, want, _ in self.assumed])  # some are solved by what met later
        fed = {name for node in self.placeholders for dim in node.shape for name in symbols_of(table.resolve(dim))}
        for have, want, where in self.assumed:
            have, want = table.resolve(have), table.resolve(want)
            if have != want and (unknown := (symbols_of(have) | symbols_of(want)) - fed):
                raise ShapeError(
                    f"size {dim_text(have)} meets size {dim_text(want)}, and no placeholder has the size "
                    f"{', '.join(sorted(unknown))}",
                    where,
                )
        symbols = dict.fromkeys([*self.roles, *table.known])
        final = {symbol: table.resolve(size(symbol)) for symbol in symbols}
        free = dict.fromkeys(name for dim in final.values() for name in sorted(symbols_of(dim)))
        namer = Namer({name for name in free if not name.startswith("_")})
        wanted = dict(self.roles)
        for symbol, dim in final.items():  # a role holds for whatever the size became
            for name in symbols_of(dim):
                if symbol in self.roles and not wanted.get(name, "").isupper():
                    wanted[name] = self.roles[symbol]
        shown = {name: size(namer(wanted.get(name, "N"))) for name in free if name.startswith("_")}
        return {symbol: substitute(dim, shown) for symbol, dim in final.items()}
