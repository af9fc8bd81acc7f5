"""TensorFlow 1.x's ``tensordot`` and ``einsum``, and entries that are picked by several indices: ``gather_nd``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ...declare.functions import basic as functions
from ...declare.functions import indexing
from ...declare.tensor import Tensor, as_tensor, build
from ...ir.types import Dim, meet_declared, product
from ...support.errors import ArgumentError, ShapeError, shown
from ..core.operations import operation


@operation
def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """Products summed over axes: the last of a and the first of b, as many as ``axes`` says, or lists of both."""
    a, b = as_tensor(a), as_tensor(b)
    if isinstance(axes, int) and not isinstance(axes, bool) and 0 <= axes <= min(a.rank, b.rank):
        first, second = list(range(a.rank - axes, a.rank)), list(range(axes))
    else:
        first, second = _both(axes, a, b)
    kept_a = [axis for axis in range(a.rank) if axis not in first]
    kept_b = [axis for axis in range(b.rank) if axis not in second]
    try:
        for one, other in zip(first, second, strict=True):
            meet_declared(a.type.shape[one], b.type.shape[other])
    except ValueError:
        raise ShapeError(f"tf.tensordot of {a!r} and {b!r} over axes {first} and {second}: sizes differ") from None
    rows, columns = _sizes(a, kept_a), _sizes(b, kept_b)
    left = _laid(functions.transpose(a, [*kept_a, *first]), (product(rows), product(_sizes(a, first))))
    right = _laid(functions.transpose(b, [*second, *kept_b]), (product(_sizes(b, second)), product(columns)))
    return _laid(functions.matmul(left, right), (*rows, *columns))


def _both(axes: Any, a: Tensor, b: Tensor) -> tuple[list[int], list[int]]:
    if not isinstance(axes, list | tuple) or len(axes) != 2:
        raise ArgumentError(f"tf.tensordot: axes is a number, or two lists of axes, not {shown(axes)}")
    first, second = (list(item) if isinstance(item, list | tuple) else [item] for item in axes)
    first = [functions.one_axis(a.rank, axis) for axis in first]
    second = [functions.one_axis(b.rank, axis) for axis in second]
    if len(first) != len(second) or len({*first}) != len(first) or len({*second}) != len(second):
        raise ArgumentError(f"tf.tensordot: as many axes of a as of b, each once, not {shown(axes)}")
    return first, second


def _sizes(x: Tensor, axes: Sequence[int]) -> tuple[Dim, ...]:
    return tuple(x.type.shape[axis] for axis in axes)


def _laid(x: Tensor, shape: tuple[Dim, ...]) -> Tensor:
    return x if x.type.shape == shape else build("reshape", x, shape=shape)


@operation
def einsum(equation: str, *inputs: Any, name: str | None = None) -> Tensor:
    """Products of entries by their letters, summed over those that ``->`` leaves out: ``"btd,de->bte"``."""
    found = (
        re.fullmatch(r"([A-Za-z,]+)(?:->([A-Za-z]*))?", equation.replace(" ", ""))
        if isinstance(equation, str)
        else None
    )
    terms = found[1].split(",") if found else []
    tensors = [as_tensor(item) for item in inputs]
    if (
        found is None
        or len(terms) != len(tensors)
        or any(
            len(term) != tensor.rank or len({*term}) != len(term) for term, tensor in zip(terms, tensors, strict=True)
        )
    ):
        raise ArgumentError(
            f'tf.einsum takes letters for the axes of each tensor, as in "ij,jk->ik", not {shown(equation)}'
        )
    letters = "".join(terms)
    out = found[2] if found[2] is not None else "".join(sorted(item for item in {*letters} if letters.count(item) == 1))
    if len({*out}) != len(out) or not {*out} <= {*letters}:
        raise ArgumentError(f"tf.einsum: {shown(equation)} gives axes that no tensor has, or one twice")
    total, term = tensors[0], terms[0]
    for place, (tensor, other) in enumerate(zip(tensors[1:], terms[1:], strict=True), 1):
        later = {*out, *"".join(terms[place + 1 :])}
        total, term = _multiplied(total, term, tensor, other, later)
    total = functions.reduce_sum(total, [place for place, item in enumerate(term) if item not in out])
    term = "".join(item for item in term if item in out)
    return functions.transpose(total, [term.index(item) for item in out])


def _multiplied(a: Tensor, of_a: str, b: Tensor, of_b: str, later: set[str]) -> tuple[Tensor, str]:
    """The product of two tensors, summed over what nothing needs any more, and the letters of its axes."""
    both = [item for item in of_a if item in of_b and item in later]
    summed = [item for item in of_a if item in of_b and item not in later]
    rows, columns = ([item for item in one if item not in other] for one, other in ((of_a, of_b), (of_b, of_a)))
    left = functions.transpose(a, [of_a.index(item) for item in (*both, *rows, *summed)])
    right = functions.transpose(b, [of_b.index(item) for item in (*both, *summed, *columns)])
    sizes_a, sizes_b = left.type.shape, right.type.shape
    ahead, split = sizes_a[: len(both)], len(both) + len(rows)
    inner = product(sizes_a[split:])
    left = _laid(left, (*ahead, product(sizes_a[len(both) : split]), inner))
    right = _laid(right, (*ahead, inner, product(sizes_b[len(both) + len(summed) :])))
    shape = (*ahead, *sizes_a[len(both) : split], *sizes_b[len(both) + len(summed) :])
    return _laid(functions.matmul(left, right), shape), "".join([*both, *rows, *columns])


@operation
def gather_nd(params: Any, indices: Any, name: str | None = None, batch_dims: int = 0) -> Tensor:
    """Entries of ``params`` by the indices of their first axes, which stand along the last axis of ``indices``."""
    return indexing.gather_nd(params, indices, batch_dims, negative=False)
