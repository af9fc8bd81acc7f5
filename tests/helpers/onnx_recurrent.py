"""Random recurrent nodes of ONNX, and their results by the operators' definitions, in NumPy's float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS: Mapping[str, Callable[[Array, float, float], Array]] = {
    "Relu": lambda x, a, b: np.maximum(x, 0),
    "Tanh": lambda x, a, b: np.tanh(x),
    "Sigmoid": lambda x, a, b: 1 / (1 + np.exp(-x)),
    "Affine": lambda x, a, b: a * x + b,
    "LeakyRelu": lambda x, a, b: np.where(x >= 0, x, a * x),
    "ThresholdedRelu": lambda x, a, b: np.where(x > a, x, 0),
    "ScaledTanh": lambda x, a, b: a * np.tanh(b * x),
    "HardSigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "Elu": lambda x, a, b: np.where(x >= 0, x, a * (np.exp(x) - 1)),
    "Softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "Softplus": lambda x, a, b: np.log1p(np.exp(x)),
}
DEFAULTS = {
    "Affine": (0.0, 0.0),
    "LeakyRelu": (0.01, 0.0),
    "ThresholdedRelu": (0.0, 0.0),
    "ScaledTanh": (0.0, 0.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, 0.0),
}
"""onnxruntime's defaults of alpha and beta, by activation."""
WITH_ALPHA = tuple(DEFAULTS)
WITH_BETA = ("Affine", "ScaledTanh", "HardSigmoid")
MILD = ("Relu", "Tanh", "Sigmoid", "LeakyRelu", "ScaledTanh", "HardSigmoid", "Elu", "Softsign", "Affine", "Softplus")

BOUNDED = ("Tanh", "Sigmoid", "ScaledTanh", "HardSigmoid", "Softsign")


@dataclass
class RandomNode:
    """Recurrent node with its arrays by ONNX's names, None for a missing array."""

    op: str
    attributes: dict[str, Any]
    arrays: dict[str, Array | None]

    @property
    def names(self) -> list[str]:
        """Names of inputs in the operator's order, "" for a missing input."""
        order = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"][: 8 if self.op == "LSTM" else 6]
        names = [name if self.arrays.get(name) is not None else "" for name in order]
        while not names[-1]:
            names.pop()
        return names

    @property
    def outputs(self) -> list[str]:
        return ["Y", "Y_h", "Y_c"][: 3 if self.op == "LSTM" else 2]

    def model(self, fed: tuple[str, ...] = ("X", "sequence_lens", "initial_h", "initial_c")) -> onnx.ModelProto:
        """Return a model of the node alone, with symbolic batch and time.

        Args:
            fed: Names of the arrays that are inputs; all others are stored in the file.
        """
        node = helper.make_node(self.op, self.names, self.outputs, name="recurrence", **self.attributes)
        layout = self.attributes.get("layout", 0)
        kinds = {
            "X": ["batch", "time", None] if layout else ["time", "batch", None],
            "sequence_lens": ["batch"],
            "initial_h": ["batch", None, None] if layout else [None, "batch", None],
        }
        kinds["initial_c"] = kinds["initial_h"]
        inputs, kept_value = [], []
        for name in filter(None, self.names):
            array = self.arrays[name]
            assert array is not None
            if name not in fed:
                kept_value.append(numpy_helper.from_array(array, name))
                continue
            shape = [
                have if kind is None else kind
                for have, kind in zip(array.shape, kinds.get(name, [None] * 3), strict=False)
            ]
            element = TensorProto.INT32 if name == "sequence_lens" else helper.np_dtype_to_tensor_dtype(array.dtype)
            inputs.append(helper.make_tensor_value_info(name, element, shape))
        element = helper.np_dtype_to_tensor_dtype(self.arrays["X"].dtype)  # type: ignore[union-attr]
        outputs = [helper.make_tensor_value_info(name, element, None) for name in self.outputs]
        graph = helper.make_graph([node], "net", inputs, outputs, kept_value)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)

    def feeds(self, fed: tuple[str, ...] = ("X", "sequence_lens", "initial_h", "initial_c")) -> dict[str, Array]:
        return {name: self.arrays[name] for name in self.names if name in fed}  # type: ignore[misc]


def random_node(op: str, seed: int, layouts: tuple[int, ...] = (0, 1)) -> RandomNode:
    """Return a node with random options."""
    draw = np.random.default_rng(seed)
    directions = ["forward", "reverse", "bidirectional"][draw.integers(3)]
    count = 2 if directions == "bidirectional" else 1
    time, batch, inputs, units = (int(draw.choice(sizes)) for sizes in ((1, 2, 7), (1, 2, 3, 9), (1, 3, 5), (1, 4, 7)))
    many, layout = GATES[op], int(draw.choice(layouts))
    attributes: dict[str, Any] = {"hidden_size": units, "direction": directions}
    if layout:
        attributes["layout"] = 1
    if draw.random() < 0.6:
        attributes |= _random_activations(draw, count, {"RNN": 1, "GRU": 2, "LSTM": 3}[op])
    if draw.random() < 0.3:
        attributes["clip"] = float(np.float32(draw.uniform(0.2, 1.5)))
    if op == "GRU" and draw.random() < 0.5:
        attributes["linear_before_reset"] = 1
    if op == "LSTM" and draw.random() < 0.25:
        attributes["input_forget"] = 1

    def array(*shape: int) -> Array:
        return draw.uniform(-0.8, 0.8, shape).astype(np.float32)

    state = (batch, count, units) if layout else (count, batch, units)
    arrays: dict[str, Array | None] = {
        "X": array(batch, time, inputs) if layout else array(time, batch, inputs),
        "W": array(count, many * units, inputs),
        "R": array(count, many * units, units),
        "B": array(count, 2 * many * units),
        "initial_h": array(*state),
        "initial_c": array(*state),
        "sequence_lens": draw.integers(1, time + 1, batch).astype(np.int32),
        "P": array(count, 3 * units),
    }
    for name in ("B", "initial_h", "initial_c", "sequence_lens", "P"):
        if draw.random() < 0.4:
            arrays[name] = None
    return RandomNode(op, attributes, arrays)


def _random_activations(draw: np.random.Generator, count: int, each: int) -> dict[str, Any]:
    """Draw activations. Those of gates are bounded, because others let states grow to infinity."""
    kinds = [MILD if each == 1 or place else BOUNDED for place in range(each)] * count
    names = [str(draw.choice(kind)) for kind in kinds]
    results: dict[str, Any] = {"activations": names}
    if draw.random() < 0.7:
        results["activation_alpha"] = [
            float(np.float32(draw.uniform(0.1, 0.9))) for name in names if name in WITH_ALPHA
        ]
        results["activation_beta"] = [float(np.float32(draw.uniform(0.1, 0.9))) for name in names if name in WITH_BETA]
        results = {key: value for key, value in results.items() if value}
    return results


# Results of a node -------------------------------------------------------------------------------------


def expected(node: RandomNode) -> dict[str, Array]:
    """Return Y, Y_h and Y_c in float64."""
    op, attributes = node.op, node.attributes
    arrays = {name: None if array is None else array.astype(np.float64) for name, array in node.arrays.items()}
    directions = {"forward": [1], "reverse": [-1], "bidirectional": [1, -1]}[attributes["direction"]]
    batch_major = bool(attributes.get("layout", 0))
    x = arrays["X"].swapaxes(0, 1) if batch_major else arrays["X"]  # type: ignore[union-attr]
    time, batch, _ = x.shape  # type: ignore[union-attr]
    units = attributes["hidden_size"]
    lengths = node.arrays["sequence_lens"]
    lengths = np.full(batch, time) if lengths is None else lengths
    functions = _functions(op, attributes, len(directions))
    y = np.zeros((time, len(directions), batch, units))
    ends: list[Array] = []
    for number, step in enumerate(directions):
        states = []
        for name in ("initial_h", "initial_c")[: 2 if op == "LSTM" else 1]:
            inputs = arrays[name]
            inputs = inputs.swapaxes(0, 1) if inputs is not None and batch_major else inputs
            states.append(np.zeros((batch, units)) if inputs is None else inputs[number].copy())
        weights = {key: None if arrays[key] is None else arrays[key][number] for key in ("W", "R", "B", "P")}
        for row in range(batch):
            steps = range(lengths[row])[::step]
            state = [item[row] for item in states]
            for t in steps:
                state = _step(op, attributes, functions[number], weights, x[t, row], state)  # type: ignore[index]
                y[t, number, row] = state[0]
            for item, value in zip(states, state, strict=True):
                item[row] = value
        ends.append(np.stack(states))
    result = {"Y": y, "Y_h": np.stack([end[0] for end in ends])}
    if op == "LSTM":
        result["Y_c"] = np.stack([end[1] for end in ends])
    if batch_major:
        result = {
            key: value.transpose(2, 0, 1, 3) if key == "Y" else value.swapaxes(0, 1) for key, value in result.items()
        }
    return result


def _functions(op: str, attributes: Mapping[str, Any], count: int) -> list[list[Callable[[Array], Array]]]:
    usual = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}[op]
    names = attributes.get("activations", usual * count)
    alphas, betas = iter(attributes.get("activation_alpha", [])), iter(attributes.get("activation_beta", []))
    created = []
    for name in names:
        default = DEFAULTS.get(name, (0.0, 0.0))
        alpha = next(alphas, default[0]) if name in WITH_ALPHA else 0.0
        beta = next(betas, default[1]) if name in WITH_BETA else 0.0
        created.append(lambda x, name=name, alpha=alpha, beta=beta: ACTIVATIONS[name](x, alpha, beta))
    each = len(usual)
    return [created[number * each : (number + 1) * each] for number in range(count)]


def _step(
    op: str,
    attributes: Mapping[str, Any],
    functions: list[Callable[[Array], Array]],
    weights: Mapping[str, Array | None],
    x: Array,
    state: list[Array],
) -> list[Array]:
    """Return the next state of one row after one step."""
    many, units = GATES[op], len(state[0])
    limit = attributes.get("clip")

    def clipped(value: Array) -> Array:
        return value if limit is None else np.clip(value, -limit, limit)

    bias = weights["B"]
    wb, rb = np.zeros((2, many, units)) if bias is None else bias.reshape(2, many, units)
    of_x = (weights["W"] @ x).reshape(many, units)  # type: ignore[operator]
    of_h = (weights["R"] @ state[0]).reshape(many, units)  # type: ignore[operator]
    h = state[0]
    if op == "RNN":
        return [functions[0](clipped(of_x[0] + of_h[0] + wb[0] + rb[0]))]
    if op == "GRU":
        f, g = functions
        z, r = (f(clipped(of_x[gate] + of_h[gate] + wb[gate] + rb[gate])) for gate in (0, 1))
        if attributes.get("linear_before_reset", 0):
            inner = of_x[2] + wb[2] + r * (of_h[2] + rb[2])
        else:
            inner = of_x[2] + wb[2] + weights["R"][2 * units :] @ (r * h) + rb[2]  # type: ignore[index]
        return [(1 - z) * g(clipped(inner)) + z * h]
    f, g, last = functions
    p = np.zeros((3, units)) if weights["P"] is None else weights["P"].reshape(3, units)
    c = state[1]
    i, o, forget, candidate = of_x + of_h + wb + rb
    i = f(clipped(i + p[0] * c))
    forget = 1 - i if attributes.get("input_forget", 0) else f(clipped(forget + p[2] * c))
    c = forget * c + i * g(clipped(candidate))
    o = f(clipped(o + p[1] * c))
    return [o * last(c), c]
