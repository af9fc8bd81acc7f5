"""``Core``: converts the steps of a loop that cannot be lifted into a cell, whose class the script defines.

A driver traces the cell. The steps that the cell declares while it is traced become the source of its class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ...declare.call_text import snake_case
from ...declare.cell import Cell, Scope, shared
from ...declare.functions import basic
from ...declare.functions.arrays.moves import tile
from ...declare.running.drivers import dynamic_rnn, static_rnn
from ...declare.tensor import Tensor, build, constant
from ...ir.node import Namer
from ...ir.types import Size, product
from ..cell_class import ARGUMENTS, class_text
from ..expressions import identifier
from ..layers import scope_of, unshared
from ..script import Script
from ..steps import Step, Value, named_value
from .cell_calls import cell_name, cell_step, declare_cell
from .elementwise import BROADCASTING
from .loop import Carried, Entries, Inner, Loop, Numbers, Operand, Place, Shared, operands_of, replaced
from .parts import (
    ALL,
    NotRolledError,
    batch_axis,
    flat_rows,
    has_no_batch,
    have_equal_start,
    part_of,
    rows_first,
    same_input,
    same_value,
    shaped_rows,
    with_rows,
)

FLOATS = ("float32", "float64")


class RollingLoop(Protocol):
    """Interface of ``Rolling`` for a ``Core``."""

    loop: Loop
    new: Script
    needed: set[int]
    lifted: dict[Place, Value]
    final: dict[Place, Value]

    def sequence_of(self, item: Operand) -> Value | None:
        """Return an operand's values in all iterations, [batch, time, width]; None if no sequence is declared yet."""

    def value(self, item: Any, is_output: bool = False) -> Any:
        """Return the new script's value for ``item``: an operand of a step that is not in the loop, or an output."""

    def initial(self, item: Carried) -> Value | None:
        """Return the initial value of a carried operand; None for zeros."""

    def is_first_in_loop(self, cell: Value) -> bool:
        """True if no step before the loop uses a cell."""

    def is_only_in_loop(self, cell: Value) -> bool:
        """True if no step outside of the loop uses a cell."""


class Core:
    """Steps of a loop that become a cell, and the driver of that cell."""

    def __init__(self, rolling: RollingLoop, core: Sequence[int]) -> None:
        """Collect what the loop's steps ``core`` read and return. Raises ``NotRolledError`` if they can't be a cell.

        Args:
            rolling: The loop.
            core: Indices of the steps in an iteration.
        """
        self.rolling, self.core, self.loop, self.new = rolling, [*core], rolling.loop, rolling.new
        members = set(core)
        carried = [item for place in core for item in self.loop.operands[place] if isinstance(item, Carried)]
        states = [self._tensor(item.place).type.shape for item in carried if item.place[0] in members]
        self.has_rows = not all(map(has_no_batch, states))
        """True if a state has a batch axis."""
        self.inputs: list[tuple[Operand, Tensor]] = []
        """Operands that have another value in each iteration, each with a Tensor of the shape in one iteration."""
        self.carried: list[Carried] = []
        """Operands that become states of the cell. One with a lag above 1 follows those of its place with less."""
        self.outside: list[Value] = []
        """Values from outside the loop that the steps read."""
        self.emitted: list[Place] = []
        """Places in an iteration whose results are concatenated to the cell's output."""
        self.cells: list[Value] = []
        """Inner cells, which the steps call."""
        for place in core:
            for item in self.loop.operands[place]:
                if isinstance(item, Entries | Numbers) or (
                    isinstance(item, Inner | Carried) and item.place[0] not in members
                ):
                    self._read(item, place)
                elif isinstance(item, Carried):
                    self._carry(item)
                if isinstance(item, Shared) and isinstance(item.value, Value):
                    self._share(item.value)
        for used in self.loop.used:
            if used[0] in members and used not in self.emitted and not self._only_final(used):
                self.emitted.append(used)
        for place in sorted(rolling.needed - members):
            for item in self.loop.operands[place]:
                if isinstance(item, Inner | Carried) and item.place[0] in members:
                    self.emitted += [] if item.place in self.emitted else [item.place]
        if not self.carried:
            raise NotRolledError

    def _read(self, item: Inner | Entries | Numbers | Carried, reader: int) -> None:
        """Add an operand of step ``reader`` to the cell's inputs. Raise ``NotRolledError`` if it can't be one."""
        number = next(n for n, other in enumerate(self.loop.operands[reader]) if other is item)
        value = operands_of(self.loop.first[reader])[number]
        like = value.tensor if isinstance(value, Value) else self._number_beside(reader)
        if self.is_shared_by_rows(like) and not self._broadcasts(reader):
            raise NotRolledError
        if any(same_input(item, other) for other, _ in self.inputs):
            return
        if self.rolling.sequence_of(item) is None:
            raise NotRolledError
        self.inputs.append((item, like))

    def is_shared_by_rows(self, like: Tensor) -> bool:
        """True for an operand without a batch axis, beside states with one. The cell gets it for each row."""
        return self.has_rows and has_no_batch(like.type.shape)

    def _broadcasts(self, reader: int) -> bool:
        """True if a step may read [batch, width] in place of a value that all rows share."""
        shape = self._tensor((reader, ())).type.shape
        return self.loop.first[reader].key in BROADCASTING and len(shape) == 2 and batch_axis(shape) == 0

    def _number_beside(self, reader: int) -> Tensor:
        """Return a Tensor with one number per row, in the rank of the result of step ``reader``."""
        shape = self._tensor((reader, ())).type.shape
        if has_no_batch(shape):
            raise NotRolledError
        ones = tuple(dim if axis == batch_axis(shape) else 1 for axis, dim in enumerate(shape))
        return build("broadcast", constant(0, self._tensor((reader, ())).dtype), shape=ones)

    def _carry(self, item: Carried) -> None:
        """Add an operand from an earlier iteration to the cell's states: one state for each iteration of its lag."""
        starts = (item.initial, *item.later)
        for lag in range(1, item.lag + 1):
            state = Carried(item.place, starts[-lag], starts[len(starts) - lag + 1 :])
            known = [other for other in self.carried if (other.place, other.lag) == (state.place, lag)]
            if not known:
                self.carried.append(state)
            elif not have_equal_start(known[0], state):
                raise NotRolledError

    def _share(self, value: Value) -> None:
        """Add a value from outside the loop to the cell's arguments."""
        known = self.cells if isinstance(value.result, Cell) else self.outside
        if not any(same_value(value, other) for other in known):
            known.append(value)

    def _only_final(self, place: Place) -> bool:
        """True if only the last iteration's result at a place is read after the loop, and it is in the final state."""
        last = self.loop.count - 1
        return self.loop.used[place] == {last} and any(item.place == place for item in self.carried)

    # Shapes -------------------------------------------------------------------------------------

    def _tensor(self, place: Place) -> Tensor:
        """Return the Tensor at a place in the first iteration. Raises ``NotRolledError`` for other objects."""
        value = part_of(Value(self.loop.first[place[0]].result, self.loop.first[place[0]]), place[1])
        if not isinstance(value.result, Tensor):
            raise NotRolledError
        return value.result

    def _flat_width(self, tensor: Tensor) -> int:
        """Return the number of elements in one row of a tensor."""
        shape = tensor.type.shape
        if tensor.rank == 1 and isinstance(shape[0], Size):
            return 1
        width = product(shape if has_no_batch(shape) else [shape[axis] for axis in rows_first(shape)[1:]])
        if not isinstance(width, int):
            raise NotRolledError
        return width

    def _flat(self, script: Script, x: Value, dtype: str) -> Value:
        """Convert a value to floats [batch, width]."""
        x = x if x.tensor.dtype == dtype else script.call(basic.cast, x, dtype)
        return flat_rows(script, x, self._flat_width(x.tensor))

    def _unflatten(self, script: Script, x: Value, like: Tensor) -> Value:
        """Convert x [batch, width] to the shape and dtype of ``like``: the inverse of ``_flat``."""
        x = shaped_rows(script, x, like.type.shape)
        return x if like.dtype == x.tensor.dtype else script.call(basic.cast, x, like.dtype)

    def argument_names(self) -> list[str]:
        """Return the names of the cell's arguments: its inner cells, then values from outside the loop."""
        names = [cell_name(number, len(self.cells)) for number in range(len(self.cells))]
        namer = Namer({*names})
        for value in self.outside:
            hint = value.step.hint
            base = value.path[-1] if value.path and isinstance(value.path[-1], str) else hint
            names.append(namer(identifier(base) if isinstance(base, str) and base != "x" else "value"))
        return names

    # The driver -----------------------------------------------------------------------------------

    def drive(self) -> None:
        """Declare the cell and its ``dynamic_rnn``. Record the output sequences and final states in ``rolling``."""
        rolling, new = self.rolling, self.new
        dtype = next(
            (self._tensor(item.place).dtype for item in self.carried if self._tensor(item.place).dtype in FLOATS),
            "float32",
        )
        sequences = [sequence for item, _ in self.inputs if (sequence := rolling.sequence_of(item)) is not None]
        flat = [item if item.tensor.dtype == dtype else new.call(basic.cast, item, dtype) for item in sequences]
        initial = [rolling.initial(item) for item in self.carried]
        starts = [None if item is None else self._flat(new, item, dtype) for item in initial]
        x = self._driver_input(flat, starts)
        names = self._names()
        name = new.scope("Step")
        kind: type[OwnCell] = type(name, (OwnCell,), {"scope_name": None})
        kind.core, kind.names, kind.dtype = self, names, dtype
        arguments = [*self._inner_cells(), *(rolling.value(value) for value in self.outside)]
        cell = declare_cell(new, kind, arguments)
        scope = new.scope("rnn")
        options = self._initial_state(starts, names, dtype)
        outputs, state = new.call(dynamic_rnn, cell, x, **options, scope=scope)
        self._rename(scope, name)
        cell.step.defines, cell.step.inner = kind.text, kind.steps
        for item, leaf in zip(self.carried, state.leaves, strict=True):
            if item.lag == 1:
                rolling.final[item.place] = self._unflatten(new, leaf, self._tensor(item.place))
        start = 0
        for place in self.emitted:
            width = self._flat_width(self._tensor(place))
            whole = new.item(outputs, ..., slice(start or None, start + width)) if len(self.emitted) > 1 else outputs
            like = self._tensor(place).dtype
            rolling.lifted[place] = whole if like == dtype else new.call(basic.cast, whole, like)
            start += width
        for inside in self.core:
            rolling.lifted.setdefault((inside, ("inside",)), outputs)

    def _driver_input(self, flat: list[Value], starts: list[Value | None]) -> Value:
        """Return the input of the cell's ``dynamic_rnn``: all input sequences, concatenated along the width.

        Without sequences, the input is a column of an initial state, repeated for each iteration. If all states are
        zeros, it is a column of a value that the steps read. Only its length matters.
        """
        if flat:
            longest = next((item for item in flat if item.tensor.type.shape[0] != 1), flat[0])
            flat = [with_rows(self.new, item, longest) for item in flat]
            return flat[0] if len(flat) == 1 else self.new.call(basic.concat, flat, -1)
        rows = next((item for item in starts if item is not None), None) or self._rows_from_outside()
        first = slice(None, 1)
        index = (ALL, None, first) if rows.tensor.rank == 2 else (ALL, *[0] * (rows.tensor.rank - 3), first, first)
        return self.new.call(tile, self.new.item(rows, *index), [1, self.loop.count, 1], hint="steps")

    def _rows_from_outside(self) -> Value:
        """Return a value from outside the loop that has the states' batch size along its first axis."""
        shape = self._tensor(self.carried[0].place).type.shape
        for value in self.outside:
            tensor = value.tensor
            if tensor.rank > 1 and tensor.dtype in FLOATS and tensor.type.shape[0] == shape[batch_axis(shape)]:
                rows: Value = self.rolling.value(value)
                return rows
        raise NotRolledError

    def _initial_state(self, starts: list[Value | None], names: list[str], dtype: str) -> dict[str, object]:
        """Return the option ``initial_state`` of ``dynamic_rnn`` as a dict; {} if all initial states are zeros."""
        if all(item is None for item in starts):
            return {}
        filled = []
        for item, start in zip(self.carried, starts, strict=True):
            if start is None:
                if item.initial is None:
                    raise NotRolledError
                start = self._flat(self.new, self.rolling.value(item.initial), dtype)
            filled.append(start)
        return {"initial_state": dict(zip(names, filled, strict=True)) if len(names) > 1 else filled[0]}

    def _names(self) -> list[str]:
        """Return distinct names of the states: names of fields, such as c and h of an LSTM, else hints, else h."""
        names, namer = list[str](), Namer()
        for item in self.carried:
            path = item.place[1]
            name = path[-1] if path else None
            if not isinstance(name, str):
                hint = self.loop.first[item.place[0]].hint
                name = hint if isinstance(hint, str) and hint != "x" else "h"
            names.append(namer(name))
        return names

    def _inner_cells(self) -> list[Value]:
        """Return the cells that the new cell calls, without the wrapper ``rg.shared`` if only the loop uses them."""
        cells = []
        for cell in self.cells:
            value: Value = self.rolling.value(cell)
            if isinstance(value.result, shared) and self.rolling.is_only_in_loop(cell):
                value = value.step.operands[0]
            cells.append(value)
        return cells

    def _rename(self, scope: str, name: str) -> None:
        """Move parameters of inner cells to the scope of the new ``dynamic_rnn`` if the loop uses the cells first.

        Args:
            scope: Scope of the driver.
            name: Name of the outer cell's class.
        """
        for number, cell in enumerate(self.cells):
            if not self.rolling.is_first_in_loop(cell):
                continue
            inner = unshared(cell)
            step = next(
                step
                for step in self.loop.first
                if any(isinstance(item, Value) and item.step is cell.step for item in operands_of(step))
            )
            if step.key is not static_rnn:  # A driver inside the loop keeps its scope.
                continue
            old = f"{step.keywords['scope']}/{scope_of(inner)}/"
            place = f"{scope}/{snake_case(name)}/{cell_name(number, len(self.cells))}/{scope_of(inner)}/"
            for key in [key for key in self.new.parameters if key.startswith(old)]:
                self.new.parameters[place + key[len(old) :]] = self.new.parameters.pop(key)


class OwnCell(Cell):
    """Base of the cells that a script defines. Each loop creates a subclass.

    Attributes:
        core: The steps that become the cell.
        names: Names of the states.
        dtype: Dtype of the states and outputs.
        text: Source of the class, after a driver traced the cell.
        steps: Steps in the source.
    """

    core: Core
    names: list[str]
    dtype: str
    text: str
    steps: Sequence[Step]

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def state(self) -> dict[str, int]:
        core = type(self).core
        widths = [core._flat_width(core._tensor(item.place)) for item in core.carried]
        return dict(zip(self.names, widths, strict=True))

    @property
    def output_size(self) -> int:
        core = type(self).core
        places = core.emitted or [core.carried[0].place]
        return sum(core._flat_width(core._tensor(place)) for place in places)

    def step(self, p: Scope, x: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (output, new state) of one step."""
        return _traced_step(type(self), self, p, x, state)


def _traced_step(
    kind: type[OwnCell], cell: OwnCell, p: Scope, x: Tensor, state: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Declare one iteration's steps on an input and state, and store the source. Return (output, new state)."""
    core = kind.core
    script = Script("")
    values: dict[Place, Value] = {}
    names, read = core.argument_names(), _inputs_of_step(core, script, x)
    leaves: dict[tuple[Place, int], Value] = {}
    before: dict[tuple[Place, int], Value] = {}
    for name, carried in zip(kind.names, core.carried, strict=True):
        key = carried.place, carried.lag
        leaves[key] = named_value(state[name], f"state[{name!r}]")
        before[key] = core._unflatten(script, leaves[key], core._tensor(carried.place))
    outer = [*core.cells, *core.outside]
    pairs = zip(cell.arguments, names, strict=True)
    shared_values = [named_value(argument, f"self.{name}") for argument, name in pairs]

    def result(place: Place) -> Value:
        return values[place] if place in values else part_of(values[place[0], ()], place[1])

    def operand(item: Operand) -> Any:
        from_sequence = next((value for other, value in read if same_input(item, other)), None)
        if from_sequence is not None:
            return from_sequence
        if isinstance(item, Inner):
            return result(item.place)
        if isinstance(item, Carried):
            return before[item.place, item.lag]
        assert isinstance(item, Shared)
        if isinstance(item.value, Value):
            return next(new for old, new in zip(outer, shared_values, strict=True) if same_value(old, item.value))
        return item.value

    for place in core.core:
        step = core.loop.first[place]
        items = core.loop.operands[place]
        own_values = [operand(item) for item in items]
        if step.key is static_rnn:
            assert isinstance(items[0], Shared)
            number = next(n for n, inner in enumerate(core.cells) if same_value(inner, items[0].value))
            values |= cell_step(script, p, place, step, own_values, cell_name(number, len(core.cells)))
            continue
        operands, keywords = replaced(step, own_values)
        values[place, ()] = script.repeat(step, operands, keywords)

    new = {
        name: core._flat(script, result(item.place), kind.dtype) if item.lag == 1 else leaves[item.place, item.lag - 1]
        for name, item in zip(kind.names, core.carried, strict=True)
    }
    emitted = [core._flat(script, result(place), kind.dtype) for place in core.emitted]
    if not emitted:
        output = new[kind.names[0]]
    else:
        output = emitted[0] if len(emitted) == 1 else script.call(basic.concat, emitted, -1)
    lines = script.body((output, new), ARGUMENTS)
    about = "A step that the module repeats."
    kind.text = class_text(kind.__name__, about, names, cell.state(), cell.output_size, lines)
    kind.steps = script.steps
    return output.tensor, {name: value.tensor for name, value in new.items()}


def _inputs_of_step(core: Core, script: Script, x: Tensor) -> list[tuple[Operand, Value]]:
    """Split the input of a step, a concatenation of the cell's inputs, into (operand, value) pairs."""
    operands: list[tuple[Operand, Value]] = []
    start = 0
    for item, like in core.inputs:
        sequence = core.rolling.sequence_of(item)
        assert sequence is not None
        width = sequence.tensor.width
        whole = named_value(x, "x")
        piece = script.item(whole, ALL, slice(start or None, start + width)) if len(core.inputs) > 1 else whole
        if core.is_shared_by_rows(like):
            operands.append(
                (item, piece if like.dtype == piece.tensor.dtype else script.call(basic.cast, piece, like.dtype))
            )
        else:
            operands.append((item, core._unflatten(script, piece, like)))
        start += width
    return operands
