"""Free names of statements, their replacement, and comparison of functions up to the names of values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any

from ...ir.sizes.polynomial import Floor, Term
from ...ir.types import Size, rename, substitute, symbols_of, terms_of
from ...support.records import dataclass
from .functions import Function
from .nodes import Buffer, Index, LetIndex, Renaming, Statement, Uses, Value


@dataclass(frozen=True)
class Parameters:
    """Parameters of a function whose body is some statements.

    Attributes:
        buffers: For each buffer that the statements use, the offset that calls add to its pointer.
        sizes: Names that the statements use without binding them, apart from the offsets.
    """

    buffers: dict[Buffer, Index]
    sizes: tuple[str, ...]


def free(statements: Sequence[Statement]) -> tuple[tuple[Buffer, ...], tuple[str, ...]]:
    """Return the buffers and size names that statements use without binding them, in order of appearance."""
    scoped = _scoped(statements, frozenset(), [])
    return tuple(dict.fromkeys(buffer for uses, _ in scoped for buffer, _ in uses.places)), _free_names(scoped, {})


def parameters(statements: Sequence[Statement]) -> Parameters:
    """Return the parameters of a function of ``statements``: buffers with index offsets, and names of sizes.

    The parameters are chosen so that as many functions as possible are equal. Terms that all indices of a buffer share,
    and that no loop of the function changes, become an offset.
    """
    scoped = _scoped(statements, frozenset(), [])
    indices: dict[Buffer, dict[tuple[Term, ...], None]] = {}
    for uses, _ in scoped:
        for buffer, index in uses.places:
            terms = terms_of(index)
            has_constant = terms and not terms[0][0]  # which stays in the function
            indices.setdefault(buffer, {})[terms[1:] if has_constant else terms] = None
    bound = frozenset().union(*{names for _, names in scoped})
    kept: dict[Buffer, tuple[Term, ...]] = {}
    for buffer, (first, *others) in indices.items():
        common = set(first).intersection(*others)
        free_terms = [term for term in first if symbols_of(Size((term,))).isdisjoint(bound)]
        kept[buffer] = tuple([term for term in free_terms if term in common])
    offsets: dict[Buffer, Index] = {buffer: Size(terms) if terms else 0 for buffer, terms in kept.items()}
    return Parameters(offsets, _free_names(scoped, kept))


_Scoped = tuple[Uses, frozenset[str]]
"""Uses of a statement, and the names that are bound there."""


def _scoped(statements: Sequence[Statement], bound: frozenset[str], scoped: list[_Scoped]) -> list[_Scoped]:
    """Append (uses, names bound by enclosing scopes) of each statement to ``scoped``, depth first. Return it."""
    for statement in statements:
        uses = statement.uses()
        scoped.append((uses, bound))
        for body in uses.bodies:
            _scoped(body.statements, bound | {body.var}, scoped)
        if isinstance(statement, LetIndex):
            bound = bound | {statement.name}
    return scoped


def _free_names(scoped: Iterable[_Scoped], offsets: Mapping[Buffer, Collection[Term]]) -> tuple[str, ...]:
    """Return the size names that statements use but do not bind, in order, except in terms of ``offsets``."""
    names: dict[str, None] = {}

    def add(index: Size, offset: Collection[Term], bound: frozenset[str]) -> None:
        for term in index.terms:
            for name in term[0]:
                if name not in names and name not in bound and term not in offset:
                    symbols = sorted(name.dim.symbols) if isinstance(name, Floor) else (name,)
                    names.update((symbol, None) for symbol in symbols if symbol not in bound)

    for uses, bound in scoped:
        for buffer, index in uses.places:
            if isinstance(index, Size):
                add(index, offsets.get(buffer, ()), bound)
        for index in uses.indices:
            if isinstance(index, Size):
                add(index, (), bound)
    return tuple(names)


def renamed(
    statements: Sequence[Statement],
    buffers: Mapping[Buffer, Buffer] | None,
    names: Mapping[str, Index],
    offsets: Mapping[Buffer, Index] | None = None,
) -> tuple[Statement, ...]:
    """Return copies of statements with buffers and size names replaced, and offsets subtracted from indices.

    Args:
        statements: The statements.
        buffers: Replacements of all buffers; None to replace no buffer.
        names: Replacements of sizes.
        offsets: For some buffers, an offset to subtract from every index: the offset that calls add to the pointer.
    """
    known: dict[tuple[Term, ...], Index] = {}
    symbols = {old: new.symbol for old, new in names.items() if isinstance(new, Size) and new.symbol is not None}
    injective = len(set(symbols.values())) == len(names)

    def index(value: Index) -> Index:
        if isinstance(value, int):
            return value
        replacement = known.get(value.terms)
        if replacement is None:
            replacement = known[value.terms] = rename(value, symbols) if injective else substitute(value, names)
        return replacement

    by = Renaming(index=index, offsets=offsets or {})
    return (by if buffers is None else replace(by, buffer=buffers.__getitem__)).body(statements)


NO_WORK = ("comment", "origin", "columns")
"""Fields of statements that do not change their work."""
PLAIN = {str, int, Size, Buffer, type, type(None)}
"""Types of the parts of statements that have no parts, and are equal only if they do the same work."""


def work_of(function: Function) -> tuple[Any, ...]:
    """Return a hashable key, equal for functions that differ only in comments, script lines and names of values."""
    return function.buffers, function.sizes, _key(function.body, {})


def _key(item: Any, numbers: dict[str, int]) -> Any:
    """Return a hashable key of a part of a function. ``numbers`` has a number for each name of a value so far."""
    kind: Any = type(item)
    if kind is Value:
        return numbers.setdefault(item.name, len(numbers)), item.dtype, item.lanes
    if kind is not tuple:
        parts = work_parts(kind)
        if parts is None:
            return repr(item)  # as text, in which 0.0 and -0.0 differ
        item = parts(item)
    return tuple([part if type(part) in PLAIN else _key(part, numbers) for part in item])


@cache
def work_parts(kind: type, ignored: tuple[str, ...] = NO_WORK) -> Callable[[Any], tuple[Any, ...]] | None:
    """Return a function that returns the class of a statement, or of a part of one, and all fields but ``ignored``.

    Return None for classes without fields, such as those of numbers.
    """
    if not is_dataclass(kind):
        return None
    return attrgetter("__class__", *[item.name for item in fields(kind) if item.name not in ignored])
