"""The functions that a pool's threads run, as LLVM's text, and the memory through which they are given work."""

from __future__ import annotations

from ..machine.target import Target
from .spin_wait import SPINS, pause

MOST_WORKERS = 64
_JOB = 1 + MOST_WORKERS
JOB_WORD = 8 * _JOB
"""The 8-byte word of a pool's memory that holds a job's entry; its arguments and number of workers follow."""
_FIRST = _JOB + 1
LINES = _FIRST + 3 * MOST_WORKERS
"""Of a pool's memory: a team's, one for the job, three for each worker (jobs given, jobs done, its semaphore)."""


def semaphore_line(worker: int) -> int:
    """The line where the semaphore lies that a worker sleeps on."""
    return _FIRST + 3 * worker + 2


def pool_text(target: Target) -> str:
    """The module of a pool's two entries, both of (memory, x, y).

    ``pool_serve`` is what worker x runs for ever. ``pool_share`` runs the job that is written in the job's line with
    its workers, the caller among them.

    The first line's other words are the C library's ``sem_wait`` and ``sem_post``. A worker that finds no job looks for
    one for a while and then sleeps. It takes over the caller's floating-point mode.
    """
    is_x86 = bool(pause(target)[0])
    modes = ("call void @llvm.x86.sse.stmxcsr(ptr %mode)", "call void @llvm.x86.sse.ldmxcsr(ptr %mode)")
    declared = [pause(target)[1], *(f"declare void @llvm.x86.sse.{name}(ptr)" for name in ("stmxcsr", "ldmxcsr"))]
    text = _POOL.format(
        pause=pause(target)[0], spins=2 * SPINS, yields=SPINS - 1, job=64 * _JOB, first=64 * _FIRST,
        store_mode=modes[0] if is_x86 else "", load_mode=modes[1] if is_x86 else "",
    )  # fmt: skip
    head = f'source_filename = "pool"\ntarget triple = "{target.triple}"\n'
    return "\n".join([head, text, *(declared if is_x86 else []), 'attributes #0 = { nounwind "no-builtins" }', ""])


_POOL = """\
define void @pool_serve(ptr %pool, i64 %worker, i64 %unused) #0 {{
entry:
  %job = getelementptr i8, ptr %pool, i64 {job}
  %offset = mul i64 %worker, 192
  %lines = getelementptr i8, ptr %pool, i64 {first}
  %given = getelementptr i8, ptr %lines, i64 %offset
  %done = getelementptr i8, ptr %given, i64 64
  %asleep = getelementptr i8, ptr %given, i64 72
  %semaphore = getelementptr i8, ptr %given, i64 128
  %wait.place = getelementptr i64, ptr %pool, i64 1
  %wait.function = load ptr, ptr %wait.place
  %mode = getelementptr i64, ptr %job, i64 3
  br label %idle
idle:
  %last = phi i64 [ 0, %entry ], [ %number, %run ]
  br label %look
look:
  %looks = phi i64 [ 0, %idle ], [ %following, %spin ], [ 0, %sleep ], [ 0, %woken ]
  %seen = load atomic i64, ptr %given acquire, align 8
  %new = icmp ne i64 %seen, %last
  br i1 %new, label %begin, label %spin.more
spin.more:
  {pause}
  %following = add i64 %looks, 1
  %long = icmp uge i64 %following, {spins}
  br i1 %long, label %drowsy, label %spin
spin:
  br label %look
drowsy:
  store atomic i64 1, ptr %asleep seq_cst, align 8
  %again = load atomic i64, ptr %given seq_cst, align 8
  %late = icmp ne i64 %again, %last
  br i1 %late, label %woken, label %sleep
sleep:
  call i32 %wait.function(ptr %semaphore)
  store atomic i64 0, ptr %asleep seq_cst, align 8
  br label %look
woken:
  store atomic i64 0, ptr %asleep seq_cst, align 8
  br label %look
begin:
  %number = load atomic i64, ptr %given acquire, align 8
  br label %run
run:
  %function = load ptr, ptr %job
  {load_mode}
  %arguments.place = getelementptr i64, ptr %job, i64 1
  %arguments = load ptr, ptr %arguments.place
  %workers.place = getelementptr i64, ptr %job, i64 2
  %workers = load i64, ptr %workers.place
  call void %function(ptr %arguments, i64 %worker, i64 %workers)
  store atomic i64 %number, ptr %done release, align 8
  br label %idle
}}

define void @pool_share(ptr %pool, i64 %unused, i64 %unused2) #0 {{
entry:
  %job = getelementptr i8, ptr %pool, i64 {job}
  %lines = getelementptr i8, ptr %pool, i64 {first}
  %mode = getelementptr i64, ptr %job, i64 3
  {store_mode}
  %function = load ptr, ptr %job
  %arguments.place = getelementptr i64, ptr %job, i64 1
  %arguments = load ptr, ptr %arguments.place
  %workers.place = getelementptr i64, ptr %job, i64 2
  %workers = load i64, ptr %workers.place
  %yield.function = load ptr, ptr %pool
  %post.place = getelementptr i64, ptr %pool, i64 2
  %post.function = load ptr, ptr %post.place
  br label %clear
clear:
  %line = phi i64 [ 1, %entry ], [ %line.next, %clear ]
  %count = getelementptr [64 x i8], ptr %pool, i64 %line
  store i64 0, ptr %count
  %line.next = add i64 %line, 1
  %clear.more = icmp ule i64 %line.next, %workers
  br i1 %clear.more, label %clear, label %give.head
give.head:
  %other = phi i64 [ 1, %clear ], [ %other.next, %give.end ]
  %give.more = icmp ult i64 %other, %workers
  br i1 %give.more, label %give, label %work
give:
  %offset = mul i64 %other, 192
  %given = getelementptr i8, ptr %lines, i64 %offset
  %asleep = getelementptr i8, ptr %given, i64 72
  %semaphore = getelementptr i8, ptr %given, i64 128
  %before = load i64, ptr %given
  %number = add i64 %before, 1
  store atomic i64 %number, ptr %given seq_cst, align 8
  %slept = atomicrmw xchg ptr %asleep, i64 0 seq_cst
  %wake = icmp eq i64 %slept, 1
  br i1 %wake, label %post, label %give.end
post:
  call i32 %post.function(ptr %semaphore)
  br label %give.end
give.end:
  %other.next = add i64 %other, 1
  br label %give.head
work:
  call void %function(ptr %arguments, i64 0, i64 %workers)
  br label %join.head
join.head:
  %one = phi i64 [ 1, %work ], [ %one.next, %there ]
  %join.more = icmp ult i64 %one, %workers
  br i1 %join.more, label %join, label %end
join:
  %join.offset = mul i64 %one, 192
  %join.given = getelementptr i8, ptr %lines, i64 %join.offset
  %join.done = getelementptr i8, ptr %join.given, i64 64
  %wanted = load i64, ptr %join.given
  br label %look
look:
  %looks = phi i64 [ 0, %join ], [ %following, %spin ]
  %seen = load atomic i64, ptr %join.done acquire, align 8
  %came = icmp eq i64 %seen, %wanted
  br i1 %came, label %there, label %wait
wait:
  {pause}
  %following = add i64 %looks, 1
  %low = and i64 %following, {yields}
  %long = icmp eq i64 %low, 0
  br i1 %long, label %yield, label %spin
yield:
  call void %yield.function()
  br label %spin
spin:
  br label %look
there:
  %one.next = add i64 %one, 1
  br label %join.head
end:
  ret void
}}
"""
