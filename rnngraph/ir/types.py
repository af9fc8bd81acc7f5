"""Types of the graph IR: dtypes, sizes (integers or polynomials of named sizes) and tensor types.

A size is an ``int`` or a ``Size``: a polynomial with integer coefficients over named sizes, such as
``T``, ``T - 1`` or ``B*T``. The same class serves as index arithmetic in the loop IR, where the names
are loop variables and strides.
"""

from __future__ import annotations

import ast
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import and_

import numpy as np

DTYPES = ("float32", "float64", "int32", "int64", "bool")
"""What inputs, parameters and results can be."""
NARROW = ("bfloat16", "int8", "uint8")
"""What a pass makes of operands of products, and nothing else. NumPy holds bfloat16 as float32, rounded."""
SHORT_NAMES = dict(zip((*DTYPES, *NARROW), ("f32", "f64", "i32", "i64", "bool", "bf16", "i8", "u8"), strict=True))
LONG_NAMES = {short: long for long, short in SHORT_NAMES.items()}
FLOATS = ("float32", "float64")
INTEGERS = ("int32", "int64")
ITEM_BYTES = {
    "float32": 4, "float64": 8, "int32": 4, "int64": 8, "bool": 1, "bfloat16": 2, "int8": 1, "uint8": 1,
}  # fmt: skip

Monomial = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """A polynomial over names. ``terms`` maps monomials (sorted names) to coefficients, sorted, none zero."""

    terms: tuple[tuple[Monomial, int], ...]

    def __hash__(self) -> int:
        return hash(self.terms)

    def __add__(self, other: Dim) -> Dim:
        if isinstance(other, int):  # mostly; the constant is the first of all terms
            if not other:
                return self
            names, factor = self.terms[0]
            if names:
                return Size((((), other), *self.terms))
            return Size((((), factor + other), *self.terms[1:]) if factor + other else self.terms[1:])
        return _collect(self.terms + other.terms)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + (other * -1)

    def __rsub__(self, other: Dim) -> Dim:
        return (self * -1) + other

    def __mul__(self, other: Dim) -> Dim:
        return _multiply(self, other)

    __rmul__ = __mul__

    def __str__(self) -> str:
        return dim_text(self)

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset(name for names, _ in self.terms for name in names)

    @property
    def symbol(self) -> str | None:
        """The name, if this is one name and nothing else."""
        if len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1:
            return self.terms[0][0][0]
        return None


Dim = int | Size
Shape = tuple[Dim, ...]


def size(name: str) -> Size:
    return Size((((name,), 1),))


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(dim, Size):
        return dim.terms
    return (((), dim),) if dim else ()


def _collect(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    totals: dict[Monomial, int] = {}
    for names, factor in terms:
        totals[names] = totals.get(names, 0) + factor
    kept = tuple(sorted((names, factor) for names, factor in totals.items() if factor))
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    return Size(kept)


@lru_cache(maxsize=65536)
def _multiply(a: Dim, b: Dim) -> Dim:
    return _collect((tuple(sorted(left + right)), p * q) for left, p in _terms(a) for right, q in _terms(b))


def symbols_of(dim: Dim) -> frozenset[str]:
    return dim.symbols if isinstance(dim, Size) else frozenset()


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """``dim`` with names replaced by sizes."""
    if not isinstance(dim, Size) or not any(name in values for name in dim.symbols):
        return dim
    total: Dim = 0
    for names, factor in dim.terms:
        product: Dim = factor
        for name in names:
            product = product * values.get(name, size(name))
        total = total + product
    return total


def evaluate(dim: Dim, values: Mapping[str, int]) -> int:
    result = substitute(dim, values)
    if isinstance(result, Size):
        missing = ", ".join(sorted(name for name in result.symbols if name not in values))
        raise KeyError(f"size {missing} has no value")
    return result


def product(dims: Iterable[Dim]) -> Dim:
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def quotient(dim: Dim, divisor: Dim) -> Dim | None:
    """``dim / divisor`` where the divisor is a single term that divides every term, else None."""
    if len(_terms(divisor)) != 1:
        return None
    (by, by_factor) = _terms(divisor)[0]
    terms: list[tuple[Monomial, int]] = []
    for names, factor in _terms(dim):
        rest = list(names)
        for name in by:
            if name not in rest:
                return None
            rest.remove(name)
        if factor % by_factor:
            return None
        terms.append((tuple(rest), factor // by_factor))
    return _collect(terms)


def dim_text(dim: Dim) -> str:
    if not isinstance(dim, Size):
        return str(dim)
    text = ""
    # Names come first, the constant last: T-1, not -1+T.
    for names, factor in sorted(dim.terms, key=lambda term: (not term[0], term[1] < 0, term[0])):
        body = "*".join(([str(abs(factor))] if abs(factor) != 1 or not names else []) + list(names))
        sign = "-" if factor < 0 else "+"
        text += body if not text and factor > 0 else sign + body
    return text


TRIES = 9
_PARSING = threading.Lock()
"""CPython counts the depth of a tree for all threads together, and refuses a tree when another thread came between."""


def syntax_of(text: str) -> ast.expr:
    """The Python syntax of an expression, for any thread."""
    with _PARSING:
        for _ in range(TRIES):
            try:
                return ast.parse(text, mode="eval").body
            except SystemError:  # some other code's threads parse, too
                continue
        return ast.parse(text, mode="eval").body


def parse_dim(text: str) -> Dim:
    return dim_of_syntax(syntax_of(text))


def dim_of_syntax(node: ast.expr) -> Dim:
    """A size from Python syntax made of integers, names, ``+``, ``-`` and ``*``."""
    rest: list[ast.BinOp] = []
    first = node
    while isinstance(first, ast.BinOp):  # a sum of many terms is as deep to the left
        rest.append(first)
        first = first.left
    match first:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            found: Dim = value
        case ast.Name(id=name):
            found = size(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            found = dim_of_syntax(operand) * -1
        case _:
            raise ValueError(f"not a size: {ast.dump(first)}")
    for term in reversed(rest):
        other = dim_of_syntax(term.right)
        match term.op:
            case ast.Add():
                found = found + other
            case ast.Sub():
                found = found - other
            case ast.Mult() if min(len(_terms(found)), len(_terms(other))) < 2:  # as sizes are printed
                found = found * other
            case _:
                raise ValueError(f"not a size: {ast.dump(term)}")
    return found


@dataclass(frozen=True, slots=True)
class TensorType:
    """dtype and shape of a tensor."""

    dtype: str
    shape: Shape

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset(name for dim in self.shape for name in symbols_of(dim))

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.dtype, shape)

    def __str__(self) -> str:
        return f"{SHORT_NAMES[self.dtype]}[{','.join(map(dim_text, self.shape))}]"


@dataclass(frozen=True, slots=True)
class TupleType:
    """What a scan gives: several tensors."""

    items: tuple[TensorType, ...]

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset(name for item in self.items for name in item.symbols)

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


Type = TensorType | TupleType
Meet = Callable[[Dim, Dim], Dim]
"""Decides what two sizes that must be equal become; raises ``ValueError`` where they can't be."""


def meet_strict(a: Dim, b: Dim) -> Dim:
    """Inside the IR two sizes are equal or they do not fit."""
    if a != b:
        raise ValueError(f"size {dim_text(a)} meets size {dim_text(b)}")
    return a


def meet_declared(a: Dim, b: Dim) -> Dim:
    """While declaring, an open size may become any other; what it becomes is settled by ``lower``."""
    if isinstance(a, int) and isinstance(b, int):
        return meet_strict(a, b)
    return b if isinstance(b, int) else a


class SizeTable:
    """Sizes that met and so are one: ``meet`` records, ``resolve`` replaces."""

    def __init__(self) -> None:
        self.known: dict[str, Dim] = {}

    def resolve(self, dim: Dim) -> Dim:
        previous = None
        while dim != previous:
            previous, dim = dim, substitute(dim, self.known)
        return dim

    def meet(self, a: Dim, b: Dim, measured: bool = False) -> Dim:
        """What both become. Raises ``ValueError`` where they can't be one, or that can't be solved for a name.

        measured: whether ``b`` is what an array has. What is declared is rather a mistake than n*T with n = 1.
        """
        a, b = self.resolve(a), self.resolve(b)
        if a == b:
            return a
        solution = _solved(a - b)
        if solution is None and (measured or not _multiples(a, b)):
            solution = _solved(_without_common_factor(a - b))
        if solution is None:
            raise ValueError(f"size {dim_text(a)} meets size {dim_text(b)}")
        name, value = solution
        self.known[name] = value
        return self.resolve(a)

    def meet_all(self, pairs: Sequence[tuple[Dim, Dim]], measured: bool = False) -> int | None:
        """Meets pairs in any order, as a product can be solved once its factors are known; the place of the first that
        can't be met, or None.
        """
        waiting = list(range(len(pairs)))
        while waiting:
            later = [place for place in waiting if not self._meets(*pairs[place], measured)]
            if len(later) == len(waiting):
                return later[0]
            waiting = later
        return None

    def _meets(self, a: Dim, b: Dim, measured: bool) -> bool:
        try:
            self.meet(a, b, measured)
        except ValueError:
            return False
        return True

    def may_meet(self, a: Dim, b: Dim) -> bool:
        """Whether ``a`` and ``b`` can be equal, as far as signs and divisors tell, where sizes are neither 0 nor 1."""
        a, b = self.resolve(a), self.resolve(b)
        difference = a - b
        if not isinstance(difference, Size) or _multiples(a, b):
            return difference == 0
        constant = sum(factor for names, factor in difference.terms if not names)
        divisor = math.gcd(*(factor for names, factor in difference.terms if names))
        return len({factor > 0 for _, factor in difference.terms}) == 2 and constant % divisor == 0


def _solved(difference: Dim) -> tuple[str, Dim] | None:
    """A name to solve for, and its value where the whole is 0. The name stands alone with factor 1 or -1; of several it
    is the latest declared.
    """
    if not isinstance(difference, Size):
        return None
    for names, factor in sorted(difference.terms, key=lambda term: term[0], reverse=True):
        alone = len(names) == 1 and sum(names[0] in other for other, _ in difference.terms) == 1
        if alone and abs(factor) == 1:
            return names[0], size(names[0]) - difference * factor
    return None


def _multiples(a: Dim, b: Dim) -> bool:
    """Whether one size is a multiple of the other by names, so that they are equal only where the factor is 1."""
    return bool(a and b) and (quotient(a, b) is not None or quotient(b, a) is not None)


def _without_common_factor(difference: Dim) -> Dim:
    """A difference of sizes without the factors that all its terms share. It is 0 for the same sizes, if none is 0."""
    if not isinstance(difference, Size):
        return difference
    monomials = [Counter(names) for names, _ in difference.terms]
    common = reduce(and_, monomials) if len(monomials) > 1 else Counter[str]()
    divisor = math.gcd(*(factor for _, factor in difference.terms))
    divided = quotient(difference, divisor * product(map(size, common.elements())))
    assert divided is not None
    return divided


def dtype_of(array: np.ndarray) -> str:
    return str(array.dtype)
