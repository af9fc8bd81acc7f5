"""Runs of a cell over sequences, from one traced step."""

from __future__ import annotations

from typing import Any

from ...ir.graph import Node, make
from ...ir.types import INTEGERS, Dim, TensorType, unify_declared
from ...support.arguments import flag
from ...support.errors import DtypeError, RnnGraphError, ShapeError, Where, shown
from ...support.records import dataclass
from ..carried import check_outputs, stored
from ..cell import Cell, InnerCell, check_cell
from ..driver import Carry, Iteration, Rows, TracedStep, drive
from ..layer import joined, within
from ..nest import flatten, pack
from ..parameters import ScopeName
from ..state import Columns, public
from ..tensor import Tensor, build, class_within, constant
from ..trace import Trace, tracing
from .initial_states import check_step, initial_leaves, state_names
from .inputs import Sequences, sequences_of, time_first


@dataclass(frozen=True)
class Run:
    """Arguments of a driver that apply to all of its cells. ``over`` runs one of the cells."""

    inputs: Any
    sequence_length: Any
    mask: Any
    zero_output_for_mask: bool
    dtype: Any
    time_major: bool
    scope: ScopeName
    where: Where | None

    def over(self, cell: Cell, initial_state: Any, position: str = "", reverse: bool = False) -> tuple[Any, Any]:
        """Run a cell at ``position`` below the scope. Return (outputs, final state)."""
        with within(joined(self.scope.layer, position)):
            return self._over(cell, initial_state, position, reverse)

    def _over(self, cell: Cell, initial_state: Any, position: str, reverse: bool) -> tuple[Any, Any]:
        """Trace one step of the cell, build the driver, and return (outputs, final state)."""
        where = self.where
        check_cell(cell, "a driver")
        fed = sequences_of(cell, self.inputs, self.dtype, flag(self.time_major, "time_major"), where)
        time, batch = fed.time, fed.batch
        lengths = _lengths(self.sequence_length, batch, where)
        mask = _mask(self.mask, time, batch, self.time_major, where)
        gives_zeros = flag(self.zero_output_for_mask, "zero_output_for_mask")

        trace = Trace(fed.dtype, where, self.scope.layer)
        inner = InnerCell(trace, position, cell, self.scope.specs, "")
        with tracing(cell):
            structure = public(cell)
        leaves: list[Columns] = flatten(structure)
        kinds = [leaf.type(batch, fed.dtype) for leaf in leaves]
        steps = [_param(name, kind, where) for name, kind in zip(fed.names, fed.kinds, strict=True)]
        states = [_param(name, kind, where) for kind, name in zip(kinds, state_names(cell), strict=True)]
        step_class = class_within([*flatten(self.inputs), self.sequence_length, self.mask, initial_state])
        x = pack(self.inputs, [step_class(node) for node in steps])
        output, new = self._trace_step(inner, cell, x, pack(structure, [step_class(node) for node in states]))
        following = flatten(new)
        check_step(cell, following, kinds, where)
        outputs = check_outputs(cell, output, where)

        initial = initial_leaves(cell, inner, initial_state, kinds, where)
        initial = [stored(*item) for item in zip(initial, leaves, strict=True)]
        nodes = [item.node for item in following]
        carried = [Carry(*item) for item in zip(states, nodes, initial, strict=True)]
        last = [] if mask is None or gives_zeros else _last_output_states(outputs, carried, fed, where)
        step = TracedStep(
            cell,
            trace,
            self.scope,
            sequences=[*zip(steps, fed.tensors, strict=True)],
            carried=carried,
            outputs=[item.node for item in outputs],
            nest=output,
            last=last,
            tensor_class=class_within([*outputs, following]),
        )
        is_reverse = flag(reverse, "reverse")
        items = drive(step, Iteration(time, is_reverse, time_major=self.time_major), Rows(batch, lengths, mask))
        all_outputs = [item if self.time_major else time_first(item, where) for item in items[len(carried) :]]
        return pack(output, all_outputs), pack(structure, items[: len(states)])

    def _trace_step(self, inner: InnerCell, cell: Cell, x: Any, state: Any) -> tuple[Any, Any]:
        """Trace the step, and return (output, new state). Errors on inputs of an unusual rank get an explanation."""
        with tracing(cell):
            if not isinstance(x, Tensor) or x.rank == 2:
                return inner(x, state)
            try:
                return inner(x, state)
            except RnnGraphError as error:
                raise self._misfit(cell, x, error) from error

    def _misfit(self, cell: Cell, x: Tensor, error: RnnGraphError) -> RnnGraphError:
        """Return the error for a step that fails on a Tensor of an unusual rank."""
        remedy = "reshape, or add an axis with rg.expand_dims"
        if _takes_one_tensor(cell):
            what = f"{cell!r} needs inputs [batch, time, features], not {self.inputs!r} of rank {self.inputs.rank}"
            return ShapeError(f"{what}; {remedy}", self.where)
        problem = f"inputs {self.inputs!r} of rank {self.inputs.rank}, and each step reads {x!r}"
        return type(error)(
            f"{cell!r} is given {problem}: {error.what}; most cells need one Tensor [batch, time, features]; {remedy}",
            self.where,
        )


def _takes_one_tensor(cell: Cell) -> bool:
    """True if the innermost cell, which reads the inputs first, is one of this package."""
    first: Any = cell
    while inner := getattr(first, "cell", None) or (getattr(first, "cells", None) or [None])[0]:
        first = inner
    return type(first).__module__.partition(".")[0] == __name__.partition(".")[0]


def _last_output_states(
    outputs: list[Tensor], carried: list[Carry], fed: Sequences, where: Where | None
) -> list[Carry]:
    """Return the states that hold the outputs of the last unmasked step, which masked steps repeat.

    States that do not exist yet are added to ``carried``.
    """
    if len(outputs) == 1:
        node = outputs[0].node
        same = next((item for item in carried if item.next is node and _is_zero(item.initial)), None)
        if same is not None:
            return [same]
    added = []
    for number, item in enumerate(outputs):
        kind = item.type.with_shape((fed.batch, *item.type.shape[1:]))
        zeros = build("broadcast", constant(0, item.dtype), shape=kind.shape, where=where)
        label = "output" if len(outputs) == 1 else f"output_{number}"
        added.append(Carry(_param(label, kind, where), item.node, zeros))
    carried += added
    return added


def _lengths(value: Any, batch: Dim, where: Where | None) -> Tensor | None:
    """Return ``sequence_length``, validated, as int64 [batch]; None if the driver has no lengths."""
    if value is None:
        return None
    lengths = value if isinstance(value, Tensor) else constant(value)
    if lengths.dtype not in INTEGERS or lengths.rank != 1:
        raise DtypeError(f"sequence_length must be ints of shape [batch], not {lengths!r}", where)
    try:
        unify_declared(lengths.type.shape[0], batch)
    except ValueError:
        raise ShapeError(
            f"sequence_length {lengths!r} does not fit a batch of {batch}; give one length for each row", where
        ) from None
    return lengths if lengths.dtype == "int64" else build("cast", lengths, dtype="int64", where=where)


def _mask(value: Any, time: Dim, batch: Dim, time_major: bool, where: Where | None) -> Tensor | None:
    """Return the mask, validated, as bool [time, batch, 1]; None if the driver has no mask."""
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
            unify_declared(have, want)
    except ValueError:
        raise ShapeError(
            f"mask {mask!r} does not fit a batch of {batch} with {time} steps; it must be {axes}", where
        ) from None
    time_first = mask if time_major else build("transpose", mask, order=(1, 0), where=where)
    return build("reshape", time_first, shape=(*time_first.type.shape, 1), where=where)


def _param(label: str, kind: TensorType, where: Where | None) -> Node:
    return make("input", where=where, type=kind, label=label, body=True)


def _is_zero(initial: Tensor) -> bool:
    """True if a state is declared to start as zeros."""
    node = initial.node
    while node.op == "broadcast":
        node = node.operands[0]
    return node.op == "constant" and not node["value"].any()
