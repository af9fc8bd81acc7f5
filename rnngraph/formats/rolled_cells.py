"""A loop of equal steps as a driver. Steps that do the same at all times, such as a product with a weight, are made of
whole sequences; recurrent cells become drivers of their own; what is left, and hangs on the round before, becomes a cell
of the script's own, whose text is written by the steps that it makes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..declare.cell import Cell, shared, snake_case
from ..declare.drivers import dynamic_rnn, static_rnn
from ..declare.functions import activations, basic
from ..declare.functions.layers import embedding
from ..declare.functions.randomness import dropout
from ..declare.parameters import parameter
from ..declare.tensor import Tensor
from ..ir.types import Dim, Size, product
from .layers import scope_of
from .rolling import (
    Carried,
    Entries,
    Inner,
    Loop,
    Place,
    Shared,
    code_of,
    loops_in,
    operands_of,
    outside_of_loops,
    readers_of,
    replaced,
    sized,
    without_entries,
)
from .script import Script, Step, Value, identifier

ALL = slice(None)
MOST_LEFT = 3
"""Steps of one cell that may stand by themselves."""
OF_EACH_ELEMENT = frozenset((
    basic.tanh, basic.sigmoid, basic.exp, basic.expm1, basic.log, basic.log1p, basic.sqrt, basic.sin, basic.cos,
    basic.atan, basic.erf, basic.sign, basic.abs, basic.square, basic.cast, basic.clip, dropout, activations.relu,
    activations.relu6, activations.leaky_relu, activations.elu, activations.selu, activations.gelu, activations.swish,
    activations.softplus, activations.softsign, activations.hard_sigmoid, activations.hard_sigmoid_keras3, "negative",
))  # fmt: skip
"""What is done to each element alike, with numbers beside it."""
OF_CHANCE = frozenset((dropout,))
OF_PAIRS = frozenset(("+", "-", "*", "/", basic.maximum, basic.minimum))


def rolled_up(script: Script, value_of: Callable[[Dim], int] | None = None) -> Script:
    """The script with drivers in place of equal steps that are written out; the same object where there are none.

    value_of: open sizes as numbers of the example by which the steps were written out, if there are open ones. Places
    that are counted from an end of an axis of that size stay so, and all of it is the whole axis.
    """
    script = _without_repeats(script)
    while True:
        steps = script.steps
        outside = outside_of_loops(steps)
        inside = [step for step in steps if step not in outside]
        loops = loops_in(without_entries(inside), readers_of(script, steps))
        rolled = (_Rolling(script, loop, value_of).script(outside, inside) for loop in loops)
        made = next((found for found in rolled if found is not None), None)
        if made is None:
            return script
        script = made


def steps_left(script: Script) -> list[tuple[Cell, int]]:
    """Recurrent cells of which more steps are still written out than may stand before and behind a loop."""
    counts = Counter(step.operands[0].step for step in script.steps if step.key is static_rnn)
    return [(step.thing, count) for step, count in counts.items() if count > MOST_LEFT]


def _without_repeats(script: Script) -> Script:
    """The script with what is made of parameters alone, such as a transposed kernel, made once."""
    made: dict[Step, Value] = {}
    first: dict[Any, Step] = {}
    repeats: dict[Step, Step] = {}
    of_parameters: set[Step] = set()
    for step in script.steps:
        items = [repeats.get(item.step, item.step) for item in operands_of(step) if isinstance(item, Value)]
        if (
            items
            and step.key not in OF_CHANCE
            and all(item.key is parameter or item in of_parameters for item in items)
        ):
            of_parameters.add(step)
            same = first.setdefault((code_of(step), *map(id, items)), step)
            if same is not step:
                repeats[step] = same
    if not repeats:
        return script
    new = script.emptied()
    for step in script.steps:
        if step in repeats:
            made[step] = made[repeats[step]]
            continue
        values = [
            part_of(made[item.step], item.path) if isinstance(item, Value) else item for item in operands_of(step)
        ]
        operands, keywords = replaced(step, values)
        made[step] = new.remade(step, operands, keywords)
    for ours, theirs in ((new.inputs, script.inputs), (new.outputs, script.outputs)):
        ours |= {name: part_of(made[value.step], value.path) for name, value in theirs.items()}
    return new


class NotRolled(Exception):
    """A loop that makes no driver here."""


class _Rolling:
    """A script that is written anew with a driver in place of a loop."""

    def __init__(self, old: Script, loop: Loop, value_of: Callable[[Dim], int] | None) -> None:
        self.old, self.loop, self.value_of = old, loop, value_of
        self.new = old.emptied()
        self.made: dict[Step, Value] = {}
        """What takes the place of a step of the old script."""
        self.lifted: dict[Place, Value] = {}
        """Sequences [batch, time, width] of what the rounds give."""
        self.final: dict[Place, Value] = {}
        """What the last round gives, where it is known apart."""
        self.hoisted: set[int] = set()
        self.taken: list[tuple[Entries, Value]] = []
        """Sequences of entries that the rounds take."""

    def script(self, outside: set[Step], inside: Sequence[Step]) -> Script | None:
        looped = {step for steps in self.loop.rounds for step in steps}
        try:
            for step in self.old.steps:
                if step in outside:
                    self._again(step)
            is_done = False
            for step in inside:
                if step not in looped:
                    self._again(step)
                elif not is_done:
                    self._roll()
                    is_done = True
        except NotRolled:
            return None
        for name, value in self.old.inputs.items():
            self.new.inputs[name] = self._value(value)
        for name, value in self.old.outputs.items():
            self.new.outputs[name] = self._value(value, True)
        return self.new

    # Steps again --------------------------------------------------------------------------------

    def _again(self, step: Step) -> None:
        if step.key in (basic.stack, basic.concat) and self._stacked(step):
            return
        values = [self._value(item) for item in operands_of(step)]
        operands, keywords = replaced(step, values)
        self.made[step] = self.new.remade(step, operands, keywords)

    def _value(self, item: Any, is_output: bool = False) -> Any:
        """An operand of a step outside of the loop, or an output."""
        if not isinstance(item, Value):
            return item
        if item.step in self.made:
            return part_of(self.made[item.step], item.path)
        number, place = self._place(item)
        last = self.loop.count - 1  # other readers of all rounds may be a loop, too, which takes entries alike
        is_last = number == last and (is_output or self.loop.singly.get(place) == {last})
        if is_last and place in self.final:
            return self.final[place]
        sequence = self._sequence(place)
        index = -1 if is_last else number
        return self._as(self.new.item(sequence, ALL, index), item)

    def _place(self, item: Value) -> tuple[int, Place]:
        for number, steps in enumerate(self.loop.rounds):
            if item.step in steps:
                return number, (steps.index(item.step), item.path)
        raise NotRolled

    def _sequence(self, place: Place) -> Value:
        if place not in self.lifted:
            raise NotRolled
        return self.lifted[place]

    def _as(self, x: Value, item: Value) -> Value:
        """[batch, width] in the shape of what it stands for."""
        shape = item.tensor.type.shape
        return x if len(shape) == 2 else self.new.call(basic.reshape, x, _entries(shape))

    def _stacked(self, step: Step) -> bool:
        """Whether a stack was made of what rounds give, one behind the other."""
        items, axis = step.operands[0], step.operands[1] if len(step.operands) > 1 else step.keywords.get("axis", 0)
        joins = step.key is basic.concat
        looped = [isinstance(item, Value) and item.step not in self.made for item in items]
        if not any(looped) or len(items) < 2:
            return False
        places = [self._place(item) if inside else None for item, inside in zip(items, looped, strict=True)]
        numbers = [found[0] for found in places if found]
        kinds = {found[1] for found in places if found}
        first, last = looped.index(True), len(looped) - looped[::-1].index(True)
        forward = numbers == list(range(self.loop.count))
        backward = numbers[::-1] == list(range(self.loop.count))
        if not all(looped[first:last]) or len(kinds) != 1 or not (forward or backward):
            return False
        sequence = self._sequence(next(iter(kinds)))
        if backward and not forward:
            sequence = self.new.item(sequence, ALL, slice(None, None, -1))
        shape = items[first].tensor.type.shape
        if joins:
            axis %= len(shape)
            if shape[axis] != 1:
                return False
            shape = (*shape[:axis], *shape[axis + 1 :])
        whole = self._laid_out(sequence, shape, axis)

        def part(item: Any) -> Value:
            value: Value = self._value(item)
            return value if joins else self.new.call(basic.expand_dims, value, axis)

        parts = [*map(part, items[:first]), whole, *map(part, items[last:])]
        self.made[step] = whole if len(parts) == 1 else self.new.call(basic.concat, parts, axis)
        return True

    def _laid_out(self, sequence: Value, shape: tuple[Dim, ...], axis: int) -> Value:
        """[batch, time, width] as a stack along ``axis`` of what has ``shape``."""
        new, rank = self.new, len(shape)
        axis %= rank + 1
        if rank == 1 and isinstance(shape[0], Size):  # a number a row
            flat = new.call(basic.squeeze, sequence, 2)
            return flat if axis == 1 else new.call(basic.transpose, flat, (1, 0))
        if rank == 2:
            order = {0: (1, 0, 2), 1: (0, 1, 2), 2: (0, 2, 1)}[axis]
            return sequence if axis == 1 else new.call(basic.transpose, sequence, order)
        if rank == 1:  # a row without a batch
            rows = new.call(basic.squeeze, sequence, 0)
            return rows if axis == 0 else new.call(basic.transpose, rows, (1, 0))
        rest = [dim if isinstance(dim, int) else None for dim in shape[1:]]
        if None in rest:
            raise NotRolled
        wide = new.call(basic.reshape, sequence, (None, None, *rest))
        before = [*range(wide.tensor.rank)]
        before.remove(1)
        before.insert(axis, 1)
        return wide if axis == 1 else new.call(basic.transpose, wide, tuple(before))

    # The loop -----------------------------------------------------------------------------------

    def _roll(self) -> None:
        """Lifts what can be, and makes a cell of what is left."""
        self._hoist()
        self._lift()
        core = self._core(self._left())
        if core:
            _Core(self, core).drive()
            self._lift()
            if self._left():
                raise NotRolled

    def _hoist(self) -> None:
        """Steps that are the same in all rounds are made once."""
        hoisted: set[int] = set()
        for place, step in enumerate(self.loop.first):
            items = self.loop.operands[place]
            for number, item in enumerate(items):
                if isinstance(item, Inner) and item.place[0] in hoisted:
                    items[number] = Shared(
                        part_of(
                            Value(self.loop.first[item.place[0]].thing, self.loop.first[item.place[0]]), item.place[1]
                        )
                    )
            if all(isinstance(item, Shared) for item in items) and step.key not in (static_rnn, dropout):
                hoisted.add(place)
                self._again(step)
                for steps in self.loop.rounds[1:]:
                    self.made[steps[place]] = self.made[step]
        self.hoisted = hoisted

    def _left(self) -> list[int]:
        """Steps of a round that are in no sequence yet."""
        done = {place for place, _ in self.lifted} | self.hoisted
        return [place for place in range(len(self.loop.first)) if place not in done and self._is_needed(place)]

    def _is_needed(self, place: int) -> bool:
        if any(other == place for other, _ in self.loop.used):
            return True
        return any(
            isinstance(item, Inner | Carried) and item.place[0] == place
            for items in self.loop.operands
            for item in items
        )

    def _core(self, left: Sequence[int]) -> list[int]:
        """Steps that hang on what they gave in the round before; all that are left, where what is behind them can't be
        lifted.
        """
        reads = {
            place: {item.place[0] for item in self.loop.operands[place] if isinstance(item, Inner | Carried)}
            for place in left
        }
        reached = {place: set(found) for place, found in reads.items()}
        for _ in left:
            for found in reached.values():
                for other in [*found]:
                    found |= reached.get(other, set())
        core = [place for place in left if place in reached[place]]
        behind = [place for place in left if place not in core]
        fits = all(self._can_lift(self.loop.first[place]) for place in behind)
        between = any(place in reached[other] for place in behind for other in core)
        return core if core and fits and not between else [*left]

    def entries(self, taken: Entries) -> Value:
        """The sequence of entries of an axis that the rounds take."""
        for other, value in self.taken:
            at = (other.axis, other.start, other.step) == (taken.axis, taken.start, taken.step)
            if at and _same(other.source, taken.source):
                return value
        value = self._taken(taken)
        self.taken.append((taken, value))
        return value

    def _taken(self, entries: Entries) -> Value:
        source = self._value(entries.source)
        shape = source.tensor.type.shape
        axis, count = entries.axis, self.loop.count
        size = sized(entries.source.tensor.type.shape[axis], self.value_of)
        start, step = entries.start, entries.step
        if start < 0:
            if size is None:
                raise NotRolled
            start += size
        index = self._slice(start, step, count, size, entries.source.tensor.type.shape[axis])
        if index != ALL:
            source = self.new.item(source, *(ALL,) * axis, index)
        rank = len(shape)
        if rank == 1:  # a number a round, of no batch
            source = self.new.call(basic.reshape, source, (1, -1, 1))
        elif rank == 2 and axis == 1:  # [batch, time] of numbers
            source = self.new.call(basic.expand_dims, source, 2)
        elif rank == 2:  # [time, width] without a batch
            source = self.new.call(basic.expand_dims, source, 0)
        else:
            order = [*range(rank)]
            order.remove(axis)
            order.insert(1, axis)
            source = source if axis == 1 else self.new.call(basic.transpose, source, tuple(order))
            if rank > 3:
                rest = product(source.tensor.type.shape[2:])
                if not isinstance(rest, int):
                    raise NotRolled
                source = self.new.call(basic.reshape, source, (None, None, rest))
        return source

    def _slice(self, start: int, step: int, count: int, size: int | None, dim: Dim) -> Any:
        """Which entries are taken: from an end of the axis, where that is near."""
        last = start + (count - 1) * step
        near = 4 if isinstance(dim, Size) else 0
        if step > 0:
            stop: int | None = last + 1
            if size is not None and last + step >= size:
                stop = None
            elif size is not None and size - (last + 1) <= near:
                stop = last + 1 - size
            return (
                slice(start or None, stop, None if step == 1 else step) if (start, stop, step) != (0, None, 1) else ALL
            )
        stop = None if last + step < 0 else last - 1
        begin: int | None = start
        if size is not None and start == size - 1:
            begin = None
        elif size is not None and size - start <= near:
            begin = start - size
        return slice(begin, stop, step)

    # Lifting ------------------------------------------------------------------------------------

    def _lift(self) -> None:
        """Makes sequences of what steps give, as long as there are such."""
        for place, step in enumerate(self.loop.first):
            if (place, ()) not in self.lifted and not any(other == place for other, _ in self.lifted):
                self._lift_one(place, step)

    def _can_lift(self, step: Step) -> bool:
        if step.key is static_rnn or step.key is dynamic_rnn:
            return True
        if step.key is basic.concat:
            return step.thing.rank == 2 and (step.operands[1:] or (-1,))[0] in (1, -1)
        known = step.key in OF_EACH_ELEMENT or step.key in OF_PAIRS or step.key in ("@", embedding)
        return known and isinstance(step.thing, Tensor) and step.thing.rank == 2

    def _lift_one(self, place: int, step: Step) -> None:
        operands = self.loop.operands[place]
        if step.key is static_rnn:
            self._lift_cell(place, step)
            return
        if not self._can_lift(step) or isinstance(step.thing, tuple):
            return
        values = []
        for item in operands:
            sequence = self.sequence_of(item)
            if isinstance(item, Carried) or (isinstance(item, Inner) and sequence is None):
                return
            if sequence is not None:
                values.append(sequence)
            elif isinstance(item, Shared) and isinstance(item.value, Value):
                fits = item.value.tensor.rank == 2 if step.key == "@" else item.value.tensor.rank <= 1
                if not fits and step.key is not embedding:
                    return
                values.append(self._value(item.value))
            else:
                values.append(item.value)
        if not any(isinstance(item, Inner | Entries) for item in operands):
            return
        if step.key is embedding:
            ids, table = values
            values = [self.new.call(basic.squeeze, ids, 2) if ids.tensor.rank == 3 else ids, table]
        if step.key == "@" and not isinstance(operands[0], Inner | Entries):
            return
        made, keywords = replaced(step, values)
        if step.key is basic.concat:
            made = [made[0], -1]
        self.lifted[place, ()] = self.new.remade(step, made, keywords)

    def sequence_of(self, item: Any) -> Value | None:
        """What an operand is in all rounds, [batch, time, width], where that is made."""
        if isinstance(item, Entries):
            return self.entries(item)
        return self.lifted.get(item.place) if isinstance(item, Inner) else None

    def _lift_cell(self, place: int, step: Step) -> None:
        """A recurrent cell that reads a sequence and its own state alone is a driver of its own."""
        cell, x, *state = self.loop.operands[place]
        sequence = self.sequence_of(x)
        if sequence is None or not isinstance(cell, Shared):
            return
        if not all(isinstance(item, Carried) and item.place[0] == place for item in state):
            return
        if sequence.tensor.rank != 3 or sequence.tensor.dtype not in ("float32", "float64"):
            return
        initial = [self._initial(item) for item in state]
        options: dict[str, Any] = {}
        if any(item is not None for item in initial):
            if any(item is None for item in initial):
                return
            options["initial_state"] = tuple(initial) if len(initial) > 1 else initial[0]
        inner = self._value(cell.value)
        scope = step.keywords["scope"]
        if isinstance(inner.thing, shared) and self._is_only_in_loop(cell.value):
            inner = inner.step.operands[0]
        outputs, final = self.new.call(dynamic_rnn, inner, sequence, **options, scope=scope)
        self.lifted[place, (0, 0)] = outputs
        leaves = [*final] if isinstance(final.thing, tuple) else [final]
        for item, leaf in zip(state, leaves, strict=True):
            assert isinstance(item, Carried)
            self.final[item.place] = leaf
        self.lifted[state[-1].place] = outputs  # type: ignore[union-attr]
        self.final[place, (0, 0)] = leaves[-1]

    def _initial(self, item: Any) -> Value | None:
        if item.initial is None or item.initial.step.fill == 0:
            return None
        value: Value = self._value(item.initial)
        return value

    def _is_first_in_loop(self, cell: Value) -> bool:
        """Whether no step before the loop reads the cell."""
        for step in self.old.steps:
            if any(isinstance(item, Value) and item.step is cell.step for item in operands_of(step)):
                if not isinstance(step.thing, Cell):
                    return any(step in steps for steps in self.loop.rounds)
        return True

    def _is_only_in_loop(self, cell: Value) -> bool:
        looped = {step for steps in self.loop.rounds for step in steps}
        return all(
            step in looped for step in self.old.steps for item in operands_of(step)
            if isinstance(item, Value) and item.step is cell.step
        )  # fmt: skip


# A cell of the script's own ---------------------------------------------------------------------------


class _Core:
    """Steps that become a cell of the script's own, and the driver over it."""

    def __init__(self, rolling: _Rolling, core: Sequence[int]) -> None:
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
        for place, items in enumerate(self.loop.operands):
            for item in items:
                if place not in members and isinstance(item, Inner) and item.place[0] in members:
                    self.emitted += [] if item.place in self.emitted else [item.place]
        if not self.carried:
            raise NotRolled

    def _read(self, item: Any, reader: int) -> None:
        """Notes a sequence that is read."""
        if any(_same_input(item, other) for other, _ in self.inputs):
            return
        if self.rolling.sequence_of(item) is None:
            raise NotRolled
        number = next(n for n, other in enumerate(self.loop.operands[reader]) if other is item)
        value = operands_of(self.loop.first[reader])[number]
        self.inputs.append((item, value.tensor))

    def _carry(self, item: Carried, members: set[int]) -> None:
        if item.place[0] not in members:
            raise NotRolled
        if not any(item.place == other.place for other in self.carried):
            self.carried.append(item)
        elif not any(item.place == other.place and _same(item.initial, other.initial) for other in self.carried):
            raise NotRolled

    def _share(self, value: Value) -> None:
        known = self.cells if isinstance(value.thing, Cell) else self.outside
        if not any(_same(value, other) for other in known):
            known.append(value)

    def _only_final(self, place: Place) -> bool:
        last = self.loop.count - 1
        return self.loop.used[place] == {last} and any(item.place == place for item in self.carried)

    # Shapes -------------------------------------------------------------------------------------

    def _tensor(self, place: Place) -> Tensor:
        found = part_of(Value(self.loop.first[place[0]].thing, self.loop.first[place[0]]), place[1])
        if not isinstance(found.thing, Tensor):
            raise NotRolled
        return found.thing

    def _flat_width(self, tensor: Tensor) -> int:
        """Numbers of a row."""
        shape = tensor.type.shape
        if tensor.rank == 1 and isinstance(shape[0], Size):
            return 1
        width = product(shape if self._has_no_batch(shape) else shape[1:])
        if tensor.rank == 3 and shape[0] == 1 and isinstance(shape[1], Size):
            width = shape[2]
        if not isinstance(width, int):
            raise NotRolled
        return width

    def _has_no_batch(self, shape: tuple[Dim, ...]) -> bool:
        return len(shape) == 0 or (len(shape) == 1 and isinstance(shape[0], int))

    def _flat(self, script: Script, x: Value, dtype: str) -> Value:
        """[batch, width] of floats."""
        x = x if x.tensor.dtype == dtype else script.call(basic.cast, x, dtype)
        if x.tensor.rank == 2:
            return x
        return script.call(basic.reshape, x, (-1, self._flat_width(x.tensor)))

    def _shaped(self, script: Script, x: Value, like: Tensor) -> Value:
        """[batch, width] as what it stands for."""
        shape = like.type.shape
        if like.rank != 2:
            x = script.call(basic.reshape, x, _entries(shape))
        return x if like.dtype == x.tensor.dtype else script.call(basic.cast, x, like.dtype)

    def names_of_given(self) -> list[str]:
        """What the cell calls what it is given: its cells, then what comes from outside."""
        names = [_cell_name(number, len(self.cells)) for number in range(len(self.cells))]
        for value in self.outside:
            hint = value.step.hint
            base = value.path[-1] if value.path and isinstance(value.path[-1], str) else hint
            base = name = identifier(base) if isinstance(base, str) and base != "x" else "given"
            count = 0
            while name in names:
                count += 1
                name = f"{base}_{count}"
            names.append(name)
        return names

    # The driver -----------------------------------------------------------------------------------

    def drive(self) -> None:
        rolling, new = self.rolling, self.new
        dtype = next((self._tensor(item.place).dtype for item in self.carried
                      if self._tensor(item.place).dtype in ("float32", "float64")), "float32")  # fmt: skip
        found = [rolling.sequence_of(item) for item, _ in self.inputs]
        sequences = [item for item in found if item is not None]
        flat = [item if item.tensor.dtype == dtype else new.call(basic.cast, item, dtype) for item in sequences]
        initial = [rolling._initial(item) for item in self.carried]
        starts = [None if item is None else self._flat(new, item, dtype) for item in initial]
        x = self._x(flat, starts)
        names = self._names()
        name = new.class_name("Step")
        kind: Any = type(name, (_OwnCell,), {"scope_name": None})
        kind.core, kind.names, kind.dtype, kind.rolling = self, names, dtype, rolling
        given = [*self._given_cells(), *(rolling._value(value) for value in self.outside)]
        cell = new.own_cell(kind, *given)
        scope = new.scope("rnn")
        options = self._initial_state(starts, names, dtype)
        outputs, state = new.call(dynamic_rnn, cell, x, **options, scope=scope)
        self._rename(scope, name)
        new.classes[name] = kind.text
        leaves = [*state] if isinstance(state.thing, tuple) else [state]
        for item, leaf in zip(self.carried, leaves, strict=True):
            rolling.final[item.place] = self._shaped(new, leaf, self._tensor(item.place))
        start = 0
        for place in self.emitted:
            width = self._flat_width(self._tensor(place))
            whole = new.item(outputs, ..., slice(start or None, start + width)) if len(self.emitted) > 1 else outputs
            like = self._tensor(place).dtype
            rolling.lifted[place] = whole if like == dtype else new.call(basic.cast, whole, like)
            start += width
        for place in self.core:
            rolling.lifted.setdefault((place, ("inside",)), outputs)

    def _x(self, flat: list[Value], starts: list[Value | None]) -> Value:
        if flat:
            return flat[0] if len(flat) == 1 else self.new.call(basic.concat, flat, -1)
        found = next((item for item in starts if item is not None), None)
        if found is None:
            raise NotRolled
        column = self.new.item(found, ALL, None, slice(None, 1))  # which no step reads
        return self.new.call(basic.tile, column, [1, self.loop.count, 1], hint="steps")

    def _initial_state(self, starts: list[Value | None], names: list[str], dtype: str) -> dict[str, Any]:
        if all(item is None for item in starts):
            return {}
        filled = []
        for item, start in zip(self.carried, starts, strict=True):
            if start is None:
                if item.initial is None:
                    raise NotRolled
                start = self._flat(self.new, self.rolling._value(item.initial), dtype)
            filled.append(start)
        return {"initial_state": dict(zip(names, filled, strict=True)) if len(names) > 1 else filled[0]}

    def _names(self) -> list[str]:
        """Of states: those of LSTMs are h and c, others by their hints."""
        found: list[str] = []
        for item in self.carried:
            path = item.place[1]
            hint = self.loop.first[item.place[0]].hint
            base = (
                path[-1]
                if path and isinstance(path[-1], str)
                else hint
                if isinstance(hint, str) and hint != "x"
                else "h"
            )
            name, count = base, 0
            while name in found:
                count += 1
                name = f"{base}_{count}"
            found.append(name)
        return found

    def _given_cells(self) -> list[Value]:
        given = []
        for cell in self.cells:
            value = self.rolling._value(cell)
            if isinstance(value.thing, shared) and self.rolling._is_only_in_loop(cell):
                value = value.step.operands[0]
            given.append(value)
        return given

    def _rename(self, scope: str, name: str) -> None:
        """Parameters of cells that are used here first are under the new driver's name."""
        for number, cell in enumerate(self.cells):
            if not self.rolling._is_first_in_loop(cell):
                continue
            bare = cell.thing.cell if isinstance(cell.thing, shared) else cell.thing
            step = next(step for step in self.loop.first if any(
                isinstance(item, Value) and item.step is cell.step for item in operands_of(step)))  # fmt: skip
            old = f"{step.keywords['scope']}/{scope_of(bare)}/"
            place = f"{scope}/{snake_case(name)}/{_cell_name(number, len(self.cells))}/{scope_of(bare)}/"
            for key in [key for key in self.new.parameters if key.startswith(old)]:
                self.new.parameters[place + key[len(old) :]] = self.new.parameters.pop(key)


class _OwnCell(Cell):
    """The base of cells that scripts have of their own. Subclasses are made, one a loop."""

    core: Any
    names: list[str]
    dtype: str
    rolling: _Rolling
    text: str

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
    core: _Core = kind.core
    script = Script("")
    values: dict[Place, Value] = {}
    names, start = core.names_of_given(), 0
    read: list[tuple[Any, Value]] = []
    for item, like in core.inputs:
        sequence = core.rolling.sequence_of(item)
        assert sequence is not None
        width = sequence.tensor.width
        given = script.given(x, "x")
        piece = script.item(given, ALL, slice(start or None, start + width)) if len(core.inputs) > 1 else given
        read.append((item, core._shaped(script, piece, like)))
        start += width
    before: dict[Place, Value] = {}
    for name, item in zip(kind.names, core.carried, strict=True):
        given = script.given(state[name], f"state[{name!r}]")
        before[item.place] = core._shaped(script, given, core._tensor(item.place))
    outer = [*core.cells, *core.outside]
    shared_values = [script.given(thing, f"self.{name}") for thing, name in zip(cell.given, names, strict=True)]

    def operand(item: Any) -> Any:
        from_sequence = next((value for other, value in read if _same_input(item, other)), None)
        if from_sequence is not None:
            return from_sequence
        if isinstance(item, Inner):
            found = values.get(item.place)
            return part_of(values[item.place[0], ()], item.place[1]) if found is None else found
        if isinstance(item, Carried):
            return before[item.place]
        if isinstance(item.value, Value):
            return next(new for old, new in zip(outer, shared_values, strict=True) if _same(old, item.value))
        return item.value

    for place in core.core:
        step = core.loop.first[place]
        given_values = [operand(item) for item in core.loop.operands[place]]
        if step.key is static_rnn:
            number = next(n for n, c in enumerate(core.cells) if _same(c, core.loop.operands[place][0].value))
            values |= _cell_step(script, p, place, step, given_values, _cell_name(number, len(core.cells)), core)
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
    lines = script.body((output, new), ("p", "x", "state", "self"))
    kind.text = _class_text(kind, cell, names, lines)
    return output.tensor, {name: value.tensor for name, value in new.items()}


def _cell_step(
    script: Script, p: Any, place: int, step: Step, given: list[Any], name: str, core: _Core
) -> dict[Place, Value]:
    """A step of a cell inside: ``p.cell(name, cell)(x, state)``."""
    cell, x, *state = given
    leaves = []
    for leaf in state:
        if leaf is None:
            raise NotRolled
        leaves.append(leaf)
    nest = tuple(leaves) if len(leaves) > 1 else leaves[0]
    output, new = script.inner_cell(p, name, cell, x, nest)
    found = {(place, (0, 0)): output}
    old = step.thing[1]
    fields = getattr(old, "_fields", None) if isinstance(old, tuple) else None
    parts = [*new] if isinstance(new.thing, tuple) else [new]
    for number, part in enumerate(parts):
        path: tuple[int | str, ...] = (1,)
        if isinstance(old, tuple):
            path = (1, fields[number] if fields else number)
        found[place, path] = part
    return found


def _class_text(kind: Any, cell: Any, names: list[str], lines: list[str]) -> str:
    widths = ", ".join(f"{name!r}: {width}" for name, width in cell.state().items())
    text = [f"class {kind.__name__}(rg.Cell):", '    """A step that the module repeats."""', ""]
    if names:
        text += [
            f"    def __init__(self, {', '.join(names)}):",
            *(f"        self.{name} = {name}" for name in names),
            "",
        ]
    text += ["    def state(self):", f"        return {{{widths}}}", ""]
    if cell.output_size != list(cell.state().values())[-1]:
        text += ["    @property", "    def output_size(self):", f"        return {cell.output_size}", ""]
    text += ["    def step(self, p, x, state):", *(f"        {line}" for line in lines)]
    return "\n".join(text)


def _cell_name(number: int, count: int) -> str:
    return "cell" if count == 1 else f"cell_{number}"


def _entries(shape: tuple[Dim, ...]) -> tuple[Any, ...]:
    """A shape whose open sizes, of which there is one at most, are -1."""
    found = tuple(dim if isinstance(dim, int) else -1 for dim in shape)
    if found.count(-1) > 1:
        raise NotRolled
    return found


def part_of(value: Value, path: Sequence[int | str]) -> Value:
    """The part of a value to which a path leads."""
    thing = value.thing
    for key in path:
        thing = getattr(thing, key) if isinstance(key, str) else thing[key]
    return Value(thing, value.step, (*value.path, *path)) if path else value


def _same_input(a: Any, b: Any) -> bool:
    """Whether two operands are the same sequence."""
    if isinstance(a, Entries) and isinstance(b, Entries):
        same_places = (a.axis, a.start, a.step, a.keeps) == (b.axis, b.start, b.step, b.keeps)
        return same_places and _same(a.source, b.source)
    return isinstance(a, Inner) and isinstance(b, Inner) and a.place == b.place


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Value) and isinstance(b, Value):
        return a.step is b.step and a.path == b.path
    return a is b
