"""What a program's two graphs share: feeds in, a native entry for their sizes, results out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal
from weakref import ref

import numpy as np

from ..allocation import bytes_of, empty, reserve
from ..declare.nest import paths
from ..errors import NameLookupError, Where, did_you_mean, shown
from ..ir.axes import lengths_of
from ..ir.graph import Graph
from ..ir.types import TensorType, evaluate
from ..passes.gradients.autodiff import PREFIX
from ..passes.lowering.lowered import SEED_INPUTS, TAP
from ..public import api
from ..runtime.arguments import whole_number
from ..runtime.calls.feeds import Check, bind, convert, reject_empty, run_checks
from ..runtime.calls.outputs import check_fits, given_arrays
from ..runtime.calls.prepared_call import BoundCall, BoundCalls
from ..runtime.calls.results import Given, result_of
from ..runtime.graph_source import TAPS_INFERENCE
from ..runtime.native.compiled_graph import CompiledGraph
from ..runtime.native.entry import NativeEntry, Sized

if TYPE_CHECKING:
    from ..runtime.calls.non_finite import NonFinite
    from .memory_report import Memory
    from .program import Program

MOST_KNOWN_SHAPES = 1024


class KnownShapes:
    """Native entries by the shapes that they were found for, which need no checks of sizes when they are met again.

    It keeps none of them alive: what its graph gives up is found anew.
    """

    def __init__(self) -> None:
        self._known: dict[Any, tuple[ref[NativeEntry], ref[Sized], tuple[Check, ...]]] = {}

    def entry(
        self, key: Any, arrays: Mapping[str, np.ndarray], compiled: CompiledGraph, outputs: tuple[str, ...],
        sizes: Callable[[], Mapping[str, int]], where: Where | None,
    ) -> tuple[NativeEntry, Sized]:  # fmt: skip
        """The entry for these feeds, whose numbers are checked at every call. key: with their shapes, what else
        tells entries apart. sizes: gives the sizes after all checks of shapes.
        """
        shapes = (key, compiled.workers.parts, tuple((name, array.shape) for name, array in arrays.items()))
        known = self._known.get(shapes)
        entry, sized = (known[0](), known[1]()) if known is not None else (None, None)
        if known is None or entry is None or sized is None:
            found = sizes()
            entry = compiled.entry(outputs, found)
            sized = entry.sized(found)
            if len(self._known) >= MOST_KNOWN_SHAPES:
                self._known.clear()
            known = self._known[shapes] = (ref(entry), ref(sized), compiled.range_checks(outputs))
        ranges = known[2]
        if ranges:
            run_checks(ranges, arrays, sized.sizes, where)
        return entry, sized


class GraphProgram(Generic[Given]):
    """What the two graphs of a program share: calling, printing, compiling ahead."""

    kind = "inference"

    def __init__(
        self, program: Program[Given], lowered: Graph, unroll: int | str | None, wrt: tuple[str, ...] = ()
    ) -> None:
        self.program = program
        reduced = program.reduced if self.kind == "inference" else None
        self.compiled = CompiledGraph(
            lowered,
            self.kind,
            program.target,
            unroll,
            program.declared_text,
            wrt,
            cache=program.cache,
            reduced=reduced,
            workers=program.workers,
            notices=program.notices,
        )
        self._kinds = {str(node["label"]): node.tensor for node in lowered.inputs if node.op == "input"}
        self._output_names: tuple[str, ...] | None = None
        self._known = KnownShapes()
        self._bound = BoundCalls(program.workers)
        self._tapped: CompiledGraph | Literal[False] | None = None  # False where there are no taps

    @property
    def graph(self) -> Graph:
        """The IR graph; ``str()`` prints it."""
        return self._described().graph

    @property
    def stages(self) -> tuple[str, ...]:
        """What ``show`` can show, in the order in which it comes to be."""
        return self._described().stages

    @api
    def show(self, stage: str = "graph") -> str:
        """The text of one stage."""
        return self._described().show(stage)

    def _described(self) -> CompiledGraph:
        return self.compiled

    def _names(self) -> tuple[str, ...]:
        if self._output_names is None:
            names = (name for name, _ in self.compiled.graph.outputs)
            self._output_names = tuple(name for name in names if not name.startswith(PREFIX))
        return self._output_names

    @api
    def prepare(self, batch: int | Sequence[int] | None = None, **sizes: int) -> None:
        """Compiles ahead for batch sizes, or for the values of named sizes."""
        names = self._names()
        batches: Sequence[Any] = [1] if batch is None else batch if isinstance(batch, list | tuple) else [batch]
        for count in batches:
            self.compiled.entry(names, self._known_sizes(self.compiled, names, count, 1, sizes), ahead=True)

    @api
    def memory(self, batch: int = 1, time: int = 1, **sizes: int) -> Memory:
        """Bytes that a call needs at these sizes; of the training graph, a call of ``gradients``.

        batch: of every size that is not a length; time: of every length. sizes: others, by name.
        """
        from .memory_report import memory_of

        compiled = self._described()
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
        given = {name: whole_number(count, name, 1) for name, count in sizes.items()}
        lengths = compiled.lengths(outputs)
        known = {name: given.get(name, time if name in lengths else batch) for name in symbols}
        return compiled.likely(outputs, known, given)

    # Taps ----------------------------------------------------------------------------------------

    taps_form = TAPS_INFERENCE

    def _with_taps(self) -> CompiledGraph | None:
        """The graph that also gives the values of taps; made when it is first asked for."""
        if self._tapped is None:
            lowered = self.program.source.tapped(self.taps_form)
            program = self.program
            self._tapped = False if lowered is None else CompiledGraph(
                lowered.graph, self.kind, program.target, self.compiled.unroll, program.declared_text,
                cache=program.cache, reduced=self.compiled.reduced, workers=program.workers, notices=program.notices,
            )  # fmt: skip
        return self._tapped or None

    def _tap_values(
        self, arrays: Mapping[str, np.ndarray],
        execute: Callable[[CompiledGraph, tuple[str, ...]], dict[str, np.ndarray]],
    ) -> dict[str, np.ndarray]:  # fmt: skip
        compiled = self._with_taps()
        if compiled is None:
            return {}
        names = [name for name, _ in compiled.graph.outputs if name.startswith(TAP)]
        outputs = tuple(name for name in names if not self._only_of_the_loss(compiled, name, arrays))
        if not outputs:
            return {}
        found = execute(compiled, outputs)
        return {name.removeprefix(TAP): found[name] for name in outputs}

    def _only_of_the_loss(self, compiled: CompiledGraph, name: str, arrays: Mapping[str, np.ndarray]) -> bool:
        """Whether a tap reads what only the loss reads and what is not fed, as a loss that is left out does."""
        without = tuple(output for output, _ in self.compiled.graph.outputs if output != "loss")
        others = self.compiled.needed(without)
        return any(label not in arrays and label not in others for label in compiled.needed((name,)))

    # Calls ---------------------------------------------------------------------------------------

    def gather(
        self, feeds: Mapping[Any, Any] | None, named: Mapping[str, Any], where: Where | None
    ) -> dict[str, np.ndarray]:
        """What a call is fed, by name, converted to the declared dtypes."""
        given = self.program.feeds_by_name(feeds, named, where)
        arrays = {name: array for name, array in self.program.lowered.defaults.items() if name in self._kinds}
        for name, value in given.items():
            if name not in self._kinds or name in SEED_INPUTS:
                raise NameLookupError(
                    f"the {self.kind} graph has no input {shown(name)}"
                    f"{did_you_mean(name, self.takes()) or '; it takes ' + (', '.join(self.takes()) or 'none')}",
                    where,
                )
            arrays[name] = convert(name, value, self._kinds[name], where)
        return arrays

    def kinds(self) -> dict[str, TensorType]:
        """The types of what a caller may feed, by name."""
        return {name: self._kinds[name] for name in self.takes()}

    def takes(self) -> list[str]:
        """Names of what a caller may feed."""
        return [name for name in self._kinds if name not in SEED_INPUTS]

    def sizes(
        self, arrays: Mapping[str, np.ndarray], outputs: tuple[str, ...], where: Where | None, compiled: CompiledGraph,
        own: frozenset[str] = frozenset(),
    ) -> dict[str, int]:  # fmt: skip
        """The size of every axis, after all checks of shapes. own: inputs that do not come from the caller."""
        needed = compiled.needed(outputs)
        missing = [name for name in needed if name not in arrays and name not in own]
        if missing:
            raise NameLookupError(
                f"the {self.kind} graph needs {', '.join(missing)}; "
                f"feed {'it' if len(missing) == 1 else 'them'} by name",
                where,
            )
        kinds = self._kinds | compiled.kinds()
        sizes = bind(arrays, kinds, where)
        reject_empty(arrays, kinds, lengths_of(compiled.graph), where)
        compiled.check(outputs, arrays, sizes, where)  # before anything is compiled
        return sizes

    def _entry(
        self, arrays: Mapping[str, np.ndarray], outputs: tuple[str, ...], compiled: CompiledGraph, where: Where | None
    ) -> tuple[NativeEntry, Sized]:
        return self._known.entry(
            (compiled, outputs), arrays, compiled, outputs,
            lambda: self.sizes(arrays, outputs, where, compiled), where,
        )  # fmt: skip

    def values(self, feeds: Mapping[str, Any], outputs: tuple[str, ...], where: Where | None) -> dict[str, np.ndarray]:
        """These outputs by their paths, of a call with these feeds."""
        return self._execute(self.gather(feeds, {}, where), outputs, {}, where)

    def _execute(
        self,
        arrays: Mapping[str, np.ndarray],
        outputs: tuple[str, ...],
        out: Mapping[str, np.ndarray],
        where: Where | None,
        compiled: CompiledGraph | None = None,
    ) -> dict[str, np.ndarray]:
        entry, sized = self._entry(arrays, outputs, compiled or self.compiled, where)
        if not out:
            return entry.call_sized(self.program.parameters, arrays, sized)
        entry.look(sized, sum(array.nbytes for array in out.values()))
        results, copies = _result_arrays(entry, sized, arrays, out, where)
        entry.call(self.program.parameters, arrays, sized, results)
        found = dict(zip(entry.output_slots, results, strict=True))
        for name, target in copies.items():
            target[...] = found[name]
            found[name] = target
        return found

    def _checked(
        self, arrays: Mapping[str, np.ndarray], outputs: tuple[str, ...], where: Where | None, compiled: CompiledGraph
    ) -> NonFinite | None:
        from ..runtime.calls.non_finite import first_non_finite  # and with it the interpreter, which nothing else needs

        sizes = self.sizes(arrays, outputs, where, compiled)
        graph = compiled.pruned(outputs)
        kinds = [node.tensor for node in graph.nodes if node.op != "scan"]
        kept = sum(bytes_of([evaluate(dim, sizes) for dim in kind.shape], kind.dtype) for kind in kinds)
        reserve(kept, "all values of a graph that is run node by node", where)
        _, parameters = self.program.parameters.snapshot()
        return first_non_finite(graph, {**arrays, **parameters}, sizes)

    def _shown(self, with_loss: bool) -> tuple[Any, list[str]]:
        """What a call gives, and the outputs that are in it, in order."""
        structure = self.program.structure
        if with_loss:
            structure = {**structure, "loss": None}
        return structure, [path for path, _ in paths(structure)]

    def _structured(self, found: Mapping[str, np.ndarray], with_loss: bool) -> Any:
        structure, names = self._shown(with_loss)
        return result_of(structure, [found[name] for name in names])

    def _bind(
        self, calls: BoundCalls, feeds: Any, named: Mapping[str, Any], arrays: Mapping[str, np.ndarray],
        outputs: tuple[str, ...], compiled: CompiledGraph, structure: Any, wanted: Sequence[str],
        draw: Callable[[], int] | None = None,
    ) -> None:  # fmt: skip
        """After a call that went the general way: others like it need not. structure: what it gives. wanted: of its
        ``outputs``, in the order of the structure. draw: where there is a seed, what gives one.
        """
        names = {key: self.program.feed_name(key, None) for key in (*(feeds or ()), *named)}

        def bound() -> BoundCall:
            entry, sized = self._entry(arrays, outputs, compiled, None)
            shares = [key for key, name in names.items() if name in self.program.lowered.keep_probs]
            return BoundCall(
                self.program.parameters, entry, sized, arrays, names, structure, wanted,
                compiled.range_checks(outputs), shares, draw,
            )  # fmt: skip

        calls.add(feeds, named, names, self._kinds | compiled.kinds(), bound)

    def _wanted_out(self, out: Any, where: Where | None) -> dict[str, np.ndarray]:
        given = given_arrays(self.program.structure, out, where, also=("loss",))
        return {self.compiled.graph.outputs[0][0] if name == "" else name: array for name, array in given.items()}


def _result_arrays(
    entry: NativeEntry,
    sized: Sized,
    feeds: Mapping[str, np.ndarray],
    out: Mapping[str, np.ndarray],
    where: Where | None,
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Where results go: the caller's arrays where they fit as they are, else fresh ones that are copied."""
    results, copies = [], {}
    for item, shape in zip(entry.outputs, sized.shapes, strict=True):
        mine = out.get(item.name)
        if mine is not None:
            check_fits(item.name, mine, shape, item.dtype, where)
        fits = mine is not None and mine.flags.c_contiguous and mine.flags.aligned
        if fits and not any(np.may_share_memory(mine, feed) for feed in feeds.values()):
            assert mine is not None
            results.append(mine)
            continue
        if mine is not None:
            copies[item.name] = mine
        results.append(empty(shape, item.dtype, f"the result {item.name}"))
    return results, copies
