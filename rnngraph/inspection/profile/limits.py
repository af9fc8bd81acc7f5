"""Maximum rates of a machine, measured with code that this package compiles.

Measured are multiply-adds, elementary functions, and reads of memory blocks by size.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ...codegen.cost_model.register_tiles import FMA_LATENCY
from ...codegen.llvm.module import module_text
from ...codegen.loop_ir.builder import Block
from ...codegen.loop_ir.functions import Entry, Function
from ...codegen.loop_ir.nodes import Buffer, For, Store
from ...codegen.machine.code import Code
from ...codegen.machine.engine import object_code
from ...codegen.machine.target import Target, cache_bytes, host
from ...ir.node import DRAW, INSTRUCTION
from ...ir.ops import OPS
from ...ir.types import ITEM_BYTES, size
from ...runtime.native.aligned_memory import address, aligned_bytes

PAGE = 4096
READS = 8
"""Number of vector loads, each with its own accumulator, per iteration of the loop that measures reads."""
READ_BYTES = 16 << 20
"""Minimum bytes of one measurement of reads."""
MAX_READ = 64 << 20
"""Maximum bytes of a measured block of memory."""
TURNS = 100_000
DRAWN = "random_uniform"
"""Op that is measured in place of every op that draws random numbers."""
FUNCTION_ELEMENTS, FUNCTION_TURNS = 1024, 16
"""Number of elements for measuring elementary functions, which fits in L1, and number of repetitions."""


class Limits:
    """Maximum rates of one core of this machine with code for ``target``.

    Each rate is measured on first use, which takes milliseconds, as the best of ``repeats`` runs.
    """

    def __init__(self, target: Target, repeats: int = 5) -> None:
        self.target, self.repeats = target, repeats
        self._flops: float | None = None
        self._wait: float | None = None
        self._reads: dict[int, float] = {}
        self._functions: dict[tuple[str, str], float] = {}

    def flops(self, dtype: str = "float32") -> float:
        """Return floating-point operations a second; a multiply-add is two."""
        if self._flops is None:
            self._flops = multiply_rate(self.target, self.repeats)
        return self._flops * 4 / max(4, ITEM_BYTES[dtype])

    @property
    def clock(self) -> float:
        """Cycles a second, computed from the time of dependent multiply-adds."""
        return FMA_LATENCY / self.wait

    @property
    def wait(self) -> float:
        """Seconds from a multiply-add's start until the next one can use its sum."""
        if self._wait is None:
            self._wait = chain_seconds(self.target, self.repeats)
        return self._wait

    def read(self, count: int) -> float:
        """Return bytes a second at which a core reads a block of ``count`` bytes repeatedly.

        Blocks are measured from ``PAGE`` to ``MAX_READ`` bytes; other counts have the rate of the nearest block.
        """
        rounded = max(PAGE, min(MAX_READ, 1 << max(0, count - 1).bit_length()))
        if rounded not in self._reads:
            repeats = self.repeats if rounded <= READ_BYTES else 2
            self._reads[rounded] = read_rate(rounded, self.target, repeats)
        return self._reads[rounded]

    def level(self, count: int) -> str:
        """Return the name of the memory that holds ``count`` bytes that are read repeatedly, such as ``L2``."""
        third = cache_bytes().get(3)
        for name, capacity in (("L1", self.target.first_cache), ("L2", self.target.second_cache), ("L3", third)):
            if capacity is not None and count <= capacity:
                return name
        return "memory"

    def seconds(self, op: str, dtype: str) -> float:
        """Return the seconds that an elementwise op takes for one element."""
        if OPS[op].cost == INSTRUCTION:  # takes as long as a multiply-add
            return 2 / self.flops(dtype)
        key = (DRAWN, "float32") if OPS[op].cost == DRAW else (op, dtype)
        if key not in self._functions:
            self._functions[key] = function_seconds(*key, self.target, self.repeats)
        return self._functions[key]


limits_of: Callable[[Target], Limits] = lru_cache(maxsize=8)(Limits)
"""Limits of a target, measured once in this process."""


def multiply_rate(target: Target | None = None, repeats: int = 7) -> float:
    """Return a core's floating-point operations per second, the best of short runs. Default target: this machine."""
    target = target or host()
    run, data = _code(target).entry("multiply"), np.zeros(64, np.float32)
    seconds = _best(lambda: run(address(data), TURNS, 0), repeats)
    return 2.0 * _sums(target) * target.lanes(4) * TURNS / seconds


def chain_seconds(target: Target, repeats: int = 7) -> float:
    """Return the seconds of one multiply-add in a chain of dependent ones."""
    run, data = _code(target).entry("chain"), np.zeros(64, np.float32)
    return _best(lambda: run(address(data), TURNS, 0), repeats) / TURNS


def read_rate(size_bytes: int, target: Target | None = None, repeats: int = 7) -> float:
    """Return bytes a second that one core reads repeatedly from a block of ``size_bytes``, 4 KiB or more."""
    run, data = _code(target or host()).entry("read"), _block(max(PAGE, size_bytes) // 1024 * 1024)
    times = max(1, READ_BYTES // data.nbytes)
    run(address(data), data.size, 1)
    return float(data.nbytes * times) / _best(lambda: run(address(data), data.size, times), repeats)


def function_seconds(op: str, dtype: str, target: Target, repeats: int = 7) -> float:
    """Return the seconds that an elementwise op takes for one element, in a loop over independent numbers in L1."""
    lanes, block, turns = target.lanes(ITEM_BYTES[dtype]), Block(), "turns"
    source, result = Buffer("source", "int64" if op == DRAWN else dtype), Buffer("result", dtype)
    operands = [block.load("x", source, size("i"), lanes) for _ in range(OPS[op].arity[0])]
    block.add(Store(block.let(op, operands, dtype, lanes), result, size("i")))
    inner = For("i", 0, FUNCTION_ELEMENTS, lanes, tuple(block.statements))
    whole = Function("apply", (source, result), (turns,), (For("turn", 0, size(turns), 1, (inner,)),))
    places = {source: ("source", 0), result: ("result", 0)}
    entry = Entry("apply", whole, ("source", "result", turns), dict(places))
    run = Code(object_code(module_text([], [entry], target, op), target), target).entry("apply")
    arrays = [np.full(FUNCTION_ELEMENTS, 0.5, buffer.dtype) for buffer in places]
    arguments = np.array([*map(address, arrays), FUNCTION_TURNS], np.int64)
    seconds = _best(lambda: run(address(arguments), 0, 1), repeats)
    return seconds / (FUNCTION_ELEMENTS * FUNCTION_TURNS)


def _best(run: Callable[[], object], repeats: int) -> float:
    """Return the shortest of ``repeats`` run times, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _sums(target: Target) -> int:
    """Return a number of independent chains of multiply-adds that hides their latency and fits in the registers."""
    return 12 if target.registers > 16 else 10


def _block(size_bytes: int) -> np.ndarray:
    """Return written memory that begins at a page.

    Unwritten pages share one page of zeros, which L1 holds, and vectors across two cache lines are read at
    half the rate.
    """
    whole = aligned_bytes(size_bytes + PAGE, "the memory to measure reads with")
    whole.fill(1)
    start = -address(whole) % PAGE
    return whole[start : start + size_bytes].view(np.float32)


@lru_cache(maxsize=8)
def _code(target: Target) -> Code:
    return Code(object_code(_module(target), target), target)


def _module(target: Target) -> str:
    """Return the LLVM text of three loops to time: independent multiply-adds, dependent ones, and reads.

    ``chain`` is ``multiply`` with one sum.
    """
    lanes = target.lanes(4)
    kind = f"<{lanes} x float>" if lanes > 1 else "float"
    suffix = f"v{lanes}f32" if lanes > 1 else "f32"
    fma = f"llvm.{'fma' if target.has_fma else 'fmuladd'}.{suffix}"
    declared = f"declare {kind} @{fma}({kind}, {kind}, {kind})"
    head = f'target triple = "{target.triple}"'
    multiply, chain = _multiply("multiply", kind, fma, _sums(target)), _multiply("chain", kind, fma, 1)
    return "\n".join([head, *multiply, *chain, *_read(kind, lanes), declared, ""])


def _multiply(name: str, kind: str, fma: str, sums: int) -> list[str]:
    """Return the lines of an LLVM function that runs ``sums`` independent chains of multiply-adds."""
    begin = "splat (float {0})" if kind.startswith("<") else "{0}"
    return [
        f"define void @{name}(ptr %a, i64 %n, i64 %unused) {{",
        "entry:",
        f"  %x = load {kind}, ptr %a, align 4",
        # chains start with different values, as equal ones would be merged
        *(f"  %y{j} = fadd {kind} %x, {begin.format(float(j + 1))}" for j in range(sums)),
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]",
        *(f"  %s{j} = phi {kind} [ %y{j}, %entry ], [ %t{j}, %loop ]" for j in range(sums)),
        *(f"  %t{j} = call {kind} @{fma}({kind} %x, {kind} %x, {kind} %s{j})" for j in range(sums)),
        "  %next = add i64 %i, 1",
        "  %more = icmp slt i64 %next, %n",
        "  br i1 %more, label %loop, label %end",
        *_end(kind, sums),
    ]


def _read(kind: str, lanes: int) -> list[str]:
    """Return the lines of an LLVM function that reads a block of floats repeatedly."""
    loads = [
        line
        for j in range(READS)
        for line in (
            f"  %i{j} = add i64 %i, {j * lanes}",
            f"  %p{j} = getelementptr float, ptr %a, i64 %i{j}",
            f"  %v{j} = load {kind}, ptr %p{j}, align 4",
            f"  %t{j} = fadd {kind} %s{j}, %v{j}",
        )
    ]
    return [
        "define void @read(ptr %a, i64 %n, i64 %times) {",
        "entry:",
        "  br label %outer",
        "outer:",
        "  %o = phi i64 [ 0, %entry ], [ %onext, %done ]",
        *(f"  %c{j} = phi {kind} [ zeroinitializer, %entry ], [ %t{j}, %done ]" for j in range(READS)),
        "  br label %inner",
        "inner:",
        "  %i = phi i64 [ 0, %outer ], [ %next, %inner ]",
        *(f"  %s{j} = phi {kind} [ %c{j}, %outer ], [ %t{j}, %inner ]" for j in range(READS)),
        *loads,
        f"  %next = add i64 %i, {READS * lanes}",
        "  %more = icmp slt i64 %next, %n",
        "  br i1 %more, label %inner, label %done",
        "done:",
        "  %onext = add i64 %o, 1",
        "  %again = icmp slt i64 %onext, %times",
        "  br i1 %again, label %outer, label %end",
        *_end(kind, READS),
    ]


def _end(kind: str, sums: int) -> list[str]:
    """Return the last lines of an LLVM function: a sum of all results, so that nothing is optimized away."""
    totals = ["%t0", *(f"%u{j}" for j in range(1, sums))]
    adds = [f"  {totals[j]} = fadd {kind} {totals[j - 1]}, %t{j}" for j in range(1, sums)]
    return ["end:", *adds, f"  store {kind} {totals[-1]}, ptr %a, align 4", "  ret void", "}"]
