"""Guard of the public API, which explains calls with wrong arguments.

``@api`` decorates every public function, class and method. It checks nothing while a call succeeds. If a call raises
anything but an error of this package, the guard compares the arguments with the signature. An unknown keyword, a
missing argument or a value of the wrong type becomes an error that names the user's line. Other exceptions, such as
those of a user's own callback, propagate unchanged. Calls of a microsecond or two, such as a stream's step, go
unguarded: they accept any keyword and ``*excess``.
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

IMPLICIT = frozenset(("self", "cls", "_cls"))
"""Parameters that Python fills in."""

NO_COLUMNS = 0x80 | 13 << 3
"""First byte of an entry of CPython's location table with a line but no columns."""

MAX_CHECKED_ENTRIES = 1000
"""Maximum number of entries of a sequence or mapping that are checked against an annotation."""


def api(target: Target) -> Target:
    """Decorate a public function, method or class, so that errors explain wrong arguments."""
    if not isinstance(target, type):
        return _guarded(target)
    maker = "__new__" if issubclass(target, tuple) else "__init__"
    setattr(target, maker, _guarded(getattr(target, maker)))
    return target


def _guarded(function: Any) -> Any:
    """Return a wrapper of a function that replaces errors by those that explain wrong arguments."""

    @wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        try:
            return function(*arguments, **keywords)
        except Exception as error:
            if is_ours(sys._getframe(1)):  # a call from within the package: the guard of the outermost call explains
                raise
            _leave_guards_out(error.__traceback__)
            mistake = None if isinstance(error, RnnGraphError) else _mistake(function, arguments, keywords)
            if mistake is not None:
                raise mistake from None if isinstance(mistake, CallError) else error
            raise

    guard: Any = call
    guard.__code__ = _disguised_code(guard.__code__, function)
    return call


def _leave_guards_out(traceback: types.TracebackType | None) -> None:
    """Remove the frames of ``@api`` wrappers from a traceback, except for the first frame."""
    while traceback is not None:
        inner = traceback.tb_next
        if inner is not None and inner.tb_frame.f_globals is globals() and "function" in inner.tb_frame.f_locals:
            traceback.tb_next = inner.tb_next
        else:
            traceback = inner


def _disguised_code(guard: types.CodeType, function: Any) -> types.CodeType:
    """Return a wrapper's code with the name, file and line of the ``function`` that it wraps, for tracebacks.

    The location table is CPython's (3.11 and later). Each entry covers up to eight code units and gives the first line.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        return guard
    units = len(guard.co_code) // 2
    sizes = [8] * (units // 8) + [units % 8] * (units % 8 > 0)
    table = b"".join(bytes((NO_COLUMNS | size - 1, 0)) for size in sizes)
    return guard.replace(
        co_filename=code.co_filename,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_firstlineno=code.co_firstlineno,
        co_linetable=table,
    )


def handed_on(function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Call ``function`` with arguments that a user passed to another function. Return its result.

    If the arguments do not fit the signature of ``function``, raise the error that explains the mistake.
    """
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
    """Raise ``CallError`` if a call of a net has positional arguments after the first, ``excess``.

    Args:
        what: The call's name, for the error.
        excess: The positional arguments after the first.
        names: Names of the inputs, for the example in the error.
    """
    if excess:
        feeds = ", ".join(f"{name}=…" for name in names) or "x=batch"
        raise CallError(
            f"{what} takes one mapping from placeholder to array by position, or the array of the only input, not "
            f"{len(excess) + 1} arguments; give feeds by keyword, as in {what}({feeds})"
        )


# Diagnosis of calls ----------------------------------------------------------------------------------


POSITIONAL_HINTS = {
    "reshape": "write the shape as one, as in reshape(x, (2, 3))",
    "broadcast_to": "write the shape as one, as in broadcast_to(x, (2, 3))",
    "transpose": "write the order of all axes as one, as in transpose(x, (1, 0))",
    "tile": "write the multiples as one, as in tile(x, (1, 2))",
    "squeeze": "write several axes as one, as in squeeze(x, (1, 2))",
    "concat": "write the tensors as a list, as in concat([a, b], axis)",
    "stack": "write the tensors as a list, as in stack([a, b], axis)",
    "gather": "write gather(table, indices), which indexes the first axis",
    "maximum": "write maximum(maximum(a, b), c); over an axis it is reduce_max(x, axis)",
    "minimum": "write minimum(minimum(a, b), c); over an axis it is reduce_min(x, axis)",
    "one_hot": "write one_hot(indices, depth, dtype)",
    "placeholder": "write placeholder(name, shape, dtype)",
    "constant": "write constant(value, dtype, name); a number broadcasts to any shape",
    "reverse_sequence": "write reverse_sequence(x, lengths), for x [batch, time, …]",
    "embedding": "write embedding(ids, table), or embedding(ids, vocabulary, width)",
    "pad": "write pad(x, paddings, mode, value)",
}
"""Remedies for argument orders of other frameworks, by function."""


def _mistake(function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> RnnGraphError | None:
    """Return the error that explains arguments that do not fit a function's signature; None if they fit."""
    signature = inspect.signature(function)
    title, what = _names(function)
    try:
        bound = signature.bind(*arguments, **keywords).arguments
    except TypeError as error:
        return CallError(
            f"{title} {_misfit(what, signature, arguments, keywords) or f'is called with wrong arguments: {error}'}"
        )
    hints = _hints(inspect.unwrap(function))
    for name, value in bound.items():
        if name in IMPLICIT:  # the object may be half initialised
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
    """Return a function's name for messages, and its key in the tables of hints."""
    owner, _, name = function.__qualname__.rpartition(".")
    if not owner:
        return name, name
    return (owner, owner) if name in ("__init__", "__new__") else (f"{owner}.{name}", name)


def _misfit(
    what: str, signature: inspect.Signature, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> str | None:
    """Return a text with the reason why a call does not fit a signature, and the remedy; None if unknown."""
    parameters = [item for name, item in signature.parameters.items() if name not in IMPLICIT]
    by_name = [item.name for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)]
    accepted = f"it takes {', '.join(by_name)}" if by_name else "it takes no keywords"
    any_name = any(item.kind is item.VAR_KEYWORD for item in parameters)
    for keyword in () if any_name else keywords:
        if keyword not in by_name:
            from .migration_hints import keyword_instead  # imported for errors only

            instead = keyword_instead(what, keyword)
            remedy = f"; {instead}" if instead else did_you_mean(keyword, by_name) or f"; {accepted}"
            return f"has no argument {shown(keyword)[1:-1]}{remedy}"
    by_position = [item for item in parameters if item.kind in (item.POSITIONAL_OR_KEYWORD, item.POSITIONAL_ONLY)]
    count = len(arguments) - len(IMPLICIT & signature.parameters.keys())
    if count > len(by_position):
        if "examples" in by_name and what in ("fit", "evaluate"):
            return f"takes its examples as one; write {what}((x, y)), or {what}({{x: inputs, y: labels}})"
        remedy = POSITIONAL_HINTS.get(what, accepted)
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


# Callbacks -------------------------------------------------------------------------------------------


def taking(function: Any, what: str, *names: str, where: Where | None = None) -> Any:
    """Return a user's callback. Raise ``CallError`` unless it accepts one argument for each of ``names``.

    A built-in without a signature is wrapped, and checked when it is called.

    Args:
        function: The callback.
        what: Its description, for the error.
        names: Names of the arguments.
        where: The user's line, for the error.

    Raises:
        CallError: The callback accepts other arguments.
    """
    call_text = f"({', '.join(names)})"
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return _checked_at_call(
            function, f"{what} is called with {call_text}, which {shown(function)} does not take", where
        )
    try:
        signature.bind(*names)
    except TypeError:
        bare = [item.replace(annotation=item.empty, default=item.empty) for item in signature.parameters.values()]
        takes = signature.replace(parameters=bare, return_annotation=signature.empty)
        raise CallError(
            f"{what} is called with {call_text}, but {_function_text(function)} takes {takes}; "
            f"declare it with {call_text}",
            where,
        ) from None
    return function


def _checked_at_call(function: Any, what: str, where: Where | None) -> Any:
    """Return a wrapper of a callback, which raises ``CallError`` if a call raises ``TypeError``."""

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
    """Return a function's name, with its line if known."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    name = getattr(function, "__name__", None)
    line = f" ({Where(code.co_filename, code.co_firstlineno)})" if code is not None else ""
    return f"{name if isinstance(name, str) else shown(function)}{line}"


# Annotations -----------------------------------------------------------------------------------------


def _hints(function: Any) -> dict[str, Any]:
    """Return {parameter: its annotation, evaluated}; ``Any`` for names that only type checkers know."""
    hints = {}
    for name, hint in function.__annotations__.items():
        try:
            alone = types.SimpleNamespace(__annotations__={name: hint})
            hints[name] = typing.get_type_hints(alone, function.__globals__)[name]
        except NameError:
            hints[name] = Any
    return hints


def fits(value: Any, hint: Any) -> bool:
    """True if a value matches the annotation ``hint``. Ints match ``float``, and bools match only ``bool``.

    The first ``MAX_CHECKED_ENTRIES`` of a sequence or mapping are checked. An annotation without a rule matches all.
    """
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
    return (item for item, _ in zip(items, range(MAX_CHECKED_ENTRIES), strict=False))


def wanted(hint: Any) -> str:
    """Return an annotation as English text, such as ``an int or None``."""
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
