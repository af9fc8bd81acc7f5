"""Missing memory is an error with the size and purpose, before any allocation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.support import allocation

HUGE = np.broadcast_to(np.float32(0), (1 << 30, 20, 4))  # 344 GB as a copy, and almost nothing as a view


def net(units: int = 8, dropout: bool = False) -> tuple[rg.Tensor, rg.Tensor]:
    x = rg.placeholder("x", shape=(None, None, 4))
    cell: rg.Cell = rg.BasicRNNCell(units)
    outputs, _ = rg.dynamic_rnn(rg.DropoutWrapper(cell, input_keep_prob=0.5) if dropout else cell, x)
    return outputs, rg.reduce_mean(outputs)


def few_samples(count: int) -> Any:
    outputs, loss = net(dropout=True)
    program = rg.compile({"y": outputs}, loss=loss, cache=False)
    return program.training(x=np.ones((2, 3, 4), np.float32), samples=count)


def program() -> rg.Program:
    return rg.compile({"y": net()[0]}, cache=False)


@pytest.mark.parametrize(
    ("ask", "purpose"),
    [
        (lambda folder: rg.compile(rg.dynamic_rnn(rg.GRUCell(200_000), net()[0])[0]), "gates/kernel"),
        (lambda folder: few_samples(10**9), "results and temporaries"),
        (lambda folder: program().inference.export(folder, "net", batch=2**31), "results and temporaries"),
        (lambda folder: program().inference(x=HUGE), "a copy of feed x"),
        (lambda folder: program().inference.check(x=HUGE), "a copy of feed x"),
        (lambda folder: program().inference.prepare(batch=2**44), "results"),
        (lambda folder: rg.constant(HUGE), "a constant"),
        (lambda folder: rg.BasicRNNCell(100_000).zero_state(10**8), "a zero state"),
    ],
)
def test_too_much_memory_is_an_error_that_names_its_purpose(ask: Any, purpose: str, tmp_path: Path) -> None:
    with pytest.raises(rg.OutOfMemoryError, match=purpose) as caught:
        ask(tmp_path)
    error = caught.value
    assert isinstance(error, rg.RnnGraphError)
    assert isinstance(error, MemoryError)
    assert error.left is not None
    assert error.asked > error.left > 0
    assert "test_allocation.py:" in str(error)
    assert len(str(error)) < 400


LIMITED = """
import resource, sys
import numpy as np
import rnngraph as rg

x = rg.placeholder("x", shape=(None, None, 4))
outputs, _ = rg.dynamic_rnn(rg.BasicRNNCell(64), x)
wide, _ = rg.dynamic_rnn(rg.BasicRNNCell(5000), x)
program = rg.compile({"y": outputs}, loss=rg.reduce_mean(outputs), cache=False)
large = rg.compile({"y": wide}, loss=rg.reduce_mean(wide), cache=False)
feed, small = np.ones((1 << 8, 1 << 12, 4), np.float32), np.ones((2, 3, 4), np.float32)
program.inference(x=small), program.training.gradients(x=small), rg.Trainer(program).step(x=small)
counted = {"RLIMIT_AS": "VmSize", "RLIMIT_DATA": "VmData"}[sys.argv[1]]
lines = open("/proc/self/status").read().splitlines()
used = next(int(line.split()[1]) * 1024 for line in lines if line.startswith(counted))
resource.setrlimit(getattr(resource, sys.argv[1]), (used + (180 << 20),) * 2)
name = "rnn_1/basic_rnn_cell/kernel"
for ask in (
    lambda: program.inference(x=feed),
    lambda: program.training.gradients(x=feed),
    lambda: program.evaluate(x=feed),
    lambda: rg.Trainer(large, rg.Adam()),
    lambda: large.initialize(3),
    lambda: large.save("never"),
):
    try:
        ask()
    except rg.OutOfMemoryError as error:
        assert error.asked > error.left and "limit" in str(error), error
    else:
        raise AssertionError(ask)
program.inference(x=small), program.training.gradients(x=small)
"""


@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_of_the_process_count(limit: str, tmp_path: Path) -> None:
    process = subprocess.run([sys.executable, "-c", LIMITED, limit], cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-2000:]
    assert not list(tmp_path.iterdir())


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def left_by(folder: Path, cgroup: str, files: dict[str, str]) -> int:
    write(folder, {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    8000000 kB\n", "proc/self/cgroup": cgroup})
    write(folder / "sys", files)
    return min(left for left, _ in allocation.limits(folder / "proc", folder / "sys"))


def test_the_least_of_the_machine_and_the_control_groups_counts(tmp_path: Path) -> None:
    assert left_by(tmp_path / "none", "0::/\n", {}) == 8_000_000 * 1024
    inner = {
        "a/b/memory.max": "max\n",
        "a/b/memory.current": "7\n",
        "a/memory.max": "5000\n",
        "a/memory.current": "3000\n",
        "a/memory.stat": "anon 2\ninactive_file 500\n",
    }
    assert left_by(tmp_path / "two", "0::/a/b\n", inner) == 5000 - 3000 + 500
    first = {
        "memory/a/memory.limit_in_bytes": "6000\n",
        "memory/a/memory.usage_in_bytes": "2000\n",
        "memory/a/memory.stat": "total_inactive_file 1000\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": "1\n",
    }
    assert left_by(tmp_path / "one", "4:cpu,memory:/a\n0::/\n", first) == 5000
    container = {"memory.max": "300\n", "memory.current": "400\n"}
    assert left_by(tmp_path / "container", "0::/outer/path\n", container) == 0


def test_small_requests_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(*arguments: Any) -> Any:
        raise AssertionError("a small request was looked at")

    monkeypatch.setattr(allocation, "limits", looked)
    x = np.ones((2, 3, 4), np.float32)
    outputs, loss = net(dropout=True)
    small = rg.compile({"y": outputs}, loss=loss, cache=False)
    for _ in range(3):
        small.inference(x=x), small.training.gradients(x=x), rg.Trainer(small).step(x=x)
    allocation.reserve(allocation.LARGE - 1, "nothing")


def test_repeated_allocations_check_large_arrays_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    result = allocation.maker((2, 3), "float64", "rows")()
    assert (result.shape, result.dtype) == ((2, 3), np.float64)
    large = allocation.maker((allocation.LARGE,), "int64", "many")
    monkeypatch.setattr(allocation, "limits", lambda: iter([(5, "left")]))
    with pytest.raises(rg.OutOfMemoryError, match="many takes"):
        large()

    def none(*_: Any) -> Any:
        raise MemoryError

    small = allocation.maker((2, 3), "float64", "rows")
    monkeypatch.setattr(np, "empty", none)
    with pytest.raises(rg.OutOfMemoryError, match="rows takes"):
        small()
