"""Quotients, remainders and comparisons of symbolic sizes.

Every symbol is at least 1. Statements that hold for all sizes are proved here. Statements that cannot be proved are
decided by the caller's policy: that of the ONNX reader raises an error, and that of the torch reader uses the sizes of
the example inputs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol

from .polynomial import Dim, Floor, Size, ceil_divide, floor_divide, quotient, size, substitute, terms_of

FAR = 1 << 53
"""Bound that no size reaches. Larger numbers, and the bound, count as infinite."""
MAX_TIMES = 4
"""Maximum absolute value of the quotients that division with a remainder tries."""
Relation = Callable[[Any, Any], bool]
"""A comparison of the module ``operator``: ``eq``, ``ne``, ``lt``, ``le``, ``gt`` or ``ge``."""


class Policy(Protocol):
    """Interface for quotients and comparisons of sizes that formulas cannot decide."""

    def quotient(self, left: Dim, right: Dim) -> Dim:
        """Return ``left // right``."""

    def compare(self, relation: Relation, left: Dim, right: Dim) -> Any:
        """True if ``relation(left, right)`` holds."""


class Arithmetic:
    """Arithmetic of sizes, with a policy for undecidable cases."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def divide(self, left: Dim, right: Dim) -> Dim:
        """Return ``left // right``. Raise ``ZeroDivisionError`` if ``right`` is 0."""
        proved = divide(left, right)
        return self._policy.quotient(left, right) if proved is None else proved

    def remainder(self, left: Dim, right: Dim) -> Dim:
        """Return ``left % right``. Raise ``ZeroDivisionError`` if ``right`` is 0."""
        return left - self.divide(left, right) * right

    def compare(self, relation: Relation, left: Dim, right: Dim) -> Any:
        """True if ``relation(left, right)`` holds for all sizes. If it holds only for some, the policy decides."""
        proved = compare(relation, left, right)
        return self._policy.compare(relation, left, right) if proved is None else proved

    def maximum(self, left: Dim, right: Dim) -> Dim:
        """Return the larger size."""
        return left if self.compare(operator.ge, left, right) else right

    def minimum(self, left: Dim, right: Dim) -> Dim:
        """Return the smaller size."""
        return right if self.compare(operator.ge, left, right) else left


def sign_of(dim: Dim) -> int | None:
    """Return the sign (-1, 0 or 1) that a size has for all values of symbols; None if it varies, or is not proved."""
    if isinstance(dim, int):
        return (dim > 0) - (dim < 0)
    number = next((factor for names, factor in dim.terms if not names), 0)
    if abs(number) >= FAR:
        return 1 if number > 0 else -1
    # Symbols are at least 1. Substitute name + 1 for each, so that all names and floors are at least 0.
    names = {name for factors, _ in dim.terms for name in factors if not isinstance(name, Floor)}
    shifted = terms_of(substitute(dim, {name: size(name) + 1 for name in names}))
    signs = {factor > 0 for _, factor in shifted}
    has_constant = any(not names for names, _ in shifted)
    if len(signs) != 1 or not has_constant:
        return None
    return 1 if signs == {True} else -1


def compare(relation: Relation, left: Dim, right: Dim) -> bool | None:
    """Return True if ``relation(left, right)`` holds for all values of symbols, False if for none; None if unproved."""
    difference = left - right
    sign = sign_of(difference)
    if sign is not None:
        return relation(sign, 0)
    above, below = sign_of(difference + 1), sign_of(difference - 1)  # sizes are integers
    if above == 1 and relation in (operator.ge, operator.lt):  # left >= right
        return relation is operator.ge
    if below == -1 and relation in (operator.le, operator.gt):  # left <= right
        return relation is operator.le
    return None


def divide(left: Dim, right: Dim) -> Dim | None:
    """Return ``left // right`` as a formula that holds for all values of symbols; None if no formula is found.

    Raises:
        ZeroDivisionError: ``right`` is 0.
    """
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    exact = quotient(left, right) if terms_of(right) else None
    if exact is not None:
        return exact
    if isinstance(right, int):
        if right == 0:
            raise ZeroDivisionError
        return _divide_by_number(left, right) if right > 0 else _divide_by_number(-1 * left, -right)
    for times in range(-MAX_TIMES, MAX_TIMES):
        rest = left - times * right
        if compare(operator.ge, rest, 0) and compare(operator.lt, rest, right):
            return times
    return None


def _divide_by_number(dim: Dim, by: int) -> Dim:
    """Return ``dim // by`` as a formula, for positive ``by``.

    Multiples of ``by`` are divided separately. A negative rest -n has the quotient ``-ceil(n / by)``: -T//4 is
    -((T+3)//4).
    """
    rest = dim
    for names, factor in terms_of(dim):
        if factor % by == 0:
            rest = rest - Size(((names, factor),)) if names else rest - factor
    whole = quotient(dim - rest, by) or 0
    is_negative = all(factor < 0 for names, factor in terms_of(rest) if names)
    return whole + (-1 * ceil_divide(-1 * rest, by) if is_negative else floor_divide(rest, by))
