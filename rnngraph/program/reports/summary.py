"""Summary of a program by layer: parameters, bytes, multiply-adds of a step, and estimated seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...codegen.machine.target import Target
from ...ir.graph import Graph, Node
from ...ir.ops import MATRIX_PRODUCTS, OPS
from ...ir.types import HALF, ITEM_BYTES, NARROW, Dim, evaluate, product
from ...passes.affine.chunk import steps_of
from ...passes.affine.chunking import Chunking
from ...passes.held_weights import held_weights
from ...passes.optimization import reducing
from ...passes.pipeline import run
from ...passes.quantization.reduced_weights import Sources, inside_scan, parameters_of, sources_of
from ...runtime.native.compile_options import CompileOptions, declared_recurrences
from ...support.display.html import code, table
from ...support.records import dataclass

if TYPE_CHECKING:
    from ...runtime.parameters import Parameters

CLOCK = 3.0e9  # cycles per second: an assumption, because no target has a clock rate
PORTS = 2  # vectors of fused multiply-adds per cycle
NEAR, FAR = 64, 16  # bytes per cycle from L2, and from L3 or memory
LONG_COST = 12  # cost of a function or a division, in additions
COUNTS = ("parameters", "bytes", "multiply_adds")
REST = "(no parameters)"


@dataclass
class Layer:
    """Counts of one layer for a call in which every symbolic size is 1.

    Attributes:
        multiply_adds: Multiply-adds of matrix products.
        operations: Elementwise operations.
    """

    parameters: int = 0
    bytes: int = 0
    multiply_adds: int = 0
    operations: int = 0
    item_bytes: int = 4

    def seconds(self, target: Target, weights: int) -> float:
        """Return the estimated time: the larger of arithmetic and reading weights, plus elementwise ops.

        Args:
            weights: Bytes of all parameters, which determine the cache that holds them.
        """
        lanes = target.lanes(self.item_bytes) * PORTS * CLOCK
        multiplying = self.multiply_adds / lanes * (1 if target.has_fma else 2)
        rate = target.vector_bits // 8 if weights <= target.first_cache else NEAR
        reading = self.bytes / CLOCK / (rate if weights <= target.second_cache else FAR)
        return max(multiplying, reading) + self.operations / lanes


HEAD: tuple[str, ...] = ("layer", "parameters", "bytes", "FMAs a step", "about")


class Summary(str):
    """Table of layers as text; a notebook shows it as a table, with the shapes of each layer's parameters.

    Attributes:
        head: Names of the columns.
        rows: Rows of the table, the total last.
        shapes: Shapes of parameters by layer.
        held: By layer, a line for each parameter on how inference stores it; empty if all are float32 by default.
        recurrences: A line for each affine recurrence; with ``chunked=``, for each recurrence.
    """

    __slots__ = ("head", "held", "recurrences", "rows", "shapes")
    head: Sequence[str]
    rows: Sequence[tuple[str, ...]]
    shapes: Mapping[str, str]
    held: Mapping[str, Sequence[str]]
    recurrences: Sequence[str]

    @staticmethod
    def of(
        rows: Sequence[tuple[str, ...]],
        shapes: Mapping[str, str],
        held: Mapping[str, Sequence[str]] | None = None,
        recurrences: Sequence[str] = (),
        head: Sequence[str] = HEAD,
    ) -> Summary:
        width, under = max(len(name) for name, *_ in rows), held or {}
        lines = []
        for name, *cells in (tuple(head), *rows):
            lines.append(f"{name:<{width}}  {'  '.join(f'{cell:>14}' for cell in cells)}")
            lines += [f"  {line}" for line in under.get(name, ())]
        summary = Summary("\n".join([*lines, *recurrences]))
        summary.rows, summary.shapes, summary.held, summary.recurrences = rows, shapes, under, recurrences
        summary.head = head
        return summary

    def __reduce__(self) -> tuple[Any, ...]:
        return Summary.of, (self.rows, self.shapes, self.held, self.recurrences, self.head)

    def _repr_html_(self) -> str:
        rows = [(name, self.shapes.get(name, ""), *cells) for name, *cells in self.rows]
        return table((self.head[0], "shapes", *self.head[1:]), rows, last_is_sum=True) + (
            code("\n".join(self.recurrences)) if self.recurrences else ""
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


@dataclass(frozen=True)
class Sensitivity:
    """Change of a program's results if only one layer's weights are narrow.

    Attributes:
        outputs: Root mean square of the change of all float outputs, divided by the root mean square of these outputs
            unless it is 0.
        loss: Change of the loss; None if it is not computed.
    """

    outputs: float
    loss: float | None

    @property
    def cells(self) -> tuple[str, ...]:
        """Cells of a row in the summary's table."""
        share = f"{100 * self.outputs:.3f} %"
        return (share,) if self.loss is None else (share, f"{self.loss:+.2e}")


def summary_of(
    graph: Graph,
    lowered: Graph,
    parameters: Parameters,
    options: CompileOptions,
    sensitivity: Mapping[str, Sensitivity] | None = None,
) -> Summary:
    """Return the table of ``Program.summary`` for the inference graph before optimisation.

    Args:
        graph: Inference graph.
        lowered: Declaration, lowered for calls.
        parameters: Values of the parameters.
        options: Compiler options.
        sensitivity: Sensitivity to narrow weights by layer; None leaves its columns out.
    """
    target, reduced = options.target, options.reduced
    layers = layers_of(graph, parameters)
    if reduced is not None:
        for name, count in _saved(run(graph, reducing(reduced)), parameters).items():
            layers[name].bytes -= count
    weights = sum(layer.bytes for layer in layers.values())
    total = Layer(*(sum(getattr(layer, name) for layer in layers.values()) for name in COUNTS))
    times = [layer.seconds(target, weights) for layer in layers.values()]
    rows = [_row(name, layer, seconds) for (name, layer), seconds in zip(layers.items(), times, strict=True)]
    shapes: dict[str, list[str]] = {}
    under: dict[str, list[str]] = {}
    storage = {} if reduced is None else held_weights(graph, reduced, parameters)
    for name, kind in parameters.types().items():
        owner = parameters.layer(name)
        own = f"{name.removeprefix(f'{owner}/')} {[*map(int, map(str, kind.shape))]}"
        shapes.setdefault(owner, []).append(f"{own} {'+'.join(storage[name].kinds)}".rstrip() if storage else own)
        if storage:
            under.setdefault(owner, []).append(f"{own}  {storage[name]}")
    all_rows, head = [*rows, _row("in all", total, sum(times))], HEAD
    if sensitivity:
        columns = ("change of outputs", "change of loss")[: len(next(iter(sensitivity.values())).cells)]
        empty = ("",) * len(columns)
        head = (*HEAD, *columns)
        all_rows = [(*row, *(sensitivity[row[0]].cells if row[0] in sensitivity else empty)) for row in all_rows]
    return Summary.of(
        all_rows,
        {key: ", ".join(of) for key, of in shapes.items()},
        under,
        [*recurrence_lines(lowered, options.chunked)],
        head,
    )


def recurrence_lines(lowered: Graph, chunked: Chunking | None) -> Iterator[str]:
    """Yield a description of each affine recurrence; with ``chunked``, how training runs each recurrence."""
    for recurrence in declared_recurrences(lowered):
        if chunked is None:
            if recurrence.is_affine:
                yield str(recurrence)
        elif recurrence.plan is not None:
            narrow = "" if chunked.dtype == "float32" else f", with factors in {chunked.dtype}"
            yield f"{recurrence}; training runs chunks of {steps_of(recurrence.plan, chunked.steps)} steps{narrow}"
        else:
            yield f"{recurrence}; training runs it by steps" + (
                f": {recurrence.reason}" if recurrence.is_affine else ""
            )


def _row(name: str, layer: Layer, seconds: float) -> tuple[str, ...]:
    counts = (f"{count:,}" for count in (layer.parameters, layer.bytes, layer.multiply_adds))
    return (name, *counts, f"{seconds * 1e6:.3f} us")


def layers_of(graph: Graph, parameters: Parameters) -> dict[str, Layer]:
    """Return {layer: its parameters, bytes, multiply-adds and operations}; ``REST`` is for ops without a layer."""
    layers: dict[str, Layer] = {}
    for name, kind in parameters.types().items():
        layer = layers.setdefault(parameters.layer(name), Layer())
        layer.parameters += evaluate(product(kind.shape), {})
        layer.bytes += kind.bytes_at(0)
        layer.item_bytes = ITEM_BYTES[kind.dtype]
    sizes = dict.fromkeys(graph.symbols, 1)
    names = {node: parameters.layer(str(node["label"])) for node in graph.inputs if node.op == "parameter"}
    for node, name, times in _counted(graph, names, set(names), sizes):
        layer = layers.setdefault(name, Layer())
        count = _elements(node.shape, sizes) * times
        if node.op in MATRIX_PRODUCTS:
            layer.multiply_adds += count * _elements(node.operands[0].shape[-1:], sizes)
        else:
            layer.operations += count * (LONG_COST if OPS[node.op].is_long else 1)
    return layers


def _saved(graph: Graph, parameters: Parameters) -> dict[str, int]:
    """Return {layer: bytes that narrow weights save, minus those of scales}."""
    saved: dict[tuple[str, object], int] = {}

    def walk(part: Graph, fixed: Sources) -> None:
        sources = sources_of(part, fixed)
        for node in part.nodes:
            if node.op == "scan":
                walk(node["body"], inside_scan(node, sources))
                continue
            weight = node.operands[1] if node.op == "block_matmul" else node
            if len(sources.get(weight, ())) != 1:
                continue
            (name,) = sources[weight]
            if parameters.slot(name).type.dtype in NARROW:
                continue
            if node.op == "block_matmul":
                narrow = next(item for item in _dependencies(weight) if item.op == "cast")
                saved[name, _slice_start(narrow)] = _saved_in_blocks(narrow, int(node["bits"]), int(node["block"]))
            elif node.op == "cast" and node.dtype in NARROW and node.tensor.rank == 2:
                # each int8 column has a scale and a sum
                columns = 8 * int(str(node.shape[1])) if node.dtype == "int8" else 0
                bytes_saved = _elements(node.shape, {}) * (4 - ITEM_BYTES[node.dtype]) - columns
                saved[name, _slice_start(node)] = bytes_saved

    walk(graph, parameters_of(graph))
    layers: dict[str, int] = {}
    for (parameter, _), count in saved.items():
        name = parameters.layer(parameter)
        layers[name] = layers.get(name, 0) + count
    return layers


def _slice_start(weight: Node) -> tuple[Dim, ...] | None:
    """Return the first index, one for each axis, of the parameter's slice that a weight comes from; None for all."""
    return next((item["start"] for item in _dependencies(weight) if item.op == "slice"), None)


def _saved_in_blocks(narrow: Node, bits: int, block: int) -> int:
    """Return the bytes that a weight in blocks saves. The last block may be padded."""
    wide = next(item.operands[0] for item in _dependencies(narrow) if item.op == "reshape")
    is_padded = wide.op == "concat" and wide.operands[-1].op == "broadcast"
    numbers = _elements(narrow.shape, {})
    stored = numbers * bits // 8 + ITEM_BYTES[HALF] * numbers // block
    return 4 * _elements((wide.operands[0] if is_padded else wide).shape, {}) - stored


def _dependencies(node: Node) -> Iterator[Node]:
    """Yield a value and the nodes on which it depends, each once, depth first."""
    pending, visited = [node], set[Node]()
    while pending:
        item = pending.pop()
        if item not in visited:
            visited.add(item)
            yield item
            pending += item.operands


def _elements(shape: Sequence[Dim], sizes: Mapping[str, int]) -> int:
    return max(0, evaluate(product(tuple(shape)), sizes))


def _counted(
    graph: Graph, layers: dict[Node, str], weights: set[Node], sizes: Mapping[str, int]
) -> Iterator[tuple[Node, str, int]]:
    """Yield (node, layer that is charged for it, number of runs) for products and elementwise ops.

    A node belongs to the layer of the weights that it reads, else to that of its last operand.

    Args:
        layers: Layers of inputs.
        weights: Inputs that are parameters, or depend on parameters alone.
    """
    order = {node: number for number, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if node in layers:
            continue
        known = [item for item in node.operands if item in layers]
        own = [item for item in known if item in weights]
        if known:
            layers[node] = layers[max(own or known, key=order.__getitem__)]
        if own and len(own) == len(node.operands):
            weights.add(node)
        if node.op == "scan":
            body: Graph = node["body"]
            handed = list(zip(body.inputs, node.operands, strict=True))
            inner = {param: layers[item] for param, item in handed if item in layers}
            times = evaluate(node["length"], sizes)
            for item, name, inside in _counted(body, inner, {a for a, b in handed if b in weights}, sizes):
                yield item, name, inside * times
        elif node.op in MATRIX_PRODUCTS or (OPS[node.op].kind == "elementwise" and node not in weights):
            yield node, layers.get(node, REST), 1
