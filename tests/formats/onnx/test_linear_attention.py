"""Linear attention, and convolutions with a state, of ONNX and of onnxruntime, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnngraph as rg

pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper

DOMAINS = ("", "com.microsoft")
KEYS, VALUES = 3, 5


def model(node: Any, inputs: dict[str, Any], outputs: dict[str, Any], **arrays: np.ndarray) -> bytes:
    """Return a model of one node. ``inputs`` and ``outputs`` are shapes by name."""
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
        for side in (inputs, outputs)
    ]
    storage = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph([node], "net", *values, storage)
    opsets = [helper.make_opsetid("", 27), *([helper.make_opsetid(node.domain, 1)] if node.domain else [])]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def attention(rule: str, queries: int, heads: int, domain: str, has_past: bool = True, **widths: int) -> bytes:
    """Return a model of a LinearAttention node. ``widths`` are those of g, the decays, and b, the rates."""
    shapes: dict[str, Any] = {
        "q": ["B", "T", queries * KEYS],
        "k": ["B", "T", heads * KEYS],
        "v": ["B", "T", heads * VALUES],
    }
    state = ["B", heads, KEYS, VALUES]
    shapes |= {"past": state} if has_past else {}
    shapes |= {name: ["B", "T", width] for name, width in widths.items()}
    names = [name if name in shapes else "" for name in ("q", "k", "v", "past", "g", "b")]
    options: dict[str, Any] = {"update_rule": rule, "q_num_heads": queries, "kv_num_heads": heads}
    node = helper.make_node("LinearAttention", names, ["y", "present"], domain=domain, **options)
    return model(node, shapes, {"y": ["B", "T", max(queries, heads) * VALUES], "present": state})


def convolution(
    domain: str, size: int = 4, has_past: bool = True, is_last: bool = False, is_wide: bool = False, **options: Any
) -> bytes:
    """Return a CausalConvWithState node over 5 channels."""
    span = (size - 1) * options.get("dilation", 1)
    names = ["x", "weight", "bias", "past" if has_past else ""]
    weight_shape = options.pop("weight_shape", (5, 1, size))
    options |= {"channels_last": 1} if is_last else {}
    node = helper.make_node("CausalConvWithState", names, ["y", "present"], domain=domain, **options)

    def shape(time: Any) -> list[Any]:
        return ["B", time, 5] if is_last else ["B", 5, time]

    inputs = {"x": [*shape("T"), 2] if is_wide else shape("T"), **({"past": shape(span)} if has_past else {})}
    random = np.random.default_rng(1)
    weight, bias = (random.normal(size=size).astype(np.float32) for size in (weight_shape, 5))
    return model(node, inputs, {"y": shape("T"), "present": shape(span)}, weight=weight, bias=bias)


def feeds_of(program: Any, batch: int, time: int) -> dict[str, np.ndarray]:
    """Return random feeds. Decays are logarithms, so they are negative."""
    random = np.random.default_rng(0)
    feeds = {}
    for name, kind in program.inference.compiled.input_types().items():
        shape = [dim if isinstance(dim, int) else {"B": batch, "T": time}[str(dim)] for dim in kind.shape]
        values = random.normal(size=shape)
        feeds[name] = (-np.abs(values) if name == "g" else values).astype(np.float32)
    return feeds


NETS = [
    *(
        pytest.param(data, id=name, marks=pytest.mark.slow)
        for name, data in {
            "gated delta": attention("gated_delta", 2, 2, "", g=2, b=2),
            "linear": attention("linear", 2, 2, ""),
            "no past": attention("linear", 2, 2, "com.microsoft", has_past=False),
            "a decay of each key": attention("gated", 2, 2, "", g=6),
            "one rate": attention("delta", 2, 2, "com.microsoft", b=1),
            "shared keys": attention("gated", 4, 2, "", g=2),
            "shared queries": attention("gated_delta", 2, 4, "com.microsoft", g=12, b=4),
            "convolution": convolution("", activation="silu"),
            "convolution without a past": convolution("com.microsoft", has_past=False, is_last=True),
            "dilated convolution": convolution("com.microsoft", dilation=2, activation="swish"),
        }.items()
    ),
]


@pytest.mark.peers
@pytest.mark.parametrize("data", NETS)
def test_nodes_are_onnxruntimes(data: bytes) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    program = rg.read_onnx(data).program()
    for time in (6, 1):
        feeds = feeds_of(program, 2, time)
        actual = program.inference(feeds)
        for name, expected in zip(("y", "present"), session.run(None, feeds), strict=True):
            np.testing.assert_allclose(actual[name], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_linear_attention_streams() -> None:
    """Results step by step are bit for bit those of the whole sequence."""
    program = rg.read_onnx(attention("gated", 2, 2, "", g=6)).program(states={"present": "past"})
    feeds = feeds_of(program, 1, 4)
    whole = program.inference(feeds)
    stream = program.inference.stream()
    stream.state = {"past": feeds.pop("past")}
    steps = [stream.step({name: array[:, time] for name, array in feeds.items()})["y"] for time in range(4)]
    assert_array_equal(np.stack(steps, 1), whole["y"])
    assert_array_equal(stream.state["past"], whole["present"])


def test_convolutions_stream() -> None:
    """Results block by block are bit for bit those of the whole sequence, for any length of the blocks."""
    program = rg.read_onnx(convolution("", activation="silu")).program(states={"present": "past"})
    feeds = feeds_of(program, 1, 6)
    whole = program.inference(feeds)
    stream = program.inference.stream()
    stream.state = {"past": feeds["past"]}
    blocks = [stream.step(x=feeds["x"][:, :, start:stop])["y"] for start, stop in ((0, 1), (1, 2), (2, 6))]
    assert_array_equal(np.concatenate(blocks, 2), whole["y"])
    assert_array_equal(stream.state["past"], whole["present"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (attention("gated", 2, 2, ""), "update_rule 'gated' needs input 4; give the node"),
        (attention("other", 2, 2, ""), "update_rule 'other' is unknown"),
        (attention("linear", 3, 2, ""), "q_num_heads=3 and kv_num_heads=2; give positive"),
        (attention("gated", 2, 2, "", g=5), "5 decays and 0 rates for 2 heads"),
        (
            convolution("", has_past=False, is_wide=True),
            r"its input \[B,5,T,2\] must have the three axes \[batch, channels, time\]",
        ),
        (convolution("", weight_shape=(5, 1, 4, 1)), r"its kernel \[5, 1, 4, 1\] must have the three axes"),
        (
            convolution("", weight_shape=(5, 2, 4)),
            r"kernel \[5, 2, 4\] reads 2 channels for each output; it must read 1",
        ),
        (convolution("com.microsoft", state_window=2), "attribute state_window is not supported"),
        (convolution("", activation="relu"), "activation 'relu'"),
    ],
)
def test_refusals(data: bytes, message: str) -> None:
    with pytest.raises(rg.NotReadableError, match=message):
        rg.read_onnx(data)
