"""Base class of a program's two graphs: converts feeds, gets a native entry for their sizes, returns results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal

import numpy as np

from ..declare.nest import is_leaf, paths
from ..ir.graph import Graph
from ..ir.types import TensorType, evaluate, symbols_of
from ..passes.gradients.autodiff import PREFIX
from ..passes.lowering.lowered import NUMBER, SEED_INPUTS, TAP
from ..runtime.calls.call_cache import MAX_SIGNATURES, DirectCache
from ..runtime.calls.direct_call import DirectPlan, Draws, direct_call
from ..runtime.calls.entries_by_shape import EntriesByShape
from ..runtime.calls.entry_blocks import EntryBlocks
from ..runtime.calls.feed_names import unknown_input
from ..runtime.calls.feeds import convert, solve_sizes
from ..runtime.calls.prepared_call import SEED, CallInputs, CallResults, spec_of
from ..runtime.calls.results import Result, ResultT
from ..runtime.calls.runner import DirectSource, Runner
from ..runtime.class_names import BARE
from ..runtime.error_flags import takes_number
from ..runtime.graph_source import TAPS_INFERENCE
from ..runtime.native.compiled_graph import CompiledGraph
from ..support.allocation import bytes_of, reserve
from ..support.api_guard import api
from ..support.arguments import flag, whole_number
from ..support.attribute_hints import Unindexed
from ..support.bounded_cache import BoundedCache
from ..support.display.html import headed
from ..support.errors import NameLookupError, Where, user_line
from ..support.stage_text import StageText
from .parts import CallForm, ProgramParts, Reduced, by_name

if TYPE_CHECKING:
    from ..inspection.profile.profile import Profile
    from ..runtime.calls.non_finite import NonFinite
    from ..runtime.native.entry import NativeEntry, ShapeInstance
    from .reports.memory_report import MemoryUsage


class CallableGraph(Unindexed, Generic[ResultT]):
    """Base class of a program's graphs: calls, text of stages, ahead-of-time compilation."""

    kind = "inference"
    is_direct = False
    """True if machine code may replace ``__call__``."""

    def __init__(self, parts: ProgramParts, lowered: Graph) -> None:
        self.parts, self.structure, self.loss = parts, parts.source.structure, parts.source.loss
        self.compiled = CompiledGraph(lowered, self.kind, parts.options, parts.source.described)
        self._loss_names = () if self.loss is None or lowered.name == "inference" else ("loss",)
        self._output_names: tuple[str, ...] | None = None
        self._known = EntriesByShape()
        self._calls: DirectCache = DirectCache()
        self._direct: DirectPlan | None = None  # plan that machine code runs in place of a Python call
        # Caches of calls that return other outputs than a plain call, by the first two fields of their CallForm.
        self._caches: BoundedCache[Any, DirectCache] = BoundedCache(MAX_SIGNATURES)
        self._draw: Callable[[], int] | None = None  # draws seeds, if there are masks
        self._tapped: CompiledGraph | Literal[False] | None = None  # False if there are no taps

    @cached_property
    def _types(self) -> dict[str, TensorType]:
        return {str(node["label"]): node.tensor for node in self.compiled.lowered.inputs if node.op == "input"}

    @property
    def part(self) -> str:
        """Name of the program's attribute that holds this graph."""
        return self.compiled.lowered.name

    def __repr__(self) -> str:
        return f"<the {self.part} graph of {', '.join(self._types) or 'no inputs'}; .show() is its text>"

    def _repr_html_(self) -> str:
        stages = ", ".join(self.stages)
        return headed(f"The {self.part} graph", f"stages to show: {stages}", self.show("graph")._repr_html_())

    def __reduce__(self) -> Reduced:
        return self.parts.reduced(self.part)

    @property
    def graph(self) -> Graph:
        """The IR graph; ``str()`` prints it."""
        return self.full_graph().graph

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages that ``show`` accepts, in order of compilation."""
        from ..runtime.native.stages import stages_of  # rarely needed

        return stages_of(self.full_graph())

    @api
    def show(self, stage: str = "graph") -> StageText:
        """Return the text of one stage.

        Args:
            stage: One of ``stages``.

        Returns:
            A str whose ``lines`` have the script's lines, layers and phases from which they come.

        Raises:
            NameLookupError: There is no such stage.
        """
        from ..runtime.native.stages import stage_text  # rarely needed

        return stage_text(self.full_graph(), stage)

    @api
    def perf_map(self, jitdump: bool = False) -> Path:
        """Describe the code compiled so far by calls of this graph to Linux' `perf`: its functions, by layer.

        Args:
            jitdump: Write ``jit-PID.dump`` to the working directory instead of ``perf-PID.map`` to the temporary
                directory. It includes the script's lines, for ``perf record -k mono`` and ``perf inject --jit``.

        Returns:
            Path of the file.

        Raises:
            GraphError: Nothing was called yet, or the target is not Linux on x86-64 or AArch64.
            FileError: The file cannot be written.
        """
        from ..runtime.native.perf import write_perf_map

        return write_perf_map(self.compiled, flag(jitdump, "jitdump"), user_line())

    def full_graph(self) -> CompiledGraph:
        """Return the graph to which ``graph`` and ``show`` refer, with everything that it can compute."""
        return self.compiled

    def _names(self) -> tuple[str, ...]:
        if self._output_names is None:
            names = (name for name, _ in self.compiled.graph.outputs)
            self._output_names = tuple(name for name in names if not name.startswith(PREFIX))
        return self._output_names

    @api
    def prepare(self, batch: int | Sequence[int] | None = None, **sizes: int) -> None:
        """Compile code now, so that the first calls of these sizes do not wait.

        Args:
            batch: Value of every size that is not a length, or a list of values; by default 1.
            **sizes: Values of other sizes, by name. Lengths that are not named are 1.

        Raises:
            NameLookupError: No size has this name.
        """
        names = self._names()
        batches: Sequence[Any] = [1] if batch is None else batch if isinstance(batch, list | tuple) else [batch]
        for count in batches:
            self.compiled.entry(names, self._known_sizes(self.compiled, names, count, 1, sizes), ahead=True)

    @api
    def memory(self, batch: int = 1, time: int = 1, **sizes: int) -> MemoryUsage:
        """Return the bytes that a call needs at these sizes; for the training graph, a call of ``gradients``.

        Args:
            batch: Value of every size that is not a length.
            time: Value of every length.
            **sizes: Values of other sizes, by name.
        """
        return self._memory_of(self.full_graph(), batch, time, sizes)

    def _memory_of(self, compiled: CompiledGraph, batch: int, time: int, sizes: Mapping[str, int]) -> MemoryUsage:
        from .reports.memory_report import memory_of

        names = self._names()
        if compiled.wrt:
            names = ("loss", *(f"{PREFIX}{name}" for name in compiled.wrt))
        return memory_of(compiled, names, self._known_sizes(compiled, names, batch, time, sizes))

    def _known_sizes(
        self, compiled: CompiledGraph, outputs: tuple[str, ...], batch: int, time: int, sizes: Mapping[str, int]
    ) -> dict[str, int]:
        symbols = compiled.pruned(outputs).symbols
        if unknown := sizes.keys() - symbols:
            names = ", ".join(symbols)
            raise NameLookupError(f"no size is named {', '.join(sorted(unknown))}; there are {names}")
        batch, time = whole_number(batch, "batch", 1), whole_number(time, "time", 1)
        named_sizes = {name: whole_number(count, name, 1) for name, count in sizes.items()}
        lengths = compiled.lengths(outputs)
        known = {name: named_sizes.get(name, time if name in lengths else batch) for name in symbols}
        return compiled.likely(outputs, known, named_sizes)

    # Taps ----------------------------------------------------------------------------------------

    taps_form = TAPS_INFERENCE

    def _with_taps(self) -> CompiledGraph | None:
        """Return the graph that also returns taps (values named by ``rg.tap``), built once; None if there are none."""
        if self._tapped is None:
            source = self.parts.source
            lowered = source.tapped(self.taps_form)
            self._tapped = False
            if lowered is not None:
                self._tapped = CompiledGraph(lowered.graph, self.kind, self.parts.options, source.described)
        return self._tapped or None

    def _tap_values(
        self, arrays: Mapping[str, np.ndarray], run: Callable[[CallForm], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        compiled = self._with_taps()
        if compiled is None:
            return Result()
        names = [name for name, _ in compiled.graph.outputs if name.startswith(TAP)]
        outputs = tuple(name for name in names if not self._only_of_the_loss(compiled, name, arrays))
        if not outputs:
            return Result()
        values = run(by_name(compiled, outputs))
        return Result({name.removeprefix(TAP): values[name] for name in outputs})

    def _only_of_the_loss(self, compiled: CompiledGraph, name: str, arrays: Mapping[str, np.ndarray]) -> bool:
        """True if the tap ``name`` depends on an input that is not fed, because only the loss reads it."""
        without = tuple(output for output, _ in self.compiled.graph.outputs if output != "loss")
        others = self.compiled.needed(without)
        return any(label not in arrays and label not in others for label in compiled.needed((name,)))

    # Calls ---------------------------------------------------------------------------------------

    def gather(
        self, feeds: Mapping[Any, Any] | None, named: Mapping[str, Any], where: Where | None
    ) -> dict[str, np.ndarray]:
        """Return a call's feeds by name, converted to the declared dtypes, and the defaults of others."""
        if feeds is not None and not isinstance(feeds, Mapping):
            feeds, named = None, self.parts.names.with_input(feeds, named, where)
        values = self.parts.names.by_placeholder(feeds, named, where)
        arrays = {name: array for name, array in self.parts.lowered.defaults.items() if name in self._types}
        for name, value in values.items():
            if name not in self._types and takes_number(self.compiled.graph, name):
                continue
            if name not in self._types or name in SEED_INPUTS:
                raise unknown_input(f"the {self.kind} graph", name, self.input_names(), where)
            kind = self._types[name]
            if name == NUMBER and self._samples and np.ndim(value) == 0:
                kind = kind.with_shape(())
            arrays[name] = convert(name, value, kind, where)
        self._spread_number(arrays, where)
        return arrays

    @property
    def _samples(self) -> bool:
        """True if the declaration calls ``rg.sample``, so that ``number`` numbers the streams of rows."""
        default = self.parts.lowered.defaults.get(NUMBER)
        return default is not None and not default.ndim and NUMBER in self._types and self._types[NUMBER].rank == 1

    def _spread_number(self, arrays: dict[str, np.ndarray], where: Where | None) -> None:
        """Broadcast a scalar ``number`` in ``arrays`` to all rows, in place, if feeds determine their count."""
        if self._samples and NUMBER in arrays and not arrays[NUMBER].ndim:
            others = {name: array for name, array in arrays.items() if name != NUMBER}
            sizes = solve_sizes(others, self._types, where)
            (rows,) = self._types[NUMBER].shape
            if symbols_of(rows) <= sizes.keys():
                arrays[NUMBER] = np.full(evaluate(rows, sizes), arrays[NUMBER])

    def input_types(self) -> dict[str, TensorType]:
        """Return the types of the inputs that a caller may feed, by name."""
        return {name: self._types[name] for name in self.input_names()}

    def input_names(self) -> list[str]:
        """Return the names of the inputs that a caller may feed."""
        return [name for name in self._types if name not in SEED_INPUTS]

    def sizes(
        self,
        arrays: Mapping[str, np.ndarray],
        outputs: tuple[str, ...],
        where: Where | None,
        compiled: CompiledGraph,
        own: frozenset[str] = frozenset(),
    ) -> dict[str, int]:
        """Check all shapes, and return the value of each size. ``own`` are inputs that this class feeds itself."""
        needed = compiled.needed(outputs)
        missing = [name for name in needed if name not in arrays and name not in own]
        if missing:
            raise NameLookupError(
                f"the {self.kind} graph needs {', '.join(missing)}; "
                f"feed {'it' if len(missing) == 1 else 'them'} by name{self._lengths_hint(missing, outputs)}",
                where,
            )
        types = self._types | compiled.input_types()
        sizes = solve_sizes(arrays, types, where)
        compiled.check(outputs, arrays, sizes, where)  # before anything is compiled
        return sizes

    def _lengths_hint(self, missing: Sequence[str], outputs: tuple[str, ...]) -> str:
        """Return an explanation of row lengths, if they are among the missing feeds; else ""."""
        read = self.full_graph().preconditions(outputs)
        lengths = next((item.label for item in read if item.text == "sequence_length" and item.label in missing), None)
        return (
            "" if lengths is None else f"; {lengths} is the number of steps of each row, which program.predict fills in"
        )

    def values(self, feeds: Mapping[str, Any], outputs: tuple[str, ...], where: Where | None) -> dict[str, np.ndarray]:
        """Return ``outputs`` by path, for a call with these feeds."""
        arrays = self.gather(feeds, {}, where)
        results: dict[str, np.ndarray] = self._run(by_name(self.compiled, outputs), arrays, where)
        return results

    def _run(
        self,
        form: CallForm,
        arrays: Mapping[str, np.ndarray],
        where: Where | None,
        out: Any = None,
        calls: DirectCache | None = None,
        feeds: Any = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a call on the slow path: get or prepare the runner of its signature, and run it.

        Args:
            arrays: All inputs.
            calls: Cache of calls with the same results; None: the form's own cache, for calls that feed all inputs.
            feeds: Feeds and keywords as the caller passed them, if later calls may have the same signature.
        """
        if calls is None:
            calls, feeds = self._cache(form[:2]), ()
        runner, converted = calls.prepared(
            feeds,
            named or {},
            arrays,
            lambda key: self.parts.names.name_of(key, None),
            self._types | form.compiled.input_types(),
            lambda names: self._runner(form, names, arrays, where),
        )
        result = runner.run(converted, int(arrays.get(SEED, 0)), None, runner.outs.checked(out, where))
        assert result is not None, "converted feeds have the signature of the prepared call"
        return result

    def _runner(
        self,
        form: CallForm,
        names: Mapping[Any, str],
        arrays: Mapping[str, np.ndarray],
        where: Where | None,
    ) -> Runner:
        """Prepare calls with inputs of these shapes. ``names`` maps the caller's keys to names."""
        compiled, outputs = form.compiled, form.outputs
        entry, sized = self._known.entry(
            (compiled, outputs), arrays, compiled, outputs, lambda: self.sizes(arrays, outputs, where, compiled)
        )
        return self._runner_of(form, names, arrays, entry, sized)

    def _require_parameters(self) -> None:
        """Raise an error if calls need parameters to which access is refused."""

    def _runner_of(
        self,
        form: CallForm,
        names: Mapping[Any, str],
        arrays: Mapping[str, np.ndarray],
        entry: NativeEntry,
        sized: ShapeInstance,
    ) -> Runner:
        """Prepare calls with inputs of these shapes, for an entry."""
        self._require_parameters()
        spec = spec_of(
            entry,
            sized,
            CallInputs(names, arrays, self._draw is not None),
            CallResults(form.structure, form.leaves),
            form.compiled.range_preconditions(form.outputs),
            also=self._loss_names,
            shares=[name for name in names.values() if name in self.parts.lowered.keep_probs],
        )
        parameters, options = self.parts.parameters, self.parts.options
        keys = {name: key for key, name in names.items() if not isinstance(key, str)}
        draws = None if self._draw is None else Draws(*self.parts.seeds.source)
        weights = entry.weights_of(parameters)
        direct = DirectSource(partial(direct_call, spec, keys, parameters.counter(), options, draws), weights)
        return Runner(spec, EntryBlocks(spec, weights), options.threads, self._draw, direct=direct)

    def _profiled(
        self,
        form: CallForm,
        arrays: Mapping[str, np.ndarray],
        where: Where | None,
        seconds: float,
        plain: Callable[[Mapping[str, np.ndarray]], object],
    ) -> Profile:
        """Profile calls of a form. ``plain`` makes the same call without counters."""
        from ..inspection.profile.calls import ProfiledCall, checked_seconds, profile_of

        spent, sizes = checked_seconds(seconds, where), self.sizes(arrays, form.outputs, where, form.compiled)
        fed = {name: array for name, array in arrays.items() if name not in SEED_INPUTS}
        seed, types = int(arrays.get(SEED, 0)), self._types | form.compiled.input_types()
        plain(fed)

        def counting(entry: NativeEntry) -> Callable[[], object]:
            calls: DirectCache = DirectCache()
            sized = entry.sized(sizes)
            runner, converted = calls.prepared(
                fed,
                {},
                arrays,
                lambda key: self.parts.names.name_of(key, None),
                types,
                lambda names: self._runner_of(form, names, arrays, entry, sized),
            )
            if self.is_direct:  # plain calls are direct, so profiled calls must be, too
                other: Any = copy(self)
                other._calls, other._direct = calls, None
                return partial(other, fed)
            is_plain = calls.attempt(converted, {}, seed) is not None
            return (
                partial(calls.attempt, converted, {}, seed) if is_plain else partial(runner.run, converted, seed, None)
            )

        call = ProfiledCall(self.kind, form.compiled, form.outputs, sizes, arrays)
        return profile_of(call, counting, partial(plain, fed), spent)

    def _cache(self, key: Any) -> DirectCache:
        """Return the cache of prepared calls of one form."""
        cache = self._caches.get(key)
        if cache is None:
            cache = self._caches[key] = DirectCache()
        return cache

    def _checked(
        self, arrays: Mapping[str, np.ndarray], outputs: tuple[str, ...], where: Where | None, compiled: CompiledGraph
    ) -> NonFinite | None:
        from ..runtime.calls.non_finite import first_non_finite  # imports the interpreter, which calls do not need

        sizes = self.sizes(arrays, outputs, where, compiled)
        graph = compiled.pruned(outputs)
        types = [node.tensor for node in graph.nodes if node.op != "scan"]
        kept = sum(bytes_of([evaluate(dim, sizes) for dim in kind.shape], kind.dtype) for kind in types)
        reserve(kept, "all values of a graph that is run node by node", where)
        _, parameters = self.parts.parameters.snapshot()
        return first_non_finite(graph, {**arrays, **parameters}, sizes)

    def _form(self, outputs: tuple[str, ...]) -> CallForm:
        """Return a call's graph, outputs and structure: the declared one, and the loss if it is in ``outputs``.

        If the program has a loss, a single bare Tensor is named ``output``, except in the inference graph.
        """
        structure, leaves = self.structure, [path for path, _ in paths(self.structure)]
        if self._loss_names:
            structure = {BARE: None} if is_leaf(structure) else dict(structure)
            if "loss" in outputs:
                structure, leaves = {**structure, "loss": None}, [*leaves, "loss"]
        return CallForm(self.compiled, outputs, structure, leaves)
