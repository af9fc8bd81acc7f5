"""Reads Loop nodes whose trip count follows from the file and from sizes, such as loops over an input.

An array that is indexed by the step number becomes a sequence. Counters and constants are not states. The reader proves
from the body that the condition does not end the loop early.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ....ir.types import Dim, Size
from ...steps import Value
from ..core.known import (
    Deferred,
    Expanded,
    Known,
    Listed,
    Operand,
    Stacked,
    check_count,
    dtype_of,
    known,
    of_sizes,
    shape_of,
)
from ..core.model import Graph, Node, subgraphs
from ..core.sizes import UnreadableError, axis_of
from ..core.table import Call, Outputs, reads
from ..core.tensors import Tensors
from ..ops.shapes import counted
from .steps import Loop, Steps
from .written import Places, counted_alone, places_of, writer_of

ENDLESS = (1 << 31) - 1
"""Trip count that means no bound."""
MAX_NODES, MAX_DEPTH = 1000, 16
"""Maximum number of nodes, and maximum depth, when a value is traced back to the step number."""
_SAME = ("Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape")
"""Ops that do not change the number in a one-element array. A number is traced back through them to their input."""
_SUMS = ("Add", "Sub", "Mul")
"""Ops through which a linear function of the step number is traced."""


@dataclass(frozen=True)
class _Count:
    """Induction variable: ``first`` at the first step, and 1 more at each later step."""

    first: Dim


@reads("Loop")
def _loop(call: Call) -> Outputs:
    return _Reading(call).outputs()


class _Reading:
    """Reader of one Loop node. It classifies the states: constants, counters, lists, written arrays, carried states."""

    def __init__(self, call: Call) -> None:
        self.call, self.tensors, self.body = call, call.tensors, call.graph("body")
        names = list(self.body.inputs)
        carried = len(call.inputs) - 2
        if len(names) != carried + 2 or len(self.body.outputs) < carried + 1:
            raise UnreadableError("its number of inputs differs from its body's; export it again")
        self.number, self.condition, *self.states = names
        self.following = dict(zip(self.states, self.body.outputs[1:], strict=False))
        self.emitted = self.body.outputs[1 + carried :]
        self.fixed: dict[str, Operand] = {}
        """States that no step changes."""
        self.lists = {
            name: self._insertion(name)
            for place, name in enumerate(self.states)
            if isinstance(operand := call.inputs[2 + place], Listed) and not operand.items
        }
        """For each sequence that starts empty: (value that a step inserts, True if at the front)."""
        self.initial = {name: call.input(2 + place) for place, name in enumerate(self.states) if name not in self.lists}
        self.fixed = {
            name: item for name, item in self.initial.items() if self._identity_source(self.following[name]) == name
        }
        self.counts = {self.number: _Count(0), **dict(self._counters())}
        self.length = self._length()
        self.updates: dict[str, str] = {}
        """{state in which steps overwrite a region: value that a step writes}."""
        self.places = dict(self._written_states())
        self.unit_axes: dict[str, list[int]] = {}
        """{name of an entry that steps read: its axes of size 1, which come from an index that is no scalar}."""

    def outputs(self) -> list[Operand | Deferred]:
        """Return the outputs of the node: the final states, then the results of all steps."""
        not_carried = {*self.fixed, *self.counts, *self.places}
        carried = [name for name in self.initial if name not in not_carried]
        separate_outputs = [*self.emitted, *(item for item, _ in self.lists.values()), *self.updates.values()]
        step_outputs = [*(self.following[name] for name in carried), *separate_outputs]
        sequences = self._sequences(step_outputs)
        shaped_alone = self._shapes(self.places) | self._counter_values(
            0, [name for name in self.counts if name not in sequences]
        )
        graph = replace(self.body, outputs=step_outputs)

        def step(tensors: Tensors, inputs: Mapping[str, Operand]) -> tuple[list[Operand], list[Operand]]:
            shaped = {name: tensors.expand_dims(inputs[name], axes) for name, axes in self.unit_axes.items() if axes}
            results = self.call.branch(graph, {**shaped_alone, **self.fixed, **inputs, **shaped}, tensors)
            first = len(results) - len(self.places)
            pairs = zip(results[first:], self.places.values(), strict=True)
            written = [tensors.reshape(item, places.shape) for item, places in pairs]
            return results[: len(carried)], [*results[len(carried) : first], *written]

        initial = {name: self.initial[name] for name in carried}
        finals, emits = Steps(self.tensors, Loop(initial, sequences, self.length, False, step)).declared()
        known_finals: dict[str, Operand | Deferred] = {**self.fixed, **dict(zip(carried, finals, strict=True))}
        appended = emits[len(self.emitted) :]
        for (name, (_, is_first)), item in zip(self.lists.items(), appended, strict=False):
            known_finals[name] = Stacked(self.tensors.index(item, [slice(None, None, -1)]) if is_first else item)
        for (name, place), item in zip(self.places.items(), appended[len(self.lists) :], strict=True):
            known_finals[name] = place.written(self.tensors, self.initial[name], item, self.length)
        for name, count in self.counts.items():
            if name in self.initial:
                known_finals[name] = self.tensors.reshape(of_sizes([count.first + self.length]), self._shape(name))
        return [*(known_finals[name] for name in self.states), *emits[: len(self.emitted)]]

    def _insertion(self, name: str) -> tuple[str, bool]:
        """Return (value that a step inserts into a sequence, True if it is inserted at the front)."""
        node = self.body.makers.get(self._identity_source(self.following[name]))
        reads = [item for other in self.body.nodes for item in other.inputs]
        reads += [item for other in self.body.nodes for graph in subgraphs(other) for item in _read_within(graph)]
        is_insert = node is not None and node.op == "SequenceInsert" and reads.count(name) == 1
        if node is None or not is_insert or self._identity_source(node.inputs[0]) != name:
            raise UnreadableError("its steps may change a sequence only by inserting one array at an end")
        place = self._invariant_number(node.inputs[2]) if any(node.inputs[2:]) else None
        if any(node.inputs[2:]) and place != 0:
            raise UnreadableError("its steps insert arrays into the middle of a sequence, which is not supported")
        return node.inputs[1], place == 0

    def _written_states(self) -> Iterator[tuple[str, Places]]:
        """Yield (name of a state, regions of it that the steps overwrite)."""
        for name in self.initial:
            node = writer_of(name, self.following[name], self.body, self._identity_source)
            if node is None or not self._is_counted(node.inputs[1]):
                continue
            graph, shapes = replace(self.body, outputs=[node.inputs[1]]), self._shapes(self.initial)
            first, second = (
                self.call.branch(graph, {**shapes, **self.fixed, **self._counter_values(step, self.counts)})[0]
                for step in (0, 1)
            )
            places = places_of(self.tensors, self._shape(name), first, second)
            if places is not None:
                self.updates[name] = node.inputs[2]
                yield name, places

    def _is_counted(self, name: str, others: Iterable[str] = ()) -> bool:
        """True if a value depends only on the step number, shapes, loop invariants and the states ``others``."""
        return counted_alone(name, self.body, [*self.counts, *self.fixed, *others])

    def _shapes(self, names: Iterable[str]) -> dict[str, Operand]:
        """Return zeros with the states' shapes, by name, for nodes that read only the shape of a state."""
        return {name: Expanded(known(0, dtype_of(self.initial[name])), self._shape(name)) for name in names}

    def _counter_values(self, step: int, names: Iterable[str]) -> dict[str, Operand]:
        """Return the values of counters at a step, by name."""
        numbers = {}
        for name in names:
            shape = () if name == self.number else self._shape(name)
            numbers[name] = self.tensors.reshape(of_sizes([self.counts[name].first + step]), shape)
        return numbers

    # Number of steps ---------------------------------------------------------------------------------------

    def _length(self) -> Dim:
        """Return the number of steps, the least that the trip count and the condition allow."""
        bounds = [bound for bound in (self._stated_length(), *self._bounds(self.body.outputs[0])) if bound is not None]
        if not bounds:
            raise UnreadableError("it has neither a number of steps nor a condition; give it a number of steps")
        first = bounds[0]
        for bound in bounds[1:]:
            if bound != first:
                if not isinstance(bound, int) or not isinstance(first, int):
                    raise UnreadableError(
                        f"its number of steps is min({first}, {bound}), which depends on the call; fix the sizes"
                    )
                first = min(first, bound)
        if isinstance(first, int) and first < 1:
            raise UnreadableError("it runs 0 steps; at least 1 is required")
        return first

    def _stated_length(self) -> Dim | None:
        """Return the node's trip count; None if it is missing or means no bound."""
        begins = self.call.maybe(1)
        if begins is not None and not _is_true(begins):
            raise UnreadableError("its first condition is computed at run time; it must be constant")
        count = self.call.maybe(0)
        if count is None:
            return None
        length = _number(count)
        if length is None:
            raise UnreadableError(
                "its number of steps is computed at run time; it may depend only on constants and sizes"
            )
        return None if isinstance(length, int) and length >= ENDLESS else length

    def _bounds(self, name: str, depth: int = 0) -> Iterator[Dim]:
        """Yield the trip counts that a condition's comparisons allow. Raise ``UnreadableError`` for other ops."""
        if depth > MAX_DEPTH:
            raise UnreadableError(f"its condition nests more than {MAX_DEPTH} comparisons, the maximum")
        source = self._source(name, ("Identity", "Cast"))
        node = self.body.makers.get(source)
        if node is None:
            if source != self.condition and not _is_true(self._outside(source)):
                raise UnreadableError("it may end before its last step, which is not supported")
            return
        match node.op:
            case "And":
                for item in node.inputs:
                    yield from self._bounds(item, depth + 1)
            case "Constant":
                if not np.all(self.call.constant(node)):
                    raise UnreadableError("its condition ends it after one step, which is not supported")
            case "Less" | "Greater":
                left, right = node.inputs if node.op == "Less" else node.inputs[::-1]
                count, limit = self._count(left), self._invariant_number(right)
                if count is None or limit is None:
                    raise UnreadableError("it may end before its last step, which is not supported")
                yield limit - count.first + 1
            case _:
                raise UnreadableError("it may end before its last step, which is not supported")

    # Counters --------------------------------------------------------------------------------------------

    def _counters(self) -> Iterator[tuple[str, _Count]]:
        """Yield (name, induction variable) of each state that increases by 1 at each step."""
        for name in self.initial:
            node = self.body.makers.get(self._source(self.following[name]))
            if node is None or node.op != "Add" or len(node.inputs) != 2:
                continue
            for one, other in (node.inputs, node.inputs[::-1]):
                first = _number(self.initial[name])
                if self._source(one) == name and self._invariant_number(other) == 1 and first is not None:
                    yield name, _Count(first)
                    break

    def _invariant_number(self, name: str) -> Dim | None:
        """Return a loop-invariant number; None if the number varies."""
        source = self._source(name)
        return _number(self._declare_outside(source)) if self._is_outer(source) else None

    def _linear_form(self, name: str, depth: int = 0) -> tuple[Dim, Dim] | None:
        """Return (value at the first step, increment per step) of a linear function of the step number; else None."""
        source = self._source(name)
        if source in self.counts:
            return self.counts[source].first, 1
        node = self.body.makers.get(source)
        if node is None or node.op not in _SUMS or len(node.inputs) != 2 or depth >= MAX_DEPTH:
            return None
        for (one, other), sign in ((node.inputs, 1), (node.inputs[::-1], -1 if node.op == "Sub" else 1)):
            inner = self._linear_form(one, depth + 1)
            number = None if inner is None else self._invariant_number(other)
            if inner is None or number is None:
                continue
            first, more = inner
            if node.op == "Mul":
                return first * number, more * number
            return sign * first + (-number if node.op == "Sub" and sign == 1 else number), sign * more
        return None

    def _count(self, name: str) -> _Count | None:
        """Return a value as an induction variable; None if it does not increase by 1 at each step."""
        line = self._linear_form(name)
        return _Count(line[0]) if line is not None and line[1] == 1 else None

    # Inputs of steps -------------------------------------------------------------------------------------

    def _sequences(self, names: Sequence[str]) -> dict[str, Operand]:
        """Return the sequences whose entries the steps need for ``names``, by the entry's name in the body."""
        sequences: dict[str, Operand] = {}
        pending, seen = list(names), set[str]()
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.counts:
                sequences[name] = self._numbers(self.counts[name], () if name == self.number else self._shape(name))
                continue
            node = self.body.makers.get(name)
            if node is None:
                continue
            looked_up = self._looked_up(node)
            if looked_up is not None:
                sequences[name], self.unit_axes[name] = looked_up
                continue
            if node.op == "Shape" and self.places and self._is_counted(node.inputs[0], self.places):
                continue
            pending += [item for item in node.inputs if item]
            pending += [item for graph in subgraphs(node) for item in _read_within(graph)]
        return sequences

    def _shape(self, name: str) -> tuple[Dim, ...]:
        return shape_of(self.initial[name])

    def _numbers(self, count: _Count, shape: tuple[Dim, ...]) -> Operand:
        if not isinstance(count.first, int):
            raise UnreadableError("its step counter starts at a symbolic size, which is not supported")
        if isinstance(self.length, int):
            check_count(self.length)
            line: Operand = known(np.arange(count.first, count.first + self.length))
        else:
            line = counted(self.tensors, count.first, self.length)
        return self.tensors.reshape(line, (self.length, *shape))

    def _looked_up(self, node: Node) -> tuple[Operand, list[int]] | None:
        """Return (sequence whose entry a node reads at each step, axes of size 1 in an entry); None for other nodes."""
        if node.op not in ("Gather", "SequenceAt") or len(node.inputs) != 2:
            return None
        line, data = self._linear_form(node.inputs[1]), self._identity_source(node.inputs[0])
        if line is None or not self._is_outer(data):
            return None
        array = self._declare_outside(data)
        if node.op == "SequenceAt":
            items = self._entries_in_turn(array.items, 0, *line) if isinstance(array, Stacked) else None
            return None if items is None else (items, [])
        if not isinstance(array, Known | Expanded | Value):
            return None
        rank = len(shape_of(array))
        axis = node.attributes.get("axis", 0)
        if not isinstance(axis, int) or not rank:
            return None
        axis = axis_of(axis, rank)
        steps = self._entries_in_turn(array, axis, *line)
        if steps is None:
            return None
        moved = self.tensors.transpose(steps, (axis, *(place for place in range(rank) if place != axis)))
        return moved, list(range(axis, axis + self._index_rank(node.inputs[1])))

    def _entries_in_turn(self, array: Operand, axis: int, first: Dim, more: Dim) -> Operand | None:
        """Return the slice of an axis that the steps read in order; None if the entries form no slice.

        The first step reads the entry ``first``, and each later step an entry that is ``more`` positions further.
        """
        ahead = [slice(None)] * axis
        if more == 1:
            return self._steps_of(array, axis, _Count(first))
        if more == -1:  # The steps read from the last entry to the first.
            last = self._steps_of(array, axis, _Count(first - self.length + 1))
            return self.tensors.index(last, [*ahead, slice(None, None, -1)])
        if isinstance(first, int) and isinstance(more, int) and first >= 0 and more > 1:
            entries = self.tensors.index(array, [*ahead, slice(first or None, None, more)])
            return entries if shape_of(entries)[axis] == self.length else None
        return None

    def _is_outer(self, name: str) -> bool:
        """True if a value is loop-invariant: it depends on no state or counter."""
        pending, seen = [name], set[str]()
        while pending:
            item = pending.pop()
            if item in self.body.inputs and item not in self.fixed:
                return False
            node = self.body.makers.get(item)
            if node is not None and item not in seen:
                seen.add(item)
                pending += [other for other in node.inputs if other]
                pending += [other for graph in subgraphs(node) for other in _read_within(graph)]
        return True

    def _declare_outside(self, name: str) -> Operand | Deferred:
        """Return a loop-invariant value, declared outside of the loop."""
        if name in self.fixed:
            return self.fixed[name]
        if name not in self.body.makers:
            return self._outside(name)
        return self.call.branch(replace(self.body, outputs=[name]), self.fixed)[0]

    def _steps_of(self, array: Operand, axis: int, count: _Count) -> Operand:
        size = shape_of(array)[axis]
        if count.first == 0 and size == self.length:
            return array
        left = size - self.length - count.first
        if not isinstance(count.first, int) or not isinstance(left, int) or count.first < 0 or left < 0:
            raise UnreadableError(
                f"its {self.length} steps read entries beyond an axis of size {size}; give fewer steps"
            )
        index = [slice(None)] * axis + [slice(count.first or None, -left if left else None)]
        return self.tensors.index(array, index)

    def _index_rank(self, name: str, depth: int = 0) -> int:
        """Return the rank of an index that is computed from the step number."""
        if depth > MAX_DEPTH:
            raise UnreadableError(f"an index passes through more than {MAX_DEPTH} nodes, the maximum")
        node = self.body.makers.get(name)
        if name in self.counts:
            return 0 if name == self.number else len(self._shape(name))
        if node is None or node.op not in (*_SAME, *_SUMS):
            raise UnreadableError("an index is neither the step number nor a linear function of it")
        if node.op == "Reshape":
            shape = self._constant_of(node.inputs[1])
            return 0 if shape is None else len(shape)
        if node.op in _SUMS:
            counting = next(item for item in node.inputs if self._linear_form(item) is not None)
            return self._index_rank(counting, depth + 1)
        change = {"Unsqueeze": 1, "Squeeze": -1}.get(node.op, 0)
        return max(0, self._index_rank(node.inputs[0], depth + 1) + change)

    def _constant_of(self, name: str) -> np.ndarray | None:
        node = self.body.makers.get(name)
        if node is not None:
            return np.asarray(self.call.constant(node)) if node.op == "Constant" else None
        operand = self._outside(name)
        return operand.array if isinstance(operand, Known) else None

    # Sources of values -----------------------------------------------------------------------------------

    def _source(self, name: str, ops: Sequence[str] = _SAME) -> str:
        """Trace a value back through ops that change only its shape and dtype. Return the name of its source."""
        for _ in range(MAX_NODES):
            node = self.body.makers.get(name)
            if node is None or node.op not in ops or not node.inputs:
                return name
            name = node.inputs[0]
        raise UnreadableError(f"a number passes through more than {MAX_NODES} nodes, the maximum")

    def _identity_source(self, name: str) -> str:
        """Trace a value back through Identity nodes. Return the name of its source."""
        return self._source(name, ("Identity",))

    def _outside(self, name: str) -> Operand:
        """Return a value of an enclosing graph, or an array of the body."""
        return self.call.branch(Graph(arrays=self.body.arrays, outputs=[name]))[0]


def _read_within(graph: Graph) -> list[str]:
    return [name for node in graph.nodes for name in node.inputs if name] + list(graph.outputs)


def _is_true(item: Operand) -> bool:
    if not isinstance(item, Known) or item.array.size != 1:
        return False
    entry = item.array.reshape(-1)[0]
    return isinstance(entry, bool | np.bool_) and bool(entry)


def _number(item: Operand | Deferred) -> Dim | None:
    """Return a single integer or size that is known while reading; else None."""
    if not isinstance(item, Known) or item.array.size != 1:
        return None
    entry = item.array.reshape(-1)[0]
    if isinstance(entry, Size):
        return entry
    whole = np.asarray(entry)
    return int(whole) if whole.dtype.kind in "iu" else None
