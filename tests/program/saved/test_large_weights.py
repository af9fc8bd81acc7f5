"""Programs whose weights stay in their file, and the calls that ``keep=False`` refuses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import FileError, GraphError
from rnngraph.runtime.native import entry
from rnngraph.runtime.native.object_cache import Cache
from rnngraph.storage.packed_files import PackedFiles
from rnngraph.storage.stored_array import StoredArray, StoredFile

X = np.random.default_rng(0).normal(size=(2, 7, 40)).astype(np.float32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[rg.Program, Path]:
    """Return a program with 1.7 MB of parameters, and its path."""
    x = rg.placeholder("x", (None, None, 40))
    y, _ = rg.dynamic_rnn(rg.LSTMCell(300), x)
    logits = rg.dense(y, 30)
    program = rg.compile(logits, rg.reduce_mean(rg.square(logits)))
    path = tmp_path_factory.mktemp("saved") / "net"
    program.save(path)
    return program, path


def stored(program: rg.Program) -> list[bool]:
    return [isinstance(value, StoredArray) for value in program.parameters.stored()[1].values()]


def weights_file(path: Path) -> Path:
    (file,) = path.glob("*/weights.safetensors")
    return file


def test_calls_leave_packed_weights_in_the_file(saved: tuple[rg.Program, Path]) -> None:
    program, path = saved
    loaded = rg.load(path)
    assert all(stored(loaded))
    np.testing.assert_array_equal(loaded.inference(x=X), program.inference(x=X))
    assert all(stored(loaded))
    str(loaded.summary()), repr(loaded.parameters), loaded.inference.memory()
    assert all(stored(loaded))


def test_access_reads_a_parameter_once(saved: tuple[rg.Program, Path]) -> None:
    program, path = saved
    loaded = rg.load(path)
    name = next(iter(loaded.parameters))
    assert loaded.parameters[name] is loaded.parameters[name]
    np.testing.assert_array_equal(loaded.parameters[name], program.parameters[name])
    assert stored(loaded) == [False, True, True, True]


def test_training_editing_and_saving_are_as_from_memory(saved: tuple[rg.Program, Path], tmp_path: Path) -> None:
    program, path = saved
    loaded = rg.load(path)
    before = {name: array.copy() for name, array in program.parameters.items()}
    try:
        for one in (program, loaded):
            rg.Trainer(one, rg.SGD(0.1)).step(x=X)
            with one.parameters.edit("dense/bias") as bias:
                bias[:] = 1
        loaded.save(tmp_path / "again")
        restored = rg.load(tmp_path / "again")
        for name, array in program.parameters.items():
            np.testing.assert_array_equal(restored.parameters[name], array)
    finally:
        program.parameters.load(before)


def test_saving_over_the_file_of_a_loaded_program_does_it_no_harm(
    saved: tuple[rg.Program, Path], tmp_path: Path
) -> None:
    program, _ = saved
    path = tmp_path / "net"
    program.save(path)
    loaded = rg.load(path)
    loaded.parameters["dense/bias"] = np.ones(30)
    loaded.save(path)
    np.testing.assert_array_equal(loaded.inference(x=X), rg.load(path).inference(x=X))


def test_a_file_that_changes_before_it_is_read_is_an_error_and_later_no_matter(
    saved: tuple[rg.Program, Path], tmp_path: Path
) -> None:
    program, _ = saved
    path = tmp_path / "net"
    program.save(path)
    first, second = rg.load(path), rg.load(path)
    expected = first.inference(x=X)
    os.truncate(weights_file(path), 1000)
    with pytest.raises(FileError, match="has changed since it was loaded; load it again"):
        second.inference(x=X)
    np.testing.assert_array_equal(first.inference(x=X), expected)
    with pytest.raises(FileError, match="1000 bytes instead of"):
        rg.load(path)


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_keep_false_rejects_access_to_the_dropped_weights(
    kind: str, saved: tuple[rg.Program, Path], tmp_path: Path
) -> None:
    program, path = saved
    narrow, loaded = rg.load(path, weights=kind), rg.load(path, weights=kind, keep=False)
    np.testing.assert_array_equal(loaded.inference(x=X), narrow.inference(x=X))
    np.testing.assert_array_equal(loaded.inference(x=X[:1]), narrow.inference(x=X[:1]))
    assert np.array_equal(loaded.inference.stream(batch=2).step(x=X[:, 0]), narrow.inference(x=X)[:, 0])
    assert str(loaded.summary()) == str(narrow.summary())
    np.testing.assert_array_equal(loaded.parameters["dense/bias"], program.parameters["dense/bias"])
    for attempt in (
        lambda: loaded.training(x=X),
        lambda: loaded.training.gradients(x=X),
        lambda: rg.Trainer(loaded, rg.SGD(0.1)),
        lambda: loaded.save(tmp_path / "other"),
        lambda: rg.dumps(loaded),
        lambda: loaded.parameters.save(tmp_path / "a.npz"),
        lambda: loaded.parameters["dense/kernel"],
        lambda: loaded.parameters.edit("dense/kernel").__enter__(),
    ):
        with pytest.raises(GraphError, match=r"kernel was dropped .* load with keep=True to train, edit or save"):
            attempt()
    assert not any(tmp_path.iterdir())


def test_keep_false_without_narrow_weights_keeps_all(saved: tuple[rg.Program, Path]) -> None:
    program, path = saved
    loaded = rg.load(path, keep=False)
    assert loaded.training(x=X)["loss"] == program.training(x=X)["loss"]


def test_a_digest_is_verified_once_and_again_after_a_change(
    saved: tuple[rg.Program, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, _ = saved
    path, cache, verified = tmp_path / "net", tmp_path / "cache", list[str]()
    cache.mkdir(mode=0o700)
    program.save(path)
    file, digest = weights_file(path), StoredFile.digest

    def counted(stored: StoredFile) -> str:
        verified.append(stored.shown)
        return digest(stored)

    monkeypatch.setattr(StoredFile, "digest", counted)
    rg.load(path, cache=cache)
    rg.load(path, cache=cache)
    assert len(verified) == 2, "a file that is just written could change again without a new time"
    monkeypatch.setattr("rnngraph.storage.stored_array._CLOCK_NS", -(10**18))
    rg.load(path, cache=cache)
    rg.load(path, cache=cache)
    assert len(verified) == 3
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(FileError, match=r"digest of .* differs"):
        rg.load(path, cache=cache)
    with pytest.raises(FileError, match=r"digest of .* differs"):
        rg.load(path, cache=False)


def test_notes_of_digests_are_evicted_like_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnngraph.storage.stored_array._CLOCK_NS", -(10**18))
    cache = Cache(tmp_path / "cache", max_bytes=8 * 4096)
    status = os.stat(tmp_path)
    for number in range(30):
        cache.note(status, f"{number}")
    assert not cache.is_known(status, "0")
    assert cache.is_known(status, "29")
    assert len([*(tmp_path / "cache").glob("*.known")]) <= 8


def test_packed_weights_are_read_from_the_cache(
    saved: tuple[rg.Program, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later process does not pack, and has the same bits. A file that is damaged is packed again."""
    program, path = saved
    expected = program.inference(x=X)
    monkeypatch.setattr(entry, "MIN_BYTES", 1 << 20)
    found: list[bool] = []
    load = PackedFiles.load

    def recorded(files: PackedFiles, key: str, sizes: Sequence[int], **options: bool) -> list[np.ndarray] | None:
        parts = load(files, key, sizes, **options)
        found.append(parts is not None)
        return parts

    monkeypatch.setattr(PackedFiles, "load", recorded)
    for _ in range(2):
        np.testing.assert_array_equal(rg.load(path, cache=tmp_path).inference(x=X), expected)
    (file,) = (tmp_path / "packed").iterdir()
    with file.open("r+b") as opened:
        opened.seek(10_000)
        opened.write(b"\0\1\2\3")
    for _ in range(2):
        np.testing.assert_array_equal(rg.load(path, cache=tmp_path).inference(x=X), expected)
    assert found == [False, True, False, True]
    changed = rg.load(path, cache=tmp_path)
    name = next(iter(changed.parameters))
    changed.parameters[name] = 0 * changed.parameters[name]
    changed.inference(x=X)
    assert len(found) == 4, "weights that were changed are not those of the file"


def test_a_table_is_mapped_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large parameters that are not packed lie in the file beside the cache, also for the process that writes it."""
    monkeypatch.setattr(entry, "MIN_BYTES", 1 << 20)
    ids = rg.placeholder("ids", (None,), "int64")
    program = rg.compile(rg.dense(rg.gather(rg.parameter("table", (3000, 600)), ids), 600), cache=False)
    program.save(tmp_path / "net")
    values, read = np.arange(0, 3000, 7), list[int]()
    read_array = StoredArray.read

    def counted(array: StoredArray) -> np.ndarray:
        read.append(array.nbytes)
        return read_array(array)

    monkeypatch.setattr(StoredArray, "read", counted)
    for _ in range(2):
        loaded = rg.load(tmp_path / "net", cache=tmp_path / "cache")
        np.testing.assert_array_equal(loaded.inference(ids=values), program.inference(ids=values))
        assert 3000 * 600 * 4 not in read
    np.testing.assert_array_equal(loaded.parameters["table"], program.parameters["table"])
