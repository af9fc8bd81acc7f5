"""Core of all drivers: the node of a driver, built from one traced step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, NamedTuple

from ..ir.graph import Node, make, topological
from ..ir.types import Dim, TensorType, TupleType, meet_declared
from ..support.attribute_hints import telling
from ..support.errors import DtypeError, GraphError, ShapeError, Where
from ..support.records import dataclass
from .call_text import snake_case
from .carried import columns_of_output
from .cell import Cell, InnerCell
from .layer import in_layer
from .nest import flatten, matched, pack, paths
from .parameter_maps import RANDOM
from .parameters import ParameterSpec, ScopeName
from .state import named, public, specification_of
from .tensor import Tensor, build, class_within, constant, declared
from .trace import Trace, tracing

MAX_INNER_STEPS = 1000
"""Maximum steps of nested drivers within one step. Each has machine code of its own, because they are unrolled."""


@telling
class MaskedState(NamedTuple):
    """State of a stream of a masked driver whose output is not one of the cell's states.

    Attributes:
        state: State of the cell.
        output: Output of the last unmasked step, in the structure of the cell's output.
    """

    state: Any
    output: Any


class DriverOperands(NamedTuple):
    """Operands of a driver's node, by role."""

    sequences: Sequence[Node]
    lengths: Node | None
    mask: Node | None
    initial: Sequence[Node]
    captured: Sequence[Node]


@dataclass(frozen=True, eq=False)
class Driver:
    """Driver with a traced step as its body.

    The inputs of its body are a step of each sequence, the states, and the values captured from outside.

    Attributes:
        cell: Cell that runs.
        scope: Scope of the parameters.
        reverse: True if the last step runs first.
        length: Number of steps.
        sequences: Inputs of the body that are a step of a sequence.
        states: Inputs of the body that are states: the cell's, then the driver's own.
        output: Output of a step, the first of them if there are several.
        next_states: Next values of ``states``.
        captured: Nodes outside the body that the body reads.
        lengths: True if rows have lengths.
        mask: True if a mask skips steps of rows.
        last: States that are the outputs of masked steps. Empty: the outputs are 0.
        when: State that tells whether a step runs. None: all run.
        live: State that tells for each row whether it runs.
        time_major: Layout of taps.
        parameters: Parameters and their paths.
        sites: Names of the random sites of the cells.
        scopes: Scopes of random functions that the step calls.
        inner: Drivers nested in the step.
        inner_steps: Number of steps of nested drivers in one step.
        where: Line of the declaration.
        emits: Further outputs of a step, and additional results of any shape.
        nest: Structure of the cell's outputs; None for a single output.
        has_rows: True if the first axis of states, steps and the output counts rows, as in all cells. Otherwise, they
            may have any shape.
        places: Lines that do not name a value of the step.
        variables: Names of values of the step: the local variables of the cells' steps.
        layers: Cells at their positions in the step, each with its layer.
        serial: Position in the order of declaration.
    """

    cell: Cell
    scope: ScopeName
    reverse: bool
    length: Dim
    sequences: tuple[Node, ...]
    states: tuple[Node, ...]
    output: Node
    next_states: tuple[Node, ...]
    captured: tuple[Node, ...]
    lengths: bool
    mask: bool
    last: tuple[Node, ...]
    when: Node | None
    live: Node | None
    time_major: bool
    parameters: tuple[tuple[ParameterSpec, str], ...]
    sites: tuple[str, ...]
    scopes: tuple[ScopeName, ...]
    inner: tuple[Driver, ...]
    inner_steps: int
    where: Where | None
    emits: tuple[Node, ...] = ()
    nest: Any = None
    has_rows: bool = True
    places: frozenset[tuple[str, int]] = frozenset()
    variables: Mapping[Node, str] = field(default_factory=dict)
    layers: tuple[tuple[Cell, str], ...] = ()
    serial: int = field(default_factory=lambda: next(declared))

    def with_inner(self) -> Iterator[tuple[Driver, Driver | None]]:
        """Yield this driver and all nested drivers in pre-order, each with its enclosing driver."""
        pending: list[tuple[Driver, Driver | None]] = [(self, None)]
        while pending:
            driver, outer = pending.pop()
            yield driver, outer
            pending += [(item, driver) for item in reversed(driver.inner)]

    def by_role(self, operands: Sequence[Node]) -> DriverOperands:
        """Split the operands of the driver's node by role."""
        rest = list(operands)
        sequences = [rest.pop(0) for _ in self.sequences]
        lengths = rest.pop(0) if self.lengths else None
        mask = rest.pop(0) if self.mask else None
        return DriverOperands(sequences, lengths, mask, rest[: len(self.states)], rest[len(self.states) :])

    def batch(self, operands: DriverOperands) -> Dim:
        """Return the number of rows, or 1 if there is no axis of rows."""
        if not self.has_rows:
            return 1
        return operands.sequences[0].shape[1] if operands.sequences else operands.initial[0].shape[0]

    def kept(self, states: Any) -> Any:
        """Return the structure of a stream's state; ``states`` is that of the cell."""
        if not {*self.last}.intersection(self.states[len(flatten(states)) :]):
            return states
        return MaskedState(states, pack(self.nest, [columns_of_output(Tensor(node)) for node in self.outputs]))

    @property
    def outputs(self) -> tuple[Node, ...]:
        """Outputs of a step. They have a row axis if the driver has rows."""
        return (self.output, *self.emits)[: len(flatten(self.nest))]


@dataclass(frozen=True)
class Carry:
    """State of a driver: its input of the body, its next value in the body, and its initial value."""

    formal: Node
    following: Node
    initial: Tensor


@dataclass(frozen=True)
class TracedStep:
    """Traced step of a cell, with the values from outside that the step reads.

    Attributes:
        cell: Cell that runs.
        trace: Records of the tracing.
        scope: Scope of the parameters.
        sequences: Pairs of an input of the body and its sequence [length, batch, …].
        carried: States, the cell's first.
        outputs: Outputs of the step, [batch, …], then additional results of any shape. At least one.
        nest: Structure of the cell's outputs; None for a single output.
        last: Those of ``carried`` that are the outputs of masked steps.
        tensor_class: Class of the Tensors in the step, and of the driver's results.
    """

    cell: Cell
    trace: Trace
    scope: ScopeName
    sequences: Sequence[tuple[Node, Tensor]]
    carried: Sequence[Carry]
    outputs: Sequence[Node]
    nest: Any = None
    last: Sequence[Carry] = ()
    tensor_class: type[Tensor] = Tensor


@dataclass(frozen=True)
class Iteration:
    """Order, length and masks of a driver's steps.

    Attributes:
        length: Number of steps.
        batch: Number of rows; 1 without rows.
        reverse: Run the last step first.
        lengths: int64 [batch], or None.
        mask: bool [length, batch, 1], or None.
        when: As in ``Driver``.
        live: As in ``Driver``.
        time_major: Layout of taps.
        has_rows: As in ``Driver``. Without rows, the outputs may have any shape.
    """

    length: Dim
    batch: Dim
    reverse: bool = False
    lengths: Tensor | None = None
    mask: Tensor | None = None
    when: Node | None = None
    live: Node | None = None
    time_major: bool = False
    has_rows: bool = True


def drive(step: TracedStep, iteration: Iteration) -> list[Tensor]:
    """Build the node of a traced driver.

    Returns:
        Final values of ``step.carried``, then ``step.outputs`` of all steps.
    """
    where, trace, carried = step.trace.where, step.trace, step.carried
    states = tuple(item.formal for item in carried)
    roots = (step.outputs[0], *(item.following for item in carried), *step.outputs[1:])
    inputs = tuple(formal for formal, _ in step.sequences)
    captured = _captured(roots, (*inputs, *states), step.scope)
    inside = topological(roots, known=captured)
    nested, inner_steps = _nested(inside)
    driver = Driver(
        cell=step.cell,
        scope=step.scope,
        reverse=iteration.reverse,
        length=iteration.length,
        sequences=inputs,
        states=states,
        output=step.outputs[0],
        next_states=roots[1 : 1 + len(carried)],
        captured=captured,
        lengths=iteration.lengths is not None,
        mask=iteration.mask is not None,
        last=tuple(item.formal for item in step.last),
        when=iteration.when,
        live=iteration.live,
        time_major=iteration.time_major,
        parameters=tuple(trace.parameters.items()),
        sites=tuple(trace.sites),
        scopes=tuple(dict.fromkeys(node["scope"] for node in inside if node.op in RANDOM and node.get("scope"))),
        inner=tuple(nested),
        inner_steps=inner_steps,
        where=where,
        emits=tuple(step.outputs[1:]),
        nest=step.nest,
        has_rows=iteration.has_rows,
        places=frozenset(trace.places),
        variables=trace.variables,
        layers=tuple(trace.cells),
    )
    return _results(driver, step, iteration)


def _nested(inside: Sequence[Node]) -> tuple[list[Driver], int]:
    """Return the drivers nested in a step, and the number of their steps. Raise ``GraphError`` for too many."""
    nested: list[Driver] = [node["driver"] for node in inside if node.op == "driver"]
    inner_steps = 0
    for item in nested:
        if isinstance(item.length, int):
            inner_steps += item.length * (1 + item.inner_steps)
        else:
            raise GraphError(
                f"{item.scope.base} runs over an axis of open size inside of a cell's step; declare that size as an "
                "int, and say with sequence_length= or mask= how many of its steps count, or run it before or after "
                "the driver, over the whole sequence",
                item.where,
            )
    if inner_steps > MAX_INNER_STEPS:
        raise GraphError(
            f"a step contains {inner_steps} unrolled steps of inner drivers, and at most {MAX_INNER_STEPS} are "
            "supported; run fewer, or run the driver before or after the outer one",
            nested[0].where,
        )
    return nested, inner_steps


def _results(driver: Driver, step: TracedStep, iteration: Iteration) -> list[Tensor]:
    """Build the driver's node. Return its results: final states, then outputs of all steps."""
    carried, length = step.carried, iteration.length
    with_rows = len(flatten(step.nest)) if iteration.has_rows else 0
    joined = [
        item.tensor.with_shape(
            (length, iteration.batch, *item.shape[1:]) if number < with_rows else (length, *item.shape)
        )
        for number, item in enumerate(step.outputs)
    ]
    operands = [
        *(sequence.node for _, sequence in step.sequences),
        *(item.node for item in (iteration.lengths, iteration.mask) if item is not None),
        *(item.initial.node for item in carried),
        *driver.captured,
    ]
    node = make(
        "driver",
        *operands,
        where=in_layer(driver.where),
        name=snake_case(type(step.cell).__name__),
        meet=meet_declared,
        driver=driver,
        result=TupleType((*(item.tensor for item in driver.states), *joined)),
    )
    names = [*(str(item["label"]) for item in driver.states), *["outputs"] * len(joined)]
    values = [sequence for _, sequence in step.sequences], [item.initial for item in carried]
    whole = class_within([step.tensor_class(node), *values, iteration.lengths, iteration.mask])(node)
    return [build("get", whole, index=index, name=name, where=driver.where) for index, name in enumerate(names)]


def state_names(cell: Cell) -> list[str]:
    named_states, specification = list(paths(public(cell))), specification_of(cell)
    if len(named_states) == 1 and not named_states[0][0]:
        return list(specification) if isinstance(specification, dict) else ["h"]
    return [
        f"state_{path.replace('/', '_')}" if path[-1:].isdigit() else path.rpartition("/")[2]
        for path, _ in named_states
    ]


def check_step(cell: Cell, new: Sequence[Tensor], kinds: Sequence[TensorType], where: Where | None) -> None:
    """Raise ``ShapeError`` if a step changes the rank or dtype of a state."""
    for item, kind in zip(new, kinds, strict=True):
        if item.rank != kind.rank or item.dtype != kind.dtype:
            raise ShapeError(
                f"{cell!r}.step turns a state {kind} into {item!r}; return states of the rank and dtype that state() "
                "declares",
                where,
            )


def initial_leaves(
    cell: Cell, inner: InnerCell, initial_state: Any, kinds: Sequence[TensorType], where: Where | None
) -> list[Tensor]:
    leaves: list[Any]
    if initial_state is None:
        with tracing(cell):
            leaves = inner.initial_state()
    else:
        leaves = matched(named(cell), initial_state, f"{cell!r}: initial_state", where)
    return [_initial(cell, leaf, kind, where) for leaf, kind in zip(leaves, kinds, strict=True)]


def _initial(cell: Cell, leaf: Any, kind: TensorType, where: Where | None) -> Tensor:
    batch, *row = kind.shape
    if leaf is None:
        return build("broadcast", constant(0, kind.dtype), shape=kind.shape, where=where)
    if not isinstance(leaf, Tensor):
        leaf = constant(leaf)
    if leaf.dtype != kind.dtype:
        raise DtypeError(
            f"{cell!r} computes in {kind.dtype}, but its initial_state is {leaf.dtype}; write "
            f'rg.cast(initial_state, "{kind.dtype}")',
            where,
        )
    if leaf.rank - len(row) not in (0, 1) or list(leaf.type.shape[leaf.rank - len(row) :]) != row:
        raise _misfit(cell, leaf, row, where)
    if leaf.rank == len(row) or leaf.type.shape[0] == 1:
        return build("broadcast", leaf, shape=kind.shape, where=where)
    try:
        meet_declared(leaf.type.shape[0], batch)
    except ValueError:
        raise ShapeError(
            f"{cell!r} runs on a batch of {batch}, but its initial_state has {leaf.type.shape[0]} rows; give one row "
            "for each of the batch, or one for all",
            where,
        ) from None
    return leaf


def _misfit(cell: Cell, leaf: Tensor, row: Sequence[Dim], where: Where | None) -> ShapeError:
    if len(row) != 1:
        wanted = ", ".join(map(str, row))
        return ShapeError(
            f"{cell!r} carries a state [batch, {wanted}], but its initial_state is {leaf!r}; give [batch, {wanted}] or "
            f"[{wanted}]",
            where,
        )
    have = leaf.type.shape[-1] if leaf.rank else "no axis"
    return ShapeError(
        f"{cell!r} carries a state of width {row[0]}, but its initial_state has width {have}; "
        f"give initial_state a width of {row[0]}",
        where,
    )


def _captured(roots: Sequence[Node], inner: Sequence[Node], scope: ScopeName) -> tuple[Node, ...]:
    """Return the nodes outside the step that the step reads: its loop invariants."""
    inside = set(inner)
    captured: dict[Node, None] = {}
    for node in topological(roots):
        # Random numbers declared in the step are drawn at every step, even for invariant operands.
        # The exception are numbers that p.map draws once for a call.
        named = node.get("scope")
        draws = node.op in RANDOM and (named is None or (named.serial > scope.serial and not node.get("variational")))
        if draws or any(operand in inside for operand in node.operands):
            inside.add(node)
            captured.update((operand, None) for operand in node.operands if operand not in inside)
    captured.update((root, None) for root in roots if root not in inside)
    return tuple(captured)
