"""Checkpoints round-trip; any damage is an error; a killed writer leaves the last complete one."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from systems import not_on_windows

import rnngraph as rg
from rnngraph.storage import checkpoint_file as checkpoint

ARRAYS: dict[str, np.ndarray] = {
    "rnn/kernel": np.asarray([[1.5, -0.0, np.nan], [np.inf, -np.inf, 1e-45]], np.float32),
    "double": np.asarray([5e-324, 1.7976931348623157e308]),
    "counts": np.asarray([-(2**63), 2**63 - 1], np.int64),
    "words": np.asarray([2**64 - 1], np.uint64),
    "flags": np.asarray([True, False, True]),
    "scalar": np.asarray(2.5, np.float32),
    "empty": np.zeros((3, 0, 2)),
    "columns": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "some": np.arange(10)[::3],
    'name with "quotes", ü and \'sha256\':"': np.arange(2),
}
TEXT: dict[str, Any] = {
    "step": 2**130,
    "rate": 0.1,
    "least": 5e-324,
    "worst": [math.inf, -math.inf],
    "words": 'a "quoted" line\n"sha256":"' + "0" * 64 + '" \\ ü \u2028 \ud800',
    "nested": {"none": None, "list": [1, [True, {}]]},
}


def small(path: Path) -> bytes:
    checkpoint.write(path, "trainer", {"w": np.arange(3, dtype=np.float32), "n": np.asarray(7)}, {"epoch": 3})
    return path.read_bytes()


def test_arrays_and_text_are_read_as_written(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "a", "trainer", ARRAYS, TEXT)
    arrays, text = checkpoint.read(tmp_path / "a", "trainer")
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
    assert text == TEXT
    assert repr(text) == repr(TEXT)


def test_nan_and_an_empty_checkpoint_are_read_as_written(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "a", "trainer", {}, {"loss": math.nan})
    arrays, text = checkpoint.read(tmp_path / "a", "trainer")
    assert arrays == {}
    assert math.isnan(text["loss"])


def test_the_file_is_a_safetensors_file(tmp_path: Path) -> None:
    small(tmp_path / "a")
    assert load_file(tmp_path / "a")["w"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_damaged_bytes_are_seen(every: int, tmp_path: Path) -> None:
    data = small(tmp_path / "a")
    for place in range(0, len(data), every):
        for change in (0x01, 0x20, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[place] ^= change
            (tmp_path / "a").write_bytes(damaged)
            with pytest.raises(rg.FileError):
                checkpoint.read(tmp_path / "a", "trainer")


def test_every_truncation_and_an_appended_byte_are_seen(tmp_path: Path) -> None:
    data = small(tmp_path / "a")
    for changed in (*(data[:length] for length in range(len(data))), data + b"\0", data + data):
        (tmp_path / "a").write_bytes(changed)
        with pytest.raises(rg.FileError, match="damaged"):
            checkpoint.read(tmp_path / "a", "trainer")


def test_foreign_files_are_refused_with_path_and_remedy(tmp_path: Path) -> None:
    np.savez(tmp_path / "archive.npz", w=np.arange(3))
    save_file({"w": np.arange(3)}, tmp_path / "plain.safetensors")
    save_file({"w": np.arange(3)}, tmp_path / "theirs.safetensors", {"format": "pt", "sha256": "0" * 64})
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "ones").write_bytes(b"\xff" * 1000)
    (tmp_path / "random").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "document.json").write_text(json.dumps({"sha256": "0" * 64}))
    paths = list(tmp_path.iterdir())
    assert len(paths) == 7
    (tmp_path / "folder").mkdir()
    for path in (*paths, tmp_path / "folder", tmp_path / "nowhere"):
        with pytest.raises(rg.FileError, match=r"; (give|take) ") as caught:
            checkpoint.read(path, "trainer")
        assert str(path) in str(caught.value)
        assert f"{os.path.basename(__file__)}:" in str(caught.value)
        is_of_arrays = path.name == "plain.safetensors"
        assert ("read parameters with program.parameters.load(path)" in str(caught.value)) == is_of_arrays


def test_another_kind_and_another_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(tmp_path / "a")
    with pytest.raises(rg.FileError, match="a checkpoint of a trainer, not of a stream"):
        checkpoint.read(tmp_path / "a", "stream")
    monkeypatch.setattr(checkpoint, "VERSION", 2)
    with pytest.raises(rg.FileError, match=r"rnngraph checkpoint 1, and this .* rnngraph checkpoint 2"):
        checkpoint.read(tmp_path / "a", "trainer")


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"w": np.asarray([1j])}, {}),
        ({"w": np.asarray(["a"])}, {}),
        ({"w": np.asarray([1.0], ">f4")}, {}),
        ({"__metadata__": np.zeros(1)}, {}),
        ({}, {"step": np.int64(3)}),
    ],
)
def test_values_that_can_not_be_stored_are_errors_and_keep_the_last_file(
    tmp_path: Path, arrays: dict[str, np.ndarray], text: dict[str, Any]
) -> None:
    small(tmp_path / "a")
    with pytest.raises(rg.DtypeError):
        checkpoint.write(tmp_path / "a", "trainer", arrays, text)
    assert checkpoint.read(tmp_path / "a", "trainer")[1] == {"epoch": 3}


KILLS = 30
KILLED = """
import os, random, signal, sys, time
import numpy as np
from rnngraph.storage import checkpoint_file as checkpoint

path, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
delays, last = random.Random(seed), 0
checkpoint.write(path, "counter", {"w": np.zeros(1)}, {"count": 0})
for kill in range(kills):
    written, tell = os.pipe()
    child = os.fork()
    if not child:
        count = last
        while True:
            count += 1
            checkpoint.write(path, "counter", {"w": np.full(50_000 + count % 7, count)}, {"count": count})
            if count == last + 1:
                os.write(tell, b".")
    os.close(tell)
    os.read(written, 1)  # a busy machine may let no writer begin before it is killed
    os.close(written)
    time.sleep(delays.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    arrays, text = checkpoint.read(path, "counter")
    assert text["count"] > last, (text, last)
    assert (arrays["w"] == text["count"]).all()
    last = text["count"]
checkpoint.write(path, "counter", {}, {"count": last})
print(last)
"""


@not_on_windows("the writers are forks")
def test_a_writer_killed_at_any_moment_leaves_the_last_whole_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a"), str(KILLS), "0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
