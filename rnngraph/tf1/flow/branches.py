"""``tf.cond`` and ``tf.case`` as selections: all branches are computed, and one result is selected."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.nest import flatten, pack
from ...declare.tensor import Tensor, build
from ...support.errors import ArgumentError, DtypeError, ShapeError, StructureError, shown
from ..core.tensors import gives_tensors
from .loop import Function, as_value, call_branch, call_function, fits, in_order_of


@gives_tensors
def cond(
    pred: Any,
    true_fn: Function | None = None,
    false_fn: Function | None = None,
    strict: bool = False,
    name: str | None = None,
    fn1: Function | None = None,
    fn2: Function | None = None,
) -> Any:
    """Return the result of ``true_fn`` if ``pred`` is True, else the result of ``false_fn``. Both are computed.

    Args:
        pred: A scalar bool Tensor. With a Python bool, only the selected function is called.
        true_fn: Function without arguments that returns a nest of Tensors.
        false_fn: Function that returns a nest of the same structure.
        strict: True to return a list of one Tensor as a list. By default, it is returned as the Tensor.
        fn1: Old name of ``true_fn``.
        fn2: Old name of ``false_fn``.
    """
    first, second = (true_fn if fn1 is None else fn1), (false_fn if fn2 is None else fn2)
    if isinstance(pred, bool | np.bool_):
        return call_function(first, "true_fn") if pred else call_function(second, "false_fn")
    truth = _truth(pred, "tf.cond")
    one, other = call_branch(first, "true_fn", truth), call_branch(second, "false_fn", functions.logical_not(truth))
    return _selected(truth, one, other, "tf.cond", strict)


@gives_tensors
def case(
    pred_fn_pairs: Any,
    default: Function | None = None,
    exclusive: bool = False,
    strict: bool = False,
    name: str = "case",
) -> Any:
    """Return the result of the first function whose condition is True, else that of ``default``.

    If ``default`` is None, the last function is the default. The results of all functions are computed. ``exclusive``
    has no effect: several conditions may be True. ``strict`` is as in ``tf.cond``.

    Args:
        pred_fn_pairs: List of (scalar bool, function), or a dict.
        default: Function without arguments.
    """
    pairs = list(pred_fn_pairs.items()) if isinstance(pred_fn_pairs, Mapping) else pred_fn_pairs
    if not isinstance(pairs, list | tuple) or not pairs or not all(_is_pair(pair) for pair in pairs):
        raise DtypeError(f"tf.case needs pairs of a condition and a function, not {shown(pred_fn_pairs)}")
    pairs = list(pairs)
    last = pairs.pop()[1] if default is None else default
    truths = [_truth(pred, "tf.case") for pred, _ in pairs]
    if not truths:
        return call_function(last, "default")
    # Element i is True if the conditions 0 to i are all False.
    others = list(accumulate(map(functions.logical_not, truths), functions.logical_and))
    reached = [truths[0], *map(functions.logical_and, others, truths[1:])]
    result = call_branch(last, "default", others[-1])
    for truth, (_, function), here in reversed(list(zip(truths, pairs, reached, strict=True))):
        result = _selected(truth, call_branch(function, "a function of tf.case", here), result, "tf.case", strict)
    return result


@gives_tensors
def switch_case(branch_index: Any, branch_fns: Any, default: Function | None = None, name: str | None = None) -> Any:
    """Return the result of ``branch_fns[branch_index]``, or of ``default`` for any other index.

    If ``default`` is None, the last function is the default. The results of all functions are computed.

    Args:
        branch_index: A scalar int.
        branch_fns: List of functions, list of (int, function), or a dict.
    """
    branches = branch_fns.items() if isinstance(branch_fns, Mapping) else branch_fns
    if not isinstance(branch_fns, list | tuple | Mapping) or not branch_fns:
        raise DtypeError(f"tf.switch_case needs functions, or pairs of an int and a function, not {shown(branch_fns)}")
    pairs = [item if _is_pair(item) else (number, item) for number, item in enumerate(branches)]
    index = as_value(branch_index, None, "branch_index")
    if index.rank or index.dtype not in ("int32", "int64"):
        raise DtypeError(f"tf.switch_case: branch_index must be a scalar int, not {index!r}")
    last = pairs[-1][1] if default is None else default
    return case([(functions.equal(index, number), function) for number, function in pairs], last)


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2


def _truth(pred: Any, what: str) -> Tensor:
    """Return a condition as a scalar bool Tensor. Raise ``DtypeError`` for anything but one bool."""
    condition = as_value(pred, None, f"{what}: the condition")
    if condition.dtype != "bool" or any(size != 1 for size in condition.shape):
        raise DtypeError(f"{what} needs a single bool, not {condition!r}; use tf.where to select for each element")
    return condition if not condition.rank else functions.reshape(condition, ())


def _selected(pred: Tensor, one: Any, other: Any, what: str, strict: bool) -> Any:
    """Return nested Tensors whose values are those of ``one`` if ``pred`` is True, else those of ``other``."""
    first, second = _unwrapped(one, strict), _unwrapped(other, strict)
    second = in_order_of(first, second)
    leaves, others = flatten(first), flatten(second)
    if len(leaves) != len(others):
        raise StructureError(
            f"{what}: one function returns {len(leaves)} Tensors, another {len(others)}; return nests of one structure"
        )
    if not leaves:
        raise ArgumentError(f"{what}: the functions return nothing; return Tensors")
    results = []
    for a, b in zip(leaves, others, strict=True):
        kinds = [item.dtype for item in (a, b) if isinstance(item, Tensor)]
        kind = kinds[0] if kinds else None
        yes, no = (as_value(item, kind, f"{what}: the result of a function") for item in (a, b))
        if yes.dtype != no.dtype or not fits(yes, no):
            raise ShapeError(f"{what}: one function returns {yes!r}, another {no!r}; return one dtype and one shape")
        results.append(build("select", pred, yes, no))
    return pack(first, results)


def _unwrapped(nest: Any, strict: bool) -> Any:
    """Return the Tensor of a list of one, unless ``strict``, as TensorFlow does; return other nests unchanged."""
    return nest[0] if not strict and isinstance(nest, list | tuple) and len(nest) == 1 else nest
