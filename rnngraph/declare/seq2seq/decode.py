"""Decoder: a cell whose output is fed back as its next input until every row has stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ir.graph import Node, make, topological
from ...ir.sizes.table import SizeTable, open_size
from ...ir.types import FLOATS, Dim, TensorType, meet_declared, symbols_of
from ...support.api_guard import api, taking
from ...support.errors import ArgumentError, DtypeError, ShapeError, Where, user_line
from ..cell import Cell, InnerCell, check_cell
from ..driver import Carry, check_step, drive, initial_leaves, state_names
from ..functions.basic import cast, known_by, logical_and, logical_not, reduce_max
from ..functions.basic import where as choose
from ..functions.randomness import by_graph, random_uniform
from ..layer import within
from ..nest import flatten, pack
from ..parameters import ScopeName
from ..state import public
from ..tensor import Tensor, build, class_within, constant, declared
from ..trace import Trace, tracing
from .beam import Beam
from .search import BeamSearch, Search, check_beam

NextInput = Callable[[Tensor, Tensor | None], Tensor]
Stop = Callable[[Tensor], Tensor]


@api
def dynamic_decode(
    cell: Cell,
    first_input: Tensor,
    next_input: NextInput,
    max_steps: int | None,
    inputs: Tensor | None = None,
    initial_state: Any = None,
    stop: Stop | None = None,
    teacher: Tensor | None = None,
    teacher_prob: float | Tensor = 1.0,
    beam: Beam | None = None,
) -> tuple[Tensor, Any, Tensor]:
    """Run a cell on its own outputs, as ``tf.contrib.seq2seq.dynamic_decode`` does with a helper.

    Step 0 reads ``first_input``, and step t+1 the value that ``next_input`` computes from step t. Parameters are under
    ``decoder``. Gradients pass through the inputs that are fed back, but not through choices such as ``argmax``.

    Args:
        cell: Cell to run.
        first_input: float [batch, width], or [width] for all rows.
        next_input: Function of (output, x_t) that returns [batch, width]. ``output`` is the cell's output at step t,
            and x_t is ``inputs[:, t]``, or None without ``inputs``.
        max_steps: Maximum number of steps, an int. None: the length of ``inputs``.
        inputs: [batch, max_steps, features].
        initial_state: Nest like ``cell.state_size`` of Tensors [batch, width]. None: zeros, or the cell's own.
        stop: Function of the output that returns a bool for each row. The step that stops a row is its last; later
            outputs are 0, and the state is held. The loop ends when all rows have stopped.
        teacher: float [batch, max_steps, width]. In the training graph, ``teacher[:, t]`` replaces the value of
            ``next_input`` with probability ``teacher_prob`` for each row and step (scheduled sampling, Bengio et al.
            2015).
        teacher_prob: A float in [0, 1], or a scalar float placeholder.
        beam: Beam search for the best words. The cell's output is a score for each word, ``next_input`` is a function
            of (words, None) with words int64 [batch * width], and a memory that the cell attends to has ``beam.width``
            rows for each row, as ``rg.repeat(memory, width, axis=0)`` returns. It excludes ``inputs``, ``stop`` and
            ``teacher``, and the result is an ``rg.BeamSearch``: (words, scores, lengths).

    Returns:
        (outputs [batch, max_steps, output], final state, lengths). lengths: int64 [batch], the number of steps of each
        row, including the one that stopped it.

    Raises:
        ShapeError: Shapes of the arguments, or of results of the functions, do not fit.
        DtypeError: An argument, or a result of a function, has the wrong type.
        ArgumentError: ``max_steps`` or ``teacher_prob`` is out of range.
        StructureError: ``initial_state`` does not match the cell's state.
    """
    where = user_line()
    decode = _Decode(cell, first_input, inputs, teacher, max_steps, initial_state, where)
    with within(decode.scope.layer):
        if beam is not None:
            return decode.search(check_beam(beam, where, inputs=inputs, stop=stop, teacher=teacher), next_input)
        return decode.run(next_input, stop, teacher_prob)


class _Decode:
    """Decoder under construction. Its sequences are time-major."""

    def __init__(
        self, cell: Cell, first_input: Any, inputs: Any, teacher: Any, max_steps: Any, initial_state: Any,
        where: Where | None,
    ) -> None:  # fmt: skip
        self.cell, self.where = check_cell(cell, "dynamic_decode"), where
        self.scope = ScopeName("decoder", False, where)
        self.tensor_class = class_within([first_input, inputs, teacher, initial_state])
        self.first = self._first(first_input)
        self.inputs, self.teacher = self._sequence(inputs, "inputs"), self._sequence(teacher, "teacher")
        self.width = self.first.width
        if self.teacher is not None and (self.teacher.dtype, self.teacher.width) != (self.first.dtype, self.width):
            raise ShapeError(
                f"teacher is {teacher!r}, and the input it replaces is {self.first.dtype} of width {self.width}", where
            )
        self.length = self._length(max_steps)
        self.batch_is_open = False
        self.batch = self._given_batch(initial_state)
        self.initial_state = initial_state
        self.sequences: list[tuple[Node, Tensor]] = []  # per-step inputs of the body

    def _first(self, value: Any) -> Tensor:
        if not isinstance(value, Tensor) or value.dtype not in FLOATS:
            raise DtypeError(f"first_input must be a float Tensor [batch, width], not {value!r}", self.where)
        if value.rank not in (1, 2) or not isinstance(value.type.shape[-1], int):
            raise ShapeError(f"first_input must be [batch, width] with a fixed width, not {value!r}", self.where)
        return value

    def _sequence(self, value: Any, what: str) -> Tensor | None:
        if value is None:
            return None
        if not isinstance(value, Tensor):
            raise DtypeError(f"{what} must be a Tensor [batch, max_steps, features], not {value!r}", self.where)
        if value.rank != 3 or not isinstance(value.type.shape[2], int):
            raise ShapeError(f"{what} must be [batch, max_steps, features], not {value!r}", self.where)
        return build("transpose", value, order=(1, 0, 2), where=self.where)

    def _length(self, max_steps: Any) -> Dim:
        length: Dim
        if max_steps is None:
            if self.inputs is None:
                raise ArgumentError("max_steps=None takes the length of inputs; give inputs, or an int", self.where)
            length = self.inputs.type.shape[0]
        elif isinstance(max_steps, bool) or not isinstance(max_steps, int | np.integer):
            raise DtypeError(
                f"max_steps must be an int, or None for the length of inputs, not {max_steps!r}", self.where
            )
        elif max_steps < 1:
            raise ArgumentError(f"max_steps={max_steps} must be positive", self.where)
        else:
            length = int(max_steps)
        for what, sequence in (("inputs", self.inputs), ("teacher", self.teacher)):
            if sequence is not None:
                self._fits(sequence.type.shape[0], length, f"{what} has {{}} steps, and max_steps is {{}}")
        return length

    def _fits(self, given: Dim, wanted: Dim, message: str) -> None:
        try:
            meet_declared(given, wanted)
        except ValueError:
            raise ShapeError(message.format(given, wanted), self.where) from None

    def _given_batch(self, initial_state: Any) -> Dim:
        """Return the batch of the arguments that have rows, or a new symbolic size if none has.

        A single row of ``first_input`` broadcasts. With a new size, the step may still read a tensor with rows, such as
        a
        memory.
        """
        sequences = [item.type.shape[1] for item in (self.inputs, self.teacher) if item is not None]
        row_counts = [*([self.first.type.shape[0]] if self.first.rank == 2 else []), *sequences]
        leaves = [] if initial_state is None else flatten(initial_state)
        row_counts += [leaf.type.shape[0] for leaf in leaves if isinstance(leaf, Tensor) and leaf.rank == 2]
        batch = next((dim for dim in row_counts if dim != 1), 1 if sequences else None)
        if batch is None:
            self.batch_is_open = True
            return open_size(next(declared))
        for dim in row_counts:
            if dim != 1:
                self._fits(dim, batch, "dynamic_decode is given {} rows and {} rows; they must be one batch")
        for what, sequence in (("inputs", self.inputs), ("teacher", self.teacher)):
            if sequence is not None:
                self._fits(sequence.type.shape[1], batch, f"{what} has {{}} rows, and the batch is {{}}")
        return batch

    def search(self, beam: Beam, next_input: NextInput) -> BeamSearch:
        """Declare a search with a beam."""
        if self.batch_is_open:
            raise ShapeError(
                "dynamic_decode with a beam needs the number of rows: give first_input [batch, width] or an "
                "initial_state",
                self.where,
            )
        if not callable(next_input):
            raise DtypeError(f"next_input must be a function of words, not {next_input!r}", self.where)
        search = Search(
            self.cell, beam, self.batch, self.length, self.first.dtype, self.scope, self.where, self._formal
        )
        self.batch = search.rows
        taken = taking(next_input, "next_input", "words", "x_t", where=self.where)
        return search.run(self.first, taken, self._checked_input, self.initial_state)

    def run(self, next_input: NextInput, stop: Stop | None, teacher_prob: Any) -> tuple[Tensor, Any, Tensor]:
        for function, what in ((next_input, "next_input"), (stop, "stop")):
            if not callable(function) and not (function is None and what == "stop"):
                raise DtypeError(f"{what} must be a function of Tensors, not {function!r}", self.where)
        next_input = taking(next_input, "next_input", "output", "x_t", where=self.where)
        stop = None if stop is None else taking(stop, "stop", "output", where=self.where)
        probability = self._probability(teacher_prob)
        trace = Trace(self.first.dtype, self.where, self.scope.layer)
        inner = InnerCell(trace, "", self.cell, self.scope.specs, "")
        structure = public(self.cell)
        kinds = [TensorType(self.first.dtype, (self.batch, leaf.width)) for leaf in flatten(structure)]
        states = [self._formal(name, kind) for name, kind in zip(state_names(self.cell), kinds, strict=True)]
        fed = self._formal("fed", TensorType(self.first.dtype, (self.batch, self.width)))
        with tracing(self.cell):
            output, new = inner(fed, pack(structure, states))
        after = flatten(new)
        check_step(self.cell, output, after, kinds, self.where)

        live = None if stop is None else self._formal("live", TensorType("bool", (self.batch, 1)))
        x_t, teacher_input = self._step("x", self.inputs, live), self._step("teacher", self.teacher, live)
        following = self._checked_input(next_input(output, x_t))
        if teacher_input is not None:
            following = by_graph(training=_mixed(teacher_input, following, probability), inference=following)
        still = None
        if stop is not None and live is not None:
            still = logical_and(live, logical_not(self._stopped(stop(output))))
        initial = initial_leaves(self.cell, inner, self.initial_state, kinds, self.where)
        if self.batch_is_open:
            results = [output, following, *after, *([] if still is None else [still])]
            self.batch = _met([fed, *states], results, initial, self.batch)
        own = [(fed, following, self._spread(self.first, (self.batch, self.width)))]
        when: Node | None = None
        if still is not None and live is not None:
            taken = self._formal("taken", TensorType("int64", (self.batch, 1)))
            runs = self._formal("runs", TensorType("bool", ()))
            after = [choose(live, item, state) for item, state in zip(after, states, strict=True)]
            output = choose(live, output, 0.0)
            own = [
                (fed, choose(still, following, fed), own[0][2]),
                (live, still, self._spread(constant(True), (self.batch, 1))),
                (taken, taken + cast(live, "int64"), self._spread(constant(0), (self.batch, 1))),
                (runs, reduce_max(cast(still, "int64")) > 0, constant(True)),
            ]
            when = runs.node
        carried = [*zip(states, after, initial, strict=True), *own]
        items = drive(
            self.cell, trace, self.scope, False, (self.length, self.batch), self.sequences, None,
            [Carry(formal.node, value.node, begin) for formal, value, begin in carried], output.node, when,
            None if live is None else live.node, tensor_class=class_within([output, *after, following]),
        )  # fmt: skip
        outputs = build("transpose", items[-1], order=(1, 0, 2), where=self.where)
        if stop is None:
            steps = self._spread(build("dimension", size=self.length, where=self.where), (self.batch,))
            lengths = known_by(outputs[:, 0, 0], steps)
        else:
            lengths = build("reshape", items[len(states) + 2], shape=(self.batch,), where=self.where)
        return outputs, pack(structure, items[: len(states)]), lengths

    def _formal(self, label: str, kind: TensorType) -> Tensor:
        return self.tensor_class(make("input", where=self.where, type=kind, label=label, body=True))

    def _step(self, label: str, sequence: Tensor | None, live: Tensor | None) -> Tensor | None:
        """Return the slice of a sequence at this step. Rows that have stopped read 0."""
        if sequence is None:
            return None
        formal = self._formal(label, sequence.type.with_shape((self.batch, sequence.width)))
        self.sequences.append((formal.node, sequence))
        if live is None or sequence.dtype not in FLOATS:
            return formal
        return build("select", live, formal, constant(0.0, sequence.dtype), where=self.where, guards=True)

    def _checked_input(self, value: Any) -> Tensor:
        """Check the result of ``next_input``."""
        if not isinstance(value, Tensor) or value.dtype != self.first.dtype:
            raise DtypeError(f"next_input must give a Tensor of {self.first.dtype}, not {value!r}", self.where)
        if value.rank != 2 or value.type.shape[1] != self.width:
            raise ShapeError(
                f"next_input must give [batch, {self.width}], as first_input has it, not {value!r}", self.where
            )
        return self._rows(value, "next_input")

    def _stopped(self, value: Any) -> Tensor:
        if not isinstance(value, Tensor) or value.dtype != "bool":
            raise DtypeError(f"stop must give a bool for each row, such as rg.equal(…), not {value!r}", self.where)
        if value.rank not in (1, 2) or (value.rank == 2 and value.type.shape[1] != 1):
            raise ShapeError(f"stop must give one bool for each row, [batch], not {value!r}", self.where)
        rows = value.type.shape[0]
        return self._rows(build("reshape", value, shape=(rows, 1), where=self.where), "stop")

    def _rows(self, value: Tensor, what: str) -> Tensor:
        """Broadcast or check a value to have one row for each of the batch."""
        if value.type.shape[0] == 1 and self.batch != 1:
            return self._spread(value, (self.batch, value.width))
        self._fits(value.type.shape[0], self.batch, f"{what} gives {{}} rows, and the batch is {{}}")
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
            raise ArgumentError(f"teacher_prob={value} is outside [0, 1]", self.where)
        return float(value)


def _mixed(taught: Tensor, own: Tensor, probability: float | Tensor) -> Tensor:
    """Select the teacher's input with a probability, drawn for each row and step."""
    if not isinstance(probability, Tensor) and probability in (0.0, 1.0):
        return taught if probability else own
    probability_tensor = cast(probability, own.dtype) if isinstance(probability, Tensor) else probability
    return choose(random_uniform(own[:, :1]) < probability_tensor, taught, own)


def _met(formals: Sequence[Tensor], step: Sequence[Tensor], initial: Sequence[Tensor], batch: Dim) -> Dim:
    """Resolve a symbolic batch by unification with the sizes that it meets in the step, such as a memory's; 1 if none.

    Args:
        step: Results of the step, computed from ``formals``.
        initial: Initial states.
    """
    table = SizeTable()

    def unify(a: Dim, b: Dim) -> Dim:
        with contextlib.suppress(ValueError):  # ``lower`` unifies them again, and raises the error
            return table.meet(a, b)
        return a

    inside = {item.node: item.node for item in formals}
    for node in topological([item.node for item in step]):
        if any(operand in inside for operand in node.operands):
            operands = [inside.get(operand, operand) for operand in node.operands]
            inside[node] = make(node.op, *operands, where=node.where, meet=unify, **dict(node.attributes))
    for leaf in initial:
        unify(batch, leaf.type.shape[0])
    resolved = table.resolve(batch)
    is_met = resolved != batch or any(not symbols_of(batch).isdisjoint(symbols_of(dim)) for dim in table.known.values())
    return resolved if is_met else 1
