"""Printing and parsing of sizes."""

import pytest
from drawn_sizes import B, T, dims
from hypothesis import given

from rnngraph.ir.sizes.parser import parse_dim
from rnngraph.ir.sizes.polynomial import Dim, ceil_divide, dim_text, floor_divide


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
        (ceil_divide(T, 2), "(T+1)//2"),
        (floor_divide(T, 2) - 1, "T//2-1"),
        (T - floor_divide(T + 2, 3), "T-(T+2)//3"),
        (0 - floor_divide(T, 2), "-(T//2)"),
        (2 * floor_divide(T, 3) * B, "2*B*(T//3)"),
        (floor_divide(floor_divide(T, 2) + B, 3), "(B+T//2)//3"),
    ],
)
def test_text(dim: Dim, text: str) -> None:
    assert dim_text(dim) == text


@pytest.mark.parametrize(
    "text", ["T/2", "T//0", "T//B", "T//-2", "7%T", "T**2", "f(T)", "1.5", "T if B else 1", "'T'", "-'T'", ""]
)
def test_texts_that_are_no_size_are_errors(text: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        parse_dim(text)
