"""``Rolling``: rewrites a script with a driver in place of an unrolled loop.

Steps that do not depend on the previous iteration, such as products with a weight, become calls on whole sequences.
Recurrent cells become drivers. The remaining steps become a cell that the script defines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...declare.cell import Cell, shared
from ...declare.functions import basic
from ...declare.functions.layers import embedding
from ...declare.functions.padding import pad
from ...declare.functions.randomness import dropout
from ...declare.running.drivers import dynamic_rnn, static_rnn
from ...declare.tensor import Tensor
from ...ir.types import Dim, Size
from ...support.errors import RnnGraphError, read_from
from ..script import Script
from ..steps import Step, Value
from .elementwise import BROADCASTING, ELEMENTWISE, ELEMENTWISE_BINARY
from .loop import (
    Carried,
    Entries,
    Inner,
    Loop,
    Numbers,
    Operand,
    Place,
    Shared,
    closure,
    needed_steps,
    operands_of,
    replaced,
)
from .own_cells import Core
from .parts import (
    ALL,
    NotRolledError,
    batch_axis,
    batch_major,
    flat_rows,
    has_no_batch,
    is_zero,
    part_of,
    rows_first,
    same_entries,
    shaped_rows,
    sized,
    slice_of,
)
from .step_numbers import sequence_of_numbers


class Rolling:
    """Rewrites a script with a driver in place of one unrolled loop."""

    def __init__(self, old: Script, loop: Loop, value_of: Callable[[Dim], int] | None) -> None:
        self.old, self.loop, self.value_of = old, loop, value_of
        self.new = old.without_steps()
        self.replacements: dict[Step, Value] = {}
        """Values of the new script, by the steps of the old script that they replace."""
        self.lifted: dict[Place, Value] = {}
        """Sequences [batch, time, width] that contain the results of all iterations, by place in an iteration."""
        self.final: dict[Place, Value] = {}
        """Results of the last iteration that a driver returns separately, by place in an iteration."""
        self.hoisted: set[int] = set()
        """Indices in an iteration of the loop-invariant steps, which are declared once, before the loop."""
        self.has_cells = True
        """True if single recurrent cells may become drivers; False to make one cell of the loop."""
        self.needed = needed_steps(loop)
        """Indices in an iteration of the steps on which later iterations, or steps after the loop, depend."""
        self.sequences: list[tuple[Entries, Value]] = []
        """(entries, sequence) pairs of the operands that are entries of an axis. Equal operands share a sequence."""

    def script(self, outside: set[Step], inside: Sequence[Step]) -> Script | None:
        """Return the new script, with a call such as ``dynamic_rnn`` in place of the loop; None if that is impossible.

        Args:
            outside: Steps that precede all loops.
            inside: All other steps, in order.
        """
        looped = {step for steps in self.loop.iterations for step in steps}
        try:
            for step in self.old.steps:
                if step in outside:
                    self._repeat(step)
            is_done = False
            for step in inside:
                if step not in looped:
                    self._repeat(step)
                elif not is_done:
                    self._roll()
                    is_done = True
        except (NotRolledError, RnnGraphError):  # Sizes that the module wrote as numbers may not fit symbolic ones.
            return None
        for name, value in self.old.inputs.items():
            self.new.inputs[name] = self.value(value)
        for name, value in self.old.outputs.items():
            self.new.outputs[name] = self.value(value, True)
        return self.new

    # Steps outside of the loop ------------------------------------------------------------------

    def _repeat(self, step: Step) -> None:
        """Declare a step of the old script again in the new script."""
        if step.key in (basic.stack, basic.concat) and self._replace_stack(step):
            return
        values = [self.value(item) for item in operands_of(step)]
        operands, keywords = replaced(step, values)
        self.replacements[step] = self.new.repeat(step, operands, keywords)

    def value(self, item: Any, is_output: bool = False) -> Any:
        """Return the new script's value for ``item``: an operand of a step that is not in the loop, or an output."""
        if not isinstance(item, Value):
            return item
        if item.step in self.replacements:
            return part_of(self.replacements[item.step], item.path)
        number, place = self._place_in_iteration(item)
        # The driver's final state is used only if no other iteration's result is read. Otherwise the readers may form
        # another loop, which must index one sequence in all iterations.
        last = self.loop.count - 1
        is_last = number == last and (is_output or self.loop.singly.get(place) == {last})
        if is_last and place in self.final:
            return self.final[place]
        sequence = self._sequence(place)
        index = -1 if is_last else number
        shape = item.tensor.type.shape
        if len(shape) == 1 and isinstance(shape[0], Size):  # Other loops recognise an entry only by one index.
            return self.new.item(sequence, ALL, index, 0)
        return self._reshaped_like(self.new.item(sequence, ALL, index), item)

    def _place_in_iteration(self, item: Value) -> tuple[int, Place]:
        """Return (index of the iteration that computes a value, (index of the step, path in its result))."""
        for number, steps in enumerate(self.loop.iterations):
            if item.step in steps:
                return number, (steps.index(item.step), item.path)
        raise NotRolledError

    def _sequence(self, place: Place) -> Value:
        """Return the values [batch, time, width] that all iterations compute at a place."""
        if place not in self.lifted:
            raise NotRolledError
        return self.lifted[place]

    def _reshaped_like(self, x: Value, item: Value) -> Value:
        """Reshape x [batch, width] to the shape of ``item``, the value that x replaces."""
        return shaped_rows(self.new, x, item.tensor.type.shape)

    def _replace_stack(self, step: Step) -> bool:
        """Replace a stack of all iterations' results of one step by one sequence. Return False for other steps."""
        items, axis = step.operands[0], step.operands[1] if len(step.operands) > 1 else step.keywords.get("axis", 0)
        joins = step.key is basic.concat
        looped = [isinstance(item, Value) and item.step not in self.replacements for item in items]
        if not any(looped) or len(items) < 2:
            return False
        places = [
            self._place_in_iteration(item) if inside else None for item, inside in zip(items, looped, strict=True)
        ]
        numbers = [position[0] for position in places if position]
        kinds = {position[1] for position in places if position}
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
            value: Value = self.value(item)
            return value if joins else self.new.call(basic.expand_dims, value, axis)

        parts = [*map(part, items[:first]), whole, *map(part, items[last:])]
        self.replacements[step] = whole if len(parts) == 1 else self.new.call(basic.concat, parts, axis)
        return True

    def _laid_out(self, sequence: Value, shape: tuple[Dim, ...], axis: int) -> Value:
        """Reshape a sequence [batch, time, width] to a stack of its entries along ``axis``, each of shape ``shape``."""
        new, rank = self.new, len(shape)
        axis %= rank + 1
        if rank == 1 and isinstance(shape[0], Size):  # shape [batch]: one number per row
            flat = new.call(basic.squeeze, sequence, 2)
            return flat if axis == 1 else new.call(basic.transpose, flat, (1, 0))
        if rank == 1:  # shape [width], without a batch axis
            rows = new.call(basic.squeeze, sequence, 0)
            return rows if axis == 0 else new.call(basic.transpose, rows, (1, 0))
        order = rows_first(shape)
        rest = [dim if isinstance(dim := shape[other], int) else None for other in order[1:]]
        if None in rest:
            raise NotRolledError
        wide = sequence if rank == 2 else new.call(basic.reshape, sequence, (None, None, *rest))
        places = [order.index(other) for other in range(rank)]
        before = [place + (place > 0) for place in places]  # positions in ``wide``, where time is axis 1
        before.insert(axis, 1)
        return wide if before == [*range(rank + 1)] else new.call(basic.transpose, wide, tuple(before))

    # The loop -----------------------------------------------------------------------------------

    def _roll(self) -> None:
        """Move steps out of the loop as calls on whole sequences, and make a recurrent cell of the others."""
        self._hoist()
        self._lift()
        core = self._core(self._remaining())
        if core and not self._carries(core):  # Only recurrent cells carry state: include them in the loop's own cell.
            self.lifted, self.final, self.has_cells = {}, {}, False
            self._lift()
            core = self._core(self._remaining())
        if core:
            with read_from(self.loop.first[core[0]].where):
                Core(self, core).drive()
            self._lift()
            if self._remaining():
                raise NotRolledError

    def _carries(self, places: Sequence[int]) -> bool:
        """True if any of these steps reads a result of an earlier iteration."""
        return any(isinstance(item, Carried) for place in places for item in self.loop.operands[place])

    def _hoist(self) -> None:
        """Declare the loop-invariant steps once, before the loop."""
        hoisted: set[int] = set()
        for place, step in enumerate(self.loop.first):
            items = self.loop.operands[place]
            for number, item in enumerate(items):
                if isinstance(item, Inner) and item.place[0] in hoisted:
                    items[number] = Shared(
                        part_of(
                            Value(self.loop.first[item.place[0]].result, self.loop.first[item.place[0]]), item.place[1]
                        )
                    )
            if all(isinstance(item, Shared) for item in items) and step.key not in (static_rnn, dropout):
                hoisted.add(place)
                self._repeat(step)
                for steps in self.loop.iterations[1:]:
                    self.replacements[steps[place]] = self.replacements[step]
        self.hoisted = hoisted

    def _remaining(self) -> list[int]:
        """Return the indices of an iteration's needed steps that are still part of the loop."""
        done = {place for place, _ in self.lifted} | self.hoisted
        return [place for place in range(len(self.loop.first)) if place not in done and place in self.needed]

    def _core(self, left: Sequence[int]) -> list[int]:
        """Return the indices, among ``left``, of steps that depend on their own results in earlier iterations.

        Return all of ``left`` if there are none, if they depend on others of ``left``, or if others cannot be lifted.
        """
        reads = {
            place: {item.place[0] for item in self.loop.operands[place] if isinstance(item, Inner | Carried)}
            for place in left
        }
        reached = closure(reads)
        core = [place for place in left if place in reached[place]]
        after = [place for place in left if place not in core]
        fits = all(self._can_lift(self.loop.first[place]) for place in after)
        between = any(place in reached[other] for place in after for other in core)
        return core if core and fits and not between else [*left]

    def entries(self, entries: Entries) -> Value:
        """Return the sequence of the entries that the iterations read from an axis, declared once."""
        for other, value in self.sequences:
            if same_entries(other, entries):
                return value
        value = self._sequence_of_entries(entries)
        self.sequences.append((entries, value))
        return value

    def _sequence_of_entries(self, entries: Entries) -> Value:
        """Declare the sequence [batch, time, width] of the entries that the iterations read from an axis."""
        source = self.value(entries.source)
        axis, count = entries.axis, self.loop.count - len(entries.before) - (entries.ahead is not None)
        size = sized(entries.source.tensor.type.shape[axis], self.value_of)
        start, step = entries.start, entries.step
        if start < 0:
            if size is None:
                raise NotRolledError
            start += size
        index = slice_of(start, step, count, size, entries.source.tensor.type.shape[axis])
        remaining = axis - sum(type(entry) is int for entry in entries.others[:axis])
        cut = len(entries.before) if len(entries.before) > 1 and index == slice(None, -len(entries.before)) else 0
        if cut:  # Cut only after concatenation with the initial values, since the axis may be shorter than ``cut``.
            index = ALL
        parts = [self._part(source, entries, index)]
        if entries.ahead is not None:
            first = slice(entries.ahead, entries.ahead + 1 or None)
            parts.insert(0, self._part(source, entries, first))
        before = [self.value(item) for item in entries.before]
        parts[:0] = before if entries.keeps else [self.new.call(basic.expand_dims, item, remaining) for item in before]
        source, axis = parts[0] if len(parts) == 1 else self.new.call(basic.concat, parts, remaining), remaining
        if cut:
            source = self.new.item(source, *[ALL] * axis, slice(None, -cut))
        return batch_major(self.new, source, axis)

    def _part(self, source: Value, entries: Entries, index: slice) -> Value:
        """Declare a slice of ``source`` along the entries' axis, with the entries' index along the other axes."""
        whole = [*entries.others[: entries.axis], index, *entries.others[entries.axis + 1 :]]
        while whole and whole[-1] == ALL:
            whole.pop()
        return self.new.item(source, *whole) if whole else source

    # Lifting ------------------------------------------------------------------------------------

    def _lift(self) -> None:
        """Move every possible step out of the loop: declare one call that computes its results in all iterations."""
        for place, step in enumerate(self.loop.first):
            if (place, ()) not in self.lifted and not any(other == place for other, _ in self.lifted):
                self._lift_one(place, step)

    def _can_lift(self, step: Step) -> bool:
        """True if one call on [batch, time, width] sequences can compute a step's results in all iterations."""
        if step.key is static_rnn or step.key is dynamic_rnn:
            return self.has_cells or step.key is dynamic_rnn
        if isinstance(step.result, Tensor) and batch_axis(step.result.type.shape):
            return False
        if step.key is basic.concat:
            return step.result.rank == 2 and step.keywords.get("axis", (step.operands[1:] or (-1,))[0]) in (1, -1)
        if isinstance(step.result, Tensor) and has_no_batch(step.result.type.shape):
            return step.key in ELEMENTWISE or step.key in BROADCASTING
        known = step.key in ELEMENTWISE or step.key in ELEMENTWISE_BINARY or step.key in ("@", embedding)
        return known and isinstance(step.result, Tensor) and step.result.rank == 2

    def _lift_one(self, place: int, step: Step) -> None:
        """Declare a step once on sequences, and record the result in ``lifted``, if all its operands are known."""
        operands = self.loop.operands[place]
        if step.key is static_rnn:
            if self.has_cells:
                self._lift_cell(place, step)
            return
        if not self._can_lift(step) or isinstance(step.result, tuple):
            return
        values = []
        for item in operands:
            sequence = self.sequence_of(item)
            if isinstance(item, Carried | Inner) and sequence is None:
                return
            if sequence is not None:
                values.append(sequence)
            elif isinstance(item, Shared) and isinstance(item.value, Value):
                fits = item.value.tensor.rank == 2 if step.key == "@" else item.value.tensor.rank <= 1
                if not fits and step.key is not embedding:
                    return
                values.append(self.value(item.value))
            elif isinstance(item, Shared):
                values.append(item.value)
        if all(isinstance(item, Shared) for item in operands):
            return
        if step.key is embedding:
            ids, table = values
            values = [self.new.call(basic.squeeze, ids, 2) if ids.tensor.rank == 3 else ids, table]
        if step.key == "@" and isinstance(operands[0], Shared):
            return
        new_operands, keywords = replaced(step, values)
        if step.key is basic.concat:
            new_operands, keywords = [new_operands[0], -1], {}
        self.lifted[place, ()] = self.new.repeat(step, new_operands, keywords)

    def sequence_of(self, item: Operand) -> Value | None:
        """Return an operand's values in all iterations, [batch, time, width]; None if no sequence is declared yet."""
        if isinstance(item, Entries):
            return self.entries(item)
        if isinstance(item, Numbers):
            return sequence_of_numbers(self.new, item, self.entries(item.beside))
        if isinstance(item, Carried):
            return self._delayed(item) if item.place in self.lifted else None
        return self.lifted.get(item.place) if isinstance(item, Inner) else None

    def _delayed(self, item: Carried) -> Value:
        """Declare an operand's values in all iterations: initial values, then the results of earlier iterations."""
        new, sequence = self.new, self.lifted[item.place]
        starts = (item.initial, *item.later)
        if all(map(is_zero, starts)):
            return new.item(new.call(pad, sequence, {1: (item.lag, 0)}), ALL, slice(None, -item.lag))
        width = sequence.tensor.width
        if None in starts or not isinstance(width, int):
            raise NotRolledError
        rows = [new.call(basic.expand_dims, flat_rows(new, self.value(start), width), 1) for start in starts]
        return new.item(new.call(basic.concat, [*rows, sequence], 1), ALL, slice(None, -item.lag))

    def _lift_cell(self, place: int, step: Step) -> None:
        """Replace a cell's steps in all iterations by one ``dynamic_rnn``, if it reads a sequence and its own state."""
        cell, x, *state = self.loop.operands[place]
        sequence = self.sequence_of(x)
        if sequence is None or not isinstance(cell, Shared):
            return
        carried = [item for item in state if isinstance(item, Carried) and item.place[0] == place and item.lag == 1]
        if len(carried) < len(state):
            return
        if sequence.tensor.rank != 3 or sequence.tensor.dtype not in ("float32", "float64"):
            return
        initial = [self.initial(item) for item in carried]
        options: dict[str, object] = {}
        if any(item is not None for item in initial):
            if any(item is None for item in initial):
                return
            options["initial_state"] = tuple(initial) if len(initial) > 1 else initial[0]
        inner = self.value(cell.value)
        scope = step.keywords["scope"]
        if isinstance(inner.result, shared) and self.is_only_in_loop(cell.value):
            inner = inner.step.operands[0]
        with read_from(step.where):
            outputs, final = self.new.call(dynamic_rnn, inner, sequence, **options, scope=scope)
        self.lifted[place, (0, 0)] = outputs
        leaves = final.leaves
        for item, leaf in zip(carried, leaves, strict=True):
            self.final[item.place] = leaf
        self.lifted[carried[-1].place] = outputs
        self.final[place, (0, 0)] = leaves[-1]

    def initial(self, item: Carried) -> Value | None:
        """Return the initial value of a carried operand; None for zeros."""
        if item.initial is None or is_zero(item.initial):
            return None
        value: Value = self.value(item.initial)
        return value

    def is_first_in_loop(self, cell: Value) -> bool:
        """True if no step before the loop uses a cell."""
        for step in self.old.steps:
            reads = any(isinstance(item, Value) and item.step is cell.step for item in operands_of(step))
            if reads and not isinstance(step.result, Cell):
                return any(step in steps for steps in self.loop.iterations)
        return True

    def is_only_in_loop(self, cell: Value) -> bool:
        """True if no step outside of the loop uses a cell."""
        looped = {step for steps in self.loop.iterations for step in steps}
        return all(
            step in looped
            for step in self.old.steps
            for item in operands_of(step)
            if isinstance(item, Value) and item.step is cell.step
        )
