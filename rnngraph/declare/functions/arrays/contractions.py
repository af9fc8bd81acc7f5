"""Tensor contractions: ``einsum`` and ``tensordot``."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

from ....ir.types import Dim, product
from ....support.api_guard import api
from ....support.arguments import entries
from ....support.errors import ArgumentError, ShapeError, shown
from ...tensor import Tensor, as_tensor, build
from ..basic import matmul, one_axis, reduce_sum, transpose
from .matrices import diagonal


@api
def einsum(equation: str, *tensors: Any) -> Tensor:
    """Multiply tensors, and sum over the axes whose letters the result lacks, as ``numpy.einsum`` does.

    Tensors are multiplied from left to right.

    Args:
        equation: Such as ``"btd,de->bte"``. Without ``->`` the result has the letters that occur once, in alphabetical
            order. ``...`` stands for axes without letters, which broadcast. A letter that occurs twice in one operand
            selects its diagonal.
        *tensors: One Tensor for each term of the equation.

    Raises:
        ArgumentError: The equation does not fit the operands.
        ShapeError: A letter has two sizes, neither of which is 1.
    """
    items = [as_tensor(item) for item in tensors]
    if not isinstance(equation, str):
        raise ArgumentError(f"einsum needs an equation first, as in 'ij,jk->ik', not {shown(equation)}")
    letters = letters_of(equation, [item.rank for item in items])
    if letters is None:
        what = " and ".join(map(repr, items)) or "no tensors"
        raise ArgumentError(
            f"einsum: the equation {shown(equation)} does not fit {what}; write one letter for each axis"
        )
    terms, output = letters
    _check_sizes(equation, terms, items)
    parts = [_without_repeats(item, term) for item, term in zip(items, terms, strict=True)]
    total, term = parts[0]
    for number, (other, letters_of_other) in enumerate(parts[1:], 2):
        later = output + "".join(term for _, term in parts[number:])
        total, term = _contract(total, term, other, letters_of_other, later)
    total, term = _sum_private_letters(total, term, output)
    return _ordered(total, term, output)


def _check_sizes(equation: str, terms: Sequence[str], items: Sequence[Tensor]) -> None:
    """Raise ``ShapeError`` for a letter with two fixed sizes. A size of 1 is valid, because products broadcast."""
    sizes: dict[str, Dim] = {}
    for term, item in zip(terms, items, strict=True):
        for letter, dim in zip(term, item.type.shape, strict=True):
            other = sizes.setdefault(letter, dim)
            if isinstance(dim, int) and isinstance(other, int) and dim != other and 1 not in (dim, other):
                axis = f"the letter {letter}" if letter in equation else "an axis of ..."
                sizes_of = f"has the sizes {other} and {dim} in {' and '.join(map(repr, items))}"
                raise ShapeError(f"einsum: {axis} of {shown(equation)} {sizes_of}; both must be equal")


def _without_repeats(x: Tensor, term: str) -> tuple[Tensor, str]:
    """Replace axes that share a letter by their diagonal. Return the Tensor and its remaining letters."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            x = diagonal(x, 0, first, second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return x, term


def _sum_private_letters(x: Tensor, term: str, others: str) -> tuple[Tensor, str]:
    """Sum over the axes whose letters occur nowhere in ``others``. Return the Tensor and its remaining letters."""
    axes = [axis for axis, letter in enumerate(term) if letter not in others]
    return (reduce_sum(x, axes), "".join(letter for letter in term if letter in others)) if axes else (x, term)


def _ordered(x: Tensor, term: str, order: str) -> Tensor:
    """Transpose x, whose axes have the letters ``term``, to the order of the letters ``order``."""
    return x if term == order else transpose(x, [term.index(letter) for letter in order])


def _contract(a: Tensor, of_a: str, b: Tensor, of_b: str, later: str) -> tuple[Tensor, str]:
    """Multiply a by b, and sum over letters that are not in ``later``. Return the result and its letters.

    Args:
        a: First operand.
        of_a: Letters of its axes.
        b: Second operand.
        of_b: Letters of its axes.
        later: Letters of the operands that follow, and of the result.
    """
    a, of_a = _sum_private_letters(a, of_a, of_b + later)
    b, of_b = _sum_private_letters(b, of_b, of_a + later)
    both = "".join(letter for letter in of_a if letter in of_b and letter in later)
    inner = "".join(letter for letter in of_a if letter in of_b and letter not in later)
    rows, columns = ("".join(one for one in x if one not in y) for x, y in ((of_a, of_b), (of_b, of_a)))
    left, right = _ordered(a, of_a, both + rows + inner), _ordered(b, of_b, both + inner + columns)
    if not inner:
        ones = (1,) * len(columns)
        aligned = _lay_out(left, (*left.type.shape, *ones))
        batch_shape, column_shape = right.type.shape[: len(both)], right.type.shape[len(both) :]
        return aligned * _lay_out(right, (*batch_shape, *(1,) * len(rows), *column_shape)), both + rows + columns
    split = len(both) + len(rows)
    batch_shape, along, depth = (
        left.type.shape[: len(both)],
        left.type.shape[len(both) : split],
        left.type.shape[split:],
    )
    across = right.type.shape[len(both) + len(inner) :]
    flat = (product(along),) if both or not rows else along
    left = _lay_out(left, (*batch_shape, *flat, product(depth)))
    lead, deep = right.type.shape[: len(both)], right.type.shape[len(both) : len(both) + len(inner)]
    right = _lay_out(right, (*lead, product(deep), product(across)))
    result = matmul(left, right)
    return _lay_out(result, (*result.type.shape[: len(both)], *along, *across)), both + rows + columns


def _lay_out(x: Tensor, shape: tuple[Dim, ...]) -> Tensor:
    """Reshape x, unless it has this shape already."""
    return x if x.type.shape == shape else build("reshape", x, shape=shape)


@api
def tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    """Multiply a by b, and sum over pairs of their axes, as ``numpy.tensordot`` does.

    Args:
        a: Tensor.
        b: Tensor.
        axes: Number of axes: the last ones of a and the first ones of b. Or two lists: axes of a, and axes of b.

    Raises:
        ArgumentError: ``axes`` is larger than the rank of an operand, or neither a number nor two lists.
        ShapeError: The lists differ in length, or name an axis twice.
    """
    a, b = as_tensor(a), as_tensor(b)
    if isinstance(axes, int) and not isinstance(axes, bool):
        if not 0 <= axes <= min(a.rank, b.rank):
            raise ArgumentError(
                f"tensordot: axes={axes} is out of range for {a!r} and {b!r}, of ranks {a.rank} and {b.rank}; give "
                f"an int from 0 to {min(a.rank, b.rank)}"
            )
        first, second = list(range(a.rank - axes, a.rank)), list(range(axes))
    else:
        first, second = _both(axes, a, b)
    names = iter(ascii_letters)
    of_a, of_b = [next(names) for _ in range(a.rank)], [next(names) for _ in range(b.rank)]
    for one, other in zip(first, second, strict=True):
        of_b[other] = of_a[one]
    kept = [letter for letter in of_a if letter not in of_b] + [letter for letter in of_b if letter not in of_a]
    return einsum(f"{''.join(of_a)},{''.join(of_b)}->{''.join(kept)}", a, b)


def _both(axes: Any, a: Tensor, b: Tensor) -> tuple[list[int], list[int]]:
    """Split the argument ``axes`` of ``tensordot`` into axes of a and axes of b, as non-negative indices."""
    pair = entries(axes, "axes")
    if len(pair) != 2:
        raise ArgumentError(f"tensordot: axes must be a number or two lists of axes, not {shown(axes)}")
    first, second = (list(item) if isinstance(item, list | tuple) else [item] for item in pair)
    first = [one_axis(a.rank, axis) for axis in first]
    second = [one_axis(b.rank, axis) for axis in second]
    if len(first) != len(second) or len({*first}) != len(first) or len({*second}) != len(second):
        raise ShapeError(f"tensordot: axes {shown(axes)} do not pair up; name as many axes of a as of b, each once")
    return first, second


def letters_of(equation: str, ranks: Sequence[int]) -> tuple[list[str], str] | None:
    """Return the letters of each operand and those of the result, with ``...`` replaced by unused letters.

    For example, ``"...d,de->...e"`` with ranks 3 and 2 gives (["abd", "de"], "abe"). Return None for an equation that
    is malformed or does not fit the ranks.
    """
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(ranks) or any(term.count(".") not in (0, 3) for term in (*terms, output)):
        return None
    spare = [letter for letter in ascii_letters if letter not in inputs]
    counts = [rank - len(term) + 3 if "..." in term else 0 for term, rank in zip(terms, ranks, strict=True)]
    max_count = max(counts)
    if min(counts) < 0 or max_count > len(spare):
        return None
    rest = "".join(spare[:max_count])
    if not arrow:
        letters = inputs.replace(",", "").replace(".", "")
        output = ("..." if max_count else "") + "".join(sorted(one for one in letters if letters.count(one) == 1))
    filled = [term.replace("...", rest[max_count - count :]) for term, count in zip(terms, counts, strict=True)]
    whole = output.replace("...", rest)
    fits = all(len(term) == rank for term, rank in zip(filled, ranks, strict=True))
    return (filled, whole) if fits and set(whole) <= set("".join(filled)) and len(set(whole)) == len(whole) else None
