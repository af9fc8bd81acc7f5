"""Writes the ops of the graph IR, except loops, as ONNX's operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np

from ....ir.graph import Graph, Node
from ....ir.types import FLOATS, INTEGERS, Dim, Size, product
from . import arithmetic, convolutions
from .scope import Scope
from .sizes import Sizes, size_problem

Operands = Sequence[str]
Expression = Callable[["Writer", Node, Operands], str]

MAX_SLICES = 64
"""Maximum entries of a window that is written as slices, one for each entry. Longer windows are gathered by indices."""
END = np.iinfo(np.int64).max
ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float64": 11}
"""ONNX's element types by dtype."""
CAST_TYPES = ELEMENT_TYPES | {"bfloat16": 16}
"""Element types of casts. bfloat16 occurs only where values are narrowed and widened again."""


class Writer:
    """Writes the nodes of a graph into a scope as ONNX nodes.

    Attributes:
        scope: Scope that receives the nodes.
        sizes: Symbolic sizes of the model.
        loop: Function of ``loops`` that writes a scan and returns the names of its results.
    """

    def __init__(self, scope: Scope, sizes: Sizes, loop: Callable[[Writer, Node], list[str]]) -> None:
        self.scope, self.sizes, self.loop = scope, sizes, loop
        self.add, self.constant, self.integers = scope.add, scope.constant, scope.integers

    def write(self, graph: Graph) -> None:
        """Write all nodes of a graph. The graph's inputs must already have names in the scope."""
        values = self.scope.values
        for node in graph.nodes:
            if node in values or node in self.scope.scans:
                continue
            if node.op == "scan":
                self.scope.scans[node] = self.loop(self, node)
            elif node.op == "get":
                values[node] = self.scope.scans[node.operands[0]][node["index"]]
            else:
                values[node] = self._written(node, [values[operand] for operand in node.operands])

    def _written(self, node: Node, operands: Operands) -> str:
        """Write a node, and return its result's name. If ONNX has no counterpart, record a problem, and write a 0."""
        expression = EXPRESSIONS.get(node.op)
        if expression is None or node.dtype not in (CAST_TYPES if node.op == "cast" else ELEMENT_TYPES):
            self.scope.model.problems.append((node.where, f"{node.op} of {node.type} has no counterpart in ONNX"))
            return self.constant(0, "int64")
        return expression(self, node, operands)

    def vector(self, dims: Sequence[Dim], node: Node) -> str:
        """Write sizes as an int64 vector. Sizes that no input determines are recorded as problems of ``node``."""
        for dim in dims:
            if missing := self.sizes.missing(dim):
                self.scope.model.problems.append((node.where, size_problem(missing, dim)))
                return self.integers([1] * len(dims), "shape")
        return self.sizes.shape(self.scope, dims)

    def scalar(self, dim: Dim, node: Node) -> str:
        """Write a size as an int64 scalar."""
        if missing := self.sizes.missing(dim):
            self.scope.model.problems.append((node.where, size_problem(missing, dim)))
            return self.constant(1, "int64")
        return self.sizes.scalar(dim)

    def within(self, value: str, bound: Dim, node: Node) -> str:
        """Write ``value``, the integers of ``node``, clamped to 0 … ``bound``, a size."""
        limit = self.scalar(bound, node)
        limit = limit if node.dtype == "int64" else self.add("Cast", limit, to=ELEMENT_TYPES[node.dtype])
        return self.add("Min", self.add("Max", value, self.constant(0, node.dtype, "zero")), limit)


def hint_of(node: Node) -> str:
    """Return the prefix of the name of a node's result."""
    return node.name or node.op


# Constants and sizes ---------------------------------------------------------------------------------


def _constant(writer: Writer, node: Node, operands: Operands) -> str:
    return writer.scope.model.constant(np.asarray(node["value"]), "constant")


def _iota(writer: Writer, node: Node, operands: Operands) -> str:
    if not isinstance(node["size"], Size):
        return writer.integers(range(node["size"]), "iota")
    zero, one = writer.constant(0, "int64", "zero"), writer.constant(1, "int64", "one")
    return writer.add("Range", zero, writer.scalar(node["size"], node), one, hint=hint_of(node))


def _dimension(writer: Writer, node: Node, operands: Operands) -> str:
    return writer.scalar(node["size"], node)


# Elementwise ----------------------------------------------------------------------------------------


def _direct_operator(op: str) -> Expression:
    """Return the writer of an op that is one ONNX operator with the same operands."""

    def write(writer: Writer, node: Node, operands: Operands) -> str:
        return writer.add(op, *operands, hint=hint_of(node))

    return write


def _arithmetic(expression: Callable[[Scope, Node, Operands], str]) -> Expression:
    return lambda writer, node, operands: expression(writer.scope, node, operands)


def _in_float32(op: str) -> Expression:
    """Return the writer of an op that onnxruntime implements for float32 only. float64 operands are converted."""

    def write(writer: Writer, node: Node, operands: Operands) -> str:
        if node.dtype == "float32":
            return writer.add(op, *operands, hint=hint_of(node))
        narrow = writer.add("Cast", *operands, to=ELEMENT_TYPES["float32"])
        return writer.add("Cast", writer.add(op, narrow), hint=hint_of(node), to=ELEMENT_TYPES[node.dtype])

    return write


def _passed(writer: Writer, node: Node, operands: Operands) -> str:
    """Return the operand of an op that changes no value."""
    return operands[0]


def _second(writer: Writer, node: Node, operands: Operands) -> str:
    """Return the second operand of an op that selects it."""
    return operands[1]


def _expm1(writer: Writer, node: Node, operands: Operands) -> str:
    """Write exp(x) - 1. Near 0, where the difference cancels, it is 2 t / (1 - t) with t = tanh(x / 2)."""
    add, x = writer.add, operands[0]
    one, half, two = (writer.constant(value, node.dtype) for value in (1, 0.5, 2))
    t = add("Tanh", add("Mul", x, half))
    near = add("Div", add("Mul", two, t), add("Sub", one, t))
    is_near = add("Less", add("Abs", x), half)
    return add("Where", is_near, near, add("Sub", add("Exp", x), one), hint=hint_of(node))


def _log1p(writer: Writer, node: Node, operands: Operands) -> str:
    """Write log(1 + x), corrected near 0 for the rounding of 1 + x (Kahan): times x / ((1 + x) - 1)."""
    add, x = writer.add, operands[0]
    one, half = writer.constant(1, node.dtype), writer.constant(0.5, node.dtype)
    whole = add("Add", x, one)
    log, rounded = add("Log", whole), add("Sub", whole, one)
    is_tiny = add("Equal", rounded, writer.constant(0, node.dtype, "zero"))
    near = add("Where", is_tiny, x, add("Mul", log, add("Div", x, rounded)))
    return add("Where", add("Less", add("Abs", x), half), near, log, hint=hint_of(node))


def _not_equal(writer: Writer, node: Node, operands: Operands) -> str:
    return writer.add("Not", writer.add("Equal", *operands), hint=hint_of(node))


def _select(writer: Writer, node: Node, operands: Operands) -> str:
    condition, yes, no = operands
    return writer.scope.select(condition, yes, no, node.dtype, hint_of(node))


def _cast(writer: Writer, node: Node, operands: Operands) -> str:
    """Write a cast.

    ONNX does not define integers for NaN and for floats outside the dtype. Further nodes make NaN 0, and saturate such
    floats.
    """
    x, kind = operands[0], node.operands[0].dtype
    cast = writer.add("Cast", x, hint=hint_of(node), to=CAST_TYPES[node.dtype])
    if kind not in FLOATS or node.dtype not in INTEGERS:
        return cast
    limits = np.iinfo(node.dtype)
    for low, high, value in ((-float(limits.min), None, limits.max), (None, float(limits.min), limits.min)):
        beyond = (writer.constant(low, kind), x) if low is not None else (x, writer.constant(high, kind))
        cast = writer.add("Where", writer.add("LessOrEqual", *beyond), writer.constant(value, node.dtype), cast)
    zero = writer.constant(0, node.dtype, "zero")
    return writer.add("Where", writer.add("Equal", x, x), cast, zero, hint=hint_of(node))


# Products and sums ----------------------------------------------------------------------------------


def _reduce_max(writer: Writer, node: Node, operands: Operands) -> str:
    return convolutions.largest(writer.scope, node) or _reduce("ReduceMax", 18)(writer, node, operands)


def _reduce(op: str, axes_since: int) -> Expression:
    """Return the writer of a reduction. From opset ``axes_since`` on, the axes are an input, not an attribute."""

    def write(writer: Writer, node: Node, operands: Operands) -> str:
        axes, keep = list(node["axes"]), int(node["keepdims"])
        if not axes:
            return operands[0]
        if writer.scope.model.opset < axes_since:
            return writer.add(op, operands[0], hint=hint_of(node), axes=axes, keepdims=keep)
        return writer.add(op, operands[0], writer.integers(axes, "axes"), hint=hint_of(node), keepdims=keep)

    return write


def _reduce_sum(writer: Writer, node: Node, operands: Operands) -> str:
    """Write a sum. A number that is broadcast along all summed axes is multiplied by the number of entries."""
    source, convolution = node.operands[0], convolutions.total(writer.scope, node)
    if convolution is not None:
        return convolution
    if source.op != "broadcast" or source.operands[0].tensor.rank or node.tensor.rank:
        return _reduce("ReduceSum", 13)(writer, node, operands)
    count = writer.scalar(product(source.shape), node)
    times = writer.add("Cast", count, to=ELEMENT_TYPES[node.dtype])
    return writer.add("Mul", times, writer.scope.values[source.operands[0]], hint=hint_of(node))


# Slices, reshapes, lookups ---------------------------------------------------------------------------


def _slice(writer: Writer, node: Node, operands: Operands) -> str:
    if (state := convolutions.last_steps(writer.scope, node)) is not None:
        return state
    dims = node.operands[0].shape
    bounds = zip(node["start"], node["stop"], node["step"], dims, strict=True)
    cut = [
        (axis, start, _from_end(stop, dim), step)
        for axis, (start, stop, step, dim) in enumerate(bounds)
        if (start, stop, step) != (0, dim, 1)
    ]
    if not cut:
        return operands[0]
    axes, starts, stops, steps = zip(*cut, strict=True)
    vectors = [writer.vector(starts, node), writer.vector(stops, node), writer.integers(axes, "axes")]
    if any(step != 1 for step in steps):
        vectors.append(writer.integers(steps, "steps"))
    return writer.add("Slice", operands[0], *vectors, hint=hint_of(node))


def _from_end(stop: Dim, dim: Dim) -> Dim:
    """Return the stop of a slice of a symbolic axis, negative if its distance from the axis's end is a number."""
    if isinstance(stop, int):
        return stop
    rest = stop - dim
    if rest == 0:
        return END
    return rest if isinstance(rest, int) and rest < 0 else stop


def _windows(writer: Writer, node: Node, operands: Operands) -> str:
    """Write windows as a concatenation of slices, one for each entry of a window; long windows as a lookup."""
    axis, size, dilation, step = node["axis"], node["size"], node["apart"], node["step"]
    if size > MAX_SLICES:
        return _gathered_windows(writer, node, operands[0])
    parts = []
    for entry in range(size):
        left = dilation * (size - 1 - entry)  # entries of the axis after this entry of the last window
        bounds = [[dilation * entry], [-left if left else END], [axis], *([[step]] if step != 1 else [])]
        vectors = [writer.integers(numbers, "bounds") for numbers in bounds]
        parts.append(writer.scope.unsqueeze(writer.add("Slice", operands[0], *vectors), axis + 1))
    return parts[0] if size == 1 else writer.add("Concat", *parts, hint=hint_of(node), axis=axis + 1)


def _gathered_windows(writer: Writer, node: Node, x: str) -> str:
    """Write windows as a lookup of all their entries by computed indices."""
    axis, size, dilation, step = node["axis"], node["size"], node["apart"], node["step"]
    zero, one = writer.constant(0, "int64", "zero"), writer.constant(1, "int64", "one")
    numbers = writer.add("Range", zero, writer.scalar(node.shape[axis], node), one, hint="window")
    first = writer.add("Mul", writer.scope.unsqueeze(numbers, 1), writer.integers([step], "step"))
    entries = writer.add("Add", first, writer.integers(range(0, dilation * size, dilation), "entries"))
    return writer.add("Gather", x, entries, hint=hint_of(node), axis=axis)


def _reverse(writer: Writer, node: Node, operands: Operands) -> str:
    vectors = (writer.integers([value], "bounds") for value in (-1, -END, node["axis"], -1))
    return writer.add("Slice", operands[0], *vectors, hint=hint_of(node))


def _transpose(writer: Writer, node: Node, operands: Operands) -> str:
    source, order = writer.scope.model.transposes.get(operands[0], ("", ()))
    if order == node["order"]:
        return source
    return writer.add("Transpose", operands[0], hint=hint_of(node), perm=list(node["order"]))


def _reshape(writer: Writer, node: Node, operands: Operands) -> str:
    have, want = node.operands[0].shape, node.shape
    numbers = [_reshape_entry(axis, dim, have) for axis, dim in enumerate(want)]
    unknown = [axis for axis, number in enumerate(numbers) if number is None]
    others = math.prod(number for number in numbers if number is not None and number != 0)
    is_empty = 0 in have or 0 in want
    if len(unknown) <= 1 and not is_empty and others:
        return writer.scope.reshape(operands[0], [-1 if item is None else item for item in numbers], hint_of(node))
    shape = writer.vector(want, node)
    zeros = {"allowzero": 1} if writer.scope.model.opset >= 14 else {}
    return writer.add("Reshape", operands[0], shape, hint=hint_of(node), **zeros)


def _reshape_entry(axis: int, dim: Dim, have: Sequence[Dim]) -> int | None:
    """Return a size for Reshape: a number, or 0 to copy the size of the operand's axis; None if neither applies."""
    if isinstance(dim, int):
        return dim
    return 0 if axis < len(have) and have[axis] == dim else None


def _broadcast(writer: Writer, node: Node, operands: Operands) -> str:
    have, want = node.operands[0].shape, node.shape
    ahead = len(want) - len(have)
    dims = [1 if axis >= ahead and have[axis - ahead] == dim else dim for axis, dim in enumerate(want)]
    if all(dim == 1 for dim in dims) and ahead == 0:
        return operands[0]
    return writer.add("Expand", operands[0], writer.vector(dims, node), hint=hint_of(node))


def _concat(writer: Writer, node: Node, operands: Operands) -> str:
    return writer.add("Concat", *operands, hint=hint_of(node), axis=node["axis"])


def _gather(writer: Writer, node: Node, operands: Operands) -> str:
    """Write a lookup of rows. Calls validate indices that are inputs; computed indices are clamped here."""
    indices = operands[1]
    if not is_fed(node.operands[1], writer.sizes.inputs):
        indices = writer.within(indices, node.operands[0].shape[0] - 1, node.operands[1])
    return writer.add("Gather", operands[0], indices, hint=hint_of(node), axis=0)


def is_fed(node: Node, inputs: Collection[Node]) -> bool:
    """True if integers are an input of the graph, or a reshape or slice of one. Each call validates their values."""
    while node.op in ("reshape", "transpose", "slice", "ensure_shape"):
        node = node.operands[0]
    return node in inputs


EXPRESSIONS: dict[str, Expression] = {
    "constant": _constant,
    "iota": _iota,
    "dimension": _dimension,
    "neg": _direct_operator("Neg"),
    "abs": _direct_operator("Abs"),
    "sign": _direct_operator("Sign"),
    "round": _direct_operator("Round"),
    "exp": _direct_operator("Exp"),
    "expm1": _expm1,
    "log": _direct_operator("Log"),
    "log1p": _log1p,
    "sqrt": _direct_operator("Sqrt"),
    "tanh": _direct_operator("Tanh"),
    "sigmoid": _direct_operator("Sigmoid"),
    "sin": _direct_operator("Sin"),
    "cos": _direct_operator("Cos"),
    "atan": _in_float32("Atan"),
    "erf": _in_float32("Erf"),
    "stop_gradient": _passed,
    "straight_through": _second,
    "ensure_shape": _passed,
    "not": _direct_operator("Not"),
    "cast": _cast,
    "add": _arithmetic(convolutions.sum_with_bias),
    "sub": _direct_operator("Sub"),
    "mul": _direct_operator("Mul"),
    "div": _arithmetic(arithmetic.quotient),
    "fmod": _arithmetic(arithmetic.remainder),
    "power": _direct_operator("Pow"),
    "copysign": _arithmetic(arithmetic.copysign),
    "maximum": _direct_operator("Max"),
    "minimum": _direct_operator("Min"),
    "less": _direct_operator("Less"),
    "less_equal": _direct_operator("LessOrEqual"),
    "equal": _direct_operator("Equal"),
    "not_equal": _not_equal,
    "and": _direct_operator("And"),
    "or": _direct_operator("Or"),
    "select": _select,
    "matmul": _arithmetic(convolutions.product),
    "reduce_sum": _reduce_sum,
    "reduce_max": _reduce_max,
    "reduce_min": _reduce("ReduceMin", 18),
    "slice": _slice,
    "windows": _windows,
    "reverse": _reverse,
    "transpose": _transpose,
    "reshape": _reshape,
    "broadcast": _broadcast,
    "concat": _concat,
    "gather": _gather,
}
