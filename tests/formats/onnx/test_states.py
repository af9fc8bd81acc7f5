"""States among a file's inputs and outputs, in each layout: in streams, pools, saved programs and exports."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_files import ours

import rnngraph as rg

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402  # after importorskip

UNITS, WIDTH = 4, 3
RANDOM = np.random.default_rng(3)
W, R = (0.5 * RANDOM.standard_normal((1, 4 * UNITS, size)).astype(np.float32) for size in (WIDTH, UNITS))
NODES: dict[str, tuple[list[tuple[str, list[str], list[str], dict[str, Any]]], list[Any]]] = {
    "[1, rows, units]": ([("Identity", ["s"], ["h"], {}), ("Identity", ["hn"], ["sn"], {})], [1, "B", UNITS]),
    "[rows, 1, units]": (
        [("Transpose", ["s"], ["h"], {"perm": [1, 0, 2]}), ("Transpose", ["hn"], ["sn"], {"perm": [1, 0, 2]})],
        ["B", 1, UNITS],
    ),
    "[rows, units]": (
        [("Unsqueeze", ["s", "zero"], ["h"], {}), ("Squeeze", ["hn", "zero"], ["sn"], {})],
        ["B", UNITS],
    ),
    "h and c in one": (
        [
            ("Split", ["s"], ["h", "c"], {"axis": 0}),
            ("Concat", ["hn", "cn"], ["sn"], {"axis": 0}),
        ],
        [2, "B", UNITS],
    ),
}


def model_of(name: str) -> Any:
    """Return an LSTM over x [rows, steps, width] with a state in its own layout, with c inside or separate."""
    around, shape = NODES[name]
    has_c = "c" in [item for _, _, results, _ in around for item in results]
    inner = [
        ("Transpose", ["x"], ["t"], {"perm": [1, 0, 2]}),
        ("LSTM", ["t", "W", "R", "", "", "h", "c"], ["Y", "hn", "cn"], {"hidden_size": UNITS}),
        ("Squeeze", ["Y", "one"], ["z"], {}),
        ("Transpose", ["z"], ["y"], {"perm": [1, 0, 2]}),
    ]
    built = [
        helper.make_node(op, operands, results, **more)
        for op, operands, results, more in [around[0], *inner, around[1]]
    ]
    inputs = {"x": ["B", "T", WIDTH], "s": shape} | ({} if has_c else {"c": [1, "B", UNITS]})
    outputs = ["y", "sn", *([] if has_c else ["cn"])]
    arrays = {"W": W, "R": R, "zero": np.array([0]), "one": np.array([1])}
    graph = helper.make_graph(
        built,
        "net",
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, kind) for key, kind in inputs.items()],
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, None) for key in outputs],
        [numpy_helper.from_array(array, key) for key, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("name", NODES)
def test_streams_keep_the_states_of_a_file(name: str) -> None:
    net = rg.read_onnx(model_of(name))
    states = {"sn": "s", "cn": "c"} if "cn" in net.outputs else {"sn": "s"}
    program = net.program(states=states)
    x = RANDOM.standard_normal((2, 5, WIDTH)).astype(np.float32)
    zeros = {
        key: np.zeros([2 if size == "B" else size for size in net.inputs[key].shape], np.float32)
        for key in states.values()
    }
    whole = program.inference({"x": x, **zeros})
    np.testing.assert_allclose(whole["y"], ours(net.program(), {"x": x, **zeros})["y"], atol=1e-5)
    stream = program.inference.stream(batch=2)
    for step in range(5):
        assert np.array_equal(stream.step(x=x[:, step])["y"], whole["y"][:, step])
    pool = program.inference.streams(2)
    first, second = pool.open(), pool.open()
    pool.step({second: {"x": x[1, 0]}})
    results = pool.step({first: {"x": x[0, 0]}, second: {"x": x[1, 1]}})
    assert np.array_equal(results[first]["y"], whole["y"][0, 0])
    assert np.array_equal(results[second]["y"], whole["y"][1, 1])


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_a_file_with_states_is_trained_saved_and_exported(tmp_path: Path) -> None:
    net = rg.read_onnx(model_of("h and c in one"))
    feeds = {"x": np.ones((2, 5, WIDTH)), "s": np.zeros((2, 2, UNITS))}
    program = net.program(states={"sn": "s"}, loss=rg.reduce_mean(rg.square(net.outputs["y"])))
    trainer = rg.Trainer(program, rg.Adam(0.01))
    losses = [trainer.step(**feeds) for _ in range(4)]
    assert losses[-1] < losses[0]
    program.save(tmp_path / "program")
    loaded, expected = rg.load(tmp_path / "program"), program.inference(feeds)["y"]
    assert np.array_equal(loaded.inference(feeds)["y"], expected)
    loaded.inference.export(tmp_path / "exported", name="net")
    folder = tmp_path / "exported"
    subprocess.run(["cc", "-O1", "net_test.c", "net.o", "-lm", "-o", "self_test"], cwd=folder, check=True)
    subprocess.run(["./self_test"], cwd=folder, check=True, capture_output=True)


# States that hold a past ----------------------------------------------------------------------------------------


def with_cache(wide: int = 2, turned: bool = False) -> Any:
    """Return an LSTM after a convolution whose past is a state, as in streaming exports."""
    around = [("Transpose", ["cache"], ["past"], {"perm": [1, 2, 0]})] if turned else []
    order = ["past" if turned else "cache", "x"]
    built = [
        helper.make_node(op, operands, results, **more)
        for op, operands, results, more in [
            *around,
            ("Concat", order, ["z"], {"axis": 2}),
            ("Relu", ["z"], ["r"], {}),
            ("Conv", ["r", "K"], ["f"], {"dilations": [wide // 2]}),
            ("Transpose", ["f"], ["t"], {"perm": [2, 0, 1]}),
            ("LSTM", ["t", "W", "R", "", "", "h", "c"], ["Y", "hn", "cn"], {"hidden_size": UNITS}),
            ("Squeeze", ["Y", "one"], ["s"], {}),
            ("Transpose", ["s"], ["y"], {"perm": [1, 0, 2]}),
            ("Slice", ["z", "first", "far", "two"], ["last"], {}),
            ("Transpose", ["last"], ["next"], {"perm": [2, 0, 1]}) if turned else ("Identity", ["last"], ["next"], {}),
        ]
    ]
    arrays = {
        "W": W,
        "R": R,
        "K": KERNEL,
        "one": np.array([1]),
        "two": np.array([2]),
        "first": np.array([-wide]),
        "far": np.array([1 << 40]),
    }
    inputs = {
        "x": ["B", 2, "T"],
        "cache": [wide, "B", 2] if turned else ["B", 2, wide],
        "h": [1, "B", UNITS],
        "c": [1, "B", UNITS],
    }
    graph = helper.make_graph(
        built,
        "net",
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, kind) for key, kind in inputs.items()],
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, None) for key in ("y", "next", "hn", "cn")],
        [numpy_helper.from_array(array, key) for key, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


KERNEL = RANDOM.standard_normal((WIDTH, 2, 3)).astype(np.float32)
STATES = {"next": "cache", "hn": "h", "cn": "c"}


@pytest.mark.parametrize(("wide", "turned"), [(2, False), (4, False), (2, True)])
def test_streams_carry_the_past_steps_of_a_state(wide: int, turned: bool) -> None:
    program = rg.read_onnx(with_cache(wide, turned)).program(states=STATES)
    x = RANDOM.standard_normal((2, 2, 7)).astype(np.float32)
    cache = np.zeros((wide, 2, 2) if turned else (2, 2, wide))
    whole = program.inference(x=x, cache=cache, h=np.zeros((1, 2, UNITS)), c=np.zeros((1, 2, UNITS)))
    stream = program.inference.stream(batch=2)
    results = [stream.step(x=x[:, :, step])["y"] for step in range(2)]
    results += [*np.moveaxis(stream.process(x=x[:, :, 2:6])["y"], 1, 0), stream.step(x=x[:, :, 6])["y"]]
    assert np.array_equal(np.stack(results, 1), whole["y"])
    assert np.array_equal(stream.state["cache"], whole["next"])
    pool = program.inference.streams(2)
    handle = pool.open()
    assert np.array_equal(pool.step({handle: {"x": x[1, :, 0]}})[handle]["y"], whole["y"][1, 0])


def test_a_past_of_another_value_is_refused() -> None:
    model = with_cache()
    (cut,) = (node for node in model.graph.node if node.op_type == "Slice")
    cut.input[0] = "r"  # the stored part differs from the input part
    with pytest.raises(rg.GraphError, match="can't be streamed"):
        rg.read_onnx(model).program(states=STATES).inference.stream()
