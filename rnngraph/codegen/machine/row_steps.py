"""LLVM text of the function that advances selected rows of a stream table by one step.

A stream table has the states of many streams, one stream in each row.

The entry of a step reads contiguous rows, but the rows of a call may be anywhere in tables. The function gathers a
chunk of rows into the entry's memory, runs the entry, and scatters the results back. Entries are called by address, so
that one function serves all nets. No memory is allocated.
"""

from __future__ import annotations

from .ir_builder import IRBuilder
from .memory_text import COPY
from .target import Target

RUN_ROWS = "run_rows"
COUNT, CHUNK, JOBS = 0, 1, 2
"""Words of a plan: number of rows of the call, number of rows of a chunk, and then the address of each worker's job."""
ENTRY, BLOCK, ROWS, SIZES, SIZE_PLACES, GATHERS, SCATTERS, MOVES = range(8)
"""Words of a job, in which a worker runs an entry.

- ``ENTRY``, ``BLOCK``: the entry and its argument block.
- ``ROWS``: address of the row indices.
- ``SIZES``, ``SIZE_PLACES``: number of words of the block for the number of rows, and the list of their addresses.
- ``GATHERS``, ``SCATTERS``: number of copies before the entry, and after it.
- ``MOVES``: address of the descriptions of all copies.
"""
JOB_WORDS = 8
OUTER, INNER, SOURCE, SOURCE_ROW, SOURCE_OUTER, TARGET, TARGET_ROW, TARGET_OUTER, BY_TABLE = range(9)
"""Words of the description of a copy.

Each row has ``OUTER`` pieces of ``INNER`` bytes. Source and target each have a stride of rows and a stride of pieces.
If ``BY_TABLE`` is 1, the indices of a table's rows are in ``ROWS``; otherwise row i of the call is row i of the table.
Results of an entry are contiguous, so that their stride of pieces depends on the number of rows that the entry ran.
"""
MOVE_WORDS = 9


def row_steps_text(target: Target) -> str:
    """Return the LLVM text of the module with ``run_rows(plan, worker, workers)``.

    Worker w of n runs the chunks w, w + n and so on.
    """
    head = f'source_filename = "row_steps"\ntarget triple = "{target.triple}"\n'
    return "\n".join([head, COPY, _move(), _run_rows(), 'attributes #0 = { nounwind "no-builtins" }', ""])


def _move() -> str:
    """Return the LLVM text of a function that copies streams' rows from tables to an entry's memory, or back.

    If its parameter ``back`` is true, it copies rows from the entry's memory to tables.
    """
    f = IRBuilder()
    with f.loop("%number", "move") as number:
        move = f.place("%moves", f.value(f"mul i64 {number}, {MOVE_WORDS}", "words"))
        outer, inner, by_table = f.entry(move, OUTER), f.entry(move, INNER), f.entry(move, BY_TABLE)
        source, source_row = f.entry(move, SOURCE, "ptr"), f.entry(move, SOURCE_ROW)
        target, target_row = f.entry(move, TARGET, "ptr"), f.entry(move, TARGET_ROW)
        close = f.value(f"mul i64 {inner}, %count", "close")
        source_outer = f.value(f"select i1 %back, i64 {close}, i64 {f.entry(move, SOURCE_OUTER)}", "apart")
        target_outer, is_named = f.entry(move, TARGET_OUTER), f.icmp("eq", "i64", by_table, 1)
        with f.loop("%count", "row") as row:
            place = f.value(f"add i64 %first, {row}", "place")
            table_row = f.either("i64", is_named, lambda: f.entry("%rows", place), lambda: place)
            source_index = f.value(f"select i1 %back, i64 {row}, i64 {table_row}", "index")
            target_index = f.value(f"select i1 %back, i64 {table_row}, i64 {row}", "index")
            start = f.moved(source, f.value(f"mul i64 {source_index}, {source_row}", "offset"))
            to = f.moved(target, f.value(f"mul i64 {target_index}, {target_row}", "offset"))
            with f.loop(outer, "piece") as piece:
                piece_from = f.moved(start, f.value(f"mul i64 {piece}, {source_outer}", "offset"))
                piece_to = f.moved(to, f.value(f"mul i64 {piece}, {target_outer}", "offset"))
                f.do(f"call void @copy(ptr {piece_from}, ptr {piece_to}, i64 {inner})")
    f.ret()
    parameters = {"moves": "ptr", "number": "i64", "rows": "ptr", "first": "i64", "count": "i64", "back": "i1"}
    return f.function("move", "void", parameters)


def _run_rows() -> str:
    """Return the LLVM text of ``run_rows``, which gathers streams' rows, runs a step on them, and scatters results."""
    f = IRBuilder()
    total, chunk = f.entry("%plan", COUNT), f.entry("%plan", CHUNK)
    job = f.entry(f.place("%plan", JOBS), "%worker", "ptr")
    function, block, rows = f.entry(job, ENTRY, "ptr"), f.entry(job, BLOCK, "ptr"), f.entry(job, ROWS, "ptr")
    sizes, places, moves = f.entry(job, SIZES), f.entry(job, SIZE_PLACES, "ptr"), f.entry(job, MOVES, "ptr")
    gathers, scatters = f.entry(job, GATHERS), f.entry(job, SCATTERS)
    back = f.place(moves, f.value(f"mul i64 {gathers}, {MOVE_WORDS}", "words"))

    def iterate(number: str) -> list[str]:
        first = f.value(f"mul i64 {number}, {chunk}", "first")
        f.return_unless(f.icmp("ult", "i64", first, total))
        left = f.value(f"sub i64 {total}, {first}", "left")
        is_last = f.icmp("ult", "i64", left, chunk)
        count = f.value(f"select i1 {is_last}, i64 {left}, i64 {chunk}", "count")
        with f.loop(sizes, "size") as size:
            f.set_entry(f.entry(places, size, "ptr"), 0, count)
        f.do(f"call void @move(ptr {moves}, i64 {gathers}, ptr {rows}, i64 {first}, i64 {count}, i1 0)")
        f.do(f"call void {function}(ptr {block}, i64 0, i64 1)")
        f.do(f"call void @move(ptr {back}, i64 {scatters}, ptr {rows}, i64 {first}, i64 {count}, i1 1)")
        return [f.value(f"add i64 {number}, %workers", "number")]

    f.endless_loop([("i64", "%worker")], iterate)
    return f.function(RUN_ROWS, "void", {"plan": "ptr", "worker": "i64", "workers": "i64"}, linkage="")
