"""This machine's own limits, measured with code from our own engine: multiply-adds and reads by cache level."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rnngraph.codegen.machine.engine import Code, object_code
from rnngraph.codegen.machine.target import Target, target_of


@dataclass(frozen=True)
class Limits:
    """flops: multiply-adds count two, a second, one core. Bytes a second that one core reads, by cache level."""

    flops: float
    first_cache: float
    second_cache: float
    third_cache: float


def _module(target: Target) -> str:
    lanes = target.lanes(4)
    kind = f"<{lanes} x float>"
    sums = 12 if target.registers > 16 else 10
    fma = [
        "define void @multiply(ptr %a, i64 %n, i64 %unused) {",
        "entry:",
        f"  %x = load {kind}, ptr %a, align 4",
        # Every chain begins with a value of its own: equal chains would be merged into one.
        *(f"  %y{j} = fadd {kind} %x, splat (float {float(j + 1)})" for j in range(sums)),
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]",
    ]
    fma += [f"  %s{j} = phi {kind} [ %y{j}, %entry ], [ %t{j}, %loop ]" for j in range(sums)]
    fma += [f"  %t{j} = call {kind} @llvm.fma.v{lanes}f32({kind} %x, {kind} %x, {kind} %s{j})" for j in range(sums)]
    fma += [
        "  %next = add i64 %i, 1",
        "  %more = icmp slt i64 %next, %n",
        "  br i1 %more, label %loop, label %end",
        "end:",
    ]
    total = "%t0"
    for j in range(1, sums):
        fma.append(f"  %u{j} = fadd {kind} {total}, %t{j}")
        total = f"%u{j}"
    fma += [f"  store {kind} {total}, ptr %a, align 4", "  ret void", "}"]
    read = [
        "define void @read(ptr %a, i64 %n, i64 %times) {",
        "entry:",
        "  br label %outer",
        "outer:",
        "  %o = phi i64 [ 0, %entry ], [ %onext, %done ]",
    ]
    read += [f"  %c{j} = phi {kind} [ zeroinitializer, %entry ], [ %t{j}, %done ]" for j in range(8)]
    read += ["  br label %inner", "inner:", "  %i = phi i64 [ 0, %outer ], [ %next, %inner ]"]
    read += [f"  %s{j} = phi {kind} [ %c{j}, %outer ], [ %t{j}, %inner ]" for j in range(8)]
    for j in range(8):
        read += [
            f"  %i{j} = add i64 %i, {j * lanes}",
            f"  %p{j} = getelementptr float, ptr %a, i64 %i{j}",
            f"  %v{j} = load {kind}, ptr %p{j}, align 4",
            f"  %t{j} = fadd {kind} %s{j}, %v{j}",
        ]
    read += [
        f"  %next = add i64 %i, {8 * lanes}",
        "  %more = icmp slt i64 %next, %n",
        "  br i1 %more, label %inner, label %done",
        "done:",
        "  %onext = add i64 %o, 1",
        "  %again = icmp slt i64 %onext, %times",
        "  br i1 %again, label %outer, label %end",
        "end:",
    ]
    total = "%t0"
    for j in range(1, 8):
        read.append(f"  %u{j} = fadd {kind} {total}, %t{j}")
        total = f"%u{j}"
    read += [f"  store {kind} {total}, ptr %a, align 4", "  ret void", "}"]
    declare = f"declare {kind} @llvm.fma.v{lanes}f32({kind}, {kind}, {kind})"
    return "\n".join([f'target triple = "{target.triple}"', *fma, *read, declare, ""])


@lru_cache(maxsize=1)
def _code() -> Code:
    target = target_of(None)
    return Code(object_code(_module(target), target), target)


def _best(run: object, repeats: int = 7) -> float:
    assert callable(run)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def multiply_rate(repeats: int = 7) -> float:
    """Floating-point operations a second of one core, at best of a few short runs."""
    target = target_of(None)
    run, data, turns = _code().entry("multiply"), np.zeros(64, np.float32), 200_000
    sums = 12 if target.registers > 16 else 10
    seconds = _best(lambda: run(data.ctypes.data, turns, 0), repeats)
    return 2.0 * sums * target.lanes(4) * turns / seconds


def read_rate(size_bytes: int, repeats: int = 7) -> float:
    """Bytes a second that one core reads, over and over, out of a block of ``size_bytes``, 4 KiB or more."""
    run, data = _code().entry("read"), _block(max(4096, size_bytes) // 1024 * 1024)
    times = max(1, (32 << 20) // data.nbytes)
    run(data.ctypes.data, data.size, 1)
    return float(data.nbytes * times) / _best(lambda: run(data.ctypes.data, data.size, times), repeats)


@lru_cache(maxsize=16)
def _block(size_bytes: int) -> np.ndarray:
    """Written memory that begins a page.

    Pages that nobody wrote to are all one page of zeros, which the first cache holds, and a vector across two cache
    lines is read at half the rate.
    """
    whole = np.ones(size_bytes + 4096, np.uint8)
    start = -whole.ctypes.data % 4096
    return whole[start : start + size_bytes].view(np.float32)


def limits(repeats: int = 7) -> Limits:
    target = target_of(None)
    return Limits(
        multiply_rate(repeats),
        read_rate(target.first_cache // 2, repeats),
        read_rate(target.second_cache // 2, repeats),
        read_rate(target.second_cache * 8, repeats),
    )


if __name__ == "__main__":
    found = limits()
    print(f"multiply-adds: {found.flops / 1e9:.0f} GFLOP/s")
    for name in ("first_cache", "second_cache", "third_cache"):
        print(f"reads, {name.replace('_', ' ')}: {getattr(found, name) / 1e9:.0f} GB/s")
