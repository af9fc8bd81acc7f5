"""Errors for missing attributes, entries and calls that name a replacement.

A class gets these errors by deriving from ``Telling``, ``Unindexed`` or ``Uncalled``. Type checkers do not see the
methods, so they report the mistakes themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Number
from typing import TYPE_CHECKING, Any, Never, TypeVar

from .errors import CallError, DtypeError, NameLookupError, NotOfferedError, did_you_mean, shown
from .hint_tables import hint_tables

_TABLES = hint_tables("attributes")

OF_NETS = _TABLES["nets"]
"""Remedies by missing attribute, for programs and their graphs, trainers, streams and nets."""

OF_TRAINERS = _TABLES["trainers"]
"""Remedies by missing attribute of a trainer."""

OF_TENSORS = _TABLES["tensors"]
"""Remedies by missing attribute of a Tensor."""

OPERATORS = _TABLES["operators"]
"""Remedies by operator that Tensors lack. TensorFlow 1's Tensors have some of them."""

OF_RESULTS = _TABLES["results"]
"""Remedies for missing attributes of results, by attribute."""

OF_HISTORIES = _TABLES["histories"]
"""Remedies by missing attribute of a history."""

OF_HANDLES = _TABLES["handles"]
"""Remedies by missing attribute of a handle to a pool's stream."""

OF_PARAMETERS = _TABLES["parameters"]
"""Remedies by missing attribute of a program's parameters."""

CALLED = _TABLES["called"]
"""Remedies for calling an object, by class name."""

INDEXED = _TABLES["indexed"]
"""Remedies for indexing an object or iterating over it, by class name."""

_ENTRY = dict.__getitem__
Fields = TypeVar("Fields", bound=type)


class Telling:
    """Base of classes whose missing attributes raise an error with the replacement."""

    __slots__ = ()
    _instead: Mapping[str, str] = {}
    _program = ""
    """Expression for the program that ``_instead`` refers to."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Raise ``NotOfferedError`` that names the replacement of a missing attribute, if there is one."""
            kind = type(self)
            if name.startswith("_") or hasattr(kind, name):  # a property raised: propagate its own error
                return object.__getattribute__(self, name)
            instead = self._instead.get(name)
            hint = f"; {instead}" if instead else did_you_mean(name, [item for item in dir(self) if item[0] != "_"])
            if instead and self._program and "program" in instead and self._program not in instead:
                hint = f"{hint}; program is {self._program}"
            if isinstance(self, Mapping) and self and (name in self or not hint):
                entry = name if name in self else next(iter(self))
                hint = f"; it is a mapping: write {kind.__name__.lower()}[{entry!r}]"
            raise NotOfferedError(f"{kind.__name__} has no attribute {shown(name)[1:-1]}{hint}")


class Unoperated(Telling):
    """Base of classes whose missing operators raise an error with the replacement."""

    __slots__ = ()

    def __format__(self, form: str) -> str:
        if form:
            raise DtypeError(f"{OPERATORS['array']}, to be written as {form!r}")
        return str(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Number):
            raise DtypeError("a Tensor has no elementwise ==; write rg.equal(x, y) or rg.not_equal")
        return self is other

    __hash__ = object.__hash__


def _refusal(instead: str) -> Callable[..., Never]:
    def refuse(*_: Any, **__: Any) -> Never:
        raise DtypeError(instead)

    return refuse


for _operator, _instead in OPERATORS.items():
    setattr(Unoperated, f"__{_operator}__", _refusal(_instead))


class Named(Telling, dict[str, Any]):
    """Dict whose errors list its names, also for unhashable keys such as slices and lists.

    Attributes:
        _title: The dict's name in errors.
    """

    __slots__ = ()
    _title = "the mapping"

    def __missing__(self, name: Any) -> Any:
        names = [*map(str, self)]
        hint = did_you_mean(name, names) or f"; it has {', '.join(names) or 'none'}"
        raise NameLookupError(f"{self._title} has no {shown(name)}{hint}")

    if not TYPE_CHECKING:

        def __getitem__(self, name: Any) -> Any:
            try:
                return _ENTRY(self, name)
            except TypeError:
                return self.__missing__(name)


def telling(kind: Fields) -> Fields:
    """Decorate a namedtuple class, so that errors for missing fields list the fields."""
    target: Any = kind
    target.__getattr__, target.__getitem__ = _absent_field, _entry_of
    return kind


def _absent_field(nest: Any, name: str) -> Never:
    if name.startswith("_"):
        object.__getattribute__(nest, name)  # raises AttributeError
    names = type(nest)._fields
    hint = did_you_mean(name, names) or f"; it has {', '.join(names)}"
    raise NotOfferedError(f"{type(nest).__name__} has no attribute {shown(name)[1:-1]}{hint}")


def _entry_of(nest: Any, key: Any) -> Any:
    """Return an entry of a named tuple by position. A string key raises an error that names the attribute."""
    try:
        return tuple.__getitem__(nest, key)
    except TypeError:
        names = type(nest)._fields
        is_field = isinstance(key, str) and key in names
        hint = f"write .{key}" if is_field else f"it has {', '.join(f'.{name}' for name in names)}"
        raise NameLookupError(f"{type(nest).__name__} has no entry {shown(key)}; {hint}") from None


def _of_class(instance: object, table: Mapping[str, str]) -> str:
    """Look up an object's class in a table by class name, or else its nearest base class."""
    return next(table[kind.__name__] for kind in type(instance).__mro__ if kind.__name__ in table)


class Unindexed(Telling):
    """Base of classes whose objects cannot be indexed."""

    __slots__ = ()
    _instead = OF_NETS

    if not TYPE_CHECKING:

        def __getitem__(self, key: Any) -> Never:
            raise CallError(f"{type(self).__name__} has no entries, such as {shown(key)}; {_of_class(self, INDEXED)}")


class Uncallable:
    """Base of classes whose objects cannot be called."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __call__(self, *_: Any, **__: Any) -> Never:
            raise CallError(f"{type(self).__name__} can't be called; {_of_class(self, CALLED)}")


class Uncalled(Uncallable, Unindexed):
    """Base of classes whose objects can be neither indexed nor called."""

    __slots__ = ()
