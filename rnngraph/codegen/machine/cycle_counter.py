"""The processor's time counter, which profiled code reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ...support.errors import GraphError
from .code import Code
from .engine import object_code
from .target import Target, host

_TIME_STAMP = ("call i64 @llvm.readcyclecounter()", "declare i64 @llvm.readcyclecounter()", ())
_VIRTUAL_COUNT = (
    "call i64 @llvm.read_volatile_register.i64(metadata !99999)",
    "declare i64 @llvm.read_volatile_register.i64(metadata)",
    ('!99999 = !{!"CNTVCT_EL0"}',),
)
_TEXTS = {"x86_64": _TIME_STAMP, "amd64": _TIME_STAMP, "aarch64": _VIRTUAL_COUNT, "arm64": _VIRTUAL_COUNT}
"""Instruction, declaration and metadata for reading the counter, as LLVM text, by the first part of a triple.

Both counters run at a constant rate, independent of the core's clock. On 64-bit ARM, programs may not read the counter
of the core's cycles.
"""

READINGS = 4096
"""Number of readings from which the cost of one reading is measured."""


def cycle_counter(target: Target) -> tuple[str, str, tuple[str, ...]]:
    """Return the LLVM instruction that reads a target's time counter, its declaration, and the module's metadata.

    Raises:
        GraphError: The processor has no instruction with which programs can read the time.
    """
    texts = _TEXTS.get(target.triple.partition("-")[0])
    if texts is None:
        raise GraphError(
            f"code for {target.name} can't be profiled: {target.triple.partition('-')[0]} has no instruction with "
            "which programs can read the time; profile the same net on x86-64 or 64-bit ARM"
        )
    return texts


def counter_text(target: Target) -> str:
    """Return the LLVM text of two functions that measure time.

    ``now(ptr)`` stores the counter's value. ``ticks(ptr, times)`` runs ``times`` ticks. A tick reads the counter, adds
    the elapsed time to one number in memory, and adds 1 to another.
    """
    call, declaration, metadata = cycle_counter(target)
    return "\n".join([f'target triple = "{target.triple}"', _FUNCTIONS.format(call=call), declaration, *metadata, ""])


_FUNCTIONS = """
define void @now(ptr %place, i64 %unused, i64 %unused2) {{
entry:
  %now = {call}
  store i64 %now, ptr %place
  ret void
}}

define void @ticks(ptr %clock, i64 %times, i64 %unused) {{
entry:
  %sum = getelementptr i64, ptr %clock, i64 8
  %count = getelementptr i64, ptr %clock, i64 9
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %now = {call}
  %before = load volatile i64, ptr %clock
  %passed = sub i64 %now, %before
  %sum.before = load volatile i64, ptr %sum
  %sum.after = add i64 %sum.before, %passed
  store volatile i64 %sum.after, ptr %sum
  %count.before = load volatile i64, ptr %count
  %count.after = add i64 %count.before, 1
  store volatile i64 %count.after, ptr %count
  store volatile i64 %now, ptr %clock
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %times
  br i1 %more, label %loop, label %end
end:
  ret void
}}
"""


class Counter:
    """Time counter of this machine. ``cost`` is the time of a tick, in units of the counter."""

    def __init__(self) -> None:
        code = Code(object_code(counter_text(host()), host()), host())
        self._memory = np.zeros(16, np.int64)
        self._address = self._memory.ctypes.data
        self._now, self._ticks = code.entry("now"), code.entry("ticks")
        self.cost = min(self._tick_cost() for _ in range(9))

    def now(self) -> int:
        """Return the value of the counter."""
        self._now(self._address, 0, 0)
        return int(self._memory[0])

    def _tick_cost(self) -> float:
        """Return the measured time of a tick, in units of the counter."""
        begin = self.now()
        self._ticks(self._address, READINGS, 0)
        return (self.now() - begin) / READINGS


counter: Callable[[], Counter] = lru_cache(maxsize=1)(Counter)
"""Return the counter of this process."""
