"""Python's own functions in a module's code that make a plain number of what they are given, whatever it is, so that an
open size would be lost: ``len``, ``int``, ``float`` and some of ``math``.
"""

from __future__ import annotations

import dis
import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any

import torch

from .numbers import FUNCTIONS, Extent, OpenFloat, as_float, computed, whole
from .tensors import Traced


@contextmanager
def open_numbers(root: torch.nn.Module) -> Iterator[None]:
    """While this lasts these functions keep open sizes in the files that the module's classes and functions stand in:
    ``len(x)`` is ``x.size(0)``, ``int(n / 2)`` is ``n // 2``.
    """
    functions = [*_functions_of(root)]
    files = {id(found.__globals__): found.__globals__ for found in functions if not _is_torch(found.__globals__)}
    ours = {key: _meanings(names, functions) for key, names in files.items()}
    earlier = {key: {name: names[name] for name in ours[key] if name in names} for key, names in files.items()}
    for key, names in files.items():
        names.update(ours[key])
    try:
        yield
    finally:
        for key, names in files.items():
            for name in ours[key].keys() - earlier[key].keys():
                names.pop(name, None)
            names.update(earlier[key])


def _meanings(names: dict[str, Any], functions: list[FunctionType]) -> dict[str, Any]:
    """What names mean in a file, while a module runs. names: of the file. functions: of the module."""
    found = {name: ours for name, thing in names.items() if (ours := _of_math(thing))}
    if "len" not in names:
        found["len"] = _length
    for kind, ours in _KINDS.items():
        if kind not in names and _is_called_alone(names, kind, functions):
            found[kind] = ours
    return found


def _of_math(thing: Any) -> Any:
    """``math`` and its functions as they are while a module runs; None of all else."""
    if thing is math:
        return SimpleNamespace(**{**vars(math), **_OF_MATH})
    return next((ours for name, ours in _OF_MATH.items() if thing is getattr(math, name)), None)


def _is_called_alone(names: dict[str, Any], kind: str, functions: list[FunctionType]) -> bool:
    """Whether the functions of a file say ``int`` or ``float`` to call it, and for nothing else: as a type it must stay
    what it is.
    """
    inside = [vars(thing).values() for thing in names.values() if isinstance(thing, type)]
    near = [thing for thing in (*functions, *names.values(), *chain(*inside)) if isinstance(thing, FunctionType)]
    if not any(_calls(function, kind) for function in near if function.__globals__ is names):
        return False
    return all(
        is_call for function in gc.get_referrers(names) if isinstance(function, FunctionType)
        for is_call in _calls(function, kind)
    )  # fmt: skip


def _calls(function: FunctionType, kind: str) -> list[bool]:
    """Of each place where a function says a name, whether it is to call it: CPython's code says that of globals."""
    return [
        step.opname == "LOAD_GLOBAL" and bool((step.arg or 0) & 1)
        for code in _codes_in(function.__code__) if kind in code.co_names
        for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval == kind
    ]  # fmt: skip


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    """A function's code and that of the functions in it."""
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _codes_in(part)


def _functions_of(root: torch.nn.Module) -> Iterator[FunctionType]:
    """All functions that a module has, and its parts."""
    holders = {id(holder): holder for found in root.modules() for holder in (found, *type(found).__mro__)}
    for holder in holders.values():
        for thing in vars(holder).values():
            function = getattr(thing, "__func__", thing)  # of static and class methods
            if isinstance(function, FunctionType):
                yield function


def _is_torch(names: dict[str, Any]) -> bool:
    return str(names.get("__name__", "")).split(".")[0] == "torch"


def _length(items: Any) -> int:
    if isinstance(items, Traced) and items.ndim:
        length: int = items.size(0)
        return length
    return len(items)


def _kept(otherwise: Callable[..., Any], of_open: Callable[[Any], Any]) -> Callable[..., Any]:
    """A function that gives something else of a number that is made of sizes."""

    def kept(*given: Any, **named: Any) -> Any:
        is_open = len(given) == 1 and isinstance(given[0], Extent | OpenFloat)
        return of_open(given[0]) if is_open else otherwise(*given, **named)

    return kept


def _function(name: str) -> Callable[[Any], Any]:
    return lambda number: computed(name, number)


_KINDS = {"int": _kept(int, whole), "float": _kept(float, as_float)}
_OF_MATH = {name: _kept(function, _function(name)) for name, function in FUNCTIONS.items()}
