"""Exported streams with several entries for each step, or with a delay: bits of the program's own stream."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import Instance, flat, pointer, program_of, shape_of
from numpy.testing import assert_array_equal

import rnngraph as rg

BATCH, WIDTH, STEPS = 2, 3, 9


def same(x: rg.Tensor, filters: int = 4, size: int = 3, **options: Any) -> rg.Tensor:
    return rg.conv1d(x, filters, size, padding="same", **options)


NETS: dict[str, tuple[int, int, Callable[[rg.Tensor], Any]]] = {
    "strided": (4, 0, lambda x: {"y": rg.conv1d(rg.conv1d(x, 4, 3, strides=2), 4, 5, strides=2)}),
    "late": (1, 8, lambda x: {"y": rg.conv1d(x, 4, 9, padding="valid")}),
    "late and strided": (
        4,
        2,
        lambda x: {"y": rg.dynamic_rnn(rg.LSTMCell(5), same(same(x, strides=2), 4, 5, strides=2))[0]},
    ),
    "several": (3, 1, lambda x: {"fast": same(x), "slow": rg.conv1d(x, 2, 2, strides=3), "last": same(x)[:, -1]}),
    "mirrored": (1, 2, lambda x: {"y": rg.conv1d(x, 4, 5, padding="reflect")}),
    "with a knob": (1, 1, lambda x: {"y": same(x) * rg.placeholder("knob", (None, 1, 4)) + 1.0}),
}


def owed(net: Instance, *kept_value: np.ndarray) -> dict[str, np.ndarray]:
    results = {port["name"]: np.full(shape_of(port, None), 77).astype(port["dtype"]) for port in net.about["owed"]}
    net.function("flush")(net.memory, *map(pointer, [*kept_value, *results.values()]))
    return results


@pytest.mark.parametrize("name", NETS)
def test_an_export_has_the_bits_of_the_stream(name: str, tmp_path: Path) -> None:
    rate, delay, declare = NETS[name]
    weights = "external" if name == "several" else "embedded"
    program = program_of(declare(rg.placeholder("x", (None, None, WIDTH))))
    program.inference.export(tmp_path, "net", batch=BATCH, weights=weights, link=False)
    image = (tmp_path / "net.safetensors").read_bytes() if weights == "external" else None
    net, stream = Instance(tmp_path, "net", program.target, image, odd=3), program.inference.stream(batch=BATCH)
    assert (net.about["rate"], net.about["delay"]) == (stream.rate, stream.delay) == (rate, delay)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((BATCH, STEPS * rate, WIDTH)).astype(np.float32)
    held_feeds = {"knob": generator.standard_normal((BATCH, 1, 4)).astype(np.float32)} if name == "with a knob" else {}
    stepped = []
    for step in range(STEPS):
        part = x[:, step * rate : (step + 1) * rate]
        feed = part[:, 0] if rate == 1 else part
        stepped.append(flat(stream.step(x=feed, **held_feeds)))
        actual = net.step(x=feed, **held_feeds)
        for output, array in stepped[-1].items():
            assert_array_equal(actual[output], array, strict=True)
    state = net.state
    tail = owed(net, *held_feeds.values()) if net.about["owed"] else {}
    assert net.state == state
    for output, array in flat(stream.flush()).items() if tail else ():
        assert_array_equal(tail[output], array, strict=True)
    net.reset()
    block = net.process(STEPS, x=x, **held_feeds)
    assert net.state == state
    for output, array in block.items():
        parts = [actual[output] for actual in stepped]
        rows = [part if part.ndim == array.ndim else part[:, None] for part in parts]
        assert_array_equal(array, np.concatenate(rows, 1) if array.ndim == 3 else parts[-1])
    if shutil.which("cc"):
        command = ["cc", "-Wall", "-Wextra", "-Werror", "net_test.c", "net.o", "-lm", "-o", "test"]
        subprocess.run(command, cwd=tmp_path, check=True)
        done = subprocess.run(["./test"], cwd=tmp_path, check=False, capture_output=True, text=True)
        assert done.stdout == "ok, largest difference 0\n"


def test_the_header_documents_rate_and_delay(tmp_path: Path) -> None:
    program = program_of(NETS["late and strided"][2](rg.placeholder("x", (None, None, WIDTH))))
    program.inference.export(tmp_path, "net", batch=BATCH, link=False)
    header = (tmp_path / "net.h").read_text()
    for line in (
        "#define NET_RATE 4 ",
        "#define NET_DELAY 2 ",
        "#define NET_LATENCY 8 ",
        "#define NET_X_STEP 24 ",
        "#define NET_Y_OWED 20 ",
        "input  x: float [2][4*steps][3]",
        "void net_flush(void *memory, float *y);",
    ):
        assert line in header


@pytest.mark.skipif(not shutil.which("cc"), reason="a library needs a linker")
def test_the_python_module(tmp_path: Path) -> None:
    program = program_of(NETS["several"][2](rg.placeholder("x", (None, None, WIDTH))))
    program.inference.export(tmp_path, "net", batch=BATCH)
    stream = program.inference.stream(batch=BATCH)
    x = np.random.default_rng(0).standard_normal((BATCH, 15, WIDTH)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    script = """
import numpy as np, net
model, x = net.Model(), np.load("x.npy")
for turn in range(2):  # flush goes back to the initial state
    found = [model.step(x=x[:, :3]), model.process(x=x[:, 3:]), model.flush()]
np.savez("found.npz", **{f"{number}{name}": array for number, part in enumerate(found) for name, array in part.items()})
try:
    model.process(x=x[:, :4])
except ValueError as error:
    assert "x has shape (2, 4, 3), not (2, 3, 3)" in str(error), error
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    actual = np.load(tmp_path / "found.npz")
    for number, part in enumerate([stream.step(x=x[:, :3]), stream.process(x=x[:, 3:]), stream.flush()]):
        for name, array in part.items():
            assert_array_equal(actual[f"{number}{name}"], array, strict=True)
