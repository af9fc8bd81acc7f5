"""Cells of a script's own: what is left of a round when all that can be is made of whole sequences. The steps that a
cell makes when it is traced write its class.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from ...declare.call_text import snake_case
from ...declare.cell import Cell, shared
from ...declare.functions import basic
from ...declare.functions.arrays.moves import tile
from ...declare.running.drivers import dynamic_rnn, static_rnn
from ...declare.tensor import Tensor
from ...ir.node import Namer
from ...ir.types import Dim, Size, product
from ..cell_class import ARGUMENTS, class_text
from ..expressions import identifier
from ..layers import scope_of
from ..script import Script
from ..steps import Step, Value, named_value
from .loop import Carried, Entries, Inner, Place, Shared, operands_of, replaced
from .parts import ALL, NotRolledError, flat_rows, part_of, rows_first, same_input, same_value, shaped_rows


class Core:
    """Steps that become a cell of the script's own, and the driver over it."""

    def __init__(self, rolling: Any, core: Sequence[int]) -> None:
        self.rolling, self.core, self.loop, self.new = rolling, [*core], rolling.loop, rolling.new
        members = set(core)
        self.inputs: list[tuple[Any, Tensor]] = []
        """Operands that are sequences, and a tensor like a step of each."""
        self.carried: list[Carried] = []
        self.outside: list[Value] = []
        self.emitted: list[Place] = []
        self.cells: list[Value] = []
        for place in core:
            for item in self.loop.operands[place]:
                if isinstance(item, Entries) or (isinstance(item, Inner) and item.place[0] not in members):
                    self._read(item, place)
                if isinstance(item, Carried):
                    self._carry(item, members)
                if isinstance(item, Shared) and isinstance(item.value, Value):
                    self._share(item.value)
        for place in self.loop.used:
            if place[0] in members and place not in self.emitted and not self._only_final(place):
                self.emitted.append(place)
        for place in sorted(rolling.needed - members):
            for item in self.loop.operands[place]:
                if isinstance(item, Inner) and item.place[0] in members:
                    self.emitted += [] if item.place in self.emitted else [item.place]
        if not self.carried:
            raise NotRolledError

    def _read(self, item: Any, reader: int) -> None:
        """Notes a sequence that is read."""
        if any(same_input(item, other) for other, _ in self.inputs):
            return
        if self.rolling.sequence_of(item) is None:
            raise NotRolledError
        number = next(n for n, other in enumerate(self.loop.operands[reader]) if other is item)
        value = operands_of(self.loop.first[reader])[number]
        self.inputs.append((item, value.tensor))

    def _carry(self, item: Carried, members: set[int]) -> None:
        if item.place[0] not in members:
            raise NotRolledError
        if not any(item.place == other.place for other in self.carried):
            self.carried.append(item)
        elif not any(item.place == other.place and _start_alike(item, other) for other in self.carried):
            raise NotRolledError

    def _share(self, value: Value) -> None:
        known = self.cells if isinstance(value.thing, Cell) else self.outside
        if not any(same_value(value, other) for other in known):
            known.append(value)

    def _only_final(self, place: Place) -> bool:
        last = self.loop.count - 1
        return self.loop.used[place] == {last} and any(item.place == place for item in self.carried)

    # Shapes -------------------------------------------------------------------------------------

    def _tensor(self, place: Place) -> Tensor:
        found = part_of(Value(self.loop.first[place[0]].thing, self.loop.first[place[0]]), place[1])
        if not isinstance(found.thing, Tensor):
            raise NotRolledError
        return found.thing

    def _flat_width(self, tensor: Tensor) -> int:
        """Numbers of a row."""
        shape = tensor.type.shape
        if tensor.rank == 1 and isinstance(shape[0], Size):
            return 1
        width = product(shape if self._has_no_batch(shape) else [shape[axis] for axis in rows_first(shape)[1:]])
        if not isinstance(width, int):
            raise NotRolledError
        return width

    def _has_no_batch(self, shape: tuple[Dim, ...]) -> bool:
        return len(shape) == 0 or (len(shape) == 1 and isinstance(shape[0], int))

    def _flat(self, script: Script, x: Value, dtype: str) -> Value:
        """[batch, width] of floats."""
        x = x if x.tensor.dtype == dtype else script.call(basic.cast, x, dtype)
        return flat_rows(script, x, self._flat_width(x.tensor))

    def _shaped(self, script: Script, x: Value, like: Tensor) -> Value:
        """[batch, width] as what it stands for."""
        x = shaped_rows(script, x, like.type.shape)
        return x if like.dtype == x.tensor.dtype else script.call(basic.cast, x, like.dtype)

    def names_of_given(self) -> list[str]:
        """What the cell calls what it is given: its cells, then what comes from outside."""
        names = [_cell_name(number, len(self.cells)) for number in range(len(self.cells))]
        namer = Namer({*names})
        for value in self.outside:
            hint = value.step.hint
            base = value.path[-1] if value.path and isinstance(value.path[-1], str) else hint
            names.append(namer(identifier(base) if isinstance(base, str) and base != "x" else "given"))
        return names

    # The driver -----------------------------------------------------------------------------------

    def drive(self) -> None:
        rolling, new = self.rolling, self.new
        dtype = next((self._tensor(item.place).dtype for item in self.carried
                      if self._tensor(item.place).dtype in ("float32", "float64")), "float32")  # fmt: skip
        found = [rolling.sequence_of(item) for item, _ in self.inputs]
        sequences = [item for item in found if item is not None]
        flat = [item if item.tensor.dtype == dtype else new.call(basic.cast, item, dtype) for item in sequences]
        initial = [rolling.initial(item) for item in self.carried]
        starts = [None if item is None else self._flat(new, item, dtype) for item in initial]
        x = self._x(flat, starts)
        names = self._names()
        name = new.scope("Step")
        kind: Any = type(name, (OwnCell,), {"scope_name": None})
        kind.core, kind.names, kind.dtype, kind.rolling = self, names, dtype, rolling
        given = [*self._given_cells(), *(rolling.value(value) for value in self.outside)]
        cell = _own_cell(new, kind, given)
        scope = new.scope("rnn")
        options = self._initial_state(starts, names, dtype)
        outputs, state = new.call(dynamic_rnn, cell, x, **options, scope=scope)
        self._rename(scope, name)
        cell.step.defines, cell.step.inner = kind.text, kind.steps
        for item, leaf in zip(self.carried, state.leaves, strict=True):
            rolling.final[item.place] = self._shaped(new, leaf, self._tensor(item.place))
        start = 0
        for place in self.emitted:
            width = self._flat_width(self._tensor(place))
            whole = new.item(outputs, ..., slice(start or None, start + width)) if len(self.emitted) > 1 else outputs
            like = self._tensor(place).dtype
            rolling.lifted[place] = whole if like == dtype else new.call(basic.cast, whole, like)
            start += width
        for inside in self.core:
            rolling.lifted.setdefault((inside, ("inside",)), outputs)

    def _x(self, flat: list[Value], starts: list[Value | None]) -> Value:
        if flat:
            return flat[0] if len(flat) == 1 else self.new.call(basic.concat, flat, -1)
        found = next((item for item in starts if item is not None), None)
        if found is None:
            raise NotRolledError
        column = self.new.item(found, ALL, None, slice(None, 1))  # which no step reads
        return self.new.call(tile, column, [1, self.loop.count, 1], hint="steps")

    def _initial_state(self, starts: list[Value | None], names: list[str], dtype: str) -> dict[str, Any]:
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
        """Of states: those of LSTMs are h and c, others by their hints."""
        found, namer = list[str](), Namer()
        for item in self.carried:
            path = item.place[1]
            name = path[-1] if path else None
            if not isinstance(name, str):
                hint = self.loop.first[item.place[0]].hint
                name = hint if isinstance(hint, str) and hint != "x" else "h"
            found.append(namer(name))
        return found

    def _given_cells(self) -> list[Value]:
        given = []
        for cell in self.cells:
            value = self.rolling.value(cell)
            if isinstance(value.thing, shared) and self.rolling.is_only_in_loop(cell):
                value = value.step.operands[0]
            given.append(value)
        return given

    def _rename(self, scope: str, name: str) -> None:
        """Parameters of cells that are used here first are under the new driver's name."""
        for number, cell in enumerate(self.cells):
            if not self.rolling.is_first_in_loop(cell):
                continue
            bare = cell.thing.cell if isinstance(cell.thing, shared) else cell.thing
            step = next(step for step in self.loop.first if any(
                isinstance(item, Value) and item.step is cell.step for item in operands_of(step)))  # fmt: skip
            if step.key is not static_rnn:  # a driver within the step, whose scope stays
                continue
            old = f"{step.keywords['scope']}/{scope_of(bare)}/"
            place = f"{scope}/{snake_case(name)}/{_cell_name(number, len(self.cells))}/{scope_of(bare)}/"
            for key in [key for key in self.new.parameters if key.startswith(old)]:
                self.new.parameters[place + key[len(old) :]] = self.new.parameters.pop(key)


def _start_alike(a: Carried, b: Carried) -> bool:
    """Whether two readers of a value have the same one in the first round; a cell's zeros are None."""
    zeros = [item.initial is None or item.initial.step.fill == 0 for item in (a, b)]
    return all(zeros) or same_value(a.initial, b.initial)


class OwnCell(Cell):
    """The base of cells that scripts have of their own. Subclasses are made, one a loop."""

    core: Any
    names: list[str]
    dtype: str
    rolling: Any
    text: str
    steps: Sequence[Step]

    def __init__(self, *given: Any) -> None:
        self.given = given

    def state(self) -> Any:
        core = type(self).core
        widths = [core._flat_width(core._tensor(item.place)) for item in core.carried]
        return dict(zip(self.names, widths, strict=True))

    @property
    def output_size(self) -> int:
        core = type(self).core
        places = core.emitted or [core.carried[0].place]
        return sum(core._flat_width(core._tensor(place)) for place in places)

    def step(self, p: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return _traced_step(type(self), self, p, x, state)


def _traced_step(kind: Any, cell: Any, p: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    """One round, made of the loop's steps; they write the class's text."""
    core: Core = kind.core
    script = Script("")
    values: dict[Place, Value] = {}
    names, start = core.names_of_given(), 0
    read: list[tuple[Any, Value]] = []
    for item, like in core.inputs:
        sequence = core.rolling.sequence_of(item)
        assert sequence is not None
        width = sequence.tensor.width
        given = named_value(x, "x")
        piece = script.item(given, ALL, slice(start or None, start + width)) if len(core.inputs) > 1 else given
        read.append((item, core._shaped(script, piece, like)))
        start += width
    before: dict[Place, Value] = {}
    for name, item in zip(kind.names, core.carried, strict=True):
        given = named_value(state[name], f"state[{name!r}]")
        before[item.place] = core._shaped(script, given, core._tensor(item.place))
    outer = [*core.cells, *core.outside]
    shared_values = [named_value(thing, f"self.{name}") for thing, name in zip(cell.given, names, strict=True)]

    def operand(item: Any) -> Any:
        from_sequence = next((value for other, value in read if same_input(item, other)), None)
        if from_sequence is not None:
            return from_sequence
        if isinstance(item, Inner):
            found = values.get(item.place)
            return part_of(values[item.place[0], ()], item.place[1]) if found is None else found
        if isinstance(item, Carried):
            return before[item.place]
        if isinstance(item.value, Value):
            return next(new for old, new in zip(outer, shared_values, strict=True) if same_value(old, item.value))
        return item.value

    for place in core.core:
        step = core.loop.first[place]
        given_values = [operand(item) for item in core.loop.operands[place]]
        if step.key is static_rnn:
            number = next(n for n, c in enumerate(core.cells) if same_value(c, core.loop.operands[place][0].value))
            values |= _cell_step(script, p, place, step, given_values, _cell_name(number, len(core.cells)))
            continue
        operands, keywords = replaced(step, given_values)
        values[place, ()] = script.remade(step, operands, keywords)

    def made(place: Place) -> Value:
        return values[place] if place in values else part_of(values[place[0], ()], place[1])

    new = {name: core._flat(script, made(item.place), kind.dtype)
           for name, item in zip(kind.names, core.carried, strict=True)}  # fmt: skip
    emitted = [core._flat(script, made(place), kind.dtype) for place in core.emitted]
    if not emitted:
        output = new[kind.names[0]]
    else:
        output = emitted[0] if len(emitted) == 1 else script.call(basic.concat, emitted, -1)
    lines = script.body((output, new), ARGUMENTS)
    about = "A step that the module repeats."
    kind.text = class_text(kind.__name__, about, names, cell.state(), cell.output_size, lines)
    kind.steps = script.steps
    return output.tensor, {name: value.tensor for name, value in new.items()}


def _cell_step(script: Script, p: Any, place: int, step: Step, given: list[Any], name: str) -> dict[Place, Value]:
    """A step of a cell inside: ``p.cell(name, cell)(x, state)``."""
    cell, x, *state = given
    leaves = []
    for leaf in state:
        if leaf is None:
            raise NotRolledError
        leaves.append(leaf)
    nest = tuple(leaves) if len(leaves) > 1 else leaves[0]
    output, new = _inner_step(script, p, name, cell, x, nest)
    found: dict[Place, Value] = {(place, (0, 0)): output}
    old = step.thing[1]
    fields = getattr(old, "_fields", None) if isinstance(old, tuple) else None
    for number, part in enumerate(new.leaves):
        path: tuple[int | str, ...] = (1,)
        if isinstance(old, tuple):
            path = (1, fields[number] if fields else number)
        found[place, path] = part
    return found


def _cell_name(number: int, count: int) -> str:
    return "cell" if count == 1 else f"cell_{number}"


# Steps that only such cells have -----------------------------------------------------------------------


def _inner_step(script: Script, p: Any, name: str, cell: Value, x: Value, state: Any) -> Value:
    """(output, new state) of a step of a cell in a cell: ``p.cell(name, cell)(x, state)``."""

    def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
        place = ast.Attribute(ast.Name("p", ast.Load()), "cell", ast.Load())
        return ast.Call(ast.Call(place, [ast.Constant(name), of[0]], []), of[1:], [])

    several = isinstance(state, tuple)
    thing = p.cell(name, cell.thing)(x.thing, tuple(leaf.thing for leaf in state) if several else state.thing)
    hint = ("output", ("c", "h") if several else "h")
    return script.kept(Step(thing, (cell, x, state), {}, written, hint, True))


def _own_cell(script: Script, kind: Any, given: Sequence[Value]) -> Value:
    """A cell of a class whose text its step defines, once a driver has traced it."""

    def written(arguments: list[ast.expr], named: list[ast.keyword]) -> ast.expr:
        return ast.Call(ast.Name(kind.__name__, ast.Load()), arguments, named)

    thing = kind(*(value.thing for value in given))
    return script.kept(Step(thing, given, {}, written, "cell", True, kind, kind))
