"""Free names of statements, their replacement, and comparison of functions independent of names of values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from ...ir.sizes.polynomial import Term
from ...ir.types import Size, rename, substitute, symbols_of, terms_of, without
from ...support.records import dataclass
from .functions import Function
from .nodes import Buffer, Index, LetIndex, Literal, Renaming, Statement, Uses, Value


@dataclass(frozen=True)
class Parameters:
    """Parameters of a function of some statements.

    Attributes:
        buffers: For each buffer that the statements use, the offset that calls add to its pointer.
        sizes: Names that the statements use without binding them, apart from the offsets.
    """

    buffers: dict[Buffer, Index]
    sizes: tuple[str, ...]


def free(statements: Sequence[Statement]) -> tuple[tuple[Buffer, ...], tuple[str, ...]]:
    """Return the buffers and size names that statements use without binding them, in order of appearance."""
    scoped = [*_scoped(statements)]
    return tuple(dict.fromkeys(buffer for uses, _ in scoped for buffer, _ in uses.places)), _free_names(scoped, {})


def parameters(statements: Sequence[Statement]) -> Parameters:
    """Return the parameters of a function, chosen so that as many functions as possible are equal.

    Terms that all indices of a buffer share, and that no loop of the function changes, become an offset.
    """
    scoped = [*_scoped(statements)]
    common: dict[Buffer, Collection[Term]] = {}
    for uses, _ in scoped:
        for buffer, index in uses.places:
            terms = common.get(buffer)
            if terms is None:
                common[buffer] = terms_of(index)
            elif terms:
                own = terms_of(index)
                common[buffer] = [term for term in terms if term in own]
    bound = frozenset().union(*{names for _, names in scoped})
    offsets = {buffer: _offset(terms, bound) for buffer, terms in common.items()}
    return Parameters(offsets, _free_names(scoped, offsets))


def _offset(terms: Collection[Term], bound: Collection[str]) -> Index:
    """Return the sum of those terms that are no numbers, and have no bound names."""
    kept = tuple([term for term in terms if term[0] and symbols_of(Size((term,))).isdisjoint(bound)])
    return Size(kept) if kept else 0


_Scoped = tuple[Uses, frozenset[str]]
"""Uses of a statement, and the names that are bound there."""


def _scoped(statements: Sequence[Statement], bound: frozenset[str] = frozenset()) -> Iterator[_Scoped]:
    """Yield the uses of all statements in depth-first order, with the names that enclosing scopes bind."""
    for statement in statements:
        uses = statement.uses()
        yield uses, bound
        for body in uses.bodies:
            yield from _scoped(body.statements, bound | {body.var})
        if isinstance(statement, LetIndex):
            bound = bound | {statement.name}


def _free_names(scoped: Iterable[_Scoped], offsets: Mapping[Buffer, Index]) -> tuple[str, ...]:
    """Return the names that are free in the indices, without the offsets of buffers, in order of appearance."""
    names: dict[str, None] = {}
    known: set[tuple[Index, frozenset[str]]] = set()
    for uses, bound in scoped:
        rest = [without(index, offsets[buffer]) if offsets.get(buffer) else index for buffer, index in uses.places]
        for index in (*rest, *uses.indices):
            if not isinstance(index, int) and (index, bound) not in known:
                known.add((index, bound))
                names.update((name, None) for name in sorted(index.symbols) if name not in bound)
    return tuple(names)


def renamed(
    statements: Sequence[Statement],
    buffers: Mapping[Buffer, Buffer] | None,
    names: Mapping[str, Index],
    offsets: Mapping[Buffer, Index] | None = None,
) -> tuple[Statement, ...]:
    """Return statements with other buffers, sizes and indices.

    Args:
        statements: The statements.
        buffers: Replacements of all buffers; None to replace no buffer.
        names: Replacements of sizes.
        offsets: For some buffers, the part of all indices to remove, as in ``Parameters``.
    """
    known: dict[Index, Index] = {}
    symbols = {old: new.symbol for old, new in names.items() if isinstance(new, Size) and new.symbol is not None}
    injective = len(set(symbols.values())) == len(names)

    def index(value: Index) -> Index:
        if isinstance(value, int):
            return value
        replacement = known.get(value)
        if replacement is None:
            replacement = known[value] = rename(value, symbols) if injective else substitute(value, names)
        return replacement

    def rename_all(inner: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple([statement.renamed(by) for statement in inner])

    by = Renaming(_unchanged if buffers is None else buffers.__getitem__, index, rename_all, offsets or {})
    return rename_all(statements)


def _unchanged(buffer: Buffer) -> Buffer:
    """Return the buffer itself, in place of a replacement."""
    return buffer


NO_WORK = ("comment", "origin", "columns")
"""Fields of statements that do not change their work."""


def work_of(function: Function) -> tuple[Any, ...]:
    """Return a key that is equal for two functions if they differ only in comments, origins and names of values."""
    numbers: dict[str, int] = {}
    plain = {str, int, Size, Buffer, type(None)}

    def key(item: Any) -> Any:
        kind = type(item)
        if kind in plain:
            return item
        if kind is tuple:
            return tuple([part if type(part) in plain else key(part) for part in item])
        if kind is Value:
            return numbers.setdefault(item.name, len(numbers)), item.dtype, item.lanes
        if kind is Literal or not is_dataclass(item):
            return repr(item)  # as text, in which 0.0 and -0.0 differ
        return kind, *[key(part) for name, part in vars(item).items() if name not in NO_WORK]

    return function.buffers, function.sizes, key(function.body)
