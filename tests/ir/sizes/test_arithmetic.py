"""Quotients and comparisons of symbolic sizes: proved statements hold for all numbers."""

from __future__ import annotations

import operator
from itertools import product
from typing import Any

import numpy as np
import pytest

from rnngraph.ir.sizes.arithmetic import Arithmetic, Relation, compare, divide, sign_of
from rnngraph.ir.sizes.polynomial import Dim, evaluate, floor_divide, size

NAMES = ("A", "B")
RELATIONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
CALLS = [dict(zip(NAMES, values, strict=True)) for values in product((1, 2, 3, 5, 8, 30), repeat=2)]


def drawn(generator: np.random.Generator) -> Dim:
    """Draw a formula of two sizes, sometimes with a quotient."""
    a, b = map(size, NAMES)
    factors = [int(factor) for factor in generator.integers(-2, 4, 4)]
    formula = factors[0] * a + factors[1] * b + factors[2] * (a * b) + factors[3]
    if generator.random() < 0.3:
        formula = formula + int(generator.integers(-1, 3)) * floor_divide(a + 1, 2)
    return formula if generator.random() < 0.8 else factors[3]


def test_proofs_hold_for_all_sizes() -> None:
    generator, proved = np.random.default_rng(7), 0
    for _ in range(400):
        left, right = drawn(generator), drawn(generator)
        values = [(evaluate(left, call), evaluate(right, call)) for call in CALLS]
        for relation in RELATIONS:
            answer = compare(relation, left, right)
            proved += answer is not None
            assert answer is None or all(relation(*pair) == answer for pair in values), (relation, left, right)
        if not any(below == 0 for _, below in values):
            quotient = divide(left, right)
            assert quotient is None or [evaluate(quotient, call) for call in CALLS] == [a // b for a, b in values]
    assert proved > 600


def test_questions_of_readers() -> None:
    t = size("T")
    assert compare(operator.ge, t, 1) is True
    assert compare(operator.gt, t, 1) is None
    assert compare(operator.lt, t - 1, t) is True
    assert compare(operator.eq, t + 1, t) is False
    assert divide(2 * t, t) == 2
    assert divide(t * t + t, t) == t + 1
    assert divide(t, 2) == floor_divide(t, 2)
    assert divide(t, -1) == -1 * t
    assert divide(-1 * t, 4) == -1 * floor_divide(t + 3, 4)
    assert divide(4 - t + 4 * floor_divide(t, 4), 4) == 1 + floor_divide(t, 4) - floor_divide(t + 3, 4)
    assert sign_of(size("T") - (1 << 60)) == -1
    with pytest.raises(ZeroDivisionError):
        divide(t, 0)


class Asked:
    """Policy that records its questions."""

    def __init__(self) -> None:
        self.questions: list[tuple[Any, ...]] = []

    def quotient(self, left: Dim, right: Dim) -> Dim:
        self.questions.append((left, right))
        return 7

    def compare(self, relation: Relation, left: Dim, right: Dim) -> bool:
        self.questions.append((relation, left, right))
        return True


def test_a_policy_decides_what_formulas_leave_open() -> None:
    policy, a, b = Asked(), size("A"), size("B")
    arithmetic = Arithmetic(policy)
    assert arithmetic.maximum(a + 1, a) == a + 1
    assert arithmetic.minimum(a, a) == a
    assert not policy.questions
    assert arithmetic.divide(a, b) == 7
    assert arithmetic.remainder(a, b) == a - 7 * b
    assert arithmetic.maximum(a, b) == a
    assert policy.questions == [(a, b), (a, b), (operator.ge, a, b)]
