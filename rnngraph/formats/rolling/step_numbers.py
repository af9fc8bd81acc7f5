"""Finds operands that are another number in each iteration of a loop, and declares the numbers as a sequence."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

from ...declare.functions.arrays.moves import tile
from ...declare.functions.basic import reshape
from ...declare.functions.sequences import positions
from ...declare.tensor import Tensor
from ...ir.types import product
from ..script import Script
from ..steps import Step, Value
from .formulas import MIN_NUMBERS, Formula, declare_numbers, formula_of
from .loop import ARITHMETIC, Entries, Numbers, Operand, code_of, operands_of
from .parts import NotRolledError, rows_first, with_rows

FormulaOf: TypeAlias = tuple[Formula, Value | None, str]
"""The formula of an operand's numbers, and ``like`` and ``dtype`` of its ``Numbers``."""


def may_have_numbers(steps: Sequence[Step]) -> bool:
    """True if enough steps differ in one number only for a formula to replace the numbers."""
    numbers: dict[Hashable, set[Hashable]] = {}
    for step in steps:
        if step.key in ARITHMETIC:
            numbers.setdefault(code_of(step, varies=True), set()).add(code_of(step))
        elif step.fill is not None:
            numbers.setdefault(step.result.type, set()).add(step.fill)
    return max(map(len, numbers.values()), default=0) >= MIN_NUMBERS


def counting_entries(operands: Sequence[Sequence[Operand]]) -> Entries | None:
    """Return entries that a loop reads at consecutive positions, by which its iterations are counted; None for none."""
    entries = (item for items in operands for item in items if isinstance(item, Entries))
    return next(
        (item for item in entries if item.step == 1 and item.start >= 0 and not item.before and item.ahead is None),
        None,
    )


def formula_of_column(column: Sequence[Any], step: Step) -> FormulaOf | None:
    """Return (formula, constant tensor or None, dtype) for a number that varies with the iteration; None for others.

    The number may also fill a constant tensor, which must have the same shape in all iterations.
    """
    first = column[0]
    if not isinstance(first, Value):
        dtype = next((item.tensor.dtype for item in operands_of(step) if isinstance(item, Value)), "")
        formula = formula_of(column) if step.key in ARITHMETIC and dtype else None
        return None if formula is None or not _has(dtype, formula) else (formula, None, dtype)
    if first.step.fill is None or not isinstance(first.result, Tensor):
        return None
    tensors = [item for item in column if isinstance(item, Value) and isinstance(item.result, Tensor)]
    if len(tensors) < len(column) or len({item.tensor.type for item in tensors}) > 1:
        return None
    formula, dtype = formula_of([item.step.fill for item in tensors]), first.tensor.dtype
    return None if formula is None or not _has(dtype, formula) else (formula, first, dtype)


def _has(dtype: str, formula: Formula) -> bool:
    """True if numbers of a dtype can have the values of a formula."""
    return dtype.startswith("float") or (formula.form == "linear" and formula.is_whole)


def sequence_of_numbers(script: Script, numbers: Numbers, entries: Value) -> Value:
    """Declare a loop's varying number in all iterations: [1, time, 1], or [batch, time, width] for a filled tensor.

    Args:
        entries: Sequence that the loop reads, whose steps are counted.
    """
    script.has_formulas = True
    places = script.call(positions, entries, 1)
    column = declare_numbers(script, numbers.formula, places, numbers.dtype)
    column = script.call(reshape, column, (1, -1, 1))
    if numbers.like is None:
        return column
    shape = numbers.like.tensor.type.shape
    width = product([shape[axis] for axis in rows_first(shape)[1:]])
    if not isinstance(width, int):
        raise NotRolledError
    return with_rows(script, column if width == 1 else script.call(tile, column, [1, 1, width]), entries)
