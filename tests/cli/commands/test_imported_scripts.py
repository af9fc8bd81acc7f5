"""Scripts that ``rnngraph import`` writes run in a process of their own, with the bits of the net that was read."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.cli import main
from rnngraph.cli.commands import import_net
from rnngraph.cli.commands.file_kinds import ReadOptions, read_file
from rnngraph.runtime.calls.random_feeds import random_feeds

FIXTURES = Path(__file__).parents[2] / "fixtures"
FIXED: dict[str, dict[str, Any]] = {
    "dropout": {"keep_prob": 1.0},
    "dropouts": {"keep_prob": 1.0},
    "noise": {"stddev": 0.0},
}
"""Values of placeholders, by TensorFlow graph."""
OPEN = {"functions": {name: {0: "B"} for name in ("x", "p", "s", "i")}, "kernels": {"x": {0: "B"}, "y": {0: "B"}}}
"""Names of axes, by TensorFlow graph."""
STEPS = {"decoder": 9, "stops": 6}
"""Steps to run of loops whose end depends on the data, by TensorFlow graph."""


def packed(path: str) -> bytes:
    return gzip.decompress((FIXTURES / path).read_bytes())


def gguf() -> bytes:
    from gguf_files import with_one_layer  # Skips the test if the package gguf is not installed.

    return with_one_layer("mamba2", "Q4_0")


OTHERS: dict[str, Callable[[], bytes]] = {
    "both_ways.onnx": lambda: packed("tf2onnx/both_ways.onnx.gz"),
    "masked.onnx": lambda: packed("tf2onnx/masked.onnx.gz"),
    "functional3.keras": lambda: packed("keras/functional3.keras.gz"),
    "functional2.h5": lambda: packed("keras/functional2.h5.gz"),
    "net.gguf": gguf,
}
"""Contents of files of other formats, by name."""
RUN = """
import runpy, sys
import numpy as np

program = runpy.run_path(sys.argv[1])["program"]
np.savez(sys.argv[3], **program.inference(dict(np.load(sys.argv[2]))))
"""
"""Script that calls an imported program with arrays of a file, and writes its results."""


def check(file: Path, folder: Path, name: str = "") -> None:
    """Import a file, run the written script in a new process, and compare the results with the reader's program."""
    fixed, names = FIXED.get(name, {}), OPEN.get(name, {})
    options = ["--max-steps", f"{STEPS[name]}"] if name in STEPS else []
    options += [word for key, value in fixed.items() for word in ("--fixed", f"{key}={value}")]
    options += [word for key, axes in names.items() for word in ("--open", f"{key}[0]={axes[0]}")]
    assert main(["import", str(file), "-o", str(folder / "net"), *options]) == 0
    program = read_file(file, ReadOptions(fixed, names, max_steps=STEPS.get(name)))[1].program()
    feeds = random_feeds(program.inference.full_graph(), 2, 5)
    paths = folder / "net" / "net.py", folder / "feeds.npz", folder / "results.npz"
    np.savez(paths[1], **dict(feeds))
    done = subprocess.run([sys.executable, "-c", RUN, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected, actual = program.inference(dict(feeds)), np.load(paths[2])
    assert {*actual} == {*expected}
    for key, array in expected.items():
        np.testing.assert_array_equal(actual[key], array, key)


REFUSED = "changes", "changes_of_resources"
"""Graphs that are errors, because they change variables that their outputs read."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.name.removesuffix(".pb.gz"), marks=[pytest.mark.slow] * (path.name != "loop.pb.gz"))
        for path in sorted((FIXTURES / "tf1_graphs").iterdir())
        if path.suffix != ".npz" and path.name not in REFUSED
    ],
)
def test_graphs_of_tensorflow(name: str, tmp_path: Path) -> None:
    file = FIXTURES / "tf1_graphs" / name
    if not file.is_dir():
        file = tmp_path / f"{name}.pb"
        file.write_bytes(packed(f"tf1_graphs/{name}.pb.gz"))
    check(file, tmp_path, name)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * ("masked" not in name)) for name in OTHERS]
)
def test_files_of_other_formats(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(OTHERS[name]())
    check(file, tmp_path)


def test_a_script_that_lacks_a_weight_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command runs what it wrote, so that a script and a file with other names are no result."""
    x = rg.placeholder("x", (None, None, 3))
    rg.write_onnx(rg.compile({"y": rg.dense(x, 4)}).inference, tmp_path / "net.onnx")

    class Renamed(rg.Net):
        def script(self) -> str:
            return super().script().replace("name='dense'", "name='other'")

    def read(*arguments: Any) -> tuple[str, rg.Net]:
        kind, net = read_file(*arguments)
        net.__class__ = Renamed
        return kind, net

    monkeypatch.setattr(import_net, "read_file", read)
    assert main(["import", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "net")]) == 1
    said = capsys.readouterr()
    assert "net.py was written, but does not run" in said.err
    assert "missing: other/kernel" in said.err
    assert said.out == ""
