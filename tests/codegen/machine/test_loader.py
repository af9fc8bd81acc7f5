"""Common objects are loaded without LLVM, with the same results; LLVM loads all other objects."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnngraph.codegen.machine import code as codes
from rnngraph.codegen.machine.code import Code
from rnngraph.codegen.machine.engine import object_code
from rnngraph.codegen.machine.loader import load
from rnngraph.codegen.machine.target import host

CALLS = """
@numbers = internal constant [2 x double] [double 2.5, double 4.0]

define internal double @half(double %x) noinline nounwind {
  %y = fmul double %x, 0.5
  ret double %y
}

define void @run(ptr %arguments, i64 %worker, i64 %workers) nounwind {
  %place = getelementptr double, ptr @numbers, i64 %worker
  %x = load double, ptr %place
  %y = call double @half(double %x)
  store double %y, ptr %arguments
  ret void
}
"""
needs_loader = pytest.mark.skipif(
    sys.platform != "linux" or not host().is_x86_64, reason="LLVM loads the objects of other systems"
)


def _results(code: Code) -> list[float]:
    memory = np.zeros(1)
    results = []
    for worker in range(2):
        code.entry("run")(ctypes.c_void_p(memory.ctypes.data), worker, 1)
        results.append(float(memory[0]))
    return results


@needs_loader
def test_code_with_constants_and_calls_runs_as_llvm_loads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    binary = object_code(CALLS, host())
    assert load(binary) is not None
    assert _results(Code(binary, host())) == [1.25, 2.0]
    monkeypatch.setattr(codes, "load", lambda binary: None)
    assert _results(Code(binary, host())) == [1.25, 2.0]


@pytest.mark.parametrize(
    "work",
    ["store i64 %a, ptr @state", "%y = call i64 @labs(i64 %a)\n  store i64 %y, ptr @state"],
    ids=["data", "library"],
)
def test_llvm_loads_objects_with_data_and_library_functions(work: str) -> None:
    declared = "@state = global i64 1\n\ndeclare i64 @labs(i64)\n\n"
    binary = object_code(f"{declared}define void @run(ptr %x, i64 %a, i64 %b) {{\n  {work}\n  ret void\n}}", host())
    assert load(binary) is None
    Code(binary, host()).entry("run")(None, 3, 0)


@needs_loader
def test_damaged_objects_are_not_loaded() -> None:
    binary = object_code(CALLS, host())
    assert load(b"") is None
    assert load(binary[:200]) is None
    assert load(b"MZ" + binary[2:]) is None


@needs_loader
def test_a_call_from_the_disk_loads_no_llvm_unless_a_file_is_damaged(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, numpy as np, rnngraph as rg\n"
        "x = rg.placeholder('x', (None, None, 3))\n"
        "y, _ = rg.dynamic_rnn(rg.GRUCell(4), x)\n"
        "program = rg.compile(y, loss=rg.reduce_mean(y), seed=0)\n"
        "feed = np.ones((2, 5, 3), np.float32)\n"
        "loss, _ = program.training.gradients(x=feed)\n"
        "print(program.inference(x=feed).sum(), loss, 'llvmlite.binding' in sys.modules)\n"
    )
    outputs = []
    for number in range(3):
        if number == 2:  # the file with the host's facts is damaged
            (facts,) = (tmp_path / "rnngraph").glob("*.known")
            facts.write_bytes(facts.read_bytes().replace(b"avx", b"avy"))
        result = subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.append(result.stdout.split())
    assert outputs[0][:2] == outputs[1][:2] == outputs[2][:2]
    assert [output[2] for output in outputs] == ["True", "False", "True"]
