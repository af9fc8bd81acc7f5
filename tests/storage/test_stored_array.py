"""Arrays that stay in their file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from systems import not_on_windows

from rnngraph.errors import FileError
from rnngraph.storage.array_file import safetensors_of
from rnngraph.storage.sealed_safetensors import arrays_in, stored_arrays_in
from rnngraph.storage.stored_array import StoredArray, StoredFile, as_array

ARRAYS = {
    "empty": np.zeros((0, 3), np.float32),
    "scalar": np.array(2.5),
    "flags": np.array([True, False, True]),
    "matrix": np.arange(35, dtype=np.float32).reshape(5, 7),
    "numbers": np.arange(3),
}


def opened(path: Path, arrays: dict[str, np.ndarray] = ARRAYS) -> StoredFile:
    path.write_bytes(b"".join(safetensors_of(arrays)))
    return StoredFile(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), str(path))


def test_stored_arrays_equal_those_of_reading_all(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.safetensors")
    stored, read = stored_arrays_in(file), arrays_in((tmp_path / "a.safetensors").read_bytes())
    assert [*stored] == [*read]
    assert isinstance(stored["matrix"], StoredArray)
    for name, array in read.items():
        second = as_array(stored[name])
        np.testing.assert_array_equal(second, array, strict=True)
        assert not second.flags.writeable


def test_reading_without_preadv_gives_the_same_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = stored_arrays_in(opened(tmp_path / "a.safetensors"))
    monkeypatch.delattr(os, "preadv", raising=False)  # as on Windows, which lacks preadv
    np.testing.assert_array_equal(as_array(stored["matrix"]), ARRAYS["matrix"])


@pytest.mark.parametrize("change", ["shrinks", "grows", "is rewritten"])
def test_a_file_that_changes_is_an_error(change: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    file = opened(path)
    stored = stored_arrays_in(file)
    status = os.stat(path)
    if change == "shrinks":
        os.truncate(path, status.st_size - 60)
    elif change == "grows":
        os.truncate(path, status.st_size + 60)
    else:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))
    with pytest.raises(FileError, match=r"a\.safetensors has changed since it was loaded; load it again"):
        as_array(stored["matrix"])


@not_on_windows("an open file is not replaced")
def test_a_file_that_is_replaced_or_removed_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    stored = stored_arrays_in(opened(path))
    (tmp_path / "b").write_bytes(b"other")
    os.replace(tmp_path / "b", path)
    np.testing.assert_array_equal(as_array(stored["matrix"]), ARRAYS["matrix"])
    path.unlink()
    np.testing.assert_array_equal(as_array(stored["matrix"]), ARRAYS["matrix"])


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 40, 200])
def test_a_file_that_ends_early_is_an_error(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"".join(safetensors_of(ARRAYS))[:size])
    file = StoredFile(os.open(path, os.O_RDONLY), str(path))
    with pytest.raises(ValueError, match=r"header|tensors|place"):
        stored_arrays_in(file)


def test_a_closed_file_frees_its_descriptor(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.safetensors")
    descriptor = file.descriptor
    del file
    with pytest.raises(OSError, match=r"Bad file descriptor|handle"):
        os.fstat(descriptor)
