"""Streams: an inference graph step by step or in chunks, its state kept between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..declare.nest import flatten, is_leaf, map_leaves, pack, paths
from ..errors import NameLookupError, RnnGraphError, ShapeError, StructureError, Where, user_line
from ..ir.graph import Graph, with_sizes
from ..ir.types import Dim, Size, symbols_of
from .bound_step import BoundStep, Layout
from .compiled import CompiledGraph, lengths_of
from .feeds import bind, convert, reject_empty, run_checks
from .outs import check_fits, given_arrays
from .result import Result
from .streamable import check_states

if TYPE_CHECKING:
    from .program import Program


class Stream:
    """Runs ``batch`` rows through an inference graph a step or a chunk at a time.

    Sequence placeholders lose their time axis in ``step`` and are chunks in ``process``; other feeds are
    given whole and held until they are given again. Serves one caller at a time.
    """

    def __init__(self, program: Program, batch: int) -> None:
        self._program, self._batch = program, batch
        lowered = program.stateful()
        options = ("inference", program.target, None, program.declared_text)
        self._compiled = CompiledGraph(
            lowered.graph, *options, cache=program.cache, reduced=program.reduced, workers=program.workers
        )
        self._structures = lowered.states
        self._labels = [label for nest in lowered.states for label in flatten(nest)]
        graph = self._compiled.graph
        self._outputs = tuple(name for name, _ in graph.outputs)
        check_states(graph, self._labels, user_line())
        lengths = lengths_of(graph)
        kinds = self._compiled.kinds()
        self._kinds = {name: kind for name, kind in kinds.items() if name not in self._labels}
        self._state_kinds = {name: kinds[name] for name in self._labels}
        self._time_axis = {
            name: next((axis for axis, dim in enumerate(kind.shape) if symbols_of(dim) & lengths), None)
            for name, kind in self._kinds.items()
        }
        self._sizes = self._fixed_sizes(graph, lengths)
        known: dict[str, Dim] = dict(self._sizes)
        initial = with_sizes(lowered.initial, known)
        self._initial = CompiledGraph(
            initial, *options, cache=program.cache, reduced=program.reduced, workers=program.workers
        )
        for name, kind in self._initial.kinds().items():  # what only the initial state reads
            if name not in self._labels:
                self._kinds.setdefault(name, kind)
                self._time_axis.setdefault(name, None)
        self._output_axis = {
            name: next((axis for axis, dim in enumerate(node.shape) if symbols_of(dim) & lengths), None)
            for name, node in graph.outputs
        }
        defaults = program.lowered.defaults.items()
        self._held = {name: array for name, array in defaults if self._time_axis.get(name, 0) is None}
        self._state: list[np.ndarray] | None = None
        self._fast: BoundStep | None = None

    def _fixed_sizes(self, graph: Graph, lengths: set[str]) -> dict[str, int]:
        """The batch is the stream's; it stands for every size that states have."""
        batch = {name for kind in self._state_kinds.values() for name in symbols_of(kind.shape[0])}
        if not self._state_kinds:
            batch = {name for name in graph.symbols if name not in lengths}
        for kind in self._state_kinds.values():
            if isinstance(kind.shape[0], int) and kind.shape[0] != self._batch:
                raise ShapeError(f"the graph is declared for a batch of {kind.shape[0]}, not {self._batch}")
        return dict.fromkeys(batch, self._batch)

    # Calls ---------------------------------------------------------------------------------------

    def step(self, feeds: Mapping[Any, Any] | None = None, /, *, out: Any = None, **named: Any) -> Any:
        """One time step: sequence placeholders without their time axis, outputs likewise."""
        fast = self._fast
        if fast is not None and out is None and feeds is None and fast.parts == self._compiled.workers.parts:
            result = fast.run(named)
            if result is not None:
                return result
        return self._general(feeds, named, out, one_step=True)

    def process(self, feeds: Mapping[Any, Any] | None = None, /, *, out: Any = None, **named: Any) -> Any:
        """A chunk of steps: sequence placeholders with their time axis."""
        return self._general(feeds, named, out, one_step=False)

    def _general(self, feeds: Mapping[Any, Any] | None, named: Mapping[str, Any], out: Any, one_step: bool) -> Any:
        held, state = self._held, self._state
        try:
            return self._run(feeds, named, out, one_step, user_line())
        except RnnGraphError:  # a call that fails leaves everything as it was
            self._held, self._state = held, state
            raise

    def _run(
        self,
        feeds: Mapping[Any, Any] | None,
        named: Mapping[str, Any],
        out: Any,
        one_step: bool,
        where: Where | None,
    ) -> Any:
        given = self._program.feeds_by_name(feeds, named, where)
        mine = given_arrays(self._program.structure, out, where)
        arrays = {}
        for name, value in given.items():
            if name not in self._kinds:
                raise NameLookupError(f"the stream has no input {name!r}; it takes {', '.join(self._kinds)}", where)
            arrays[name] = self._converted(name, value, one_step, where)
        fresh = {name: np.array(array) for name, array in arrays.items() if self._time_axis[name] is None}
        self._held = {**self._held, **fresh}
        arrays = {**arrays, **self._held}
        needed = [name for name in self._compiled.needed(self._outputs) if name in self._kinds]
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise NameLookupError(
                f"the stream needs {', '.join(missing)}; feed {'it' if len(missing) == 1 else 'them'} by name",
                where,
            )
        state = self._current_state(where)
        used = {name: arrays[name] for name in arrays if name in needed}
        states = dict(zip(self._labels, state, strict=True))
        sizes = bind({**used, **states}, self._kinds | self._state_kinds, where) | self._sizes
        lengths = lengths_of(self._compiled.graph)
        reject_empty(used, self._kinds, lengths, where)
        run_checks(self._compiled.checks(self._outputs), used, sizes, where)
        entry = self._compiled.entry(self._outputs, sizes, one_step)
        if one_step:
            sizes = sizes | dict.fromkeys(lengths, 1)
        for item, shape in zip(entry.outputs, entry.sized(sizes).shapes, strict=True):
            if item.name in mine:
                axis = self._output_axis[item.name] if one_step else None
                shown = shape if axis is None else shape[:axis] + shape[axis + 1 :]
                check_fits(item.name, mine[item.name], shown, item.dtype, where)
        found = entry.call_fresh(self._program.parameters, {**used, **states}, sizes)
        self._fast = None  # its state is the older one now
        self._state = [found[name] for name in self._labels]
        if one_step:
            layout = Layout(self._time_axis | self._output_axis, self._labels, frozenset(lengths))
            held = self._program.parameters, self._program.structure
            ranges = self._compiled.range_checks(self._outputs)
            self._fast = BoundStep(*held, entry, sizes, layout, used, self._state, ranges, self._compiled.workers.parts)
            found = {name: self._squeezed(name, array) for name, array in found.items()}
        return self._finish(found, mine)

    def _converted(self, name: str, value: Any, one_step: bool, where: Where | None) -> np.ndarray:
        kind, axis = self._kinds[name], self._time_axis[name]
        if one_step and axis is not None:
            kind = kind.with_shape(kind.shape[:axis] + kind.shape[axis + 1 :])
        array = convert(name, value, kind, where)
        for dim, actual in zip(kind.shape, array.shape, strict=True):
            if isinstance(dim, Size) and self._sizes.get(str(dim), actual) != actual:
                raise ShapeError(
                    f"feed {name} has shape {array.shape}, and this stream runs {self._batch} rows; feed as many, or "
                    f"make a stream(batch={actual})",
                    where,
                )
        return np.expand_dims(array, axis) if one_step and axis is not None else array

    def _squeezed(self, name: str, array: np.ndarray) -> np.ndarray:
        axis = self._output_axis[name]
        return array if axis is None else np.squeeze(array, axis)

    def _finish(self, found: Mapping[str, np.ndarray], mine: Mapping[str, np.ndarray]) -> Any:
        for name, array in mine.items():
            array[...] = found[name]
        structure = self._program.structure
        leaves = [mine.get(path, found[path]) for path, _ in paths(structure)]
        return leaves[0] if is_leaf(structure) else Result(pack(structure, leaves))

    # State ---------------------------------------------------------------------------------------

    def _current_state(self, where: Where | None) -> list[np.ndarray]:
        if self._fast is not None:
            return self._fast.states()
        if self._state is None:
            self._state = self._fresh_state(where)
        return self._state

    def _set_state(self, arrays: list[np.ndarray]) -> None:
        if self._fast is not None:
            self._fast.set_states(arrays)
        else:
            self._state = arrays

    def _fresh_state(self, where: Where | None) -> list[np.ndarray]:
        names = tuple(name for name, _ in self._initial.graph.outputs)
        if not names:
            return []
        needed = self._initial.needed(names)
        missing = [name for name in needed if name not in self._held]
        if missing:
            raise NameLookupError(f"the initial state needs {', '.join(missing)}; feed it with the first step", where)
        arrays = {name: self._held[name] for name in needed}
        sizes = bind(arrays, self._kinds, where) | self._sizes
        run_checks(self._initial.checks(names), arrays, sizes, where)
        entry = self._initial.entry(names, sizes)
        return list(entry.call_fresh(self._program.parameters, arrays, sizes).values())

    def _packed(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        by_label = dict(zip(self._labels, arrays, strict=True))
        return [map_leaves(lambda label: by_label[label], nest) for nest in self._structures]

    @property
    def state(self) -> Any:
        """The state in the structure that the driver gives; of several drivers a tuple. A copy."""
        arrays = [array.copy() for array in self._current_state(user_line())]
        nests = self._packed(arrays)
        return nests[0] if len(nests) == 1 else tuple(nests)

    @state.setter
    def state(self, value: Any) -> None:
        where = user_line()
        leaves = flatten(value)
        if len(leaves) != len(self._labels):
            raise StructureError(
                f"the stream's state has {len(self._labels)} arrays, and {len(leaves)} are given", where
            )
        arrays = []
        for label, leaf in zip(self._labels, leaves, strict=True):
            kind = self._state_kinds[label]
            array = np.array(convert(label, leaf, kind, where), order="C")
            width = kind.shape[-1]
            if array.shape != (self._batch, width):
                raise ShapeError(f"{label} must have shape {(self._batch, width)}, not {array.shape}", where)
            arrays.append(array)
        self._set_state(arrays)

    def reset(self, rows: Any = None) -> None:
        """Back to the initial state: all rows, or those of an index, a list of them or a mask."""
        where = user_line()
        if self._fast is None and self._state is None:
            return  # nothing ran yet; what the initial state reads may not be fed yet either
        if rows is None:
            self._set_state(self._fresh_state(where))
            return
        index = self._rows(rows, where)
        present = [array.copy() for array in self._current_state(where)]
        for array, fresh in zip(present, self._fresh_state(where), strict=True):
            array[index] = fresh[index]
        self._set_state(present)

    def _rows(self, rows: Any, where: Where | None) -> Any:
        """``rows`` as what indexes the batch."""
        try:
            index = np.arange(self._batch)[rows if isinstance(rows, slice) else _as_index(rows)]
        except (IndexError, ValueError, TypeError) as error:
            raise ShapeError(f"rows={rows!r} does not index a batch of {self._batch}: {error}", where) from None
        return index


def _as_index(rows: Any) -> np.ndarray:
    """A row, rows, or a mask; nothing at all for no row."""
    index = np.asarray(rows)
    if index.ndim > 1 or (not index.ndim and index.dtype == bool):
        raise IndexError("give a row, a list of rows or a mask of them")
    return index if index.size else index.astype(np.intp)
