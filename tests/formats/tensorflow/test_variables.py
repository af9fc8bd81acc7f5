"""Checkpoints that TensorFlow wrote (``fixtures/generate_checkpoints.py``), whole, cut and changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from changed_files import changed

import rnngraph as rg

FOLDER = Path(__file__).parents[2] / "fixtures" / "checkpoints"
IN_VERSION_1 = ("float32", "float64", "int64", "int32", "int8", "uint8", "bool")


def written(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as file:
        return {key.replace("|", "/"): file[key] for key in file.files}


def check_equal(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype, name
        assert np.array_equal(found[name], array), name


@pytest.mark.parametrize("path", ["version2", "version2.index"])
def test_version_2(path: str) -> None:
    check_equal(rg.read_tf1_variables(FOLDER / path), written("graph"))


def test_version_1() -> None:
    wanted = {
        name: array
        for name, array in written("graph").items()
        if str(array.dtype) in IN_VERSION_1 and name != "of/bfloat16"
    }
    check_equal(rg.read_tf1_variables(FOLDER / "version1"), wanted)


def test_variables_of_objects_have_their_own_names() -> None:
    found = rg.read_tf1_variables(FOLDER / "objects")
    found.pop("save_counter/.ATTRIBUTES/VARIABLE_VALUE", None)
    check_equal(found, written("objects"))


def test_names_are_those_of_our_parameters() -> None:
    x = rg.placeholder("x", (None, None, 2))
    program = rg.compile(rg.dynamic_rnn(rg.BasicLSTMCell(5), x)[0])
    program.parameters.load(rg.read_tf1_variables(FOLDER / "version2"), strict=False)
    name = "rnn/basic_lstm_cell/kernel"
    assert np.array_equal(program.parameters[name], written("graph")[name])


def test_missing_and_cut_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(rg.FileError, match=r"no file .*none\.index"):
        rg.read_tf1_variables(tmp_path / "none")
    shutil.copy(FOLDER / "version2.index", tmp_path)
    with pytest.raises(rg.FileError, match=r"no file .*data-00000-of-00001; there are no data files"):
        rg.read_tf1_variables(tmp_path / "version2")
    data = (FOLDER / "version2.data-00000-of-00001").read_bytes()
    (tmp_path / "version2.data-00000-of-00001").write_bytes(data[:100])
    with pytest.raises(rg.FileError, match="reaches beyond the end of its data file"):
        rg.read_tf1_variables(tmp_path / "version2")


def check_changed(name: str, seeds: range, tmp_path: Path) -> None:
    """Changed indices give an error of ours, or arrays of whatever they say."""
    whole = (FOLDER / name).read_bytes()
    shutil.copy(FOLDER / "version2.data-00000-of-00001", tmp_path)
    for seed in seeds:
        (tmp_path / name).write_bytes(changed(whole, seed))
        try:
            rg.read_tf1_variables(tmp_path / name)
        except rg.RnnGraphError:
            continue


@pytest.mark.parametrize("name", ["version2.index", "version1"])
def test_changed_files(name: str, tmp_path: Path) -> None:
    check_changed(name, range(300), tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["version2.index", "version1"])
def test_many_changed_files(name: str, tmp_path: Path) -> None:
    check_changed(name, range(300, 10_300), tmp_path)
