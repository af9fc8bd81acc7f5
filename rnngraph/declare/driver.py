"""Core of all drivers: the node of a driver, built from one traced step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from ..ir.graph import Node, make, topological
from ..ir.types import Dim, TupleType, unify_declared
from ..support.attribute_hints import telling
from ..support.errors import GraphError, Where
from ..support.records import NamedTuple, dataclass
from .call_text import snake_case
from .carried import columns_of_output
from .cell import Cell
from .layer import in_layer
from .nest import flatten, pack
from .parameter_maps import RANDOM
from .parameters import ParameterSpec, ScopeName
from .tensor import Tensor, build, class_within, declared
from .trace import Trace

MAX_INNER_STEPS = 1000
"""Maximum steps of nested drivers within one step. The steps are unrolled, so that each one adds machine code."""


@telling
class MaskedState(NamedTuple):
    """State that a stream carries for a driver whose masked steps repeat an output that is not a state of the cell.

    Attributes:
        state: State of the cell.
        output: Output of the last unmasked step, in the structure of the cell's output.
    """

    state: Any
    output: Any


class DriverOperands(NamedTuple):
    """Operands of a driver's node, by role.

    Attributes:
        sequences: Inputs of the driver, [time, batch, …].
        lengths: Number of steps of each row, int64 [batch]; None without lengths.
        mask: bool [time, batch, 1]; None without a mask.
        initial: Initial states.
        captured: Nodes outside the step that the step reads.
    """

    sequences: Sequence[Node]
    lengths: Node | None
    mask: Node | None
    initial: Sequence[Node]
    captured: Sequence[Node]


@dataclass(frozen=True, eq=False)
class StepBody:
    """Graph of one step.

    Attributes:
        sequences: Inputs that are one element of a sequence.
        states: Inputs that are states: the cell's, then the driver's own.
        output: First output of the step.
        next_states: Next values of ``states``.
        captured: Nodes outside the step that the step reads.
        emits: Other outputs of the step, and then additional results of any shape.
        last: States whose values masked steps output. Empty: masked steps output 0.
        nest: Structure of the cell's outputs; None for a single output.
    """

    sequences: tuple[Node, ...]
    states: tuple[Node, ...]
    output: Node
    next_states: tuple[Node, ...]
    captured: tuple[Node, ...]
    emits: tuple[Node, ...] = ()
    last: tuple[Node, ...] = ()
    nest: Any = None

    @property
    def outputs(self) -> tuple[Node, ...]:
        """Outputs of the step without additional results. Their first axis is the batch if the driver has rows."""
        return (self.output, *self.emits)[: len(flatten(self.nest))]

    @property
    def roots(self) -> tuple[Node, ...]:
        """All values that leave the step."""
        return (self.output, *self.next_states, *self.emits)


@dataclass(frozen=True, eq=False)
class Iteration:
    """Order and number of a driver's steps.

    Attributes:
        length: Number of steps.
        reverse: True if the last step runs first.
        when: Boolean state; a step is skipped if it is False. None: no step is skipped.
        live: Boolean state, True for rows that have not stopped. None: no row stops early.
        time_major: True if the first axis of taps is time.
        has_rows: True if the first axis of a step's states, inputs and outputs is the batch, as in all cells. False:
            they may have any shape.
    """

    length: Dim
    reverse: bool = False
    when: Node | None = None
    live: Node | None = None
    time_major: bool = False
    has_rows: bool = True


class Rows(NamedTuple):
    """Number of rows of a batch, and the steps of each row that count.

    Attributes:
        batch: Number of rows; 1 without rows.
        lengths: int64 [batch], or None.
        mask: bool [length, batch, 1], or None.
    """

    batch: Dim = 1
    lengths: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True, eq=False)
class StepNames:
    """Names of a step's parameters and of its draws of random numbers. Lowering assigns their full names.

    Attributes:
        parameters: Parameters and their paths.
        sites: Names of the draws by wrappers, such as a dropout wrapper.
        scopes: Scopes of random functions that the step calls, such as ``rg.dropout``.
    """

    parameters: tuple[tuple[ParameterSpec, str], ...]
    sites: tuple[str, ...]
    scopes: tuple[ScopeName, ...]


@dataclass(frozen=True, eq=False)
class StepSource:
    """Lines and names of a step in the script.

    Attributes:
        where: Line of the driver's declaration.
        places: (file, line) of the driver's call and of the cells' creation. Variables of these lines do not name
            values of the step.
        variables: Names of values of the step: the local variables of the cells' steps.
        layers: Cells at their positions in the step, each with its layer.
    """

    where: Where | None
    places: frozenset[tuple[str, int]]
    variables: Mapping[Node, str]
    layers: tuple[tuple[Cell, str], ...]


@dataclass(frozen=True, eq=False)
class Driver:
    """Driver with a traced step as its body.

    The driver's node has these operands: the sequences, the lengths, the mask, the initial states, and the values
    captured from outside.

    Attributes:
        cell: Cell that runs.
        scope: Scope of the parameters.
        body: Graph of a step.
        iteration: Order and number of the steps.
        has_lengths: True if rows have lengths.
        has_mask: True if a mask skips steps of rows.
        names: Names of the step's parameters and of its draws of random numbers.
        source: Lines and names in the script.
        inner: Drivers nested in the step.
        serial: Position in the order of declaration.
    """

    cell: Cell
    scope: ScopeName
    body: StepBody
    iteration: Iteration
    has_lengths: bool
    has_mask: bool
    names: StepNames
    source: StepSource
    inner: tuple[Driver, ...]
    serial: int = field(default_factory=lambda: next(declared))

    @property
    def where(self) -> Where | None:
        return self.source.where

    def with_inner(self) -> Iterator[tuple[Driver, Driver | None]]:
        """Yield this driver and all nested drivers in pre-order, each with its enclosing driver."""
        pending: list[tuple[Driver, Driver | None]] = [(self, None)]
        while pending:
            driver, outer = pending.pop()
            yield driver, outer
            pending += [(item, driver) for item in reversed(driver.inner)]

    def by_role(self, operands: Sequence[Node]) -> DriverOperands:
        """Split the operands of the driver's node by role."""
        rest, states = list(operands), len(self.body.states)
        sequences = [rest.pop(0) for _ in self.body.sequences]
        lengths = rest.pop(0) if self.has_lengths else None
        mask = rest.pop(0) if self.has_mask else None
        return DriverOperands(sequences, lengths, mask, rest[:states], rest[states:])

    def batch(self, operands: DriverOperands) -> Dim:
        """Return the number of rows, or 1 if there is no axis of rows."""
        if not self.iteration.has_rows:
            return 1
        return operands.sequences[0].shape[1] if operands.sequences else operands.initial[0].shape[0]

    def streamed(self, states: Any) -> Any:
        """Return the structure of the state that a stream carries.

        A stream carries ``states``, the structure of the cell's state. If masked steps repeat an output that is not one
        of these states, a stream carries a ``MaskedState`` of ``states`` and the output.
        """
        body = self.body
        if not {*body.last}.intersection(body.states[len(flatten(states)) :]):
            return states
        return MaskedState(states, pack(body.nest, [columns_of_output(Tensor(node)) for node in body.outputs]))


@dataclass(frozen=True)
class Carry:
    """State of a driver: its input of the body, its next value in the body, and its initial value."""

    inside: Node
    next: Node
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
        last: Entries of ``carried`` whose values masked steps output.
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

    def body(self) -> StepBody:
        """Return the graph of the step."""
        sequences, states = (tuple(node for node, _ in self.sequences), tuple(item.inside for item in self.carried))
        next_states, (output, *emits) = tuple(item.next for item in self.carried), self.outputs
        return StepBody(
            sequences=sequences,
            states=states,
            output=output,
            next_states=next_states,
            captured=_captured((output, *next_states, *emits), (*sequences, *states), self.scope),
            emits=tuple(emits),
            last=tuple(item.inside for item in self.last),
            nest=self.nest,
        )


def drive(step: TracedStep, iteration: Iteration, rows: Rows) -> list[Tensor]:
    """Build the node of a driver from its traced step, and return its results.

    Returns:
        Final values of ``step.carried``, then ``step.outputs`` of all steps.
    """
    trace, body = step.trace, step.body()
    inside = topological(body.roots, known=body.captured)
    scopes = dict.fromkeys(node["scope"] for node in inside if node.op in RANDOM and node.get("scope"))
    driver = Driver(
        cell=step.cell,
        scope=step.scope,
        body=body,
        iteration=iteration,
        has_lengths=rows.lengths is not None,
        has_mask=rows.mask is not None,
        names=StepNames(tuple(trace.parameters.items()), tuple(trace.sites), tuple(scopes)),
        source=StepSource(trace.where, frozenset(trace.places), trace.variables, tuple(trace.cells)),
        inner=tuple(node["driver"] for node in inside if node.op == "driver"),
    )
    _check_nested(driver)
    return _results(driver, step, rows)


def _check_nested(driver: Driver) -> None:
    """Raise ``GraphError`` if nested drivers have too many steps, or a symbolic number of steps."""
    inner_steps = 0
    pending = [(item, 1) for item in driver.inner]
    for item, times in pending:
        length = item.iteration.length
        if not isinstance(length, int):
            raise GraphError(
                f"{item.scope.base} runs over an axis of symbolic size inside a cell's step; declare that size as an "
                "int, and limit the steps by sequence_length= or mask=; or run that driver outside of the cell, over "
                "the whole sequence",
                item.where,
            )
        inner_steps += times * length
        pending += [(nested, times * length) for nested in item.inner]
    if inner_steps > MAX_INNER_STEPS:
        raise GraphError(
            f"a step contains {inner_steps} unrolled steps of inner drivers, and at most {MAX_INNER_STEPS} are "
            "supported; run fewer, or run the driver before or after the outer one",
            driver.inner[0].where,
        )


def _results(driver: Driver, step: TracedStep, rows: Rows) -> list[Tensor]:
    """Build the node of ``driver``. Return its results: final states, then outputs of all steps."""
    carried, body, length = step.carried, driver.body, driver.iteration.length
    with_rows = len(body.outputs) if driver.iteration.has_rows else 0
    joined = [
        item.tensor.with_shape((length, rows.batch, *item.shape[1:]) if number < with_rows else (length, *item.shape))
        for number, item in enumerate(step.outputs)
    ]
    operands = [
        *(sequence.node for _, sequence in step.sequences),
        *(item.node for item in (rows.lengths, rows.mask) if item is not None),
        *(item.initial.node for item in carried),
        *body.captured,
    ]
    node = make(
        "driver",
        *operands,
        where=in_layer(driver.where),
        name=snake_case(type(step.cell).__name__),
        unify=unify_declared,
        driver=driver,
        result=TupleType((*(item.tensor for item in body.states), *joined)),
    )
    names = [*(str(item["label"]) for item in body.states), *["outputs"] * len(joined)]
    values = [sequence for _, sequence in step.sequences], [item.initial for item in carried]
    whole = class_within([step.tensor_class(node), *values, rows.lengths, rows.mask])(node)
    return [build("get", whole, index=index, name=name, where=driver.where) for index, name in enumerate(names)]


def _captured(roots: Sequence[Node], inner: Sequence[Node], scope: ScopeName) -> tuple[Node, ...]:
    """Return the nodes outside the step that the step reads: its loop invariants."""
    inside = set(inner)
    captured: dict[Node, None] = {}
    for node in topological(roots):
        # Random ops declared in the step draw at every step, even if their operands are loop-invariant.
        # The exceptions are random ops that p.map draws once per call.
        named = node.get("scope")
        draws = node.op in RANDOM and (named is None or (named.serial > scope.serial and not node.get("variational")))
        if draws or any(operand in inside for operand in node.operands):
            inside.add(node)
            captured.update((operand, None) for operand in node.operands if operand not in inside)
    captured.update((root, None) for root in roots if root not in inside)
    return tuple(captured)
