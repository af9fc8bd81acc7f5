"""Finds operands that are another number in each iteration of a loop, and declares the numbers as a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...declare.functions.arrays.moves import tile
from ...declare.functions.basic import reshape
from ...declare.functions.sequences import positions
from ...declare.tensor import Tensor
from ...ir.types import product
from ..script import Script
from ..steps import Step, Value
from .formulas import Formula, declare_numbers, formula_of
from .loop import ARITHMETIC, Entries, Numbers, Operand, operands_of
from .parts import ALL, NotRolledError, rows_first, with_rows


def counting_entries(operands: Sequence[Sequence[Operand]]) -> Entries | None:
    """Return entries that a loop reads at consecutive positions, by which its iterations are counted; None for none."""
    entries = (item for items in operands for item in items if isinstance(item, Entries))
    return next((item for item in entries if item.step == 1 and item.start >= 0 and not item.before), None)


def numbers_of(column: Sequence[Any], step: Step, beside: Entries | None) -> Numbers | None:
    """Return an operand of ``step`` as ``Numbers``; None if it is not a number by a known formula.

    The number may also fill a constant tensor, which must have the same shape in all iterations.
    """
    if beside is None or beside.ahead is not None:
        return None
    first = column[0]
    if not isinstance(first, Value):
        dtype = next((item.tensor.dtype for item in operands_of(step) if isinstance(item, Value)), "")
        formula = formula_of(column) if step.key in ARITHMETIC and dtype else None
        return None if formula is None or not _has(dtype, formula) else Numbers(formula, None, dtype, beside)
    tensors = [item for item in column if isinstance(item, Value) and isinstance(item.result, Tensor)]
    if len(tensors) < len(column) or len({item.tensor.type for item in tensors}) > 1:
        return None
    formula, dtype = formula_of([item.step.fill for item in tensors]), first.tensor.dtype
    return None if formula is None or not _has(dtype, formula) else Numbers(formula, first, dtype, beside)


def _has(dtype: str, formula: Formula) -> bool:
    """True if numbers of a dtype can have the values of a formula."""
    return dtype.startswith("float") or (formula.form == "linear" and formula.is_whole)


def sequence_of_numbers(script: Script, numbers: Numbers, source: Value, index: slice, rows: Value) -> Value:
    """Declare the numbers of all iterations: [1, time, 1], or [batch, time, width] if they fill a tensor.

    Args:
        source: Value along whose axis the iterations are counted.
        index: Positions along that axis.
        rows: Sequence with all rows.
    """
    script.has_formulas = True
    places = script.call(positions, source, numbers.beside.axis)
    places = places if index == ALL else script.item(places, index)
    places = script.operation("-", places, numbers.beside.start) if numbers.beside.start else places
    column = declare_numbers(script, numbers.formula, places, numbers.dtype)
    column = script.call(reshape, column, (1, -1, 1))
    if numbers.like is None:
        return column
    shape = numbers.like.tensor.type.shape
    width = product([shape[axis] for axis in rows_first(shape)[1:]])
    if not isinstance(width, int):
        raise NotRolledError
    return with_rows(script, column if width == 1 else script.call(tile, column, [1, 1, width]), rows)
