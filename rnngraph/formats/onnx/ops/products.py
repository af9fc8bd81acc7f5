"""Products of matrices."""

from __future__ import annotations

import numpy as np

from ....declare.functions import basic
from ....ir.types import FLOATS
from ...equations import letters_of
from ...steps import Value
from ..core.known import Expanded, Known, Operand, dtype_of, number_like, shape_of
from ..core.sizes import UnreadableError, total
from ..core.table import Call, Outputs, reads
from ..core.tensors import Tensors
from .elementwise import combined


@reads("MatMul")
def _matmul(call: Call) -> Outputs:
    """A product, and with a third input what an ``Add`` behind it adds."""
    left, right, added = call.input(0), call.input(1), call.maybe(2)
    left = call.tensors.value(left) if isinstance(left, Expanded) else left
    if isinstance(left, Value) and isinstance(right, Known) and isinstance(added, Known):
        is_bias = right.array.ndim == 2 and added.shape == right.shape[1:] and not added.is_symbolic
        if is_bias:
            return product_of(call.tensors, left, right, added.array)
    found = product_of(call.tensors, left, right)
    return found if added is None else combined(call, "Add", found, added)


def product_of(tensors: Tensors, left: Operand, right: Operand, bias: np.ndarray | None = None) -> Operand:
    """left @ right, plus a bias."""
    if isinstance(left, Known) and isinstance(right, Known) and bias is None:
        first, second = left.numbers("a matrix"), right.numbers("a matrix")
        if (
            first.size * (second.shape[-1] if second.ndim > 1 else 1) <= 1 << 28
            and first.ndim <= 2
            and second.ndim <= 2
        ):
            return Known(np.asarray(first @ second), left.dtype)
    if dtype_of(left) != dtype_of(right) or dtype_of(left) not in FLOATS:
        raise UnreadableError(f"a product of {dtype_of(left)} and {dtype_of(right)}")
    if len(shape_of(right)) == 1:
        column = tensors.expand_dims(right, [1])
        found = product_of(tensors, left, column, bias)
        return tensors.squeeze(found, [-1])
    if isinstance(right, Known) and right.array.ndim == 2 and right.array.size:
        array, value = right.numbers("a matrix"), tensors.value(left)
        apart = tensors.rows_apart(value)
        if apart is None:
            return tensors.times(value, array, bias)
        return tensors.reshape(tensors.times(apart, array, bias), [shape_of(value)[0], array.shape[1]])
    found = tensors.script.operation("@", tensors.value(left), tensors.value(right))
    return found


@reads("Gemm", "FusedMatMulBias")
def gemm(call: Call) -> Operand:
    """alpha A @ B + beta C, A and B turned or not."""
    tensors, left, right = call.tensors, call.input(0), call.input(1)
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    if len(shape_of(left)) != 2 or len(shape_of(right)) != 2:
        raise UnreadableError("it multiplies what is no matrix")
    left = tensors.transpose(left, (1, 0)) if call.whole("transA", 0) else left
    left = tensors.value(left) if isinstance(left, Expanded) else left
    right = tensors.transpose(right, (1, 0)) if call.whole("transB", 0) else right
    bias, added = (call.maybe(2) if beta else None), None  # what is not added may be anything, NaN too
    if isinstance(right, Known):
        if alpha != 1:
            right = Known((right.numbers("a matrix") * np.asarray(alpha, right.array.dtype)), right.dtype)
        is_row = isinstance(bias, Known) and bias.shape in ((), (1,), (1, 1), right.shape[1:], (1, *right.shape[1:]))
        if isinstance(bias, Known) and is_row and isinstance(left, Value):
            row = bias.numbers("a bias").reshape(-1)
            row = row if beta == 1 else row * np.asarray(beta, row.dtype)
            added = np.broadcast_to(row, right.array.shape[1:])
    found = product_of(tensors, left, right, added)
    if not isinstance(right, Known) and alpha != 1:
        found = combined(call, "Mul", found, number_like(alpha, found))
    if bias is None or added is not None:
        return found
    if beta != 1:
        bias = combined(call, "Mul", bias, number_like(beta, bias))
    return combined(call, "Add", found, bias)


@reads("Einsum")
def _einsum(call: Call) -> Outputs:
    """Operands one after the other, without diagonals."""
    text = call.text("equation", "")
    found = letters_of(text, [call.rank(number) for number in range(len(call.inputs))])
    if found is None or any(len(set(term)) < len(term) for term in found[0]):
        raise UnreadableError(f"equation {text!r}")
    terms, result = found
    x, term = call.input(0), terms[0]
    for number in range(1, len(terms)):
        later = result + "".join(terms[number + 1 :])
        kept = "".join(dict.fromkeys(letter for letter in term + terms[number] if letter in later))
        kept = result if number == len(terms) - 1 else kept
        x, term = _contracted(call, (x, call.input(number)), (term, terms[number]), kept), kept
    return x if len(terms) > 1 else _summed(call, x, term, result)


def _summed(call: Call, x: Operand, term: str, result: str) -> Operand:
    """x with its axes in the order of ``result``; those that lack are added up."""
    dropped = [place for place, letter in enumerate(term) if letter not in result]
    if dropped:
        x = call.script.call(basic.reduce_sum, call.tensors.value(x), axis=dropped)
        term = "".join(letter for letter in term if letter in result)
    return call.tensors.transpose(x, [term.index(letter) for letter in result])


def _contracted(call: Call, operands: tuple[Operand, Operand], terms: tuple[str, str], result: str) -> Operand:
    """Both as stacks of matrices [shared and kept, rows, added up] by [shared and kept, added up, columns]."""
    tensors, (left, right), (first, second) = call.tensors, operands, terms
    for letter in set(first) - set(second) - set(result):
        left = _summed(call, left, first, first.replace(letter, ""))
        first = first.replace(letter, "")
    for letter in set(second) - set(first) - set(result):
        right = _summed(call, right, second, second.replace(letter, ""))
        second = second.replace(letter, "")
    batch = [letter for letter in first if letter in second and letter in result]
    inner = [letter for letter in first if letter in second and letter not in result]
    rows = [letter for letter in first if letter not in second]
    columns = [letter for letter in second if letter not in first]
    both = [*zip(first, shape_of(left), strict=True), *zip(second, shape_of(right), strict=True)]
    size = dict(sorted(both, key=lambda pair: isinstance(pair[1], int)))  # a number, where one of the two is
    ahead, along, across = ([size[letter] for letter in letters] for letters in (batch, rows, columns))
    depth = total(tuple(size[letter] for letter in inner))
    a = tensors.transpose(left, [first.index(letter) for letter in (*batch, *rows, *inner)])
    b = tensors.transpose(right, [second.index(letter) for letter in (*batch, *inner, *columns)])
    joins_rows, joins_columns = bool(batch) and len(rows) != 1, len(columns) != 1
    if joins_rows or len(inner) != 1:
        a = tensors.reshape(a, [*ahead, *([total(tuple(along))] if batch else along), depth])
    if joins_columns or len(inner) != 1:
        b = tensors.reshape(b, [*ahead, depth, total(tuple(across))])
    found = product_of(tensors, a, b)
    if joins_rows or joins_columns:
        found = tensors.reshape(found, [*ahead, *along, *across])
    made = "".join((*batch, *rows, *columns))
    return tensors.transpose(found, [made.index(letter) for letter in result])
