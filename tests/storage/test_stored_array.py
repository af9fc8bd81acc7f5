"""Arrays that stay in their file."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from systems import not_on_windows

from rnngraph.errors import FileError
from rnngraph.storage import stored_array
from rnngraph.storage.array_file import safetensors_of
from rnngraph.storage.sealed_safetensors import arrays_in, stored_arrays_in
from rnngraph.storage.stored_array import Encoding, StoredArray, StoredFile, as_array, borrowed

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


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_encoded_arrays_are_decoded_in_pieces_of_whole_blocks(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks are a byte that is skipped, and two bytes that become numbers."""
    monkeypatch.setattr(stored_array, "_PIECE_BYTES", 7)

    def decode(data: np.ndarray) -> np.ndarray:
        return data.reshape(-1, 3)[:, 1:].ravel().astype(np.float32)

    content = np.arange(3 * count + 2, dtype=np.uint8)
    (tmp_path / "a").write_bytes(content.tobytes())
    file = StoredFile(os.open(tmp_path / "a", os.O_RDONLY | getattr(os, "O_BINARY", 0)), "a")
    stored = StoredArray(file, 2, np.dtype(np.float32), (count, 2), Encoding("pairs", 3, 2, decode))
    expected = decode(content[2:]).reshape(count, 2)
    np.testing.assert_array_equal(stored.read(), expected, strict=True)
    assert b"".join(map(bytes, stored.pieces())) == expected.tobytes()


def test_the_identity_of_a_file_changes_with_its_contents_times_and_inode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity(path: Path) -> str:
        file = opened(path, {"a": np.arange(100_000)}) if not path.exists() else reopened(path)
        file.identify()
        return file.identity

    def reopened(path: Path) -> StoredFile:
        return StoredFile(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), str(path))

    path = tmp_path / "a.safetensors"
    assert identity(path) == "", "a file that is just written could change again without a new time"
    monkeypatch.setattr(stored_array, "_CLOCK_NS", -(10**18))
    seen = [identity(path), identity(path), identity(tmp_path / "b.safetensors")]
    os.utime(path, ns=(0, 10**18))
    seen.append(identity(path))
    monkeypatch.setattr(stored_array, "identity_numbers", lambda status: ())  # as on file systems without times
    seen.append(identity(path))
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\7")
    seen.append(identity(path))
    assert seen[0] == seen[1]
    assert len({*seen}) == len(seen) - 1


def large(path: Path) -> tuple[StoredFile, StoredArray]:
    """Return a file with one array of 2 MB."""
    file = opened(path, {"matrix": np.arange(1 << 19, dtype=np.float32)})
    array = stored_arrays_in(file)["matrix"]
    assert isinstance(array, StoredArray)
    return file, array


def is_own_memory(array: np.ndarray) -> bool:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
def test_who_truncates_a_borrowed_array_waits_until_it_is_returned(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    file, array = large(path)
    command = [sys.executable, "-c", f"import os; os.truncate({str(path)!r}, 10)"]
    with contextlib.ExitStack() as stack:
        arrays = stack.enter_context(borrowed({"matrix": array}))
        if is_own_memory(arrays["matrix"]):
            pytest.skip("the file system has no leases")
        truncating = subprocess.Popen(command)
        with pytest.raises(subprocess.TimeoutExpired):
            truncating.wait(1)
        assert arrays["matrix"][-1] == (1 << 19) - 1
    assert truncating.wait() == 0
    assert os.fstat(file.descriptor).st_size == 10
    with pytest.raises(FileError, match="has changed since it was loaded"), borrowed({"matrix": array}):
        pass


@pytest.mark.parametrize("is_leased", [True, False])
def test_borrowed_arrays_equal_read_ones(is_leased: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_leased:
        monkeypatch.setattr(stored_array, "leased_pages", lambda *_: contextlib.nullcontext(None))
    _, array = large(tmp_path / "a.safetensors")
    plain = np.arange(3)
    with borrowed({"matrix": array, "plain": plain}) as arrays:
        np.testing.assert_array_equal(arrays["matrix"], array.read(), strict=True)
        assert arrays["plain"] is plain
        assert not arrays["matrix"].flags.writeable
    assert not arrays


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
