"""Functions of a pool's threads: semaphores of each system, spin loops, and the floating-point mode."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import teams

import rnngraph as rg
from rnngraph.codegen.machine.code import Code
from rnngraph.codegen.machine.engine import assembly, object_code
from rnngraph.codegen.machine.ir_builder import IRBuilder
from rnngraph.codegen.machine.target import Target, host, target_of
from rnngraph.codegen.threads.floating_point_mode import floating_point_mode
from rnngraph.codegen.threads.pool_functions import pool_text
from rnngraph.runtime.native.worker_pool import POOL

ARM = replace(target_of("aarch64-linux"), triple="aarch64-unknown-linux-gnu")


@pytest.mark.parametrize(
    ("target", "calls"),
    [
        ("aarch64-linux", [r"call i32 %\S+\(ptr %\S+\)"] * 2),
        ("x86-64-windows", [r"call i32 %\S+\(ptr %\S+, i32 -1\)", r"call i32 %\S+\(ptr %\S+, i32 1, ptr null\)"]),
        ("aarch64-macos", [r"call i64 %\S+\(ptr %\S+, i64 -1\)", r"call i64 %\S+\(ptr %\S+\)"]),
    ],
)
def test_semaphores_of_each_system(target: str, calls: list[str]) -> None:
    """On Windows and macOS, memory holds the handle of a semaphore."""
    text = pool_text(target_of(target))
    assert assembly(text, target_of(target))
    called = re.findall(r"call i(?:32|64) %.*", text)
    assert len(called) == 2
    assert all(re.fullmatch(wanted, line) for wanted, line in zip(calls, called, strict=True)), called
    assert len(re.findall(r"%handle\S* = load ptr", text)) == (0 if target == "aarch64-linux" else 2)


def test_workers_on_arm_spin_with_a_pause_and_take_the_mode() -> None:
    text = assembly(pool_text(ARM), ARM)
    assert text.count("isb") >= 2
    assert re.search(r"mrs\s+x\d+, FPCR", text)
    assert re.search(r"msr\s+FPCR, x\d+", text)


def mode_code(target: Target) -> Code:
    """Return functions that save and adopt the floating-point mode at an address."""
    functions = []
    for name in ("save", "adopt"):
        f = IRBuilder()
        getattr(floating_point_mode(target), name)(f, "%place")
        f.ret()
        functions.append(f.function(name, "void", {"place": "ptr", "x": "i64", "y": "i64"}, linkage=""))
    head = f'source_filename = "mode"\ntarget triple = "{target.triple}"\n'
    text = [head, *functions, *floating_point_mode(target).declarations, 'attributes #0 = { nounwind "no-builtins" }']
    return Code(object_code("\n".join(text), target), target)


@pytest.fixture
def flushing() -> Iterator[None]:
    """Flush denormal numbers to zero on this thread."""
    target = host()
    if not floating_point_mode(target).declarations:
        pytest.skip("threads of this processor have no mode")
    code, before, flush = mode_code(target), np.zeros(8, np.int64), np.zeros(8, np.int64)
    code.entry("save")(before.ctypes.data, 0, 0)
    flush[0] = before[0] | (0x8040 if target.is_x86_64 else 1 << 24)
    code.entry("adopt")(flush.ctypes.data, 0, 0)
    yield
    code.entry("adopt")(before.ctypes.data, 0, 0)


def halves_of_small_numbers() -> np.ndarray:
    """Return three quarters of the least normal number, computed by three workers."""
    x = rg.placeholder("x", (None, 64))
    program = rg.compile({"y": x * 0.5}, threads=3, cache=False)
    return program.inference(x=np.full((48, 64), 1.5 * float(np.finfo(np.float32).tiny), np.float32))["y"]


def test_workers_take_over_the_caller_s_mode(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    teams.share_everything(monkeypatch, 3)
    assert (halves_of_small_numbers() > 0).all()
    assert POOL._started >= 3
    request.getfixturevalue("flushing")
    np.testing.assert_array_equal(halves_of_small_numbers(), 0)
