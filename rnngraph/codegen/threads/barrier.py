"""Barrier between the workers that run an entry together.

All workers execute the same statements. A kernel is split into parts: worker w of n runs the parts w, w + n and so on.
A barrier follows. Any number of workers gives the same bits, because the parts do not depend on that number.

The workers of a call are a team. Its memory consists of lines of 64 bytes:

- The first line has the address of a function that yields the core, or 0. Workers call it after a long wait.
- Line w + 1 has the number of barriers that worker w has reached. All are 0 at the start of a call.
"""

from __future__ import annotations

from ..machine.ir_builder import IRBuilder
from ..machine.target import Target
from .spin_wait import write_spin

LINE = "[64 x i8]"
"""LLVM type of a line of a team's memory."""


def barrier_text(target: Target) -> str:
    """Return the LLVM text of a function in which a worker waits at a barrier for the first ``awaited`` workers."""
    f = IRBuilder()
    f.return_if(f.icmp("eq", "i64", "%workers", 1))
    own_line = f.place("%team", f.value("add i64 %worker, 1", "line"), LINE)
    count = f.value(f"add i64 {f.value(f'load i64, ptr {own_line}', 'before')}, 1", "count")
    f.do(f"store atomic i64 {count}, ptr {own_line} release, align 64")
    with f.loop("%awaited", "other") as other:
        place = f.place("%team", f.value(f"add i64 {other}, 1", "line"), LINE)
        (arrived,) = f.labels("there")

        def poll(spun: str) -> list[str]:
            theirs = f.value(f"load atomic i64, ptr {place} acquire, align 64", "theirs")
            f.branch_if(f.icmp("uge", "i64", theirs, count), arrived)
            return [write_spin(f, target, spun)]

        f.endless_loop([("i64", 0)], poll)
        f.start(arrived)
    f.ret()
    parameters = {"team": "ptr", "worker": "i64", "workers": "i64", "awaited": "i64"}
    return f.function("barrier", "void", parameters, attributes="noinline #0")
