"""Only regular files are read; pipes, devices, directories and virtual files are refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from systems import WINDOWS

import rnngraph as rg
from rnngraph import tf1 as tf
from rnngraph.storage.atomic_file import replace_file
from rnngraph.storage.read_file import read_file


def small_program() -> rg.Program:
    x = rg.placeholder("x", (None, 2, 3))
    return rg.compile(rg.dynamic_rnn(rg.BasicRNNCell(4), x)[0])


def no_file(kind: str, folder: Path, name: str) -> Path:
    """Return a path in the folder that is not a regular file."""
    path = folder / name
    if WINDOWS and kind != "directory":
        pytest.skip("not on Windows: pipes and devices have no place in file systems")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "made-up file": "/proc/cpuinfo"}[kind])
    return path


def restored(path: Path) -> None:
    tf.Variable(np.zeros(2, np.float32), name="w")
    with tf.Session() as session:
        tf.train.Saver().restore(session, str(path).removesuffix(".index"))


def onnx_weights_beside(path: Path) -> None:
    """Read a model whose weights lie in a file of its folder."""
    onnx = pytest.importorskip("onnx")
    weights = onnx.TensorProto(name="w", dims=[2], data_type=1, data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", path.name), ("offset", "0"), ("length", "8")):
        weights.external_data.add(key=key, value=value)
    x = onnx.helper.make_tensor_value_info("x", 1, [2])
    y = onnx.helper.make_tensor_value_info("y", 1, [2])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "w"], ["y"])], "net", [x], [y], [weights])
    model = path.with_name("net.onnx")
    model.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    rg.read_onnx(model)


def data_file(path: Path) -> None:
    """Read a checkpoint whose index is complete."""
    rg.read_tf1_variables(str(path).removesuffix(".data-00000-of-00001"))


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "onnx": ("a.onnx", rg.read_onnx),
    "keras": ("a.keras", rg.read_keras),
    "nam": ("a.nam", rg.read_nam),
    "rtneural": ("a.json", rg.read_rtneural),
    "npz": ("a.npz", lambda path: small_program().parameters.load(path)),
    "safetensors": ("a.safetensors", lambda path: small_program().parameters.load(path)),
    "checkpoint": ("a.index", rg.read_tf1_variables),
    "saver": ("a.index", restored),
    "data of a checkpoint": ("version2.data-00000-of-00001", data_file),
    "weights beside a model": ("weights.bin", onnx_weights_beside),
    "program": ("manifest.json", lambda path: rg.load(path.parent)),
    "log": ("events", lambda path: list(tf.train.summary_iterator(str(path)))),
    "state of checkpoints": ("checkpoint", lambda path: tf.train.latest_checkpoint(str(path.parent))),
}


@pytest.mark.parametrize("kind", ["device", "pipe", "directory", "made-up file"])
@pytest.mark.parametrize("reader", READERS)
def test_readers_accept_only_regular_files(reader: str, kind: str, tmp_path: Path) -> None:
    name, read = READERS[reader]
    if reader == "data of a checkpoint":
        index = Path(__file__).parents[1] / "fixtures" / "checkpoints" / "version2.index"
        (tmp_path / "version2.index").write_bytes(index.read_bytes())
    if kind == "made-up file" and reader in ("log", "state of checkpoints", "data of a checkpoint"):
        pytest.skip("read as far as it goes, which is bounded")
    path = no_file(kind, tmp_path, name)
    wanted = r"but another number was read|damaged|past its end|outside of the model's folder"
    with pytest.raises(rg.RnnGraphError, match=f"is a {kind}|is no file|no checkpoint|no file|{wanted}"):
        read(path)


@pytest.mark.parametrize("kind", ["device", "pipe", "directory"])
def test_errors_name_the_kind_and_the_remedy(kind: str, tmp_path: Path) -> None:
    path = no_file(kind, tmp_path, "a.onnx")
    wanted = rf"test_read_file\.py:\d+: {re.escape(str(path))} is a {kind}; give the path of an ONNX file$"
    with pytest.raises(rg.FileError, match=wanted):
        rg.read_onnx(path)


def test_a_file_is_read_whole_and_within_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, "a file", max_bytes=5) == b"12345"
    with pytest.raises(rg.FileError, match="has 5 bytes, and 4 at most are read; give a smaller file"):
        read_file(path, "a file", max_bytes=4)
    if Path("/proc/meminfo").exists():  # on Linux
        with pytest.raises(rg.FileError, match=r"has a size of 0 bytes, but another number was read: .*; copy it"):
            read_file("/proc/meminfo", "a file")


def test_a_sparse_file_of_many_bytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with open(path, "wb") as file:
        file.truncate(1 << 43)
    with pytest.raises(rg.OutOfMemoryError, match=r"what .*a\.safetensors holds"):
        small_program().parameters.load(path)


@pytest.mark.parametrize("kind", ["device", "pipe", "directory"])
def test_only_files_are_replaced(kind: str, tmp_path: Path) -> None:
    path = no_file(kind, tmp_path, "a.npz")
    with pytest.raises(rg.FileError, match=r"can't write .*: it is not a regular file; give a path"):
        small_program().parameters.save(path)
    with pytest.raises(rg.FileError, match="it is not a regular file"), replace_file(path):
        pass


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_the_command_line_also_rejects_them(kind: str, tmp_path: Path) -> None:
    path = no_file(kind, tmp_path, "a.onnx")
    command = [sys.executable, "-m", "rnngraph", "import", str(path), "-o", str(tmp_path / "net")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert f"is a {kind}; give the path of a net" in done.stderr
