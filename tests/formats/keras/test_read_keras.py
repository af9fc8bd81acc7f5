"""Files of Keras 3 and Keras 2 have their results, and run, stream and train."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_files import FILES, calls_of, data_of, redescribed, zipped
from numpy.testing import assert_allclose

import rnngraph as rg
from rnngraph.formats.keras.core.hdf5 import Hdf5


@pytest.mark.parametrize("name", FILES)
def test_numbers_are_those_of_keras(name: str) -> None:
    net = rg.read_keras(data_of(name))
    program = net.program()
    for feeds, expected in calls_of(name):
        actual = program.inference(feeds)
        assert [*actual] == [*expected] == [*net.outputs]
        assert set(net.inputs) == set(feeds)
        for output, array in expected.items():
            assert_allclose(actual[output], array, atol=2e-6)


@pytest.mark.parametrize("name", ["sequential2", "sequential3"])
def test_a_net_without_later_steps_streams(name: str) -> None:
    (feeds, expected), *_ = calls_of(name)
    stream = rg.read_keras(data_of(name)).program().inference.stream(batch=3)
    steps = [stream.step(letters=feeds["letters"][:, t])["scores"] for t in range(7)]
    assert_allclose(np.stack(steps, 1), expected["scores"], atol=2e-6)


def test_equal_layers_are_a_stack_and_others_are_not() -> None:
    script = rg.read_keras(data_of("sequential3")).script()
    assert "rg.MultiRNNCell([rg.BasicLSTMCell(5, forget_bias=0.0) for _ in range(2)])" in script
    assert script.count("rg.dynamic_rnn(") == 2
    assert "mask=mask, scope='lstm'" in script
    assert "recurrent_activation='hard_sigmoid_keras3'" in script
    assert "recurrent_activation='hard_sigmoid'" in rg.read_keras(data_of("sequential2")).script()


def test_a_saved_net_is_a_module_with_the_same_program(tmp_path: Path) -> None:
    for name in ("functional3", "sequential2"):
        net = rg.read_keras(data_of(name))
        net.save(tmp_path / name)
        names: dict[str, Any] = {"__file__": str(tmp_path / name / "net.py")}
        exec(compile((tmp_path / name / "net.py").read_text(), "net.py", "exec"), names)
        (feeds, _), *_ = calls_of(name)
        program = net.program()
        assert program.parameters.keys() == net.parameters.keys()
        for output, array in names["program"].inference(feeds).items():
            assert np.array_equal(array, program.inference(feeds)[output], equal_nan=True)


def test_a_net_trains_on_with_its_dropout() -> None:
    net = rg.read_keras(data_of("sequential3"))
    program = net.program(loss=rg.reduce_mean(rg.square(net.outputs["scores"] - 0.2)))
    (feeds, _), *_ = calls_of("sequential3")
    one, other = (program.training(feeds, seed=seed)["loss"] for seed in (1, 2))
    assert one != other
    before = program.evaluate(feeds)["loss"]
    trainer = rg.Trainer(program, rg.Adam(1e-2))
    for _ in range(10):
        trainer.step(feeds)
    assert program.evaluate(feeds)["loss"] < before


def test_names_of_a_file_are_only_text_in_scripts() -> None:
    nasty = "a'\"\n\\); import os #"

    def rename(described: dict[str, Any]) -> None:
        described["config"]["layers"][0]["config"]["name"] = "in'put"
        described["config"]["layers"][2]["config"]["name"] = nasty
        described["config"]["layers"][-1]["config"]["name"] = nasty

    net = rg.read_keras(redescribed(data_of("sequential2"), rename))
    assert [*net.inputs] == ["in'put"]
    assert [*net.outputs] == [nasty]
    tree = ast.parse(net.script())
    assert [node.names[0].name for node in ast.walk(tree) if isinstance(node, ast.Import)] == ["rnngraph"]
    assert nasty in {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def test_a_path_is_read_as_its_bytes_are(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(data_of("functional3"))
    assert rg.read_keras(tmp_path / "net.keras").script() == rg.read_keras(data_of("functional3")).script()
    assert rg.read_keras(str(tmp_path / "net.keras")).outputs.keys() == {"last", "mean", "bidirectional"}


def _dropped(kind: str, options: dict[str, Any], x: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return the program of a dropout layer, and the result of its training graph for x."""
    source = {"batch_shape": [None, None, 40], "dtype": "float32", "name": "x"}
    layers = [("InputLayer", source), (kind, {"name": "drop", "rate": 0.25, **options})]
    described = [{"class_name": name, "module": "keras.layers", "config": config} for name, config in layers]
    whole = {"class_name": "Sequential", "module": "keras", "config": {"name": "net", "layers": described}}
    weights = io.BytesIO()
    h5py.File(weights, "w").close()
    members = {"metadata.json": b'{"keras_version": "3.15.1"}', "config.json": json.dumps(whole).encode()}
    net = rg.read_keras(zipped(members | {"model.weights.h5": weights.getvalue()}))
    (output,) = net.outputs.values()
    program = net.program(loss=rg.reduce_sum(output))
    np.testing.assert_array_equal(program.inference(x=x)["drop"], x)
    return program, program.training(x=x, seed=3)["drop"]


@pytest.mark.parametrize(("kind", "options"), [("SpatialDropout1D", {}), ("Dropout", {"noise_shape": [None, 1, None]})])
def test_one_mask_for_all_steps(kind: str, options: dict[str, Any]) -> None:
    x = np.ones((3, 7, 40), np.float32)
    program, drawn = _dropped(kind, options, x)
    assert set(np.unique(drawn).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    np.testing.assert_array_equal(drawn, np.broadcast_to(drawn[:, :1], drawn.shape))
    assert len({row.tobytes() for row in drawn[:, 0]}) == 3
    program.inference.stream(batch=3).step(x=x[:, 0])


def test_one_mask_of_alpha_dropout_for_all_steps() -> None:
    x = np.ones((3, 7, 40), np.float32)
    drawn = _dropped("AlphaDropout", {"noise_shape": [None, 1, None]}, x)[1]
    assert len(np.unique(drawn)) == 2
    np.testing.assert_array_equal(drawn, np.broadcast_to(drawn[:, :1], drawn.shape))


def _of_seven_steps(description: dict[str, Any]) -> None:
    """Give the input of a sequential net a length of seven steps."""
    for layer in description["config"]["layers"]:
        if layer["class_name"] == "InputLayer":
            layer["config"] |= {key: [None, 7] for key in layer["config"] if key.startswith("batch")}


def test_declared_steps_are_opened_and_streamed() -> None:
    data = redescribed(data_of("sequential2"), _of_seven_steps)
    assert rg.read_keras(data).sizes["letters"] == {0: "B", 1: 7}
    net = rg.read_keras(data, open={"letters": {1: "steps"}}, fixed={"letters": {0: 3}})
    assert net.sizes["letters"] == {0: 3, 1: "steps"}
    assert "axis 0 is 3, by fixed=; axis 1 is open (steps)" in str(net)
    (feeds, expected), *_ = calls_of("sequential2")
    stream = net.program().inference.stream(batch=3)
    steps = [stream.step(letters=feeds["letters"][:, t])["scores"] for t in range(7)]
    assert_allclose(np.stack(steps, 1), expected["scores"], atol=2e-6)
    with pytest.raises(rg.ArgumentError, match="fixed= has size 8 for axis 1 of letters, but the file has 7"):
        rg.read_keras(data, fixed={"letters": {1: 8}})
    with pytest.raises(rg.NameLookupError, match="did you mean letters"):
        rg.read_keras(data, open={"leters": {1: "T"}})


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (2.0, -2.0)])
def test_tensorflows_clip_takes_its_lower_bound_first(bounds: tuple[float, float]) -> None:
    """With reversed bounds, ``keras.ops.clip`` returns the upper one and ``tf.clip_by_value`` the lower one."""
    keywords = dict(zip(("clip_value_min", "clip_value_max"), bounds, strict=True))
    layers = [
        {
            "class_name": "InputLayer",
            "name": "x",
            "inbound_nodes": [],
            "config": {"name": "x", "batch_input_shape": [None, 8], "dtype": "float32"},
        },
        {
            "class_name": "TFOpLambda",
            "name": "clip",
            "inbound_nodes": [["x", 0, 0, keywords]],
            "config": {"name": "clip", "trainable": True, "function": "clip_by_value"},
        },
    ]
    config = {"name": "net", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["clip", 0, 0]]}
    whole = {"class_name": "Functional", "module": "keras", "config": config}
    weights = io.BytesIO()
    h5py.File(weights, "w").close()
    members = {"metadata.json": b'{"keras_version": "2.15.0"}', "config.json": json.dumps(whole).encode()}
    net = rg.read_keras(zipped(members | {"model.weights.h5": weights.getvalue()}))
    x = np.array([[-3, -1, 0, 1, 2, 5, np.nan, np.inf]], np.float32)
    wanted = np.where(np.isnan(x), x, np.maximum(np.minimum(x, bounds[1]), bounds[0]))
    np.testing.assert_array_equal(net.program().inference(x=x)["clip"], wanted)


@pytest.mark.parametrize("dtype", ["<f8", ">f8"])
def test_float64_is_read_as_float64_in_either_byte_order(dtype: str) -> None:
    data = io.BytesIO()
    with h5py.File(data, "w") as file:
        file.create_dataset("x", data=np.array([1 / 3]), dtype=dtype)
    array = Hdf5("weights", data.getvalue()).array("x")
    assert array.dtype == np.float64
    assert array[0] == 1 / 3
