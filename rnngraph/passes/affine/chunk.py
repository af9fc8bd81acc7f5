"""chunk: run affine recurrences in chunks of steps by matrix products, with one state carried from chunk to chunk.

The outputs of a step depend on the state only through readouts. The readouts of all steps of a chunk are computed at
once, from the state before the chunk and the chunk's own updates. As in fission, the rest of a step moves out of the
loop, or stays in loops over single steps. If the chunk size does not divide the length, steps that do not change the
state fill the last chunk.

Law: values are equal up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np

from ...ir.build import sliced
from ...ir.graph import Graph, Node, make, remake, rewrite, topological
from ...ir.node import inverse_order
from ...ir.scan import Binding, Carry, ScanParts
from ...ir.sizes.polynomial import ceil_divide
from ...ir.types import Dim, product
from ...support.records import dataclass
from ..loops.lifting import Lifted, lift, over_time
from ..loops.pieces import ScanPieces
from ..states.vector_products import with_single_vectors
from .chunk_products import ChunkColumn, ChunkSteps, added, chunk_of, concat
from .chunking import Chunking
from .linear_forms import Linear, Probe
from .recurrences import ChunkPlan, Recurrence, recurrences_of
from .views import gathered, shaped, spans, spread, transposed


@dataclass(frozen=True)
class Chunk:
    """Run affine recurrences in chunks of steps by matrix products.

    Law: values are equal up to rounding.
    """

    chunking: Chunking
    name: str = "chunk"

    def __call__(self, graph: Graph) -> Graph:
        pieces: dict[Node, ChunkedPieces] = {}

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                scan = remake(node, operands)
                planned = [recurrence for recurrence in recurrences_of(scan) if recurrence.plan is not None]
                if not planned:
                    return None
                pieces[node] = ChunkedPieces(scan, planned, self.chunking)
                return scan  # unused once every ``get`` is replaced
            if node.op == "get" and node.operands[0] in pieces:
                return pieces[node.operands[0]].result(node["index"], node)
            return None

        return rewrite(with_single_vectors(graph), rule)


MAX_STEPS, MAX_PAIRED_STEPS = 32, 16
"""Maximum steps in a chunk, because the cost of products between its steps grows with the square of their number. The
smaller maximum applies if decays differ from key to key, or if rows depend on readouts, which makes products dearer.
"""


def steps_of(plan: ChunkPlan, max_steps: int) -> int:
    """Return the chunk size: the largest power of two that exceeds neither ``max_steps`` nor the plan's maximum."""
    along = frozenset(plan.keys)
    is_paired = plan.rank > 0 or any(spans(item) & along for factors in plan.decay for item in factors)
    return 1 << (min(max_steps, MAX_PAIRED_STEPS if is_paired else MAX_STEPS).bit_length() - 1)


class ChunkedPieces(ScanPieces):
    """Pieces of a scan, in which each recurrence that runs in chunks is a separate piece."""

    def __init__(self, scan: Node, planned: Sequence[Recurrence], chunking: Chunking) -> None:
        super().__init__(scan)
        for recurrence in planned:
            plan = recurrence.plan
            assert plan is not None
            self.replace_loop(recurrence.carry, ChunkLoop(self, recurrence, plan, chunking))


class ChunkLoop:
    """Loop over chunks that replaces a recurrence.

    Attributes:
        members: The carry, and the values of the body that read the state.
    """

    def __init__(self, pieces: ChunkedPieces, recurrence: Recurrence, plan: ChunkPlan, chunking: Chunking) -> None:
        self.pieces, self.plan, self.steps = pieces, plan, steps_of(plan, chunking.steps)
        self.factors = chunking.dtype
        self.carry, self.scan = recurrence.carry, recurrence.scan
        self.members = [self.carry, *plan.boundary]
        self.forms, self.dtype = plan.forms, self.carry.dtype
        self._sequences = _Sequences(plan, set(pieces.body.nodes))
        self._state: Node | None = None
        self._readouts: dict[Node, Node] = {}  # readouts over all steps, by value of the body

    # Interface of a piece of a scan -------------------------------------------------------------------------

    def needed(self) -> Sequence[Node]:
        """Return the values of the step that the loop over chunks reads; empty once the loop is built."""
        return () if self._state is not None else self._sequences.sources

    def final(self, carry: Node, like: Node) -> Node:
        """Return the state after the last step."""
        self._build()
        assert self._state is not None
        return self._state

    def emitted(self, node: Node) -> Node:
        """Return the values that ``node``, a value of the plan's boundary, has at all steps: [T, ...]."""
        self._build()
        return self._readouts[node]

    # The loop over chunks ------------------------------------------------------------------------

    def _build(self) -> None:
        """Build the loop over chunks, unless it is built already."""
        if self._state is not None:
            return
        self.pieces.take_out(self._sequences.sources)
        plan, length = self.plan, self.pieces.length
        count = ceil_divide(length, self.steps)
        initial = self._matrix(self.pieces.initial[self.carry])
        param = _param("state", initial)
        inputs = _ChunkInputs(self.steps)
        values: dict[Node, Lifted] = {}
        for source in self._sequences.sources:
            outer, has_time = self.pieces.outside(source)
            values[source] = inputs.add(source, self._in_chunks(outer, count) if has_time else outer, has_time)
        is_step = None
        if count * self.steps != length:
            is_step = inputs.add_sequence("is_step", _are_steps(count, self.steps, length, self.scan))
        readouts, state = chunk_of(self._sequences.chunk(values, is_step, self.steps), param, self.factors)
        for probe, value in zip(self._sequences.probes.values(), readouts, strict=True):
            values[probe] = _steps_first(value), True
        label = str(self.carry["label"])
        emits = [(node.name or node.op, self._sequences.emitted(node, values, self.steps)) for node in plan.boundary]
        scan = ScanParts(
            [Carry(param, initial, label, state)], inputs.sequences, inputs.invariants, emits, count, False
        ).build(self.scan.where, f"{self.scan.name}_chunks")
        self._state = self._as_carried(make("get", scan, where=self.scan.where, name=label, index=0))
        for number, node in enumerate(plan.boundary, 1):
            chunks = make("get", scan, where=node.where, name=node.name or "emit", index=number)
            self._readouts[node] = self._in_steps(chunks, count)

    def _in_chunks(self, whole: Node, count: Dim) -> Node:
        """Reshape a sequence [T, ...] to [chunks, C, ...], in the scan's direction. Ones fill the last chunk."""
        missing, shape = count * self.steps - whole.shape[0], whole.shape[1:]
        if self.scan["reverse"]:
            whole = make("reverse", whole, where=whole.where, axis=0)
        if missing != 0:
            filling = make("constant", value=np.ones((), whole.dtype))
            filling = make("broadcast", filling, where=whole.where, shape=(missing, *shape))
            whole = concat([whole, filling], -whole.tensor.rank)
        return shaped(whole, (count, self.steps, *shape))

    def _in_steps(self, chunks: Node, count: Dim) -> Node:
        """Reshape the results of chunks [chunks, C, ...] to [T, ...]."""
        length = self.pieces.length
        whole = shaped(chunks, (count * self.steps, *chunks.shape[2:]))
        if whole.shape[0] != length:
            whole = sliced(whole, 0, 0, length)
        return make("reverse", whole, where=whole.where, axis=0) if self.scan["reverse"] else whole

    # Layouts of the state and of readouts -----------------------------------------

    @property
    def _order(self) -> tuple[int, ...]:
        """Axes of the state in the order batch, keys, values."""
        return (*self.plan.batch, *self.plan.keys, *self.plan.values)

    def _matrix(self, state: Node) -> Node:
        """Return the state as [..., keys, values]."""
        axes, plan = self.forms.axes, self.plan
        separated = transposed(shaped(state, axes), self._order)
        lead = tuple(axes[axis] for axis in plan.batch)
        return shaped(separated, (*lead, _size(plan, plan.keys), _size(plan, plan.values)))

    def _as_carried(self, state: Node) -> Node:
        """Return a state [..., keys, values] in the shape that the scan carries."""
        axes, order = self.forms.axes, self._order
        separated = shaped(state, tuple(axes[axis] for axis in order))
        return shaped(transposed(separated, inverse_order(order)), self.carry.shape)


class _ChunkInputs:
    """Inputs of the body of a loop over chunks, except for the state."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.sequences: list[Binding] = []
        self.invariants: list[Binding] = []

    def add(self, source: Node, outer: Node, has_time: bool) -> Lifted:
        """Add an input to the body for a value that it reads. Constants without a time axis need none.

        Args:
            source: Value of the scan's step, which gives the input its label.
            outer: Values of ``source`` outside of the loop: [chunks, C, ...] if ``has_time``, else a single value.
            has_time: True if the value differs from step to step.

        Returns:
            The value within the body, and ``has_time``.
        """
        label = str(source.get("label", source.name or source.op))
        if has_time:
            return self.add_sequence(label, outer), True
        if outer.op == "constant":
            return outer, False
        param = _param(label, outer)
        self.invariants.append(Binding(param, outer))
        return param, False

    def add_sequence(self, label: str, chunks: Node) -> Node:
        """Add an input of the body for a sequence over chunks. Return the input, which is the value of one chunk."""
        param = _param(label, chunks, chunks.shape[1:])
        self.sequences.append(Binding(param, chunks))
        return param


def _are_steps(count: Dim, steps: int, length: Dim, scan: Node) -> Node:
    """Return a mask [chunks, C]: True for steps of the sequence, and False for those that fill the last chunk."""
    number = make("iota", where=scan.where, size=count * steps)
    return shaped(make("less", number, make("dimension", size=length), where=scan.where), (count, steps))


def _steps_first(node: Node) -> Node:
    """Move the steps of a readout [..., C, values] to the front: [C, ..., values]."""
    rank = node.tensor.rank
    return transposed(node, (rank - 2, *range(rank - 2), rank - 1))


MOVES = ("reshape", "transpose", "broadcast", "ensure_shape")
"""Ops that the loop over chunks repeats, because storing their results for all steps would cost memory."""


class _Sequences:
    """Values that a chunk of steps reads: decays, columns and weights of readouts.

    Attributes:
        filling: For each value that products read, a pair: the number that fills it in steps that do not change the
            state, and True for a row, whose last axis follows the axis of steps.
        sources: Values of the scan's step from which the loop over chunks computes decays, columns and weights.
    """

    def __init__(self, plan: ChunkPlan, body: Set[Node]) -> None:
        self.plan, self.forms = plan, plan.forms
        self.filling: dict[Node, tuple[float, bool]] = {}
        self.updates = None
        if plan.updates is not None:
            self.updates = spread(plan.updates, self.forms.view, self.forms.axes)
        self.decay = self._merge_axes(self._sum(plan.decay), plan.keys, 1.0, is_whole=False)
        self.weights = [self._row(self.forms.product(probe.weights), plan.keys) for probe in plan.readouts]
        self.columns = []
        for column in plan.columns:
            row = self._row(self._sum(column.free), plan.values) if column.free else None
            scales = {
                plan.readouts.index(probe): self._merge_axes(self._sum(terms), (), 0.0)
                for probe, terms in column.read.items()
            }
            self.columns.append(ChunkColumn(self._row(self.forms.product(column.keys), plan.keys), row, scales))
        lead = tuple(self.forms.axes[axis] for axis in plan.batch)
        shape = (*lead, _size(plan, plan.values))
        self.probes = {probe: _param("readout", self.forms.carry, shape) for probe in plan.readouts}
        self.readouts = {node: self._readout(node) for node in plan.boundary}
        self.sources = self._sources(body)

    def _sources(self, body: Set[Node]) -> list[Node]:
        """Return the step's values on which a chunk's values are built, looking through the ops in ``MOVES``."""
        sources: dict[Node, None] = {}
        visited: set[Node] = set()
        pending = [*self.filling, *self.readouts.values()]
        while pending:
            node = pending.pop()
            if node in visited or node in self.probes.values():
                continue
            visited.add(node)
            if node in body and node.op not in MOVES:
                sources[node] = None
            else:
                pending += node.operands
        return [*sources]

    def chunk(self, values: dict[Node, Lifted], is_step: Node | None, steps: int) -> ChunkSteps:
        """Return the decays, the update's columns and the readouts' weights for the steps of one chunk, as nodes.

        ``is_step`` [C] is False for steps that fill the last chunk; None if there are none.
        """
        self._lift(self.filling, values, steps)
        inside = {value: self._in_product_layout(value, values, is_step, steps) for value in self.filling}
        columns = [
            ChunkColumn(
                inside[column.keys],
                None if column.row is None else inside[column.row],
                {number: inside[scale] for number, scale in column.scales.items()},
            )
            for column in self.columns
        ]
        return ChunkSteps(steps, inside[self.decay], [inside[item] for item in self.weights], columns)

    def emitted(self, node: Node, values: dict[Node, Lifted], steps: int) -> Node:
        """Return the values that ``node``, which depends on the state, has at all steps of a chunk: [C, ...].

        ``values`` has the sources and readouts from which it is computed.
        """
        self._lift([self.readouts[node]], values, steps)
        return over_time(*values[self.readouts[node]], steps)

    def _lift(self, roots: Iterable[Node], values: dict[Node, Lifted], steps: int) -> None:
        """Add ``roots`` and their dependencies to ``values``, for all steps of a chunk, with the steps' axis first."""
        for node in topological(roots, known=values):
            operands = [values[item] for item in node.operands]
            if any(has_time for _, has_time in operands):
                lifted = lift(node, operands, steps)
                assert lifted is not None, node.op
                values[node] = lifted, True
            else:
                values[node] = remake(node, [item for item, _ in operands]), False

    def _in_product_layout(self, value: Node, values: Mapping[Node, Lifted], is_step: Node | None, steps: int) -> Node:
        """Transpose a value to the layout of products: [..., C, width] for a row, else [..., width, C]."""
        filling, is_row = self.filling[value]
        whole = over_time(*values[value], steps)
        rank = whole.tensor.rank
        if is_step is not None:
            number = make("constant", value=np.asarray(filling, whole.dtype))
            mask = shaped(is_step, (steps, *(1,) * (rank - 1)))
            whole = make("select", mask, whole, number, where=whole.where)
        return transposed(whole, (*range(1, rank - 1), *((0, rank - 1) if is_row else (rank - 1, 0))))

    def _readout(self, node: Node) -> Node:
        """Rebuild a step's value that reads the state, from factors and weighted sums of the state (readouts)."""
        form = self.forms.forms[node]
        assert isinstance(form, Linear)
        total: Node | None = None
        for term in form.terms:
            factors = list(term.factors)
            if isinstance(term.read, Probe):
                read = self._at_state_rank(self.probes[term.read])
                # Where a step does not update the state, factors may be NaN. The select keeps NaN out of gradients.
                if self.updates is not None:
                    read = make("select", self.updates, read, make("constant", value=np.zeros((), read.dtype)))
                factors.append(read)
            total = added(total, self.forms.product(tuple(factors)))
        assert total is not None
        if not total.tensor.rank:
            total = shaped(total, (1,) * len(self.forms.axes))
        return gathered(total, form.view, node.shape, self.forms.axes)

    def _at_state_rank(self, readout: Node) -> Node:
        """Reshape a readout [..., values] to the rank of the state."""
        axes, plan = self.forms.axes, self.plan
        kept_axes = (*plan.batch, *plan.values)
        separated = shaped(readout, tuple(axes[axis] for axis in kept_axes))
        separated = transposed(separated, sorted(range(len(kept_axes)), key=kept_axes.__getitem__))
        return shaped(separated, tuple(1 if axis in plan.keys else size for axis, size in enumerate(axes)))

    def _sum(self, terms: Sequence[tuple[Node, ...]]) -> Node:
        """Return the sum of products, each a tuple of factors; 0 if there are none."""
        total: Node | None = None
        for factors in terms:
            total = added(total, self.forms.product(factors))
        return make("constant", value=np.zeros((), self.forms.carry.dtype)) if total is None else total

    def _row(self, value: Node, axes: Sequence[int]) -> Node:
        """Return a row [batch axes, ...] whose last axis merges ``axes``. It is 0 in steps that keep the state."""
        return self._merge_axes(value, axes, 0.0, is_row=True)

    def _merge_axes(
        self, value: Node, axes: Sequence[int], filling: float, is_whole: bool = True, is_row: bool = False
    ) -> Node:
        """Reshape a value to the batch axes and one axis that merges ``axes``. Record its ``filling`` for unused steps.

        Args:
            value: Value with the axes of the state.
            axes: Axes of the state to merge.
            filling: Content in steps that do not change the state.
            is_whole: True to give the merged axis its full size even if the value is constant along it.
            is_row: True if products read the value as a row.
        """
        rank = len(self.forms.axes)
        if not value.tensor.rank:
            value = shaped(value, (1,) * rank)
        if self.updates is not None:
            number = make("constant", value=np.asarray(filling, value.dtype))
            value = make("select", self.updates, value, number, where=value.where)
        along = spans(value)
        width = _size(self.plan, axes)
        if axes and (is_whole or along & set(axes)):
            full = tuple(size if axis in axes else value.shape[axis] for axis, size in enumerate(self.forms.axes))
            value = value if value.shape == full else make("broadcast", value, where=value.where, shape=full)
        else:
            width = 1
        other_axes = [axis for axis in range(rank) if axis not in self.plan.batch and axis not in axes]
        separated = transposed(value, (*self.plan.batch, *axes, *other_axes))
        lead = tuple(value.shape[axis] for axis in self.plan.batch)
        # ``make`` and not ``shaped``, which may return its operand: each key of ``filling`` must be a new node.
        joined = make("reshape", separated, where=separated.where, name=separated.name, shape=(*lead, width))
        self.filling[joined] = (filling, is_row)
        return joined


def _size(plan: ChunkPlan, axes: Sequence[int]) -> Dim:
    """Return the product of the sizes of axes of the state."""
    return product(tuple(plan.forms.axes[axis] for axis in axes))


def _param(label: str, like: Node, shape: Sequence[Dim] | None = None) -> Node:
    """Return a new input of a body with the dtype of ``like``, and with ``shape``; None for the shape of ``like``."""
    kind = like.tensor if shape is None else like.tensor.with_shape(tuple(shape))
    return make("input", where=like.where, name=label, label=label, type=kind)
