"""Calls of a program's inference graph."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Never

import numpy as np
from numpy.typing import ArrayLike

from ..declare.nest import is_leaf
from ..declare.tensor import Tensor
from ..ir.graph import Graph
from ..ir.types import TensorType
from ..passes.held_weights import held_text, held_weights
from ..runtime.calls.direct_call import DIRECT
from ..runtime.calls.results import Given
from ..runtime.native.compile_options import CompileOptions
from ..runtime.streams.step_graph import StepGraph, step_graph
from ..runtime.streams.stream import Stream
from ..support.api_guard import api, no_more
from ..support.arguments import checked_name, entries, whole_number
from ..support.bounded_cache import BoundedCache
from ..support.errors import ArgumentError, FileError, NameLookupError, Where, did_you_mean, shown, user_line
from .callable_graph import CallableGraph
from .columns import ColumnCall
from .parts import ProgramParts

if TYPE_CHECKING:
    from ..export.write_net import Export
    from ..inspection.profile.profile import Profile
    from ..runtime.calls.non_finite import NonFinite
    from ..runtime.streams.pool import StreamPool

MAX_BATCHES = 16
"""Step graphs that are kept, one for each batch, so that new streams find code."""


class InferenceGraph(CallableGraph[Given]):
    """The inference graph: no dropout, no random op, no loss."""

    kind = "inference"
    is_direct = True

    def __init__(self, parts: ProgramParts, lowered: Graph) -> None:
        super().__init__(parts, lowered)
        self._step_graphs: BoundedCache[int, StepGraph] = BoundedCache(MAX_BATCHES)

    @cached_property
    def _types(self) -> dict[str, TensorType]:
        return self.compiled.input_types()  # inputs that only dropout read are gone

    def __call__(
        self, feeds: Mapping[Any, Any] | ArrayLike | None = None, /, *excess: Never, out: Any = None, **named: Any
    ) -> Given:
        """Run the graph.

        Args:
            feeds: Placeholders by keyword, one mapping, or the array of the only input that is not fed by keyword.
            out: Arrays for the results.
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

    @api
    def check(self, feeds: Mapping[Any, Any] | None = None, /, **named: Any) -> NonFinite | None:
        """Runs the graph slowly, node by node, and says which value first is NaN or infinite; None where none is."""
        where = user_line()
        return self._checked(self.gather(feeds, named, where), self._names(), where, self.compiled)

    @api
    def taps(self, feeds: Mapping[Any, Any] | None = None, /, **named: Any) -> dict[str, np.ndarray]:
        """{name: array} of all that ``rg.tap`` names and the outputs read, in the order of declaration."""
        where = user_line()
        arrays = self.gather(feeds, named, where)
        return self._tap_values(arrays, lambda form: self._run(form, arrays, where))

    @api
    def profile(self, feeds: Mapping[Any, Any] | None = None, /, seconds: float = 1.0, **named: Any) -> Profile:
        """What calls with these feeds take, by layer, kernel and line of the script, and what bounds each.

        seconds: to spend on calls, half of them without counting. Raises ``GraphError`` where the program's code does
        not run here, or the processor has no counter.
        """
        where = user_line()
        arrays = self.gather(feeds, named, where)
        profile = self._profiled(self._form(self._names()), arrays, where, seconds, self)
        return replace(profile, weights="; ".join(self._held_weights(self.parts.options)))

    @api
    def stream(self, batch: int = 1, number: Any = None) -> Stream[Given]:
        """A stream: the graph step by step or in chunks, with its state kept between calls.

        batch: rows, which have one state each.
        number: of a program that calls ``rg.sample``, the number by which streams draw different classes: an int for
            all rows, or one for each. Default: 0.
        """
        batch = whole_number(batch, "a stream's batch", 1)
        parts = self.parts
        found, reduced = self._step_graph(batch, user_line()), partial(parts.reduced, self.part)
        stream: Stream[Given] = Stream(found, parts.parameters, parts.names, reduced)
        if number is not None:
            stream.set_number(number, user_line())
        return stream

    @api
    def streams(self, capacity: int = 64) -> StreamPool[Given]:
        """A pool of streams that join and leave, of which each call steps those that have input.

        capacity: streams for which there is memory at first.
        """
        capacity = whole_number(capacity, "a pool's capacity", 1)
        parts = self.parts
        from ..runtime.streams.pool import StreamPool

        found = self._step_graph(1, user_line())
        return StreamPool(found, parts.parameters, parts.names, capacity)

    def _step_graph(self, batch: int, where: Where | None) -> StepGraph:
        parts = self.parts
        found = self._step_graphs.get(batch)
        if found is None:  # streams of one batch share their code, and keep it when it is evicted
            found = self._step_graphs.setdefault(batch, step_graph(parts.source, parts.options, batch, where))
        return found

    @api
    def on_columns(
        self, *columns: str | Tensor | Mapping[Any, str], keep: Sequence[str] = ()
    ) -> ColumnCall[Given]:  # fmt: skip
        """The graph as a function of a table: a mapping from column to array that may have further columns.

        columns: inputs that are fed from the columns of their names, or a mapping from input to column; none for all
            inputs.
        keep: columns that go along into the result.

        The function pickles.

        Raises ``NameLookupError`` for what is no input, ``ArgumentError`` where a result has a column's name.
        """
        where = user_line()
        given = chain.from_iterable(
            item.items() if isinstance(item, Mapping) else [(item, item)] for item in columns or self.input_names()
        )
        chosen: dict[str, str] = {}
        for key, column in given:
            name = self.parts.names.name_of(key, where)
            if name not in self.input_names():
                hint = did_you_mean(name, self.input_names()) or f"; it takes {', '.join(self.input_names())}"
                raise NameLookupError(f"the {self.kind} graph has no input {shown(name)}{hint}", where)
            chosen[name] = name if isinstance(column, Tensor) else checked_name(column, "a column", where, True)
        kept = [checked_name(column, "a column", where, True) for column in entries(keep, "keep")]
        names = {"output"} if is_leaf(self.structure) else {*self.structure, "loss"}
        if taken := sorted(names & {*kept}):
            what = f"keep={shown(kept)}: the result has {', '.join(taken)} itself; rename the column"
            raise ArgumentError(what, where)
        return ColumnCall(self, self.parts, self.part, chosen, kept)

    def made(self, made: Mapping[str, Any], arrays: Mapping[str, np.ndarray], where: Where | None) -> Any:
        """What pickled as made of this graph: a stream with ``arrays`` as its state, or a function of columns."""
        if made.keys() == {"columns", "keep"}:
            return self.on_columns(made["columns"], keep=made["keep"])
        if made.keys() == {"batch"}:
            stream = self.stream(made["batch"])
            stream.restore(arrays, where)
            return stream
        raise FileError("a pickled graph can't be read: it is made to be what this version does not know", where)

    @api
    def export(
        self, directory: str | os.PathLike[str] | None = None, name: str = "net", batch: int | None = None,
        target: str | None = None, weights: str = "embedded", dispatch: bool = False, link: bool = True,
        form: str = "stream", debug: bool = False, rows: int = 1, max_block: int | None = None,
    ) -> Export:  # fmt: skip
        """Writes the graph as an object file with a C interface, and what belongs to it, to a directory.

        directory: None for ``NAME-export``. Files that no export wrote, or that were changed since, are never replaced:
            then nothing is written.
        name: begins all names in C, and those of the files: ``NAME.o``, ``NAME.h``, ``NAME_test.c``, ``NAME.json``,
            ``CMakeLists.txt``, ``NAME_net.cmake``, ``rnngraph-export.json``; and where the tools for the target are
            found a static and a shared library, with a Python module that loads it (for WebAssembly ``NAME.wasm``).
        batch: rows of a stream's instance, None for one; of sequences, None for any number.
        target: ``host``, a level such as ``x86-64-v3``, another processor's name, or None for the program's own.
        weights: ``embedded`` in the object as they are now, or ``external``, given at run time.
        dispatch: code for x86-64-v2, v3 and v4 in one object, chosen at run time.
        link: whether libraries are made.
        form: ``stream``, run step by step, or ``sequence``, which takes whole sequences and can be made of any graph.
        debug: whether debuggers and profilers find the script's lines and layers in the object, whose instructions are
        the same.
        rows: how many streams ``NAME_step_rows`` steps at once, as one batch that reads weights once; an instance's
            memory has room for them.
        max_block: how many steps ``NAME_process`` computes at once, at most, whatever it is given: an instance has room
            for what lies between layers. Less takes less memory and more time; results are the same. None for about
            128 rows of steps, 1 for single steps.

        Raises ``GraphError`` with the line of what can't run step by step, ``ShapeError`` for sizes that have to be
        known, ``ArgumentError`` for what is not offered, ``FileError`` where files can't be written or are in the way.
        """
        from ..export.native_code import ExportSource  # few ask for it
        from ..export.write_net import export

        parts = self.parts
        return export(
            ExportSource(parts.source, parts.parameters, parts.options, self._held_weights), directory, name, batch,
            target, weights, dispatch, link, form, debug, rows, max_block, user_line(),
        )  # fmt: skip

    @api
    def export_plugin(
        self, directory: str | os.PathLike[str] | None = None, name: str = "net", max_block: int | None = None
    ) -> dict[str, Export]:
        """Write the graph as a stream for Linux, Windows and macOS, with a C++ class and a target of CMake.

        directory: None for ``NAME-plugin``. Each system has a folder in it, as ``export`` writes one: x86-64 of Linux,
            Windows and macOS with code for x86-64-v2, v3 and, but on macOS, v4, chosen at run time, and arm64 of macOS.
        name: begins all names in C, names the target of CMake, and the namespace of the class ``Net`` in ``NAME.hpp``.
        max_block: as for ``export``.

        Gives what was written, by folder. Raises what ``export`` does.
        """
        from ..export.native_code import ExportSource  # few ask for it
        from ..export.write_plugin import export_plugin

        parts = self.parts
        source = ExportSource(parts.source, parts.parameters, parts.options, self._held_weights)
        return export_plugin(source, directory, name, max_block, user_line())

    def _held_weights(self, options: CompileOptions) -> list[str]:
        """Return how inference holds parameters, as texts; none where no weights were asked to be narrow."""
        reduced = options.reduced
        return [] if reduced is None else held_text(held_weights(self.graph, reduced, options.parameters))


DIRECT.install_fastcall(
    InferenceGraph, "__call__", "_direct", "__call__($self, feeds=None, /, *excess, out=None, **named)"
)
