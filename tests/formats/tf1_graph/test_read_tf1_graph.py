"""Graphs that TensorFlow 1.15 wrote: its results at any sizes, drivers for all loops, and errors that say what is
missing.
"""

from __future__ import annotations

import base64
import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnngraph as rg
from rnngraph.formats.tensorflow.messages import Dim, TensorProto, TensorShape
from rnngraph.formats.tf1_graph import messages
from rnngraph.storage.protobuf import decode, encode

FOLDER = Path(__file__).parents[2] / "fixtures" / "tf1_graphs"
NUMBERS = np.load(FOLDER / "numbers.npz")
FIXED = {"dropout": {"keep_prob": 1.0}, "dropouts": {"keep_prob": 1.0}, "noise": {"stddev": 0.0}}
SIZES = {
    "dropout": {"x": ["size_0", "size_1", 3]},
    "lengths": {"ids": ["B", "size_0"], "n": ["B"]},
    "both_ways": {"x": ["B", "size_0", 3], "n": ["B"]},
    "time_major": {"x": ["size_0", "B", 3], "n": ["B"]},
    "switched": {"x": ["size_0", 5, 3]},
    "unrolled": {"x": ["size_0", 12, 3]},
    "loop": {"x": ["size_0", "size_1", 3]},
    "fused": {"x": ["size_0", "size_1", 3]},
    "picture": {"x": ["size_0", 16, "size_1", 1]},
    "projected": {"x": ["B", "size_0", 3], "n": ["B"]},
    "dropouts": {"x": ["size_0", "size_1", 3]},
    "noise": {"x": ["size_0", "size_1", 3]},
    "static": {"x": ["size_0", 5, 3]},
}


def graph(name: str) -> bytes:
    return gzip.decompress((FOLDER / f"{name}.pb.gz").read_bytes())


def recorded(name: str, call: int, kind: str) -> dict[str, np.ndarray]:
    start = f"{name}/{call}/{kind}/"
    return {key.removeprefix(start): NUMBERS[key] for key in NUMBERS if key.startswith(start)}


def check(net: Any, name: str, calls: tuple[int, ...] = (0, 1)) -> None:
    program = net.program()
    for call in calls:
        actual = program.inference({key: item for key, item in recorded(name, call, "in").items() if key in net.inputs})
        wanted = recorded(name, call, "out")
        for key, array in actual.items():
            assert (array.shape, array.dtype) == (wanted[key].shape, wanted[key].dtype), key
            assert_allclose(array, wanted[key], rtol=1e-5, atol=1e-5, err_msg=key)


NEGATIVE = (
    "H4sIAAAAAAACA12PwQqCQBCG28xcR4qaIkKCoONelI52iTp07SBdY9IFBStRC32BXru2yIrmNsz/fTMDC2AlWtuEAhmdk1BmwgI9"
    "LKpUYtNlYgJ6HpFqBl4fLX6vi2GTt2AJZuXEpzAOZI76+nzKCzEF/UrJReJoNeQatlSQefAFf/0auNCuHCrjD441bq4MhTc89kcQ"
    "sAr5hopIZru5zUr7e4P9lokOGH5KGR3z1xdK4L+WKIHoARyoCKJ9GD/H44boAvfrL1RipvEbewDt7CRBGQEAAA=="
)
"""Graph of ``tf.gather(x, [-1], axis=1)``, which TensorFlow 1.15 runs into an error, compressed."""
LIGHT = ("loop", "time_major")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in LIGHT)) for name in SIZES])
def test_nets_have_tensorflows_numbers(name: str) -> None:
    net = rg.read_tf1_graph(graph(name), fixed=FIXED.get(name))
    assert {key: [*item.shape] for key, item in net.inputs.items()} == SIZES[name]
    assert set(net.outputs) == set(recorded(name, 0, "out"))
    assert "dynamic_rnn(" in net.script()
    check(net, name)


def test_loops_that_end_early_run_a_number_of_steps() -> None:
    """States stay as they were at the end. TensorFlow's results have no entries after it, or zeros."""
    net = rg.read_tf1_graph(graph("stops"), max_steps=8)
    assert net.script().count("dynamic_rnn(") == 1
    program = net.program()
    ends = set()
    for call in (0, 1, 2):
        actual, wanted = program.inference(recorded("stops", call, "in")), recorded("stops", call, "out")
        assert not actual["y"][:, 6:].any()
        ends.add(int(wanted["y"].any((0, 2)).sum()))
        for key, array in wanted.items():
            assert_allclose(actual[key][:, :6] if key == "y" else actual[key], array, rtol=1e-5, atol=1e-6, err_msg=key)
    assert ends == {1, 6}
    with pytest.raises(
        rg.NotReadableError, match="the number of steps of its loop depends on the data; pass max_steps="
    ):
        rg.read_tf1_graph(graph("stops"))
    with pytest.raises(rg.ArgumentError, match="max_steps must be at least 1"):
        rg.read_tf1_graph(graph("stops"), max_steps=0)


@pytest.mark.slow
def test_a_greedy_decoder_has_tensorflows_words() -> None:
    net = rg.read_tf1_graph(graph("decoder"), max_steps=9)
    assert {key: [*item.shape] for key, item in net.inputs.items()} == {"ids": ["B", "size_0"], "n": ["B"]}
    program = net.program()
    for call in (0, 1, 2):
        actual, wanted = program.inference(recorded("decoder", call, "in")), recorded("decoder", call, "out")
        steps = wanted["best"].shape[1]
        assert (steps < 9) == (call == 2)
        for key, array in wanted.items():
            assert_allclose(actual[key][:, :steps] if key != "ends" else actual[key], array, atol=1e-5, err_msg=key)
            assert key == "ends" or not actual[key][:, steps:].any()


def test_the_number_of_steps_of_a_loop_that_ends_early_is_no_result() -> None:
    nodes = decode(messages.GraphDef, graph("stops")).node
    (steps,) = (node for node in nodes if node.op == "Switch" and node.input[0] == "while/Merge")
    nodes.append(_node("steps", "Exit", [steps.name], T={"type": 3}))
    with pytest.raises(rg.NotReadableError, match="it counts the steps of a loop whose number"):
        rg.read_tf1_graph(encode(messages.GraphDef(node=nodes)), ["y", "steps"], max_steps=8)


def test_noise_is_removed_if_it_is_multiplied_by_zero() -> None:
    script = rg.read_tf1_graph(graph("noise"), fixed={"stddev": 0.0}).script()
    assert "broadcast_to" not in script
    with pytest.raises(rg.NotReadableError, match="it draws random numbers; fix its keep_prob"):
        rg.read_tf1_graph(graph("noise"), fixed={"stddev": 0.5})


@pytest.mark.slow
def test_functions_have_tensorflows_numbers() -> None:
    same = {name: {0: "B"} for name in ("x", "p", "s", "i")}
    net = rg.read_tf1_graph(graph("functions"), open=same)
    assert len(net.outputs) == len(recorded("functions", 0, "out"))
    check(net, "functions")


def test_a_saved_model_is_read_by_its_signature(tmp_path: Path) -> None:
    net = rg.read_tf1_graph(FOLDER / "saved")
    assert (list(net.inputs), list(net.outputs)) == (["sequence"], ["scores"])
    feeds, wanted = ({call: recorded("saved", call, kind) for call in (0, 1)} for kind in ("in", "out"))
    program = net.program()
    for call in (0, 1):
        (expected,) = wanted[call].values()
        assert_allclose(program.inference({"sequence": feeds[call]["x"]})["scores"], expected, atol=1e-6)
    saved = decode(messages.SavedModel, (FOLDER / "saved" / "saved_model.pb").read_bytes())
    for end in ("index", "data-00000-of-00001"):
        shutil.copy(FOLDER / "saved" / "variables" / f"variables.{end}", tmp_path / f"model.ckpt.{end}")
    (tmp_path / "model.ckpt.meta").write_bytes(encode(saved.meta_graphs[0]))
    beside = rg.read_tf1_graph(tmp_path / "model.ckpt.meta", "head/BiasAdd")
    (expected,) = wanted[0].values()
    assert_allclose(beside.program().inference({"sequence": feeds[0]["x"]})["head/BiasAdd"], expected, atol=1e-6)


def test_axes_can_be_named_and_fixed() -> None:
    net = rg.read_tf1_graph(graph("loop"), "h", open={"x": {0: "N", 1: "T"}})
    assert (net.inputs["x"].shape, list(net.outputs)) == (("N", "T", 3), ["h"])
    net = rg.read_tf1_graph(graph("loop"), ["h:0"], fixed={"x": {0: 1}})
    assert net.inputs["x"].shape[0] == 1


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"outputs": "nothing"}, rg.NameLookupError, "has no node 'nothing'"),
        ({"fixed": {"keep": 1.0}}, rg.NameLookupError, "has no placeholder 'keep'; there are x, keep_prob"),
        ({"fixed": 3}, rg.DtypeError, "fixed must be a mapping"),
        ({"outputs": []}, rg.ArgumentError, "outputs is empty"),
        ({}, rg.NotReadableError, "it draws random numbers; fix its keep_prob"),
    ],
)
def test_errors_name_the_mistake(given: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        rg.read_tf1_graph(graph("dropout"), **given)


def test_ops_that_are_not_read_are_listed() -> None:
    proto = decode(messages.GraphDef, graph("unrolled"))
    for node in proto.node:
        node.op = {"Tanh": "StatefulPartitionedCall", "MatMul": "Betainc"}.get(node.op, node.op)
    with pytest.raises(rg.NotReadableError, match=r"\(Betainc\).*disable_control_flow_v2"):
        rg.read_tf1_graph(encode(proto))


def test_negative_indices_are_errors_as_in_tensorflow() -> None:
    with pytest.raises(rg.NotReadableError, match=r"'y' \(GatherV2\): index -1 is negative"):
        rg.read_tf1_graph(gzip.decompress(base64.b64decode(NEGATIVE)))


def test_negative_ids_have_no_one_in_one_hot() -> None:
    """Unlike ONNX, TensorFlow does not count negative indices from the end."""
    int32, float32 = 3, 1
    unknown = TensorShape(dim=[Dim(-1)])
    numbers = {"depth": (int32, np.int32(4)), "on": (float32, np.float32(1)), "off": (float32, np.float32(0))}
    nodes = [_node("ids", "Placeholder", [], dtype={"type": int32}, shape={"shape": unknown})]
    for name, (dtype, number) in numbers.items():
        tensor = TensorProto(dtype=dtype, tensor_shape=TensorShape(), tensor_content=memoryview(number.tobytes()))
        nodes.append(_node(name, "Const", [], dtype={"type": dtype}, value={"tensor": tensor}))
    nodes.append(_node("y", "OneHot", ["ids", "depth", "on", "off"], axis={"i": -1}, T={"type": float32}))
    net = rg.read_tf1_graph(encode(messages.GraphDef(node=nodes)))
    ids = np.array([0, -1, 3, 4, -4], np.int32)
    np.testing.assert_array_equal(net.program().inference(ids=ids)["y"], ids[:, np.newaxis] == np.arange(4))


def test_no_gradient_passes_a_stopped_one() -> None:
    """The net is ``tf.tanh(tf.stop_gradient(x)) * x``, beside a stopped int, which has no gradient."""
    x = {"dtype": {"type": 1}, "shape": {"shape": TensorShape(dim=[Dim(-1)])}}
    nodes = [
        _node("x", "Placeholder", [], **x),
        _node("stopped", "StopGradient", ["x"], T={"type": 1}),
        _node("tanh", "Tanh", ["stopped"], T={"type": 1}),
        _node("y", "Mul", ["tanh", "x"], T={"type": 1}),
        _node("ids", "Placeholder", [], **{**x, "dtype": {"type": 3}}),
        _node("whole", "StopGradient", ["ids"], T={"type": 3}),
    ]
    net = rg.read_tf1_graph(encode(messages.GraphDef(node=nodes)))
    program = net.program(loss=rg.reduce_sum(net.outputs["y"]))
    numbers = np.array([-1, 0.5, 2], np.float32)
    gradients = program.training.gradients(x=numbers, ids=np.arange(3, dtype=np.int32), wrt=["x"])[1]
    assert_allclose(gradients["x"], np.tanh(numbers), rtol=1e-6)


def _node(name: str, op: str, inputs: list[str], **attributes: dict[str, Any]) -> messages.NodeDef:
    entries = [messages.AttrEntry(key, messages.AttrValue(**value)) for key, value in attributes.items()]
    return messages.NodeDef(name=name, op=op, input=inputs, attr=entries)


def test_a_variable_without_a_value() -> None:
    saved = decode(messages.SavedModel, (FOLDER / "saved" / "saved_model.pb").read_bytes())
    assert saved.meta_graphs[0].graph_def is not None
    with pytest.raises(rg.NotReadableError, match="a variable without a value; freeze the graph"):
        rg.read_tf1_graph(encode(saved.meta_graphs[0].graph_def), "head/BiasAdd")


@pytest.mark.parametrize("data", [b"", b"nonsense", graph("loop")[:-20], graph("loop")[:1000]])
def test_damaged_files(data: bytes) -> None:
    with pytest.raises(rg.FileError):
        rg.read_tf1_graph(data)


def test_hard_points_are_tensorflows() -> None:
    """Results equal TensorFlow's at NaN, at bounds, at rounded quotients, and for negative constants."""
    feeds, expected = recorded("hard", 0, "in"), recorded("hard", 0, "out")
    results = rg.read_tf1_graph(graph("hard")).program().inference(feeds)
    assert results.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(results[name], array, name)


def test_functions_of_several_steps_are_tensorflows() -> None:
    net = rg.read_tf1_graph(graph("kernels"), open={"x": {0: "B"}, "y": {0: "B"}})
    assert len(net.outputs) == 5
    check(net, "kernels", (0,))


def test_the_gradient_of_relu6_ends_at_its_bounds() -> None:
    net = rg.read_tf1_graph(graph("hard"))
    loss = rg.reduce_sum(net.outputs["out_relu6"])
    program = net.program(loss=loss)
    x = np.array([-1, 0, 3, 6, 7], np.float32)
    gradients = program.training.gradients(x=x, y=x, wrt=["x"])[1]
    np.testing.assert_array_equal(gradients["x"], [0, 0, 1, 0, 0])
