"""The function that steps rows of tables, as LLVM's text, and the memory that tells it what to do.

A step's entry takes its rows side by side. Here rows lie anywhere in tables: those of a call are copied to where the
entry reads, so many at a time, and what it gives is copied back. Entries are called by their address, so that one
function serves all nets; it allocates nothing and calls nothing else.
"""

from __future__ import annotations

from .memory_text import COPY, load_word
from .target import Target

RUN_ROWS = "run_rows"
COUNT, CHUNK, JOBS = 0, 1, 2
"""Words of a plan: rows of the call, rows at a time, and from there on where each worker's job lies."""
ENTRY, BLOCK, ROWS, SIZES, SIZE_PLACES, GATHERS, SCATTERS, MOVES = range(8)
"""Words of a job: the entry and its argument block, which rows of the tables, how many sizes count rows and where their
places in the block are listed, the moves before the entry runs and those behind it, and where they lie.
"""
JOB_WORDS = 8
OUTER, INNER, SOURCE, SOURCE_ROW, SOURCE_OUTER, TARGET, TARGET_ROW, TARGET_OUTER, BY_TABLE = range(9)
"""Words of a move: of each row ``OUTER`` pieces of ``INNER`` bytes, from where and to where, and how far rows and
pieces lie apart. The row of a table is the one that ``ROWS`` names, where ``BY_TABLE`` is 1, else its number in the
call. What an entry gives lies close together, in as many rows as it ran: how far its pieces lie apart follows.
"""
MOVE_WORDS = 9


def row_steps_text(target: Target) -> str:
    """The module of ``run_rows``: (plan, worker, workers) → nothing. Of the chunks of rows each worker takes every
    ``workers``-th.
    """
    head = f'source_filename = "row_steps"\ntarget triple = "{target.triple}"\n'
    return "\n".join([head, COPY, _MOVE, _RUN, 'attributes #0 = { nounwind "no-builtins" }', ""])


_MOVE = f"""\
define internal void @move(ptr %moves, i64 %number, ptr %rows, i64 %first, i64 %count, i1 %back) #0 {{
entry:
  br label %moves.head
moves.head:
  %turn = phi i64 [ 0, %entry ], [ %turn.next, %rows.end ]
  %more = icmp ult i64 %turn, %number
  br i1 %more, label %begin, label %end
begin:
  %words = mul i64 %turn, {MOVE_WORDS}
  %one = getelementptr i64, ptr %moves, i64 %words
{load_word("outer", "one", OUTER)}{load_word("inner", "one", INNER)}{load_word("source", "one", SOURCE, "ptr")}\
{load_word("source.row", "one", SOURCE_ROW)}{load_word("source.given", "one", SOURCE_OUTER)}\
{load_word("target", "one", TARGET, "ptr")}{load_word("target.row", "one", TARGET_ROW)}\
{load_word("target.outer", "one", TARGET_OUTER)}{load_word("by.table", "one", BY_TABLE)}\
  %close = mul i64 %inner, %count
  %source.outer = select i1 %back, i64 %close, i64 %source.given
  %named = icmp eq i64 %by.table, 1
  br label %rows.head
rows.head:
  %row = phi i64 [ 0, %begin ], [ %row.next, %pieces.end ]
  %rows.more = icmp ult i64 %row, %count
  br i1 %rows.more, label %row.begin, label %rows.end
row.begin:
  %place = add i64 %first, %row
  br i1 %named, label %look, label %found
look:
  %name.place = getelementptr i64, ptr %rows, i64 %place
  %name = load i64, ptr %name.place
  br label %found
found:
  %there = phi i64 [ %place, %row.begin ], [ %name, %look ]
  %source.index = select i1 %back, i64 %row, i64 %there
  %target.index = select i1 %back, i64 %there, i64 %row
  %source.offset = mul i64 %source.index, %source.row
  %target.offset = mul i64 %target.index, %target.row
  %from = getelementptr i8, ptr %source, i64 %source.offset
  %to = getelementptr i8, ptr %target, i64 %target.offset
  br label %pieces.head
pieces.head:
  %piece = phi i64 [ 0, %found ], [ %piece.next, %piece.begin ]
  %pieces.more = icmp ult i64 %piece, %outer
  br i1 %pieces.more, label %piece.begin, label %pieces.end
piece.begin:
  %piece.source = mul i64 %piece, %source.outer
  %piece.target = mul i64 %piece, %target.outer
  %piece.from = getelementptr i8, ptr %from, i64 %piece.source
  %piece.to = getelementptr i8, ptr %to, i64 %piece.target
  call void @copy(ptr %piece.from, ptr %piece.to, i64 %inner)
  %piece.next = add i64 %piece, 1
  br label %pieces.head
pieces.end:
  %row.next = add i64 %row, 1
  br label %rows.head
rows.end:
  %turn.next = add i64 %turn, 1
  br label %moves.head
end:
  ret void
}}
"""

_RUN = f"""\
define void @{RUN_ROWS}(ptr %plan, i64 %worker, i64 %workers) #0 {{
entry:
{load_word("total", "plan", COUNT)}{load_word("chunk", "plan", CHUNK)}\
  %jobs = getelementptr i64, ptr %plan, i64 {JOBS}
  %job.place = getelementptr i64, ptr %jobs, i64 %worker
  %job = load ptr, ptr %job.place
{load_word("function", "job", ENTRY, "ptr")}{load_word("block", "job", BLOCK, "ptr")}\
{load_word("rows", "job", ROWS, "ptr")}{load_word("sizes", "job", SIZES)}\
{load_word("size.places", "job", SIZE_PLACES, "ptr")}{load_word("gathers", "job", GATHERS)}\
{load_word("scatters", "job", SCATTERS)}{load_word("moves", "job", MOVES, "ptr")}\
  %behind = mul i64 %gathers, {MOVE_WORDS}
  %back = getelementptr i64, ptr %moves, i64 %behind
  br label %head
head:
  %number = phi i64 [ %worker, %entry ], [ %number.next, %run ]
  %first = mul i64 %number, %chunk
  %more = icmp ult i64 %first, %total
  br i1 %more, label %begin, label %end
begin:
  %left = sub i64 %total, %first
  %last = icmp ult i64 %left, %chunk
  %count = select i1 %last, i64 %left, i64 %chunk
  br label %sizes.head
sizes.head:
  %one = phi i64 [ 0, %begin ], [ %one.next, %sizes.body ]
  %sizes.more = icmp ult i64 %one, %sizes
  br i1 %sizes.more, label %sizes.body, label %run
sizes.body:
  %listed = getelementptr i64, ptr %size.places, i64 %one
  %size.place = load ptr, ptr %listed
  store i64 %count, ptr %size.place
  %one.next = add i64 %one, 1
  br label %sizes.head
run:
  call void @move(ptr %moves, i64 %gathers, ptr %rows, i64 %first, i64 %count, i1 0)
  call void %function(ptr %block, i64 0, i64 1)
  call void @move(ptr %back, i64 %scatters, ptr %rows, i64 %first, i64 %count, i1 1)
  %number.next = add i64 %number, %workers
  br label %head
end:
  ret void
}}
"""
