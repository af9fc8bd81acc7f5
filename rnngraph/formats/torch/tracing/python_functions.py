"""Python's own functions in a module's code that make a plain number of what they are given, whatever it is, so that an
open size would be lost: ``len``, ``int``, ``float`` and some of ``math``. Caches of functions, which keep sizes of an
earlier run.
"""

from __future__ import annotations

import dis
import gc
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
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


# Cached functions -----------------------------------------------------------------------------------

_CACHED = type(lru_cache(lambda: None))
_FIXED = frozenset({*sys.stdlib_module_names, "torch", "numpy", "rnngraph"})
"""Packages whose caches hold nothing of a module's sizes."""


@contextmanager
def without_caches() -> Iterator[None]:
    """Within the block, replace cached functions of all loaded modules by the functions behind the caches.

    A cached result holds sizes and tensors of an earlier run, and a lookup compares sizes that must stay open.
    """
    cached = [*_cached_functions()]
    for holder, name, function in cached:
        setattr(holder, name, _uncached(function))
    try:
        yield
    finally:
        for holder, name, function in cached:
            setattr(holder, name, function)


def _cached_functions() -> Iterator[tuple[Any, str, Any]]:
    """Yield (module or class, name, function)."""
    for module_name, module in list(sys.modules.items()):
        if module is None or module_name.split(".")[0] in _FIXED:
            continue
        for name, thing in list(getattr(module, "__dict__", {}).items()):
            if isinstance(thing, _CACHED):
                yield module, name, thing
            elif isinstance(thing, type) and thing.__module__ == module_name:
                yield from ((thing, key, item) for key, item in list(vars(thing).items()) if isinstance(item, _CACHED))


def _uncached(cached: Any) -> Any:
    """Return a function that computes its result each time, with the methods of a cached one."""

    @wraps(cached.__wrapped__)
    def uncached(*given: Any, **named: Any) -> Any:
        return cached.__wrapped__(*given, **named)

    for name in ("cache_clear", "cache_info", "cache_parameters"):
        setattr(uncached, name, getattr(cached, name))
    return uncached
