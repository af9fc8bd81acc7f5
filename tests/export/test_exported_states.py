"""Exported nets keep the states that streams keep: self-tests pass, and steps have a stream's bits."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from exported import Instance
from kept_nets import SEQUENCES, STEPS, compiled, data, same


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.parametrize(
    ("name", "batch"), [("products", 3), ("time of one", 1), ("layers first", 2), ("behind a convolution", 1)]
)
def test_exported_streams_keep_them(name: str, batch: int, tmp_path: Path) -> None:
    net = (STEPS | SEQUENCES)[name][0]()
    program = compiled(net)
    program.inference.export(tmp_path, name="net", batch=batch)
    subprocess.run(
        ["cc", "-O1", "-o", "test", "net_test.c", "net.o", "-lm"], cwd=tmp_path, check=True, capture_output=True
    )
    done = subprocess.run([tmp_path / "test"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("ok")
    stream, instance = program.inference.stream(batch=batch), Instance(tmp_path, "net", program.target)
    for step in range(3):
        x = data(batch, *(STEPS[name][1] if name in STEPS else (5,)), seed=step)
        same(instance.step(x=x), dict(stream.step(x=x)))
