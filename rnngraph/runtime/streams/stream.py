"""Streams: an inference graph step by step or in chunks, its state kept between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Never

import numpy as np

from ...declare.nest import map_leaves, matched, paths
from ...errors import (
    DtypeError,
    GraphError,
    NameLookupError,
    ShapeError,
    StructureError,
    Where,
    did_you_mean,
    shown,
    user_line,
)
from ...ir.axes import output_row_axes
from ...ir.types import Size, evaluate, substitute
from ...public import api, no_more
from ..calls.call_cache import run_once
from ..calls.feed_names import FeedNames
from ..calls.feeds import convert, reject_empty, solve_sizes
from ..calls.prepared_call import spec_of, whole, without
from ..calls.results import Given
from ..native.entry import NativeEntry, Sized
from ..parameters import Parameters
from .prepared_step import PreparedStep, States
from .rows import row_mask
from .step_graph import StepGraph

STATE = "stream's state"
COPIED = 256 << 10
"""Bytes up to which feeds are copied, as steps of a sequence lie apart in memory."""
MOST_KEYS = 64


@api
class Stream(Generic[Given]):
    """Runs ``batch`` rows through an inference graph a step or a chunk at a time.

    Sequence placeholders lose their time axis in ``step`` and are chunks in ``process``; other feeds are
    given whole and held until they are given again. Serves one caller at a time.
    """

    def __init__(self, graph: StepGraph, parameters: Parameters, names: FeedNames, structure: Any) -> None:
        """names: of feeds. structure: the nest of outputs."""
        self._parameters, self._feed_names, self._structure, self._batch = parameters, names, structure, graph.batch
        self._compiled, self._initial = graph.compiled, graph.initial
        self._state_nests, self._labels, self._outputs = graph.structures, graph.labels, graph.outputs
        self._named_states = graph.named
        self._types, self._state_types = graph.types, graph.state_types
        self._lengths, self._time_axis, self._output_axis = set(graph.lengths), graph.time_axis, graph.output_axis
        self._left_out, self._output_left_out = graph.left_out, graph.output_left_out
        self._rate, self._delay, self._tail = graph.rate, graph.delay, graph.tail
        self._row_axis = output_row_axes(graph.compiled.graph, graph.sizes, graph.batch)
        self._sizes = dict(graph.sizes)
        self._held = {name: np.array(array, order="C") for name, array in graph.held.items()}
        self._states: States | None = None  # none until something ran
        self._shown = [path for path, _ in paths(structure)]
        self._results = tuple(name for name in self._outputs if name not in self._labels)
        self._names: dict[Any, str] = {name: name for name in self._types}  # by what mappings feed them by
        self._prepared_step: PreparedStep | None = None
        self._prepared_chunk: PreparedStep | None = None

    # Calls ---------------------------------------------------------------------------------------

    def step(
        self, feeds: Mapping[Any, Any] | None = None, /, *excess: Never, rows: Any = None, out: Any = None, **named: Any
    ) -> Given:
        """One time step: sequence placeholders without their time axis, outputs likewise.

        rows: an index, a list of them, a slice or a mask of the rows that take the step; None: all. The others keep
        their state, and their results are 0; what is fed for them has no effect.
        """
        if excess:
            no_more("step", excess)
        prepared = self._prepared_step
        if prepared is not None:
            kept = None if rows is None else row_mask(rows, self._batch, None)
            result = prepared.run(named if feeds is None else self._by_name(feeds, named), kept, out)
            if result is not None:
                return result
        return self._slow_path(feeds, named, out, one_step=True, rows=rows)

    def process(
        self, feeds: Mapping[Any, Any] | None = None, /, *excess: Never, rows: Any = None, out: Any = None, **named: Any
    ) -> Given:
        """A chunk of steps: sequence placeholders with their time axis. rows: as for ``step``."""
        if excess:
            no_more("process", excess)
        prepared = self._prepared_chunk
        if prepared is not None:
            kept = None if rows is None else row_mask(rows, self._batch, None)
            result = prepared.run(named if feeds is None else self._by_name(feeds, named), kept, out)
            if result is not None:
                return result
        return self._slow_path(feeds, named, out, one_step=False, rows=rows)

    def _by_name(self, feeds: Any, named: Mapping[str, Any]) -> dict[str, Any] | None:
        """The feeds of a mapping and of keywords by name; None where a key was not met before, or one is fed twice."""
        if type(feeds) is not dict:
            return None
        names = self._names
        try:
            given = {names[key]: value for key, value in feeds.items()}
        except KeyError:
            return None
        if named:
            given.update(named)
        return given if len(given) == len(feeds) + len(named) else None

    def _slow_path(
        self, feeds: Mapping[Any, Any] | None, named: Mapping[str, Any], out: Any, one_step: bool, rows: Any
    ) -> Any:
        """Converts and checks feeds, finds or makes what runs the next calls like this one, and runs that."""
        where = user_line()
        kept = None if rows is None else row_mask(rows, self._batch, where)
        arrays = {}
        for name, value in self._feed_names.by_placeholder(feeds, named, where).items():
            if name not in self._types:
                hint = did_you_mean(name, self._types) or f"; it takes {', '.join(self._types)}"
                raise NameLookupError(f"the stream has no input {shown(name)}{hint}", where)
            arrays[name] = self._converted(name, value, one_step, where)
        states, entry, sized = self._checked(arrays, one_step, where)
        anew = {name: np.array(array, order="C") for name, array in arrays.items() if self._needs_memory(name, array)}
        held = {**self._held, **anew}
        moving = {name: array for name, array in arrays.items() if self._time_axis[name] is not None}
        ranges, threads = self._compiled.range_preconditions(self._outputs), self._compiled.options.threads
        spec = spec_of(
            entry, sized, {name: name for name in moving}, {**held, **moving}, self._structure, self._shown,
            ranges=ranges, copied=COPIED, feed_axes=self._left_out if one_step else {},
            result_axes=self._output_left_out if one_step else {},
        )  # fmt: skip
        prepared = self._prepared_step if one_step else self._prepared_chunk
        if prepared is None or anew or not prepared.is_for(spec):
            prepared = PreparedStep(self._parameters, spec, self._labels, states, held, ranges, self._row_axis, threads)
        result = prepared.run(arrays, kept, None, prepared.outs.checked(out, where))
        assert result is not None, "what was converted is what it was prepared for"
        self._held, self._states = held, states  # only now: a call that fails leaves everything as it was
        if anew:  # the others read what was held before
            self._prepared_step = self._prepared_chunk = None
        if one_step:
            self._prepared_step = prepared
        else:
            self._prepared_chunk = prepared
        if feeds is not None and len(self._names) < MOST_KEYS:
            self._names.update({key: self._feed_names.name_of(key, where) for key in feeds})
        return result

    def _needs_memory(self, name: str, array: np.ndarray) -> bool:
        """Whether a feed stays until it is given again, and there is no array for it yet."""
        return self._time_axis[name] is None and (name not in self._held or self._held[name].shape != array.shape)

    def _checked(
        self, given: Mapping[str, np.ndarray], one_step: bool, where: Where | None
    ) -> tuple[States, NativeEntry, Sized]:
        """The states, and the entry for them, for these feeds and for what is held, after all checks."""
        axes = self._left_out if one_step else {}
        arrays = {**self._held, **{name: whole(array, axes.get(name)) for name, array in given.items()}}
        needed = [name for name in self._compiled.needed(self._outputs) if name in self._types]
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise NameLookupError(
                f"the stream needs {', '.join(missing)}; feed {'it' if len(missing) == 1 else 'them'} by name",
                where,
            )
        used = {name: arrays[name] for name in arrays if name in needed}
        states = self._states or States(self._fresh_state(arrays, where))
        before = dict(zip(self._labels, states.present, strict=True))
        sizes = solve_sizes({**used, **before}, {**self._types, **self._state_types}, where) | self._sizes
        reject_empty(used, self._types, self._lengths, where)
        one = dict.fromkeys(self._lengths, 1) if one_step else {}
        self._compiled.check(self._outputs, used, one | sizes, where)
        entry = self._compiled.entry(self._outputs, sizes, one_step)
        sized = entry.sized(sizes | one)
        entry.look(sized)
        return states, entry, sized

    def _converted(self, name: str, value: Any, one_step: bool, where: Where | None) -> np.ndarray:
        kind = self._types[name]
        if one_step:
            shape = tuple(substitute(dim, dict.fromkeys(self._lengths, 1)) for dim in kind.shape)
            kind = kind.with_shape(without(shape, self._left_out[name]))
        array = convert(name, value, kind, where)
        axis = self._time_axis[name]
        if axis is not None and not (one_step and self._left_out[name] is not None):
            self._check_whole_steps(name, axis, array.shape[axis], one_step, where)
        for dim, actual in zip(kind.shape, array.shape, strict=True):
            if isinstance(dim, Size) and self._sizes.get(str(dim), actual) != actual:
                raise ShapeError(
                    f"feed {name} has shape {array.shape}, and this stream runs {self._batch} rows; feed as many, or "
                    f"make a stream(batch={actual})",
                    where,
                )
        return array

    def _check_whole_steps(self, name: str, axis: int, count: int, one_step: bool, where: Where | None) -> None:
        entries = evaluate(self._types[name].shape[axis], dict.fromkeys(self._lengths, 1))
        if count % entries or (one_step and count != entries):
            what = "that many" if one_step else "a multiple of that, and what is left at the end to flush"
            raise ShapeError(
                f"feed {name} has {count} entries over time, and a step of this stream takes {entries}; feed {what}",
                where,
            )

    # The end -------------------------------------------------------------------------------------

    @property
    def rate(self) -> int:
        """Entries of the sequences that a step takes."""
        return self._rate

    @property
    def delay(self) -> int:
        """Steps after which the results of the first one come; those of the steps before are zeros."""
        return self._delay

    @api
    def flush(self, feeds: Mapping[Any, Any] | None = None, /, *, rows: Any = None, **named: Any) -> Given:
        """What is still owed of sequences that end here, and back to the initial state.

        feeds: entries that are left for no whole step of ``rate``, with their time axis. rows: as for ``step``; the
        others' results are 0, and they go on.
        """
        where = user_line()
        chosen = row_mask(slice(None) if rows is None else rows, self._batch, where)
        arrays = {}
        for name, value in self._feed_names.by_placeholder(feeds, named, where).items():
            if self._time_axis.get(name) is None:
                raise NameLookupError(f"flush takes what is left of sequences, and {shown(name)} is none", where)
            arrays[name] = convert(name, value, self._types[name], where)
        results = self._owed(arrays, chosen, where)
        for name, array in results.items():
            axis = self._row_axis[name]
            if axis is not None:
                np.moveaxis(array, axis, 0)[~chosen] = 0
        self.reset(chosen)
        values = iter([results[name] for name in self._shown])
        return map_leaves(lambda _: next(values), self._structure)

    def _owed(
        self, left: Mapping[str, np.ndarray], chosen: np.ndarray, where: Where | None
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """By name, outputs that no step gave. left: entries of sequences. chosen: rows that end."""
        if self._tail is None:
            return self._nothing(where)
        rests = self._tail.rests(left, where)
        states = dict(zip(self._labels, self._current_state(where), strict=True))
        self._tail.check_lengths(states, chosen, rests, where)
        graph = self._tail.graph(rests, where)
        kinds = graph.input_types()
        needed = [name for name in graph.needed(self._results) if name in self._types]
        arrays = {**self._held, **left}
        for name in needed:
            if name not in arrays and (axis := self._time_axis[name]) is not None and kinds[name].shape[axis] == 0:
                arrays[name] = np.empty([evaluate(dim, self._sizes) for dim in kinds[name].shape], kinds[name].dtype)
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise NameLookupError(f"flush needs {', '.join(missing)}: what is left of it, or a step that fed it", where)
        used = {name: arrays[name] for name in needed}
        used |= {name: array for name, array in states.items() if name in kinds}
        sizes = solve_sizes(used, kinds, where) | self._sizes
        graph.check(self._results, used, sizes, where)
        entry = graph.entry(self._results, sizes)
        return run_once(entry, entry.weights(self._parameters), used, sizes)

    def _nothing(self, where: Where | None) -> dict[str, np.ndarray]:
        """Results of no steps, of a stream that owes none."""
        for name in self._results:
            if self._output_axis[name] is None:
                raise GraphError(
                    f"output {name or 'of this stream'} has no time axis and is known with every step, as nothing is "
                    "late here; take what the last step gave, and use reset",
                    where,
                )
        kinds = {name: node.tensor for name, node in self._compiled.graph.outputs}
        none = self._sizes | dict.fromkeys(self._lengths, 0)
        return {
            name: np.zeros([evaluate(dim, none) for dim in kinds[name].shape], kinds[name].dtype)
            for name in self._results
        }

    # State ---------------------------------------------------------------------------------------

    def _current_state(self, where: Where | None) -> list[np.ndarray]:
        """The present state, not copied."""
        return self._fresh_state(self._held, where) if self._states is None else self._states.present

    def _set_state(self, arrays: list[np.ndarray]) -> None:
        if self._states is None:
            self._states = States(arrays)
        else:
            self._states.set(arrays)

    def _fresh_state(self, held: Mapping[str, np.ndarray], where: Where | None) -> list[np.ndarray]:
        """What the states begin with, which may read feeds without a time axis."""
        names = tuple(name for name, _ in self._initial.graph.outputs)
        if not names:
            return []
        needed = self._initial.needed(names)
        missing = [name for name in needed if name not in held]
        if missing:
            raise NameLookupError(f"the initial state needs {', '.join(missing)}; feed it with the first step", where)
        arrays = {name: held[name] for name in needed}
        sizes = solve_sizes(arrays, self._types, where) | self._sizes
        self._initial.check(names, arrays, sizes, where)
        entry = self._initial.entry(names, sizes)
        return list(run_once(entry, entry.weights(self._parameters), arrays, sizes).values())

    def _packed(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        by_label = dict(zip(self._labels, arrays, strict=True))
        return [map_leaves(lambda label: by_label[label], nest) for nest in self._state_nests]

    @property
    def state(self) -> Any:
        """The state in the structure that the driver gives; of several drivers a tuple. A copy."""
        arrays = [array.copy() for array in self._current_state(user_line())]
        nests = self._packed(arrays)
        return nests[0] if len(nests) == 1 else tuple(nests)

    @state.setter
    def state(self, value: Any) -> None:
        where = user_line()
        leaves = matched(self._named_states, value, "the stream's state", where)
        arrays = []
        for label, leaf in zip(self._labels, leaves, strict=True):
            kind = self._state_types[label]
            array = np.array(convert(label, leaf, kind, where), order="C")
            width = kind.shape[-1]
            if array.shape != (self._batch, width):
                raise ShapeError(f"{label} must have shape {(self._batch, width)}, not {array.shape}", where)
            arrays.append(array)
        self._set_state(arrays)

    @api
    def reset(self, rows: Any = None) -> None:
        """Back to the initial state: all rows, or those of an index, a list of them, a slice or a mask."""
        where = user_line()
        chosen = row_mask(slice(None) if rows is None else rows, self._batch, where)
        if self._states is None:
            return  # nothing ran yet; what the initial state reads may not be fed yet either
        present = [array.copy() for array in self._current_state(where)]
        for array, fresh in zip(present, self._fresh_state(self._held, where), strict=True):
            array[chosen] = fresh[chosen]
        self._set_state(present)

    @api
    def state_bytes(self) -> bytes:
        """The state as bytes, with its names, shapes and a digest: for ``load_state_bytes`` of a stream of its kind.

        What is held of feeds is not in it.
        """
        from ...storage.checkpoint_file import packed

        arrays = dict(zip(self._labels, self._current_state(user_line()), strict=True))
        return b"".join(packed(STATE, arrays, {"batch": self._batch}, "the state of a stream"))

    @api
    def load_state_bytes(self, data: bytes) -> None:
        """Sets the state to that of ``state_bytes``, also of another process. Nothing that is read is executed.

        Raises ``FileError`` where ``data`` is damaged or of another kind or version, ``StructureError`` where it is of
        another program, and ``ShapeError`` where it is of another batch.
        """
        from ...storage.checkpoint_file import unpacked

        where = user_line()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise DtypeError(f"a stream's state is given as bytes, not as {type(data).__name__}", where)
        arrays, text = unpacked(bytes(data), STATE, "the state of a stream")
        if text.get("batch") != self._batch:
            raise ShapeError(f"the state is of {text.get('batch')} rows, and this stream has {self._batch}", where)
        kinds = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
        mine = {name: ((self._batch, kind.shape[-1]), kind.dtype) for name, kind in self._state_types.items()}
        if kinds != mine:
            raise StructureError(f"the state is {kinds}, and this stream carries {mine}", where)
        self._set_state([np.array(arrays[label], order="C") for label in self._labels])
