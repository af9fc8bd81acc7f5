"""Programs: one declaration as two graphs, callable, with one set of parameters."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np

from ..codegen.target import target_of
from ..declare.export import declared_graph, declared_text
from ..declare.nest import pack, paths
from ..declare.tensor import Tensor
from ..errors import (
    ArgumentError,
    DtypeError,
    GraphError,
    NameLookupError,
    ShapeError,
    StructureError,
    Where,
    user_line,
)
from ..ir.graph import Graph
from ..passes.lower import SEED_INPUTS, Lowered, lower
from .compiled import CompiledGraph, lengths_of
from .feeds import bind, convert, reject_empty, run_checks
from .native import NativeEntry
from .parameters import Parameters
from .stream import Stream
from .streamable import check_streamable

RESERVED = ("seed", "out", "wrt", "samples", "rows", "carry", "output_gradients", "first_row", "first_step")


MOST_KNOWN_SHAPES = 1024


class Result(dict[str, Any]):
    """What a call gives: a mapping with the structure that was handed to ``compile``."""


def compile(  # the field's name for it
    outputs: Any,
    loss: Tensor | None = None,
    *,
    seed: int = 0,
    target: str | None = None,
    threads: int = 1,
    unroll: int | str | None = None,
    weights: str = "float32",
    parameters: Any = None,
) -> Program:
    """Compiles one declaration into a training and an inference program with one set of parameters.

    outputs: a Tensor, or a dict of (nests of) Tensors. loss: a scalar Tensor. seed: of initial values and of
    masks drawn without a seed. target: ``host`` (default), ``x86-64-v2``, ``x86-64-v3``, ``x86-64-v4``.
    unroll: steps per turn of a loop, or ``"full"`` (needs a declared int length). parameters: a Program or
    its parameters; nodes declared once keep its names and arrays, new ones are added.
    """
    return Program(outputs, loss, seed, target, threads, unroll, weights, parameters)


class Program:
    """A compiled declaration: ``inference``, ``training`` and their ``parameters``."""

    def __init__(
        self, outputs: Any, loss: Tensor | None, seed: int, target: str | None, threads: int,
        unroll: int | str | None, weights: str, parameters: Any,
    ) -> None:  # fmt: skip
        self.structure = _structure(outputs, loss)
        self.loss = _scalar(loss)
        self._seed = _whole(seed, "seed")
        self.threads = threads
        if weights != "float32":
            raise ArgumentError(f"weights={weights!r} is not offered; use float32")
        if (
            unroll is not None
            and unroll != "full"
            and (not isinstance(unroll, int) or isinstance(unroll, bool) or unroll < 1)
        ):
            raise ArgumentError(f'unroll={unroll!r} must be a positive int, None or "full"')
        self.target = target_of(target)
        self._named = [(path, leaf.node) for path, leaf in paths(self.structure)]
        self._all = [*self._named, *([("loss", self.loss.node)] if self.loss is not None else [])]
        known, other = _shared(parameters)
        self._known = known
        lowered = lower(self._all, known)
        self.lowered: Lowered = lowered
        self.parameters = Parameters(lowered.slots, self._seed, other)
        self._generator = np.random.Generator(np.random.Philox(key=self._seed & (2**64 - 1)))
        self._lock = threading.Lock()
        graph = lowered.graph
        without_loss = _without(graph, "loss") if self.loss is not None else graph
        self.inference = Inference(self, _renamed(without_loss, "inference"), unroll)
        self._evaluation = Inference(self, _renamed(graph, "evaluation"), unroll)
        self.training = Training(self, _renamed(graph, "training"), _renamed(lowered.masks, "masks"), unroll)
        self.unroll = unroll

    @property
    def threads(self) -> int:
        """Worker threads of a call; results do not depend on it."""
        return self._threads

    @threads.setter
    def threads(self, count: int) -> None:
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ArgumentError(f"threads={count!r} must be a positive int")
        self._threads = count

    @property
    def declared(self) -> nx.DiGraph[str]:
        """The declaration: cells, wrappers, stacks, drivers and tensors as nodes."""
        return declared_graph(self._all)

    def declared_text(self) -> str:
        return declared_text(self._all)

    def evaluate(self, feeds: Mapping[Any, Any] | None = None, /, *, out: Any = None, **named: Any) -> Result:
        """Outputs and ``"loss"``, without dropout."""
        if self.loss is None:
            raise GraphError("evaluate needs a loss; give one to rg.compile")
        result = self._evaluation(feeds, out=out, **named)
        assert isinstance(result, Result)
        return result

    def initialize(self, seed: int) -> None:
        """Draws all parameters anew."""
        self.parameters.initialize(_whole(seed, "seed"))

    def next_seed(self) -> int:
        with self._lock:
            return int(self._generator.integers(0, 2**63))

    def stateful(self) -> Lowered:
        """The declaration with its states as inputs and outputs, for streams."""
        known = {slot: name for name, slot in self._slots().items()}
        return lower(self._named, known, stateful=True, placeholders=self.lowered.placeholders)

    def feed_name(self, key: Any, where: Where | None) -> str:
        """The name of what a mapping feeds: a placeholder, or its name."""
        if not isinstance(key, Tensor):
            return str(key)
        name = self.lowered.placeholders.get(key.node)
        if name is None and (key.node.op != "input" or key.node.get("unnamed")):
            raise NameLookupError(f"{key!r} is fed, but is no placeholder of this program", where)
        return name or key.name

    def _slots(self) -> dict[str, Any]:
        return {name: self.parameters.slot(name) for name in self.parameters}

    def summary(self) -> str:
        """Parameters and bytes, by parameter and in all."""
        rows = [(name, array.shape, array.size, array.nbytes) for name, array in self.parameters.items()]
        width = max([len(name) for name, *_ in rows], default=4)
        lines = [
            f"{name:<{width}}  {list(shape)!s:<14} {count:>10,} {size:>12,} bytes" for name, shape, count, size in rows
        ]
        total, size = sum(row[2] for row in rows), sum(row[3] for row in rows)
        lines.append(f"{'in all':<{width}}  {'':<14} {total:>10,} {size:>12,} bytes")
        return "\n".join(lines)


def _structure(outputs: Any, loss: Tensor | None) -> Any:
    if isinstance(outputs, Tensor):
        return {"output": outputs} if loss is not None else outputs
    if not isinstance(outputs, dict) or not outputs:
        raise StructureError(
            f'outputs must be a Tensor or a dict such as {{"logits": logits}}, not {type(outputs).__name__}'
        )
    for path, leaf in paths(outputs):
        if not isinstance(leaf, Tensor):
            raise DtypeError(f"output {path} must be a Tensor, not {leaf!r}")
    if loss is not None and "loss" in outputs:
        raise StructureError('an output can\'t be named "loss" where a loss is given; rename it')
    return dict(outputs)


def _scalar(loss: Tensor | None) -> Tensor | None:
    if loss is not None and not isinstance(loss, Tensor):
        raise DtypeError(f"loss must be a Tensor, not {loss!r}")
    if loss is not None and (loss.rank or loss.dtype not in ("float32", "float64")):
        raise ShapeError(f"loss must be a float scalar, not {loss!r}; reduce it with rg.reduce_mean")
    return loss


def _whole(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DtypeError(f"{what} must be an int, not {value!r}")
    return int(value)


def _shared(parameters: Any) -> tuple[dict[Any, str], Parameters | None]:
    if parameters is None:
        return {}, None
    other = getattr(parameters, "parameters", parameters)
    if not isinstance(other, Parameters):
        raise DtypeError(f"parameters= takes a Program or its parameters, not {type(parameters).__name__}")
    return {other.slot(name): name for name in other}, other


def _without(graph: Graph, name: str) -> Graph:
    kept = [(key, node) for key, node in graph.outputs if key != name]
    whole = Graph.of(graph.name, kept, graph.inputs)
    return Graph.of(graph.name, kept, whole.read_inputs(), graph.comments)


def _renamed(graph: Graph, name: str) -> Graph:
    return Graph.of(name, graph.outputs, graph.inputs, graph.comments)


class GraphProgram:
    """What the two graphs of a program share: calling, printing, compiling ahead."""

    kind = "inference"

    def __init__(self, program: Program, lowered: Graph, unroll: int | str | None) -> None:
        self.program = program
        self.compiled = CompiledGraph(lowered, self.kind, program.target, unroll, program.declared_text)
        self._kinds = {str(node["label"]): node.tensor for node in lowered.inputs if node.op == "input"}
        self._known: dict[Any, tuple[NativeEntry, dict[str, int]]] = {}

    @property
    def graph(self) -> Graph:
        """The IR graph; ``str()`` prints it."""
        return self.compiled.graph

    @property
    def stages(self) -> tuple[str, ...]:
        """What ``show`` can show, in the order in which it comes to be."""
        return self.compiled.stages

    def show(self, stage: str = "graph") -> str:
        """The text of one stage."""
        return self.compiled.show(stage)

    def _names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.compiled.graph.outputs)

    def prepare(self, batch: int | Sequence[int] | None = None, **sizes: int) -> None:
        """Compiles ahead for batch sizes, or for the values of named sizes."""
        names = self._names()
        graph = self.compiled.optimized(names)
        fixed = [name for name in graph.symbols if name not in lengths_of(graph)]
        batches = [batch] if isinstance(batch, int) else list(batch or [1])
        for count in batches:
            known = {name: sizes.get(name, count) for name in fixed}
            self.compiled.entry(names, known)

    # Calls ---------------------------------------------------------------------------------------

    def _gather(
        self, feeds: Mapping[Any, Any] | None, named: Mapping[str, Any], where: Where | None
    ) -> dict[str, np.ndarray]:
        given = {self.program.feed_name(key, where): value for key, value in (feeds or {}).items()}
        given.update(named)
        arrays = {name: array for name, array in self.program.lowered.defaults.items() if name in self._kinds}
        for name, value in given.items():
            if name not in self._kinds or name in SEED_INPUTS:
                raise NameLookupError(
                    f"the {self.kind} graph has no input {name!r}; it takes {', '.join(self._takes()) or 'none'}",
                    where,
                )
            arrays[name] = convert(name, value, self._kinds[name], where)
        return arrays

    def _takes(self) -> list[str]:
        return [name for name in self._kinds if name not in SEED_INPUTS]

    def _sizes(self, arrays: Mapping[str, np.ndarray], outputs: tuple[str, ...], where: Where | None) -> dict[str, int]:
        needed = self.compiled.needed(outputs)
        missing = [name for name in needed if name not in arrays]
        if missing:
            raise NameLookupError(
                f"the {self.kind} graph needs {', '.join(missing)}; "
                f"feed {'it' if len(missing) == 1 else 'them'} by name",
                where,
            )
        sizes = bind(arrays, self._kinds, where)
        graph = self.compiled.graph
        reject_empty(arrays, self._kinds, lengths_of(graph), where)
        run_checks(self.compiled.checks(outputs), arrays, sizes, where)  # before anything is compiled
        unknown = [name for name in graph.symbols if name not in sizes]
        wanted = [name for name in unknown if name in self.compiled.pruned(outputs).symbols]
        if wanted:
            raise ShapeError(
                f"the size {', '.join(wanted)} is not known from what is fed; feed every placeholder that has it",
                where,
            )
        return sizes

    def _execute(
        self,
        arrays: Mapping[str, np.ndarray],
        outputs: tuple[str, ...],
        out: Mapping[str, np.ndarray],
        where: Where | None,
    ) -> dict[str, np.ndarray]:
        key = (outputs, tuple((name, array.shape) for name, array in arrays.items()))
        known = self._known.get(key)
        if known is None:  # shapes that were met before need no checks of sizes
            sizes = self._sizes(arrays, outputs, where)
            known = (self.compiled.entry(outputs, sizes), sizes)
            if len(self._known) >= MOST_KNOWN_SHAPES:
                self._known.clear()
            self._known[key] = known
        entry, sizes = known
        run_checks(self.compiled.range_checks(outputs), arrays, sizes, where)
        results, copies = _result_arrays(entry, sizes, arrays, out, where)
        entry.call(self.program.parameters, arrays, sizes, results)
        found = {item.name: array for item, array in zip(entry.outputs, results, strict=True)}
        for name, target in copies.items():
            target[...] = found[name]
            found[name] = target
        return found

    def _structured(self, found: Mapping[str, np.ndarray], with_loss: bool) -> Any:
        structure = self.program.structure
        if isinstance(structure, Tensor):
            return next(iter(found.values()))
        leaves = [found[path] for path, _ in paths(structure)]
        result = Result(pack(structure, leaves))
        if with_loss:
            result["loss"] = found["loss"]
        return result

    def _wanted_out(self, out: Any, where: Where | None) -> dict[str, np.ndarray]:
        if out is None:
            return {}
        structure = self.program.structure
        names = [path for path, _ in paths(structure)] if not isinstance(structure, Tensor) else [""]
        given = (
            {"": out} if isinstance(structure, Tensor) else dict(paths(dict(out))) if isinstance(out, Mapping) else None
        )
        if given is None:
            raise StructureError("out= must have the structure of the outputs", where)
        for name, array in given.items():
            if name not in names and name != "loss":
                raise NameLookupError(f"out= has {name!r}, which is no output; there are {', '.join(names)}", where)
            if not isinstance(array, np.ndarray) or not array.flags.writeable:
                raise DtypeError(f"out= needs writable arrays, not {type(array).__name__}", where)
        return {self.compiled.graph.outputs[0][0] if name == "" else name: array for name, array in given.items()}


def _result_arrays(
    entry: NativeEntry,
    sizes: Mapping[str, int],
    feeds: Mapping[str, np.ndarray],
    out: Mapping[str, np.ndarray],
    where: Where | None,
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Where results go: the caller's arrays where they fit as they are, else fresh ones that are copied."""
    results, copies = [], {}
    for item, shape in zip(entry.outputs, entry.result_shapes(sizes), strict=True):
        mine = out.get(item.name)
        if mine is not None and (mine.shape != shape or mine.dtype != item.dtype):
            raise ShapeError(
                f"out= for {item.name} is {mine.dtype}{list(mine.shape)}; it must be {item.dtype}{list(shape)}",
                where,
            )
        fits = mine is not None and mine.flags.c_contiguous and mine.flags.aligned
        if fits and not any(np.may_share_memory(mine, feed) for feed in feeds.values()):
            assert mine is not None
            results.append(mine)
            continue
        if mine is not None:
            copies[item.name] = mine
        results.append(np.empty(shape, item.dtype))
    return results, copies


class Inference(GraphProgram):
    """The inference graph: no dropout, no random op, no loss."""

    kind = "inference"

    def __init__(self, program: Program, lowered: Graph, unroll: int | str | None) -> None:
        super().__init__(program, lowered, unroll)
        graph = self.compiled.graph  # inputs that only dropout read are gone from it
        self._kinds = {str(node["label"]): node.tensor for node in graph.inputs if node.op == "input"}

    def __call__(self, feeds: Mapping[Any, Any] | None = None, /, *, out: Any = None, **named: Any) -> Any:
        """Runs the graph. feeds: placeholders by keyword, or one mapping. out: arrays for the results."""
        where = user_line()
        arrays = self._gather(feeds, named, where)
        outputs = self._names()
        found = self._execute(arrays, outputs, self._wanted_out(out, where), where)
        return self._structured(found, with_loss="loss" in found and self.program.loss is not None)

    def stream(self, batch: int = 1) -> Stream:
        """A stream: the graph step by step or in chunks, with its state kept between calls."""
        where = user_line()
        if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
            raise ArgumentError(f"a stream's batch must be a positive int, not {batch!r}", where)
        check_streamable(self.compiled.graph, lengths_of(self.compiled.graph), where)
        return Stream(self.program, batch)


class Training(GraphProgram):
    """The training graph: masks drawn from a seed, and the loss where its placeholders are fed."""

    kind = "training"

    def __init__(self, program: Program, lowered: Graph, masks: Graph, unroll: int | str | None) -> None:
        super().__init__(program, lowered, unroll)
        self._masks = CompiledGraph(masks, "training", program.target, None, program.declared_text)

    def _gather(
        self, feeds: Mapping[Any, Any] | None, named: Mapping[str, Any], where: Where | None
    ) -> dict[str, np.ndarray]:
        arrays = super()._gather(feeds, named, where)
        for name in self.program.lowered.keep_probs & arrays.keys():
            if not 0 < np.float32(arrays[name]) <= 1:  # masks are drawn in float32
                raise ArgumentError(
                    f"feed {name} is {float(arrays[name]):g}, outside (0, 1]; it is the probability to keep a unit, "
                    "1.0 keeps all",
                    where,
                )
        return arrays

    def __call__(
        self, feeds: Mapping[Any, Any] | None = None, /, *, seed: int | None = None, out: Any = None,
        first_row: int = 0, first_step: int = 0, **named: Any,
    ) -> Any:  # fmt: skip
        """Runs the graph with dropout. The same seed gives the same masks, bit for bit.

        seed: an int; None draws the next from the program's own generator. first_row, first_step: where this
        call's rows and steps begin in a larger whole, so that a split call draws the whole's masks.
        """
        where = user_line()
        arrays = self._gather(feeds, named, where)
        arrays.update(self._counters(seed, first_row, first_step))
        outputs = self._names()
        if self.program.loss is not None:
            without = tuple(name for name in outputs if name != "loss")
            extra = [name for name in self.compiled.needed(outputs) if name not in self.compiled.needed(without)]
            if extra and not all(name in arrays for name in extra):
                outputs = without
        found = self._execute(arrays, outputs, self._wanted_out(out, where), where)
        return self._structured(found, with_loss="loss" in found and self.program.loss is not None)

    def _counters(self, seed: int | None, first_row: int, first_step: int) -> dict[str, np.ndarray]:
        drawn = self.program.next_seed() if seed is None else _whole(seed, "seed")
        if not -(2**63) <= drawn < 2**64:
            raise ArgumentError(f"seed={drawn} does not fit 64 bits")
        wrapped = drawn - 2**64 if drawn >= 2**63 else drawn
        values = {
            "seed": wrapped,
            "first_row": _whole(first_row, "first_row"),
            "first_step": _whole(first_step, "first_step"),
        }
        return {name: np.asarray(value, np.int64) for name, value in values.items() if name in self._kinds}

    def dropout_masks(
        self,
        feeds: Mapping[Any, Any] | None = None,
        /,
        *,
        seed: int,
        first_row: int = 0,
        first_step: int = 0,
        **named: Any,
    ) -> dict[str, np.ndarray]:
        """{site: 0/1 array}: exactly what a call with this seed applies, in the order of declaration.

        A step mask is shaped like the sequence it drops, a variational one [batch, width].
        """
        where = user_line()
        arrays = self._gather(feeds, named, where)
        outputs = tuple(name for name, _ in self._masks.graph.outputs)
        if not outputs:
            return {}
        arrays.update(self._counters(seed, first_row, first_step))
        kinds = {str(node["label"]): node.tensor for node in self._masks.graph.inputs if node.op == "input"}
        sizes = bind(arrays, self._kinds | kinds, where)
        missing = [name for name in self._masks.needed(outputs) if name not in arrays]
        unknown = [name for name in self._masks.graph.symbols if name not in sizes]
        if missing or unknown:
            raise NameLookupError(
                f"dropout_masks needs {', '.join(missing) or 'the placeholders that have sizes ' + ', '.join(unknown)}",
                where,
            )
        entry = self._masks.entry(outputs, sizes)
        results = [
            np.empty(shape, item.dtype) for item, shape in zip(entry.outputs, entry.result_shapes(sizes), strict=True)
        ]
        entry.call(self.program.parameters, arrays, sizes, results)
        return {item.name: array for item, array in zip(entry.outputs, results, strict=True)}


__all__ = ["Program", "Result", "compile"]
