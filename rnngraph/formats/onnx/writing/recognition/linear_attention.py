"""Separates recurrences that are ONNX's LinearAttention into scans with the operator's inputs.

Other computations of a step move out of the loop, or to other loops, as in loop fission.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from .....ir.graph import Graph, Node, make, remake, rewrite, topological
from .....ir.scan import Binding, Carry, ScanParts
from .....ir.types import Dim
from .....passes.affine.recurrences import ChunkPlan, Recurrence, recurrences_of
from .....passes.affine.views import gathered, shaped, spread, transposed
from .....passes.loops.lifting import Lifted, lift, over_time
from .....passes.loops.pieces import ScanPieces
from .....passes.simplify import Simplify
from .linear_terms import LinearTerms, linear_terms
from .patterns import in_order


@dataclass(frozen=True, eq=False)
class LinearAttention:
    """LinearAttention operator that a scan computes.

    Attributes:
        body: Body of the scan, by which the scan is found again after passes.
        rule: ``update_rule`` of the operator. The rule determines the inputs after q, k, v: decays, rates.
        heads: Number of heads.
    """

    body: Graph
    rule: str
    heads: int


def with_linear_attention(graph: Graph) -> tuple[Graph, list[LinearAttention]]:
    """Return the graph with each linear-attention recurrence as a separate scan, and the operators of these scans."""
    pieces: dict[Node, _Pieces] = {}
    operators: list[LinearAttention] = []

    def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
        if node.op == "scan":
            scan = remake(node, operands)
            known = [(item, terms) for item in recurrences_of(scan) if (terms := linear_terms(item)) is not None]
            if not known:
                return None
            pieces[node] = _Pieces(scan, known, operators)
            return scan  # unused once every ``get`` that reads it is replaced
        if node.op == "get" and node.operands[0] in pieces:
            return pieces[node.operands[0]].result(node["index"], node)
        return None

    separated = rewrite(graph, rule)
    return (Simplify()(separated) if operators else graph), operators


class _Pieces(ScanPieces):
    """Fission of a scan in which each recurrence that LinearAttention computes becomes a separate scan."""

    def __init__(
        self, scan: Node, known: Sequence[tuple[Recurrence, LinearTerms]], operators: list[LinearAttention]
    ) -> None:
        super().__init__(scan)
        for recurrence, terms in known:
            assert recurrence.plan is not None
            self.replace_loop(recurrence.carry, _Loop(self, recurrence, recurrence.plan, terms, operators))


class _Loop:
    """Separate scan of one recurrence, which is built when its results are first read.

    Attributes:
        members: Values of the body that read the state.
    """

    def __init__(
        self,
        pieces: ScanPieces,
        recurrence: Recurrence,
        plan: ChunkPlan,
        terms: LinearTerms,
        operators: list[LinearAttention],
    ) -> None:
        self.pieces, self.plan, self.terms, self.operators = pieces, plan, terms, operators
        self.carry, self.scan = recurrence.carry, recurrence.scan
        self.members = [self.carry, terms.readout[0]]
        self.axes = plan.forms.axes
        self.inputs = self._inputs()
        self._built: tuple[Node, Node] | None = None

    def needed(self) -> Sequence[Node]:
        """Return the values of the original body on which the scan's inputs depend; none once the scan is built."""
        return () if self._built is not None else self._sources(self.inputs.values())

    def final(self, carry: Node, like: Node) -> Node:
        """Return the state after the last step."""
        return self._results()[0]

    def emitted(self, node: Node) -> Node:
        """Return the readout's values at all steps. ``node`` is the readout in the original body."""
        return self._results()[1]

    # Inputs --------------------------------------------------------------------------------------

    def _inputs(self) -> dict[str, Node]:
        """Return the operator's inputs at a step, each [rows, width], by name, as nodes of the original body."""
        plan, terms = self.plan, self.terms
        inputs = {
            "q": self._laid_out(terms.query, plan.keys),
            "k": self._laid_out(terms.key, plan.keys),
            "v": self._laid_out(terms.value, plan.values),
        }
        if terms.decay is not None:
            inputs["g"] = self._laid_out(terms.decay, plan.keys, may_be_one=True)
        if terms.rate is not None:
            inputs["b"] = self._laid_out(terms.rate, ())
        return inputs

    def _laid_out(self, value: Node, along: Sequence[int], may_be_one: bool = False) -> Node:
        """Reshape a value to [rows, heads * size of the axes ``along``]. It is 0 at steps that keep the state."""
        rank, plan = len(self.axes), self.plan
        if not value.tensor.rank:
            value = shaped(value, (1,) * rank)
        if plan.updates is not None:
            zero = make("constant", value=np.zeros((), value.dtype))
            value = make("select", spread(plan.updates, plan.forms.view, self.axes), value, zero, where=value.where)
        if may_be_one and all(value.shape[axis] == 1 for axis in along):
            along = ()
        axes = (*plan.batch, *along)
        full = tuple(size if axis in axes else 1 for axis, size in enumerate(self.axes))
        if value.shape != full:
            value = make("broadcast", value, where=value.where, shape=full)
        others = [axis for axis in range(rank) if axis not in axes]
        separated = in_order(transposed(value, (*axes, *others)))
        shape = self.axes[plan.batch[0]], self._size(axes[1:])
        return make("reshape", separated, where=value.where, name=value.name, shape=shape)

    def _size(self, axes: Iterable[int]) -> int:
        return prod(int(str(self.axes[axis])) for axis in axes)

    def _sources(self, roots: Iterable[Node]) -> list[Node]:
        """Return the values outside of the recurrence on which ``roots`` depend, in the original body."""
        body, sources, visited, pending = set(self.pieces.body.nodes), dict[Node, None](), set[Node](), [*roots]
        while pending:
            node = pending.pop()
            if node in visited:
                continue
            visited.add(node)
            if node in body:
                sources[node] = None
            else:
                pending += node.operands
        return [*sources]

    def _over_steps(self, roots: Sequence[Node], values: dict[Node, Lifted]) -> list[Node]:
        """Return ``roots`` at all steps, as sequences. ``values`` has operands, each with True if it is a sequence."""
        length = self.pieces.length
        for node in topological(roots, known=values):
            operands = [values[item] for item in node.operands]
            if any(has_time for _, has_time in operands):
                lifted = lift(node, operands, length)
                assert lifted is not None, node.op
                values[node] = lifted, True
            else:
                values[node] = remake(node, [item for item, _ in operands]), False
        return [over_time(*values[root], length) for root in roots]

    # The scan ------------------------------------------------------------------------------------

    def _results(self) -> tuple[Node, Node]:
        if self._built is None:
            self._built = self._build()
        return self._built

    def _build(self) -> tuple[Node, Node]:
        """Build the scan. Return (state after the last step, readout at all steps), in the original body's shapes."""
        sources = self._sources(self.inputs.values())
        self.pieces.take_out(sources)
        values = {source: self.pieces.outside(source) for source in sources}
        sequences = self._over_steps([*self.inputs.values()], values)
        plan, where, name = self.plan, self.scan.where, self.scan.name
        heads, keys, width = (self._size(axes) for axes in (plan.batch[1:], plan.keys, plan.values))
        shape = self.axes[plan.batch[0]], heads, keys, width
        order = (*plan.batch, *plan.keys, *plan.values)
        initial = shaped(transposed(shaped(self.pieces.initial[self.carry], self.axes), order), shape)
        state = _param("S", initial, shape)
        params = {
            label: _param(label, sequence, sequence.shape[1:])
            for label, sequence in zip(self.inputs, sequences, strict=True)
        }
        following, output = _step(state, params, heads)
        bindings = [Binding(params[label], item) for label, item in zip(self.inputs, sequences, strict=True)]
        parts = ScanParts(
            [Carry(state, initial, "S", following)], bindings, [], [("y", output)], self.pieces.length, False
        )
        scan = parts.build(where, name)
        rule = "_".join(["gated"] * ("g" in params) + ["delta"] * ("b" in params)) or "linear"
        self.operators.append(LinearAttention(scan["body"], rule, heads))
        last = make("get", scan, where=where, name="S", index=0)
        separated = shaped(last, tuple(self.axes[axis] for axis in order))
        inverse = [order.index(axis) for axis in range(len(self.axes))]
        readout = make("get", scan, where=where, name="y", index=1)
        return shaped(transposed(separated, inverse), self.carry.shape), self._as_read(readout, heads, width)

    def _as_read(self, readout: Node, heads: int, width: int) -> Node:
        """Convert the operator's outputs [time, rows, heads · values] to the body's readout over all steps."""
        node, view = self.terms.readout
        plan = self.plan
        one = _param("y", readout, readout.shape[1:])
        axes = (*plan.batch, *plan.values)
        separated = shaped(one, tuple(self.axes[axis] for axis in axes))
        separated = transposed(separated, sorted(range(len(axes)), key=axes.__getitem__))
        whole = shaped(separated, tuple(1 if axis in plan.keys else size for axis, size in enumerate(self.axes)))
        result = shaped(in_order(gathered(whole, view, node.shape, self.axes)), node.shape)
        return self._over_steps([result], {one: (readout, True)})[0]


def _param(label: str, like: Node, shape: Sequence[Dim]) -> Node:
    return make("input", where=like.where, name=label, label=label, type=like.tensor.with_shape(tuple(shape)))


def _step(state: Node, inputs: dict[str, Node], heads: int) -> tuple[Node, Node]:
    """Return the next state [rows, heads, keys, values] and the output [rows, heads · values] of a step."""
    rows, _, _, values = state.shape

    def column(label: str) -> Node:
        item = inputs[label]
        return make("reshape", item, shape=(rows, heads, int(str(item.shape[1])) // heads, 1))

    def read(weights: Node, matrix: Node) -> Node:
        return make("reduce_sum", make("mul", weights, matrix), axes=(2,), keepdims=True)

    key, row = column("k"), make("reshape", inputs["v"], shape=(rows, heads, 1, values))
    if "g" in inputs:
        state = make("mul", make("exp", column("g")), state)
    if "b" in inputs:
        row = make("mul", column("b"), make("sub", row, read(key, state)))
    state = make("add", state, make("mul", key, row))
    return state, make("reshape", read(column("q"), state), shape=(rows, heads * int(str(values))))
