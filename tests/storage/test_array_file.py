"""Arrays by name in ``.npz`` and ``.safetensors``: damaged files are refused, and other programs' files are read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from systems import not_on_windows

import rnngraph as rg
from rnngraph.storage.array_file import read_arrays, write_arrays

ARRAYS = {
    "rnn/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "rnn/scale": np.array(np.pi),
    "rnn/count": np.arange(3, dtype=np.int8),
    'of "quotes" \\ and é': np.zeros((0, 2), np.float16),
}


def check_equal(results: dict[str, np.ndarray]) -> None:
    assert results.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert results[name].dtype == array.dtype
        assert results[name].shape == array.shape
        assert results[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_arrays_are_read_as_written(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_arrays(path, ARRAYS, "arrays")
    check_equal(read_arrays(path, "arrays"))


@not_on_windows("NumPy turns a backslash in a name into a slash")
def test_an_npz_file_is_numpys(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS, "arrays")
    with np.load(tmp_path / "a.npz") as file:
        check_equal({name: file[name] for name in file.files})
    columns = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.savez_compressed(tmp_path / "b.npz", columns=columns)
    assert np.array_equal(read_arrays(tmp_path / "b.npz", "arrays")["columns"], columns)


def test_a_safetensors_file_is_others_too(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_arrays(path, ARRAYS, "arrays")
    check_equal(safetensors.numpy.load_file(path))
    first = path.read_bytes()
    write_arrays(path, ARRAYS, "arrays")
    assert path.read_bytes() == first


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"sha256": "of something else"}])
def test_files_without_a_digest_are_read(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors.numpy.save(ARRAYS, metadata))
    check_equal(read_arrays(path, "arrays"))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_every_flipped_bit_is_an_error_or_without_effect(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_arrays(path, ARRAYS, "arrays")
    whole, idle = path.read_bytes(), 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            actual = read_arrays(path, "arrays")
        except rg.FileError:
            continue
        check_equal(actual)
        idle += 1
    assert suffix == ".npz" or idle == 0  # changes of a zip's dates, versions and attributes have no effect


def test_cut_files_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_arrays(path, ARRAYS, "arrays")
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(rg.FileError, match=r"damaged, or not a \.safetensors file"):
            read_arrays(path, "arrays")


def test_a_header_that_announces_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (10**12,), "fortran_order": False, "descr": "<f8"})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("w.npy", header.getvalue() + bytes(80))
    with pytest.raises(rg.FileError, match=r"w\.npy has 80 bytes or more for float64\[1000000000000\]"):
        read_arrays(tmp_path / "a.npz", "arrays")
    np.savez(tmp_path / "b.npz", w=np.array([{}], object))
    with pytest.raises(rg.FileError, match=r"w\.npy holds pickled objects, which may run anything; write arrays of"):
        read_arrays(tmp_path / "b.npz", "arrays")


def test_a_small_file_of_many_zeros_is_refused_where_there_is_no_memory(tmp_path: Path) -> None:
    from unittest.mock import patch

    np.savez_compressed(tmp_path / "a.npz", w=np.zeros(20_000_000))
    assert (tmp_path / "a.npz").stat().st_size < 1_000_000
    with (
        patch("rnngraph.support.allocation.limits", lambda: iter([(100_000_000, "left")])),
        pytest.raises(rg.OutOfMemoryError, match=r"what .*a\.npz holds"),
    ):
        read_arrays(tmp_path / "a.npz", "arrays")
