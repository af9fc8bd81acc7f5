"""Random nodes of ONNX, one operator at a time: attributes, ranks, broadcasts, dtypes, opsets, missing inputs."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray
Dims = list[tuple[int, str | None]]
"""For each axis: its size, and the name of a symbolic size in the file, or None for a fixed size."""
Make = Callable[[np.random.Generator, Sequence[int]], Array]
OLDEST, NEWEST = 7, 22


@dataclass
class Case:
    """Node with inputs. ``fed`` has (axes, generator) of inputs that calls feed; ``held`` has arrays in the file."""

    op: str
    opset: int
    domain: str = ""
    names: list[str] = field(default_factory=list)
    fed: dict[str, tuple[Dims, Make]] = field(default_factory=dict)
    held: dict[str, Array] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    tolerance: float = 2e-5
    before: list[Any] = field(default_factory=list)
    """Nodes that compute inputs of the node."""

    def feed(self, dims: Dims, make: Make) -> None:
        name = f"x{len(self.names)}"
        self.names.append(name)
        self.fed[name] = dims, make

    def hold(self, array: Any, dtype: Any = None) -> None:
        name = f"x{len(self.names)}"
        self.names.append(name)
        self.held[name] = np.asarray(array, dtype)

    def lack(self) -> None:
        self.names.append("")

    def feeds(self, seed: int, other_sizes: bool = False) -> dict[str, Array]:
        """Return arrays for a call; ``other_sizes`` changes the open sizes."""
        draw = np.random.default_rng(seed)
        sizes: dict[str, int] = {}
        for dims, _ in self.fed.values():
            for size, name in dims:
                if name is not None:
                    sizes.setdefault(name, size + int(draw.integers(1, 4)) if other_sizes else size)
        return {
            key: make(draw, [sizes[name] if name is not None else size for size, name in dims])
            for key, (dims, make) in self.fed.items()
        }

    @property
    def is_open(self) -> bool:
        return any(name is not None for dims, _ in self.fed.values() for _, name in dims)

    def model(self) -> onnx.ModelProto:
        names = list(self.names)
        while names and not names[-1]:
            names.pop()
        outputs = [f"y{place}" for place in range(self.outputs)]
        node = helper.make_node(self.op, names, outputs, name="it", domain=self.domain, **self.attributes)
        inputs = []
        for name, (dims, make) in self.fed.items():
            element = helper.np_dtype_to_tensor_dtype(make(np.random.default_rng(0), [1] * len(dims)).dtype)
            shape = [size if text is None else text for size, text in dims]
            inputs.append(helper.make_tensor_value_info(name, element, shape))
        held = [numpy_helper.from_array(array, name) for name, array in self.held.items()]
        results = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs]
        graph = helper.make_graph([*self.before, node], "net", inputs, results, held)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        return _typed(model)


def _typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with onnx's inferred output types, which runtimes require."""
    inferred = onnx.shape_inference.infer_shapes(model)
    for item, actual in zip(model.graph.output, inferred.graph.output, strict=True):
        item.type.CopyFrom(actual.type)
        if not item.type.tensor_type.elem_type:  # onnx defines some ops by functions, without type inference
            item.type.tensor_type.elem_type = model.graph.input[0].type.tensor_type.elem_type
        item.type.tensor_type.ClearField("shape")
    return model


class Draw:
    """Generator of random cases."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def case(self, op: str, since: int = OLDEST, until: int = NEWEST, domain: str = "") -> Case:
        return Case(op, int(self.random.integers(since, until + 1)), domain)

    def one(self, items: Sequence[Any]) -> Any:
        return items[int(self.random.integers(len(items)))]

    def whole(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def often(self, share: float = 0.5) -> bool:
        return bool(self.random.random() < share)

    def number(self, low: float, high: float) -> float:
        return float(np.float32(self.random.uniform(low, high)))

    def dims(self, low: int, high: int, share: float = 0.5, most: int = 4) -> Dims:
        """Return ``low`` to ``high`` axes of random sizes up to ``most``, each symbolic with probability ``share``."""
        return [
            (self.whole(1, most), f"n{place}" if self.often(share) else None) for place in range(self.whole(low, high))
        ]

    def beside(self, dims: Dims) -> Dims:
        """Return axes that broadcast to ``dims``."""
        cut = dims[self.whole(0, len(dims)) :]
        return [(1, None) if self.often(0.3) else dim for dim in cut]

    def axis(self, rank: int) -> int:
        return self.whole(-rank, rank - 1)

    def axes(self, rank: int, low: int = 1) -> list[int]:
        chosen = self.random.permutation(rank)[: self.whole(min(low, rank), rank)]
        return [int(axis) - (rank if self.often(0.3) else 0) for axis in chosen]

    def put(self, case: Case, dims: Dims, make: Make, fed: float = 0.6) -> None:
        """Add an input of calls, with probability ``fed``, or else an array in the file."""
        if self.often(fed) or any(name for _, name in dims):
            case.feed(dims, make)
        else:
            case.hold(make(self.random, sizes(dims)))


def sizes(dims: Dims) -> list[int]:
    return [size for size, _ in dims]


def fixed(dims: Dims) -> Dims:
    return [(size, None) for size, _ in dims]


def floats(low: float = -2, high: float = 2, dtype: Any = np.float32) -> Make:
    return lambda draw, shape: np.asarray(draw.uniform(low, high, tuple(shape)), dtype)


def wholes(low: int, high: int, dtype: Any = np.int64) -> Make:
    """Return a generator of integers from ``low`` to ``high``, inclusive."""
    return lambda draw, shape: np.asarray(draw.integers(low, high + 1, tuple(shape)), dtype)


def truths() -> Make:
    return lambda draw, shape: np.asarray(draw.random(tuple(shape)) < 0.5)


def numbers(draw: Draw, *kinds: Any) -> Make:
    """Return a generator of floats, or of integers from -4 to 4 without 0."""
    dtype = draw.one(kinds)
    if np.dtype(dtype).kind == "f":
        return floats(dtype=dtype)
    low = 1 if np.dtype(dtype).kind == "u" else -4

    def make(random: np.random.Generator, shape: Sequence[int]) -> Array:
        actual = random.integers(low, 5, tuple(shape))
        return np.asarray(np.where(actual == 0, 1, actual), dtype)

    return make


F, D, L, I = np.float32, np.float64, np.int64, np.int32  # noqa: E741
_RANGES = {
    "Log": (0.1, 4.0),
    "Sqrt": (0.01, 4.0),
    "Reciprocal": (0.2, 3.0),
    "Tan": (-1.2, 1.2),
    "Asin": (-0.9, 0.9),
    "Acos": (-0.9, 0.9),
    "Atanh": (-0.9, 0.9),
    "Acosh": (1.1, 4.0),
}
_SINCE = {
    "Sign": 9,
    "Erf": 9,
    "Sinh": 9,
    "Cosh": 9,
    "Round": 11,
    "HardSwish": 14,
    "Mish": 18,
    "Gelu": 20,
    "Celu": 12,
    "ThresholdedRelu": 10,
    "Shrink": 9,
    "IsNaN": 9,
    "IsInf": 10,
    "Where": 9,
    "Mod": 10,
    "LessOrEqual": 12,
    "GreaterOrEqual": 12,
    "Swish": 24,
    "Asinh": 9,
    "Acosh": 9,
    "Atanh": 9,
}


def unary(draw: Draw, op: str) -> Case:
    case = draw.case(op, _SINCE.get(op, OLDEST))
    dims = draw.dims(0, 4)
    if op == "Not":
        make = truths()
    elif op in ("Abs", "Neg", "Sign"):
        make = numbers(draw, F, F, D, L, I)
    else:
        make = floats(*_RANGES.get(op, (-3, 3)), dtype=draw.one((F, F, F, D)))
    if op in ("IsNaN", "IsInf"):
        plain = make

        def make(random: np.random.Generator, shape: Sequence[int]) -> Array:
            actual = plain(random, shape)
            odd = random.choice([np.nan, np.inf, -np.inf], tuple(shape))
            return np.asarray(np.where(random.random(tuple(shape)) < 0.5, actual, odd), actual.dtype)

    case.feed(dims, make)
    if op == "IsInf" and draw.often():
        case.attributes = {"detect_negative": draw.whole(0, 1), "detect_positive": draw.whole(0, 1)}
    if op == "Gelu" and draw.often():
        case.attributes = {"approximate": draw.one(["tanh", "none"])}
    if op == "Dropout" and draw.often():
        case.outputs = 1
        if case.opset < 12:
            case.attributes = {"ratio": 0.3}
        else:
            case.hold(np.float32(0.3))
    return case


_ATTRIBUTES: Mapping[str, Sequence[str]] = {
    "LeakyRelu": ("alpha",),
    "Elu": ("alpha",),
    "Selu": ("alpha", "gamma"),
    "ThresholdedRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Celu": ("alpha",),
    "Shrink": ("bias", "lambd"),
    "Swish": ("alpha",),
}


def with_numbers(draw: Draw, op: str) -> Case:
    case = unary(draw, op)
    case.attributes = {name: draw.number(0.1, 1.2) for name in _ATTRIBUTES[op] if draw.often()}
    return case


def binary(draw: Draw, op: str) -> Case:
    case = draw.case(op, _SINCE.get(op, OLDEST))
    dims = draw.dims(0, 4)
    kinds: tuple[Any, ...] = (F, F, D, L, I)
    if op in ("And", "Or", "Xor") or (op == "Equal" and draw.often(0.2)):
        make = truths()
    elif op == "Equal" or (op in ("Less", "Greater", "LessOrEqual", "GreaterOrEqual") and draw.often()):
        make = wholes(-2, 2, draw.one((L, I)))
    elif op in ("Max", "Min") and case.opset < 12:
        make = numbers(draw, F, D)
    else:
        make = numbers(draw, *kinds)
    sides = [dims, draw.beside(dims)]
    if draw.often():
        sides.reverse()
    for side in sides:
        draw.put(case, side, make, 0.7)
    if not case.fed:
        case.held.clear()
        case.names.clear()
        for side in sides:
            case.feed(side, make)
    if (op == "Mod" and make(np.random.default_rng(0), [1]).dtype.kind == "f") or (op == "Mod" and draw.often(0.4)):
        case.attributes = {"fmod": 1}
    return case


def several(draw: Draw, op: str) -> Case:
    case = draw.case(op, 8)
    dims, make = draw.dims(0, 4), floats()
    case.feed(dims, make)
    for _ in range(draw.whole(0, 3)):
        draw.put(case, draw.beside(dims), make)
    return case


def power(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(0, 4)
    if draw.often(0.6):  # a base of either sign needs an integer exponent
        kind = draw.one((F, F, D, L, I)) if case.opset >= 12 else draw.one((F, D))
        case.feed(dims, numbers(draw, kind))
        case.hold(draw.one([2, 3, 0, 1, 4] if np.dtype(kind).kind == "i" else [2.0, 3.0, -1.0, 0.0, 1.0, 64.0]), kind)
    elif draw.often():
        case.feed(dims, floats(0.1, 2))
        case.hold(draw.one([0.5, -0.5, 1.5, 2.5]), F)
    else:
        case.feed(dims, floats(0.1, 2))
        draw.put(case, draw.beside(dims), floats())
    return case


def where(draw: Draw, op: str) -> Case:
    case = draw.case(op, 9)
    dims, make = draw.dims(0, 4), numbers(draw, F, F, D, L, I)
    if draw.often(0.1):
        make = truths()
    sides = [dims, draw.beside(dims), draw.beside(dims)]
    order = draw.random.permutation(3)
    for place in range(3):
        draw.put(case, sides[order[place]], truths() if place == 0 else make, 0.7)
    if not case.fed:
        return where(draw, op)
    return case


def prelu(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4)
    case.feed(dims, floats())
    draw.put(case, draw.beside(dims), floats(0, 1), 0.3)
    return case


_CASTS = (F, D, L, I, np.bool_, np.float16, np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.uint64)


def cast(draw: Draw, op: str) -> Case:
    case = draw.case(op, 9 if op == "Cast" else 15)
    dtype = draw.one((F, F, D, L, I, np.bool_, np.uint8, np.int8))
    make = truths() if dtype is np.bool_ else numbers(draw, dtype)
    case.feed(draw.dims(0, 4), make)
    wanted = draw.one(_CASTS)
    if op == "Cast":
        case.attributes = {"to": helper.np_dtype_to_tensor_dtype(np.dtype(wanted))}
    else:
        case.hold(np.zeros(2, wanted))
    case.tolerance = 2e-3 if wanted is np.float16 else 2e-5
    return case


def clip(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dtype = draw.one((F, F, D, L, I)) if case.opset >= 12 else F
    case.feed(draw.dims(0, 4), floats(dtype=dtype) if np.dtype(dtype).kind == "f" else wholes(-4, 4, dtype))
    low, high = sorted(draw.random.integers(-3, 4, 2))
    if case.opset < 11:
        case.attributes = {name: float(value) for name, value in (("min", low), ("max", high)) if draw.often(0.7)}
        return case
    for value in (low, high):
        if draw.often(0.3):
            case.lack()
        elif draw.often(0.2):
            case.feed([], lambda random, shape, value=value: np.asarray(value, dtype))
        else:
            case.hold(value, dtype)
    return case


# Folding --------------------------------------------------------------------------------------------


def reduction(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4)
    is_float = op in ("ReduceMean", "ReduceLogSum", "ReduceLogSumExp", "ReduceL2", "ReduceL1") or case.opset < 12
    make = floats(0.1, 2) if op in ("ReduceLogSum", "ReduceProd") else floats(dtype=draw.one((F, F, D)))
    if not is_float and draw.often(0.3):
        make = wholes(-4, 4, draw.one((L, I)))
    case.feed(dims, make)
    newer = case.opset >= (13 if op == "ReduceSum" else 18)
    if draw.often(0.85):
        axes = draw.axes(len(dims))
        if newer:
            case.hold(axes, L)
        else:
            case.attributes["axes"] = [axis % len(dims) for axis in axes] if case.opset < 11 else axes
    elif newer and draw.often():
        case.attributes["noop_with_empty_axes"] = draw.whole(0, 1)
        if draw.often():
            case.hold(np.zeros(0, L))
    if draw.often():
        case.attributes["keepdims"] = draw.whole(0, 1)
    return case


def softmax(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4)
    case.feed(dims, floats(-4, 4, draw.one((F, F, D))))
    if draw.often(0.8):
        axis = draw.axis(len(dims))
        case.attributes["axis"] = axis % len(dims) if case.opset < 11 else axis
    elif case.opset < 13 and len(dims) < 2:
        case.attributes["axis"] = 0
    return case


def arg(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4)
    case.feed(dims, draw.one((floats(), floats(), wholes(-2, 2, I), wholes(-9, 9))) if case.opset > 12 else floats())
    axis = draw.axis(len(dims))
    case.attributes["axis"] = axis % len(dims) if case.opset < 11 else axis
    if draw.often():
        case.attributes["keepdims"] = draw.whole(0, 1)
    if case.opset >= 12 and draw.often(0.3):
        case.attributes["select_last_index"] = draw.whole(0, 1)
    return case


def cumulative(draw: Draw, op: str) -> Case:
    case = draw.case(op, 11)
    dims = draw.dims(1, 4)
    case.feed(dims, floats() if draw.often(0.8) else wholes(-4, 4, draw.one((L, I))))
    case.hold(draw.axis(len(dims)), draw.one((L, I)))
    for name in ("exclusive", "reverse"):
        if draw.often():
            case.attributes[name] = draw.whole(0, 1)
    return case


# Moving ---------------------------------------------------------------------------------------------


def transpose(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(0, 5)
    case.feed(dims, numbers(draw, F, F, D, L, I))
    if dims and draw.often(0.8):
        case.attributes["perm"] = [int(axis) for axis in draw.random.permutation(len(dims))]
    return case


def reshape(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4)
    own = sizes(dims)
    case.feed(dims, numbers(draw, F, F, L, I))
    wanted = list(own)
    kind = draw.whole(0, 3)
    if kind == 0:
        wanted = [0] * draw.whole(0, len(own)) + [-1]
        if wanted[:-1] and len(wanted) > len(own):
            wanted = [0] * len(own)
    elif kind == 1:
        wanted[draw.whole(0, len(own) - 1)] = -1
        wanted = [
            0 if entry > 0 and place < len(own) and dims[place][1] else entry for place, entry in enumerate(wanted)
        ]
    elif kind == 2:
        wanted = [0, 1, -1] if len(own) > 1 else [1, -1, 1]
    else:
        wanted = [-1]
    case.hold(wanted, L)
    if case.opset >= 14 and draw.often(0.2) and 0 not in wanted:
        case.attributes["allowzero"] = draw.whole(0, 1)
    return case


def flatten(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4)
    case.feed(dims, floats())
    if draw.often(0.8):
        case.attributes["axis"] = draw.whole(0 if case.opset < 11 else -len(dims), len(dims))
    return case


def _with_axes(draw: Draw, case: Case, axes: list[int], rank: int) -> Case:
    """Return the case with axes, some counted from the end: as an attribute or an input, depending on the opset."""
    if case.opset >= 11 and draw.often(0.3):
        axes = [axis - rank for axis in axes]
    if case.opset < 13:
        case.attributes["axes"] = axes
    else:
        case.hold(axes, L)
    return case


def squeeze(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(0, 3)
    ones = draw.whole(1, 2)
    for _ in range(ones):
        dims.insert(draw.whole(0, len(dims)), (1, None))
    case.feed(dims, numbers(draw, F, L))
    rank = len(dims)
    axes = [place for place, dim in enumerate(dims) if dim == (1, None) and draw.often(0.8)]
    if not axes:
        return case
    return _with_axes(draw, case, axes, rank)


def unsqueeze(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(0, 3)
    case.feed(dims, numbers(draw, F, L))
    count = draw.whole(1, 2)
    rank = len(dims) + count
    axes = [int(axis) for axis in draw.random.permutation(rank)[:count]]
    return _with_axes(draw, case, axes, rank)


def concat(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4)
    axis = draw.axis(len(dims))
    make = numbers(draw, F, F, D, L, I)
    for number in range(draw.whole(1, 4)):
        own = list(dims)
        own[axis] = (draw.whole(1, 3), f"m{number}" if draw.often(0.3) else None)
        draw.put(case, own, make, 0.8)
    if not case.fed:
        return concat(draw, op)
    case.attributes["axis"] = axis % len(dims) if case.opset < 11 else axis
    return case


def cut(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4, 0.4, 7)
    case.feed(dims, numbers(draw, F, F, L, I))
    axes = draw.axes(len(dims))
    starts, ends, steps = [], [], []
    for axis in axes:
        size, name = dims[axis]
        step = 1 if case.opset < 10 or draw.often(0.6) else draw.one((-1, 2, -2, 3))
        first, last = sorted(draw.random.permutation(size + 1)[:2].tolist())
        if name is not None and step > 0:
            first, last = draw.one(
                [(0, 1), (0, -1) if size > 1 else (0, 1), (-1, 1 << 40), (0, 1 << 62), (-1, 1 << 31)]
            )
        elif name is not None:
            first, last = draw.one([(-1, -(1 << 40)), ((1 << 31) - 1, -(1 << 31))])
        elif step < 0:
            first, last = (
                last - 1,
                draw.one([first - 1 if first else -size - 1, -(1 << 40) if not first else first - 1]),
            )
        elif draw.often(0.3):
            last = draw.one([1 << 31, (1 << 63) - 1])
        if name is None and draw.often(0.3) and step > 0:
            first, last = first - size, last
        starts.append(int(first))
        ends.append(int(last))
        steps.append(int(step))
    if case.opset < 10:
        case.attributes = {"starts": starts, "ends": ends}
        if draw.often(0.8) or sorted(axes) != list(range(len(axes))) or axes != sorted(axes):
            case.attributes["axes"] = [axis % len(dims) for axis in axes]
        return case
    dtype = draw.one((L, L, I)) if all(abs(bound) < 1 << 31 for bound in (*starts, *ends)) else L
    for bounds in (starts, ends, axes):
        case.hold(bounds, dtype)
    if any(step != 1 for step in steps) or draw.often():
        case.hold(steps, dtype)
    return case


def split(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4)
    axis = draw.axis(len(dims))
    count = draw.whole(1, 4)
    parts = [draw.whole(1, 3) for _ in range(count)]
    kind = draw.whole(0, 2)
    if kind:
        parts = [parts[0]] * count
    dims[axis] = (sum(parts), None)
    case.feed(dims, numbers(draw, F, F, L, I))
    case.attributes["axis"] = axis % len(dims) if case.opset < 11 else axis
    case.outputs = count
    if kind == 0 or (case.opset < 18 and draw.often(0.3)):
        if case.opset < 13:
            case.attributes["split"] = parts
        else:
            case.hold(parts, L)
    elif case.opset >= 18:
        case.attributes["num_outputs"] = count
        if draw.often(0.3) and count > 1 and parts[0] > 1:
            dims[axis] = (sum(parts) - 1, None)
    return case


def tile(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4)
    case.feed(dims, numbers(draw, F, F, L, I))
    case.hold([draw.whole(1, 3) for _ in dims], L)
    return case


def pad(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4, 0.4, 6)
    mode = draw.one(
        ["constant", "constant", "reflect", "edge", "wrap"]
        if case.opset >= 19
        else ["constant", "constant", "reflect", "edge"]
    )
    if mode == "reflect":
        dims = [(size + 2, name) for size, name in dims]
    case.feed(dims, floats() if case.opset < 13 or draw.often(0.8) else wholes(-4, 4, draw.one((L, I))))
    low = -1 if draw.often(0.2) and mode == "constant" and min(sizes(dims)) > 2 else 0
    pads = [draw.whole(low, 2) for _ in range(2 * len(dims))]
    case.attributes["mode"] = mode
    if case.opset < 11:
        case.attributes["pads"] = pads
        if draw.often():
            case.attributes["value"] = draw.number(-2, 2)
        return case
    axes = draw.axes(len(dims)) if case.opset >= 18 and draw.often(0.4) else None
    if axes is not None:
        pads = [draw.whole(0, 2) for _ in range(2 * len(axes))]
    case.hold(pads, L)
    dtype = case.fed["x0"][1](np.random.default_rng(0), [1]).dtype
    if draw.often():
        case.hold(np.asarray(draw.whole(-2, 2), dtype))
    else:
        case.lack()
    if axes is not None:
        case.hold(axes, draw.one((L, I)))
    return case


def expand(draw: Draw, op: str) -> Case:
    case = draw.case(op, 8)
    dims = [(1, None) if draw.often(0.4) else dim for dim in draw.dims(0, 4)]
    case.feed(dims, numbers(draw, F, F, L, I))
    wanted = [draw.whole(1, 3) if dim == (1, None) else 1 if draw.often() or dim[1] else dim[0] for dim in dims]
    wanted = (
        wanted[draw.whole(0, len(wanted)) :]
        if draw.often(0.3)
        else [draw.whole(1, 3) for _ in range(draw.whole(0, 2))] + wanted
    )
    case.hold(wanted, L)
    return case


def trilu(draw: Draw, op: str) -> Case:
    case = draw.case(op, 14)
    dims = draw.dims(2, 4)
    case.feed(dims, numbers(draw, F, F, D, L))
    if draw.often(0.6):
        case.hold(draw.whole(-3, 3), L)
    if draw.often():
        case.attributes["upper"] = draw.whole(0, 1)
    return case


def reverse_sequence(draw: Draw, op: str) -> Case:
    case = draw.case(op, 10)
    dims = draw.dims(2, 4, 0.5, 5)
    case.feed(dims, floats())
    time = draw.whole(0, 1)
    case.feed([dims[1 - time]], wholes(1, dims[time][0]))
    case.attributes = {"batch_axis": 1 - time, "time_axis": time}
    return case


def shape(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(0 if op == "Size" else 1, 4, 0.3)
    case.feed(dims, floats())
    if op == "Shape" and case.opset >= 15 and draw.often():
        first = draw.whole(0, len(dims) - 1)
        case.attributes["start"] = first - (len(dims) if draw.often() else 0)
        if draw.often():
            case.attributes["end"] = draw.whole(first + 1, len(dims))
    return case


# Choosing -------------------------------------------------------------------------------------------


def gather(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 4)
    axis = draw.axis(len(dims))
    size, name = dims[axis]
    dims[axis] = (size, name)
    draw.put(case, dims, numbers(draw, F, F, D, L, I), 0.6)
    index = [(size, f"i{place}" if name else None) for place, (size, name) in enumerate(draw.dims(0, 2))]
    kind = draw.one((L, L, I))
    if draw.often(0.6):
        case.feed(index, wholes(0, size - 1, kind))  # calls refuse fed indices that count from the end
    else:
        case.hold(wholes(-size if case.opset >= 11 and name is None else 0, size - 1, kind)(draw.random, sizes(index)))
    if not case.fed:
        return gather(draw, op)
    case.attributes["axis"] = axis % len(dims) if case.opset < 11 else axis
    return case


def gather_elements(draw: Draw, op: str) -> Case:
    case = draw.case(op, 11)
    dims = draw.dims(1, 3, 0.3)
    axis = draw.axis(len(dims))
    size = dims[axis][0]
    case.feed(dims, numbers(draw, F, F, D, L))
    index = list(dims)
    index[axis] = (draw.one([1, 1, draw.whole(1, 4)]), None)
    draw.put(case, index, wholes(-size if draw.often() else 0, size - 1, draw.one((L, I))), 0.7)
    case.attributes["axis"] = axis
    return case


def gather_nd(draw: Draw, op: str) -> Case:
    case = draw.case(op, 11)
    dims = fixed(draw.dims(1, 4, 0))
    if draw.often(0.3):
        dims[0] = (dims[0][0], "n")
    batch = draw.whole(0, len(dims) - 1) if case.opset >= 12 and draw.often(0.3) else 0
    if batch:
        case.attributes["batch_dims"] = batch
    depth = draw.whole(1, len(dims) - batch)
    case.feed(dims, numbers(draw, F, F, L))
    limits = sizes(dims)[batch : batch + depth]
    index = [*dims[:batch], *((size, None) for size in sizes(draw.dims(0, 2, 0))), (depth, None)]
    low = draw.often(0.3)

    def make(random: np.random.Generator, shape: Sequence[int]) -> Array:
        parts = [random.integers(-limit if low else 0, limit, tuple(shape[:-1])) for limit in limits[: shape[-1]]]
        return np.stack(parts, -1).astype(L)

    draw.put(case, index, make, 0.5)
    return case


def scatter_elements(draw: Draw, op: str) -> Case:
    case = draw.case(op, 11)
    dims = fixed(draw.dims(1, 3, 0))
    axis = draw.axis(len(dims))
    size = dims[axis][0]
    case.feed(dims, floats())
    index = list(dims)
    index[axis] = (draw.whole(1, size), None)

    def make(random: np.random.Generator, shape: Sequence[int]) -> Array:
        keys = random.random(
            tuple(shape) if len(shape) < 1 else [*shape[: axis % len(dims)], size, *shape[axis % len(dims) + 1 :]]
        )
        return np.take(np.argsort(keys, axis), np.arange(shape[axis]), axis).astype(L)

    if draw.often(0.6):
        case.hold(make(draw.random, sizes(index)))
    else:
        case.feed(index, make)
    case.feed(index, floats())
    case.attributes["axis"] = axis
    if case.opset >= 16 and draw.often(0.3):
        case.attributes["reduction"] = draw.one(["none", "add"])
    return case


def scatter_nd(draw: Draw, op: str) -> Case:
    case = draw.case(op, 11)
    dims = fixed(draw.dims(1, 4, 0))
    depth = draw.whole(1, len(dims))
    rest = [(size, f"r{place}" if draw.often(0.3) else None) for place, (size, _) in enumerate(dims[depth:])]
    dims = [*dims[:depth], *rest]
    limits = sizes(dims)[:depth]
    total = int(np.prod(limits))
    count = draw.whole(1, total)
    flat = draw.random.permutation(total)[:count]
    places = np.stack(np.unravel_index(flat, limits), -1).astype(L)
    case.feed(dims, numbers(draw, F, F, L, I))
    make = case.fed["x0"][1]
    case.hold(places)
    draw.put(case, [(count, None), *rest], make, 0.7)
    if case.opset >= 16 and draw.often(0.3):
        case.attributes["reduction"] = draw.one(["none", "add"])
    return case


def one_hot(draw: Draw, op: str) -> Case:
    case = draw.case(op, 9)
    dims = draw.dims(1, 3)
    depth = draw.whole(1, 5)
    case.feed(dims, wholes(-depth if case.opset >= 11 and draw.often(0.4) else 0, depth - 1, draw.one((L, L, I))))
    case.hold(draw.one([np.asarray(depth), np.asarray([depth])]), L)
    case.hold(draw.one([[0, 1], [0, 1], [-1, 2], [3, 3]]), draw.one((F, F, L, D)))
    if draw.often():
        case.attributes["axis"] = draw.whole(-len(dims) - 1, len(dims))
    return case


def top_k(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    dims = draw.dims(1, 3, 0.3)
    axis = draw.axis(len(dims))
    dims[axis] = (draw.whole(1, 6), None)
    case.feed(dims, floats())
    count = draw.whole(1, dims[axis][0])
    if case.opset < 10:
        case.attributes["k"] = count
    else:
        case.hold([count], L)
    case.attributes["axis"] = axis % len(dims) if case.opset < 11 else axis
    if case.opset >= 11:
        case.attributes |= {"largest": draw.whole(0, 1), "sorted": 1}
    case.outputs = 2
    return case


# Products -------------------------------------------------------------------------------------------


def matmul(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    inner, rows, columns = ((draw.whole(1, 4), name) for name in (None, "rows", "columns"))
    ahead = draw.dims(0, 2)
    kind = draw.whole(0, 4)
    left: Dims = [*ahead, rows, inner]
    right: Dims = [inner, (columns[0], None)]
    if kind == 1:
        left = [inner]
    elif kind == 2:
        right = [inner]
    elif kind == 3:
        right = [*ahead, inner, columns]
    elif kind == 4:
        right = [*draw.beside(ahead), inner, columns]
        if draw.often():
            left, right = [rows, inner], [*ahead, inner, columns]
    make = floats(dtype=draw.one((F, F, D)))
    draw.put(case, left, make, 0.9)
    draw.put(case, right, make, 0.4)
    return case if case.fed else matmul(draw, op)


def gemm(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    rows, inner, columns = (
        (draw.whole(1, 4), "rows" if draw.often() else None),
        (draw.whole(1, 4), None),
        (draw.whole(1, 4), None),
    )
    flips = draw.whole(0, 1), draw.whole(0, 1)
    make = floats(dtype=draw.one((F, F, D)))
    draw.put(case, [inner, rows] if flips[0] else [rows, inner], make, 0.9)
    draw.put(case, [columns, inner] if flips[1] else [inner, columns], make, 0.4)
    if draw.often(0.7) or case.opset < 11:
        draw.put(
            case,
            draw.one([[columns], [(1, None), columns], [rows, columns], [rows, (1, None)], [], [(1, None)]]),
            make,
            0.4,
        )
    for name, flip in zip(("transA", "transB"), flips, strict=True):
        if flip or draw.often(0.3):
            case.attributes[name] = flip
    for name in ("alpha", "beta"):
        if draw.often(0.4):
            case.attributes[name] = draw.number(-2, 2)
    return case if case.fed else gemm(draw, op)


def einsum(draw: Draw, op: str) -> Case:
    case = draw.case(op, 12)
    letters = list(string.ascii_lowercase[:5])
    size: dict[str, tuple[int, str | None]] = {
        letter: (draw.whole(1, 4), letter if draw.often(0.3) else None) for letter in letters
    }
    terms = []
    for _ in range(draw.whole(1, 3)):
        count = draw.whole(1, 4)
        terms.append("".join(letters[place] for place in draw.random.permutation(5)[:count]))
    used = sorted(set("".join(terms)))
    result = "".join(letter for letter in draw.random.permutation(used) if draw.often(0.6))
    ahead: Dims = []
    if draw.often(0.2):
        ahead = draw.dims(1, 1)
        terms = ["..." + term for term in terms]
        result = "..." + result
    for term in terms:
        draw.put(case, [*ahead, *(size[letter] for letter in term.replace(".", ""))], floats(), 0.8)
    text = ",".join(terms)
    is_implied = draw.often(0.15) and not ahead
    case.attributes["equation"] = text if is_implied else f"{text}->{result}"
    return case if case.fed else einsum(draw, op)


# Normalizing ----------------------------------------------------------------------------------------


def batch_norm(draw: Draw, op: str) -> Case:
    case = draw.case(op, 9)
    dims = draw.dims(2, 4)
    dims[1] = (dims[1][0], None)
    case.feed(dims, floats())
    held = 0.0 if draw.often(0.8) else 1.0
    for low in (-1, -1, -1, 0.2):
        draw.put(case, [dims[1]], floats(low, 1.5), held)
    if draw.often():
        case.attributes["epsilon"] = draw.number(1e-5, 0.1)
    return case


def layer_norm(draw: Draw, op: str) -> Case:
    case = draw.case(op, 17 if op == "LayerNormalization" else 23, 23)
    dims = draw.dims(1, 4)
    axis = draw.axis(len(dims)) if draw.often(0.6) else -1
    tail = dims[axis % len(dims) :]
    tail = fixed(tail)
    dims = [*dims[: axis % len(dims)], *tail]
    case.feed(dims, floats(dtype=draw.one((F, F, F, D))))
    dtype = case.fed["x0"][1](np.random.default_rng(0), [1]).dtype
    own = tail if draw.often(0.8) else draw.beside(tail)
    draw.put(case, own, floats(dtype=dtype), 0.2)
    if op == "LayerNormalization":
        if draw.often(0.7):
            draw.put(case, own, floats(dtype=dtype), 0.2)
        if draw.often(0.2):
            case.outputs = draw.whole(2, 3)
    case.attributes["axis"] = axis
    if draw.often():
        case.attributes["epsilon"] = draw.number(1e-5, 0.1)
    return case


def instance_norm(draw: Draw, op: str) -> Case:
    case = draw.case(op, OLDEST if op.startswith("I") else 18)
    dims = draw.dims(3, 4)
    groups = draw.whole(1, 3)
    channels = draw.whole(1, 3) if op.startswith("I") else groups * draw.whole(1, 2)
    dims[1] = (channels, None)
    case.feed(dims, floats())
    per_group = op.startswith("G") and case.opset < 21
    for _ in range(2):
        draw.put(case, [(groups if per_group else channels, None)], floats(), 0.2)
    if op.startswith("G"):
        case.attributes["num_groups"] = groups
    if draw.often():
        case.attributes["epsilon"] = draw.number(1e-5, 0.1)
    case.tolerance = 1e-4
    return case


def other_norm(draw: Draw, op: str) -> Case:
    case = draw.case(op, 9)
    dims = draw.dims(4, 4) if op.startswith("Mean") else draw.dims(1, 4)
    dims = [(size + 1, name) for size, name in dims]
    case.feed(dims, floats())
    if op == "MeanVarianceNormalization":
        if draw.often():
            case.attributes["axes"] = sorted(axis % len(dims) for axis in draw.axes(len(dims)))
    else:
        if draw.often():
            case.attributes["axis"] = draw.axis(len(dims))
        if draw.often():
            case.attributes["p"] = draw.whole(1, 2)
    case.tolerance = 1e-4
    return case


# Windows --------------------------------------------------------------------------------------------


def _windows(draw: Draw, case: Case, dims: Dims, spatial: int, kernels: Sequence[int], dilates: bool) -> None:
    """Draw strides, dilations and paddings of windows."""
    auto = draw.one(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if draw.often(0.5):
        case.attributes["strides"] = [draw.whole(1, 3) for _ in range(spatial)]
    if dilates and draw.often(0.3):
        case.attributes["dilations"] = [draw.whole(1, 2) for _ in range(spatial)]
    if auto != "NOTSET":
        case.attributes["auto_pad"] = auto
    elif draw.often(0.6):
        case.attributes["pads"] = [draw.whole(0, max(0, kernel - 1)) for kernel in (*kernels, *kernels)]


def conv(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    spatial = draw.whole(1, 2)
    groups = draw.one([1, 1, 1, 2, 3])
    channels, filters = groups * draw.whole(1, 2), groups * draw.whole(1, 2)
    kernels = [draw.whole(1, 4) for _ in range(spatial)]
    dims: Dims = [
        *draw.dims(1, 1),
        (channels, None),
        *((draw.whole(7, 10), f"s{place}" if draw.often(0.5) else None) for place in range(spatial)),
    ]
    if spatial == 2 and dims[2][1] and dims[3][1]:
        dims[3] = (dims[3][0], None)
    case.feed(dims, floats())
    is_turned = op == "ConvTranspose"
    case.hold(floats()(draw.random, [*((channels, filters) if is_turned else (filters, channels)), *kernels]))
    case.held["x1"] = case.held["x1"][:, : (filters if is_turned else channels) // groups]
    if draw.often(0.7):
        case.hold(floats()(draw.random, [filters]))
    if groups > 1 or draw.often(0.2):
        case.attributes["group"] = groups
    if draw.often():
        case.attributes["kernel_shape"] = kernels
    _windows(draw, case, dims, spatial, kernels, True)
    strides = case.attributes.get("strides", [1] * spatial)
    if is_turned and draw.often(0.4) and case.attributes.get("auto_pad", "NOTSET") == "NOTSET":
        case.attributes["output_padding"] = [draw.whole(0, stride - 1) for stride in strides]
    return case


def pool(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    spatial = draw.whole(1, 2)
    kernels = [draw.whole(1, 4) for _ in range(spatial)]
    dims: Dims = [
        *draw.dims(2, 2),
        *((draw.whole(7, 10), f"s{place}" if draw.often(0.5) else None) for place in range(spatial)),
    ]
    dims[1] = (dims[1][0], None)
    if spatial == 2 and dims[2][1] and dims[3][1]:
        dims[3] = (dims[3][0], None)
    case.feed(dims, floats())
    case.attributes["kernel_shape"] = kernels
    newest = 19 if op == "AveragePool" else 10
    _windows(draw, case, dims, spatial, kernels, case.opset >= newest)
    if op == "AveragePool" and draw.often():
        case.attributes["count_include_pad"] = draw.whole(0, 1)
    if case.opset >= 10 and draw.often(0.3):
        case.attributes["ceil_mode"] = draw.whole(0, 1)
    return case


def resize(draw: Draw, op: str) -> Case:
    case = draw.case(op, 11)
    dims = draw.dims(1, 4)
    case.feed(dims, floats())
    factors = [draw.whole(1, 3) for _ in dims]
    case.lack()
    case.hold(factors, F)
    places = {
        "asymmetric": ["floor"],
        "half_pixel": ["round_prefer_floor", "round_prefer_ceil"],
        "pytorch_half_pixel": ["round_prefer_floor"],
    }
    place = draw.one(list(places))
    case.attributes |= {"mode": "nearest", "coordinate_transformation_mode": place}
    case.attributes["nearest_mode"] = draw.one(places[place])
    return case


def global_pool(draw: Draw, op: str) -> Case:
    case = draw.case(op)
    case.feed(draw.dims(3, 4), floats())
    return case


# Quantized ------------------------------------------------------------------------------------------


def dequantize(draw: Draw, op: str) -> Case:
    case = draw.case(op, 10)
    dims = draw.dims(1, 3)
    axis = draw.axis(len(dims)) if case.opset >= 13 and draw.often() else None
    kind = draw.one((np.int8, np.uint8, I))
    limits = np.iinfo(np.int8 if kind is I else kind)
    if axis is not None:
        dims[axis] = (dims[axis][0], None)
        case.attributes["axis"] = axis
    draw.put(case, dims, wholes(int(limits.min), int(limits.max), kind), 0.6)
    count = () if axis is None else (dims[axis][0],)
    case.hold(draw.random.uniform(0.1, 1, count), F)
    if draw.often(0.7):
        case.hold(np.zeros(count) if kind is I else draw.random.integers(limits.min, limits.max, count), kind)
    return case if case.fed else dequantize(draw, op)


GENERATORS: Mapping[str, Callable[[Draw, str], Case]] = {
    **dict.fromkeys(
        (
            "Abs",
            "Sqrt",
            "Exp",
            "Log",
            "Sin",
            "Cos",
            "Atan",
            "Erf",
            "Sign",
            "Tanh",
            "Sigmoid",
            "Relu",
            "Softplus",
            "Softsign",
            "Not",
            "Reciprocal",
            "Mish",
            "Sinh",
            "Cosh",
            "Tan",
            "Floor",
            "Ceil",
            "Round",
            "HardSwish",
            "Neg",
            "IsNaN",
            "IsInf",
            "Gelu",
            "Identity",
            "Dropout",
            "Asin",
            "Acos",
            "Asinh",
            "Acosh",
            "Atanh",
        ),
        unary,
    ),
    **dict.fromkeys(("LeakyRelu", "Elu", "Selu", "ThresholdedRelu", "HardSigmoid", "Celu", "Shrink"), with_numbers),
    **dict.fromkeys(
        (
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Equal",
            "Less",
            "Greater",
            "LessOrEqual",
            "GreaterOrEqual",
            "And",
            "Or",
            "Xor",
            "Mod",
        ),
        binary,
    ),
    **dict.fromkeys(("Max", "Min", "Sum", "Mean"), several),
    "Pow": power,
    "Where": where,
    "PRelu": prelu,
    "Cast": cast,
    "CastLike": cast,
    "Clip": clip,
    **dict.fromkeys(
        (
            "ReduceSum",
            "ReduceMean",
            "ReduceMax",
            "ReduceMin",
            "ReduceSumSquare",
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceProd",
        ),
        reduction,
    ),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), softmax),
    **dict.fromkeys(("ArgMax", "ArgMin"), arg),
    "CumSum": cumulative,
    "Transpose": transpose,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Concat": concat,
    "Slice": cut,
    "Split": split,
    "Tile": tile,
    "Pad": pad,
    "Expand": expand,
    "Trilu": trilu,
    "ReverseSequence": reverse_sequence,
    **dict.fromkeys(("Shape", "Size"), shape),
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "OneHot": one_hot,
    "TopK": top_k,
    "MatMul": matmul,
    "Gemm": gemm,
    "Einsum": einsum,
    "BatchNormalization": batch_norm,
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), layer_norm),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization"), instance_norm),
    **dict.fromkeys(("MeanVarianceNormalization", "LpNormalization"), other_norm),
    **dict.fromkeys(("Conv", "ConvTranspose"), conv),
    **dict.fromkeys(("MaxPool", "AveragePool"), pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), global_pool),
    "DequantizeLinear": dequantize,
    "Resize": resize,
}
"""Generator of cases, by operator."""


def random_case(op: str, seed: int) -> Case:
    return GENERATORS[op](Draw(seed), op)
