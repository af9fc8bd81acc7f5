"""Streams: an inference graph step by step or in chunks, its state kept between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..declare.nest import flatten, map_leaves, pack, paths
from ..declare.tensor import Tensor
from ..errors import GraphError, NameLookupError, ShapeError, StructureError, Where, user_line
from ..ir.graph import Graph, Node
from ..ir.types import TensorType, dim_text, evaluate, symbols_of
from .compiled import CompiledGraph, lengths_of
from .feeds import bind, convert, reject_empty, run_checks
from .native import NativeEntry, Weights, address, aligned_bytes

if TYPE_CHECKING:
    from .program import Program


def check_streamable(graph: Graph, where: Where | None) -> None:
    """Raises ``GraphError`` with the line of what can't run step by step."""
    lengths = lengths_of(graph)
    for node in graph.nodes:
        why = _crosses_time(node, lengths)
        if why:
            raise GraphError(f"this graph can't be streamed: {why}, declared at {node.where}", where)


def _crosses_time(node: Node, lengths: set[str]) -> str:
    def timed(dim: Any) -> bool:
        return bool(symbols_of(dim) & lengths)

    if node.op == "scan":
        if node["reverse"]:
            return "a backward recurrence reads a sequence from its end"
        return ""
    if node.op in ("iota", "dimension") and timed(node["size"]):
        return "it counts the steps of a whole sequence (sequence_length, or a mean over time)"
    if not node.operands or node.operands[0].op == "scan":
        return ""
    shape = node.operands[0].shape
    if node.op.startswith("reduce") and any(timed(shape[axis]) for axis in node["axes"]):
        return f"{node.op} runs over time"
    if node.op in ("concat", "reverse") and timed(node.shape[node["axis"]]):
        return f"{node.op} runs over time"
    if node.op == "slice":
        for start, stop, dim in zip(node["start"], node["stop"], shape, strict=True):
            if timed(dim) and not (start == 0 and stop == dim) and not (start == dim - 1 and stop == dim):
                return f"a slice {dim_text(start)}:{dim_text(stop)} over time"
    if node.op == "matmul" and timed(shape[-1]):
        return "a product runs over time"
    return ""


class Stream:
    """Runs ``batch`` rows through an inference graph a step or a chunk at a time.

    Sequence placeholders lose their time axis in ``step`` and are chunks in ``process``; other feeds are
    given whole and held until they are given again. Serves one caller at a time.
    """

    def __init__(self, program: Program, batch: int) -> None:
        self._program, self._batch = program, batch
        lowered = program.stateful()
        self._compiled = CompiledGraph(lowered.graph, "inference", program.target, None, program.declared_text)
        self._initial = CompiledGraph(lowered.initial, "inference", program.target, None, program.declared_text)
        self._structures = lowered.states
        self._labels = [label for nest in lowered.states for label in flatten(nest)]
        graph = self._compiled.graph
        self._outputs = tuple(name for name, _ in graph.outputs)
        lengths = lengths_of(graph)
        kinds = {str(node["label"]): node.tensor for node in graph.inputs if node.op == "input"}
        self._kinds = {name: kind for name, kind in kinds.items() if name not in self._labels}
        self._state_kinds = {name: kinds[name] for name in self._labels}
        self._time_axis = {
            name: next((axis for axis, dim in enumerate(kind.shape) if symbols_of(dim) & lengths), None)
            for name, kind in self._kinds.items()
        }
        for node in lowered.initial.inputs:  # what only the initial state reads
            if node.op == "input" and node["label"] not in self._labels:
                self._kinds.setdefault(str(node["label"]), node.tensor)
                self._time_axis.setdefault(str(node["label"]), None)
        self._output_axis = {
            name: next((axis for axis, dim in enumerate(node.shape) if symbols_of(dim) & lengths), None)
            for name, node in graph.outputs
        }
        self._held: dict[str, np.ndarray] = {}
        self._state: list[np.ndarray] | None = None
        self._fast: _Step | None = None
        self._sizes = self._fixed_sizes(graph, lengths)

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
        if fast is not None and out is None and not feeds and fast.accepts(named):
            return self._finish(fast.run(named), None)
        return self._general(feeds, named, out, one_step=True)

    def process(self, feeds: Mapping[Any, Any] | None = None, /, *, out: Any = None, **named: Any) -> Any:
        """A chunk of steps: sequence placeholders with their time axis."""
        return self._general(feeds, named, out, one_step=False)

    def _general(self, feeds: Mapping[Any, Any] | None, named: Mapping[str, Any], out: Any, one_step: bool) -> Any:
        where = user_line()
        given: dict[str, Any] = {}
        for key, value in (feeds or {}).items():
            given[str(key.node.get("label", key.name)) if isinstance(key, Tensor) else str(key)] = value
        given.update(named)
        arrays = {}
        for name, value in given.items():
            if name not in self._kinds:
                raise NameLookupError(f"the stream has no input {name!r}; it takes {', '.join(self._kinds)}", where)
            arrays[name] = self._converted(name, value, one_step, where)
        for name, array in arrays.items():
            if self._time_axis[name] is None:
                self._held[name] = np.array(array)
        arrays = {**self._held, **arrays}
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
        shapes = [
            tuple(evaluate(dim, sizes | dict.fromkeys(lengths, 1) if one_step else sizes) for dim in item.shape)
            for item in entry.outputs
        ]
        results = [np.empty(shape, item.dtype) for item, shape in zip(entry.outputs, shapes, strict=True)]
        entry.call(self._program.parameters, {**used, **states}, sizes, results)
        found = {item.name: array for item, array in zip(entry.outputs, results, strict=True)}
        self._state = [found[name] for name in self._labels]
        if one_step:
            self._prepare_fast(entry, used, sizes)
            found = {name: self._squeezed(name, array) for name, array in found.items()}
        return self._finish(found, out)

    def _converted(self, name: str, value: Any, one_step: bool, where: Where | None) -> np.ndarray:
        kind, axis = self._kinds[name], self._time_axis[name]
        if not one_step or axis is None:
            return convert(name, value, kind, where)
        shape = kind.shape[:axis] + kind.shape[axis + 1 :]
        array = convert(name, value, TensorType(kind.dtype, shape), where)
        return np.expand_dims(array, axis)

    def _squeezed(self, name: str, array: np.ndarray) -> np.ndarray:
        axis = self._output_axis[name]
        return array if axis is None else np.squeeze(array, axis)

    def _finish(self, found: Mapping[str, np.ndarray], out: Any) -> Any:
        from .program import Result

        structure = self._program.structure
        if isinstance(structure, Tensor):
            value = found[""]
            if out is not None:
                out[...] = value
                return out
            return value
        leaves = [found[path] for path, _ in paths(structure)]
        if out is not None:
            given = dict(paths(dict(out)))
            for position, (path, _) in enumerate(paths(structure)):
                if path in given:
                    given[path][...] = leaves[position]
                    leaves[position] = given[path]
        return Result(pack(structure, leaves))

    def _prepare_fast(self, entry: NativeEntry, used: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> None:
        self._fast = _Step(self, entry, used, sizes)

    # State ---------------------------------------------------------------------------------------

    def _current_state(self, where: Where | None) -> list[np.ndarray]:
        if self._fast is not None:
            self._state = self._fast.states()
            self._fast = None
        if self._state is None:
            self._state = self._fresh_state(where)
        return self._state

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
        entry = self._initial.entry(names, sizes)
        results = [
            np.empty(shape, item.dtype) for item, shape in zip(entry.outputs, entry.result_shapes(sizes), strict=True)
        ]
        entry.call(self._program.parameters, arrays, sizes, results)
        return results

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
        self._fast = None
        self._state = arrays

    def reset(self, rows: Any = None) -> None:
        """Back to the initial state: all rows, or those of an index, a list of them or a mask."""
        where = user_line()
        if rows is None:
            self._fast, self._state = None, None
            return
        present = [array.copy() for array in self._current_state(where)]
        for array, fresh in zip(present, self._fresh_state(where), strict=True):
            try:
                array[rows] = fresh[rows]
            except IndexError as error:
                raise ShapeError(f"rows={rows!r} does not index a batch of {self._batch}: {error}", where) from None
        self._state = present


class _Step:
    """One step with everything bound: feeds are copied into place, two argument blocks take turns."""

    def __init__(
        self, stream: Stream, entry: NativeEntry, used: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> None:
        self.parameters = stream._program.parameters
        self.entry, self.sizes = entry, dict(sizes)
        self.feeds: dict[str, np.ndarray] = {}
        self.by_name: dict[str, tuple[np.ndarray, tuple[int, ...], np.dtype[Any]]] = {}
        self.sequences = set()
        for item in entry.inputs:
            if item.name not in used:
                continue
            array = np.array(used[item.name], order="C")
            self.feeds[item.name] = array
            axis = stream._time_axis[item.name]
            if axis is not None:
                self.sequences.add(item.name)
                view = array.reshape(array.shape[:axis] + array.shape[axis + 1 :])
                self.by_name[item.name] = (view, view.shape, view.dtype)
        state = stream._state
        assert state is not None
        self.labels = stream._labels
        self.sides = [[array.copy() for array in state], [np.empty_like(array) for array in state]]
        self.turn = 0
        lengths = lengths_of(stream._compiled.graph)
        ones = self.sizes | dict.fromkeys(lengths, 1)
        self.results = []
        for item in entry.outputs:
            if item.name in self.labels:
                continue
            array = np.empty(tuple(evaluate(dim, ones) for dim in item.shape), item.dtype)
            self.results.append((item.name, array, stream._squeezed(item.name, array)))
        self.arena = aligned_bytes(entry.arena_bytes(self.sizes))
        self.weights: Weights | None = None
        self.blocks: list[np.ndarray] = []
        self.addresses: list[int] = []
        self._bind(entry.weights(self.parameters))

    def _bind(self, weights: Weights) -> None:
        self.weights = weights
        self.blocks = []
        for turn in (0, 1):
            block = self.entry.block(weights, self.sizes)
            for name, array in self.feeds.items():
                self.entry.set_feed(block, name, array)
            for label, before, after in zip(self.labels, self.sides[turn], self.sides[1 - turn], strict=True):
                self.entry.set_feed(block, label, before)
                argument = next(item for item in self.entry.outputs if item.name == label)
                block[self.entry.position[argument.buffer.name]] = address(after)
            for name, array, _ in self.results:
                argument = next(item for item in self.entry.outputs if item.name == name)
                block[self.entry.position[argument.buffer.name]] = address(array)
            block[self.entry.position["arena"]] = address(self.arena)
            self.blocks.append(block)
        self.addresses = [address(block) for block in self.blocks]
        self.run_native = self.entry._run

    def accepts(self, named: Mapping[str, Any]) -> bool:
        """Whether these feeds are arrays of just the bound shapes, one for each sequence placeholder."""
        if len(named) != len(self.by_name):
            return False
        for name, value in named.items():
            bound = self.by_name.get(name)
            if bound is None or type(value) is not np.ndarray or value.shape != bound[1] or value.dtype != bound[2]:
                return False
        return True

    def run(self, named: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self.weights is None or self.weights.version != self.parameters.version:
            self._bind(self.entry.weights(self.parameters))
        for name, value in named.items():
            self.by_name[name][0][...] = value
        self.run_native(self.addresses[self.turn], 0, 1)
        self.turn = 1 - self.turn
        return {name: squeezed.copy() for name, _, squeezed in self.results}

    def states(self) -> list[np.ndarray]:
        return [array.copy() for array in self.sides[self.turn]]
