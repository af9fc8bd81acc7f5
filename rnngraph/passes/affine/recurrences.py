"""Classification of a scan's carries as affine recurrences, and plans to run their steps in chunks.

The next value of a state S is written as ``A S + B``. Terms in S are the diagonal of A, terms in readouts of S are the
low-rank part of A, and all other terms are B. Chunks of steps need a matrix state that is read along its keys only::

    P_t = w_t . S_t-1                           readouts, one for each vector of weights
    S_t = d_t S_t-1 + sum of x_t (f_t + c_t P_t)   decays d and columns x along keys, rows f along values
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field

from ...ir.graph import Graph, Node, dependents, topological
from ...ir.scan import ScanParts
from ...ir.types import FLOATS, Shape, dim_text, product
from ...support.records import dataclass
from ..loops.cycles import cycles
from ..states.vector_products import with_single_vectors
from .linear_forms import STATE, Linear, LinearForms, Opaque, Probe, Term
from .views import UnknownAxisError, finest, spans, without_ones

VECTOR = "it has no axes of keys and values, and chunks would not be faster"
"""Reason for states that are vectors, as those of an elementwise recurrence."""


@dataclass(frozen=True)
class ChunkPlan:
    """Values of a step from which a chunk of steps is computed. Only the ``boundary`` depends on the state.

    Attributes:
        forms: Linear forms of the step's values.
        batch: Axes of the state with independent matrices, such as rows and heads.
        keys: Axes along which readouts sum the state.
        values: Axes along which no value of the update varies, except for the rows of columns.
        decay: Terms of the diagonal of A, each as a tuple of factors.
        columns: Columns of the update.
        readouts: Readouts that the update or the step's outputs read.
        boundary: First values, on the paths from the state to the step's outputs, that depend on the state only through
            readouts.
        updates: Condition under which a step changes the state; None if every step may.
    """

    forms: LinearForms
    batch: tuple[int, ...]
    keys: tuple[int, ...]
    values: tuple[int, ...]
    decay: tuple[tuple[Node, ...], ...]
    columns: tuple[Column, ...]
    readouts: tuple[Probe, ...]
    boundary: tuple[Node, ...]
    updates: Node | None

    @property
    def rank(self) -> int:
        """Number of columns that depend on a readout."""
        return sum(bool(column.read) for column in self.columns)


@dataclass
class Column:
    """Column of the update.

    Attributes:
        keys: Factors along keys.
        free: Terms of its row that do not depend on the state.
        read: Terms of its row by the readout that they scale.
    """

    keys: tuple[Node, ...]
    free: list[tuple[Node, ...]] = field(default_factory=list)
    read: dict[Probe, list[tuple[Node, ...]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Recurrence:
    """Classification of a carry of a scan.

    Attributes:
        scan: The loop.
        index: Position of the carry in the loop.
        axes: Sizes of the state's axes, in the shape with the most axes to which the step reshapes the state.
        kind: Description of A; empty if the carry is not affine.
        reason: Reason why the recurrence runs step by step; empty if it runs in chunks.
        plan: Plan for chunks; None if the recurrence runs step by step.
    """

    scan: Node
    index: int
    axes: Shape
    kind: str
    reason: str = ""
    plan: ChunkPlan | None = None

    @property
    def carry(self) -> Node:
        """Input of the body that holds the state."""
        return self.scan["body"].inputs[self.index]

    @property
    def is_affine(self) -> bool:
        return bool(self.kind)

    @property
    def name(self) -> str:
        """Name of the state, prefixed by the name of its loop."""
        return f"{self.scan.name or 'scan'}/{self.carry['label']}"

    def __str__(self) -> str:
        if not self.is_affine:
            return f"{self.name} is not affine: {self.reason}"
        shape = ", ".join(map(dim_text, self.axes))
        return f"{self.name} [{shape}] is affine: S' = A S + B, A {self.kind}"


def recurrences_in(graph: Graph) -> Iterator[Recurrence]:
    """Yield the recurrences of a graph's scans, except for those of scans within a step."""
    for node in graph.nodes:
        if node.op == "scan":
            yield from recurrences_of(node)


def recurrences_for_chunks(graph: Graph) -> Iterator[Recurrence]:
    """Yield a graph's recurrences in the form that chunks need: steps multiply the state by one vector at a time."""
    yield from recurrences_in(with_single_vectors(graph))


def recurrences_of(scan: Node) -> list[Recurrence]:
    """Return, for each float carry that a scan computes from its last value, whether and how it is linear in it."""
    parts, body = ScanParts.of(scan), scan["body"]
    following = {carry.inside: carry.next for carry in parts.carries}
    components = {node: part for part in cycles(body.nodes, following) for node in part if node in following}
    recurrences = []
    for index, carry in enumerate(parts.carries):
        node = carry.inside
        if node.dtype in FLOATS and carry.next is not node and len(components[node]) > 1:
            recurrences.append(
                _recurrence(scan, parts, index, [item for item in components[node] if item in following])
            )
    return recurrences


def _recurrence(scan: Node, parts: ScanParts, index: int, cycle: Sequence[Node]) -> Recurrence:
    """Describe whether and how the carry at ``index``, one of a ``cycle`` of carries, is linear in its last value."""
    body, carry = scan["body"], parts.carries[index]
    if any(node.op == "scan" for node in body.nodes):
        return Recurrence(scan, index, (), "", "its step contains a loop")
    if len(cycle) > 1:
        others = ", ".join(str(node["label"]) for node in cycle if node is not carry.inside)
        reason, kind = f"it and {others} depend on each other", _joint_kind(parts, body, cycle)
        axes = without_ones(carry.inside.shape)
        return Recurrence(scan, index, axes, kind, f"{reason}, and chunks would not be faster" if kind else reason)
    later = _later(parts, body, carry.inside)
    dependent = dependents([carry.inside, *later], body.nodes)
    forms = _forms(body, carry.inside, dependent, later)
    for node in body.nodes:
        if node in dependent and node not in forms.forms:
            forms.add(node)
    updates, updated = _split_update(carry.inside, carry.next, dependent)
    form = forms.forms[updated]
    if isinstance(form, Opaque):
        return Recurrence(scan, index, forms.axes, "", _not_linear(form))
    if updates is not None and not _reads_updates_only(parts, carry.inside, updates, dependent, later):
        updates = None
        form = forms.forms[carry.next]
        if isinstance(form, Opaque):
            return Recurrence(scan, index, forms.axes, "", _not_linear(form))
    return _classified(scan, parts, index, forms, form, updates)


def _joint_kind(parts: ScanParts, body: Graph, cycle: Sequence[Node]) -> str:
    """Describe the matrix A of several states that are jointly affine; empty if they are not.

    States are jointly affine if each next value is affine in each state, with factors that depend on none of them.
    """
    reached = dependents(cycle, body.nodes)
    following = [carry.next for carry in parts.carries if carry.inside in cycle]
    for state in cycle:
        dependent = dependents([state], body.nodes)
        forms = _forms(body, state, dependent, set())
        for node in body.nodes:
            if node in dependent and node not in forms.forms:
                forms.add(node)
        for value in following:
            form = forms.forms.get(value)  # None if the next value does not depend on this state
            if isinstance(form, Opaque) or (form is not None and not reached.isdisjoint(_coefficients(form))):
                return ""
    return f"in blocks of {len(cycle)} states"


def _coefficients(form: Linear) -> Iterator[Node]:
    """Yield all nodes on which the coefficients of the state depend."""
    read = [term for term in form.terms if term.read is not None]
    weights = [item for term in read if isinstance(term.read, Probe) for item in term.read.weights]
    yield from topological([*weights, *(item for term in read for item in term.factors)])


def _forms(body: Graph, state: Node, dependent: set[Node], later: set[Node]) -> LinearForms:
    """Return an empty table of linear forms, whose axes of the state are those of its finest reshape."""
    count = product(state.shape)
    cut = [node.shape for node in body.nodes if node in dependent and node.op == "reshape"]
    try:
        axes = finest(shape for shape in (state.shape, *cut) if product(shape) == count)
        return LinearForms(state, axes, dependent, later)
    except UnknownAxisError:  # the finest reshape does not divide the axes of the carried state
        return LinearForms(state, finest(iter([state.shape])), dependent, later)


def _not_linear(form: Opaque) -> str:
    """Return the reason, for the user, why a next value is not linear in the state."""
    if form.reason == "matmul":
        return "its step multiplies the state by a matrix"
    return f"its step is not linear in the state: {form.reason}"


def _later(parts: ScanParts, body: Graph, state: Node) -> set[Node]:
    """Return the other carries whose values depend on a state, in the same step or a later one."""
    later: set[Node] = set()
    while True:
        reached = dependents([state, *later], body.nodes)
        more = {item.inside for item in parts.carries if item.next in reached} - later - {state}
        if not more:
            return later
        later |= more


# Rows that have ended ---------------------------------------------------------------------------------


def _unwrapped_condition(node: Node) -> Node:
    """Return a condition as it is before the reshapes and broadcasts that are applied to it."""
    while node.op in ("reshape", "broadcast", "ensure_shape"):
        node = node.operands[0]
    return node


def _split_update(state: Node, following: Node, dependent: set[Node]) -> tuple[Node | None, Node]:
    """Return (condition, next) if the next state is ``select(condition, next, state)``, else (None, ``following``).

    In the first case, a step changes the state only where the condition is true. The condition must not depend on the
    state, and ``next`` must.
    """
    if following.op != "select" or following.operands[2] is not state:
        return None, following
    if following.operands[0] not in dependent and following.operands[1] in dependent:
        return following.operands[0], following.operands[1]
    return None, following


def _reads_updates_only(parts: ScanParts, state: Node, updates: Node, dependent: set[Node], later: set[Node]) -> bool:
    """True if outputs use nothing read from the state in steps that do not change it (``updates`` False)."""
    values = [value for _, value in parts.emits if value in dependent]
    values += [carry.next for carry in parts.carries if carry.inside in later]
    return all(
        value.op == "select"
        and _unwrapped_condition(value.operands[0]) is _unwrapped_condition(updates)
        and (value.operands[2] in later | {state} or value.operands[2] not in dependent)
        for value in values
    )


# Kinds ------------------------------------------------------------------------------------------------


def _classified(
    scan: Node, parts: ScanParts, index: int, forms: LinearForms, form: Linear, updates: Node | None
) -> Recurrence:
    """Describe a carry that is linear in its last value, with a plan to run its steps in chunks if that is possible.

    Args:
        form: Form of the next value, where a step updates the state.
        updates: Condition under which a step changes the state; None if every step may.
    """
    boundary, reason = _boundary(parts, index, forms)
    updating = [term.read for term in form.terms if isinstance(term.read, Probe)]
    reading = [term.read for node in boundary for term in _terms(forms, node) if isinstance(term.read, Probe)]
    readouts = tuple(dict.fromkeys((*updating, *reading)))
    diagonal = frozenset[int]().union(
        *(spans(item) for term in form.terms if term.read == STATE for item in term.factors)
    )
    keys, clash = _keys(forms.axes, readouts, form, diagonal)
    columns = _columns(form, keys)
    kind = _description(form, forms.axes, keys, diagonal, sum(bool(column.read) for column in columns))
    if clash or reason:
        return Recurrence(scan, index, forms.axes, kind, clash or reason)
    along = diagonal.union(*(spans(item) for probe in readouts for item in probe.weights))
    along = along.union(*(spans(item) for column in columns for item in column.keys))
    scales = (item for column in columns for terms in column.read.values() for factors in terms for item in factors)
    along = along.union(*map(spans, scales))
    values = tuple(axis for axis in range(len(forms.axes)) if axis not in along and axis not in keys)
    batch = tuple(axis for axis in range(len(forms.axes)) if axis not in keys and axis not in values)
    sizes = [forms.axes[axis] for axis in (*keys, *values)]
    if not keys or not values or not any(isinstance(size, int) and size > 1 for size in sizes):
        return Recurrence(scan, index, forms.axes, kind, VECTOR)
    if any(not isinstance(size, int) for size in sizes):
        return Recurrence(scan, index, forms.axes, kind, "the size of its keys or values is symbolic")
    decay = tuple(term.factors for term in form.terms if term.read == STATE)
    plan = ChunkPlan(forms, batch, keys, values, decay, columns, readouts, boundary, updates)
    return Recurrence(scan, index, forms.axes, kind, "", plan)


def _terms(forms: LinearForms, node: Node) -> tuple[Term, ...]:
    """Return the terms of a value, which must be linear."""
    form = forms.forms[node]
    assert isinstance(form, Linear)
    return form.terms


def _boundary(parts: ScanParts, index: int, forms: LinearForms) -> tuple[tuple[Node, ...], str]:
    """Return (values by which outputs read weighted sums of the state, ""); ((), reason) if chunks are impossible."""
    if parts.when is not None:
        return (), "its loop runs only some steps, by a condition that a step computes"
    outputs = [value for number, (_, value) in enumerate(parts.outputs) if number != index]
    readouts: dict[Node, None] = {}
    visited: set[Node] = set()
    pending = [value for value in outputs if value in forms.dependent]
    while pending:
        node = pending.pop()
        if node in visited or node not in forms.dependent:
            continue
        visited.add(node)
        form = forms.forms[node]
        if form.is_whole:
            op = f" in {form.reason}" if isinstance(form, Opaque) and form.reason else ""
            return (), f"each step returns its whole state{op}, and chunks would not be faster"
        if any(forms.forms[item].is_whole for item in node.operands if item in forms.dependent):
            readouts[node] = None
        else:
            pending += node.operands
    return tuple(readouts), ""


def _keys(
    axes: Shape, readouts: Sequence[Probe], form: Linear, diagonal: frozenset[int]
) -> tuple[tuple[int, ...], str]:
    """Return (axes along which the weighted sums of the state run, ""); ((), reason) if they run along different axes.

    Keys are the axes along which readouts sum. Without readouts, one axis of fixed size is chosen. The diagonal and the
    factors that vary along it must leave an axis along which none of them varies. The last of several such axes is
    chosen. If there is none, no axes are returned.
    """
    every = {probe.axes for probe in readouts}
    if len(every) > 1:
        return (), "it is read along different axes"
    if every:
        return tuple(sorted(every.pop())), ""
    for axis in reversed(range(len(axes))):
        others = diagonal.union(*(spans(item) for term in form.terms for item in term.factors if axis in spans(item)))
        if isinstance(axes[axis], int) and len(others) < len(axes):
            return (axis,), ""
    return (), ""


def _columns(form: Linear, keys: Sequence[int]) -> tuple[Column, ...]:
    """Group the terms that a step adds to the decayed state by their factors along the axes ``keys``."""
    columns: dict[tuple[Node, ...], Column] = {}
    for term in form.terms:
        if term.read == STATE:
            continue
        along = tuple(item for item in term.factors if spans(item) & frozenset(keys))
        rest = tuple(item for item in term.factors if not spans(item) & frozenset(keys))
        column = columns.setdefault(along, Column(along))
        if isinstance(term.read, Probe):
            column.read.setdefault(term.read, []).append(rest)
        else:
            column.free.append(rest)
    return tuple(columns.values())


def _description(form: Linear, axes: Shape, keys: Sequence[int], diagonal: frozenset[int], rank: int) -> str:
    """Describe the matrix A, which multiplies the state in each step, in words, such as "diagonal plus rank 2"."""
    terms = [term for term in form.terms if term.read == STATE]
    if not terms:
        return f"of rank {rank}" if rank else "zero"
    low = f" plus rank {rank}" if rank else ""
    if len(terms) == 1 and not terms[0].factors:
        return f"the identity{low}"
    return f"{'diagonal' if diagonal & {*keys, len(axes) - 1} else 'scalar'}{low}"
