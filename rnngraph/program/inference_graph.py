"""Calls of a program's inference graph."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Never

import numpy as np
from numpy.typing import ArrayLike

from ..declare.nest import is_leaf
from ..declare.tensor import Tensor
from ..ir.graph import Graph
from ..ir.text.fingerprint import fingerprint
from ..ir.types import TensorType
from ..runtime.calls.direct_call import DIRECT
from ..runtime.calls.feed_names import unknown_input
from ..runtime.calls.results import ResultT
from ..runtime.class_names import BARE
from ..runtime.native.compile_options import CompileOptions
from ..support.api_guard import api, no_more
from ..support.arguments import checked_name, entries, whole_number
from ..support.bounded_cache import BoundedCache
from ..support.errors import (
    ArgumentError,
    FileError,
    Where,
    shown,
    user_line,
)
from ..support.garbage import collector_paused
from .callable_graph import CallableGraph
from .parts import ProgramParts

if TYPE_CHECKING:
    from ..export.write_net import Export
    from ..inspection.profile.profile import Profile
    from ..runtime.calls.non_finite import NonFinite
    from ..runtime.streams.pool import StreamPool
    from ..runtime.streams.step_graph import StepGraph
    from ..runtime.streams.stream import Stream
    from .columns import ColumnCall
    from .generation.draws import Draws
    from .generation.generation import Generation
    from .generation.generator import Generator

MAX_BATCHES = 16
"""Maximum cached step graphs, one for each batch, whose code new streams share."""


class InferenceGraph(CallableGraph[ResultT]):
    """The inference graph, without dropout, random ops and loss."""

    kind = "inference"
    is_direct = True

    def __init__(self, parts: ProgramParts, lowered: Graph) -> None:
        super().__init__(parts, lowered)
        self._step_graphs: BoundedCache[int, StepGraph] = BoundedCache(MAX_BATCHES)

    @cached_property
    def _types(self) -> dict[str, TensorType]:
        return self.compiled.input_types()  # excludes inputs that only dropout reads

    def __call__(
        self, feeds: Mapping[Any, Any] | ArrayLike | None = None, /, *excess: Never, out: Any = None, **named: Any
    ) -> ResultT:
        """Run the graph.

        Args:
            feeds: {placeholder or its name: value}, or one value for the only input that no keyword feeds.
            out: Arrays by output name, which receive the results.
            **named: Values by name.

        Returns:
            Results in the structure of the declared outputs.

        Raises:
            NameLookupError: A feed is missing or unknown.
            ShapeError: Shapes do not fit.
            DtypeError: A value cannot be converted.
        """
        if excess:
            no_more("inference", excess, self.input_names())
        if feeds is not None and type(feeds) is not dict and not isinstance(feeds, Mapping):
            feeds, named = None, self.parts.names.with_input(feeds, named, user_line())
        calls = self._calls
        if (result := calls.attempt(feeds, named, None, out)) is not None:
            if calls.recent is not None:
                self._direct = calls.recent.plan
        else:
            where = user_line()
            arrays = self.gather(feeds, named, where)
            result = self._run(self._form(self._names()), arrays, where, out, calls, feeds, named)
        return result

    def run_with(self, feeds: Mapping[Any, Any]) -> Callable[[CompileOptions], ResultT]:
        """Return a function of compile options that runs the graph on ``feeds``."""
        lowered = self.compiled.lowered
        return lambda options: InferenceGraph[ResultT](replace(self.parts, options=options), lowered)(feeds)

    @api
    def check(self, feeds: Mapping[Any, Any] | None = None, /, **named: Any) -> NonFinite | None:
        """Run the graph in the interpreter, and return the first NaN or infinite value; None if there is none.

        Infinite constants count only if they lead to NaN.

        Args:
            feeds: As for a call.
            **named: As for a call.
        """
        where = user_line()
        return self._checked(self.gather(feeds, named, where), self._names(), where, self.compiled)

    @api
    def taps(self, feeds: Mapping[Any, Any] | None = None, /, **named: Any) -> dict[str, np.ndarray]:
        """Return {name: array} of all values named by ``rg.tap`` on which the outputs depend, in order of declaration.

        Args:
            feeds: As for a call.
            **named: As for a call.
        """
        where = user_line()
        arrays = self.gather(feeds, named, where)
        return self._tap_values(arrays, lambda form: self._run(form, arrays, where))

    @api
    def profile(self, feeds: Mapping[Any, Any] | None = None, /, seconds: float = 1.0, **named: Any) -> Profile:
        """Measure calls with these feeds, by layer, kernel and line of the script, with the bottleneck of each.

        Args:
            feeds: As for a call.
            seconds: Seconds to spend on calls, half of them without counters.
            **named: As for a call.

        Raises:
            GraphError: The program's code does not run on this machine, or its processor has no cycle counter.
        """
        where = user_line()
        arrays = self.gather(feeds, named, where)
        profile = self._profiled(self._form(self._names()), arrays, where, seconds, self)
        return replace(profile, weights="; ".join(self._held_weights(self.parts.options)))

    @api
    @collector_paused()
    def stream(self, batch: int = 1, number: Any = None, state: Any = None) -> Stream[ResultT]:
        """Return a stream, which runs the graph step by step or in chunks and keeps its state between calls.

        Args:
            batch: Number of rows, each with its own state.
            number: Number by which streams draw different classes of ``rg.sample``: an int for all rows, or one for
                each; by default 0, or the number in ``state``.
            state: State to start from: a file that ``Stream.save`` wrote, whose rows the stream then has, or what
                ``Stream.state`` or ``state_bytes`` returned. By default the initial state.

        Raises:
            GraphError: The graph cannot run step by step.
            FileError: The file is missing, damaged or of another kind.
            StructureError: The file is of another net, or of another number of rows than ``batch``.
            NameLookupError: ``number`` is given to a program without ``rg.sample``.
        """
        from ..runtime.streams.states import SavedStream  # needed for streams only
        from ..runtime.streams.stream import Stream

        batch, where, parts = whole_number(batch, "a stream's batch", 1), user_line(), self.parts
        digest = partial(fingerprint, self.compiled.lowered)
        saved = SavedStream.read(state, batch, digest(), where) if isinstance(state, str | os.PathLike) else None
        graph = self._step_graph(batch if saved is None else saved.batch, where)
        stream: Stream[ResultT] = Stream(
            graph, parts.parameters, parts.names, partial(parts.reduced, self.part), digest
        )
        if saved is not None:
            stream.restore(saved.arrays, where)
        elif isinstance(state, bytes | bytearray | memoryview):
            stream.load_state_bytes(bytes(state))
        elif state is not None:
            stream.state = state
        if number is not None:
            stream.set_number(number, user_line())
        return stream

    @api
    def streams(self, capacity: int = 64) -> StreamPool[ResultT]:
        """Return a pool of streams that join and leave. Each call steps the streams that have input.

        Args:
            capacity: Initial capacity in streams.
        """
        capacity = whole_number(capacity, "a pool's capacity", 1)
        parts = self.parts
        from ..runtime.streams.pool import StreamPool

        graph = self._step_graph(1, user_line())
        return StreamPool(graph, parts.parameters, parts.names, capacity)

    @api
    def generate(
        self,
        ids: ArrayLike,
        max_new: int | None = 100,
        sample: Any = None,
        stop: Any = None,
        input: str | None = None,
        output: str | None = None,
        *,
        number: Any = None,
        state: Any = None,
    ) -> Generation:
        """Generate tokens after a prompt: each token that is chosen is fed as the next step's input.

        The prompt runs in chunks, and new tokens step by step, as in a stream. You may stop iterating at any time.

        Args:
            ids: Tokens of the prompt: ints [tokens], or [rows, tokens] for several prompts of one length. It may be
                empty if ``state`` is that of a generation, which then continues as if it had not ended.
            max_new: Maximum number of new tokens; None for no limit.
            sample: How a token is chosen from the logits of a step. By default the largest logit. A dict: arguments of
                ``rg.sample``, such as ``{"temperature": 0.8, "seed": 1}``, whose steps count from the first new token.
                A function: gets logits [classes], or [rows, classes], and returns a token, or one for each row.
            stop: A token that ends a row, several such tokens, or a function that is true for them. They are not
                returned.
            input: Name of the input for tokens; by default the only input that takes an integer for each step.
            output: Path of the output for logits, or for tokens that the net draws itself; by default the only one.
            number: Number by which draws of ``rg.sample`` differ: an int for all rows, or one for each. By default 0,
                or in a net that draws, the number in ``state``.
            state: State to start from, as for ``stream``, such as ``state`` of another generation. The prompt
                continues it. With an empty prompt, pass ``sample`` and ``number`` as before.

        Returns:
            Iterator over new tokens as they come: ints, or for [rows, tokens] int64 [rows] with -1 for rows that have
            stopped. From its ``state``, or the file of ``save``, another generation can continue.

        Raises:
            ArgumentError: No input or output fits, or several do; the error lists them.
            DtypeError: The tokens are not integers.
            ShapeError: The prompt is empty and ``state`` is not that of a generation, or it has more than two axes.
            GraphError: The graph cannot run step by step, its outputs come steps later, or it needs other inputs.
            NonFiniteError: A logit is NaN.
        """
        from .generation.choice import choice_of
        from .generation.generation import Generation, Reader
        from .generation.ports import token_ports
        from .generation.prompts import prompt_of, stops_at

        where = user_line()
        prompt = prompt_of(ids, state, where)
        limit = None if max_new is None else whole_number(max_new, "max_new", 0)
        is_single, rows = np.ndim(ids) == 1, len(prompt)
        ports = token_ports(self._step_graph(rows, where), input, output, where)
        stream = self.stream(rows, number if ports.draws else None, state)
        reader = Reader(stream, ports, prompt, state, where)
        choice = choice_of(sample, number, ports, reader.begun, is_single, self._draws, where)
        return Generation(reader, ports, choice, stops_at(stop, where), limit, is_single)

    @api
    def generator(
        self,
        slots: int = 16,
        max_waiting: int = 64,
        max_prefill: int = 64,
        input: str | None = None,
        output: str | None = None,
    ) -> Generator:
        """Start a thread that generates tokens for many callers at once. Close the result, or use it in ``with``.

        Args:
            slots: Maximum number of callers that run, as rows of one batch.
            max_waiting: Maximum number of callers that wait for a slot; ``submit`` refuses more by ``BusyError``.
            max_prefill: Maximum tokens of prompts that are read between two steps of the callers that run. With fewer,
                tokens come at more regular intervals; with more, the first token comes earlier.
            input: As for ``generate``.
            output: As for ``generate``.
        """
        from .generation.generator import Generator, GeneratorLimits
        from .generation.ports import token_ports

        where = user_line()
        limits = GeneratorLimits(
            whole_number(slots, "slots", 1),
            whole_number(max_waiting, "max_waiting", 0),
            whole_number(max_prefill, "max_prefill", 1),
        )
        ports = token_ports(self._step_graph(1, where), input, output, where)
        return Generator(
            lambda state, number: self.stream(1, number, state), self.streams(slots), ports, self._draws, limits
        )

    @cached_property
    def _draws(self) -> Draws:
        from .generation.draws import Draws

        return Draws(self.parts.options)

    def _step_graph(self, batch: int, where: Where | None) -> StepGraph:
        from ..runtime.streams.step_graph import step_graph  # needed for streams only

        parts = self.parts
        graph = self._step_graphs.get(batch)
        if graph is None:  # streams of one batch size share a graph, which they keep even if the cache evicts it
            graph = self._step_graphs.setdefault(batch, step_graph(parts.source, parts.options, batch, where))
        return graph

    @api
    def on_columns(self, *columns: str | Tensor | Mapping[Any, str], keep: Sequence[str] = ()) -> ColumnCall[ResultT]:
        """Return the graph as a function of a table: a mapping from column to array, which may have other columns.

        Args:
            *columns: Inputs that are fed from columns of their names, or mappings from input to column. By default
                all inputs.
            keep: Columns to copy to the result.

        Returns:
            A function that can be pickled.

        Raises:
            NameLookupError: A name is not an input.
            ArgumentError: A result has the name of a column to keep.
        """
        where = user_line()
        pairs = chain.from_iterable(
            item.items() if isinstance(item, Mapping) else [(item, item)] for item in columns or self.input_names()
        )
        column_of: dict[str, str] = {}
        for key, column in pairs:
            name = self.parts.names.name_of(key, where)
            if name not in self.input_names():
                raise unknown_input(f"the {self.kind} graph", name, self.input_names(), where)
            column_of[name] = name if isinstance(column, Tensor) else checked_name(column, "a column", where, True)
        kept = [checked_name(column, "a column", where, True) for column in entries(keep, "keep")]
        results = self._form(self._names()).structure
        names = {BARE} if is_leaf(results) else {*results}
        if clashes := sorted(names & {*kept}):
            what = f"keep={shown(kept)}: the result already has {', '.join(clashes)}; rename the column"
            raise ArgumentError(what, where)
        from .columns import ColumnCall  # rarely needed

        return ColumnCall(self, self.parts, self.part, column_of, kept)

    def restore(self, arguments: Mapping[str, Any], arrays: Mapping[str, np.ndarray], where: Where | None) -> Any:
        """Restore an object that was pickled from this graph: a stream, or a function of columns.

        ``arguments`` are those of its constructor, and ``arrays`` the state of a stream.
        """
        if arguments.keys() == {"columns", "keep"}:
            return self.on_columns(arguments["columns"], keep=arguments["keep"])
        if arguments.keys() == {"batch"}:
            stream = self.stream(arguments["batch"])
            stream.restore(arrays, where)
            return stream
        raise FileError(
            "a pickled graph has a form that this version does not know; use the version that wrote it", where
        )

    @api
    def export(
        self,
        directory: str | os.PathLike[str] | None = None,
        name: str = "net",
        batch: int | None = None,
        target: str | None = None,
        weights: str = "embedded",
        dispatch: bool = False,
        link: bool = True,
        form: str = "stream",
        debug: bool = False,
        rows: int = 1,
        max_block: int | None = None,
    ) -> Export:
        """Write the graph as an object file with a C interface, and related files, to a directory.

        Args:
            directory: Directory to write, by default ``NAME-export``. If it has files that an export did not write, or
                that were changed since, nothing is written.
            name: Prefix of all C names and of the files ``NAME.o``, ``NAME.h``, ``NAME_test.c``, ``NAME.json`` and
                ``NAME_net.cmake``. ``CMakeLists.txt`` and ``rnngraph-export.json`` are always written. If the target's
                tools are installed, also a static and a shared library with a Python module (for WebAssembly
                ``NAME.wasm``).
            batch: Rows of an instance: by default 1 for a stream, and any number for sequences.
            target: ``host``, a level such as ``x86-64-v3``, another processor's name, or None for the program's own.
            weights: ``embedded`` with their present values, or ``external``, passed at run time.
            dispatch: Code for x86-64-v2, v3 and v4 in one object, selected at run time.
            link: Link libraries.
            form: ``stream``, run step by step, or ``sequence``, which takes whole sequences and supports every graph.
            debug: Add the script's lines and layers for debuggers and profilers. Instructions are the same.
            rows: Number of streams that ``NAME_step_rows`` steps as one batch, which reads weights once.
            max_block: Maximum steps that ``NAME_process`` computes at once. Fewer need less memory and more time;
                results are the same. By default, steps times rows are about 128; 1: single steps.

        Raises:
            GraphError: The graph cannot run step by step; the error names the line.
            ShapeError: A size that must be known is symbolic.
            ArgumentError: An argument is invalid.
            FileError: Files cannot be written, or would replace files that an export did not write.
        """
        from ..export.native_code import ExportSource  # rarely needed
        from ..export.write_net import ExportOptions, export

        parts = self.parts
        source = ExportSource(parts.source, parts.parameters, parts.options, self._held_weights)
        options = ExportOptions(name, batch, target, weights, dispatch, link, form, debug, rows, max_block)
        return export(source, directory, options, user_line())

    @api
    def export_plugin(
        self, directory: str | os.PathLike[str] | None = None, name: str = "net", max_block: int | None = None
    ) -> dict[str, Export]:
        """Write the graph as a stream for Linux, Windows and macOS, with a C++ class and a CMake target.

        Args:
            directory: Directory to write, by default ``NAME-plugin``. It gets an export for each system: x86-64 for
                Linux, Windows and macOS, with code for x86-64-v2, v3 and (not on macOS) v4, and arm64 for macOS.
            name: Prefix of all C names, CMake target, and namespace of the class ``Net`` in ``NAME.hpp``.
            max_block: As for ``export``.

        Returns:
            The exports, by folder.

        Raises:
            GraphError, ShapeError, ArgumentError, FileError: As for ``export``.
        """
        from ..export.native_code import ExportSource  # rarely needed
        from ..export.write_plugin import export_plugin

        parts = self.parts
        source = ExportSource(parts.source, parts.parameters, parts.options, self._held_weights)
        return export_plugin(source, directory, name, max_block, user_line())

    def _held_weights(self, options: CompileOptions) -> list[str]:
        """Return lines on how inference stores parameters; empty if no weights should be narrow."""
        reduced = options.reduced
        if reduced is None:
            return []
        from ..passes.held_weights import held_text, held_weights  # imports the optimiser, for narrow weights only

        return held_text(held_weights(self.graph, reduced, options.parameters))


DIRECT.install_fastcall(
    InferenceGraph, "__call__", "_direct", "__call__($self, feeds=None, /, *excess, out=None, **named)"
)
