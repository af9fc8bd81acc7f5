"""Buffers that statements read and write, and those that they read before they write them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from rnngraph.codegen.loop_ir.base import BaseStatement
from rnngraph.codegen.loop_ir.effects import CallEffects, Effects, has_barrier
from rnngraph.codegen.loop_ir.functions import Function
from rnngraph.codegen.loop_ir.nodes import Barrier, Buffer, Call, For, Literal, Load, Store, Value, When
from rnngraph.codegen.loop_ir.worker_names import TEAM, WORKER, WORKERS

A, B, C = (Buffer(name, "float32") for name in "abc")


def test_callers_have_the_reads_and_writes_of_their_functions() -> None:
    inner = Buffer("m0", "float32"), Buffer("m1", "float32")
    value = Value("v", "float32", 1)
    body = (Load(value, inner[0], 0), When(0, 0, 1, (Store(value, inner[1], 0),)))
    function = Function("phase0", inner, (), body)
    call = Call("phase0", ((A, 0), (B, 0)), ())
    store = Store(Literal(0.0, "float32", 1), C, 0)
    assert CallEffects([function]).of([call, store]) == Effects({A}, {B, C}, {A})


def test_memory_that_is_written_first_is_initialised() -> None:
    value = Value("v", "float32", 1)
    statements = [Store(Literal(0.0, "float32", 1), A, 0), Load(value, A, 0), Load(value, B, 0), Store(value, B, 0)]
    assert CallEffects([]).of(statements) == Effects({A, B}, {A, B}, {B})


def test_a_barrier_inside_of_loops_is_detected() -> None:
    barrier = Barrier(TEAM, WORKER, WORKERS)
    assert has_barrier([For("i", 0, 3, 1, (When(0, 0, 1, (barrier,)),))])
    assert not has_barrier([For("i", 0, 3, 1, ())])


@pytest.mark.parametrize("statement", BaseStatement.__subclasses__(), ids=lambda statement: statement.__name__)
def test_statements_with_bodies_say_so(statement: type[BaseStatement]) -> None:
    """Traversals skip the bodies of other statements."""
    has_bodies = not {"body", "stages"}.isdisjoint(item.name for item in fields(statement))
    assert statement.encloses == has_bodies
