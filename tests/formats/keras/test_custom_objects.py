"""Files with users' own classes, which the caller declares, against NumPy."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_files import zipped
from numpy.testing import assert_allclose

import rnngraph as rg


def min_gru(config: dict[str, Any]) -> Any:
    return rg.MinGRUCell(config["units"])


def named_min_gru(config: dict[str, Any]) -> Any:
    return rg.MinGRUCell(config["units"]), ["kernel", "bias"]


def scale(config: dict[str, Any]) -> Any:
    return lambda x: x * rg.parameter(f"{config['name']}/gain", (x.width,), "ones")


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape).astype(np.float32)


KERNEL, BIAS, GAIN = numbers(3, 10), numbers(10), numbers(5)


def file_of(layers: list[tuple[str, dict[str, Any]]], arrays: dict[str, np.ndarray]) -> bytes:
    """Return a ``.keras`` file of a Sequential net."""
    described = [
        {
            "class_name": kind,
            "module": "keras.layers" if kind == "RNN" else None,
            "config": config | {"trainable": True},
        }
        for kind, config in layers
    ]
    source = {
        "class_name": "InputLayer",
        "module": "keras.layers",
        "config": {"name": "x", "batch_shape": [None, None, 3], "dtype": "float32"},
    }
    net = {"class_name": "Sequential", "module": "keras", "config": {"name": "net", "layers": [source, *described]}}
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, array in arrays.items():
            file[path] = array
    members = {"metadata.json": b'{"keras_version": "3.15.1"}', "config.json": json.dumps(net).encode()}
    return zipped(members | {"model.weights.h5": buffer.getvalue()})


def with_a_cell(returns: bool = True) -> bytes:
    cell = {"class_name": "MinGRUCell", "module": None, "config": {"name": "cell", "units": 5, "trainable": True}}
    rnn = ("RNN", {"name": "rnn", "cell": cell, "return_sequences": returns})
    arrays = {"layers/rnn/cell/vars/0": KERNEL, "layers/rnn/cell/vars/1": BIAS, "layers/scale/vars/0": GAIN}
    return file_of([rnn, ("Scale", {"name": "gains"})], arrays)


def expected(x: np.ndarray) -> np.ndarray:
    h, outputs = np.zeros((len(x), 5)), []
    for step in np.moveaxis(x.astype(np.float64), 1, 0):
        both = step @ KERNEL + BIAS
        z = 1 / (1 + np.exp(-both[:, :5]))
        h = (1 - z) * h + z * both[:, 5:]
        outputs.append(h * GAIN)
    return np.stack(outputs, 1)


@pytest.mark.parametrize("builder", [min_gru, named_min_gru])
def test_a_cell_and_a_layer(builder: Any) -> None:
    net = rg.read_keras(with_a_cell(), custom_objects={"MinGRUCell": builder, "Scale": scale})
    assert {*net.parameters} == {"rnn/min_gru_cell/kernel", "rnn/min_gru_cell/bias", "gains/gain"}
    program = net.program()
    for rows, steps in ((1, 1), (3, 7)):
        x = numbers(rows, steps, 3)
        assert_allclose(program.inference(x)["gains"], expected(x), atol=1e-6)
    assert f"from {__name__} import {builder.__name__}" in net.script()
    names: dict[str, Any] = {}
    exec(net.script().replace("program.parameters.load", "(lambda path: None)").replace("__file__", "'net.py'"), names)
    names["program"].parameters.load(net.parameters)
    assert_allclose(names["program"].inference(x)["gains"], expected(x), atol=1e-6)


def test_the_last_step_alone() -> None:
    net = rg.read_keras(with_a_cell(False), custom_objects={"MinGRUCell": min_gru, "Scale": scale})
    x = numbers(2, 7, 3)
    assert_allclose(net.program().inference(x)["gains"], expected(x)[:, -1], atol=1e-6)


def test_a_recurrent_layer_with_its_arrays_in_an_inner_cell() -> None:
    arrays = {"layers/min_gru/rnn/cell/vars/0": KERNEL, "layers/min_gru/rnn/cell/vars/1": BIAS}
    data = file_of([("MinGRU", {"name": "first", "units": 5})], arrays)
    net = rg.read_keras(data, custom_objects={"MinGRU": min_gru})
    assert {*net.parameters} == {"first/min_gru_cell/kernel", "first/min_gru_cell/bias"}
    x = numbers(2, 7, 3)
    assert_allclose(net.program().inference(x)["first"] * GAIN, expected(x), atol=1e-6)


def wrong_order(config: dict[str, Any]) -> Any:
    return rg.MinGRUCell(config["units"]), ["bias", "kernel"]


def wrong_name(config: dict[str, Any]) -> Any:
    return rg.MinGRUCell(config["units"]), ["weight", "kernel"]


@pytest.mark.parametrize(
    ("builder", "error", "text"),
    [
        (wrong_order, rg.StructureError, r"arrays \[\[3, 10\], \[10\]\] of layer 'cell'.*names in the order"),
        (
            wrong_name,
            rg.StructureError,
            "names 'weight', which matches 0 parameters; give the end of one name among rnn/min_gru_cell/kernel",
        ),
        (lambda config: 3, rg.StructureError, "must return an rg.Cell, not 3"),
        (lambda config: config["width"], rg.ArgumentError, "raised KeyError: 'width'"),
        (3, rg.DtypeError, "custom_objects has 3 for MinGRUCell"),
    ],
)
def test_builders_that_are_wrong(builder: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        rg.read_keras(with_a_cell(), custom_objects={"MinGRUCell": builder, "Scale": scale})


def test_a_script_needs_a_builder_that_can_be_imported() -> None:
    net = rg.read_keras(with_a_cell(), custom_objects={"MinGRUCell": lambda config: min_gru(config), "Scale": scale})
    with pytest.raises(rg.ArgumentError, match="move it to the top level of a module"):
        net.script()


def published_min_gru(config: dict[str, Any]) -> Any:
    """Declare mingru-keras' layer, whose inner layers are stored in alphabetical order."""

    def layer(x: rg.Tensor) -> rg.Tensor:
        z = rg.dense(x, config["units"], "sigmoid", name=f"{config['name']}/gate")
        c = rg.dense(x, config["units"], name=f"{config['name']}/candidate")
        return rg.dynamic_rnn(rg.MinGRUCell(config["units"]), {"z": z, "c": c})[0]

    return layer, ["candidate/kernel", "candidate/bias", "gate/kernel", "gate/bias"]


@pytest.mark.peers
@pytest.mark.exhaustive
def test_the_layer_of_mingru_keras(tmp_path: Path) -> None:
    keras, package = (pytest.importorskip(name, exc_type=ImportError) for name in ("keras", "mingru_keras"))
    layers = [keras.Input((None, 6)), package.MinGRU(5), package.MinGRU(4), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    model.save(tmp_path / "net.keras")
    net = rg.read_keras(tmp_path / "net.keras", custom_objects={"MinGRU": published_min_gru})
    (sizes,) = net.sizes.values()
    assert sizes[1] == "T"
    x, program = numbers(2, 11, 6), net.program()
    (whole,) = program.inference(x).values()
    assert_allclose(whole, keras.ops.convert_to_numpy(model(x)), atol=1e-6)
    stream = program.inference.stream(batch=2)
    for step in range(11):
        (y,) = stream.step(x[:, step]).values()
        assert np.array_equal(y, whole[:, step])
