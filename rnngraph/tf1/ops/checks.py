"""Assertions, such as ``tf.Assert`` and ``tf.assert_equal``: operations that raise an error if a condition is False."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.functions.statistics import reduce_all
from ...declare.tensor import Tensor, as_tensor, pair
from ...ir.types import FLOATS, INTEGERS
from ...support.api_guard import api
from ...support.errors import DtypeError, ShapeError, shown, user_line
from ..core.dtypes import dtype_name
from ..core.errors import InvalidArgumentError
from ..core.operations import Operation

MAX_SHOWN = 3
"""Default maximum number of an array's entries that an error shows, as in TensorFlow."""


class Check(Operation):
    """Operation that raises an error in a run if a condition is False.

    Args:
        condition: A bool Tensor; all entries must be True.
        message: Text of the error.
        shown_values: Tensors whose values the error shows, and other objects that it shows as text.
        limit: Maximum number of entries of a Tensor that the error shows.
        name: Name of the operation.
    """

    def __init__(self, condition: Tensor, message: str, shown_values: Sequence[Any], limit: int, name: str) -> None:
        self.condition, self.message, self.limit = reduce_all(condition), message, limit
        self.parts = list(shown_values)
        super().__init__(name)

    def needs(self) -> list[Tensor]:
        return [self.condition, *(part for part in self.parts if isinstance(part, Tensor))]

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> None:
        if values[0]:
            return
        arrays = iter(values[1:])
        texts = [_formatted(next(arrays), self.limit) if isinstance(part, Tensor) else str(part) for part in self.parts]
        raise InvalidArgumentError(f"assertion failed: {self.message} {' '.join(texts)}".rstrip(), self.where)


def _formatted(array: np.ndarray, limit: int) -> str:
    """Return the first ``limit`` entries of an array, for an error."""
    flat = np.ravel(array)
    return f"[{' '.join(map(str, flat[:limit].tolist()))}{' ...' if flat.size > limit else ''}]"


@api
def assert_that(condition: Any, data: Any, summarize: int | None = None, name: str | None = None) -> Operation:
    """``tf.Assert``: return an operation that raises an error, with the values of ``data``, if a condition is False."""
    parts = list(data) if isinstance(data, list | tuple) else [data]
    return Check(as_tensor(condition), "", parts, summarize or MAX_SHOWN, name or "Assert")


def _comparison(relation: Callable[[Any, Any], Tensor], label: str, words: str) -> Callable[..., Operation]:
    """Return the public function ``label``, which asserts that a relation of two Tensors holds for all elements.

    Args:
        relation: Function of two Tensors that returns a bool Tensor.
        label: Name of the function.
        words: Operator of the relation in errors, such as "<=".
    """

    def check(
        x: Any,
        y: Any,
        data: Any = None,
        summarize: int | None = None,
        message: str | None = None,
        name: str | None = None,
    ) -> Operation:
        one, other = pair(x, y)
        return _assertion(relation(one, other), words, [one, other], data, summarize, message, name or label)

    return _named(check, label, f"Return an operation that raises an error unless x {words} y for all elements.")


def _comparison_with_zero(relation: Callable[[Any, Any], Tensor], label: str, words: str) -> Callable[..., Operation]:
    """Return the public function ``label``, which asserts a relation of a Tensor to 0. Arguments as ``_comparison``."""

    def check(
        x: Any, data: Any = None, summarize: int | None = None, message: str | None = None, name: str | None = None
    ) -> Operation:
        one = as_tensor(x)
        return _assertion(relation(one, 0), f"{words} 0", [one], data, summarize, message, name or label)

    return _named(check, label, f"Return an operation that raises an error unless x {words} 0 for all elements.")


def _named(function: Callable[..., Operation], label: str, text: str) -> Callable[..., Operation]:
    """Make a function public, with the name ``label`` and the docstring ``text``."""
    function.__name__ = function.__qualname__ = label
    function.__doc__ = text
    checked: Callable[..., Operation] = api(function)
    return checked


def _assertion(
    condition: Tensor,
    words: str,
    operands: Sequence[Tensor],
    data: Any,
    limit: int | None,
    message: str | None,
    name: str,
) -> Operation:
    """Return the operation of an assertion. Raises ``InvalidArgumentError`` at once for constants that fail."""
    text = f"{message + ' ' if message else ''}Condition x {words}{' y' if len(operands) > 1 else ''} did not hold."
    if all(item.node.op == "constant" for item in operands):
        values = [item.node["value"] for item in operands]
        outcome = _OF_CONSTANTS[words](*values, *([0] if len(values) == 1 else []))
        if not np.all(outcome):
            both = ", ".join(f"{name} = {shown(value)}" for name, value in zip("xy", values, strict=False))
            raise InvalidArgumentError(f"{text} {both}", user_line())
    parts = operands if data is None else list(data)
    return Check(condition, text, parts, limit or MAX_SHOWN, name)


_OF_CONSTANTS: dict[str, Callable[..., Any]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "> 0": np.greater,
    "< 0": np.less,
    ">= 0": np.greater_equal,
    "<= 0": np.less_equal,
}


assert_equal = _comparison(functions.equal, "assert_equal", "==")
assert_none_equal = _comparison(functions.not_equal, "assert_none_equal", "!=")
assert_less = _comparison(functions.less, "assert_less", "<")
assert_less_equal = _comparison(operator.le, "assert_less_equal", "<=")
assert_greater = _comparison(functions.greater, "assert_greater", ">")
assert_greater_equal = _comparison(operator.ge, "assert_greater_equal", ">=")
assert_positive = _comparison_with_zero(functions.greater, "assert_positive", ">")
assert_negative = _comparison_with_zero(functions.less, "assert_negative", "<")
assert_non_negative = _comparison_with_zero(operator.ge, "assert_non_negative", ">=")
assert_non_positive = _comparison_with_zero(operator.le, "assert_non_positive", "<=")


# Assertions at declaration -------------------------------------------------------------------------------


def _static_check(is_right: bool, x: Any, words: str, message: str | None, name: str) -> Operation:
    """Raise ``ShapeError`` unless ``is_right``. Otherwise return an assertion that never fails."""
    if not is_right:
        raise ShapeError(f"{message or ''} {as_tensor(x)!r} must have {words}".strip())
    return _never_failing(name)


def _never_failing(name: str) -> Operation:
    """Return an assertion that never fails."""
    return Check(as_tensor(np.asarray(True)), "", [], MAX_SHOWN, name)


@api
def assert_rank(
    x: Any,
    rank: Any,
    data: Any = None,
    summarize: int | None = None,
    message: str | None = None,
    name: str | None = None,
) -> Operation:
    """Raise ``ShapeError`` unless x has the rank ``rank``. The result is an operation that never fails."""
    is_right = as_tensor(x).rank == int(rank)
    return _static_check(is_right, x, f"rank {rank}", message, name or "assert_rank")


@api
def assert_rank_at_least(
    x: Any,
    rank: Any,
    data: Any = None,
    summarize: int | None = None,
    message: str | None = None,
    name: str | None = None,
) -> Operation:
    """Raise ``ShapeError`` if the rank of x is lower than ``rank``. The result is an operation that never fails."""
    is_right = as_tensor(x).rank >= int(rank)
    return _static_check(is_right, x, f"rank at least {rank}", message, name or "assert_rank_at_least")


@api
def assert_rank_in(
    x: Any,
    ranks: Any,
    data: Any = None,
    summarize: int | None = None,
    message: str | None = None,
    name: str | None = None,
) -> Operation:
    """Raise ``ShapeError`` unless the rank of x is in ``ranks``. The result is an operation that never fails."""
    is_right = as_tensor(x).rank in [int(rank) for rank in ranks]
    return _static_check(is_right, x, f"a rank in {list(ranks)}", message, name or "assert_rank_in")


@api
def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> Operation:
    """Raise ``DtypeError`` unless a Tensor has the dtype ``tf_type``. The result is an operation that never fails."""
    if as_tensor(tensor).dtype != dtype_name(tf_type):
        raise DtypeError(f"{message or ''} {as_tensor(tensor)!r} must have dtype {dtype_name(tf_type)}".strip())
    return _never_failing(name or "assert_type")


@api
def assert_integer(x: Any, message: str | None = None, name: str | None = None) -> Operation:
    """Raise ``DtypeError`` unless a Tensor has an integer dtype. The result is an operation that never fails."""
    if as_tensor(x).dtype not in INTEGERS:
        raise DtypeError(f"{message or ''} {as_tensor(x)!r} must have an integer dtype".strip())
    return _never_failing(name or "assert_integer")


@api
def is_numeric_tensor(tensor: Any) -> bool:
    """Return True for Tensors with a numeric dtype."""
    return isinstance(tensor, Tensor) and tensor.dtype in (*FLOATS, *INTEGERS)
