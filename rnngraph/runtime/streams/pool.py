"""Pool of streams of one inference graph. Streams with input step as one batch."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Generic, Never, cast

import numpy as np

from ...declare.nest import paths
from ...passes.lowering.lowered import NUMBER
from ...support.api_guard import api, no_more
from ...support.arguments import entries
from ...support.attribute_hints import Uncalled
from ...support.bounded_cache import BoundedCache
from ...support.errors import (
    ArgumentError,
    DtypeError,
    GraphError,
    StructureError,
    Where,
    shown,
    user_line,
)
from ...support.forks import WAITING, LockLevel, fork_lock, give_way
from ..calls.feed_names import FeedNames, KnownKeys
from ..calls.results import ResultT, result_builder
from ..parameters import Parameters
from .pool_feeds import HeldFeeds
from .pool_step_feeds import Fed, Rows, StepFeeds
from .row_steps import RowSteps
from .sequence_end import SequenceEnd
from .serving import Frame, Serving
from .states import StateForm
from .step_graph import StepGraph
from .stream_table import PreparedRows, RowError, StreamHandle, StreamTable, check_alike, step_each, step_tables

MAX_TABLES = 64
"""Maximum number of tables that a pool keeps, including empty tables."""
MIN_STREAMS = 16
"""Initial number of rows of every table except the first."""


@api
class StreamPool(Uncalled, Generic[ResultT]):
    """Streams of an inference graph that join and leave at any time, and step together.

    A call steps only the streams that have input, and its cost depends only on them. Threads may share a pool, whose
    calls run one after another.
    """

    def __init__(self, graph: StepGraph, parameters: Parameters, names: FeedNames, capacity: int) -> None:
        """Make an empty pool. ``graph`` is the step graph of one row, and ``names`` has the names of its feeds."""
        self._graph, self._parameters, self._feed_names = graph, parameters, names
        self._form, self._end = StateForm(graph, parameters), SequenceEnd(graph, parameters)
        self._holding = HeldFeeds(graph)
        self._capacity = capacity
        self._leaves = [path for path, _ in paths(graph.structure)]
        self._queue: deque[np.ndarray] = deque()
        self._give = result_builder(graph.structure, [self._queue.popleft] * len(self._leaves))
        self._feeds = StepFeeds(graph)
        self._keys = KnownKeys(names, self._feeds.names)
        self._tables: BoundedCache[Any, StreamTable] = BoundedCache(MAX_TABLES, is_pinned=len)
        self._places: frozenset[StreamTable | None] = frozenset()
        # handles of the last call, with their tables and rows
        self._recent: tuple[list[Any], list[StreamTable], np.ndarray] | None = None
        self._prepared: PreparedRows | None = None
        self._lock = fork_lock(LockLevel.RUN)
        self._serving: Serving | None = None
        if not self._holding.missing({}):  # compiled now, so that no stream has to wait
            self._form.fresh(self._holding.defaults, None)
            self._table_for(self._holding.defaults, None)
        elif self._holding.sizes_are_known:
            graph.rows.entry({})

    # Streams that join and leave ------------------------------------------------------------------

    @api
    def open(self, feeds: Mapping[Any, Any] | None = None, /, *, state: Any = None, **named: Any) -> StreamHandle:
        """Open a new stream and return its handle.

        Args:
            feeds: Inputs of this stream without time axis, with or without a row axis of 1.
            state: State from ``pool.state``, ``pool.state_bytes`` (of any process) or a ``Stream`` of one row; None for
                the initial state.
            **named: Like ``feeds``, by keyword. ``number=`` replaces the number of ``state``.
        """
        where = user_line()
        held_feeds = self._holding.converted(self._feed_names.by_placeholder(feeds, named, where), where)
        with self._lock:
            arrays = {**self._holding.defaults, **held_feeds}
            self._holding.require(arrays, state is None, where)
            states = self._form.initial(arrays, state, held_feeds.get(NUMBER), where)
            table = self._table_for(arrays, where)
            if not table.has_room:  # the list of the last call may keep handles alive that nothing else refers to
                self._recent = self._prepared = None
            return StreamHandle(self, table, table.add(states, arrays), arrays)

    @api
    def close(self, handle: StreamHandle) -> None:
        """Close a stream and free its row. Its queued frames are discarded."""
        where = user_line()
        with self._lock:
            table = self._table_of(handle, where)
            handle._table, self._recent = None, None
            table.remove(handle._row)
        if self._serving is not None and self._serving.is_running:
            self._serving.forget(handle)

    @api
    def reset(self, handle: StreamHandle) -> None:
        """Reset a stream to the initial state."""
        where = user_line()
        with self._lock:
            self._table_of(handle, where).set_states(handle._row, self._form.fresh(handle._held_feeds, where))

    @api
    def state(self, handle: StreamHandle) -> Any:
        """Return a copy of a stream's state, in the form of a ``Stream`` of one row, for ``open``."""
        where = user_line()
        with self._lock:
            return self._form.nest(self._table_of(handle, where).states(handle._row))

    @api
    def state_bytes(self, handle: StreamHandle) -> bytes:
        """Return a stream's state as bytes with names, shapes and a digest, for ``open`` or a ``Stream`` of one row.

        Feeds without time axis are not included.
        """
        where = user_line()
        with self._lock:
            return self._form.to_bytes(self._table_of(handle, where).states(handle._row))

    @api
    def flush(self, handle: StreamHandle, feeds: Mapping[Any, Any] | None = None, /, **left: Any) -> ResultT:
        """End a sequence: return its remaining results, and reset the stream to the initial state.

        ``feeds`` and ``left`` are the remaining input entries, fewer than ``rate``, with their time axis.
        """
        where = user_line()
        arrays, whole = self._holding.remaining(self._feed_names.by_placeholder(feeds, left, where), where)
        with self._lock:
            table = self._table_of(handle, where)
            results = self._end.due(handle._held_feeds, arrays, table.states(handle._row), np.ones(1, bool), where)
            table.set_states(handle._row, self._form.fresh(handle._held_feeds, where))
            return self._packed([self._holding.without_rows(name, results[name], whole) for name in self._leaves])

    def __reduce__(self) -> Never:
        raise GraphError(
            "a pool can't be pickled or copied, because its handles refer to this pool; make one from the program "
            "there, and open its streams with pool.state_bytes(handle)"
        )

    def __len__(self) -> int:
        """Return the number of open streams."""
        return sum(len(table) for table in [*self._tables.values()])

    @property
    def capacity(self) -> int:
        """Number of streams that fit in the allocated memory, which grows on demand."""
        return max(self._capacity, sum(table.capacity for table in [*self._tables.values()]))

    @property
    def rate(self) -> int:
        """Entries of the input sequences per step."""
        return self._graph.rate

    @property
    def delay(self) -> int:
        """Latency in steps. The results of the first ``delay`` steps are zeros."""
        return self._graph.delay

    # Steps ---------------------------------------------------------------------------------------

    @api
    def step(self, feeds: Mapping[StreamHandle, Mapping[Any, Any]], /) -> dict[StreamHandle, ResultT]:
        """Step streams once and return their results by handle.

        If an error is raised, no stream has stepped. Only after a draw from NaN logits, or a step past the end of a
        table of positions, all have stepped. Inputs may have a row axis of 1; then results have it, too.
        """
        results = self._outcomes(feeds)
        if error := next((item for item in results if isinstance(item, RowError)), None):
            raise error
        return dict(zip(feeds, cast("list[ResultT]", results), strict=True))

    def _outcomes(self, feeds: Mapping[StreamHandle, Mapping[Any, Any]]) -> list[ResultT | RowError]:
        """Step each stream of {handle: feeds} once. Return the result of each stream, or its error, in order."""
        if not isinstance(feeds, Mapping):
            what = f"one mapping from handle to feeds, not {type(feeds).__name__}"
            raise StructureError(f"a pool's step takes {what}; pass arrays to step_rows", user_line())
        if WAITING:
            give_way()
        with self._lock:
            fed = [(handle, self._fed(handle, stream_feeds, {})) for handle, stream_feeds in feeds.items()]
            return self._run(fed, [self._settled(*item) for item in fed])

    @api
    def step_rows(
        self, handles: Sequence[StreamHandle], feeds: Mapping[Any, Any] | None = None, /, *excess: Never, **named: Any
    ) -> ResultT:
        """Step streams once, with one row of the fed and returned arrays per handle, in this order.

        An output without rows gets a new first axis.
        """
        if excess:
            no_more("step_rows", excess)
        if WAITING:
            give_way()
        with self._lock:
            recent, prepared = self._recent, self._prepared
            if prepared is not None and prepared.of is recent and type(handles) is list and handles == recent[0]:
                known = named if feeds is None else self._keys.by_name(feeds, named)
                result: Any = prepared.run(known) if prepared.has_memory else None
                if result is not None:
                    return cast("ResultT", result)
            handles = entries(handles, "handles")
            tables, rows = self._rows_of(handles)
            count, by_name = len(rows), self._by_name(feeds, named)
            arrays = {name: value for name, value in by_name.items() if name in self._feeds.names}
            held_feeds = {name: value for name, value in by_name.items() if name not in arrays}
            self._holding.require_known(held_feeds, user_line)
            self._feeds.require(arrays)
            changes = self._changes(handles, held_feeds) if held_feeds else []
            tables = [table for _, table in changes] or tables
            first = tables[0] if tables else next(iter(self._tables.values()), None)
            if first is None:
                raise ArgumentError("this pool has no streams; open one first", user_line())
            ports = first.steps.inputs
            arrays = {name: self._feeds.of_rows(ports[name], value, count) for name, value in arrays.items()}
            first.steps.check(arrays, count)
            if changes:
                check_alike(tables)
                for handle, (holds, table) in zip(handles, changes, strict=True):
                    self._store(handle, holds, table)
                tables, rows = self._rows_of(handles)
            elif recent is not None and rows is recent[2]:  # the same handles as in the last call
                self._prepared = PreparedRows(recent, first, rows, self._graph.structure, self._leaves)
            return self._packed(step_tables(tables or [first], rows, arrays, self._leaves))

    def _packed(self, arrays: Iterable[np.ndarray]) -> ResultT:
        self._queue.clear()  # left by a call that was interrupted
        self._queue.extend(arrays)
        result: ResultT = self._give()
        return result

    def _table_of(self, handle: Any, where: Where | None) -> StreamTable:
        """Return the table of an open stream. Raise ``DtypeError`` or ``ArgumentError`` for another handle."""
        if not isinstance(handle, StreamHandle):
            raise DtypeError(f"{shown(handle)} is not a stream; pass the handle that pool.open returned", where)
        if handle._pool is not self:
            raise ArgumentError(
                f"{handle!r} belongs to another pool; step it there, or open one here with its state", where
            )
        if handle._table is None:
            raise ArgumentError(f"{handle!r} is closed; open another stream", where)
        return handle._table

    def _rows_of(self, handles: list[StreamHandle]) -> tuple[list[StreamTable], np.ndarray]:
        """Return the streams' tables, or one that all share, and their rows. Closed or repeated streams raise."""
        recent = self._recent
        if recent is not None and handles == recent[0]:
            return recent[1:]
        try:
            tables, rows = [handle._table for handle in handles], [handle._row for handle in handles]
        except AttributeError:
            tables, rows = [], []
        first = tables[0] if tables else None
        if first in self._places and tables.count(first) == len(set(rows)) == len(rows):
            assert first is not None
            self._recent = handles, [first], np.array(rows, np.int64)
            return self._recent[1:]
        return self._rows_in_tables(handles)

    def _rows_in_tables(self, handles: list[StreamHandle]) -> tuple[list[StreamTable], np.ndarray]:
        """Return the table and the row of each stream. Raise an error that names the wrong handle."""
        where = user_line()
        tables = [self._table_of(handle, where) for handle in handles]
        if len(set(handles)) < len(handles):
            twice = next(handle for number, handle in enumerate(handles) if handle in handles[:number])
            raise ArgumentError(f"{twice!r} is given twice; a call steps each stream once", where)
        return tables, np.array([handle._row for handle in handles], np.int64)

    def _by_name(self, feeds: Any, named: Mapping[str, Any]) -> Mapping[str, Any]:
        if feeds is not None and not isinstance(feeds, Mapping):
            feeds, named = None, self._feed_names.with_input(feeds, named, user_line())
        if not feeds and all(name in self._feeds.names for name in named):
            return named
        known = self._keys.by_name(feeds, named)
        if known is not None:
            return known
        where = user_line()
        feeds_by_name = self._feed_names.by_placeholder(feeds, named, where)
        self._keys.learn(feeds or {}, where)
        return feeds_by_name

    def _changes(self, handles: Sequence[StreamHandle], feeds: Mapping[str, Any]) -> list[tuple[Rows, StreamTable]]:
        """Return the held feeds of each stream after this call, and the table for them, without storing anything."""
        where = user_line()
        each = self._holding.of_rows(feeds, len(handles), where)
        holds = [{**handle._held_feeds, **new} for handle, new in zip(handles, each, strict=True)]
        return [(arrays, self._table_for(arrays, where)) for arrays in holds]

    def _store(self, handle: StreamHandle, held_feeds: Rows, table: StreamTable) -> None:
        before = handle._table
        assert before is not None
        if table is before:
            table.store(handle._row, held_feeds)
        else:
            row = table.add(before.states(handle._row), held_feeds)
            before.remove(handle._row)
            handle._table, handle._row, self._recent = table, row, None
        handle._held_feeds = held_feeds

    def _table_for(self, held_feeds: Rows, where: Where | None) -> StreamTable:
        """Return the table of streams with these constant feeds. If it is new, compile its step."""
        key, others, shared = self._holding.shared_values(held_feeds, where)
        table = self._tables.get(key)
        if table is None:
            steps = RowSteps(self._graph, self._parameters, others, shared)
            table = StreamTable(steps, min(self._capacity, MIN_STREAMS) if self._tables else self._capacity)
            self._tables[key] = table
            self._places = frozenset(self._tables.values())
        return table

    def _fed(self, handle: StreamHandle, feeds: Any, named: Mapping[str, Any], serving: Serving | None = None) -> Fed:
        """Check and convert a stream's feeds. Return them with the table of the streams with which it steps."""
        table = self._table_of(handle, None)
        if feeds is not None and not isinstance(feeds, Mapping):
            feeds, named = None, self._feed_names.with_input(feeds, named, user_line())
        plain = self._feeds.plain(table.steps, feeds or named)
        if plain is not None and not (feeds and named):
            return Fed(plain, False, {}, table)
        where = user_line()
        by_name = self._feed_names.by_placeholder(feeds, named, where)
        moving = {name: value for name, value in by_name.items() if name in self._feeds.names}
        held_feeds = {name: value for name, value in by_name.items() if name not in moving}
        self._holding.require_known(held_feeds, user_line)
        self._feeds.require(moving)
        held_feeds = self._holding.converted(held_feeds, where)
        queued = () if serving is None else serving.fed_before(handle)
        before = [item for fed in queued for item in fed.held_feeds.items()]
        if held_feeds or before:
            with self._lock:
                table = self._table_for({**handle._held_feeds, **dict(before), **held_feeds}, where)
        rows, whole = self._feeds.of_stream(table.steps, moving)
        return Fed(rows, whole, held_feeds, table)

    def _settled(self, handle: StreamHandle, fed: Fed) -> StreamTable:
        """Return the table of streams with which a stream steps, given its feeds. Raise if ``fed`` does not fit it."""
        table = self._table_of(handle, None)
        if fed.held_feeds:
            table = self._table_for({**handle._held_feeds, **fed.held_feeds}, None)
        if table is not fed.table:
            self._feeds.of_stream(table.steps, fed.rows)
        return table

    def _run(self, fed: Sequence[tuple[StreamHandle, Fed]], tables: Sequence[StreamTable]) -> list[Any]:
        """Step each stream once with checked feeds. Return each one's result or error. The caller holds the lock."""
        for table, count in Counter(tables).items():
            table.steps.make_room(count)
        for (handle, stream_fed), table in zip(fed, tables, strict=True):
            if stream_fed.held_feeds:
                self._store(handle, {**handle._held_feeds, **stream_fed.held_feeds}, table)
        frames = [(handle._row, item.rows, item.whole) for handle, item in fed]
        results = step_each(tables, frames, self._leaves)
        return [item if isinstance(item, RowError) else self._packed(item) for item in results]

    # Frames of many callers ----------------------------------------------------------------------

    @api
    def serve(self, max_batch: int = 64, max_wait: float = 0.002) -> Serving:
        """Run the frames of ``submit`` and ``step_async`` in a thread. Close the result, or use it in ``with``.

        Args:
            max_batch: Maximum number of streams in a batch. A batch of this size runs immediately.
            max_wait: Maximum seconds that a frame waits for a larger batch.
        """
        where = user_line()
        with self._lock:
            if self._serving is not None and self._serving.is_running:
                raise ArgumentError("this pool is served already; close the result of the earlier serve()", where)
            self._serving = Serving(self._run_frames, max_batch, max_wait)
            return self._serving

    @api
    def submit(
        self, handle: StreamHandle, feeds: Mapping[Any, Any] | None = None, /, *excess: Never, **named: Any
    ) -> Future[ResultT]:
        """Submit a stream's next frame, which is copied. Frames of one stream run in the order of submission.

        A frame that is cancelled before it runs is skipped.

        Returns:
            Future of the step's result, or of its error. If the pool is not served, ``ArgumentError`` is raised.
        """
        if excess:
            no_more("submit", excess)
        serving = self._serving
        if serving is None or not serving.is_running:
            raise ArgumentError("this pool is not served; call pool.serve() first, or step it", user_line())
        future: Future[ResultT] = Future()
        try:
            fed = self._fed(handle, feeds, named, serving)
        except Exception as error:
            future.set_exception(error)
            return future
        fed.rows = {name: array.copy() for name, array in fed.rows.items()}
        serving.put(Frame(handle, fed, future))
        return future

    @api
    def step_async(
        self, handle: StreamHandle, feeds: Mapping[Any, Any] | None = None, /, *excess: Never, **named: Any
    ) -> Coroutine[Any, Any, ResultT]:
        """Return a coroutine of a step, as ``submit`` returns a future.

        A step that is cancelled before it runs is skipped.
        """

        async def answer() -> ResultT:
            import asyncio  # slow to import: it takes a quarter as long as this package

            return await asyncio.wrap_future(self.submit(handle, feeds, *excess, **named))

        return answer()

    def _run_frames(self, frames: Sequence[Frame]) -> list[Any]:
        """Step streams with their queued feeds (frames). Return for each frame its result or error."""
        outcomes: list[Any] = [ArgumentError("the stream was closed before this frame was run")] * len(frames)
        if WAITING:
            give_way()
        with self._lock:
            tables: dict[int, StreamTable] = {}
            for number, (handle, fed, *_) in enumerate(frames):
                try:
                    if handle._table is not None:
                        tables[number] = self._settled(handle, fed)
                except Exception as error:  # such as after an earlier frame that changes held feeds was cancelled
                    outcomes[number] = error
            try:
                results: list[Any] = self._run([frames[number][:2] for number in tables], [*tables.values()])
            except Exception as error:
                results = [error] * len(tables)
        for number, result in zip(tables, results, strict=True):
            outcomes[number] = result
        return outcomes
