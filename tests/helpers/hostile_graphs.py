"""Random graphs that a hostile file could contain: everything that the verifier accepts, of any op, rank and size.

A graph is built node by node from the table of ops, with sizes that are open, fixed, 0 or differences. Nodes that a
type rule refuses are drawn again. The graph is then written in the complete form and parsed, like a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.sizes.polynomial import ceil_divide
from rnngraph.ir.types import FLOATS, INTEGERS, Dim, Shape, TensorType, evaluate, size
from rnngraph.support.errors import Where

NAMES = ("B", "T", "S")
FIXED = (0, 1, 1, 2, 3, 5, 8, 17)
UNARY = (
    "neg",
    "abs",
    "exp",
    "expm1",
    "tanh",
    "sigmoid",
    "sin",
    "cos",
    "atan",
    "erf",
    "sqrt",
    "log",
    "log1p",
    "stop_gradient",
)
BINARY = ("add", "sub", "mul", "maximum", "minimum", "straight_through")
ROUNDED = ("div", "power")
JUMPING = {"float": ("fmod", "copysign"), "int": ("fmod", "div", "power")}
"""Discontinuous ops. Their operands must be exact, so that rounding errors change no result; results are exact."""
COMPARISONS = ("less", "less_equal", "equal", "not_equal")
SPARSE = (8, 9, 16, 17, 33)
"""Sizes of weights with blocks of zeros."""
LARGEST = 30_000
"""Maximum number of elements of a value, small enough for many graphs."""


@dataclass
class Draw:
    """Generator of one graph, or of one body of a scan."""

    rng: np.random.Generator
    sizes: dict[str, int]
    line: list[int] = field(default_factory=lambda: [0])
    depth: int = 0
    steps: int = 1
    values: list[Node] = field(default_factory=list)
    exact: set[Node] = field(default_factory=set)
    """Values without rounding errors, which discontinuous ops require."""

    # Choices -------------------------------------------------------------------------------------

    def one(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def dim(self) -> Dim:
        kind = self.rng.random()
        if kind < 0.5:
            return size(self.one(NAMES))
        if kind < 0.85:
            return int(self.one(FIXED))
        if kind < 0.92:
            return size(self.one(NAMES)) + int(self.rng.integers(-2, 3))
        if kind < 0.96:
            return ceil_divide(size(self.one(NAMES)), int(self.rng.integers(2, 5)))
        return size(self.one(NAMES)) * (size(self.one(NAMES)) if self.chance(0.5) else 2)

    def fed_dim(self) -> Dim:
        """Return a size above 0 for an axis of an input. In rare cases, no feed determines the size's symbol."""
        dim = self.dim() if self.chance(0.05) else size(self.one(NAMES)) if self.chance(0.6) else int(self.one(FIXED))
        return dim or 1

    def shape(self, maximum: int = 3) -> Shape:
        return tuple(self.dim() for _ in range(int(self.rng.integers(0, maximum + 1))))

    def fits(self, shape: Shape) -> bool:
        counts = [evaluate(dim, self.sizes) for dim in shape]
        return float(np.prod(np.maximum(counts, 1), dtype=float)) * self.steps <= LARGEST

    def pick(self, wanted: Callable[[Node], bool]) -> Node:
        """Return a value for which ``wanted`` is True, preferably a late one. Raise ``LookupError`` if none matches."""
        matching = [node for node in self.values if wanted(node)]
        if not matching:
            raise LookupError("no such value")
        return matching[min(int(self.rng.exponential(len(matching) / 2)), len(matching) - 1) * -1 - 1]

    def any_float(self) -> Node:
        return self.pick(lambda node: node.dtype in FLOATS)

    # Nodes ---------------------------------------------------------------------------------------

    def node(self, op: str, *operands: Node, exact: bool = False, **attributes: Any) -> Node:
        """Return a node with a source line of its own. Raise ``ValueError`` if its value is larger than ``LARGEST``."""
        self.line[0] += 1
        made = make(op, *operands, where=Where("hostile.py", self.line[0]), name=f"v{self.line[0]}", **attributes)
        if isinstance(made.type, TensorType):
            if not self.fits(made.shape):
                raise ValueError("too large")
            if exact:
                self.exact.add(made)
        return made

    def keep(self, node: Node) -> None:
        self.values.append(node)

    def all_exact(self, *nodes: Node) -> bool:
        return all(node in self.exact for node in nodes)

    def input(self, dtype: str, shape: Shape, op: str = "input") -> Node:
        result = self.node(op, exact=True, type=TensorType(dtype, shape), label=f"{op}{self.line[0]}")
        self.keep(result)
        return result

    def grow(self, count: int) -> None:
        """Draw ``count`` nodes, or fewer if type rules refuse too many of them."""
        moves = self.moves
        for _ in range(count * 12):
            if count <= 0:
                return
            try:
                self.keep(self.one(moves)())
                count -= 1
            except (ValueError, TypeError, LookupError, AssertionError):
                continue

    @cached_property
    def moves(self) -> list[Callable[[], Node]]:
        plain = [
            self.unary,
            self.binary,
            self.binary,
            self.compared,
            self.selected,
            self.fused,
            self.cast,
            self.leaf,
            self.product,
            self.product,
            self.outer,
            self.scatter,
            self.gather,
            self.gather,
            self.reduced,
            self.reduced,
            self.sliced,
            self.sliced,
            self.windowed,
            self.overlapped,
            self.moved,
            self.reshaped,
            self.ensured,
            self.spread,
            self.joined,
            self.joined,
            self.logic,
            self.by_graph,
            self.updated,
            self.dropped,
            self.random,
        ]
        return plain + ([self.scan] * 4 if self.depth < 2 else [])

    def leaf(self) -> Node:
        kind = self.rng.integers(4)
        if kind == 0:
            return self.node("iota", size=self.dim(), exact=True)
        if kind == 1:
            return self.node("dimension", size=self.dim(), exact=True)
        shape = tuple(int(self.one(FIXED)) for _ in range(int(self.rng.integers(0, 3))))
        dtype = self.one(("float32", "float32", "float64", "int32", "int64", "bool"))
        return self.node("constant", value=self.numbers(shape, dtype), exact=True)

    def numbers(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        return self.rng.integers(-3, 4, shape).astype(dtype) if shape else np.array(self.rng.integers(-3, 4), dtype)

    def unary(self) -> Node:
        item = self.any_float()
        if item in self.exact and self.chance(0.3):
            return self.node(self.one(("sign", "round", "abs", "neg")), item, exact=True)
        return self.node(self.one(UNARY), item)

    def binary(self) -> Node:
        a = self.pick(lambda node: node.dtype != "bool")
        b = self.pick(lambda node: node.dtype == a.dtype)
        is_exact = self.all_exact(a, b)
        if is_exact and self.chance(0.2):
            return self.node(self.one(JUMPING["float" if a.dtype in FLOATS else "int"]), a, b, exact=True)
        op = self.one((*BINARY, *ROUNDED) if a.dtype in FLOATS else BINARY)
        return self.node(op, a, b, exact=op not in ROUNDED and is_exact)

    def compared(self) -> Node:
        a = self.pick(lambda node: node.dtype != "bool" and node in self.exact)
        b = self.pick(lambda node: node.dtype == a.dtype and node in self.exact)
        op = self.one(COMPARISONS)
        more = {"within": self.one(("labels", "lengths"))} if op in ("less", "equal") and self.chance(0.2) else {}
        return self.node(op, a, b, exact=True, **more)

    def logic(self) -> Node:
        a = self.pick(lambda node: node.dtype == "bool")
        if self.chance(0.3):
            return self.node("not", a, exact=True)
        return self.node(self.one(("and", "or")), a, self.pick(lambda node: node.dtype == "bool"), exact=True)

    def selected(self) -> Node:
        condition = self.pick(lambda node: node.dtype == "bool")
        a = self.pick(lambda node: True)
        b = self.pick(lambda node: node.dtype == a.dtype)
        more = {"guards": self.chance(0.5)} if self.chance(0.2) else {}
        return self.node("select", condition, a, b, exact=self.all_exact(a, b), **more)

    def fused(self) -> Node:
        a = self.any_float()
        b, c = (self.pick(lambda node: node.dtype == a.dtype) for _ in range(2))
        return self.node("fma", a, b, c, exact=self.all_exact(a, b, c))

    def cast(self) -> Node:
        item = self.pick(lambda node: True)
        wanted = self.one(("float32", "float32", "float64", "int32", "int64", "bool"))
        if item.dtype in FLOATS and wanted not in FLOATS and item not in self.exact:
            raise ValueError("it would jump")
        return self.node("cast", item, dtype=wanted, exact=item in self.exact)

    def product(self) -> Node:
        left = self.pick(lambda node: node.dtype in FLOATS and node.tensor.rank >= 1)
        right = self.pick(
            lambda node: (
                node.dtype == left.dtype
                and node.tensor.rank >= 2
                and node.shape[:-2] in ((), left.shape[:-2])
                and node.shape[-2] == left.shape[-1]
            )
        )
        start = []
        if self.chance(0.3):
            shape = (*left.shape[:-1], right.shape[-1])
            start = [self.pick(lambda node: node.dtype == left.dtype and node.shape in (shape, shape[-1:], ()))]
        return self.node("matmul", left, right, *start, exact=self.all_exact(left, right, *start))

    def outer(self) -> Node:
        left = self.pick(lambda node: node.dtype in FLOATS and node.tensor.rank >= 2)
        right = self.pick(lambda node: node.dtype == left.dtype and node.shape[:-1] == left.shape[:-1])
        return self.node("outer_sum", left, right, exact=self.all_exact(left, right))

    def indices(self) -> Node:
        result = self.pick(lambda node: node.dtype in INTEGERS)
        if self.chance(0.4):  # an index computed from a feed is not validated at the call
            result = self.node("mul", result, self.node("constant", value=np.array(self.one((1, -1, 7)), result.dtype)))
        return result

    def scatter(self) -> Node:
        indices = self.indices()
        rank = indices.tensor.rank
        updates = self.pick(lambda node: node.dtype in FLOATS and node.shape[:rank] == indices.shape)
        return self.node("scatter_add", indices, updates, rows=self.dim(), exact=updates in self.exact)

    def gather(self) -> Node:
        table = self.pick(lambda node: node.tensor.rank >= 1)
        return self.node("gather", table, self.indices(), exact=table in self.exact)

    def reduced(self) -> Node:
        item = self.pick(lambda node: node.dtype != "bool")
        axes = tuple(axis for axis in range(item.tensor.rank) if self.chance(0.5))
        op = self.one(("reduce_sum", "reduce_max", "reduce_min"))
        return self.node(op, item, axes=axes, keepdims=self.chance(0.4), exact=item in self.exact)

    def bounds(self, dim: Dim) -> tuple[Dim, Dim, int]:
        """Return (start, stop, step) of a slice of an axis. Some are invalid, as in a hostile file."""
        low: Dim = int(self.rng.integers(0, 3)) if self.chance(0.5) else 0
        high = dim - int(self.rng.integers(0, 2)) if self.chance(0.6) else low + int(self.one(FIXED))
        if self.chance(0.05):
            low = self.dim()
        if self.chance(0.05):
            high = self.dim()
        return low, high, int(self.rng.integers(1, 4)) if self.chance(0.2) else 1

    def sliced(self) -> Node:
        item = self.pick(lambda node: node.tensor.rank >= 1)
        start, stop, step = zip(*map(self.bounds, item.shape), strict=True)
        result = self.node("slice", item, start=start, stop=stop, step=step, exact=item in self.exact)
        for first, last, dim in zip(start, stop, item.shape, strict=True):
            a, b, c = (evaluate(value, self.sizes) for value in (first, last, dim))
            if not 0 <= a <= b <= c and self.chance(0.9):
                raise ValueError("past the end, which a call refuses")
        return result

    def windowed(self) -> Node:
        """Return windows of an axis. The axis may be shorter than a window."""
        item = self.pick(lambda node: node.tensor.rank >= 1)
        axis = int(self.rng.integers(item.tensor.rank))
        size, step, dilation = (int(self.one(numbers)) for numbers in ((1, 2, 3, 7), (1, 1, 2, 3, 5), (1, 1, 2)))
        reach = evaluate(item.shape[axis], self.sizes) - dilation * (size - 1)
        if reach <= -step and self.chance(0.9):
            raise ValueError("past the end, which a call refuses")
        return self.node("windows", item, axis=axis, size=size, step=step, apart=dilation, exact=item in self.exact)

    def overlapped(self) -> Node:
        """Return the overlap-add of a value with the shape of windows."""
        windows = self.pick(lambda node: node.op == "windows")
        axis, source = windows["axis"], windows.operands[0]
        item = self.pick(lambda node: node.dtype in FLOATS and node.shape == windows.shape)
        size = source.shape[axis] if self.chance(0.9) else self.dim()
        step, dilation = windows["step"], windows["apart"]
        return self.node("overlap_add", item, axis=axis, size=size, step=step, apart=dilation, exact=item in self.exact)

    def moved(self) -> Node:
        item = self.pick(lambda node: True)
        if item.tensor.rank and self.chance(0.5):
            axis = int(self.rng.integers(item.tensor.rank))
            return self.node("reverse", item, axis=axis, exact=item in self.exact)
        order = tuple(map(int, self.rng.permutation(item.tensor.rank)))
        return self.node("transpose", item, order=order, exact=item in self.exact)

    def ensured(self) -> Node:
        """Return a value with an assertion of other sizes, whose equality only a call can check."""
        item = self.pick(lambda node: node.tensor.rank > 0)
        shape = tuple(self.dim() if self.chance(0.3) else dim for dim in item.shape)
        return self.node("ensure_shape", item, shape=shape, exact=item in self.exact)

    def reshaped(self) -> Node:
        item = self.pick(lambda node: True)
        shape = list(item.shape)
        for _ in range(int(self.rng.integers(1, 3))):
            position = int(self.rng.integers(len(shape) + 1))
            if self.chance(0.4):
                shape.insert(position, 1)
            elif len(shape) > 1 and position + 1 < len(shape):
                shape[position : position + 2] = [shape[position] * shape[position + 1]]
            elif position < len(shape) and isinstance(dim := shape[position], int) and dim > 3 and dim % 2 == 0:
                shape[position : position + 1] = [2, dim // 2]
            elif 1 in shape:
                shape.remove(1)
            elif 0 in shape:
                shape = [self.dim() for _ in shape]
                shape[position % len(shape)] = 0
        return self.node("reshape", item, shape=tuple(shape), exact=item in self.exact)

    def spread(self) -> Node:
        item = self.pick(lambda node: True)
        shape = tuple(self.dim() if dim == 1 and self.chance(0.7) else dim for dim in item.shape)
        shape = (*self.shape(1), *shape)
        if self.chance(0.05):
            shape = self.shape()
        return self.node("broadcast", item, shape=shape, exact=item in self.exact)

    def joined(self) -> Node:
        first = self.pick(lambda node: node.tensor.rank >= 1)
        axis = int(self.rng.integers(first.tensor.rank)) if self.chance(0.5) else first.tensor.rank - 1

        def beside(node: Node) -> bool:
            same = zip(node.shape, first.shape, strict=False)
            return (node.dtype, node.tensor.rank) == (first.dtype, first.tensor.rank) and all(
                a == b or number == axis for number, (a, b) in enumerate(same)
            )

        parts = [first, *(self.pick(beside) for _ in range(int(self.rng.integers(0, 3))))]
        return self.node("concat", *parts, axis=axis, exact=self.all_exact(*parts))

    def by_graph(self) -> Node:
        a = self.pick(lambda node: True)
        b = self.pick(lambda node: node.type == a.type)
        return self.node("by_graph", a, b, exact=self.all_exact(a, b))

    def updated(self) -> Node:
        """Return a trainer's update of a parameter by any value."""
        parameter = self.pick(lambda node: node.op == "parameter")
        after = self.pick(lambda node: node.type == parameter.type)
        value = self.pick(lambda node: True)
        return self.node("with_update", value, parameter, after, exact=value in self.exact)

    def dropped(self) -> Node:
        item = self.any_float()
        keep = self.node("constant", value=np.asarray(self.one((0.5, 1.0, 0.0)), self.one(("float32", item.dtype))))
        number = self.node("constant", value=np.array(self.rng.integers(9), np.int64))
        whole = [number] * 3
        if self.chance(0.3):
            whole = [self.pick(lambda node: node.dtype == "int64" and node in self.exact) for _ in range(3)]
        return self.node("dropout", item, keep, *whole, site=f"site{self.line[0]}", salt=int(self.rng.integers(3)))

    def random(self) -> Node:
        """Return random numbers for training, and zeros for inference."""
        seed, step, row = (self.pick(lambda node: node.dtype == "int64" and node in self.exact) for _ in range(3))
        key = self.node("random_key", seed, step, row, site=f"site{self.line[0]}", salt=0)
        numbers = self.node("random_uniform", key, self.node("iota", size=self.dim()))
        if self.chance(0.3):  # samples are in both graphs
            key = self.node("sample_key", seed, step, site=f"site{self.line[0]}", salt=1)
            return self.node("sample_uniform", key, self.node("iota", size=self.dim()))
        zero = self.node("constant", value=np.zeros((), np.float32))
        return self.node("by_graph", numbers, self.node("broadcast", zero, shape=numbers.shape))

    # Scans ---------------------------------------------------------------------------------------

    def scan(self) -> Node:
        """Draw a scan. Its results become values, and the last of them is returned."""
        timed = [node for node in self.values if node.tensor.rank >= 1]
        length = self.one(timed).shape[0] if timed and self.chance(0.6) else self.dim()
        length = size("T") if self.chance(0.4) else length
        count = max(1, evaluate(length, self.sizes))
        inner = Draw(self.rng, self.sizes, self.line, self.depth + 1, self.steps * count)
        carried = [self.pick(lambda node: True) for _ in range(int(self.rng.integers(0, 4)))]
        if self.chance(0.2):  # a bool, which may become the condition of a step
            carried.append(self.node("constant", value=np.array(self.chance(0.8)), exact=True))
        over = [node for node in timed if node.shape[0] == length]
        sequences = [self.one(over) for _ in range(int(self.rng.integers(0, 3))) if over]
        constants = [self.pick(lambda node: True) for _ in range(int(self.rng.integers(0, 3)))]
        operands = [*carried, *sequences, *constants]
        kinds = [
            node.tensor.with_shape(node.shape[1:])
            if len(carried) <= position < len(carried) + len(sequences)
            else node.tensor
            for position, node in enumerate(operands)
        ]
        params = [inner.input(kind.dtype, kind.shape) for kind in kinds]
        for position, (param, actual) in enumerate(zip(params, operands, strict=True)):
            if position < len(carried) or actual not in self.exact:  # carries accumulate rounding errors
                inner.exact.discard(param)
                if param.dtype not in FLOATS:
                    inner.exact.add(param)
        inner.grow(int(self.rng.integers(1, 7)))
        outputs = [(f"next{n}", inner.following(param)) for n, param in enumerate(params[: len(carried)])]
        emits = [inner.pick(lambda node: True) for _ in range(int(self.rng.integers(0, 3))) if inner.values]
        outputs += [(f"emit{n}", node) for n, node in enumerate(emits)]
        if not outputs:
            raise ValueError("it would give nothing")
        flags = [n for n, param in enumerate(params) if param.tensor == TensorType("bool", ())]
        flags = [n for n in flags if n < len(carried) + len(sequences)]
        more = {"when": self.one(flags)} if flags and self.chance(0.7) else {}
        body = Graph.of("body", outputs, params)
        scan = self.node(
            "scan",
            *operands,
            body=body,
            carries=len(carried),
            sequences=len(sequences),
            length=length,
            reverse=self.chance(0.4),
            **more,
        )
        results = []
        for index, (_, value) in enumerate(outputs):
            if self.chance(0.8) or index == len(outputs) - 1:
                exact = value.dtype not in FLOATS or (index >= len(carried) and value in inner.exact)
                results.append(self.node("get", scan, index=index, exact=exact))
        self.values += results[:-1]
        return results[-1]

    def following(self, carry: Node) -> Node:
        """Return the next value of a carry, bounded so that many steps don't overflow."""
        same = [node for node in self.values if node.tensor == carry.tensor]
        value = self.one(same)
        if carry.dtype in FLOATS:
            return self.node("tanh", value) if self.chance(0.8) else carry
        if carry.dtype != "bool" and self.chance(0.5):
            return self.node("minimum", value, carry)
        return value


@dataclass(frozen=True)
class Hostile:
    """Random graph with feeds and parameters."""

    seed: int
    graph: Graph
    feeds: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]


def draw(seed: int, is_empty: bool = False) -> Hostile:
    """Return the random graph of a seed.

    Args:
        seed: Seed of the graph.
        is_empty: True if at least one symbolic size is to be 0.
    """
    rng = np.random.default_rng(seed)
    sizes = {name: int(rng.choice((1, 2, 3, 5, 9, 1, 2, 3, 5, 9, 0))) for name in NAMES}
    sizes["T"] = int(rng.choice((0, 0, 0, 1, 2, 3, 9)))
    if is_empty:
        sizes = {name: int(rng.choice((0, 1, 3))) for name in NAMES} | {NAMES[seed % len(NAMES)]: 0}
    work = Draw(rng, sizes)
    for _ in range(int(rng.integers(2, 6))):
        dtype = work.one(("float32", "float32", "float32", "float64", "int64", "int32", "bool"))
        op = "input" if rng.random() < 0.75 else "parameter"
        fixed = tuple(max(1, int(work.one(FIXED))) for _ in range(int(rng.integers(1, 3))))
        shape = tuple(work.fed_dim() for _ in range(int(rng.integers(0, 4))))
        try:
            work.input(dtype, shape if op == "input" else fixed, op)
        except ValueError:
            continue
    certain: list[Node] = []
    if seed % 3 == 1:  # a product whose weight consists of whole blocks
        rows, columns = (int(work.one(SPARSE)) for _ in range(2))
        x, weight = work.input("float32", (size("B"), rows)), work.input("float32", (rows, columns), "parameter")
        certain.append(work.node("matmul", x, weight, exact=True))
        work.keep(certain[0])
    work.input("float32", (3, 5), "parameter")
    work.input("float32", (size("T"), size("B"), 3))
    work.input("int64", (size("S"),))
    work.grow(int(rng.integers(3, 14)))
    chosen = [work.pick(lambda node: True) for _ in range(int(rng.integers(1, 4)))]
    outputs = [(f"out{n}", node) for n, node in enumerate(dict.fromkeys([*chosen, *certain]))]
    outputs.append(("loss", _loss(work, [node for _, node in outputs])))
    graph = Graph.of("declared", outputs)
    feeds, parameters = {}, {}
    for node in graph.inputs:
        shape = tuple(evaluate(dim, sizes) for dim in node.shape)
        if min(shape, default=0) < 0:
            shape = tuple(map(abs, shape))
        array = np.asarray(work.numbers(shape, node.dtype))
        if node.op == "parameter" and array.ndim == 2:  # whole blocks of zeros in some weights
            array = (
                array
                * np.kron(rng.random((9, 7)) < rng.choice((1, 0.5, 0)), np.ones((4, 8), bool))[: shape[0], : shape[1]]
            )
            array = array.astype(node.dtype)
        if node.dtype in INTEGERS and rng.random() < 0.8:  # small, so that most are valid indices of most tables
            array = np.where(array < 0, 0, array).clip(0, int(rng.integers(0, 4))).astype(node.dtype)
        (parameters if node.op == "parameter" else feeds)[node["label"]] = array
    if rng.random() < 0.05 and feeds:  # feeds of wrong shapes, too
        label = work.one(list(feeds))
        shape = tuple(dim + int(rng.integers(-1, 2)) * (dim > 0) for dim in feeds[label].shape)
        feeds[label] = np.zeros(shape, feeds[label].dtype)
    return Hostile(seed, graph, feeds, parameters)


def _loss(work: Draw, nodes: Sequence[Node]) -> Node:
    """Return the sum of all float values."""
    total = work.node("constant", value=np.zeros((), np.float32))
    for node in nodes:
        if node.dtype in FLOATS:
            part = work.node("reduce_sum", node, axes=tuple(range(node.tensor.rank)), keepdims=False)
            part = part if part.dtype == "float32" else work.node("cast", part, dtype="float32")
            total = work.node("add", total, part)
    return total
