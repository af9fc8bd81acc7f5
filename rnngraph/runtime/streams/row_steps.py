"""Steps of selected rows of a table in one native call, which gathers inputs and scatters results.

The cost depends only on the number of rows that step, and not on the sizes of tables or the positions of rows. If all
streams of a table step and their rows are adjacent, the entry reads states from the table itself. It writes the next
states to a second table, which then replaces the first table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ctypes import c_void_p
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ...codegen.machine import row_steps as words
from ...codegen.machine.code import Code, Native
from ...codegen.machine.target import host
from ...ir.types import array_dtype, evaluate
from ...support.allocation import empty
from ..calls.prepared_call import CallSpec, with_omitted_axis
from ..calls.signatures import Feed
from ..error_flags import check_samples
from ..native.adaptive_threads import AdaptiveEntry, SharingPolicy
from ..native.aligned_memory import address, aligned_bytes
from ..native.argument_block import WORKER, WORKERS, Weights
from ..native.entry import TEMPORARIES, NativeEntry, ShapeInstance
from ..native.preconditions import check_preconditions
from ..native.worker_pool import MIN_CYCLES
from ..parameters import Parameters
from .row_graph import RowPort
from .step_graph import StepGraph

MAX_IN_PLACE = 8
"""Maximum number of argument blocks for steps of adjacent rows: one for each first row, in each of the two tables."""
MIN_ROWS = 4
"""Minimum number of rows per worker. With fewer, a second worker saves less time than it needs to load weights."""


@lru_cache(maxsize=1)
def _run_rows() -> tuple[Native, int]:
    """Compile the machine code that runs plans. Return it, and the function's address."""
    from ...codegen.machine.engine import object_code  # slow to import, and not needed for steps of all rows

    code = Code(object_code(words.row_steps_text(host()), host()), host())
    return code.entry(words.RUN_ROWS), code.address(words.RUN_ROWS)


class RowSteps:
    """Runner of one step for selected rows of tables.

    Attributes:
        inputs: Ports of the inputs of each row.
        outputs: Ports of the results of each row, and of flags (``runtime.samples``).
        stored: Ports of the values that tables store for each row: states and held feeds.
        fed: Input buffers of the calls, rows first.
        result_arrays: Output buffers of the calls, rows first.
        rows: int64 indices of the table rows that a call steps.
    """

    def __init__(
        self, graph: StepGraph, parameters: Parameters, others: Mapping[str, int], shared: Mapping[str, np.ndarray]
    ) -> None:
        """Compile the step.

        Args:
            others: Values of the sizes that do not count rows.
            shared: Inputs that all rows share, read in place.
        """
        self.graph, self.others, self.shared = graph, dict(others), shared
        self._entry = entry = graph.rows.entry(others)
        self._max_rows, self._is_open = graph.rows.max_rows, graph.rows.is_open
        self._sized = entry.sized(graph.rows.sizes(others, self._max_rows))
        self._cycles_of_max_rows = max(1, entry.cycles(self._sized.sizes))
        needed = [name for name in graph.rows.compiled.needed(graph.outputs) if name in graph.types]
        types = graph.types
        per_step = {name: types[name] for name in needed if name in graph.per_step_feeds}
        still = {name: types[name] for name in needed if name not in graph.per_step_feeds and name not in shared}
        self.inputs = {
            name: graph.rows.port(name, kind, graph.axes.omitted[name], others) for name, kind in per_step.items()
        }
        self.states = {
            name: RowPort(
                name, np.dtype(array_dtype(kind.dtype)), 0, (), tuple(evaluate(dim, others) for dim in kind.shape[1:])
            )
            for name, kind in graph.states.types.items()
        }
        self.stored = {name: graph.rows.port(name, kind, None, others) for name, kind in still.items()} | self.states
        kinds = {name: node.tensor for name, node in graph.compiled.pruned((*graph.outputs, *graph.flags)).outputs}
        self.outputs = {
            name: graph.rows.port(name, kinds[name], graph.axes.outputs_omitted[name], others)
            for name in (*graph.outputs, *graph.flags)
            if name not in self.states
        }
        self.checks = [
            check for check in graph.rows.compiled.range_preconditions(graph.outputs) if check.label in self.inputs
        ]
        self.samples = entry.samples
        self._weights = entry.weights_of(parameters)
        self._threads, self._policy = graph.compiled.options.threads, SharingPolicy()
        self._jobs: list[_Job] = []
        self._run, _ = _run_rows()
        self._plan = np.zeros(words.JOBS, np.int64)
        self._plan_address = c_void_p(address(self._plan))
        self.run_prepared: Callable[[], None] = self._run_alone
        self._planned = 0, 0  # number of rows in the plan, and of rows per chunk
        self._tables: dict[str, np.ndarray] = {}
        self._spare: dict[str, np.ndarray] = {}  # second tables of the states; empty until they are needed
        self._side, self._is_placed = 0, True
        self._direct: dict[tuple[int, int], _InPlace] = {}  # by first row and side
        self._may_be_direct = self._is_open and all(map(_has_rows_first, self._ports()))
        self.rows = np.zeros(0, np.int64)
        self._selected: np.ndarray | None = None
        self._first: int | None = None  # first of the selected rows, if these are adjacent
        self.fed: dict[str, np.ndarray] = {}
        self.result_arrays: dict[str, np.ndarray] = {}
        self.make_room(1)

    def call_spec(self, count: int, structure: Any, leaves: Sequence[str]) -> CallSpec:
        """Return the spec of calls with ``count`` rows, whose results have this structure and these leaves."""
        names = {name: name for name in self.inputs}
        feeds = {name: Feed(port.rows(count), port.dtype, None) for name, port in self.inputs.items()}
        shapes = tuple(
            self.outputs[item.name].rows(count) if item.name in self.outputs else shape
            for item, shape in zip(self._entry.outputs, self._sized.shapes, strict=True)
        )
        sized = replace(self._sized, sizes=self.graph.rows.sizes(self.others, count), shapes=shapes)
        return CallSpec(self._entry, sized, names, feeds, {}, structure, leaves, ranges=self.checks)

    @property
    def arrays(self) -> list[RowPort]:
        """Ports of the inputs and the results of each row."""
        return [*self.inputs.values(), *self.outputs.values()]

    def make_room(self, count: int) -> None:
        """Grow the buffers to at least ``count`` rows. The selection of rows is discarded."""
        self._selected = None  # the caller writes other rows to ``self.rows`` next
        if count <= len(self.rows):
            return
        self._direct.clear()
        count = max(count, min(2 * len(self.rows), 1 << 20))
        self.rows = np.zeros(count, np.int64)
        ports = {**self.inputs, **self.outputs}
        arrays = {
            name: empty((count, *port.shape), port.dtype, f"{name} of a call's streams") for name, port in ports.items()
        }
        self.fed = {name: arrays[name] for name in self.inputs}
        self.result_arrays = {name: arrays[name] for name in self.outputs}
        for job in self._jobs:
            self._place(job)

    def select_rows(self, rows: np.ndarray) -> None:
        """Select the rows of the next call. The array must not change until the next selection."""
        if rows is not self._selected:
            self.make_room(len(rows))
            self.rows[: len(rows)] = rows
            self._selected, self._first = rows, _first_of_adjacent(rows)

    def set_tables(self, tables: dict[str, np.ndarray]) -> None:
        """Set the tables, rows first. Steps overwrite the states in the tables, or replace the tables of states."""
        self._tables, self._spare, self._side, self._is_placed = tables, {}, 0, False
        self._direct.clear()

    def _ports(self) -> list[RowPort]:
        """Return the ports of all arrays of a step."""
        return [*self.inputs.values(), *self.stored.values(), *self.outputs.values(), *self.states.values()]

    def _place(self, job: _Job) -> None:
        job.words[words.ROWS] = address(self.rows)
        for name, port in {**self.inputs, **self.stored}.items():
            job.set_source(name, self.fed[name] if name in self.fed else self._tables[name], len(port.before))
        for name, port in {**self.outputs, **self.states}.items():
            target = self.result_arrays[name] if name in self.result_arrays else self._tables[name]
            job.set_target(name, target, len(port.before))

    def check(self, fed: Mapping[str, np.ndarray], count: int) -> None:
        """Check the first ``count`` rows of the inputs. Raise ``ShapeError`` if a value is out of range."""
        if self.has_checks:
            arrays = {name: port.rows_back(fed[name][:count]) for name, port in self.inputs.items()}
            check_preconditions(self.checks, arrays, self.graph.rows.sizes(self.others, count), None)

    @property
    def has_checks(self) -> bool:
        """True if some inputs must lie within a range."""
        return bool(self.checks)

    def check_draws(self, leaves: Sequence[str], rows: slice) -> None:
        """Raise an error if a row of the last call drew from NaN logits, or is past the end of a table of positions.

        Args:
            leaves: Names of the results.
            rows: Places of the rows in the call.

        Raises:
            NonFiniteError: A row drew from NaN logits.
            ShapeError: A row has taken more steps than a table has positions.
        """
        if self.samples:
            names = (*leaves, *self.graph.flags)
            check_samples(self.samples, names, [self.result_arrays[name][rows] for name in names])

    def run(self, count: int, is_whole: bool = False) -> None:
        """Step the first ``count`` selected rows, which must be distinct, with the inputs in ``fed``.

        Args:
            count: Number of rows.
            is_whole: True if these are the rows of all streams of the table.
        """
        weights = self.prepare(count, is_whole)
        self.run_prepared()
        del weights  # kept alive until here, because a change of parameters replaces them

    def prepare(self, count: int, is_whole: bool = False) -> Weights:
        """Divide a step of ``count`` selected rows among threads. Return its weights, which must outlive it."""
        weights = self._weights()
        parts = 1 if self._threads.parts == 1 else self._parts(count)
        if is_whole and parts == 1 and self._may_be_direct and 0 < count <= self._max_rows:
            first = self._first if self._selected is not None else _first_of_adjacent(self.rows[:count])
            if first is not None:
                in_place = self._in_place(first)
                in_place.prepare(count, weights)
                self.run_prepared = partial(self._run_in_place, in_place)
                return weights
        if parts > len(self._jobs):
            self._add_jobs(parts)
        if not self._is_placed:
            for job in self._jobs:
                self._place(job)
            self._is_placed = True
        for job in self._jobs:
            if job.block.version != weights.version:
                job.block.set_weights(weights)
        plan, chunk = self._plan, self._max_rows if parts == 1 else min(self._max_rows, -(-count // parts))
        if (count, chunk) != self._planned:
            plan[words.COUNT], plan[words.CHUNK] = self._planned = count, chunk
        if parts == 1:
            self.run_prepared = self._run_alone
        else:
            entry = AdaptiveEntry(*_run_rows(), parts, self._policy, self._cycles(count))
            # without workers, the caller is worker 0 of 1, which runs all chunks by the first job
            self.run_prepared = partial(entry, address(plan), 0, 1)
        return weights

    def _run_alone(self) -> None:
        self._run(self._plan_address, WORKER, WORKERS)

    def _in_place(self, first: int) -> _InPlace:
        """Return a prepared step of adjacent rows, from ``first`` on, that reads the tables without copies."""
        if not self._spare:
            self._spare = {name: np.zeros_like(self._tables[name]) for name in self.states}
        key = first, self._side
        if key not in self._direct:
            if len(self._direct) >= MAX_IN_PLACE:
                self._direct.clear()
            sources = {name: self.fed[name] for name in self.inputs}
            sources |= {name: self._tables[name][first:] for name in self.stored}
            targets = {name: self._spare[name][first:] for name in self.states} | self.result_arrays
            self._direct[key] = _InPlace(self, self._entry, self._sized, sources, targets)
        return self._direct[key]

    def _run_in_place(self, job: _InPlace) -> None:
        """Step rows, and swap the tables of the present and the next states."""
        job.run(self._run)
        for name in self.states:
            self._tables[name], self._spare[name] = self._spare[name], self._tables[name]
        self._side, self._is_placed = 1 - self._side, False

    def _add_jobs(self, parts: int) -> None:
        """Allocate buffers and argument blocks, until each of ``parts`` workers has its own."""
        while len(self._jobs) < parts:
            job = _Job(self, self._entry, self._sized, self._max_rows, self._is_open)
            self._place(job)
            self._jobs.append(job)
        self._plan = np.array([0, 0, *(job.address for job in self._jobs)], np.int64)
        self._planned = 0, 0
        self._plan_address = c_void_p(address(self._plan))

    def _parts(self, count: int) -> int:
        """Return the number of workers that share a call."""
        parts = min(self._threads.parts, count // MIN_ROWS)
        if parts < 2:
            return 1
        return parts if self._cycles(count) >= MIN_CYCLES else 1

    def _cycles(self, count: int) -> int:
        """Return the estimated cycles of a call on one worker."""
        return -(-self._cycles_of_max_rows * count // self._max_rows)


class _InPlace:
    """Step of adjacent rows, whose arrays the entry reads and writes in place."""

    def __init__(
        self,
        steps: RowSteps,
        entry: NativeEntry,
        sized: ShapeInstance,
        sources: Mapping[str, np.ndarray],
        targets: Mapping[str, np.ndarray],
    ) -> None:
        """Fill in the argument block.

        Args:
            steps: Steps of the table.
            entry: The entry of a step.
            sized: The entry at the maximum number of rows.
            sources: Arrays of the inputs, held feeds and states, from the first row on.
            targets: Arrays of the results and next states, from the first row on.
        """
        graph = steps.graph
        self._block = block = entry.block()
        block.set_sizes(sized.sizes, sized.run)
        self._memory = aligned_bytes(sized.arena_bytes, TEMPORARIES), dict(sources), dict(targets), steps.shared
        block.set_arena(self._memory[0])
        for name, array in steps.shared.items():
            if name in entry.input_slots:
                block.set_input(name, array)
        for port in (*steps.inputs.values(), *steps.stored.values()):
            if port.name in entry.input_slots:
                block.set_input(port.name, with_omitted_axis(sources[port.name], _axis(graph, port)))
        for name in (*steps.outputs, *steps.states):
            block.set_output(entry.output_slots[name], targets[name])
        slots = [entry.size_slots[name] for name in graph.rows.names if name in entry.size_slots]
        self._places = np.array([address(block.numbers) + 8 * slot for slot in slots], np.int64)
        self._words = np.zeros(words.JOB_WORDS, np.int64)
        self._words[words.ENTRY], self._words[words.BLOCK] = entry.address, address(block.numbers)
        self._words[words.SIZES], self._words[words.SIZE_PLACES] = len(slots), address(self._places)
        self._plan = np.array([0, 0, address(self._words)], np.int64)
        self._plan_address = c_void_p(address(self._plan))

    def prepare(self, count: int, weights: Weights) -> None:
        """Set the number of rows, and the weights, which must outlive the step."""
        if self._block.version != weights.version:
            self._block.set_weights(weights)
        self._plan[words.COUNT] = self._plan[words.CHUNK] = count

    def run(self, native: Native) -> None:
        """Run the step."""
        native(self._plan_address, WORKER, WORKERS)


class _Job:
    """Work of one thread: an argument block, buffers for its rows, and copies from and to tables."""

    def __init__(self, steps: RowSteps, entry: NativeEntry, sized: ShapeInstance, max_rows: int, is_open: bool) -> None:
        """Allocate the buffers and list the copies.

        Args:
            sized: The entry at ``max_rows`` rows, the maximum of one run.
            is_open: True if a run may also compute fewer rows.
        """
        graph = steps.graph
        self.block = entry.block()
        self.block.set_sizes(sized.sizes, sized.run)
        self._arena = aligned_bytes(sized.arena_bytes, TEMPORARIES)
        self.block.set_arena(self._arena)
        for name, array in steps.shared.items():
            if name in entry.input_slots:
                self.block.set_input(name, array)
        self._sources: dict[str, int] = {}
        self._targets: dict[str, int] = {}
        self._memory: list[np.ndarray] = []
        gathers: list[np.ndarray] = []
        scatters: list[np.ndarray] = []
        for port in (*steps.inputs.values(), *steps.stored.values()):
            if port.name in entry.input_slots:
                array = self._allocated(port, max_rows)
                view = array if port.axis is not None else array.reshape(port.shape)
                self.block.set_input(port.name, with_omitted_axis(view, _axis(graph, port)))
                self._sources[port.name] = len(gathers)
                gathers.append(_copy_record(port, words.TARGET, port.rows_first(array), port.name in steps.stored))
        for port in (*steps.outputs.values(), *steps.states.values()):
            array = self._allocated(port, max_rows)
            self.block.set_output(entry.output_slots[port.name], array)
            self._targets[port.name] = len(gathers) + len(scatters)
            scatters.append(_copy_record(port, words.SOURCE, port.rows_first(array), port.name in steps.stored))
            if port.axis is None and is_open:
                scatters[-1][words.SOURCE_ROW] = 0  # one row that all share
        self._moves = np.array([*gathers, *scatters], np.int64).reshape(-1, words.MOVE_WORDS)
        slots = [entry.size_slots[name] for name in graph.rows.names if is_open and name in entry.size_slots]
        self._places = np.array([address(self.block.numbers) + 8 * slot for slot in slots], np.int64)
        self.words = np.zeros(words.JOB_WORDS, np.int64)
        self.words[words.ENTRY] = entry.address
        self.words[words.BLOCK] = address(self.block.numbers)
        self.words[words.SIZES], self.words[words.SIZE_PLACES] = len(slots), address(self._places)
        self.words[words.GATHERS], self.words[words.SCATTERS] = len(gathers), len(scatters)
        self.words[words.MOVES] = address(self._moves)
        self.address = address(self.words)

    def _allocated(self, port: RowPort, max_rows: int) -> np.ndarray:
        array = empty(port.rows(max_rows), port.dtype, TEMPORARIES)
        self._memory.append(array)
        return array

    def set_source(self, name: str, array: np.ndarray, before: int) -> None:
        """Set the table or buffer from which input ``name`` is gathered, with ``before`` axes before that of rows."""
        if name in self._sources:
            _set_copy_end(self._moves[self._sources[name]], words.SOURCE, array, before)

    def set_target(self, name: str, array: np.ndarray, before: int) -> None:
        """Set the table or buffer to which result ``name`` is scattered, with ``before`` axes before that of rows."""
        _set_copy_end(self._moves[self._targets[name]], words.TARGET, array, before)


def _first_of_adjacent(rows: np.ndarray) -> int | None:
    """Return the first row if rows are adjacent and in order; else None."""
    if not len(rows):
        return None
    first = int(rows[0])
    return first if np.array_equal(rows, np.arange(first, first + len(rows))) else None


def _has_rows_first(port: RowPort) -> bool:
    return port.axis == 0


def _axis(graph: StepGraph, port: RowPort) -> int | None:
    return graph.axes.omitted.get(port.name) if port.name in graph.types else None


def _copy_record(port: RowPort, side: int, array: np.ndarray, by_table: bool) -> np.ndarray:
    """Return the description, for machine code, of a copy between a worker's buffer and a port's table or array.

    Args:
        by_table: True if the other end is a table, indexed by ``rows``.
    """
    move = np.zeros(words.MOVE_WORDS, np.int64)
    move[words.OUTER], move[words.INNER], move[words.BY_TABLE] = port.pieces, port.piece_bytes, by_table
    _set_copy_end(move, side, array, len(port.before))
    return move


def _set_copy_end(move: np.ndarray, side: int, array: np.ndarray, before: int) -> None:
    """Write the source or the target of a copy. ``before`` is the number of axes before the row axis."""
    move[side : side + 3] = address(array), array.strides[0], array.strides[before] if before else 0
