"""No access out of bounds: feeds, results, parameters, scratch and packed weights next to protected pages.

The programs run in a process of their own (``guarded_memory``), which a stray read or write kills.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from guarded_memory import CASES, CRASHES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="protected pages are made through Linux calls")

SCRIPT = Path(__file__).parent / "helpers" / "guarded_memory.py"


def run(side: str, names: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "faulthandler", str(SCRIPT), side, *names]
    environment = {name: os.environ[name] for name in ("PYTHONPATH", "XDG_CACHE_HOME")}
    environment |= {"OMP_NUM_THREADS": "1", "PATH": ""}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)


QUICK = {
    "end": [
        "recurrent_7",
        "tables_1",
        "edges_7",
        "matrices_17",
        "two_directions_3_float64",
    ],
    "start": ["recurrent_3", "memories_3", "tables_17", "convolved_3", "late_3"],
}


@pytest.mark.parametrize("side", ["end", pytest.param("start", marks=pytest.mark.exhaustive)])
def test_no_memory_is_accessed_out_of_bounds(side: str) -> None:
    check(side, QUICK[side])


@pytest.mark.exhaustive
@pytest.mark.parametrize("side", ["end", "start"])
def test_no_memory_is_accessed_out_of_bounds_at_any_size(side: str) -> None:
    check(side, list(CASES))


def check(side: str, names: list[str]) -> None:
    result = run(side, names)
    done = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("ok ")]
    missing = [name for name in names if name not in done]
    assert result.returncode == 0, f"{missing[0]} at the {side}: exit {result.returncode}\n{result.stderr[-3000:]}"
    assert missing == []


@pytest.mark.parametrize(
    ("side", "name"),
    [("end", "feed_overrun"), ("end", "result_overrun"), ("end", "scratch_overrun"), ("start", "feed_underrun")],
)
def test_the_guard_detects_accesses_out_of_bounds(side: str, name: str) -> None:
    """Native code with an access out of bounds crashes, which shows that the other tests can fail."""
    assert name in CRASHES
    result = run(side, [name])
    assert result.returncode == -signal.SIGSEGV, f"exit {result.returncode}\n{result.stdout}{result.stderr[-2000:]}"
