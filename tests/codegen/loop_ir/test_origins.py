"""Origins of statements survive every transformation, and do not affect equality."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from rnngraph.codegen.loop_ir.builder import Block
from rnngraph.codegen.loop_ir.functions import Function, origins_in
from rnngraph.codegen.loop_ir.nodes import (
    Barrier,
    Buffer,
    Call,
    Contract,
    Fold,
    For,
    Let,
    LetIndex,
    Literal,
    Load,
    Pipeline,
    PipelineStage,
    Prefetch,
    Statement,
    Store,
    Tick,
    TileProduct,
    Value,
    When,
)
from rnngraph.codegen.loop_ir.origins import StatementOrigins, layers_text, origins_text
from rnngraph.codegen.loop_ir.renaming import renamed, work_of
from rnngraph.support.errors import Where

ONE, OTHER = Where("net.py", 3, "rnn/cell_0"), Where("net.py", 3, "rnn/cell_1")
LATER = Where("net.py", 7, "dense", "backward")
M, V, ZERO = Buffer("m0", "float32"), Value("v.0", "float32", 8), Literal(0.0, "float32", 8)
STATEMENTS: tuple[Statement, ...] = (
    Load(V, M, 0),
    Store(V, M, 0),
    Prefetch(M, 0),
    Let(V, "add", (ZERO, ZERO)),
    LetIndex("i", "parity", 3),
    Contract(((V,),), ((ZERO,),), ((M, 0),), 1, 3, ((M, 0),), 8, 1, (None,), 1, columns=(LATER,)),
    TileProduct((M, 0), (M, 8), (M, 16), 1, 1, 1),
    For("i", 0, 3, 1, ()),
    When(0, 0, 1, ()),
    Fold((V,), (V,), (ZERO,), "i", 0, 3, 1, (), (ZERO,)),
    Call("f", ((M, 0),), ()),
    Barrier(M, 0, 1),
    Pipeline("i", 3, 1, (PipelineStage((), (), 0),), 1, M, M),
    Tick(M, 0, 1),
)


def test_all_kinds_of_statements_are_here() -> None:
    assert {type(statement) for statement in STATEMENTS} == {*get_args(Statement)}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: type(statement).__name__)
def test_renamed_values_keep_their_origins(statement: Statement) -> None:
    given = replace(statement, origin=ONE)
    (found,) = renamed([given], {M: Buffer("m1", "float32")}, {})
    assert found.origin == ONE
    if isinstance(found, Contract):
        assert found.columns == (LATER,)
    assert replace(given, origin=OTHER) == given  # origins do not affect equality
    works = {work_of(Function("f", (M,), (), (item,))) for item in (given, replace(given, origin=OTHER))}
    assert len(works) == 1


def test_a_block_has_the_origins_of_its_statements() -> None:
    block = Block()
    block.add(Store(ZERO, M, 0))
    with block.at(ONE):
        block.add(Store(ZERO, M, 1))
        inner = block.nested()
        with block.at(None):
            block.load("v", M, 2, 8)
        with block.at(LATER):
            block.let("add", [ZERO, ZERO], "float32", 8)
            block.add(Store(ZERO, M, 3, origin=OTHER))
        inner.let_index("i", "parity", 3, 1)
    block.add(Store(ZERO, M, 4))
    assert [statement.origin for statement in block.statements] == [None, ONE, ONE, LATER, OTHER, None]
    assert [statement.origin for statement in inner.statements] == [ONE]


def test_functions_have_the_origins_of_all_their_callers() -> None:
    tile = next(statement for statement in STATEMENTS if isinstance(statement, Contract))
    body = (replace(tile, origin=ONE), For("i", 0, 3, 1, (Store(ZERO, M, 0, origin=ONE),), origin=LATER))
    function = Function("f", (M,), (), body)
    assert origins_in(body) == (ONE, LATER, LATER, ONE)
    assert function.with_origins(origins_in(body)) is function
    shared = function.with_origins((OTHER, LATER, LATER, None)).with_origins((OTHER, LATER, LATER, None))
    assert len(shared.other_origins) == 1
    found = StatementOrigins(shared)
    assert found.of(body[0]) == (ONE, OTHER)
    assert isinstance(body[0], Contract)
    assert found.columns(body[0]) == ((LATER,),)
    assert found.of(body[1].uses().bodies[0].statements[0]) == (ONE,)
    assert found.all == (ONE, OTHER, LATER)
    assert StatementOrigins(function.called_for(OTHER)).of(body[1]) == (LATER, OTHER)


def test_texts() -> None:
    assert layers_text((ONE, OTHER, LATER)) == "rnn/cell_0, rnn/cell_1 forward; dense backward"
    assert layers_text((Where("net.py", 3),)) == "forward"
    assert origins_text((ONE, OTHER, LATER)) == "net.py:3 rnn/cell_0, rnn/cell_1 forward; net.py:7 dense backward"
    assert origins_text(()) == layers_text(()) == ""
