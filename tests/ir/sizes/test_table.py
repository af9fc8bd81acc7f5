"""Sizes that must be equal: solutions, and contradictions."""

from __future__ import annotations

from itertools import permutations

import pytest
from drawn_sizes import B, T, dims, not_zero
from hypothesis import assume, given
from hypothesis import strategies as st

from rnngraph.ir.sizes.polynomial import Dim, Floor, Size, ceil_divide, evaluate, floor_divide, size
from rnngraph.ir.sizes.table import SizeTable, declaration_order, open_size


@given(dims, dims)
def test_sizes_that_met_are_one(a: Dim, b: Dim) -> None:
    """After unification, both sizes resolve to one size, also after further unifications."""
    table = SizeTable()
    try:
        met = table.unify(a, b)
    except ValueError:
        assert a != b
        return
    assert table.resolve(a) == table.resolve(b) == met
    assert table.unify(b, a) == met


@given(st.lists(st.tuples(dims, dims), max_size=4), not_zero)
def test_solutions_satisfy_their_equations(pairs: list[tuple[Dim, Dim]], at: dict[str, int]) -> None:
    """Positive values that satisfy all equations, with nonzero floors, also satisfy the table's solutions."""
    sizes = [dim for pair in pairs for dim in pair if isinstance(dim, Size)]
    floors = [name for dim in sizes for names, _ in dim.terms for name in names if isinstance(name, Floor)]
    assume(all(evaluate(Size((((floor,), 1),)), at) for floor in floors))
    table = SizeTable()
    for a, b in pairs:
        difference = evaluate(a, at) - evaluate(b, at)  # subtracted, so that these values satisfy the equation
        try:
            table.unify(a - difference, b)
        except ValueError:
            continue
    for name in table.known:
        assert evaluate(table.resolve(size(name)), at) == at[name]


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        (2, 3, "size 2 does not match size 3"),
        (B, B + 1, r"size B does not match size B\+1"),
        (2 * B, 5, r"size 2\*B does not match size 5"),
        (B * T, 6, r"size B\*T does not match size 6"),
    ],
)
def test_sizes_that_never_meet(a: Dim, b: Dim, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SizeTable().unify(a, b)


def test_meeting_solves_for_a_name() -> None:
    table = SizeTable()
    assert table.unify(T - 1, 7) == 7
    assert table.resolve(T) == 8
    assert table.unify(2 * B + T, 2 * B + 8) == 2 * B + 8
    assert table.unify(size("L"), B + T) == B + 8
    assert table.resolve(size("L") * 2) == 2 * B + 16


def test_common_factors_of_all_terms_are_divided_out() -> None:
    table = SizeTable()
    assert table.unify(20 * size("a"), 20 * size("b")) == 20 * size("a")
    assert table.resolve(size("b")) == size("a")
    assert table.unify(B * T, 5 * B) == 5 * B
    assert table.resolve(T) == 5
    with pytest.raises(ValueError, match=r"size 3\*L does not match size 3"):  # more likely a mistake than L = 1
        table.unify(3 * size("L"), 3)
    assert table.unify(3 * size("L"), 3, measured=True) == 3  # an array may have this size


@pytest.mark.parametrize(
    ("a", "b", "may"),
    [
        (B * T, size("L") * size("M"), True),
        (B * T, 12, True),
        (2 * B * T, 3 * size("L") * size("M"), True),
        (B * T, B, False),
        (20 * B, 20, False),
        (2 * B * T, 13, False),
        (B * T + 1, 0, False),
        (B, B + 1, False),
        (ceil_divide(T, 2), T, False),
        (ceil_divide(T, 2), B, True),
        (ceil_divide(T, 2), T - 7, True),
        (floor_divide(T, 3) + 5, 4, False),
        (B * floor_divide(T, 2), B, False),
        (2 * ceil_divide(T, 2), T, True),
        (floor_divide(floor_divide(T, 2) + B, 3), T + B, False),
    ],
)
def test_formulas_that_can_be_equal_for_sizes_above_one(a: Dim, b: Dim, may: bool) -> None:
    assert SizeTable().may_be_equal(a, b) is SizeTable().may_be_equal(b, a) is may


def test_sizes_are_measured_in_any_order() -> None:
    """Factors of a product are solved, whichever array is measured first."""
    pairs: list[tuple[Dim, Dim]] = [(B * T, 12), (T - 1, 3), (B, 3), (2 * T, 8)]
    for order in permutations(pairs):
        table = SizeTable()
        assert table.unify_all(order, measured=True) is None
        assert (table.resolve(B), table.resolve(T)) == (3, 4)
    assert SizeTable().unify_all([(B, 3), (B * T, 13)], measured=True) == 1
    assert SizeTable().unify_all([(B * T, 12)], measured=True) == 0


def test_a_floor_is_compared_and_never_solved() -> None:
    half = ceil_divide(T, 2)
    table = SizeTable()
    assert table.unify(half, size("L")) == half
    assert table.unify_all([(half, 4), (T, 7)], measured=True) is None
    assert (table.resolve(T), table.resolve(size("L"))) == (7, 4)
    for measured in (7, 8):
        table = SizeTable()
        assert table.unify_all([(T, measured), (half, 4)], measured=True) is None
    assert SizeTable().unify_all([(T, 9), (half, 4)], measured=True) == 1
    assert SizeTable().unify_all([(half, 4)], measured=True) == 0
    with pytest.raises(ValueError, match=r"size T does not match size \(T\+1\)//2"):
        SizeTable().unify(T, half)


def test_the_solved_size_does_not_depend_on_earlier_declarations() -> None:
    """If sizes were ordered as strings, ``_1000_0`` would come before ``_999_0``."""
    for serial in (8, 9, 98, 99, 999):
        older, newer = open_size(serial), open_size(serial + 1)
        for a, b in ((older, newer), (newer, older)):
            table = SizeTable()
            assert table.unify(a, b) == older
    assert sorted(["_10_2", "time", "_9_10", "B", "_10_11"], key=declaration_order) == [
        "B",
        "_9_10",
        "_10_2",
        "_10_11",
        "time",
    ]
