"""Sizes are polynomials in one normal form: what is equal for all values of the names is equal as an object."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnngraph.ir.interpreter import bind_sizes
from rnngraph.ir.types import (
    Dim,
    Size,
    SizeTable,
    TensorType,
    TupleType,
    dim_text,
    evaluate,
    meet_declared,
    meet_strict,
    parse_dim,
    product,
    quotient,
    size,
    substitute,
    symbols_of,
)

NAMES = ("B", "T", "stride_0")
B, T = size("B"), size("T")

numbers = st.integers(-6, 6)
values = st.fixed_dictionaries({name: st.integers(-9, 9) for name in NAMES})
not_zero = st.fixed_dictionaries({name: st.integers(-9, -1) | st.integers(1, 9) for name in NAMES})
dims = st.recursive(
    numbers | st.sampled_from(NAMES).map(size),
    lambda inner: st.tuples(inner, inner, st.sampled_from("+-*")).map(lambda item: combined(*item)),
    max_leaves=8,
)
terms = st.tuples(numbers.filter(bool), st.lists(st.sampled_from(NAMES), max_size=3)).map(
    lambda item: item[0] * product(map(size, item[1]))
)


def combined(a: Dim, b: Dim, operator: str) -> Dim:
    return a + b if operator == "+" else a - b if operator == "-" else a * b


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
    """A polynomial without names is an int, so ``isinstance(dim, int)`` tells known sizes."""
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


@given(dims)
def test_text_is_read_back(a: Dim) -> None:
    assert parse_dim(dim_text(a)) == a


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (T - 1, "T-1"),
        (1 - T, "-T+1"),
        (T * B + 2 * B, "2*B+B*T"),
        (-3 * B * B, "-3*B*B"),
        (0 * B, "0"),
        (-2, "-2"),
    ],
)
def test_text(dim: Dim, text: str) -> None:
    assert dim_text(dim) == text


@pytest.mark.parametrize("text", ["T/2", "T**2", "f(T)", "1.5", "T if B else 1", "'T'", "-'T'", ""])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        parse_dim(text)


@given(dims, terms)
def test_quotient_undoes_a_product(a: Dim, divisor: Dim) -> None:
    assert quotient(a * divisor, divisor) == a


@given(dims, terms, values)
def test_quotient_is_exact_or_none(a: Dim, divisor: Dim, at: dict[str, int]) -> None:
    found = quotient(a, divisor)
    if found is not None:
        assert found * divisor == a
        assert evaluate(found, at) * evaluate(divisor, at) == evaluate(a, at)


def test_quotient_of_what_does_not_divide() -> None:
    assert quotient(B * T + B, B) == T + 1
    assert quotient(B * T + 1, B) is None
    assert quotient(3 * B, 2) is None
    assert quotient(B, B + 1) is None
    assert quotient(B, 0) is None


def test_evaluate_names_what_has_no_value() -> None:
    with pytest.raises(KeyError, match="size B has no value"):
        evaluate(B * T, {"T": 3})


def test_symbol_is_a_name_alone() -> None:
    assert B.symbol == "B"
    for dim in (B + 1, 2 * B, B * T, B * B, -B):
        assert isinstance(dim, Size)
        assert dim.symbol is None


# Sizes that meet ------------------------------------------------------------------------------------


@given(dims, dims)
def test_sizes_that_met_are_one(a: Dim, b: Dim) -> None:
    """What can be solved for a name is; after that both are the same, and stay so as others meet."""
    table = SizeTable()
    try:
        met = table.meet(a, b)
    except ValueError:
        assert a != b
        return
    assert table.resolve(a) == table.resolve(b) == met
    assert table.meet(b, a) == met


@given(st.lists(st.tuples(dims, dims), max_size=4), not_zero)
def test_solutions_hold_where_the_equations_do(pairs: list[tuple[Dim, Dim]], at: dict[str, int]) -> None:
    """Whatever values but 0 make all equations true, they agree with what the table knows of its names."""
    table = SizeTable()
    for a, b in pairs:
        difference = evaluate(a, at) - evaluate(b, at)  # makes the equation true at these values
        try:
            table.meet(a - difference, b)
        except ValueError:
            continue
    for name in table.known:
        assert evaluate(table.resolve(size(name)), at) == at[name]


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        (2, 3, "size 2 meets size 3"),
        (B, B + 1, r"size B meets size B\+1"),
        (2 * B, 5, r"size 2\*B meets size 5"),
        (B * T, 6, r"size B\*T meets size 6"),
    ],
)
def test_sizes_that_never_meet(a: Dim, b: Dim, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SizeTable().meet(a, b)


def test_meeting_solves_for_a_name() -> None:
    table = SizeTable()
    assert table.meet(T - 1, 7) == 7
    assert table.resolve(T) == 8
    assert table.meet(2 * B + T, 2 * B + 8) == 2 * B + 8
    assert table.meet(size("L"), B + T) == B + 8
    assert table.resolve(size("L") * 2) == 2 * B + 16


def test_what_all_terms_share_is_divided_out() -> None:
    table = SizeTable()
    assert table.meet(20 * size("a"), 20 * size("b")) == 20 * size("a")
    assert table.resolve(size("b")) == size("a")
    assert table.meet(B * T, 5 * B) == 5 * B
    assert table.resolve(T) == 5
    with pytest.raises(ValueError, match=r"size 3\*L meets size 3"):  # rather a mistake than L = 1
        table.meet(3 * size("L"), 3)
    assert table.meet(3 * size("L"), 3, measured=True) == 3  # of an array it is no mistake


@pytest.mark.parametrize(
    ("a", "b", "may"),
    [
        (B * T, size("L") * size("M"), True), (B * T, 12, True), (2 * B * T, 3 * size("L") * size("M"), True),
        (B * T, B, False), (20 * B, 20, False), (2 * B * T, 13, False), (B * T + 1, 0, False), (B, B + 1, False),
    ],
)  # fmt: skip
def test_what_can_be_equal_for_sizes_above_one(a: Dim, b: Dim, may: bool) -> None:
    assert SizeTable().may_meet(a, b) is SizeTable().may_meet(b, a) is may


def test_sizes_are_measured_in_any_order() -> None:
    """A product is known once its factors are, whichever array comes first."""
    pairs: list[tuple[Dim, Dim]] = [(B * T, 12), (T - 1, 3), (B, 3), (2 * T, 8)]
    for order in permutations(pairs):
        table = SizeTable()
        assert table.meet_all(order, measured=True) is None
        assert (table.resolve(B), table.resolve(T)) == (3, 4)
    assert SizeTable().meet_all([(B, 3), (B * T, 13)], measured=True) == 1
    assert SizeTable().meet_all([(B * T, 12)], measured=True) == 0


def test_strict_and_declared_meetings() -> None:
    assert meet_strict(B, B) == B
    with pytest.raises(ValueError, match="size B meets size T"):
        meet_strict(B, T)
    assert meet_declared(B, 3) == 3
    assert meet_declared(3, B) == 3
    assert meet_declared(B, T) == B
    with pytest.raises(ValueError, match="size 3 meets size 4"):
        meet_declared(3, 4)


def test_sizes_of_arrays() -> None:
    kinds = [TensorType("float32", (B, T, 3)), TensorType("int64", (B,)), TensorType("float32", (T - 1,))]
    assert bind_sizes(list(zip(kinds, [(2, 5, 3), (2,), (4,)], strict=True))) == {"B": 2, "T": 5}
    for shapes in ([(2, 5, 3), (3,), (4,)], [(2, 5, 3), (2,), (5,)], [(2, 5, 4), (2,), (4,)]):
        with pytest.raises(ValueError, match="meets"):
            bind_sizes(list(zip(kinds, shapes, strict=True)))
    with pytest.raises(ValueError, match=r"shape \(2, 5\) for f32\[B,T,3\]"):
        bind_sizes([(kinds[0], (2, 5))])


# Types ----------------------------------------------------------------------------------------------


def test_types_as_text() -> None:
    kind = TensorType("float32", (B, T - 1, 3))
    assert str(kind) == "f32[B,T-1,3]"
    assert str(TensorType("bool", ())) == "bool[]"
    assert str(TupleType((kind, TensorType("int64", (B,))))) == "(f32[B,T-1,3], i64[B])"
    assert kind.symbols == {"B", "T"}
    assert kind.with_shape(()).rank == 0
