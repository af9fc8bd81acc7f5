"""A team: the workers that run one entry together, each its parts of every kernel, and how they wait for each other.

All go through the entry's same statements. A kernel is cut into parts, and worker w of n takes the parts w, w + n and
so on; behind it stands a barrier. So any number of workers gives the same bits: one alone takes all parts.

A team's memory is lines of 64 bytes. The first holds the address of what a worker calls when it has waited for long,
so that another thread can have its core, or 0. Line w + 1 holds how many barriers worker w has come to; a call begins
with all at 0.
"""

from __future__ import annotations

from ..machine.target import Target
from .spin_wait import waiting_text


def barrier_text(target: Target) -> str:
    """The function that waits for all workers, or for the first one."""
    return _BARRIER.format(wait=waiting_text(target))


_BARRIER = """\
; a worker waits for the first so many of all
define internal void @barrier(ptr %team, i64 %worker, i64 %workers, i64 %awaited) noinline #0 {{
entry:
  %alone = icmp eq i64 %workers, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %line = add i64 %worker, 1
  %mine = getelementptr [64 x i8], ptr %team, i64 %line
  %before = load i64, ptr %mine
  %count = add i64 %before, 1
  store atomic i64 %count, ptr %mine release, align 64
  br label %each
each:
  %other = phi i64 [ 1, %arrive ], [ %next, %there ]
  %place = getelementptr [64 x i8], ptr %team, i64 %other
  br label %look
look:
  %spun = phi i64 [ 0, %each ], [ %following, %spin ]
  %theirs = load atomic i64, ptr %place acquire, align 64
  %came = icmp uge i64 %theirs, %count
  br i1 %came, label %there, label %wait
{wait}there:
  %next = add i64 %other, 1
  %more = icmp ule i64 %next, %awaited
  br i1 %more, label %each, label %done
done:
  ret void
}}
"""
