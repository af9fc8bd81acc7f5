"""ONNX models with random changes that are still valid protobuf messages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

NAMES = ("", "x", "'); import os; os.abort() #", "a\nb = 1", '"""', "nothing", "seed", "\x00", "µ" * 300)
NUMBERS = (-(2**63), -1_000_000_007, -2, -1, 0, 1, 2, 3, 7, 1 << 20, 2**31, 2**62, 2**63 - 1)


def changed_model(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Return a copy of a model with one to three random changes."""
    draw = np.random.default_rng(seed)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for _ in range(int(draw.integers(1, 4))):
        _CHANGES[int(draw.integers(len(_CHANGES)))](result, draw)
    return result


def _one(items: object, draw: np.random.Generator) -> object | None:
    count = len(items)  # type: ignore[arg-type]
    return items[int(draw.integers(count))] if count else None  # type: ignore[index]


def _graph(model: onnx.ModelProto, draw: np.random.Generator) -> onnx.GraphProto:
    """Return the model's graph, or a random graph that is an attribute of a node."""
    graphs = [model.graph]
    graphs += [entry.g for node in model.graph.node for entry in node.attribute if entry.HasField("g")]
    return graphs[int(draw.integers(len(graphs)))]


def _number(model: onnx.ModelProto, draw: np.random.Generator) -> None:
    node = _one(_graph(model, draw).node, draw)
    entry = _one(node.attribute, draw) if node else None  # type: ignore[attr-defined]
    if entry is None:
        return
    number = int(draw.choice(NUMBERS))
    if len(entry.ints):  # type: ignore[attr-defined]
        entry.ints[int(draw.integers(len(entry.ints)))] = number  # type: ignore[attr-defined]
    elif entry.HasField("t"):  # type: ignore[attr-defined]
        _array(entry.t, draw)  # type: ignore[attr-defined]
    else:
        entry.i, entry.type = number, onnx.AttributeProto.INT  # type: ignore[attr-defined]


def _array(tensor: onnx.TensorProto, draw: np.random.Generator) -> None:
    kind = int(draw.integers(4))
    if kind == 0 and len(tensor.dims):
        tensor.dims[int(draw.integers(len(tensor.dims)))] = int(draw.choice(NUMBERS))
    elif kind == 1:
        tensor.data_type = int(draw.integers(0, 25))
    elif kind == 2 and tensor.data_type == onnx.TensorProto.INT64 and len(tensor.raw_data) >= 8:
        numbers = np.frombuffer(tensor.raw_data[: len(tensor.raw_data) // 8 * 8], np.int64).copy()
        numbers[int(draw.integers(len(numbers)))] = int(draw.choice(NUMBERS))
        tensor.raw_data = numbers.tobytes()
    else:
        tensor.raw_data = tensor.raw_data[: int(draw.integers(len(tensor.raw_data) + 1))]


def _held(model: onnx.ModelProto, draw: np.random.Generator) -> None:
    tensor = _one(_graph(model, draw).initializer, draw)
    if tensor is not None:
        _array(tensor, draw)  # type: ignore[arg-type]


def _op(model: onnx.ModelProto, draw: np.random.Generator) -> None:
    node, other = (_one(_graph(model, draw).node, draw) for _ in range(2))
    if node is not None and other is not None:
        node.op_type = other.op_type  # type: ignore[attr-defined]


def _name(model: onnx.ModelProto, draw: np.random.Generator) -> None:
    node = _one(_graph(model, draw).node, draw)
    if node is None:
        return
    names = node.output if draw.random() < 0.3 else node.input  # type: ignore[attr-defined]
    if len(names):
        others = [name for item in model.graph.node for name in (*item.input, *item.output)]
        name = draw.choice(NAMES) if draw.random() < 0.3 else others[int(draw.integers(len(others)))]
        names[int(draw.integers(len(names)))] = str(name)


def _without_node(model: onnx.ModelProto, draw: np.random.Generator) -> None:
    nodes = _graph(model, draw).node
    if len(nodes):
        del nodes[int(draw.integers(len(nodes)))]


def _without_attribute(model: onnx.ModelProto, draw: np.random.Generator) -> None:
    node = _one(_graph(model, draw).node, draw)
    if node is not None and len(node.attribute):  # type: ignore[attr-defined]
        del node.attribute[int(draw.integers(len(node.attribute)))]  # type: ignore[attr-defined]


def _input(model: onnx.ModelProto, draw: np.random.Generator) -> None:
    item = _one(model.graph.input, draw)
    if item is None:
        return
    kind = item.type.tensor_type  # type: ignore[attr-defined]
    match int(draw.integers(4)):
        case 0:
            kind.elem_type = int(draw.integers(0, 25))
        case 1:
            kind.ClearField("shape")
        case 2:
            item.name = str(draw.choice(NAMES))  # type: ignore[attr-defined]
        case 3 if len(kind.shape.dim):
            dim = kind.shape.dim[int(draw.integers(len(kind.shape.dim)))]
            if draw.random() < 0.5:
                dim.dim_value = int(draw.choice(NUMBERS))
            else:
                dim.dim_param = str(draw.choice(NAMES))


def _opset(model: onnx.ModelProto, draw: np.random.Generator) -> None:
    model.opset_import[0].version = int(draw.integers(1, 25))


_CHANGES: tuple[Callable[[onnx.ModelProto, np.random.Generator], None], ...] = (
    _number,
    _number,
    _held,
    _held,
    _op,
    _name,
    _name,
    _without_node,
    _without_attribute,
    _input,
    _opset,
)
