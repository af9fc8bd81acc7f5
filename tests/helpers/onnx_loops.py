"""Random Scan and Loop nodes of ONNX: bodies of a few nodes, several states, inputs and outputs, any directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray
BATCH, TIME = "B", "T"


@dataclass
class Looped:
    """Random model. ``shapes`` has the shapes of the model's inputs, with names for symbolic sizes."""

    model: onnx.ModelProto
    shapes: Mapping[str, Sequence[Any]]

    def feeds(self, seed: int, batch: int, time: int) -> dict[str, Array]:
        draw, sizes = np.random.default_rng(seed), {BATCH: batch, TIME: time}
        return {
            name: draw.uniform(-1, 1, [sizes.get(size, size) for size in shape]).astype(np.float32)
            for name, shape in self.shapes.items()
        }


class Body:
    """Graph of values [batch, width] that grows node by node."""

    def __init__(self, draw: np.random.Generator, arrays: dict[str, Array]) -> None:
        self.draw, self.arrays = draw, arrays
        self.nodes: list[Any] = []
        self.values: list[tuple[str, int]] = []

    def one(self, items: Sequence[Any]) -> Any:
        return items[int(self.draw.integers(len(items)))]

    def array(self, array: Any) -> str:
        name = f"w{len(self.arrays)}"
        self.arrays[name] = np.asarray(array)
        return name

    def weight(self, *shape: int) -> str:
        return self.array(self.draw.uniform(-0.6, 0.6, shape).astype(np.float32))

    def add(self, op: str, inputs: Sequence[str], width: int, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        if width:
            self.values.append((name, width))
        return name

    def grow(self) -> None:
        x, width = self.one(self.values)
        match int(self.draw.integers(10)):
            case 0:
                self.add(self.one(["Tanh", "Sigmoid", "Relu", "Neg", "Softsign"]), [x], width)
            case 1:
                units = int(self.draw.integers(1, 5))
                product = self.add("MatMul", [x, self.weight(width, units)], 0)
                self.add("Add", [product, self.weight(units)], units)
            case 2:
                others = [name for name, other in self.values if other == width]
                self.add(self.one(["Add", "Mul", "Sub", "Max"]), [x, self.one([*others, self.weight(width)])], width)
            case 3:
                other, more = self.one(self.values)
                self.add("Concat", [x, other], width + more, axis=self.one([1, -1]))
            case 4:
                first = int(self.draw.integers(width))
                bounds = [self.array(np.array([bound])) for bound in (first, width, 1)]
                self.add("Slice", [x, *bounds], width - first)
            case 5:
                chosen = self.add("Greater", [x, self.weight(1)], 0)
                self.add("Where", [chosen, x, self.weight(width)], width)
            case 6:
                mean = self.add("ReduceMean", [x], 0, axes=[1], keepdims=1)
                self.add("Sub", [x, mean], width)

            case 7:
                units = int(self.draw.integers(1, 5))
                names = [x, self.weight(units, width), self.weight(units)]
                self.add("Gemm", names, units, transB=1, alpha=0.5)
            case 8:
                names = [x, self.weight(width), self.weight(width)]
                self.add("LayerNormalization", names, width, epsilon=0.1)
            case 9:
                self._layer(x, width)

    def _layer(self, x: str, width: int) -> None:
        """Add a recurrent node over one step, which is how exporters write cells."""
        units, ahead = int(self.draw.integers(1, 5)), self.array(np.array([0]))
        op, gates = self.one([("GRU", 3), ("LSTM", 4), ("RNN", 1)])
        long = self.add("Unsqueeze", [x, ahead], 0)
        arrays = [self.weight(1, gates * units, size) for size in (width, units)]
        name = f"v{len(self.nodes)}"
        inputs = [long, *arrays, self.weight(1, 2 * gates * units)]
        self.nodes.append(helper.make_node(op, inputs, ["", name], hidden_size=units))
        self.add("Squeeze", [name, ahead], units)

    def following(self, width: int) -> str:
        """Return the next value of a state."""
        alike = [name for name, other in self.values if other == width]
        if alike and self.draw.random() < 0.2:
            return self.add("Identity", [self.one(alike)], 0)
        x, own = self.one(self.values)
        return self.add("Tanh", [self.add("MatMul", [x, self.weight(own, width)], 0)], 0)


def _info(name: str, shape: Sequence[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _started(draw: np.random.Generator) -> tuple[Body, dict[str, int], dict[str, int], dict[str, Sequence[Any]]]:
    """Return a body without nodes, the widths of its states and inputs, and the shapes of the model's inputs so far."""
    body = Body(draw, {})
    states = {f"s{place}": int(draw.integers(1, 5)) for place in range(int(draw.integers(1, 4)))}
    read = {f"t{place}": int(draw.integers(1, 5)) for place in range(int(draw.integers(1, 3)))}
    body.values += [*states.items(), *read.items()]
    shapes: dict[str, Sequence[Any]] = {f"{name}_0": [BATCH, width] for name, width in states.items()}
    if draw.random() < 0.4:  # a value of the outer graph
        shapes["outer"] = [BATCH, 3]
        body.values.append(("outer_e", 3))
    return body, states, read, shapes


def _model(
    nodes: Sequence[Any], shapes: Mapping[str, Sequence[Any]], outputs: Sequence[str], arrays: Mapping[str, Array]
) -> onnx.ModelProto:
    before = [helper.make_node("Tanh", ["outer"], ["outer_e"])] if "outer" in shapes else []
    graph = helper.make_graph(
        [*before, *nodes],
        "net",
        [_info(name, shape) for name, shape in shapes.items()],
        [_info(name, None) for name in outputs],  # type: ignore[arg-type]
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def random_scan(seed: int) -> Looped:
    draw = np.random.default_rng(seed)
    body, states, read, shapes = _started(draw)
    for _ in range(int(draw.integers(1, 9))):
        body.grow()
    following = [body.following(width) for width in states.values()]
    emits = [body.one(body.values[len(states) + len(read) :] or body.values) for _ in range(int(draw.integers(0, 3)))]
    emitted = [body.add("Identity", [name], 0) for name, _ in emits]
    axes = [int(draw.integers(2)) for _ in read]
    out_axes = [int(draw.integers(3)) for _ in emits]
    attributes: dict[str, Any] = {
        "scan_input_axes": [axis - (3 if draw.random() < 0.3 else 0) for axis in axes],
        "scan_input_directions": [int(draw.integers(2)) for _ in axes],
        "scan_output_axes": [axis - (3 if draw.random() < 0.3 else 0) for axis in out_axes],
        "scan_output_directions": [int(draw.integers(2)) for _ in out_axes],
    }
    attributes = {name: value for name, value in attributes.items() if value and draw.random() < 0.8}
    placed = axes if "scan_input_axes" in attributes else [0] * len(axes)
    for (name, width), axis in zip(read.items(), placed, strict=True):
        shapes[f"{name}_all"] = [BATCH, TIME, width] if axis else [TIME, BATCH, width]
    feeds_of_call = [_info(name, [BATCH, width]) for name, width in (states | read).items()]
    results = [_info(name, None) for name in (*following, *emitted)]  # type: ignore[arg-type]
    inner = helper.make_graph(body.nodes, "body", feeds_of_call, results)
    outputs = [*(f"{name}_n" for name in states), *(f"y{place}" for place in range(len(emits)))]
    inputs = [*(f"{name}_0" for name in states), *(f"{name}_all" for name in read)]
    node = helper.make_node("Scan", inputs, outputs, body=inner, num_scan_inputs=len(read), **attributes)
    return Looped(_model([node], shapes, outputs, body.arrays), shapes)


def random_loop(seed: int) -> Looped:
    """Return a Loop over the steps of its inputs, forward or backward, counted by ONNX or by a state."""
    draw = np.random.default_rng(seed)
    body, states, read, shapes = _started(draw)
    counts, back = bool(draw.random() < 0.3), bool(draw.random() < 0.3)
    number = "count" if counts else "i"
    one, zero = body.array(np.array(1)), body.array(np.array(0))
    place = number
    if back:
        place = body.add("Sub", ["end", number], 0)
    axes = [int(draw.integers(2)) for _ in read]
    for (name, width), axis in zip(read.items(), axes, strict=True):
        shapes[f"{name}_all"] = [BATCH, TIME, width] if axis else [TIME, BATCH, width]
        body.nodes.append(helper.make_node("Gather", [f"{name}_all", place], [name], axis=axis))
    for _ in range(int(draw.integers(1, 9))):
        body.grow()
    following = [body.following(width) for width in states.values()]
    emits = [body.one(body.values[len(states) :]) for _ in range(int(draw.integers(0, 3)))]
    emitted = [body.add("Identity", [name], 0) for name, _ in emits]
    feeds_of_call = [_info("i", [], TensorProto.INT64), _info("go", [], TensorProto.BOOL)]
    counted: list[str] = []
    if counts:
        feeds_of_call.append(_info("count", [], TensorProto.INT64))
        counted = [body.add("Add", ["count", one], 0)]
    feeds_of_call += [_info(name, [BATCH, width]) for name, width in states.items()]
    asks = counts and draw.random() < 0.5
    going = body.add("Less", [counted[0], "steps"], 0) if asks else body.add("Identity", ["go"], 0)
    results = [_info(going, [], TensorProto.BOOL), *(_info(name, [], TensorProto.INT64) for name in counted)]
    results += [_info(name, None) for name in (*following, *emitted)]  # type: ignore[arg-type]
    inner = helper.make_graph(body.nodes, "body", feeds_of_call, results)
    first, axis = next(iter(read)), axes[0]
    before = [
        helper.make_node("Shape", [f"{first}_all"], ["shape"]),
        helper.make_node("Gather", ["shape", body.array(np.array(1 if axis else 0))], ["steps"]),
        helper.make_node("Sub", ["steps", one], ["end"]),
    ]
    yes = body.array(np.array(True)) if draw.random() < 0.5 else ""
    inputs = ["steps", yes, *([zero] if counts else []), *(f"{name}_0" for name in states)]
    ends = [*(["count_n"] if counts else []), *(f"{name}_n" for name in states)]
    outputs = [*ends, *(f"y{number}" for number in range(len(emits)))]
    node = helper.make_node("Loop", inputs, outputs, body=inner)
    outer = [name for name in outputs if name != "count_n"]
    return Looped(_model([*before, node], shapes, outer, body.arrays), shapes)
