"""Core of all drivers: trace one step of a cell, and build one driver node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..ir.graph import Node, make, topological
from ..ir.types import FLOATS, INTEGERS, Dim, TensorType, TupleType, meet_declared
from ..support.arguments import flag
from ..support.attribute_hints import telling
from ..support.errors import DtypeError, GraphError, ShapeError, Where, shown
from .cell import Cell, InnerCell, check_cell, snake_case
from .layer import in_layer, joined, within
from .nest import flatten, matched, pack, paths
from .parameter_maps import RANDOM
from .parameters import ParameterSpec, ScopeName
from .public_types import check_dtype
from .state import Columns, named, public, specification_of
from .tensor import Tensor, build, class_within, constant, declared
from .trace import Trace, tracing

MOST_INNER_STEPS = 1000
"""Maximum steps of nested drivers within one step. Each has machine code of its own, because they are unrolled."""


@telling
class MaskedState(NamedTuple):
    """State of a stream whose driver has a mask, if the cell's output is not one of its states."""

    state: Any
    output: Any


class DriverOperands(NamedTuple):
    """Operands of a driver's node by role."""

    sequences: Sequence[Node]
    lengths: Node | None
    mask: Node | None
    initial: Sequence[Node]
    captured: Sequence[Node]


@dataclass(frozen=True, eq=False)
class Driver:
    """A traced driver.

    The inputs of its body are a step of each sequence, the states, and the values captured from outside.

    Attributes:
        cell: Cell that runs.
        scope: Scope of the parameters.
        reverse: True if the last step runs first.
        length: Number of steps.
        sequences: Inputs of the body that are a step of a sequence.
        states: Inputs of the body that are states: the cell's, then the driver's own.
        output: Output of a step.
        next_states: Next values of ``states``.
        captured: Nodes outside the body that the body reads.
        lengths: True if rows have lengths.
        mask: True if a mask skips steps of rows.
        last: State that is the output of masked steps. None: the output is 0.
        when: State that tells whether a step runs. None: all run.
        live: State that tells for each row whether it runs.
        time_major: Layout of taps.
        parameters: Parameters and their paths.
        sites: Names of the random sites of the cells.
        scopes: Scopes of random functions that the step calls.
        inner: Drivers nested in the step.
        inner_steps: Number of steps of nested drivers in one step.
        where: Line of the declaration.
        emits: Further values that steps emit.
        has_rows: True if the first axis of states, steps and the output counts rows, as in all cells. Otherwise, they
            may have any shape.
        places: Lines that do not name a value of the step.
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
    last: Node | None
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
    has_rows: bool = True
    places: frozenset[tuple[str, int]] = frozenset()
    serial: int = field(default_factory=lambda: next(declared))

    def with_inner(self) -> Iterator[tuple[Driver, Driver | None]]:
        """Yield this driver and all nested drivers in pre-order, each with its enclosing driver."""
        pending: list[tuple[Driver, Driver | None]] = [(self, None)]
        while pending:
            driver, outer = pending.pop()
            yield driver, outer
            pending += [(item, driver) for item in reversed(driver.inner)]

    def given(self, operands: Sequence[Node]) -> DriverOperands:
        """Split the operands of the driver's node by role."""
        rest = list(operands)
        sequences = [rest.pop(0) for _ in self.sequences]
        lengths = rest.pop(0) if self.lengths else None
        mask = rest.pop(0) if self.mask else None
        return DriverOperands(sequences, lengths, mask, rest[: len(self.states)], rest[len(self.states) :])

    def batch(self, given: DriverOperands) -> Dim:
        """Return the number of rows, or 1 if there is no axis of rows."""
        if not self.has_rows:
            return 1
        return given.sequences[0].shape[1] if given.sequences else given.initial[0].shape[0]

    def kept(self, states: Any) -> Any:
        """Return the structure of a stream's state. ``states`` is the cell's structure, with ``Columns`` as leaves."""
        if self.last not in self.states[len(flatten(states)) :]:
            return states
        return MaskedState(states, Columns(((Tensor(self.output).width, True),)))


@dataclass(frozen=True)
class Run:
    """Arguments of a driver that apply to all of its cells."""

    inputs: Tensor
    sequence_length: Any
    mask: Any
    zero_output_for_mask: bool
    dtype: Any
    time_major: bool
    scope: ScopeName
    where: Where | None

    def over(self, cell: Cell, initial_state: Any, position: str = "", reverse: bool = False) -> tuple[Tensor, Any]:
        """Run a cell at ``position`` below the scope, and return (outputs, final state)."""
        with within(joined(self.scope.layer, position)):
            return self._over(cell, initial_state, position, reverse)

    def _over(self, cell: Cell, initial_state: Any, position: str, reverse: bool) -> tuple[Tensor, Any]:
        where, inputs = self.where, self.inputs
        check_cell(cell, "a driver")
        _check_inputs(cell, inputs, self.dtype, where)
        time_first = flag(self.time_major, "time_major")
        sequence = inputs if time_first else build("transpose", inputs, order=(1, 0, 2), where=where)
        time, batch, width = sequence.type.shape
        lengths = _lengths(self.sequence_length, batch, where)
        mask = _mask(self.mask, time, batch, self.time_major, where)
        gives_zeros = flag(self.zero_output_for_mask, "zero_output_for_mask")

        trace = Trace(inputs.dtype, where, self.scope.layer)
        inner = InnerCell(trace, position, cell, self.scope.specs, "")
        with tracing(cell):
            structure = public(cell)
        kinds = [TensorType(inputs.dtype, (batch, leaf.width)) for leaf in flatten(structure)]
        x = _formal("x", TensorType(inputs.dtype, (batch, width)), where)
        states = [_formal(name, kind, where) for kind, name in zip(kinds, state_names(cell), strict=True)]
        step_class = class_within([inputs, self.sequence_length, self.mask, initial_state])
        with tracing(cell):
            output, new = inner(step_class(x), pack(structure, [step_class(node) for node in states]))
        following = flatten(new)
        next_states = [item.node for item in following]
        check_step(cell, output, following, kinds, where)

        initial = initial_leaves(cell, inner, initial_state, kinds, where)
        carried = [Carry(*item) for item in zip(states, next_states, initial, strict=True)]
        last = None
        if mask is not None and not gives_zeros:
            last = next((item for item in carried if item.following is output.node and _is_zero(item.initial)), None)
            if last is None:
                kind = TensorType(output.dtype, (batch, output.width))
                zeros = build("broadcast", constant(0.0, output.dtype), shape=kind.shape, where=where)
                last = Carry(_formal("output", kind, where), output.node, zeros)
                carried.append(last)
        items = drive(
            cell, trace, self.scope, flag(reverse, "reverse"), (time, batch), [(x, sequence)], lengths, carried,
            output.node, mask=mask, last=last, time_major=self.time_major,
            tensor_class=class_within([output, following]),
        )  # fmt: skip
        outputs = items[-1] if self.time_major else build("transpose", items[-1], order=(1, 0, 2), where=where)
        return outputs, pack(structure, items[: len(states)])


@dataclass(frozen=True)
class Carry:
    """A state of a driver: its input of the body, its next value in the body, and its initial value."""

    formal: Node
    following: Node
    initial: Tensor


def drive(
    cell: Cell, trace: Trace, scope: ScopeName, reverse: bool, extent: tuple[Dim, Dim],
    sequences: Sequence[tuple[Node, Tensor]], lengths: Tensor | None, carried: Sequence[Carry], output: Node,
    when: Node | None = None, live: Node | None = None, mask: Tensor | None = None, last: Carry | None = None,
    time_major: bool = False, emits: Sequence[Node] = (), has_rows: bool = True, tensor_class: type[Tensor] = Tensor,
) -> list[Tensor]:  # fmt: skip
    """Build the node of a traced driver.

    Args:
        cell: Cell that runs.
        trace: Records of the tracing.
        scope: Scope of the parameters.
        reverse: Run the last step first.
        extent: (length, batch).
        sequences: Pairs of an input of the body and its sequence [length, batch, …].
        lengths: int64 [batch], or None.
        carried: States, the cell's first.
        output: Output of a step, [batch, width].
        when: As in ``Driver``.
        live: As in ``Driver``.
        mask: bool [length, batch, 1], or None.
        last: The one of ``carried`` that is the output of masked steps.
        time_major: Layout of taps.
        emits: Further values of a step, of any shape.
        has_rows: As in ``Driver``. Without rows, the batch is 1, and the output may have any shape.
        tensor_class: Class of the Tensors in the step, and of the results.

    Returns:
        Final values of ``carried``, the outputs of all steps, and the ``emits`` of all steps.
    """
    where, (length, batch) = trace.where, extent
    states = tuple(item.formal for item in carried)
    roots = (output, *(item.following for item in carried), *emits)
    steps = tuple(formal for formal, _ in sequences)
    captured = _captured(roots, (*steps, *states), scope)
    inside = topological(roots, known=captured)
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
    if inner_steps > MOST_INNER_STEPS:
        raise GraphError(
            f"{inner_steps} steps of drivers stand inside of one step, each of them as code of its own, and there may "
            f"be {MOST_INNER_STEPS}; run fewer, or run the driver before or after the other one",
            nested[0].where,
        )
    scopes = dict.fromkeys(node["scope"] for node in inside if node.op in RANDOM and node.get("scope"))
    driver = Driver(
        cell, scope, reverse, length, steps, states, output, roots[1 : 1 + len(carried)], captured,
        lengths is not None, mask is not None, None if last is None else last.formal, when, live, time_major,
        tuple(trace.parameters.items()), tuple(trace.sites), tuple(scopes),
        tuple(nested), inner_steps, where, tuple(emits), has_rows, frozenset(trace.places),
    )  # fmt: skip
    # Results in the order of a scan: final states, then emitted values.
    row = (batch, output.shape[-1]) if has_rows else output.shape
    joined = [
        output.tensor.with_shape((length, *row)),
        *(item.tensor.with_shape((length, *item.shape)) for item in emits),
    ]
    result = TupleType((*(item.tensor for item in states), *joined))
    operands = [
        *(sequence.node for _, sequence in sequences),
        *(item.node for item in (lengths, mask) if item is not None),
        *(item.initial.node for item in carried),
        *captured,
    ]
    node = make(
        "driver", *operands, where=in_layer(where), name=snake_case(type(cell).__name__), meet=meet_declared,
        driver=driver, result=result,
    )  # fmt: skip
    names = [*(str(item["label"]) for item in states), *["outputs"] * len(joined)]
    given = [*(sequence for _, sequence in sequences), lengths, mask, *(item.initial for item in carried)]
    whole = class_within([tensor_class(node), given])(node)
    return [build("get", whole, index=index, name=name, where=where) for index, name in enumerate(names)]


def _check_inputs(cell: Cell, inputs: Any, dtype: Any, where: Where | None) -> None:
    if not isinstance(inputs, Tensor):
        raise DtypeError(f"a driver's inputs must be a Tensor, not {type(inputs).__name__}", where)
    if inputs.rank != 3:
        raise ShapeError(
            f"{cell!r} needs inputs [batch, time, features], not {inputs!r} of rank {inputs.rank}; "
            "reshape, or add an axis with rg.expand_dims",
            where,
        )
    if inputs.dtype not in FLOATS:
        raise DtypeError(f"{cell!r} needs float inputs, not {inputs.dtype}; convert with rg.cast", where)
    if not isinstance(inputs.type.shape[2], int):
        raise ShapeError(
            f"{cell!r} needs inputs of a fixed width; declare the last size of {inputs.name} as an int", where
        )
    if dtype is not None and check_dtype(dtype) != inputs.dtype:
        raise DtypeError(f"dtype={dtype} but the inputs are {inputs.dtype}; convert them with rg.cast", where)


def _lengths(value: Any, batch: Dim, where: Where | None) -> Tensor | None:
    if value is None:
        return None
    lengths = value if isinstance(value, Tensor) else constant(value)
    if lengths.dtype not in INTEGERS or lengths.rank != 1:
        raise DtypeError(f"sequence_length must be ints of shape [batch], not {lengths!r}", where)
    try:
        meet_declared(lengths.type.shape[0], batch)
    except ValueError:
        raise ShapeError(f"sequence_length {lengths!r} does not fit a batch of {batch}", where) from None
    return lengths if lengths.dtype == "int64" else build("cast", lengths, dtype="int64", where=where)


def _mask(value: Any, time: Dim, batch: Dim, time_major: bool, where: Where | None) -> Tensor | None:
    """Return the mask as [time, batch, 1]."""
    if value is None:
        return None
    axes = "[time, batch]" if time_major else "[batch, time]"
    if isinstance(value, bool):
        raise DtypeError(
            f"mask must be a bool Tensor {axes}, not {value}; == and != compare Tensors as objects, so write "
            "rg.reduce_any(rg.not_equal(x, 0), axis=2)",
            where,
        )
    mask = value if isinstance(value, Tensor) else constant(value)
    if mask.dtype != "bool" or mask.rank != 2:
        raise DtypeError(
            f"mask must be a bool Tensor {axes}, not {shown(mask)}; compare as in rg.not_equal(ids, 0)", where
        )
    try:
        for have, want in zip(mask.type.shape, (time, batch) if time_major else (batch, time), strict=True):
            meet_declared(have, want)
    except ValueError:
        raise ShapeError(
            f"mask {mask!r} does not fit a batch of {batch} with {time} steps; it must be {axes}", where
        ) from None
    time_first = mask if time_major else build("transpose", mask, order=(1, 0), where=where)
    return build("reshape", time_first, shape=(*time_first.type.shape, 1), where=where)


def _formal(label: str, kind: TensorType, where: Where | None) -> Node:
    return make("input", where=where, type=kind, label=label, body=True)


def _is_zero(initial: Tensor) -> bool:
    """True if a state is declared to start as zeros."""
    node = initial.node
    while node.op == "broadcast":
        node = node.operands[0]
    return node.op == "constant" and not node["value"].any()


def state_names(cell: Cell) -> list[str]:
    found, specification = list(paths(public(cell))), specification_of(cell)
    if len(found) == 1 and not found[0][0]:
        return list(specification) if isinstance(specification, dict) else ["h"]
    return [path.rpartition("/")[2] if not path[-1:].isdigit() else f"state_{path.replace('/', '_')}"
            for path, _ in found]  # fmt: skip


def check_step(
    cell: Cell, output: Tensor, new: Sequence[Tensor], kinds: Sequence[TensorType], where: Where | None
) -> None:
    if output.rank != 2 or not isinstance(output.type.shape[-1], int):
        raise ShapeError(f"{cell!r}.step gives an output {output!r}; it must be [batch, width]", where)
    for item, kind in zip(new, kinds, strict=True):
        if item.rank != kind.rank or item.dtype != kind.dtype:
            raise ShapeError(f"{cell!r}.step turns a state {kind} into {item!r}", where)


def initial_leaves(
    cell: Cell, inner: InnerCell, given: Any, kinds: Sequence[TensorType], where: Where | None
) -> list[Tensor]:
    leaves: list[Any]
    if given is None:
        with tracing(cell):
            leaves = inner.initial_state()
    else:
        leaves = matched(named(cell), given, f"{cell!r}: initial_state", where)
    return [_initial(cell, leaf, kind, where) for leaf, kind in zip(leaves, kinds, strict=True)]


def _initial(cell: Cell, leaf: Any, kind: TensorType, where: Where | None) -> Tensor:
    batch, width = kind.shape
    if leaf is None:
        return build("broadcast", constant(0.0, kind.dtype), shape=kind.shape, where=where)
    if not isinstance(leaf, Tensor):
        leaf = constant(leaf)
    if leaf.dtype != kind.dtype:
        raise DtypeError(f"{cell!r} computes in {kind.dtype}, but its initial_state is {leaf.dtype}", where)
    if leaf.rank not in (1, 2) or leaf.type.shape[-1] != width:
        have = leaf.type.shape[-1] if leaf.rank else "no axis"
        raise ShapeError(
            f"{cell!r} carries a state of width {width}, but its initial_state has width {have}; "
            f"give initial_state a width of {width}",
            where,
        )
    if leaf.rank == 1 or leaf.type.shape[0] == 1:
        return build("broadcast", leaf, shape=kind.shape, where=where)
    try:
        meet_declared(leaf.type.shape[0], batch)
    except ValueError:
        raise ShapeError(
            f"{cell!r} runs on a batch of {batch}, but its initial_state has {leaf.type.shape[0]} rows", where
        ) from None
    return leaf


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
