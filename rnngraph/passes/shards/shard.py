"""shard: build the graph of one shard of a batch, whose losses and gradients are summed over all shards.

A mean divides by a sum over all rows, such as the number of steps. Such sums, as divisors of a loss or operands of its
maxima, become inputs, the totals. Totals must depend on feeds alone, and are summed over all shards before the graph
runs. Terms that depend on no row, such as a penalty of weights, count in the first shard only.

Law: if each shard of a batch is fed the totals, the sums over the shards of ``loss`` and of ``Partial`` outputs equal
the values of the whole graph up to rounding. Rows of other outputs equal those of the whole graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

import numpy as np

from ...ir.axes.by_size import counts
from ...ir.axes.walk import linear_in
from ...ir.graph import Graph, Node, make, remake
from ...ir.types import Dim, Size, TensorType
from ...support.errors import GraphError
from ...support.records import dataclass
from .kinds import Kind, Partial, Replicated, RowIndices, Sharded, factors_of, kind_of, scan_kinds

TOTAL, FIRST = "total/", "first_shard"


@dataclass(frozen=True)
class ShardGraph:
    """Graph of a shard, with the totals that it reads.

    Attributes:
        graph: The graph.
        totals: Graph of a shard's terms of the totals, as outputs ``total/<n>``. Their sums over all shards are fed to
            ``graph``, and to this graph for later totals.
        kinds: Kinds of the outputs, by name.
    """

    graph: Graph
    totals: Graph
    kinds: Mapping[str, Kind]


def shard(graph: Graph, rows: frozenset[str]) -> ShardGraph:
    """Return the graph of a shard. ``rows`` are the names of the sizes that count the batch's rows.

    Raises:
        GraphError: The loss mixes rows other than by sums whose factors depend on feeds alone.
    """
    return _Sharding(rows).of(graph)


@dataclass
class _Sharding:
    """Builder of the graph of a shard.

    Attributes:
        rows: Names of the sizes that count the batch's rows.
        new: The shard's value of each node.
        kinds: Kind of each node.
        scans: Kinds of the results of each scan.
        totals: Input with the total of each partial sum, by the shard's partial sum.
        depends_on_feeds: True for values that depend on feeds alone.
        first: Input that is True in the first shard; None if nothing reads it.
    """

    rows: frozenset[str]
    new: dict[Node, Node] = field(default_factory=dict)
    kinds: dict[Node, Kind] = field(default_factory=dict)
    scans: dict[Node, list[Kind]] = field(default_factory=dict)
    totals: dict[Node, Node] = field(default_factory=dict)
    depends_on_feeds: dict[Node, bool] = field(default_factory=dict)
    first: Node | None = None

    def of(self, graph: Graph) -> ShardGraph:
        """Return the graph of a shard, the graph of its terms of sums over all shards, and the kinds of its outputs."""
        for node in graph.nodes:
            self._visit(node)
        outputs = [(name, self._output(name, node)) for name, node in graph.outputs]
        kinds = {name: self.kinds[node] for name, node in graph.outputs}
        fed = [self.new[node] for node in graph.inputs if node.op == "input"]  # totals may read the size of any feed
        sharded = Graph.of(graph.name, outputs, [self.new[node] for node in graph.inputs], graph.comments)
        totals = [(str(self.totals[node]["label"]), node) for node in self.totals]
        return ShardGraph(sharded, Graph.of("totals", totals, fed), kinds)

    def _output(self, name: str, node: Node) -> Node:
        """Return an output of a shard. A loss that depends on no row counts in the first shard only."""
        kind, value = self.kinds[node], self.new[node]
        if name != "loss" or isinstance(kind, Partial):
            return value
        self.kinds[node] = Partial()
        return self._in_first_shard(value)

    def _visit(self, node: Node) -> None:
        """Record a value's node in the graph of a shard, and its kind: sharded, replicated or partial sum."""
        if node.op in ("input", "parameter"):
            self._record(node, node, self._input_kind(node))
            return
        if node.op == "with_update":
            raise GraphError(
                "a value that steps update, such as the averages of batch normalization, depends on all rows of a "
                "batch, which can't be computed in shards; train without shards",
                node.where,
            )
        if node.op == "by_graph":
            self._record(node, self.new[node.operands[0]], self.kinds[node.operands[0]])
            return
        if node.op == "get":
            scan = node.operands[0]
            self._record(node, remake(node, [self.new[scan]]), self.scans[scan][node["index"]])
            return
        kinds = [self.kinds[item] for item in node.operands]
        if any(isinstance(kind, Partial) for kind in kinds):
            linear = self._linear(node, kinds)
            if linear is not None:
                self._record(node, linear, Partial())
                return
            kinds = [Replicated() if isinstance(kind, Partial) else kind for kind in kinds]
            operands = [self._total(item) for item in node.operands]
        else:
            operands = [self.new[item] for item in node.operands]
        if node.op == "scan":
            self.scans[node] = scan_kinds(node, kinds, self.rows)
            self._record(node, remake(node, operands), Replicated())
            return
        kind = kind_of(node, kinds, self.rows)
        if isinstance(kind, Sharded) and any(isinstance(item, RowIndices) for item in kinds):
            operands = self._with_first_row(node, operands)
        self._record(node, remake(node, operands), kind)

    def _record(self, node: Node, new: Node, kind: Kind) -> None:
        self.new[node], self.kinds[node] = new, kind

    def _input_kind(self, node: Node) -> Kind:
        """Return the kind of an input. Raise ``GraphError`` if it has several row axes, or rows merged with others."""
        axes = [axis for axis, dim in enumerate(node.shape) if counts(dim, self.rows)]
        if not axes:
            return Replicated()
        dim = node.shape[axes[0]]
        if len(axes) > 1 or not isinstance(dim, Size) or dim.symbol not in self.rows:
            text = (
                f"{node.name} has rows of a batch on several axes, and can't be split into shards; train without shards"
            )
            raise GraphError(text, node.where)
        return Sharded(axes[0], (dim,))

    # Numbers of rows ------------------------------------------------------------------------------

    def _with_first_row(self, node: Node, operands: Sequence[Node]) -> list[Node]:
        """Return the operands of an addition of the shard's first row to row indices, with this row's actual index."""
        numbers, first = operands
        (kind,) = (self.kinds[item] for item in node.operands if isinstance(self.kinds[item], RowIndices))
        assert isinstance(kind, RowIndices)
        factors = factors_of(kind.size, self.rows)
        if len(factors) > 1:
            first = make("mul", first, _dimension(factors[1]), where=node.where)
        return [numbers, first]

    # Sums over rows -------------------------------------------------------------------------------

    def _linear(self, node: Node, kinds: Sequence[Kind]) -> Node | None:
        """Return ``node`` applied to partial sums; None if it is not linear in them, so that it must read totals.

        A product is linear in one factor at a time, and the other factors become totals. If a factor depends on
        parameters, which totals may not, it stays a partial sum.
        """
        if any(isinstance(kind, Sharded | RowIndices) for kind in kinds) or node.op == "scan":
            return None
        if any(counts(dim, self.rows) for dim in node.shape):
            return None
        summed = [number for number, kind in enumerate(kinds) if isinstance(kind, Partial)]
        groups = [group for group in linear_in(node) if not group.isdisjoint(summed)]
        if not groups or (node.op == "select" and all(map(self._is_fed, (node.operands[item] for item in summed)))):
            return None
        learned_groups = [
            group for group in groups if not all(self._is_fed(node.operands[n]) for n in group & {*summed})
        ]
        linear_operands = next(iter(learned_groups or groups))
        parts = [
            self._share_of_sum(item) if number in linear_operands else self._total(item)
            for number, item in enumerate(node.operands)
        ]
        return remake(node, parts)

    def _is_fed(self, node: Node) -> bool:
        """True if a value depends on feeds alone."""
        return self._depends_on_feeds(self.new[node])

    def _share_of_sum(self, node: Node) -> Node:
        """Return a shard's term of a sum over shards. Replicated values count in the first shard only."""
        return self.new[node] if isinstance(self.kinds[node], Partial) else self._in_first_shard(self.new[node])

    def _in_first_shard(self, value: Node) -> Node:
        """Return a value in the first shard, and 0 in the others."""
        if self.first is None:
            self.first = make("input", label=FIRST, name=FIRST, type=TensorType("bool", ()))
        zero = make("constant", value=np.zeros((), value.dtype))
        return make("select", self.first, value, zero, where=value.where)

    def _total(self, node: Node) -> Node:
        """Return a value for the whole batch. A sum over rows becomes an input, fed with the sum over all shards."""
        value = self.new[node]
        if not isinstance(self.kinds[node], Partial):
            return value
        if value not in self.totals:
            if not self._depends_on_feeds(value):
                raise GraphError(
                    f"{value.op} over all rows of a batch depends on parameters, and the loss is not linear in it; "
                    "with shards a loss must be a sum over rows, divided by values that depend on feeds alone",
                    value.where,
                )
            label = f"{TOTAL}{len(self.totals)}"
            self.totals[value] = make("input", label=label, name=label.replace("/", "_"), type=value.type)
        return self.totals[value]

    def _depends_on_feeds(self, root: Node) -> bool:
        """True if a value depends on feeds alone."""
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.depends_on_feeds:
                stack.pop()
                continue
            missing = [item for item in node.operands if item not in self.depends_on_feeds]
            if missing:
                stack += missing
                continue
            stack.pop()
            is_feed = node.op != "parameter" and not (node.op == "input" and node["label"] == "seed")
            self.depends_on_feeds[node] = is_feed and all(self.depends_on_feeds[item] for item in node.operands)
        return self.depends_on_feeds[root]


def _dimension(size: Dim) -> Node:
    """Return a size as an int64 node."""
    if isinstance(size, int):
        return make("constant", value=np.asarray(size, np.int64))
    return make("dimension", size=size)
