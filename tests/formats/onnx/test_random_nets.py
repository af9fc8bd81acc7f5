"""Random small nets of elementwise ops, reductions, movements and products, against onnxruntime at several sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnngraph as rg

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402  # after importorskip

UNARY = (
    "Abs",
    "Neg",
    "Relu",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Softsign",
    "Erf",
    "Sin",
    "Cos",
    "Elu",
    "Selu",
    "LeakyRelu",
    "HardSigmoid",
    "ThresholdedRelu",
    "Celu",
    "HardSwish",
    "Floor",
    "Ceil",
    "Round",
    "Sign",
    "Identity",
)
BINARY = ("Add", "Sub", "Mul", "Max", "Min")


class Builder:
    """Random net that grows node by node. Values are [batch, time, width], stored by width."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self.values: list[tuple[str, int]] = [("x", 5)]

    def add(self, op: str, inputs: list[str], width: int, keep: bool = True, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        if keep:
            self.values.append((name, width))
        return name

    def array(self, array: Any) -> str:
        name = f"a{len(self.arrays)}"
        self.arrays.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, *shape: int) -> str:
        return self.array(self.draw.uniform(-0.7, 0.7, shape).astype(np.float32))

    def grow(self) -> None:
        """Add one op, or a few that belong together."""
        x, width = self.values[int(self.draw.integers(len(self.values)))]
        kinds = [
            self._unary,
            self._binary,
            self._product,
            self._reduced,
            self._moved,
            self._cut,
            self._normed,
            self._convolved,
            self._shaped,
            self._chosen,
        ]
        kinds[int(self.draw.integers(len(kinds)))](x, width)

    def _unary(self, x: str, width: int) -> None:
        self.add(str(self.draw.choice(UNARY)), [x], width)

    def _binary(self, x: str, width: int) -> None:
        alike = [name for name, other in self.values if other == width]
        others = [self.weight(width), self.weight(1), self.weight(1, 1, width), str(self.draw.choice(alike))]
        pair = [x, others[int(self.draw.integers(4))]]
        self.add(str(self.draw.choice(BINARY)), pair[:: int(self.draw.choice([-1, 1]))], width)

    def _product(self, x: str, width: int) -> None:
        units = int(self.draw.integers(1, 7))
        built = self.add("MatMul", [x, self.weight(width, units)], units, keep=self.draw.random() < 0.3)
        if (built, units) not in self.values:
            self.add("Add", [built, self.weight(units)], units)

    def _reduced(self, x: str, width: int) -> None:
        op = str(self.draw.choice(["ReduceMax", "ReduceMean", "ReduceMin"]))
        mean = self.add(op, [x], width, keep=False, axes=[int(self.draw.choice([1, 2]))], keepdims=1)
        self.add("Sub", [x, mean], width)

    def _moved(self, x: str, width: int) -> None:
        turned = self.add("Transpose", [x], width, keep=False, perm=[1, 0, 2])
        if self.draw.random() < 0.5:
            turned = self.add("Softmax", [turned], width, keep=False, axis=int(self.draw.choice([0, 2])))
        self.add("Transpose", [turned], width, perm=[1, 0, 2])

    def _cut(self, x: str, width: int) -> None:
        first = int(self.draw.integers(width))
        bounds = [self.array(np.array([value])) for value in (first, width, 2)]
        part = self.add("Slice", [x, *bounds], width - first)
        self.add("Concat", [x, part], 2 * width - first, axis=int(self.draw.choice([2, -1])))

    def _normed(self, x: str, width: int) -> None:
        self.add("LayerNormalization", [x, self.weight(width), self.weight(width)], width, axis=-1, epsilon=0.1)

    def _convolved(self, x: str, width: int) -> None:
        size, dilation = int(self.draw.integers(1, 4)), int(self.draw.integers(1, 3))
        span = dilation * (size - 1)
        before = int(self.draw.integers(span + 1))
        filters = int(self.draw.integers(1, 6))
        turned = self.add("Transpose", [x], width, keep=False, perm=[0, 2, 1])
        names = [turned, self.weight(filters, width, size), self.weight(filters)]
        built = self.add("Conv", names, filters, False, pads=[before, span - before], dilations=[dilation])
        self.add("Transpose", [built], filters, perm=[0, 2, 1])

    def _shaped(self, x: str, width: int) -> None:
        """Merge batch and time into rows, and split them again by the original shape."""
        rows = self.add("Reshape", [x, self.array(np.array([-1, width]))], width, keep=False)
        rows = self.add("Tanh", [rows], width, keep=False)
        shape = self.add("Shape", [x], 0, keep=False)
        batch = self.add("Gather", [shape, self.array(np.array([0]))], 0, keep=False, axis=0)
        sizes = self.add("Concat", [batch, self.array(np.array([-1, width]))], 0, keep=False, axis=0)
        self.add("Reshape", [rows, sizes], width)

    def _chosen(self, x: str, width: int) -> None:
        is_more = self.add("Greater", [x, self.weight(1)], width, keep=False)
        self.add("Where", [is_more, x, self.weight(width)], width)

    def model(self) -> Any:
        outputs = [name for name, _ in self.values[-2:]]
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "time", 5])]
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in dict.fromkeys(outputs)]
        graph = helper.make_graph(self.nodes, "net", inputs, results, self.arrays)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def check(seed: int, ops: int) -> None:
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(3)
    builder = Builder(seed)
    while len(builder.values) < ops:
        builder.grow()
    model = builder.model()
    net = rg.read_onnx(model)
    compile(net.script(), "net.py", "exec")
    program, session = net.program(), runtime.InferenceSession(model.SerializeToString())
    assert net.parameters.keys() == program.parameters.keys()
    for batch, time in ((2, 3), (1, 7)):
        x = np.random.default_rng(seed).uniform(-2, 2, (batch, time, 5)).astype(np.float32)
        result = program.inference(x=x) if net.inputs else program.inference()
        for name, expected in zip(net.outputs, session.run(None, {"x": x}), strict=True):
            scale = max(1.0, float(np.abs(expected).max()))
            assert result[name].shape == expected.shape, seed
            assert np.abs(result[name] - expected).max() <= 1e-4 * scale, seed


@pytest.mark.peers
def test_a_few_random_nets_give_the_numbers_of_onnxruntime() -> None:
    for seed in range(3):
        check(seed, 9)


@pytest.mark.peers
@pytest.mark.exhaustive
def test_random_nets_give_the_numbers_of_onnxruntime() -> None:
    for seed in range(100, 300):
        check(seed, int(np.random.default_rng(seed).integers(4, 14)))
