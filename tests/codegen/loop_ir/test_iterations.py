"""Remainders of loops that do the work of one more iteration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.codegen.loop_ir.iterations import Mask, side_by_side, with_iteration
from rnngraph.codegen.loop_ir.nodes import Buffer, For, Index, Let, LetIndex, Literal, Load, Statement, Store, Value
from rnngraph.codegen.machine.target import Target, missing_features, target_of
from rnngraph.ir.types import size

A, B = Buffer("a", "float32"), Buffer("b", "float32")
OUTER = Value("outer.0", "float32", 4)


def value(name: str) -> Value:
    return Value(name, "float32", 4)


def work(number: int, index: Index, step: str = "t0") -> tuple[Statement, ...]:
    """Return a loop over rows that doubles a vector and adds ``OUTER``, with names that contain ``number``."""
    row, place = size(step), size(f"place{number}")
    load, twice = value(f"x.{number}"), value(f"mul.{number}")
    two = Literal(2.0, "float32", 4)
    body = (
        LetIndex(f"place{number}", "min", index + 8 * row, 100),
        Load(load, A, place),
        Let(twice, "mul", (load, two)),
        Let(value(f"add.{number}"), "add", (twice, OUTER)),
        Store(value(f"add.{number}"), B, place),
    )
    return (For(step, 0, size("n"), 1, body),)


LOOP = For("u0", 0, 8, 4, work(0, size("u0")))


def test_a_remainder_that_continues_the_loop_becomes_an_iteration() -> None:
    assert with_iteration(LOOP, work(1, 8, "t1")) == replace(LOOP, stop=12)


@pytest.mark.parametrize("name", ["place", "lanes", "operand", "literal", "outer", "op", "count", "length"])
def test_other_work_stays_a_remainder(name: str) -> None:
    (rows,) = work(1, 8, "t1")
    assert isinstance(rows, For)
    place, load, mul, add, store = rows.body
    assert isinstance(place, LetIndex)
    assert isinstance(load, Load)
    assert isinstance(mul, Let)
    assert isinstance(add, Let)
    changed = {
        "place": (replace(place, base=size("t1") * 8 + 12), load, mul, add, store),
        "lanes": (place, replace(load, valid=3), mul, add, store),
        "operand": (place, load, mul, replace(add, operands=(load.value, OUTER)), store),
        "literal": (place, load, replace(mul, operands=(load.value, Literal(-0.0, "float32", 4))), add, store),
        "outer": (place, load, mul, replace(add, operands=(mul.value, value("outer.1"))), store),
        "op": (place, load, mul, replace(add, op="sub"), store),
        "count": (place, load, mul, add, store, store),
    }
    body = changed.get(name, rows.body)
    rest = (replace(rows, body=body, stop=size("m") if name == "length" else rows.stop),)
    assert with_iteration(LOOP, rest) is None


def test_a_mask_stands_for_an_incomplete_vector() -> None:
    loop, load, store = copied(0, A)
    assert isinstance(loop, For)
    assert isinstance(load, Load)
    mask = Mask("lanes", 11, 4)
    longer = with_iteration(loop, (replace(load, valid=3), store), mask)
    limit = LetIndex("lanes", "min", 11 - size("u0"), 4)
    assert longer == replace(loop, stop=12, body=(limit, replace(loop.body[0], valid=size("lanes")), loop.body[1]))
    assert with_iteration(loop, (load, store), mask) == replace(loop, stop=12)
    assert with_iteration(loop, (replace(load, valid=2), store), mask) is None
    assert with_iteration(loop, (replace(load, valid=3), store)) is None


def test_products_of_incomplete_vectors_have_no_remainder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bias of a gate ends within a vector, which AVX-512 loads by a mask."""
    x = rg.placeholder("x", (1, None, 100))
    outputs, _ = rg.dynamic_rnn(rg.BasicLSTMCell(100), x)

    def compiled(target: str) -> rg.Program:
        return rg.compile({"y": outputs}, seed=0, cache=False, target=target, threads=1)

    assert "first lanes0" in str(compiled("x86-64-v4").inference.show("loops"))
    assert "first lanes0" not in str(compiled("x86-64-v3").inference.show("loops"))
    if not missing_features(target_of("x86-64-v4")):
        batch = np.random.default_rng(0).standard_normal((1, 11, 100)).astype(np.float32)
        found = compiled("x86-64-v4").inference(x=batch)["y"]
        monkeypatch.setattr(Target, "has_masks", False)
        np.testing.assert_array_equal(compiled("x86-64-v4").inference(x=batch)["y"], found)


def test_rows_of_whole_vectors_have_no_remainder() -> None:
    """Rows of 100 units are padded to 112, so that a loop over 16 lanes needs no code for the last 4 units."""
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(100), rg.placeholder("x", (None, None, 3)))
    text = str(rg.compile(outputs, loss=rg.reduce_sum(outputs), cache=False, target="x86-64-v4").training.show("loops"))
    assert "in 0..112 step 16" in text


def copied(number: int, source: Buffer, target: Buffer = B, stop: int = 8) -> tuple[Statement, ...]:
    """Return a loop that copies vectors, and the copy of a remainder."""
    var, copies = f"u{number}", []
    for place, index in enumerate((size(var), stop)):
        copies.append(
            (
                Load(value(f"x.{2 * number + place}"), source, index),
                Store(value(f"x.{2 * number + place}"), target, index),
            )
        )
    return (For(var, 0, stop, 4, copies[0]), *copies[1])


def test_independent_loops_over_one_range_become_one() -> None:
    one, other = copied(0, A), copied(1, Buffer("c", "float32"))
    loop, *rest = side_by_side([one, other])
    assert isinstance(loop, For)
    assert isinstance(one[0], For)
    assert (loop.var, loop.stop, len(loop.body)) == ("u0", 8, 4)
    assert loop.body[0] == one[0].body[0]
    assert loop.body[1] == Load(value("x.2"), Buffer("c", "float32"), size("u0"))
    assert rest == [one[1], other[1], one[2], other[2]]


@pytest.mark.parametrize(
    "other",
    [copied(1, A, stop=12), copied(1, B, Buffer("c", "float32")), copied(1, A)[:1]],
    ids=["other range", "reads what the first writes", "other length"],
)
def test_other_loops_stay(other: tuple[Statement, ...]) -> None:
    one = copied(0, A)
    assert len([item for item in side_by_side([one, other]) if isinstance(item, For)]) == 2
