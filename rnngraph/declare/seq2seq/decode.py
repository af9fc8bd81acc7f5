"""Decoder: a cell whose output is fed back as its next input until every row has stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ir.graph import Node, make, topological
from ...ir.sizes.table import SizeTable, open_size
from ...ir.types import FLOATS, Dim, TensorType, product, symbols_of, unify_declared
from ...support.api_guard import api, taking
from ...support.errors import ArgumentError, DtypeError, ShapeError, StructureError, Where, user_line
from ..carried import check_outputs, stored
from ..cell import Cell, InnerCell, check_cell
from ..driver import Carry, Iteration, Rows, TracedStep, drive
from ..functions.basic import cast, known_by, logical_and, logical_not, reduce_max
from ..functions.basic import where as choose
from ..functions.randomness import by_graph, random_uniform
from ..layer import within
from ..nest import flatten, matched, pack, paths
from ..parameters import ScopeName
from ..running.initial_states import check_step, initial_leaves, state_names
from ..running.inputs import time_first
from ..state import Columns, named, public
from ..tensor import Tensor, build, class_within, constant, declared
from ..trace import Trace, tracing
from .beam import Beam
from .search import BeamSearch, Search, check_beam

NextInput = Callable[[Any, Any], Any]
Stop = Callable[[Any], Tensor]

_Carried = tuple[Tensor, Tensor, Tensor]
"""State of the loop: its Tensor in the step, its next value, and its initial value."""


@api
def dynamic_decode(
    cell: Cell,
    first_input: Any,
    next_input: NextInput,
    max_steps: int | None,
    inputs: Any = None,
    initial_state: Any = None,
    stop: Stop | None = None,
    teacher: Any = None,
    teacher_prob: float | Tensor = 1.0,
    beam: Beam | None = None,
) -> tuple[Any, Any, Tensor]:
    """Run ``cell`` on its own outputs: the first step reads ``first_input``, others ``next_input`` of the last output.

    The step that stops a row is its last: its output and state count, later outputs are 0, and the state is unchanged.
    The loop ends when all rows have stopped. The inference graph has neither ``teacher`` nor ``teacher_prob``.
    Parameters are under ``decoder``. Gradients pass through fed-back outputs; choices such as ``argmax`` have none.
    Equivalent to ``tf.contrib.seq2seq.dynamic_decode`` with a helper.

    Args:
        cell: Cell to run.
        first_input: float [batch, width], or [width] for all rows. For cells that take several inputs, a tuple or dict
            of Tensors [batch, …], or [1, …] for all rows.
        next_input: Function of (output, x_t) that returns the next step's input, in the structure of ``first_input``.
            ``output`` is the cell's output at step t, and x_t is ``inputs[:, t]``, or None without ``inputs``.
        max_steps: Maximum number of steps, an int. None: the length of ``inputs``.
        inputs: [batch, max_steps, …], or a tuple or dict of such Tensors.
        initial_state: Nest like ``cell.state_size`` of Tensors [batch, width]. Default: the cell's own, or zeros.
        stop: Function of the output that returns a bool for each row; True stops the row. None: no row stops early.
        teacher: Inputs [batch, max_steps, …] in the structure of ``first_input``. In the training graph, ``teacher[:,
            t]`` replaces the value of ``next_input`` with probability ``teacher_prob`` for each row and step (scheduled
            sampling, Bengio et al. 2015).
        teacher_prob: A float in [0, 1], or a scalar float placeholder.
        beam: Beam search for the best words, which excludes ``inputs``, ``stop`` and ``teacher``. The cell's output is
            a score for each word, and ``next_input`` is a function of (words, None), where words are int64 [batch *
            width]. If the cell attends to a memory, repeat its rows by ``rg.repeat(memory, width, axis=0)``. The result
            is an ``rg.BeamSearch``: (words, scores, lengths).

    Returns:
        (outputs [batch, max_steps, …] in the structure of the cell's output, final state, lengths). Lengths are int64
        [batch], the number of steps of each row, including the step that stopped the row.

    Raises:
        ShapeError: Shapes of the arguments, or of results of the functions, do not fit.
        DtypeError: An argument, or a result of a function, has the wrong type.
        ArgumentError: ``max_steps`` or ``teacher_prob`` is out of range.
        StructureError: ``initial_state``, ``teacher`` or a result of ``next_input`` has another structure.
    """
    where = user_line()
    decode = _Decode(cell, first_input, inputs, teacher, max_steps, initial_state, where)
    with within(decode.scope.layer):
        if beam is not None:
            return decode.search(check_beam(beam, where, inputs=inputs, stop=stop, teacher=teacher), next_input)
        return decode.run(next_input, stop, teacher_prob)


class _Decode:
    """Builder of one decoder, with time-major sequences.

    Attributes:
        nest: Structure of a step's input.
        first: Input of step 0: leaves of ``nest``, each [batch, …], or [1, …] for all rows.
        inputs: Sequences [time, batch, …], leaves of ``inputs_nest``; None without ``inputs``.
        teacher: Sequences like ``first``; None without ``teacher``.
        tensor_class: Class of the Tensors in a step.
    """

    def __init__(
        self,
        cell: Cell,
        first_input: Any,
        inputs: Any,
        teacher: Any,
        max_steps: Any,
        initial_state: Any,
        where: Where | None,
    ) -> None:
        self.cell, self.where = check_cell(cell, "dynamic_decode"), where
        self.scope = ScopeName("decoder", False, where)
        self.tensor_class = class_within([first_input, inputs, teacher, initial_state])
        self.nest, self.inputs_nest = first_input, inputs
        self.first = self._first(first_input)
        self.dtype = next((item.dtype for item in self.first if item.dtype in FLOATS), "float32")
        self.inputs = None if inputs is None else self._sequences(inputs, "inputs")
        self.teacher = None if teacher is None else self._teacher_sequences(teacher)
        self.length = self._length(max_steps)
        self.batch_is_open = False
        self.batch = self._batch_of_arguments(initial_state)
        self.initial_state = initial_state
        self.sequences: list[tuple[Node, Tensor]] = []  # per-step inputs of the body

    def _first(self, first_input: Any) -> list[Tensor]:
        """Validate ``first_input``, and return its leaves. A vector [width] becomes [1, width]."""
        if isinstance(first_input, Tensor) and first_input.dtype not in FLOATS:
            raise DtypeError(f"first_input must be a float Tensor [batch, width], not {first_input!r}", self.where)
        leaves = flatten(first_input)
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                what = "a float Tensor [batch, width], or a tuple or dict of Tensors [batch, …]"
                raise DtypeError(f"first_input must be {what}, not {leaf!r}", self.where)
            sizes = leaf.type.shape if leaf.rank == 1 and leaf is first_input else leaf.type.shape[1:]
            is_vector = leaf.rank in (1, 2) if leaf is first_input else leaf.rank > 0
            if not is_vector or not all(isinstance(dim, int) for dim in sizes):
                raise ShapeError(f"first_input must be [batch, width] with a fixed width, not {leaf!r}", self.where)
        if isinstance(first_input, Tensor) and first_input.rank == 1:
            return [build("reshape", first_input, shape=(1, *first_input.type.shape), where=self.where)]
        if not leaves:
            raise StructureError("first_input contains no Tensor; give at least one", self.where)
        return leaves

    def _sequences(self, sequences: Any, what: str) -> list[Tensor]:
        """Validate sequences [batch, max_steps, …], and return their leaves as [max_steps, batch, …]."""
        for leaf in flatten(sequences):
            if not isinstance(leaf, Tensor):
                raise DtypeError(f"{what} must be a Tensor [batch, max_steps, features], not {leaf!r}", self.where)
            is_usual = leaf.rank == 3 if leaf is sequences else leaf.rank > 1
            if not is_usual or not all(isinstance(dim, int) for dim in leaf.type.shape[2:]):
                raise ShapeError(f"{what} must be [batch, max_steps, features], not {leaf!r}", self.where)
        return [time_first(leaf, self.where) for leaf in flatten(sequences)]

    def _teacher_sequences(self, teacher: Any) -> list[Tensor]:
        """Validate ``teacher``, and return its leaves as [max_steps, batch, …], in the order of ``first``."""
        leaves = matched(self.nest, teacher, "teacher", self.where)
        sequences = self._sequences(teacher if isinstance(teacher, Tensor) else leaves, "teacher")
        for leaf, first in zip(sequences, self.first, strict=True):
            if (leaf.dtype, leaf.type.shape[2:]) != (first.dtype, first.type.shape[1:]):
                raise ShapeError(
                    f"teacher is {leaf!r}, and the input it replaces is {first.dtype} of width "
                    f"{', '.join(map(str, first.type.shape[1:]))}; give a teacher of that dtype and width",
                    self.where,
                )
        return sequences

    def _length(self, max_steps: Any) -> Dim:
        """Return the maximum number of steps, after a check that all sequences have it."""
        length: Dim
        if max_steps is None:
            if self.inputs is None:
                raise ArgumentError("max_steps=None takes the length of inputs; give inputs, or an int", self.where)
            length = self.inputs[0].type.shape[0]
        elif isinstance(max_steps, bool) or not isinstance(max_steps, int | np.integer):
            raise DtypeError(
                f"max_steps must be an int, or None for the length of inputs, not {max_steps!r}", self.where
            )
        elif max_steps < 1:
            raise ArgumentError(f"max_steps={max_steps} must be positive", self.where)
        else:
            length = int(max_steps)
        for what, sequence in self._labelled_sequences():
            self._fits(sequence.type.shape[0], length, f"{what} has {{}} steps, but max_steps is {{}}")
        return length

    def _labelled_sequences(self) -> list[tuple[str, Tensor]]:
        return [
            *(("inputs", item) for item in self.inputs or ()),
            *(("teacher", item) for item in self.teacher or ()),
        ]

    def _fits(self, rows: Dim, wanted: Dim, message: str) -> None:
        """Unify two sizes. Raise ``ShapeError`` with ``message`` if they cannot be equal."""
        try:
            unify_declared(rows, wanted)
        except ValueError:
            raise ShapeError(message.format(rows, wanted), self.where) from None

    def _batch_of_arguments(self, initial_state: Any) -> Dim:
        """Return the number of rows, other than 1, that arguments share. Raise ``ShapeError`` if they differ.

        First inputs and states of one row fit any batch. If no argument has more rows, the batch is 1 if there are
        sequences; else symbolic, because a step may read another Tensor with rows, such as a memory.
        """
        sequences = [item.type.shape[1] for _, item in self._labelled_sequences()]
        is_single = isinstance(self.nest, Tensor) and self.nest.rank == 1
        row_counts = [*([] if is_single else [item.type.shape[0] for item in self.first]), *sequences]
        if initial_state is not None:
            carried = named(self.cell)
            leaves = matched(carried, initial_state, f"{self.cell!r}: initial_state", self.where)
            states = zip(leaves, flatten(carried), strict=True)
            row_counts += [
                leaf.type.shape[0]
                for leaf, columns in states
                if isinstance(leaf, Tensor) and leaf.rank == len(columns.row) + 1
            ]
        batch = next((dim for dim in row_counts if dim != 1), 1 if sequences else None)
        if batch is None:
            self.batch_is_open = True
            return open_size(next(declared))
        for dim in row_counts:
            if dim != 1:
                self._fits(
                    dim,
                    batch,
                    "dynamic_decode has arguments of {} rows and of {} rows; give all of them the same batch",
                )
        for what, sequence in self._labelled_sequences():
            self._fits(sequence.type.shape[1], batch, f"{what} has {{}} rows, but the batch has {{}}")
        return batch

    def search(self, beam: Beam, next_input: NextInput) -> BeamSearch:
        """Build a beam search, and return its result."""
        if not isinstance(self.nest, Tensor):
            raise DtypeError(
                f"dynamic_decode with a beam needs one Tensor as first_input, not {self.nest!r}", self.where
            )
        if self.batch_is_open:
            raise ShapeError(
                "dynamic_decode with a beam needs the number of rows: give first_input [batch, width] or an "
                "initial_state",
                self.where,
            )
        if not callable(next_input):
            raise DtypeError(f"next_input must be a function of words, not {next_input!r}", self.where)
        search = Search(self.cell, beam, self.batch, self.length, self.dtype, self.scope, self.where, self._param)
        self.batch = search.rows
        checked = taking(next_input, "next_input", "words", "x_t", where=self.where)
        return search.run(self.first[0], checked, lambda value: self._checked_inputs(value)[0], self.initial_state)

    def _functions(self, next_input: NextInput, stop: Stop | None) -> tuple[NextInput, Stop | None]:
        """Check that both arguments are functions, and return them wrapped with checks of their signatures."""
        for function, what in ((next_input, "next_input"), (stop, "stop")):
            if not callable(function) and not (function is None and what == "stop"):
                raise DtypeError(f"{what} must be a function of Tensors, not {function!r}", self.where)
        checked = taking(next_input, "next_input", "output", "x_t", where=self.where)
        return checked, None if stop is None else taking(stop, "stop", "output", where=self.where)

    def run(self, next_input: NextInput, stop: Stop | None, teacher_prob: Any) -> tuple[Any, Any, Tensor]:
        """Trace a step, build the loop, and return the result of ``dynamic_decode`` without a beam."""
        next_input, stop = self._functions(next_input, stop)
        probability = self._probability(teacher_prob)
        trace = Trace(self.dtype, self.where, self.scope.layer)
        inner = InnerCell(trace, "", self.cell, self.scope.specs, "")
        structure = public(self.cell)
        columns: list[Columns] = flatten(structure)
        kinds = [leaf.type(self.batch, self.dtype) for leaf in columns]
        states = [self._param(name, kind) for name, kind in zip(state_names(self.cell), kinds, strict=True)]
        fed = [self._param(name, self._row_type(item)) for name, item in zip(self._names(), self.first, strict=True)]
        with tracing(self.cell):
            output, new = inner(pack(self.nest, fed), pack(structure, states))
        outputs = check_outputs(self.cell, output, self.where)
        after = flatten(new)
        check_step(self.cell, after, kinds, self.where)

        live = None if stop is None else self._param("live", TensorType("bool", (self.batch, 1)))
        x_t = None if self.inputs is None else pack(self.inputs_nest, self._steps("x", self.inputs, live))
        taught = None if self.teacher is None else self._steps("teacher", self.teacher, live)
        following = self._checked_inputs(next_input(output, x_t))
        if taught is not None:
            mixed = _select_teacher(taught, following, probability)
            following = [by_graph(training=a, inference=b) for a, b in zip(mixed, following, strict=True)]
        still = None
        if stop is not None and live is not None:
            still = logical_and(live, logical_not(self._stopped(stop(output))))
        initial = initial_leaves(self.cell, inner, self.initial_state, kinds, self.where)
        initial = [stored(*item) for item in zip(initial, columns, strict=True)]
        if self.batch_is_open:
            results = [*outputs, *following, *after, *([] if still is None else [still])]
            self.batch = _unified_batch([*fed, *states], results, initial, self.batch)
        begun = [self._spread(item, self._row_type(item).shape) for item in self.first]
        own: list[_Carried] = [*zip(fed, following, begun, strict=True)]
        when: Node | None = None
        if still is not None and live is not None:
            after = [choose(_per_row(live, item), item, state) for item, state in zip(after, states, strict=True)]
            outputs = [choose(_per_row(live, item), item, constant(0, item.dtype)) for item in outputs]
            own = [*((a, choose(_per_row(still, b), b, a), c) for a, b, c in own), *self._loop_state(live, still)]
            when = own[-1][0].node
        carried = [*zip(states, after, initial, strict=True), *own]
        step = TracedStep(
            self.cell,
            trace,
            self.scope,
            self.sequences,
            carried=[Carry(param.node, value.node, begin) for param, value, begin in carried],
            outputs=[item.node for item in outputs],
            nest=output,
            tensor_class=class_within([*outputs, *after, *following]),
        )
        runs = None if live is None else live.node
        items = drive(step, Iteration(self.length, when=when, live=runs), Rows(self.batch))
        all_outputs = [time_first(item, self.where) for item in items[len(carried) :]]
        lengths = self._lengths(all_outputs[0], None if stop is None else items[len(states) + len(fed) + 1])
        return pack(output, all_outputs), pack(structure, items[: len(states)]), lengths

    def _loop_state(self, live: Tensor, still: Tensor) -> list[_Carried]:
        """Return three states of the loop: a mask of running rows, each row's steps so far, and if any row runs."""
        steps_taken = self._param("taken", TensorType("int64", (self.batch, 1)))
        runs = self._param("runs", TensorType("bool", ()))
        return [
            (live, still, self._spread(constant(True), (self.batch, 1))),
            (steps_taken, steps_taken + cast(live, "int64"), self._spread(constant(0), (self.batch, 1))),
            (runs, reduce_max(cast(still, "int64")) > 0, constant(True)),
        ]

    def _lengths(self, output: Tensor, step_counts: Tensor | None) -> Tensor:
        if step_counts is not None:
            return build("reshape", step_counts, shape=(self.batch,), where=self.where)
        steps = self._spread(build("dimension", size=self.length, where=self.where), (self.batch,))
        return known_by(output[(slice(None), *(0 for _ in output.shape[1:]))], steps)

    def _names(self) -> list[str]:
        return [f"fed_{path.replace('/', '_')}" if path else "fed" for path, _ in paths(self.nest)]

    def _row_type(self, first: Tensor) -> TensorType:
        return first.type.with_shape((self.batch, *first.type.shape[1:]))

    def _param(self, label: str, kind: TensorType) -> Tensor:
        return self.tensor_class(make("input", where=self.where, type=kind, label=label, body=True))

    def _steps(self, label: str, sequences: Sequence[Tensor], live: Tensor | None) -> list[Tensor]:
        names = [label] if len(sequences) == 1 else [f"{label}_{number}" for number in range(len(sequences))]
        return [self._step(*item, live) for item in zip(names, sequences, strict=True)]

    def _step(self, label: str, sequence: Tensor, live: Tensor | None) -> Tensor:
        """Declare an input of the step that reads one step of ``sequence``; it is 0 for rows that have stopped."""
        param = self._param(label, sequence.type.with_shape((self.batch, *sequence.type.shape[2:])))
        self.sequences.append((param.node, sequence))
        if live is None or sequence.dtype not in FLOATS:
            return param
        zero, runs = constant(0.0, sequence.dtype), _per_row(live, param)
        return build("select", runs, param, zero, where=self.where, guards=True)

    def _checked_inputs(self, value: Any) -> list[Tensor]:
        """Validate a result of ``next_input``, and return its leaves, broadcast to the rows of the batch."""
        leaves = matched(self.nest, value, "the result of next_input", self.where)
        inputs = []
        for leaf, first in zip(leaves, self.first, strict=True):
            if not isinstance(leaf, Tensor) or leaf.dtype != first.dtype:
                raise DtypeError(f"next_input must return a Tensor of {first.dtype}, not {leaf!r}", self.where)
            if leaf.rank != first.rank or leaf.type.shape[1:] != first.type.shape[1:]:
                wanted = ", ".join(map(str, ("batch", *first.type.shape[1:])))
                raise ShapeError(f"next_input must return [{wanted}], like first_input, not {leaf!r}", self.where)
            inputs.append(self._rows(leaf, "next_input"))
        return inputs

    def _stopped(self, value: Any) -> Tensor:
        """Validate a result of ``stop``, and return it as bools [batch, 1]."""
        if not isinstance(value, Tensor) or value.dtype != "bool":
            raise DtypeError(f"stop must return a bool for each row, such as rg.equal(…), not {value!r}", self.where)
        if value.rank not in (1, 2) or (value.rank == 2 and value.type.shape[1] != 1):
            raise ShapeError(f"stop must return one bool for each row, [batch], not {value!r}", self.where)
        rows = value.type.shape[0]
        return self._rows(build("reshape", value, shape=(rows, 1), where=self.where), "stop")

    def _rows(self, value: Tensor, what: str) -> Tensor:
        """Broadcast a value [1, …] to the rows of the batch. ``what`` names the user's function in errors."""
        if value.type.shape[0] == 1 and self.batch != 1:
            return self._spread(value, (self.batch, *value.type.shape[1:]))
        self._fits(value.type.shape[0], self.batch, f"{what} returns {{}} rows, but the batch has {{}}")
        return value

    def _spread(self, value: Tensor, shape: tuple[Dim, ...]) -> Tensor:
        return value if value.type.shape == shape else build("broadcast", value, shape=shape, where=self.where)

    def _probability(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if value.rank or value.dtype not in FLOATS:
                raise DtypeError(f"teacher_prob must be a scalar float, not {value!r}", self.where)
            return value
        if isinstance(value, bool) or not isinstance(value, int | float | np.floating):
            raise DtypeError(
                f"teacher_prob must be a float in [0, 1] or a scalar placeholder, not {value!r}", self.where
            )
        if not 0 <= value <= 1:
            raise ArgumentError(f"teacher_prob={value} is outside [0, 1]; give a probability", self.where)
        return float(value)


def _per_row(live: Tensor, value: Tensor) -> Tensor:
    """Reshape bools [batch, 1] so that they broadcast with a value of another rank."""
    if value.rank == 2:
        return live
    return build("reshape", live, shape=(live.type.shape[0], *(1 for _ in range(value.rank - 1))))


def _select_teacher(taught: list[Tensor], own: list[Tensor], probability: float | Tensor) -> list[Tensor]:
    """Return the teacher's inputs for rows drawn with ``probability``, and the decoder's own inputs for other rows."""
    if not isinstance(probability, Tensor) and probability in (0.0, 1.0):
        return taught if probability else own
    first = next((item for item in own if item.dtype in FLOATS), None)
    first = cast(own[0], "float32") if first is None else first
    if first.rank != 2:
        first = build("reshape", first, shape=(first.type.shape[0], product(first.type.shape[1:])))
    wanted = cast(probability, first.dtype) if isinstance(probability, Tensor) else probability
    is_taught = random_uniform(first[:, :1]) < wanted
    return [choose(_per_row(is_taught, b), a, b) for a, b in zip(taught, own, strict=True)]


def _unified_batch(params: Sequence[Tensor], step: Sequence[Tensor], initial: Sequence[Tensor], batch: Dim) -> Dim:
    """Infer the symbolic size ``batch`` from sizes of other values that the step reads; 1 if nothing determines it.

    ``step`` has the results of the step, computed from its inputs ``params``; ``initial`` has the initial states.
    """
    table = SizeTable()

    def unify(a: Dim, b: Dim) -> Dim:
        with contextlib.suppress(ValueError):  # ``lower`` unifies the sizes again, and raises the error
            return table.unify(a, b)
        return a

    inside = {item.node: item.node for item in params}
    for node in topological([item.node for item in step]):
        if any(operand in inside for operand in node.operands):
            operands = [inside.get(operand, operand) for operand in node.operands]
            inside[node] = make(node.op, *operands, where=node.where, unify=unify, **dict(node.attributes))
    for leaf in initial:
        unify(batch, leaf.type.shape[0])
    resolved = table.resolve(batch)
    is_unified = resolved != batch or any(
        not symbols_of(batch).isdisjoint(symbols_of(dim)) for dim in table.known.values()
    )
    return resolved if is_unified else 1
