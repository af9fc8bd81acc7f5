"""Drivers: run a cell over time. A driver traces one step of its whole cell, however nested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import DtypeError, GraphError, ShapeError, StructureError, Where, user_line
from ..ir.graph import Node, make, topological
from ..ir.types import FLOATS, INTEGERS, Dim, TensorType, TupleType, meet_declared
from ..public import api
from .cell import Cell, InnerCell, check_cell, snake_case
from .nest import flatten, matched, pack, paths
from .parameter_maps import RANDOM
from .parameters import ParameterSpec, ScopeName
from .state import named, public, specification_of
from .tensor import Tensor, build, check_dtype, constant, declared, take_slice
from .trace import Trace, tracing


@dataclass(frozen=True, eq=False)
class Driver:
    """A traced driver. Inputs of the body: a step of each of ``sequences``, ``states``, then what is captured from
    outside. The first states are the cell's; others are carried for the driver's own use.

    when: the state that says whether a step runs; None where all do. live: the state that says it of each row.
    time_major: how taps lie. sites: names of the random sites of its cells. scopes: of those that the step's own
    functions draw at.
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
    when: Node | None
    live: Node | None
    time_major: bool
    parameters: tuple[tuple[ParameterSpec, str], ...]
    sites: tuple[str, ...]
    scopes: tuple[ScopeName, ...]
    where: Where | None
    serial: int = field(default_factory=lambda: next(declared))


@api
def dynamic_rnn(
    cell: Cell,
    inputs: Tensor,
    sequence_length: Any = None,
    initial_state: Any = None,
    dtype: Any = None,
    time_major: bool = False,
    scope: str | None = None,
) -> tuple[Tensor, Any]:
    """Runs ``cell`` over the time axis of ``inputs``.

    inputs: [batch, time, features], or [time, batch, features] with ``time_major``. sequence_length: int
    [batch], each in 0..time; past it the output is 0 and the state is held. initial_state: a nest like
    ``cell.state_size`` of Tensors [batch, width]; default zeros, or the cell's own. dtype: accepted as in
    TensorFlow; it must be that of ``inputs``. scope: replaces ``rnn`` in parameter names.

    Returns (outputs, final state), outputs laid out as the inputs are.
    """
    where = user_line()
    name = ScopeName(scope or "rnn", scope is not None, where)
    return _run(cell, inputs, sequence_length, initial_state, dtype, time_major, name, "", False, where)


@api
def bidirectional_dynamic_rnn(
    cell_fw: Cell,
    cell_bw: Cell,
    inputs: Tensor,
    sequence_length: Any = None,
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    time_major: bool = False,
    scope: str | None = None,
) -> tuple[tuple[Tensor, Tensor], tuple[Any, Any]]:
    """Two independent cells over ``inputs``, one forward and one backward within each row's length.

    Returns ((outputs_fw, outputs_bw), (state_fw, state_bw)); nothing is concatenated. Arguments are as for
    ``dynamic_rnn``; the scope is ``bidirectional_rnn`` with ``fw`` and ``bw`` under it.
    """
    where = user_line()
    name = ScopeName(scope or "bidirectional_rnn", scope is not None, where)
    outputs_fw, state_fw = _run(
        cell_fw, inputs, sequence_length, initial_state_fw, dtype, time_major, name, "fw", False, where
    )
    outputs_bw, state_bw = _run(
        cell_bw, inputs, sequence_length, initial_state_bw, dtype, time_major, name, "bw", True, where
    )
    return (outputs_fw, outputs_bw), (state_fw, state_bw)


@api
def stack_bidirectional_dynamic_rnn(
    cells_fw: Sequence[Cell],
    cells_bw: Sequence[Cell],
    inputs: Tensor,
    initial_states_fw: Sequence[Any] | None = None,
    initial_states_bw: Sequence[Any] | None = None,
    dtype: Any = None,
    sequence_length: Any = None,
    time_major: bool = False,
    scope: str | None = None,
) -> tuple[Tensor, tuple[Any, ...], tuple[Any, ...]]:
    """Layers of ``bidirectional_dynamic_rnn``: each reads both outputs of the one below, side by side.

    cells_fw, cells_bw: one cell a layer. initial_states_fw, initial_states_bw: one state a layer. The scope is
    ``stack_bidirectional_rnn`` with ``cell_0/bidirectional_rnn/fw`` … under it.

    Returns (outputs [batch, time, both widths] of the last layer, states_fw, states_bw), the states one a layer.
    """
    where = user_line()
    name = ScopeName(scope or "stack_bidirectional_rnn", scope is not None, where)
    stacks = _cells(cells_fw, "cells_fw", where), _cells(cells_bw, "cells_bw", where)
    layers = len(stacks[0])
    if len(stacks[1]) != layers:
        raise StructureError(f"{layers} cells forward and {len(stacks[1])} backward; give one of each a layer", where)
    given = [_layer_states(states, layers, where) for states in (initial_states_fw, initial_states_bw)]
    states: tuple[list[Any], list[Any]] = ([], [])
    for layer in range(layers):
        outputs = []
        for direction, suffix in enumerate(("fw", "bw")):
            cell, initial = stacks[direction][layer], given[direction][layer]
            position = f"cell_{layer}/bidirectional_rnn/{suffix}"
            output, state = _run(
                cell, inputs, sequence_length, initial, dtype, time_major, name, position, direction == 1, where
            )
            outputs.append(output)
            states[direction].append(state)
        inputs = build("concat", *outputs, axis=2, where=where)
    return inputs, tuple(states[0]), tuple(states[1])


def _cells(cells: Any, what: str, where: Where | None) -> list[Cell]:
    if isinstance(cells, Cell) or not isinstance(cells, list | tuple) or not cells:
        raise StructureError(f"{what} must be a list of cells, one a layer, not {cells!r}", where)
    return [check_cell(cell, what) for cell in cells]


def _layer_states(states: Any, layers: int, where: Where | None) -> Sequence[Any]:
    if states is None:
        return [None] * layers
    if not isinstance(states, list | tuple) or len(states) != layers:
        raise StructureError(f"initial states of {layers} layers must be a list of {layers}, not {states!r}", where)
    return states


@api
def static_rnn(
    cell: Cell,
    inputs: Sequence[Tensor],
    initial_state: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    scope: str | None = None,
) -> tuple[list[Tensor], Any]:
    """``dynamic_rnn`` over a list: inputs is one Tensor [batch, features] a step, and so are the outputs.

    The loop is the same one; ``unroll="full"`` of ``rg.compile`` writes its steps out.

    Returns (list of outputs, final state).
    """
    where = user_line()
    name = ScopeName(scope or "rnn", scope is not None, where)
    steps = list(inputs) if isinstance(inputs, list | tuple) else []
    if not steps:
        raise StructureError(
            f"static_rnn needs a list of inputs, one a step, not {inputs!r}; use rg.dynamic_rnn for one Tensor", where
        )
    for item in steps:
        if not isinstance(item, Tensor) or item.rank != 2:
            raise ShapeError(f"static_rnn needs inputs [batch, features], not {item!r}", where)
    rows = [build("reshape", item, shape=(1, *item.type.shape), where=where) for item in steps]
    sequence = rows[0] if len(rows) == 1 else build("concat", *rows, axis=0, where=where)
    outputs, state = _run(cell, sequence, sequence_length, initial_state, dtype, True, name, "", False, where)
    return [take_slice(outputs, (step,)) for step in range(len(steps))], state


def run_steps(cell: Cell, steps: Tensor, scope: ScopeName, reverse: bool, where: Where | None) -> tuple[Tensor, Any]:
    """A cell over [time, batch, features]: what functions along time are made of."""
    return _run(cell, steps, None, None, None, True, scope, "", reverse, where)


def _run(
    cell: Cell,
    inputs: Tensor,
    sequence_length: Any,
    initial_state: Any,
    dtype: Any,
    time_major: bool,
    scope: ScopeName,
    position: str,
    reverse: bool,
    where: Where | None,
) -> tuple[Tensor, Any]:
    check_cell(cell, "a driver")
    _check_inputs(cell, inputs, dtype, where)
    sequence = inputs if time_major else build("transpose", inputs, order=(1, 0, 2), where=where)
    time, batch, width = sequence.type.shape
    lengths = _lengths(sequence_length, batch, where)

    trace = Trace(inputs.dtype, where)
    inner = InnerCell(trace, position, cell, {}, "")
    with tracing(cell):
        structure = public(cell)
    leaves = flatten(structure)
    kinds = [TensorType(inputs.dtype, (batch, leaf.width)) for leaf in leaves]
    x = make("input", where=where, type=TensorType(inputs.dtype, (batch, width)), label="x", body=True)
    names = state_names(cell)
    states = tuple(
        make("input", where=where, type=kind, label=name, body=True) for kind, name in zip(kinds, names, strict=True)
    )
    with tracing(cell):
        output, new = inner(Tensor(x), pack(structure, [Tensor(node) for node in states]))
    next_states = tuple(item.node for item in flatten(new))
    check_step(cell, output, [Tensor(node) for node in next_states], kinds, where)

    initial = initial_leaves(cell, inner, initial_state, kinds, where)
    carried = [Carry(*item) for item in zip(states, next_states, initial, strict=True)]
    items = drive(
        cell, trace, scope, reverse, (time, batch), [(x, sequence)], lengths, carried, output.node,
        time_major=time_major,
    )  # fmt: skip
    outputs = items[-1] if time_major else build("transpose", items[-1], order=(1, 0, 2), where=where)
    return outputs, pack(structure, items[:-1])


@dataclass(frozen=True)
class Carry:
    """What a driver carries: its name in the body, the node of its next value there, and its initial value."""

    formal: Node
    following: Node
    initial: Tensor


def drive(
    cell: Cell, trace: Trace, scope: ScopeName, reverse: bool, extent: tuple[Dim, Dim],
    sequences: Sequence[tuple[Node, Tensor]], lengths: Tensor | None, carried: Sequence[Carry], output: Node,
    when: Node | None = None, live: Node | None = None, time_major: bool = False,
) -> list[Tensor]:  # fmt: skip
    """The node of a traced driver, and what it gives: final values of all that is carried, then the outputs.

    extent: (length, batch). sequences: the name of a step in the body, and the sequence [length, batch, …].
    carried: the cell's states first. output: of a step, [batch, width].
    """
    where, (length, batch) = trace.where, extent
    states = tuple(item.formal for item in carried)
    roots = (output, *(item.following for item in carried))
    steps = tuple(formal for formal, _ in sequences)
    captured = _captured(roots, (*steps, *states), scope)
    inside = topological(roots, known=captured)
    if nested := next((node for node in inside if node.op == "driver"), None):
        raise GraphError(
            f"{nested['driver'].scope.base} runs over time, and can't do so inside of a cell's step; run it before or "
            "after the driver, over the whole sequence, or run one step of a cell with p.cell(name, cell)(x, state)",
            nested.where,
        )
    scopes = dict.fromkeys(node["scope"] for node in inside if node.op in RANDOM and node.get("scope"))
    driver = Driver(
        cell, scope, reverse, length, steps, states, output, roots[1:], captured,
        lengths is not None, when, live, time_major, tuple(trace.parameters.items()), tuple(trace.sites),
        tuple(scopes), where,
    )  # fmt: skip
    # In a scan's order: final states, then what is emitted.
    result = TupleType((*(item.tensor for item in states), output.tensor.with_shape((length, batch, output.shape[-1]))))
    operands = [
        *(sequence.node for _, sequence in sequences),
        *([] if lengths is None else [lengths.node]),
        *(item.initial.node for item in carried),
        *captured,
    ]
    node = make(
        "driver", *operands, where=where, name=snake_case(type(cell).__name__), meet=meet_declared,
        driver=driver, result=result,
    )  # fmt: skip
    names = [*(str(item["label"]) for item in states), "outputs"]
    return [build("get", Tensor(node), index=index, name=name, where=where) for index, name in enumerate(names)]


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
    """Nodes outside the step that the step uses: they are the same at every step."""
    inside = set(inner)
    captured: dict[Node, None] = {}
    for node in topological(roots):
        # What the step draws is drawn anew at every step, also where it is drawn for what is the same at all.
        # But for what is drawn once for a call (in p.map).
        named = node.get("scope")
        draws = node.op in RANDOM and (named is None or (named.serial > scope.serial and not node.get("variational")))
        if draws or any(operand in inside for operand in node.operands):
            inside.add(node)
            captured.update((operand, None) for operand in node.operands if operand not in inside)
    captured.update((root, None) for root in roots if root not in inside)
    return tuple(captured)
