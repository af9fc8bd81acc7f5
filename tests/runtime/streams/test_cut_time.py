"""Symbolic time that is split into pieces and joined: checked at calls, and streamed at the resulting rate."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rnngraph as rg

PIECE, WIDTH, STEPS = 4, 3, 24


def net(names: tuple[str | None, str | None] = (None, None), ahead: bool = False) -> rg.Program:
    """Return a recurrence over pieces, and the sequence; ``ahead`` adds convolutions that wait for later steps."""
    x = rg.placeholder("x", shape=(*names, WIDTH))
    seen = rg.conv1d(x, WIDTH, 3, padding="same") if ahead else x
    pieces = rg.reshape(seen, (None, -1, PIECE * WIDTH))
    if ahead:
        pieces = rg.conv1d(pieces, 6, 3, padding="same")
    h, _ = rg.dynamic_rnn(rg.GRUCell(5), pieces)
    joined = rg.reshape(rg.dense(h, PIECE * WIDTH), (None, -1, WIDTH))
    return rg.compile({"h": h, "joined": joined, "both": joined + x}, loss=rg.reduce_mean(rg.square(joined)), seed=0)


def fed(rows: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, STEPS, WIDTH)).astype("float32")


def test_values_are_those_of_reshaped_arrays() -> None:
    program, x = net(), fed()
    h = rg.placeholder("pieces", shape=(None, None, PIECE * WIDTH))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(5), h)
    plain = rg.compile({"h": outputs})
    plain.parameters.load({name: array for name, array in program.parameters.items() if name.startswith("rnn/")})
    result = program.inference(x=x)
    wanted = plain.inference(pieces=x.reshape(2, -1, PIECE * WIDTH))["h"]
    assert_allclose(result["h"], wanted, rtol=1e-6, atol=1e-7)
    assert_array_equal(result["both"], result["joined"] + x)
    with pytest.raises(rg.ShapeError, match=r"both must be equal"):
        program.inference(x=x[:, : STEPS - 2])


@pytest.mark.slow
@pytest.mark.parametrize("names", [(None, None), ("B", "T")])
@pytest.mark.parametrize("ahead", [False, True])
def test_streams_take_pieces_and_have_the_bits_of_the_whole(names: tuple[Any, Any], ahead: bool) -> None:
    program, x = net(names, ahead), fed()
    whole = program.inference(x=x)
    stream = program.inference.stream(batch=2)
    assert (stream.rate, stream.delay) == (PIECE, 2 if ahead else 0)
    parts = [stream.process(x=x[:, start : start + PIECE]) for start in range(0, 8, PIECE)]
    parts += [stream.process(x=x[:, 8:]), stream.flush()]
    for name, wanted in whole.items():
        entries = 1 if name == "h" else PIECE
        streamed = np.concatenate([part[name] for part in parts], 1)[:, entries * stream.delay :]
        assert_array_equal(streamed, wanted, err_msg=name)
    with pytest.raises(rg.ShapeError, match="a step of this stream takes 4"):
        stream.process(x=x[:, :6])


def pieces_of_pieces() -> dict[str, tuple[rg.Tensor, int]]:
    """Return values with their entries for each step of 6: pieces of 3 steps, pieces of 2 of these, and both joined."""
    x = rg.placeholder("x", shape=(None, None, WIDTH))
    fine, _ = rg.dynamic_rnn(rg.GRUCell(7), rg.reshape(x, (None, -1, 3 * WIDTH)))
    coarse, _ = rg.dynamic_rnn(rg.GRUCell(10), rg.reshape(fine, (None, -1, 2 * 7)))
    both = rg.reshape(rg.dense(coarse, 2 * 7), (None, -1, 7)) + fine
    top = rg.reshape(rg.dense(both, 3 * WIDTH), (None, -1, WIDTH)) + x
    return {"fine": (fine, 2), "coarse": (coarse, 1), "both": (both, 2), "top": (top, 6)}


def pieces_of_two_lengths() -> dict[str, tuple[rg.Tensor, int]]:
    """Return values with their entries for each step of 6: pieces of 3 and of 2 steps, and both joined."""
    x = rg.placeholder("x", shape=(None, None, WIDTH))
    runs = [rg.dynamic_rnn(rg.GRUCell(5), rg.reshape(x, (None, -1, piece * WIDTH)))[0] for piece in (3, 2)]
    joined = [
        rg.reshape(rg.dense(run, piece * WIDTH), (None, -1, WIDTH)) for run, piece in zip(runs, (3, 2), strict=True)
    ]
    return {"threes": (runs[0], 2), "twos": (runs[1], 3), "sum": (joined[0] + joined[1], 6)}


@pytest.mark.slow
@pytest.mark.parametrize("declared", [pieces_of_pieces, pieces_of_two_lengths])
def test_several_lengths_of_pieces(declared: Any, tmp_path: Path) -> None:
    """The stream has the least common rate, and the exported net refuses sequences that it does not divide."""
    values = declared()
    program, x = rg.compile({name: value for name, (value, _) in values.items()}, seed=0), fed()
    whole, stream = program.inference(x=x), program.inference.stream(batch=2)
    assert stream.rate == 6
    for step in range(STEPS // 6):
        result = stream.step(x=x[:, 6 * step : 6 * step + 6])
        for name, (_, entries) in values.items():
            wanted = whole[name][:, entries * step : entries * (step + 1)]
            assert_array_equal(result[name], wanted if entries > 1 else wanted[:, 0], err_msg=name)
    with pytest.raises(rg.ShapeError):
        program.inference(x=x[:, :9])
    if shutil.which("cc"):
        program.inference.export(tmp_path, "net", form="sequence")
        subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
        done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "ok, largest difference 0"
        script = """
import numpy as np, net
model, x = net.Model(), np.load("x.npy")
np.savez("whole.npz", **model(x=x))
try:
    model(x=x[:, :9])
except ValueError:
    print("refused")
"""
        np.save(tmp_path / "x.npy", x)
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert done.stdout == "refused\n"
        for name, array in np.load(tmp_path / "whole.npz").items():
            assert_array_equal(array, whole[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
def test_gradients_pools_and_exports(tmp_path: Path) -> None:
    program, x = net(), fed()
    whole = program.inference(x=x)
    pool = program.inference.streams(2)
    handles = [pool.open(), pool.open()]
    for step in range(STEPS // PIECE):
        actual = pool.step_rows(handles, x=x[:, step * PIECE : (step + 1) * PIECE])
        assert_array_equal(actual["h"], whole["h"][:, step])
    program.inference.export(tmp_path, "net")
    subprocess.run(["cc", "net_test.c", "net.o", "-o", "test"], cwd=tmp_path, check=True)
    done = subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "ok, largest difference 0"

    _, gradients = program.training.gradients(x=x, wrt=["x"])
    change = np.zeros_like(x, np.float64)
    change[1, 9, 2] = 1e-2
    ends = [program.training(x=x + sign * change)["loss"] for sign in (1, -1)]
    assert_allclose(gradients["x"][1, 9, 2], (float(ends[0]) - float(ends[1])) / 2e-2, rtol=2e-2, atol=1e-5)
