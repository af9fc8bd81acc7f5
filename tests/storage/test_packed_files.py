"""Files of packed weights: what is read is what was written, or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rnngraph.runtime.native.object_cache import Cache
from rnngraph.storage import packed_files
from rnngraph.storage.packed_files import PackedFiles

KEY = "0" * 64
PARTS = [np.arange(100, dtype=np.uint8), np.zeros(1, np.uint8), np.full(4096, 7, np.uint8)]
SIZES = [part.size for part in PARTS]


@pytest.fixture
def files(tmp_path: Path) -> PackedFiles:
    files = PackedFiles(tmp_path / "cache" / "packed", Cache(tmp_path / "cache"))
    files.store(KEY, PARTS)
    return files


def only_file(files: PackedFiles) -> Path:
    (path,) = files.directory.iterdir()
    return path


def assert_parts(parts: list[np.ndarray] | None) -> None:
    assert parts is not None
    for part, expected in zip(parts, PARTS, strict=True):
        np.testing.assert_array_equal(part, expected)
        assert part.ctypes.data % 64 == 0


@pytest.mark.parametrize("is_mapped", [True, False])
def test_parts_are_read_back_aligned(files: PackedFiles, is_mapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_mapped:
        monkeypatch.setattr(packed_files, "shared_pages", lambda descriptor, count: None)
    assert_parts(files.load(KEY, SIZES))
    assert files.load("1" * 64, SIZES) is None
    assert files.load(KEY, SIZES[:-1]) is None


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def flip_in_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 64)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def rename(path: Path) -> None:
    path.rename(path.with_name("1" * 64 + path.suffix))


def open_to_all(path: Path) -> None:
    path.chmod(0o622)


def link(path: Path) -> None:
    path.rename(path.with_suffix(".other"))
    path.symlink_to(path.with_suffix(".other"))


@pytest.mark.parametrize("damage", [flip, flip_in_header, cut, empty, rename, open_to_all, link])
def test_a_damaged_or_unsafe_file_is_not_read(files: PackedFiles, damage: Callable[[Path], None]) -> None:
    damage(only_file(files))
    assert files.load(KEY, SIZES) is None
    assert files.load("1" * 64, SIZES) is None


def test_a_file_that_changes_after_its_digest_was_verified(files: PackedFiles) -> None:
    path = only_file(files)
    os.utime(path, ns=(1, 1))
    assert_parts(files.load(KEY, SIZES))
    flip(path)
    assert files.load(KEY, SIZES) is None


def test_a_removed_or_replaced_file_stays_readable(files: PackedFiles) -> None:
    parts = files.load(KEY, SIZES)
    files.store(KEY, [np.zeros_like(part) for part in PARTS])
    assert_parts(parts)
    only_file(files).unlink()
    assert_parts(parts)


def test_the_oldest_files_make_room(files: PackedFiles) -> None:
    files.max_bytes = 2 * only_file(files).stat().st_size
    os.utime(only_file(files), ns=(1, 1))
    for key in ("1" * 64, "2" * 64):
        files.store(key, PARTS)
    assert {path.stem for path in files.directory.iterdir()} == {"1" * 64, "2" * 64}
    files.max_bytes = 100
    files.store("3" * 64, PARTS)
    assert files.load("3" * 64, SIZES) is None
    assert_parts(files.load("2" * 64, SIZES))


def test_a_full_disk_is_left_alone(files: PackedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_files, "FREE_SHARE", 1 << 60)
    files.store("1" * 64, PARTS)
    assert files.load("1" * 64, SIZES) is None
