"""A team: the workers that run one entry together, each its parts of every kernel, and how they wait for each other.

All go through the entry's same statements. A kernel is cut into parts, and worker w of n takes the parts w, w + n and
so on; behind it stands a barrier. So any number of workers gives the same bits: one alone takes all parts.

A team's memory is lines of 64 bytes. The first holds the address of what a worker calls when it has waited for long,
so that another thread can have its core, or 0. Line w + 1 holds how many barriers worker w has come to; a call begins
with all at 0.
"""

from __future__ import annotations

from ..machine.ir_builder import IRBuilder
from ..machine.target import Target
from .spin_wait import write_spin

LINE = "[64 x i8]"
"""A line of a team's memory."""


def barrier_text(target: Target) -> str:
    """The function with which a worker waits for the first ``awaited`` of all: for the others, or for the first one."""
    f = IRBuilder()
    f.return_if(f.icmp("eq", "i64", "%workers", 1))
    mine = f.place("%team", f.value("add i64 %worker, 1", "line"), LINE)
    count = f.value(f"add i64 {f.value(f'load i64, ptr {mine}', 'before')}, 1", "count")
    f.do(f"store atomic i64 {count}, ptr {mine} release, align 64")
    with f.loop("%awaited", "other") as other:
        place = f.place("%team", f.value(f"add i64 {other}, 1", "line"), LINE)
        (there,) = f.labels("there")

        def look(spun: str) -> list[str]:
            theirs = f.value(f"load atomic i64, ptr {place} acquire, align 64", "theirs")
            f.branch_if(f.icmp("uge", "i64", theirs, count), there)
            return [write_spin(f, target, spun)]

        f.endless_loop([("i64", 0)], look)
        f.start(there)
    f.ret()
    parameters = {"team": "ptr", "worker": "i64", "workers": "i64", "awaited": "i64"}
    return f.function("barrier", "void", parameters, attributes="noinline #0")
