"""Dynamic task scheduling: how workers claim the stages of a pipeline, one chunk at a time, as LLVM's text.

A stage's state is twice the number of chunks that it has done, and one more while a worker is at it. It only grows:
what a stage waits for cannot be undone, and a claim that finds the state as it was read is good.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..loop_ir.nodes import PipelineStage
from ..machine.target import Target
from .spin_wait import waiting_text

NOTHING = -(1 << 40)
"""How many chunks more than itself another stage must have done that a stage doesn't wait for."""


def stages_text(number: int, stages: Sequence[PipelineStage]) -> str:
    """The table that ``claim`` reads: for each stage when it is due, and what it needs of every stage."""
    numbers: list[int] = []
    for stage in stages:
        needs = dict(stage.needs)
        numbers += [stage.due, *(needs.get(other, NOTHING) for other in range(len(stages)))]
    items = ", ".join(f"i64 {item}" for item in numbers)
    return f"@stages{number} = internal constant [{len(numbers)} x i64] [{items}]\n"


def claim_text(target: Target) -> str:
    """The function that gives a worker the number of the stage that it has claimed, or -1 once all is done."""
    return _CLAIM.format(wait=waiting_text(target), none=1 << 62)


_CLAIM = """\
; of the stages that nobody is at and that can do their next chunk, the one that is due first; a quarter of an interval
; earlier counts the one where the worker was before, as its weights are near
define internal i64 @claim(ptr %states, ptr %stages, i64 %count, i64 %stop, i64 %step, i64 %interval, i64 %last,
    ptr %team) noinline #0 {{
entry:
  %row = add i64 %count, 1
  %habit = sdiv i64 %interval, 4
  br label %look
look:
  %spun = phi i64 [ 0, %entry ], [ 0, %take ], [ %following, %spin ]
  br label %each
each:
  %stage = phi i64 [ 0, %look ], [ %stage.next, %next ]
  %best = phi i64 [ -1, %look ], [ %best.next, %next ]
  %best.state = phi i64 [ 0, %look ], [ %best.state.next, %next ]
  %best.due = phi i64 [ {none}, %look ], [ %best.due.next, %next ]
  %open = phi i1 [ false, %look ], [ %open.next, %next ]
  %place = getelementptr i64, ptr %states, i64 %stage
  %state = load atomic i64, ptr %place acquire, align 8
  %chunk = lshr i64 %state, 1
  %busy = trunc i64 %state to i1
  %first = mul i64 %chunk, %step
  %more = icmp slt i64 %first, %stop
  %open.more = or i1 %open, %more
  %idle = xor i1 %busy, true
  %may = and i1 %more, %idle
  %offset = mul i64 %stage, %row
  %table = getelementptr i64, ptr %stages, i64 %offset
  %stage.next = add i64 %stage, 1
  br i1 %may, label %needs, label %next
needs:
  %other = phi i64 [ 0, %each ], [ %other.next, %there ]
  %column = add i64 %other, 1
  %ahead.place = getelementptr i64, ptr %table, i64 %column
  %ahead = load i64, ptr %ahead.place
  %wanted = add i64 %chunk, %ahead
  %other.place = getelementptr i64, ptr %states, i64 %other
  %other.state = load atomic i64, ptr %other.place acquire, align 8
  %other.done = lshr i64 %other.state, 1
  %met = icmp sge i64 %other.done, %wanted
  br i1 %met, label %there, label %next
there:
  %other.next = add i64 %other, 1
  %others = icmp slt i64 %other.next, %count
  br i1 %others, label %needs, label %ready
ready:
  %due.first = load i64, ptr %table
  %due.later = mul i64 %chunk, %interval
  %due.all = add i64 %due.first, %due.later
  %known = icmp eq i64 %stage, %last
  %earlier = select i1 %known, i64 %habit, i64 0
  %due = sub i64 %due.all, %earlier
  %better = icmp slt i64 %due, %best.due
  %best.now = select i1 %better, i64 %stage, i64 %best
  %state.now = select i1 %better, i64 %state, i64 %best.state
  %due.now = select i1 %better, i64 %due, i64 %best.due
  br label %next
next:
  %best.next = phi i64 [ %best, %each ], [ %best, %needs ], [ %best.now, %ready ]
  %best.state.next = phi i64 [ %best.state, %each ], [ %best.state, %needs ], [ %state.now, %ready ]
  %best.due.next = phi i64 [ %best.due, %each ], [ %best.due, %needs ], [ %due.now, %ready ]
  %open.next = phi i1 [ %open.more, %each ], [ %open.more, %needs ], [ %open.more, %ready ]
  %rest = icmp slt i64 %stage.next, %count
  br i1 %rest, label %each, label %choose
choose:
  %found = icmp sge i64 %best.next, 0
  br i1 %found, label %take, label %none
take:
  %best.place = getelementptr i64, ptr %states, i64 %best.next
  %taken = or i64 %best.state.next, 1
  %exchange = cmpxchg ptr %best.place, i64 %best.state.next, i64 %taken acq_rel acquire, align 8
  %mine = extractvalue {{ i64, i1 }} %exchange, 1
  br i1 %mine, label %claimed, label %look
claimed:
  ret i64 %best.next
none:
  br i1 %open.next, label %wait, label %over
over:
  ret i64 -1
{wait}}}
"""
