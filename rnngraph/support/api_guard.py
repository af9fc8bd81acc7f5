"""The door of the public surface: what a call with wrong arguments says.

``@api`` stands at every function, class and method that users call. It checks nothing while a call goes well. If one
raises anything but an error of this package, its arguments are held to its signature: a keyword that it does not take,
an argument that it lacks, or one that is not of the annotated kind is the user's mistake, and becomes an error with the
user's line. Anything else, such as what a user's own code raises, is passed on as it is. Calls that take a microsecond
or two, such as a step of a stream, do without it: they take any keyword and ``*excess``.
"""

from __future__ import annotations

import collections.abc
import inspect
import numbers
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, Literal, TypeVar, Union

import numpy

from .errors import CallError, DtypeError, RnnGraphError, Where, did_you_mean, is_ours, shown

Target = TypeVar("Target", bound=Callable[..., Any])

OWN = frozenset(("self", "cls", "_cls"))
"""What a call gives by itself."""

NO_COLUMNS = 0x80 | 13 << 3
"""First byte of an entry of CPython's location table that has a line and no columns."""

MOST_LOOKED_AT = 1000
"""Entries of a sequence or mapping that are held to an annotation."""


def api(target: Target) -> Target:
    """A function or a method, or a class as it is made, whose callers are told what is wrong with their arguments."""
    if not isinstance(target, type):
        return _guarded(target)
    maker = "__new__" if issubclass(target, tuple) else "__init__"
    setattr(target, maker, _guarded(getattr(target, maker)))
    return target


def _guarded(function: Any) -> Any:
    @wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except Exception as error:
            if is_ours(sys._getframe(1)):  # who called this is told by what the user called
                raise
            _leave_guards_out(error.__traceback__)
            mistake = None if isinstance(error, RnnGraphError) else _mistake(function, arguments, keywords)
            if mistake is not None:
                raise mistake from None if isinstance(mistake, CallError) else error
            raise

    made: Any = call
    made.__code__ = _in_place_of(made.__code__, function)
    return call


def _leave_guards_out(traceback: types.TracebackType | None) -> None:
    """Take the frames of guards out of a traceback, but for the first frame."""
    while traceback is not None:
        inner = traceback.tb_next
        if inner is not None and inner.tb_frame.f_globals is globals() and "function" in inner.tb_frame.f_locals:
            traceback.tb_next = inner.tb_next
        else:
            traceback = inner


def _in_place_of(guard: types.CodeType, function: Any) -> types.CodeType:
    """Return a guard's code with the name and the line of the function, which tracebacks then show in its place.

    The table of lines has entries of up to eight code units, all of the first line and without columns: CPython's
    location table, version 3.11 and later.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        return guard
    units = len(guard.co_code) // 2
    sizes = [8] * (units // 8) + [units % 8] * (units % 8 > 0)
    table = b"".join(bytes((NO_COLUMNS | size - 1, 0)) for size in sizes)
    return guard.replace(
        co_filename=code.co_filename, co_name=code.co_name, co_qualname=code.co_qualname,
        co_firstlineno=code.co_firstlineno, co_linetable=table,
    )  # fmt: skip


def handed_on(function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Calls a public function with keywords that a user gave to another one, and tells the user what is wrong."""
    try:
        return function(*arguments, **keywords)
    except RnnGraphError:
        raise
    except Exception as error:
        mistake = _mistake(function, arguments, keywords)
        if mistake is not None:
            raise mistake from None if isinstance(mistake, CallError) else error
        raise


def no_more(what: str, excess: Sequence[Any], names: Iterable[str] = ()) -> None:
    """Raises for what was given by position beside the first. names: of what can be fed."""
    if excess:
        feeds = ", ".join(f"{name}=…" for name in names) or "x=batch"
        raise CallError(
            f"{what} takes one mapping from placeholder to array by position, or the array of the only input, and "
            f"{len(excess) + 1} are given; give feeds by keyword, as in {what}({feeds})"
        )


# What is wrong with a call ---------------------------------------------------------------------------


ORDERS = {
    "reshape": "write the shape as one, as in reshape(x, (2, 3))",
    "broadcast_to": "write the shape as one, as in broadcast_to(x, (2, 3))",
    "transpose": "write the order of all axes as one, as in transpose(x, (1, 0))",
    "tile": "write the multiples as one, as in tile(x, (1, 2))",
    "squeeze": "write several axes as one, as in squeeze(x, (1, 2))",
    "concat": "write the tensors as a list, as in concat([a, b], axis)",
    "stack": "write the tensors as a list, as in stack([a, b], axis)",
    "gather": "write gather(table, indices), of the first axis",
    "maximum": "write maximum(maximum(a, b), c); over an axis it is reduce_max(x, axis)",
    "minimum": "write minimum(minimum(a, b), c); over an axis it is reduce_min(x, axis)",
    "one_hot": "write one_hot(indices, depth, dtype)",
    "placeholder": "write placeholder(name, shape, dtype)",
    "constant": "write constant(value, dtype, name); a number is taken to the shape of what it meets",
    "reverse_sequence": "write reverse_sequence(x, lengths), of x [batch, time, …]",
    "embedding": "write embedding(ids, table), or embedding(ids, vocabulary, width)",
    "pad": "write pad(x, paddings, mode, value)",
}
"""What is written in place of orders of arguments that other frameworks have, by the function."""


def _mistake(function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> RnnGraphError | None:
    """What is wrong with the arguments, if anything is."""
    signature = inspect.signature(function)
    title, what = _names(function)
    try:
        given = signature.bind(*arguments, **keywords).arguments
    except TypeError as error:
        return CallError(f"{title} {_misfit(what, signature, arguments, keywords) or f'can not be called so: {error}'}")
    hints = _hints(inspect.unwrap(function))
    for name, value in given.items():
        if name in OWN:  # which may be half made
            continue
        kind = signature.parameters[name].kind
        values = value if kind is inspect.Parameter.VAR_POSITIONAL else [value]
        values = list(value.values()) if kind is inspect.Parameter.VAR_KEYWORD else values
        hint = hints.get(name, Any)
        for item in values:
            if not fits(item, hint):
                return DtypeError(f"{title}: {name} must be {wanted(hint)}, not {shown(item)}")
            if not _can_show(item):
                return DtypeError(f"{title}: {name} can't be {shown(item)}, which can't be printed")
    return None


def _names(function: Any) -> tuple[str, str]:
    """What a message calls a function, and by which name the words of other frameworks are known to it."""
    owner, _, name = function.__qualname__.rpartition(".")
    if not owner:
        return name, name
    return (owner, owner) if name in ("__init__", "__new__") else (f"{owner}.{name}", name)


def _misfit(
    what: str, signature: inspect.Signature, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> str | None:
    """Why a call does not fit a signature."""
    parameters = [item for name, item in signature.parameters.items() if name not in OWN]
    by_name = [item.name for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
    taken = f"it takes {', '.join(by_name)}" if by_name else "it takes no keywords"
    any_name = any(item.kind is item.VAR_KEYWORD for item in parameters)
    for keyword in () if any_name else keywords:
        if keyword not in by_name:
            from .migration_hints import keyword_instead  # for an error only

            instead = keyword_instead(what, keyword)
            remedy = f"; {instead}" if instead else did_you_mean(keyword, by_name) or f"; {taken}"
            return f"has no argument {shown(keyword)[1:-1]}{remedy}"
    by_position = [item for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.POSITIONAL_ONLY)]
    count = len(arguments) - len(OWN & signature.parameters.keys())
    if count > len(by_position):
        if "examples" in by_name and what in ("fit", "evaluate"):
            return f"takes its examples as one; write {what}((x, y)), or {what}({{x: inputs, y: labels}})"
        remedy = ORDERS.get(what, taken)
        return f"takes {len(by_position)} arguments by position, and {count} are given; {remedy}"
    for item in by_position[:count]:
        if item.name in keywords and item.kind is item.POSITIONAL_OR_KEYWORD:
            return f"is given {item.name} twice, by position and by keyword"
    needed = [*by_position[count:], *(item for item in parameters if item.kind is item.KEYWORD_ONLY)]
    missing = [item.name for item in needed if item.default is item.empty and item.name not in keywords]
    return f"needs {', '.join(missing)}" if missing else None


def _can_show(value: Any) -> bool:
    try:
        repr(value)
    except Exception:
        return False
    return True


# Functions that users give ---------------------------------------------------------------------------


def taking(function: Any, what: str, *names: str, where: Where | None = None) -> Any:
    """A function of the user's that will be called with one argument for each of ``names``, if it takes so many.

    what: names it in an error. Raises ``CallError``; of a built-in that does not say what it takes, once it is called.
    """
    given = f"({', '.join(names)})"
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return _telling(function, f"{what} is called with {given}, which {shown(function)} does not take", where)
    try:
        signature.bind(*names)
    except TypeError:
        bare = [item.replace(annotation=item.empty, default=item.empty) for item in signature.parameters.values()]
        takes = signature.replace(parameters=bare, return_annotation=signature.empty)
        raise CallError(
            f"{what} is called with {given}, and {_function_text(function)} takes {takes}; let it take {given}",
            where,
        ) from None
    return function


def _telling(function: Any, what: str, where: Where | None) -> Any:
    @wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except RnnGraphError:
            raise
        except TypeError as error:
            raise CallError(f"{what}: {error}; give a function that does", where) from error

    return call


def _function_text(function: Any) -> str:
    """A function's name, with its line where it has one."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    name = getattr(function, "__name__", None)
    line = f" ({Where(code.co_filename, code.co_firstlineno)})" if code is not None else ""
    return f"{name if isinstance(name, str) else shown(function)}{line}"


# Annotations -----------------------------------------------------------------------------------------


def _hints(function: Any) -> dict[str, Any]:
    """What annotations stand for; anything where a name is known to type checkers only."""
    found = {}
    for name, hint in function.__annotations__.items():
        try:
            alone = types.SimpleNamespace(__annotations__={name: hint})
            found[name] = typing.get_type_hints(alone, function.__globals__)[name]
        except NameError:
            found[name] = Any
    return found


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated kind. Numbers of NumPy's are numbers, a bool is none."""
    if hint is Any:
        return True
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return any(value is part or (isinstance(value, type(part)) and value == part) for part in parts)
    if hint in (int, float):
        kind = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool)
    if hint is None or hint is bool:
        return value is None if hint is None else isinstance(value, bool) or type(value).__name__ == "bool"
    if origin is collections.abc.Callable:
        return callable(value)
    if origin in (collections.abc.Sequence, list):
        return _is_sequence(value) and all(fits(item, parts[0]) for item in _first(value))
    if origin in (collections.abc.Mapping, dict):
        return isinstance(value, Mapping) and all(
            fits(key, parts[0]) and fits(item, parts[1]) for key, item in _first(value.items())
        )
    kind = origin or hint
    return not isinstance(kind, type) or isinstance(value, kind)


def _is_sequence(value: Any) -> bool:
    return (isinstance(value, Sequence) and not isinstance(value, str | bytes)) or (
        isinstance(value, numpy.ndarray) and value.ndim > 0
    )


def _first(items: Iterable[Any]) -> Iterable[Any]:
    return (item for item, _ in zip(items, range(MOST_LOOKED_AT), strict=False))


def wanted(hint: Any) -> str:
    """An annotation in words: ``an int or None``."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        words = list(dict.fromkeys(map(wanted, parts)))
        return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is collections.abc.Callable:
        return "a function"
    if origin in (collections.abc.Sequence, list):
        return f"a sequence, each entry {wanted(parts[0])}"
    if origin in (collections.abc.Mapping, dict):
        return "a mapping" if parts[1] is Any else f"a mapping, each value {wanted(parts[1])}"
    known = {int: "an int", float: "a number", bool: "True or False", str: "a str", type(None): "None", None: "None"}
    if hint in known:
        return known[hint]
    name = getattr(origin or hint, "__name__", str(hint))
    return f"{'an' if name[0] in 'AEIOaeio' else 'a'} {name}"
