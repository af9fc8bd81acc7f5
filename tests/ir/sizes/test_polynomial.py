"""Sizes are polynomials in a normal form: sizes that are equal for all values are equal objects."""

from __future__ import annotations

import pickle

import pytest
from drawn_sizes import NAMES, B, T, combined, dims, divisors, values
from hypothesis import given
from hypothesis import strategies as st

from rnngraph.ir.sizes.polynomial import (
    Dim,
    Floor,
    Size,
    ceil_divide,
    evaluate,
    floor_divide,
    quotient,
    size,
    substitute,
    symbols_of,
)


@given(dims, dims, values, st.sampled_from("+-*"))
def test_arithmetic_is_that_of_the_values(a: Dim, b: Dim, at: dict[str, int], operator: str) -> None:
    expected = combined(evaluate(a, at), evaluate(b, at), operator)
    assert evaluate(combined(a, b, operator), at) == expected


@given(dims, dims, dims)
def test_equal_polynomials_are_equal_objects(a: Dim, b: Dim, c: Dim) -> None:
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) + c == a + (b + c)
    assert (a * b) * c == a * (b * c)
    assert a * (b + c) == a * b + a * c
    assert a - a == 0
    assert a + 0 == a
    assert a * 1 == a
    assert a * 0 == 0
    assert 0 - (0 - a) == a
    assert hash(a + b) == hash(b + a)


@given(dims)
def test_numbers_are_ints_and_no_size_is_one(a: Dim) -> None:
    """A constant polynomial is an int, so ``isinstance(dim, int)`` identifies known sizes."""
    assert isinstance(a, Size) == bool(symbols_of(a))
    if isinstance(a, Size):
        assert all(factor for _, factor in a.terms)
        assert list(a.terms) == sorted(a.terms)


@given(dims, st.dictionaries(st.sampled_from(NAMES), dims), values)
def test_substitute_is_evaluation_of_the_parts(a: Dim, parts: dict[str, Dim], at: dict[str, int]) -> None:
    inner = at | {name: evaluate(part, at) for name, part in parts.items()}
    assert evaluate(substitute(a, parts), at) == evaluate(a, inner)


def test_substitute_replaces_all_names_at_once() -> None:
    assert substitute(B * B + T, {"B": T, "T": B}) == T * T + B
    assert substitute(B - T, {"B": T}) == 0
    untouched = B + 1
    assert substitute(untouched, {"T": 3}) is untouched


@given(dims, dims)
def test_quotient_undoes_a_product(a: Dim, divisor: Dim) -> None:
    assert quotient(a * divisor, divisor) == (None if divisor == 0 else a)


@given(dims, dims, values)
def test_quotient_is_exact_or_none(a: Dim, divisor: Dim, at: dict[str, int]) -> None:
    result = quotient(a, divisor)
    if result is not None:
        assert result * divisor == a
        assert evaluate(result, at) * evaluate(divisor, at) == evaluate(a, at)


def test_quotient_with_a_remainder() -> None:
    assert quotient(B * T + B, B) == T + 1
    assert quotient(B * T + 1, B) is None
    assert quotient(B * T + B, T + 1) == B
    assert quotient(B * T + 2 * B, T + 1) is None
    assert quotient(3 * B, 2) is None
    assert quotient(B, B + 1) is None
    assert quotient(B, 0) is None


def test_evaluate_names_sizes_without_a_value() -> None:
    with pytest.raises(KeyError, match="size B has no value"):
        evaluate(B * T, {"T": 3})


def test_symbol_is_a_name_alone() -> None:
    assert B.symbol == "B"
    for dim in (B + 1, 2 * B, B * T, B * B, -B):
        assert isinstance(dim, Size)
        assert dim.symbol is None


# Floors ---------------------------------------------------------------------------------------------


@given(dims, divisors, values)
def test_floors_and_ceilings_are_those_of_the_values(a: Dim, by: int, at: dict[str, int]) -> None:
    assert evaluate(floor_divide(a, by), at) == evaluate(a, at) // by
    assert evaluate(ceil_divide(a, by), at) == -(-evaluate(a, at) // by)


@given(dims)
def test_floors_have_no_negative_parts(a: Dim) -> None:
    """Without negative terms, a machine's truncating division equals the floor."""
    pending = [a]
    for dim in pending:  # the list grows within the loop
        floors = [name for names, _ in getattr(dim, "terms", ()) for name in names if isinstance(name, Floor)]
        assert all(0 < factor < floor.by for floor in floors for _, factor in floor.dim.terms)
        pending += [floor.dim for floor in floors]


def test_equal_quotients_are_equal_objects() -> None:
    half = ceil_divide(T, 2)
    assert ceil_divide(half, 2) == ceil_divide(T, 4)
    assert floor_divide(T - 5, 2) + 3 == half
    assert floor_divide(6 * T + 4, 4) == T + floor_divide(T, 2) + 1
    assert floor_divide(2 * half + 1, 2) == half
    assert floor_divide(4 * T + 3, 4) == T
    assert half != floor_divide(T, 2)
    assert (half.symbol, symbols_of(half * B), half.plain_symbols) == (None, {"B", "T"}, frozenset())
    assert (half * B + size("L")).plain_symbols == {"B", "L"}


def test_floors_move_between_processes() -> None:
    dim = ceil_divide(B * T, 3) * 2 - 1
    assert pickle.loads(pickle.dumps(dim)) == dim
