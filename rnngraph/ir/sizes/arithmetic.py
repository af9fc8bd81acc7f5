"""Quotients, remainders and comparisons of open sizes.

Every name in a formula stands for 1 or more. What holds for all sizes is proved here, for all readers alike; what does
not is answered by a reader's own policy, which is handed in: ONNX's refuses it, torch's takes the example's sizes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol

from .polynomial import Dim, Floor, floor_divide, quotient, size, substitute, terms_of

FAR = 1 << 53
"""No size is as large: from here on a number is a bound that nothing reaches."""
MAX_TIMES = 4
"""How many times a size may hold another one to be divided by it where something is left over."""
Relation = Callable[[Any, Any], bool]
"""A comparison of ``operator``: ``eq``, ``ne``, ``lt``, ``le``, ``gt`` or ``ge``."""


class Policy(Protocol):
    """The answers to what formulas do not tell."""

    def quotient(self, left: Dim, right: Dim) -> Dim:
        """``left // right``."""

    def compare(self, relation: Relation, left: Dim, right: Dim) -> Any:
        """True if a relation holds."""


class Arithmetic:
    """Arithmetic of sizes with a policy for what can't be proved."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def divide(self, left: Dim, right: Dim) -> Dim:
        """``left // right``. Raises ``ZeroDivisionError``."""
        proved = divide(left, right)
        return self._policy.quotient(left, right) if proved is None else proved

    def remainder(self, left: Dim, right: Dim) -> Dim:
        """``left % right``. Raises ``ZeroDivisionError``."""
        return left - self.divide(left, right) * right

    def compare(self, relation: Relation, left: Dim, right: Dim) -> Any:
        """True if a relation holds, or what the policy gives."""
        proved = compare(relation, left, right)
        return self._policy.compare(relation, left, right) if proved is None else proved

    def maximum(self, left: Dim, right: Dim) -> Dim:
        """The larger one."""
        return left if self.compare(operator.ge, left, right) else right

    def minimum(self, left: Dim, right: Dim) -> Dim:
        """The smaller one."""
        return right if self.compare(operator.ge, left, right) else left


def sign_of(dim: Dim) -> int | None:
    """-1, 0 or 1 where that holds for all sizes, else None."""
    if isinstance(dim, int):
        return (dim > 0) - (dim < 0)
    number = next((factor for names, factor in dim.terms if not names), 0)
    if abs(number) >= FAR:
        return 1 if number > 0 else -1
    # every name is 1 and something more; of floors, from 0 on, nothing is taken out
    names = {name for factors, _ in dim.terms for name in factors if not isinstance(name, Floor)}
    moved = terms_of(substitute(dim, {name: size(name) + 1 for name in names}))
    signs = {factor > 0 for _, factor in moved}
    has_constant = any(not names for names, _ in moved)
    if len(signs) != 1 or not has_constant:
        return None
    return 1 if signs == {True} else -1


def compare(relation: Relation, left: Dim, right: Dim) -> bool | None:
    """True or False where a relation holds for all sizes, or for none; None else."""
    difference = left - right
    sign = sign_of(difference)
    if sign is not None:
        return relation(sign, 0)
    above, below = sign_of(difference + 1), sign_of(difference - 1)  # whole numbers
    if above == 1 and relation in (operator.ge, operator.lt):  # left >= right
        return relation is operator.ge
    if below == -1 and relation in (operator.le, operator.gt):  # left <= right
        return relation is operator.le
    return None


def divide(left: Dim, right: Dim) -> Dim | None:
    """``left // right`` as a formula that holds for all sizes, where there is one. Raises ``ZeroDivisionError``."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    exact = quotient(left, right) if terms_of(right) else None
    if exact is not None:
        return exact
    if isinstance(right, int):
        if right == 0:
            raise ZeroDivisionError
        return floor_divide(left, right) if right > 0 else floor_divide(-1 * left, -right)
    for times in range(-MAX_TIMES, MAX_TIMES):
        rest = left - times * right
        if compare(operator.ge, rest, 0) and compare(operator.lt, rest, right):
            return times
    return None
