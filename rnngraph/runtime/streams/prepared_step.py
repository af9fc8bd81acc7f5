"""Steps and chunks of a stream that are prepared: a call with an argument block for each side of the states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy import ndarray

from ..calls.direct_call import AGAIN, OFTEN, DirectCall, Held, NativeTime, can_be_direct, is_ready
from ..calls.prepared_call import CallSpec, PreparedCall, whole
from ..calls.signatures import NUMBERS
from ..native.aligned_memory import aligned_bytes
from ..native.compile_options import CompileOptions
from ..native.entry import TEMPORARIES
from ..native.preconditions import Precondition, check_preconditions
from ..parameters import Parameters
from .some_rows import SomeRows
from .states import States
from .step_graph import StepGraph


class PreparedStep:
    """Steps, or chunks of one length, with feeds of one signature.

    What has no time axis is the stream's own copy, which all of its prepared calls read: fed again, it is written over.
    held: what machine code is given that runs them without a step in Python; None until there were some.
    """

    def __init__(
        self, parameters: Parameters, spec: CallSpec, labels: Sequence[str], states: States,
        held: Mapping[str, np.ndarray], ranges: Sequence[Precondition], row_axis: Mapping[str, int | None],
        options: CompileOptions, graph: StepGraph | None, keys: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """spec: of what has a time axis. labels: of the states. held: all without a time axis that the stream has.
        ranges: checks of all feeds. row_axis: of outputs, None: has none. graph: what some rows alone can step by;
        None: all are computed, and others left as they were. keys: what else mappings name feeds by.
        """
        self.spec, self.outs, self._states, self._row_axis = spec, spec.outs, states, row_axis
        self._parameters, self._changes = parameters, parameters.counter()
        self._options, self._threads, self._parts = options, options.threads, options.threads.parts
        self._held, self._ranges = held, ranges
        self._call = call = PreparedCall(spec)
        self._count, entry = call.count, spec.entry
        self._arena = aligned_bytes(spec.sized.arena_bytes, TEMPORARIES)
        self._blocks = call.block(), call.block()
        for side, block in enumerate(self._blocks):
            block.set_arena(self._arena)
            for name, before, after in zip(labels, states.sides[side], states.sides[1 - side], strict=True):
                if name in entry.input_slots:
                    block.set_input(name, before)
                block.set_output(entry.output_slots[name], after)
        # Each where a step finds it at once.
        self._fill, self._give, self._give_into = call.fill, call.give, call.give_into
        self._has_checks, self._has_large = call.has_checks, call.has_large
        self._runs = [block.run for block in self._blocks]
        self._graph = graph
        self._keys = keys
        self._direct: DirectCall | None = None
        self.held: Held | None = None
        self._time = NativeTime()
        # Now, while code is made anyway, and not in the midst of steps that somebody waits for.
        self._may_be_direct = can_be_direct(call, len(held)) and is_ready(options)
        self._until_direct = OFTEN if self._may_be_direct else 0
        self._renew()

    def _renew(self) -> None:
        """Takes the present parameters from here on."""
        self._weights = self.spec.entry.weights(self._parameters)
        for block in self._blocks:
            block.set_weights(self._weights)
        self._version = self._weights.version
        if self._direct is not None:
            self._until_direct = AGAIN

    def run(
        self, given: Mapping[str, Any] | None, kept: np.ndarray | None, out: Any, arrays: list[Any] | None = None
    ) -> Any:
        """The results; None, and nothing done, where feeds or ``out`` are as only the slow path takes them.

        kept: rows that take part. arrays: in place of ``out``, by leaf, as its ``checked`` gives them.
        """
        if given is None or self._parts != self._threads.parts:
            return None
        if out is not None:
            arrays = self.outs.arrays(out)
            if arrays is None:
                return None
        if kept is not None and (some := self._some_rows) is not None:
            return self._run_rows(some, given, kept, arrays)
        if not self._fill(given):
            return None
        if len(given) != self._count:
            if not self._hold(given, self._call.read(given) if self._ranges else {}):
                return None
        elif self._has_checks:
            self._call.check(given)
        if self._version != self._changes.word.value:
            self._renew()
        side = self._states.word.value
        if self._has_large:
            self._call.place(self._blocks[side].numbers, given, arrays)
        if self._until_direct:
            self._time.run(self._runs[side])
        else:
            self._runs[side]()
        if kept is not None:
            self._leave(~kept, self._call.present(arrays))
        self._states.word.value = 1 - side
        if self._until_direct:
            self._until_direct -= 1
            if not self._until_direct:
                self._be_direct()
        return self._give() if arrays is None else self._give_into(arrays)

    def know(self, keys: Mapping[str, Any]) -> None:
        """Takes what else mappings name feeds by."""
        if keys != self._keys:
            self._keys, self._direct, self.held = keys, None, None
            self._until_direct = OFTEN if self._may_be_direct else 0

    def _be_direct(self) -> None:
        """Lets machine code run the next steps."""
        direct = self._direct
        if direct is None:
            states, arrays = self._states, [*self._held.values(), self._arena]
            taken = {*self.spec.feeds, *(check.label for check in self._ranges)}  # those are checked when they are held
            direct = self._direct = DirectCall(
                self._call, self._blocks, self._keys, self._changes, self._threads, [states, arrays],
                self._time.is_long, states.word,
                {name: held for name, held in self._held.items() if name not in taken},
            )  # fmt: skip
        self.held = direct.renew(self._weights)

    def _run_rows(
        self, some: SomeRows, given: Mapping[str, Any], kept: np.ndarray, arrays: list[Any] | None
    ) -> Any:  # fmt: skip
        """Runs a step at the cost of the rows that are ``kept``."""
        rows = np.flatnonzero(kept)
        if not some.fill(given, rows):
            return None
        if len(given) != self._count and not self._hold(given, {}):
            return None
        some.run(rows)
        return some.give(rows, arrays)

    @cached_property
    def _some_rows(self) -> SomeRows | None:
        """What steps some rows alone; None where all are computed. Few streams do: code is compiled for it."""
        graph = self._graph
        if graph is None or not graph.rows.is_open:
            return None
        return SomeRows(graph, self._parameters, self.spec, self._states, self._held)

    def _hold(self, given: Mapping[str, Any], moving: Mapping[str, ndarray]) -> bool:
        """Takes over feeds without a time axis: all of them, or none and False, or none and an error. moving: the
        others, where their numbers are not checked yet.
        """
        taken = []
        for name, value in given.items():
            held = self._held.get(name)
            if held is not None:
                if not _fits(value, held):
                    return False
                taken.append((name, held, value))
        if len(taken) + self._count != len(given):  # one that is not known
            return False
        if self._ranges:  # of copies, which nobody else can change
            taken = [(name, held, np.array(value, held.dtype)) for name, held, value in taken]
            inputs = {**self._held, **moving, **{name: value for name, _, value in taken}}
            check_preconditions(self._ranges, inputs, self.spec.sized.sizes, None)
        elif len(taken) > 1:  # of numbers arrays, before any is taken over: one that is too large may be an error
            taken = [
                (name, held, value if type(value) is ndarray else np.array(value, held.dtype))
                for name, held, value in taken
            ]
        for _, held, value in taken:
            held[...] = value
        return True

    def _leave(self, others: np.ndarray, results: Sequence[np.ndarray]) -> None:
        """Leaves the state of these rows as it was, and gives zeros for their results."""
        side = self._states.side
        for new, old in zip(self._states.sides[1 - side], self._states.sides[side], strict=True):
            np.copyto(new, old, where=others[:, None])
        for name, array in zip(self.spec.leaves, results, strict=True):
            axis = self._row_axis[name]
            if axis is not None:
                np.moveaxis(whole(array, self.spec.result_axes.get(name)), axis, 0)[others] = 0

    def is_for(self, spec: CallSpec) -> bool:
        """Whether it runs calls of this spec."""
        mine = self.spec
        return mine.entry is spec.entry and mine.sized.sizes == spec.sized.sizes and mine.feeds == spec.feeds


def _fits(value: Any, held: np.ndarray) -> bool:
    """Whether a value has the shape and dtype of what is held in its place; a float fits a scalar."""
    if type(value) is ndarray:
        return value.shape == held.shape and value.dtype == held.dtype
    return not held.shape and type(value) in NUMBERS.get(held.dtype, ())
