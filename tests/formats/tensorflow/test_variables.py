"""Checkpoints that TensorFlow wrote (``fixtures/generate_checkpoints.py``), intact, truncated and changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
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


def check_equal(actual: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert actual.keys() == wanted.keys()
    for name, array in wanted.items():
        assert actual[name].dtype == array.dtype, name
        assert np.array_equal(actual[name], array), name


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
    actual = rg.read_tf1_variables(FOLDER / "objects")
    actual.pop("save_counter/.ATTRIBUTES/VARIABLE_VALUE", None)
    check_equal(actual, written("objects"))


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
    with pytest.raises(rg.FileError, match=r"no file .*data-00000-of-00001; the folder has no data files"):
        rg.read_tf1_variables(tmp_path / "version2")
    data = (FOLDER / "version2.data-00000-of-00001").read_bytes()
    (tmp_path / "version2.data-00000-of-00001").write_bytes(data[:100])
    with pytest.raises(rg.FileError, match="is beyond the end of its data file"):
        rg.read_tf1_variables(tmp_path / "version2")


def check_changed(name: str, seeds: range, tmp_path: Path) -> None:
    """Change an index at random. It must raise a documented error, or be read."""
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


def check_flips(folder: Path, files: list[str], read: Callable[[], dict[str, np.ndarray]]) -> int:
    """Flip a bit of every byte of every file, each of which must raise an error or have no effect.

    Return the number of flips without effect.
    """
    wanted, idle = read(), 0
    for name in files:
        whole = (folder / name).read_bytes()
        for place in range(len(whole)):
            (folder / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
            try:
                actual = read()
            except rg.RnnGraphError:
                continue
            check_equal(actual, wanted)
            idle += 1
        (folder / name).write_bytes(whole)
    return idle


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("version2", ["version2.index", "version2.data-00000-of-00001"]),
        ("version1", ["version1"]),
        ("objects", ["objects.index", "objects.data-00000-of-00001"]),
    ],
)
def test_every_changed_byte_is_an_error_or_without_effect(name: str, files: list[str], tmp_path: Path) -> None:
    for file in files:
        shutil.copy(FOLDER / file, tmp_path)
    idle = check_flips(tmp_path, files, lambda: rg.read_tf1_variables(tmp_path / name))
    assert idle <= 1  # a varint padded with a zero byte has the same value


def test_a_damaged_name_is_an_error(tmp_path: Path) -> None:
    """Changing the lowest bit of a letter in a variable's name leaves the table sorted."""
    whole = (FOLDER / "version2.index").read_bytes()
    shutil.copy(FOLDER / "version2.data-00000-of-00001", tmp_path)
    place = whole.index(b"kernel")
    (tmp_path / "version2.index").write_bytes(whole[:place] + b"j" + whole[place + 1 :])
    with pytest.raises(rg.FileError, match=r"the block of \d+ bytes at 0 does not have the checksum"):
        rg.read_tf1_variables(tmp_path / "version2")


def test_a_damaged_number_is_an_error(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "version2.index", tmp_path)
    data = bytearray((FOLDER / "version2.data-00000-of-00001").read_bytes())
    data[7] ^= 1
    (tmp_path / "version2.data-00000-of-00001").write_bytes(data)
    with pytest.raises(rg.FileError, match=r"the bytes of \S+ do not have the checksum .*; use"):
        rg.read_tf1_variables(tmp_path / "version2")
