"""The memory check of finished entries detects statements that read temporaries too early or too late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.codegen.buffers import arena as arenas
from rnngraph.codegen.buffers.arena import Arena, extents
from rnngraph.codegen.loop_ir import nodes as loops
from rnngraph.codegen.loop_ir.functions import Function, nested
from rnngraph.codegen.loop_ir.memory_check import check_memory
from rnngraph.codegen.loop_ir.nodes import (
    Barrier,
    BaseStatement,
    Buffer,
    Call,
    Contract,
    Destination,
    Fold,
    For,
    Let,
    LetIndex,
    Literal,
    Load,
    Pipeline,
    PipelineStage,
    Prefetch,
    Renaming,
    Statement,
    Store,
    Tick,
    TileProduct,
    Uses,
    Value,
    When,
)
from rnngraph.codegen.loop_ir.worker_names import TEAM, WORKER, WORKERS
from rnngraph.ir.types import Size, size
from rnngraph.support.errors import VerifyError

A, B, C = (Buffer(name, "float32") for name in "abc")
ONE, OTHER = Buffer("one", "float32"), Buffer("other", "float32")
WRITES = Function("writes", (ONE,), (), (Store(Literal(0.0, "float32", 1), ONE, 0),))
READS = Function("reads", (ONE,), (), (Load(Value("x", "float32", 1), ONE, 0),))
ADDS = Function("adds", (ONE,), (), (*READS.body, *WRITES.body))
COPIES = Function("copies", (ONE, OTHER), (), (*READS.body, Store(Literal(0.0, "float32", 1), OTHER, 0)))
FUNCTIONS = (WRITES, READS, ADDS, COPIES)


def call(function: Function, *buffers: Buffer) -> Call:
    return Call(function.name, tuple((buffer, 0) for buffer in buffers), ())


def check(statements: Sequence[Statement], places: dict[Buffer, tuple[Any, Any]]) -> None:
    """Check statements. ``places`` has each buffer's offset and number of bytes."""
    arena = Arena({buffer: count for buffer, (_, count) in places.items()})
    arena.places = {buffer: ("arena", begin) for buffer, (begin, _) in places.items()}
    arena.total = sum((count for _, count in places.values()), 0)
    check_memory("entry", statements, FUNCTIONS, extents(arena))


APART = {A: (0, 64), B: (64, 64), C: (128, 64)}
SHARED = {A: (0, 64), B: (0, 64), C: (64, 64)}
PARTLY = {A: (0, 128), B: (64, 128), C: (192, 64)}


def test_written_memory_may_be_read() -> None:
    check([call(WRITES, A), call(COPIES, A, B), call(READS, A), call(READS, B)], APART)
    check([call(WRITES, A), call(READS, A), call(WRITES, B), call(READS, B)], SHARED)


@pytest.mark.parametrize("places", [SHARED, PARTLY], ids=["the same place", "a part of it"])
def test_overwritten_memory_may_not_be_read(places: dict[Buffer, tuple[int, int]]) -> None:
    with pytest.raises(VerifyError, match="reads a before it is written"):
        check([call(WRITES, A), call(WRITES, B), call(READS, A)], places)


def test_unwritten_memory_may_not_be_read() -> None:
    with pytest.raises(VerifyError, match="reads a before it is written"):
        check([call(READS, A)], APART)
    with pytest.raises(VerifyError, match="reads a before it is written"):
        check([call(ADDS, A)], APART)


def test_a_value_and_its_result_have_separate_memory() -> None:
    with pytest.raises(VerifyError, match="uses b and a, which overlap in memory"):
        check([call(WRITES, A), call(COPIES, A, B)], SHARED)


def test_a_result_that_nothing_writes_is_detected() -> None:
    read = Load(Value("x", "float32", 1), ONE, 0)
    check_memory("entry", [call(WRITES, A)], FUNCTIONS, {}, [A])
    check_memory("entry", [For("i", 0, 3, 1, (Store(Literal(0.0, "float32", 1), ONE, 0),))], FUNCTIONS, {}, [ONE])
    with pytest.raises(VerifyError, match="never writes b, which is a result"):
        check_memory("entry", [call(WRITES, A), call(READS, B), read], FUNCTIONS, {}, [A, B])


INSIDE: dict[str, Callable[[Statement], Statement]] = {
    "for": lambda inner: For("i", 0, 3, 1, (inner,)),
    "when": lambda inner: When(0, 0, 1, (inner,)),
    "fold": lambda inner: Fold((), (), (), "i", 0, 3, 1, (inner,), ()),
    "fold in a for": lambda inner: For("t", 0, 3, 1, (Fold((), (), (), "i", 0, 3, 1, (inner,), ()),)),
    "pipeline": lambda inner: Pipeline("i", 3, 1, (PipelineStage((inner,), (), 0),), 1, C, TEAM),
}


@pytest.mark.parametrize("inside", INSIDE)
def test_reads_count_at_every_place(inside: str) -> None:
    read = INSIDE[inside](Load(Value("x", "float32", 1), A, 0))
    ready = [call(WRITES, C), call(WRITES, A)]
    check([*ready, read], APART)
    with pytest.raises(VerifyError, match="before it is written, or after"):
        check([*ready, call(WRITES, B), read], SHARED)


def test_values_that_one_iteration_leaves_to_the_next_count() -> None:
    turn = For("i", 0, 3, 1, (call(READS, A), call(WRITES, B)))
    check([call(WRITES, A), turn], APART)
    with pytest.raises(VerifyError, match="reads a before it is written"):
        check([call(WRITES, A), turn], SHARED)


def test_workers_may_be_anywhere_between_two_barriers() -> None:
    barrier = Barrier(TEAM, WORKER, WORKERS)
    first, second = [call(WRITES, A), call(READS, A)], [call(WRITES, B), call(READS, B)]
    check([*first, barrier, *second], SHARED)
    with pytest.raises(VerifyError, match="uses b and a, which overlap in memory"):
        check([*first, *second, barrier], SHARED)


def test_places_that_are_formulas_are_compared_for_all_sizes() -> None:
    T = size("T")
    statements = [call(WRITES, A), call(WRITES, B), call(READS, A)]
    check(statements, {A: (0, 64 * T), B: (64 * T, 64 * T + 64)})
    with pytest.raises(VerifyError, match=r"the memory of b overlaps: 64\*T must be at most 32\*T"):
        check(statements, {A: (0, 64 * T), B: (32 * T, 64 * T)})
    with pytest.raises(VerifyError, match="reads a before it is written"):
        check(statements, {A: (0, 64 * T), B: (0, 64 * T)})


def test_a_walk_that_leaves_folds_out_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """If lifetimes ignore reads within folds, a computed length is overwritten before it is read."""
    original, uses = arenas.lifetimes, Fold.uses

    def without_folds(statements: Sequence[Statement]) -> dict[Buffer, tuple[int, int]]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Fold, "uses", lambda fold: uses(fold)._replace(bodies=()))
            return original(statements)

    program, feeds = computed_lengths()
    program.training.gradients(feeds)
    monkeypatch.setattr(arenas, "lifetimes", without_folds)
    program, feeds = computed_lengths()
    with pytest.raises(VerifyError, match="before it is written, or after its memory was reused"):
        program.training.gradients(feeds)


def computed_lengths() -> tuple[rg.Program, dict[str, np.ndarray]]:
    """Return a tagger and feeds: two directions, scores, and a log-sum-exp recurrence from the second step on."""
    x, lengths = rg.placeholder("x", (None, None, 7)), rg.placeholder("lengths", (None,), "int32")
    cells = rg.BasicLSTMCell(15), rg.BasicLSTMCell(15)
    both, _ = rg.bidirectional_dynamic_rnn(*cells, x, sequence_length=lengths)
    scores = rg.dense(rg.concat(list(both), -1), 3)
    _, state = rg.dynamic_rnn(LogSumExpCell(3), scores, sequence_length=rg.maximum(lengths - 1, 0))
    largest = rg.reduce_max(state, 1, keepdims=True)
    total = rg.log(rg.reduce_sum(rg.exp(state - largest), 1)) + rg.squeeze(largest, 1)
    loss = rg.reduce_mean(total - rg.reduce_sum(scores, (1, 2)))
    generator = np.random.default_rng(0)
    feeds = {"x": generator.normal(size=(8, 11, 7)).astype(np.float32), "lengths": np.arange(1, 9, dtype=np.int32)}
    return rg.compile(scores, loss=loss, seed=0), feeds


class LogSumExpCell(rg.Cell):
    """Forward algorithm of a conditional random field."""

    def __init__(self, tags: int) -> None:
        self.tags = tags

    def state(self) -> Any:
        return {"a": self.tags}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        paths = rg.expand_dims(state["a"], 2) + p.kernel("transitions", (self.tags, self.tags))
        largest = rg.reduce_max(paths, 1, keepdims=True)
        a = x + rg.log(rg.reduce_sum(rg.exp(paths - largest), 1)) + rg.squeeze(largest, 1)
        return a, {"a": a}


# What statements say of themselves -----------------------------------------------------------------

N = size("n")
STATEMENTS: dict[type[BaseStatement], BaseStatement] = {
    Load: Load(Value("x", "float32", 1), A, N, None, N + 1),
    Store: Store(Literal(0.0, "float32", 1), A, N, None, N + 1),
    Prefetch: Prefetch(A, N),
    Let: Let(Value("x", "int64", 1), "index", (), (("index", N),)),
    LetIndex: LetIndex("m", "min", N, N + 1),
    Contract: Contract(
        (),
        (),
        ((A, N),),
        N + 1,
        N + 2,
        ((B, N + 3),),
        N + 4,
        N + 5,
        (None,),
        1,
        destination=Destination(((TEAM, N + 6),), 7),
    ),
    TileProduct: TileProduct((TEAM, N), (A, N + 1), (B, N + 2), 1, 1, 1),
    For: For("i", N, N + 1, N + 2, (call(READS, A),)),
    When: When(N, N + 1, N + 2, (call(READS, A),)),
    Fold: Fold((), (), (), "i", N, N + 1, 1, (call(READS, A),), ()),
    Call: Call("reads", ((A, N),), (N + 1,)),
    Barrier: Barrier(TEAM, N, N + 1),
    Pipeline: Pipeline("i", N, N + 1, (PipelineStage((call(READS, A),), (), 0),), 1, B, TEAM),
    Tick: Tick(A, N, N + 1),
}


def test_every_kind_of_statement_is_known_here() -> None:
    kinds = {kind for kind in BaseStatement.__subclasses__() if kind.__module__.startswith("rnngraph.")}
    assert set(STATEMENTS) == kinds == set(loops.Statement.__args__)


@pytest.mark.parametrize("kind", STATEMENTS, ids=lambda kind: kind.__name__)
def test_a_statement_lists_and_renames_all_values_that_it_uses(kind: type[BaseStatement]) -> None:
    """``uses`` agrees with a generic search of the fields, and no old buffer remains after renaming."""
    statement = STATEMENTS[kind]
    buffers, indices, inner = found_in(statement)
    uses = statement.uses()
    assert {*uses.reads, *uses.writes, *uses.prefetches} == buffers
    assert {buffer for buffer, _ in uses.places} == buffers
    every_index = {*uses.indices, *(index for _, index in uses.places)}
    assert {index for index in every_index if isinstance(index, Size)} == indices
    assert [item for body in uses.bodies for item in body.statements] == inner

    def other(buffer: Buffer) -> Buffer:
        return Buffer(f"{buffer.name}_renamed", buffer.dtype)

    bodies: list[Statement] = []

    class WithoutBodies(Renaming):
        def body(self, statements: Sequence[Statement]) -> tuple[Statement, ...]:
            bodies.extend(statements)
            return ()

    renamed = statement.renamed(WithoutBodies(other, lambda index: index + size("shift")))
    buffers_after, indices_after, inner_after = found_in(renamed)
    assert buffers_after == set(map(other, buffers))
    assert indices_after == {index + size("shift") for index in indices}
    assert bodies == inner
    assert inner_after == []


def found_in(item: Any) -> tuple[set[Buffer], set[Size], list[Statement]]:
    """Return buffers, sizes and nested statements in a statement's fields. Nested statements are not searched."""
    buffers: set[Buffer] = set()
    sizes: set[Size] = set()
    statements: list[Statement] = []

    def look(value: Any) -> None:
        if isinstance(value, Buffer):
            buffers.add(value)
        elif isinstance(value, Size):
            sizes.add(value)
        elif isinstance(value, BaseStatement):
            statements.append(value)  # type: ignore[arg-type]
        elif isinstance(value, tuple):
            for part in value:
                look(part)
        elif isinstance(value, PipelineStage):
            look(value.body)
        elif isinstance(value, Destination):
            look(value.lines)

    for field in fields(item):
        look(getattr(item, field.name))
    return buffers, sizes, statements


def test_statements_are_listed_at_any_depth() -> None:
    inner = call(READS, A)
    outer = For("t", 0, 3, 1, (When(0, 0, 1, (Fold((), (), (), "i", 0, 3, 1, (inner,), ()),)),))
    assert [type(item) for item in nested([outer])] == [For, When, Fold, Call]


def test_a_statement_class_must_declare_its_operands() -> None:
    with pytest.raises(TypeError, match="Silent must define uses and renamed"):

        class Silent(BaseStatement):
            pass

    with pytest.raises(TypeError, match="Half must define uses and renamed"):

        class Half(BaseStatement):
            def uses(self) -> Uses:
                return Uses()


@pytest.mark.parametrize("inner", [call(READS, A), For("i", 0, 2, 1, (call(READS, A),))])
def test_loops_without_iterations_read_nothing(inner: Statement) -> None:
    stage = PipelineStage((inner,), (), 0)
    for loop in (For("t", 0, 0, 40, (inner,)), Pipeline("t", 0, 1, (stage,), 1, C, TEAM)):
        check([call(WRITES, C), loop], APART)
    with pytest.raises(VerifyError, match="reads a before it is written"):
        check([For("t", 0, 0, 40, (call(WRITES, A),)), call(READS, A)], APART)
    with pytest.raises(VerifyError, match="reads a before it is written"):
        check([For("t", 0, size("T"), 40, (inner,))], APART)
