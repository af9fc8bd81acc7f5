"""Streams: an inference graph that runs in steps or chunks, with its state kept between calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Generic, Never, cast

import numpy as np

from ...declare.nest import paths
from ...ir.types import Size, evaluate, substitute
from ...passes.lowering.lowered import NUMBER
from ...support.api_guard import api, no_more
from ...support.attribute_hints import Uncalled
from ...support.errors import NameLookupError, ShapeError, StructureError, Where, shown, user_line
from ..calls.direct_call import DIRECT, DirectPlan
from ..calls.feed_names import FeedNames, KnownKeys, unknown_input
from ..calls.feeds import convert, rank_of, solve_sizes
from ..calls.prepared_call import CallInputs, CallResults, CallSpec, spec_of, with_omitted_axis, without_axis
from ..calls.results import ResultT, result_of
from ..error_flags import check_samples, require_draws, samples_of
from ..native.entry import NativeEntry, ShapeInstance
from ..parameters import Parameters
from .prepared_step import PreparedStep
from .rows import row_mask
from .sequence_end import SequenceEnd
from .states import SavedStream, StateForm, States
from .step_graph import StepGraph
from .stream_feeds import HeldInputs

STATE_OF, HELD = "state/", "held/"
COPIED = 256 << 10
"""Maximum size of a feed that is copied, in bytes. A step's slice of a sequence is often not contiguous."""


@api
class Stream(Uncalled, Generic[ResultT]):
    """Runs ``batch`` rows through an inference graph, one step or one chunk of steps at a time.

    ``step`` takes and returns sequences without their time axis; ``process`` takes chunks with it. Other feeds are
    held until they are fed again. A stream serves one caller at a time.
    """

    def __init__(
        self,
        graph: StepGraph,
        parameters: Parameters,
        names: FeedNames,
        reduced: Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], tuple[Any, ...]],
        digest: Callable[[], str],
    ) -> None:
        """Make a stream.

        Args:
            names: Names of the feeds.
            reduced: Function that returns the pickled form from constructor arguments and arrays.
            digest: Function that returns the digest of the net, which saved states must have.
        """
        self._reduced, self._digest = reduced, digest
        self._parameters, self._feed_names = parameters, names
        self._structure, self._batch = graph.structure, graph.batch
        self._graph, self._compiled = graph, graph.compiled
        self._form, self._end = StateForm(graph, parameters), SequenceEnd(graph, parameters)
        self._outputs = graph.outputs
        self._types, self._state_types = graph.types, graph.states.types
        self._per_step_feeds = graph.per_step_feeds
        self._lengths, self._time_axis = set(graph.lengths), graph.axes.feeds
        self._sizes = dict(graph.sizes)
        self._held_feeds = {name: np.array(array, order="C") for name, array in graph.held_feeds.items()}
        self._states: States | None = None  # None until the first call
        self._shown = [path for path, _ in paths(self._structure)]
        self._keys = KnownKeys(names, self._types)
        self._prepared_step: PreparedStep | None = None
        self._prepared_chunk: PreparedStep | None = None
        self._direct_step: DirectPlan | None = None  # run by machine code in place of ``step``; None: runs in Python
        self._direct_chunk: DirectPlan | None = None  # likewise for ``process``

    # Calls ---------------------------------------------------------------------------------------

    def step(
        self, feeds: Mapping[Any, Any] | None = None, /, *excess: Never, rows: Any = None, out: Any = None, **named: Any
    ) -> ResultT:
        """Run one time step.

        Args:
            feeds: {placeholder or its name: value}, or one value if there is one input. Sequences lack the time axis.
            rows: Index, list of indices, slice or mask of the rows that take the step; by default all. Other rows keep
                their state and get zero results; their feeds have no effect.
            out: Arrays by output name, which receive the results.
            **named: Values by name.

        Returns:
            The results in the graph's output structure, sequences without their time axis.

        Raises:
            ShapeError: A feed has the wrong shape, or ``rows`` does not index the batch.
            NameLookupError: A feed is missing or unknown.
        """
        if excess:
            no_more("step", excess)
        if feeds is not None and type(feeds) is not dict and not isinstance(feeds, Mapping):
            feeds, named = None, self._feed_names.with_input(feeds, named, user_line())
        if (plan := self._direct_step) is not None and rows is None and (feeds is None or not named):
            # The bound method was looked up before machine code replaced it.
            result = DIRECT.attempt(plan, named if feeds is None else feeds, out)
            if result is not None:
                return result
        prepared = self._prepared_step
        if prepared is not None:
            by_name = named if feeds is None else self._keys.by_name(feeds, named)
            if rows is None:
                result = prepared.run(by_name, None, out)
            else:
                result = prepared.run_rows(by_name, row_mask(rows, self._batch, None), out)
            if result is not None:
                self._direct_step = prepared.plan
                return result
        return self._slow_path(feeds, named, out, one_step=True, rows=rows)

    def process(
        self, feeds: Mapping[Any, Any] | None = None, /, *excess: Never, rows: Any = None, out: Any = None, **named: Any
    ) -> ResultT:
        """Run a chunk of steps.

        Args:
            feeds: {placeholder or its name: value}, or one value if there is one input. Sequences have a time axis.
            rows: As for ``step``.
            out: As for ``step``.
            **named: Values by name.

        Returns:
            The results in the graph's output structure, sequences with their time axis.

        Raises:
            ShapeError: A feed has the wrong shape, or its length is not a multiple of ``rate``.
            NameLookupError: A feed is missing or unknown.
        """
        if excess:
            no_more("process", excess)
        if feeds is not None and type(feeds) is not dict and not isinstance(feeds, Mapping):
            feeds, named = None, self._feed_names.with_input(feeds, named, user_line())
        if (plan := self._direct_chunk) is not None and rows is None and (feeds is None or not named):
            # The bound method was looked up before machine code replaced it.
            result = DIRECT.attempt(plan, named if feeds is None else feeds, out)
            if result is not None:
                return result
        prepared = self._prepared_chunk
        if prepared is not None:
            by_name = named if feeds is None else self._keys.by_name(feeds, named)
            if rows is None:
                result = prepared.run(by_name, None, out)
            else:
                result = prepared.run_rows(by_name, row_mask(rows, self._batch, None), out)
            if result is not None:
                self._direct_chunk = prepared.plan
                return result
        return self._slow_path(feeds, named, out, one_step=False, rows=rows)

    def _slow_path(
        self, feeds: Mapping[Any, Any] | None, named: Mapping[str, Any], out: Any, one_step: bool, rows: Any
    ) -> Any:
        """Convert and check feeds, get the runner of their signature, and run it."""
        where = user_line()
        mask = None if rows is None else row_mask(rows, self._batch, where)
        arrays = {}
        for name, value in self._feed_names.by_placeholder(feeds, named, where).items():
            if name not in self._types:
                raise unknown_input("the stream", name, self._types, where)
            arrays[name] = self._converted(name, value, one_step, where)
        states, entry, sized = self._checked(arrays, one_step, where)
        replaced = {
            name: np.array(array, order="C") for name, array in arrays.items() if self._needs_memory(name, array)
        }
        held_feeds = {**self._held_feeds, **replaced}
        per_step = {name: array for name, array in arrays.items() if name in self._per_step_feeds}
        inputs = HeldInputs(held_feeds, self._compiled.range_preconditions(self._outputs))
        if feeds is not None:
            self._keys.learn(feeds, where)
        spec = self._spec(entry, sized, per_step, inputs, one_step)
        keys = self._keys.others(per_step)
        prepared = self._prepared_step if one_step else self._prepared_chunk
        if prepared is None or replaced or not prepared.is_for(spec):
            prepared = PreparedStep(self._graph, self._parameters, spec, states, inputs, keys, one_step)
        else:
            prepared.set_key_aliases(keys)
        out_arrays = prepared.outs.checked(out, where)
        result = (
            prepared.run(arrays, arrays=out_arrays)
            if mask is None
            else prepared.run_rows(arrays, mask, None, out_arrays)
        )
        assert result is not None, "the runner declined converted feeds; this is a bug of rnngraph"
        # Set after the call, so that a call that fails leaves the stream unchanged.
        self._held_feeds, self._states = held_feeds, states
        if replaced:  # other runners refer to the previous arrays
            self._prepared_step = self._prepared_chunk = self._direct_step = self._direct_chunk = None
        if one_step:
            self._prepared_step, self._direct_step = prepared, prepared.plan
        else:
            self._prepared_chunk, self._direct_chunk = prepared, prepared.plan
        return result

    def _spec(
        self,
        entry: NativeEntry,
        sized: ShapeInstance,
        per_step: Mapping[str, np.ndarray],
        held_feeds: HeldInputs,
        one_step: bool,
    ) -> CallSpec:
        """Return what calls of a stream with feeds of these shapes share: code, sizes, feeds and results."""
        axes = self._graph.axes
        return spec_of(
            entry,
            sized,
            CallInputs({name: name for name in per_step}, {**held_feeds.arrays, **per_step}),
            CallResults(self._structure, self._shown),
            held_feeds.ranges,
            copied=COPIED,
            feed_axes=axes.omitted if one_step else {},
            result_axes=axes.outputs_omitted if one_step else {},
        )

    def _needs_memory(self, name: str, array: np.ndarray) -> bool:
        """True if a feed is held between calls, and has no array of this shape yet."""
        held = self._held_feeds.get(name)
        return name not in self._per_step_feeds and (held is None or held.shape != array.shape)

    def _checked(
        self, feeds: Mapping[str, np.ndarray], one_step: bool, where: Where | None
    ) -> tuple[States, NativeEntry, ShapeInstance]:
        """Check a call's feeds with those kept from earlier calls. Return the states, the code and its sizes."""
        axes = self._graph.axes.omitted if one_step else {}
        fed = {name: with_omitted_axis(array, axes.get(name)) for name, array in feeds.items()}
        arrays = {**self._held_feeds, **fed}
        needed = [name for name in self._compiled.needed(self._outputs) if name in self._types]
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise NameLookupError(
                f"the stream needs {', '.join(missing)}; feed {'it' if len(missing) == 1 else 'them'} by name",
                where,
            )
        used = {name: arrays[name] for name in arrays if name in needed}
        states = self._states or States(self._form.fresh(arrays, where))
        before = dict(zip(self._graph.states.labels, states.present, strict=True))
        sizes = solve_sizes({**used, **before}, {**self._types, **self._state_types}, where) | self._sizes
        one = dict.fromkeys(self._lengths, 1) if one_step else {}
        self._compiled.check(self._outputs, used, one | sizes, where)
        entry = self._compiled.entry(self._outputs, sizes, one_step)
        sized = entry.sized(sizes | one)
        entry.raise_if_out_of_memory(sized)
        return states, entry, sized

    def _converted(self, name: str, value: Any, one_step: bool, where: Where | None) -> np.ndarray:
        kind = self._types[name]
        if name == NUMBER and np.ndim(value) == 0 and kind.rank == 1:
            value = np.full(self._batch, value)
        if one_step:
            shape = tuple(substitute(dim, dict.fromkeys(self._lengths, 1)) for dim in kind.shape)
            kind = kind.with_shape(without_axis(shape, self._graph.axes.omitted[name]))
        if one_step and rank_of(value) == len(kind.shape) + 1 and self._graph.axes.omitted[name] is not None:
            raise ShapeError(
                f"feed {name} has shape {np.shape(value)}, and step takes one step, {kind}; use stream.process for a "
                "chunk of steps",
                where,
            )
        array = convert(name, value, kind, where)
        axis = self._time_axis[name]
        if axis is not None and not (one_step and self._graph.axes.omitted[name] is not None):
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
            what = "that many" if one_step else "a multiple of that, and the remainder to flush"
            raise ShapeError(
                f"feed {name} has {count} entries over time, but a step of this stream takes {entries}; feed {what}",
                where,
            )

    def set_number(self, number: Any, where: Where | None) -> None:
        """Set the number of each row's stream, by which samples differ, also in a state that has one."""
        if NUMBER not in self._types or NUMBER in self._per_step_feeds:
            return require_draws(self._compiled.graph, where)
        self._held_feeds[NUMBER] = np.array(self._converted(NUMBER, number, False, where), order="C")
        if self._states is not None:
            self._form.set_number(self._states.present, self._held_feeds[NUMBER])

    # The end -------------------------------------------------------------------------------------

    @property
    def rate(self) -> int:
        """Sequence entries that one step takes."""
        return self._graph.rate

    @property
    def delay(self) -> int:
        """Number of steps after which a step's results are returned. The first ``delay`` results are zero."""
        return self._graph.delay

    @api
    def flush(self, feeds: Mapping[Any, Any] | None = None, /, *, rows: Any = None, **named: Any) -> ResultT:
        """Return the outputs that are still due for sequences that end, and reset them to the initial state.

        Args:
            feeds: The remaining entries, too few for a whole step, with their time axis.
            rows: As for ``step``. Other rows get zero results and continue.
            **named: Values by name.

        Returns:
            The results in the graph's output structure, with their time axis.

        Raises:
            GraphError: An output has no time axis, so that every step has already returned it.
            NameLookupError: A feed is not a sequence, or is missing.
            ShapeError: More entries remain than fit in a partial step.
        """
        where = user_line()
        ending = row_mask(slice(None) if rows is None else rows, self._batch, where)
        arrays = {}
        for name, value in self._feed_names.by_placeholder(feeds, named, where).items():
            if self._time_axis.get(name) is None:
                raise NameLookupError(
                    f"flush takes remaining entries of sequences, and {shown(name)} is not a sequence; leave it out",
                    where,
                )
            arrays[name] = convert(name, value, self._types[name], where)
        states = [] if self._end.is_empty else self._current_state(where)
        results = self._end.due(self._held_feeds, arrays, states, ending, where)
        for name, array in results.items():
            axis = self._graph.row_axes[name]
            if axis is not None:
                np.moveaxis(array, axis, 0)[~ending] = 0
        self.reset(ending)
        owed = [results[name] for name in self._shown]
        check_samples(samples_of(self._compiled.lowered), self._shown, owed)
        return cast("ResultT", result_of(self._structure, owed))

    # Pickling ------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the program with this stream's state and held feeds."""
        return self._reduced({"batch": self._batch}, self._arrays())

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return the states, unless there are none yet, as ``STATE_OF`` + name, and held feeds, as ``HELD`` + name."""
        states = {} if self._states is None else self._form.saved(self._states.present)
        arrays = {STATE_OF + label: array for label, array in states.items()}
        return arrays | {HELD + name: array for name, array in self._held_feeds.items()}

    def restore(self, arrays: Mapping[str, np.ndarray], where: Where | None) -> None:
        """Set the state and held feeds from the arrays of ``__reduce__``, after checks.

        Errors are those of ``load_state_bytes``.
        """
        states = {name.removeprefix(STATE_OF): array for name, array in arrays.items() if name.startswith(STATE_OF)}
        held_feeds = {name.removeprefix(HELD): array for name, array in arrays.items() if name.startswith(HELD)}
        if unknown := [name for name in held_feeds if name in self._per_step_feeds or name not in self._types]:
            raise StructureError(
                f"the saved stream holds feed {shown(unknown[0])}, and this one has none; restore it with its program",
                where,
            )
        converted = {name: self._converted(name, array, False, where) for name, array in held_feeds.items()}
        self._held_feeds |= {name: np.array(array, order="C") for name, array in converted.items()}
        if states:
            self._set_state(self._form.ordered(states, where))

    # State ---------------------------------------------------------------------------------------

    def _current_state(self, where: Where | None) -> list[np.ndarray]:
        """Return the current state, without a copy."""
        return self._form.fresh(self._held_feeds, where) if self._states is None else self._states.present

    def _set_state(self, arrays: list[np.ndarray]) -> None:
        if self._states is None:
            self._states = States(arrays)
        else:
            self._states.set(arrays)

    @property
    def state(self) -> Any:
        """Copy of the state in the nest of the driver's states; for several drivers, a tuple of nests."""
        return self._form.nest([array.copy() for array in self._current_state(user_line())])

    @state.setter
    def state(self, value: Any) -> None:
        self._set_state(self._form.arrays(value, user_line()))

    @api
    def reset(self, rows: Any = None) -> None:
        """Return to the initial state.

        Args:
            rows: Index, list of indices, slice or mask of the rows to reset; by default all.
        """
        where = user_line()
        mask = row_mask(slice(None) if rows is None else rows, self._batch, where)
        if self._states is None:
            return  # nothing to reset, and the feeds that the initial state reads may be missing
        present = [array.copy() for array in self._current_state(where)]
        for array, fresh in zip(present, self._form.fresh(self._held_feeds, where), strict=True):
            array[mask] = fresh[mask]
        self._set_state(present)

    @api
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state and held feeds to a file, from which ``inference.stream(state=path)`` goes on."""
        save_with(self, path, {})

    @api
    def state_bytes(self) -> bytes:
        """Return the state as bytes, with names, shapes and a digest. Held feeds are not included."""
        return self._form.to_bytes(self._current_state(user_line()))

    @api
    def load_state_bytes(self, data: bytes) -> None:
        """Set the state from the bytes of ``state_bytes``, possibly of another process. Nothing in them is executed.

        Args:
            data: The bytes.

        Raises:
            FileError: ``data`` is damaged, or of another kind or version.
            StructureError: The state is that of another program.
            ShapeError: The state is that of another batch size.
        """
        self._set_state(self._form.from_bytes(data, user_line()))


def save_with(stream: Stream[Any], path: str | os.PathLike[str], others: Mapping[str, np.ndarray]) -> None:
    """Write the file of ``Stream.save`` with further arrays, which streams ignore when they read it."""
    SavedStream(stream._batch, {**stream._arrays(), **others}).write(path, stream._digest())


DIRECT.install_fastcall(
    Stream, "step", "_direct_step", "step($self, feeds=None, /, *excess, rows=None, out=None, **named)"
)
DIRECT.install_fastcall(
    Stream, "process", "_direct_chunk", "process($self, feeds=None, /, *excess, rows=None, out=None, **named)"
)
