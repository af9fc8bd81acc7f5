"""Strategies of hypothesis for sizes: polynomials of names, and floor divisions of polynomials."""

from hypothesis import strategies as st

from rnngraph.ir.sizes.polynomial import Dim, ceil_divide, floor_divide, product, size

NAMES = ("B", "T", "stride_0")
B, T = size("B"), size("T")

numbers = st.integers(-6, 6)
values = st.fixed_dictionaries({name: st.integers(-9, 9) for name in NAMES})
not_zero = st.fixed_dictionaries({name: st.integers(-9, -1) | st.integers(1, 9) for name in NAMES})
divisors = st.integers(1, 6)
dims = st.recursive(
    numbers | st.sampled_from(NAMES).map(size),
    lambda inner: (
        st.tuples(inner, inner, st.sampled_from("+-*")).map(lambda item: combined(*item))
        | st.tuples(inner, divisors, st.sampled_from([floor_divide, ceil_divide])).map(lambda item: item[2](*item[:2]))
    ),
    max_leaves=8,
)
terms = st.tuples(numbers.filter(bool), st.lists(st.sampled_from(NAMES), max_size=3)).map(
    lambda item: item[0] * product(map(size, item[1]))
)


def combined(a: Dim, b: Dim, operator: str) -> Dim:
    return a + b if operator == "+" else a - b if operator == "-" else a * b
