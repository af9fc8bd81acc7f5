"""Parameters as a mapping: assigned values, files, other names, and sharing between programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg

X = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)


def declared() -> tuple[rg.Tensor, rg.Tensor]:
    x = rg.placeholder("x", (None, None, 4))
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.LSTMCell(7), rg.NASCell(3)]), x)
    return outputs, rg.dense(outputs, 2)


def compiled(seed: int = 0) -> rg.Program:
    return rg.compile({"y": declared()[1]}, seed=seed)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_file_contains_all_parameters(tmp_path: Path, suffix: str) -> None:
    program, other = compiled(1), compiled(2)
    program.parameters.save(tmp_path / f"weights.{suffix}")
    assert not np.array_equal(other.inference(x=X)["y"], program.inference(x=X)["y"])
    other.parameters.load(str(tmp_path / f"weights.{suffix}"))
    assert_array_equal(other.inference(x=X)["y"], program.inference(x=X)["y"])
    assert list(other.parameters) == list(program.parameters)


def test_names_of_another() -> None:
    program, other = compiled(1), compiled(2)
    theirs = {f"model.{name}:0": array for name, array in program.parameters.items()}
    variants: list[Any] = [
        {f"model.{name}": name for name in program.parameters},
        {name: f"model.{name}" for name in program.parameters},
        lambda name: name.removeprefix("model."),
    ]
    for rename in variants:
        other.initialize(2)
        other.parameters.load(theirs, rename=rename)
        assert_array_equal(other.inference(x=X)["y"], program.inference(x=X)["y"])


def test_two_parameters_change_places() -> None:
    first, second = rg.parameter("first", (2,)), rg.parameter("second", (2,))
    program = rg.compile({"first": first, "second": second})
    inputs = {"first": [1.0, 2.0], "second": [3.0, 4.0]}
    for strict in (True, False):
        program.parameters.load(inputs, rename={"first": "second", "second": "first"}, strict=strict)
        assert program.parameters["first"].tolist() == [3, 4]
        assert program.parameters["second"].tolist() == [1, 2]


def test_a_name_refers_to_one_array() -> None:
    program = compiled()
    kernel = program.parameters["dense/kernel"]
    with pytest.raises(rg.NameLookupError, match=r"two arrays are given for 'dense/kernel': .*'dense/kernel:0'"):
        program.parameters.load({**program.parameters, "dense/kernel:0": kernel + 1})
    theirs = {**program.parameters, "other": kernel + 1}
    for rename in ({"other": "dense/kernel"}, lambda name: name.replace("other", "dense/kernel")):
        for strict in (True, False):
            with pytest.raises(rg.NameLookupError, match="two arrays are given for 'dense/kernel'"):
                program.parameters.load(theirs, rename=rename, strict=strict)
    for idle in ({"nothing": "dense/kernel"}, {"dense/kernel": "nothing"}, {"nothing": "neither"}):
        with pytest.raises(rg.NameLookupError, match="rename= has"):
            program.parameters.load(dict(program.parameters), rename=idle)
        program.parameters.load(dict(program.parameters), rename=idle, strict=False)


def test_loading_is_all_or_nothing() -> None:
    program = compiled()
    before = {name: np.array(array) for name, array in program.parameters.items()}
    changed = {name: array + 1 for name, array in before.items()}
    for bad in ({**changed, "dense/bias": np.zeros(3)}, {**changed, "more": np.zeros(3)}, {"dense/bias": np.ones(2)}):
        with pytest.raises(rg.RnnGraphError, match=r"test_parameters\.py:\d+"):
            program.parameters.load(bad)
        for name, array in program.parameters.items():
            assert_array_equal(array, before[name])
    program.parameters.load({"dense/bias": [3, 4], "more": np.zeros(3)}, strict=False)
    assert_array_equal(program.parameters["dense/bias"], np.array([3, 4], np.float32))
    assert_array_equal(program.parameters["dense/kernel"], before["dense/kernel"])


def test_values_are_read_only_and_changes_reach_live_streams() -> None:
    program = compiled()
    with pytest.raises(ValueError, match="read-only"):
        program.parameters["dense/bias"][0] = 1
    stream = program.inference.stream(batch=3)
    first = stream.step(x=X[:, 0])["y"]
    with program.parameters.edit("dense/bias") as bias:
        bias += 5.0
    second = stream.step(x=X[:, 1])["y"]
    program.parameters["dense/bias"] = np.zeros(2, np.float64)
    assert program.parameters["dense/bias"].dtype == np.float32
    whole = program.inference(x=X)["y"]
    assert_allclose(first, whole[:, 0], atol=1e-6)
    assert_allclose(second, whole[:, 1] + 5.0, atol=1e-5)
    with pytest.raises(ZeroDivisionError), program.parameters.edit("dense/bias") as bias:
        bias += 1 / 0
    assert not program.parameters["dense/bias"].any()


@pytest.mark.filterwarnings("ignore:.*drawn anew:UserWarning")
def test_a_program_continues_with_the_parameters_of_another() -> None:
    outputs, y = declared()
    program = rg.compile({"y": y}, seed=1)
    names = list(program.parameters)
    for source in (program, program.parameters):
        other = rg.compile({"y": y, "z": rg.dense(outputs, 3)}, seed=5, parameters=source)
        assert list(other.parameters)[: len(names)] == names
        assert list(other.parameters)[len(names) :] == ["dense_1/kernel", "dense_1/bias"]
    program.parameters["dense/bias"] = [7.0, 8.0]
    assert_array_equal(other.parameters["dense/bias"], np.array([7, 8], np.float32))
    assert_array_equal(other.inference(x=X)["y"], program.inference(x=X)["y"])


def test_an_empty_name_is_no_name() -> None:
    x = rg.placeholder("x", (None, 2, 4))
    layers = rg.dense(rg.dense(x, 2, name=""), 2, name="")
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(2), layers, scope="")
    outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(2), outputs, scope="")
    scopes = {name.partition("/")[0] for name in rg.compile(outputs).parameters}
    assert scopes == {"dense", "dense_1", "rnn", "rnn_1"}


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda p: p.save("weights.txt"), rg.ArgumentError, "use .npz or .safetensors"),
        (lambda p: p.save(3), rg.DtypeError, "give a path"),
        (lambda p: p.load("nothing.npz"), rg.FileError, "no file nothing.npz"),
        (lambda p: p.load(None), rg.DtypeError, "give a mapping, or a .npz or .safetensors path"),
        (lambda p: p.load(dict(p), rename=3), rg.DtypeError, "rename= must be a mapping"),
        (lambda p: p.load({}), rg.NameLookupError, "missing: rnn/multi_rnn_cell/cell_0/lstm_cell/kernel"),
        (lambda p: p.load({**p, "more": 1}), rg.NameLookupError, "unknown: more"),
        (lambda p: p.load({**p, "dense/bias": ["a", "b"]}), rg.DtypeError, "can't be converted"),
        (lambda p: p["more"], rg.NameLookupError, "no parameter is named 'more'"),
        (lambda p: p.__setitem__("dense/bias", np.zeros(3)), rg.ShapeError, "has shape (2,), not (3,)"),
        (lambda p: rg.compile(declared()[1], parameters=dict(p)), rg.DtypeError, "program.parameters.load(arrays)"),
        (
            lambda p: rg.compile(declared()[1], parameters="net"),
            rg.DtypeError,
            "write rg.load(path) for a saved program",
        ),
    ],
)
def test_mistakes(act: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        act(compiled().parameters)
    assert words in str(caught.value)


def test_an_edited_array_is_read_only_after_its_block() -> None:
    program = compiled()
    name = next(iter(program.parameters))
    with program.parameters.edit(name) as array:
        array[...] = 2
    assert (program.parameters[name] == 2).all()
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 3
    block = program.parameters.edit(name)
    array = block.__enter__()
    array[...] = 4
    assert not block.__exit__(KeyError, KeyError("x"), None)
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 5
    assert (program.parameters[name] == 2).all()


def test_parameters_that_store_narrow_numbers(tmp_path: Path) -> None:
    values = np.linspace(-3, 3, 12).reshape(3, 4).astype(np.float32)
    stored = {
        "whole": rg.parameter("whole", (3, 4), values, False, "int8"),
        "bytes": rg.parameter("bytes", (3, 4), np.abs(values), False, "uint8"),
        "half": rg.parameter("half", (3, 4), values, False, "bfloat16"),
    }
    program = rg.compile({name: rg.cast(item, "float32") for name, item in stored.items()})
    assert [str(array.dtype) for array in program.parameters.values()] == ["int8", "uint8", "uint16"]
    program.save(tmp_path / "net.rnn")
    program.parameters.save(tmp_path / "weights.safetensors")
    for loaded in (program, rg.load(tmp_path / "net.rnn")):
        actual = loaded.inference({})
        assert_array_equal(actual["whole"], np.trunc(values))
        assert_array_equal(actual["bytes"], np.trunc(np.abs(values)))
        assert_allclose(actual["half"], values, rtol=2**-8)
    program.parameters["half"] = np.full((3, 4), 1.001)  # values are rounded
    assert (program.inference({})["half"] == 1).all()
    program.parameters.load(tmp_path / "weights.safetensors")  # bits are loaded unchanged
    assert_array_equal(program.inference({})["half"], actual["half"])
