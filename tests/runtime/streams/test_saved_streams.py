"""Streams in files: another stream continues with equal bits, and other nets are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rnngraph as rg


def net(units: int = 7) -> rg.Program:
    x, kept = rg.placeholder("x", (None, None, 3)), rg.placeholder("held", (None, 2))
    outputs, _ = rg.dynamic_rnn(rg.BasicLSTMCell(units), x)
    return rg.compile(rg.dense(outputs, 2) + rg.expand_dims(kept, 1), seed=1)


X = np.random.default_rng(2).normal(size=(3, 6, 3)).astype(np.float32)
HELD = np.ones((3, 2), np.float32)


def test_a_saved_stream_continues_at_its_position(tmp_path: Path) -> None:
    program = net()
    stream = program.inference.stream(batch=3)
    stream.process(x=X[:, :4], held=HELD)
    stream.save(tmp_path / "talk.state")
    program.save(tmp_path / "net")
    for other in (program, net(), rg.load(tmp_path / "net")):
        restored = other.inference.stream(state=tmp_path / "talk.state")
        assert_array_equal(restored.process(x=X[:, 4:]), program.inference(x=X, held=HELD)[:, 4:])
    script = (
        "import sys, numpy as np, rnngraph as rg;"
        "stream = rg.load(sys.argv[1]).inference.stream(state=sys.argv[2]);"
        "np.save(sys.argv[3], stream.step(x=np.load(sys.argv[4])))"
    )
    np.save(tmp_path / "x.npy", X[:, 4])
    files = [tmp_path / name for name in ("net", "talk.state", "y.npy", "x.npy")]
    subprocess.run([sys.executable, "-c", script, *files], check=True)
    assert_array_equal(np.load(tmp_path / "y.npy"), stream.step(x=X[:, 4]))


def test_a_stream_that_has_not_begun(tmp_path: Path) -> None:
    program = net()
    program.inference.stream(batch=3).save(tmp_path / "new.state")
    restored = program.inference.stream(state=tmp_path / "new.state")
    assert_array_equal(restored.process(x=X, held=HELD), program.inference(x=X, held=HELD))


def test_other_nets_rows_and_files_are_refused(tmp_path: Path) -> None:
    program, path = net(), tmp_path / "talk.state"
    stream = program.inference.stream(batch=3)
    stream.step(x=X[:, 0], held=HELD)
    stream.save(path)
    with pytest.raises(rg.StructureError, match="holds the state of another net"):
        net(8).inference.stream(state=path)
    with pytest.raises(rg.StructureError, match="holds 3 rows, not batch=2"):
        program.inference.stream(batch=2, state=path)
    with pytest.raises(rg.FileError, match="no file"):
        program.inference.stream(state=tmp_path / "none")
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(rg.FileError, match="damaged"):
        program.inference.stream(state=path)
