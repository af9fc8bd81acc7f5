"""Replaces functions that would convert a symbolic size to a number: ``len``, ``int``, ``float``, some of ``math``.

Functions with a cache are replaced as well, because their caches contain sizes of earlier runs.
"""

from __future__ import annotations

import dis
import functools
import gc
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial, wraps
from itertools import chain
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any, TypeAlias

import torch

from .numbers import FUNCTIONS, Extent, Open, OpenFloat, as_float, computed, truncated
from .tensors import Traced

Namespace: TypeAlias = dict[str, object]
"""Global namespace of a Python module."""


@contextmanager
def open_numbers(root: torch.nn.Module) -> Iterator[None]:
    """Within the block, let ``len``, ``int``, ``float`` and ``math`` return symbolic numbers in the user's files.

    In these files ``len(x)`` is ``x.size(0)``, and ``int(n / 2)`` is ``n // 2``.
    """
    functions = [*_functions_of(root)]
    namespaces = [function.__globals__ for function in functions]
    files = {id(names): names for names in namespaces if not _is_torch(names)}
    ours = {key: _replacements(names, functions) for key, names in files.items()}
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


def _replacements(names: Namespace, functions: list[FunctionType]) -> Namespace:
    """Return replacements for names in a file's global namespace.

    Args:
        names: The namespace.
        functions: All functions of the read module, which may use the names.
    """
    replacements: Namespace = {name: ours for name, item in names.items() if (ours := _of_math(item))}
    if "len" not in names:
        replacements["len"] = _length
    for kind, ours in _KINDS.items():
        if kind not in names and _is_only_called(names, kind, functions):
            replacements[kind] = ours
    return replacements


def _of_math(item: object) -> object:
    """Return the replacement for ``math`` or one of its functions; None for other objects."""
    if item is math:
        return SimpleNamespace(**{**vars(math), **_OF_MATH})
    return next((ours for name, ours in _OF_MATH.items() if item is getattr(math, name)), None)


def _is_only_called(names: Namespace, kind: str, functions: list[FunctionType]) -> bool:
    """True if a file's functions use the class ``kind`` (``int`` or ``float``), and only by calling it.

    A function can then replace the class. It could not in ``isinstance(x, int)``.
    """
    members = [vars(item).values() for item in names.values() if isinstance(item, type)]
    nearby = [item for item in (*functions, *names.values(), *chain(*members)) if isinstance(item, FunctionType)]
    if not any(_calls(function, kind) for function in nearby if function.__globals__ is names):
        return False
    return all(
        is_call
        for function in gc.get_referrers(names)
        if isinstance(function, FunctionType)
        for is_call in _calls(function, kind)
    )


def _calls(function: FunctionType, kind: str) -> list[bool]:
    """Return one bool for each use of the global name ``kind`` in a function's bytecode: True if the use is a call."""
    return [
        step.opname == "LOAD_GLOBAL" and bool((step.arg or 0) & 1)
        for code in codes_in(function.__code__)
        if kind in code.co_names
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval == kind
    ]


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects of a function and of its nested functions."""
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from codes_in(part)


def _functions_of(root: torch.nn.Module) -> Iterator[FunctionType]:
    """Yield all functions of a module, of its submodules and of their classes."""
    holders = {id(holder): holder for module in root.modules() for holder in (module, *type(module).__mro__)}
    for holder in holders.values():
        for item in vars(holder).values():
            function = getattr(item, "__func__", item)  # the function of a static or class method
            if isinstance(function, FunctionType):
                yield function


def _is_torch(names: Namespace) -> bool:
    return str(names.get("__name__", "")).split(".")[0] == "torch"


def _length(items: Any) -> int:
    if isinstance(items, Traced) and items.ndim:
        length: int = items.size(0)
        return length
    return len(items)


def _symbolic(function: Callable[..., Any], of_open: Callable[[Open], float]) -> Callable[..., Any]:
    """Return a function that calls ``of_open`` for symbolic numbers, and ``function`` for other arguments."""

    def call(*args: Any, **kwargs: Any) -> Any:
        is_open = len(args) == 1 and isinstance(args[0], Extent | OpenFloat)
        return of_open(args[0]) if is_open else function(*args, **kwargs)

    return call


_KINDS = {"int": _symbolic(int, truncated), "float": _symbolic(float, as_float)}
_OF_MATH = {name: _symbolic(function, partial(computed, name)) for name, function in FUNCTIONS.items()}


# Cached functions -----------------------------------------------------------------------------------

_CACHED = type(lru_cache(lambda: None))
_FIXED = frozenset({*sys.stdlib_module_names, "torch", "numpy", "rnngraph"})
"""Packages whose caches contain no sizes of the user's module."""


@contextmanager
def without_caches() -> Iterator[None]:
    """Within the block, bypass the caches of functions that ``functools`` caches, in all Python modules.

    A cached result may contain sizes and tensors of an earlier run. A lookup would compare symbolic sizes, which fixes
    them.
    """
    cached = [*_cached_functions()]
    for holder, name, function in cached:
        setattr(holder, name, _uncached(function))
    block = [True]
    earlier, functools.lru_cache = functools.lru_cache, partial(_with_bypass, block)  # for modules imported within
    try:
        yield
    finally:
        functools.lru_cache = earlier
        block.clear()
        for holder, name, function in cached:
            setattr(holder, name, function)


def _cached_functions() -> Iterator[tuple[object, str, Any]]:
    """Yield (Python module or class, attribute name, function) for all functions with a cache of ``functools``."""
    for module_name, module in list(sys.modules.items()):
        if module is None or module_name.split(".")[0] in _FIXED:
            continue
        for name, item in list(getattr(module, "__dict__", {}).items()):
            if isinstance(item, _CACHED):
                yield module, name, item
            elif isinstance(item, type) and item.__module__ == module_name:
                members = list(vars(item).items())
                yield from ((item, key, member) for key, member in members if isinstance(member, _CACHED))


def _with_bypass(block: list[bool], *args: Any, **kwargs: Any) -> Any:
    """Act like ``functools.lru_cache``, but bypass the cache while ``block`` is not empty."""
    made = lru_cache(*args, **kwargs)

    def bypassed(cached: Any) -> Any:
        return cached if str(cached.__module__).split(".")[0] in _FIXED else _uncached(cached, block)

    return bypassed(made) if isinstance(made, _CACHED) else lambda function: bypassed(made(function))


def _uncached(cached: Any, block: list[bool] | None = None) -> Any:
    """Return the function without its cache, but with ``cache_clear`` and the other methods of cached functions.

    Args:
        cached: The function.
        block: List that is not empty while the cache is bypassed; None to bypass it always.
    """

    @wraps(cached.__wrapped__)
    def uncached(*args: Any, **kwargs: Any) -> Any:
        return (cached if block == [] else cached.__wrapped__)(*args, **kwargs)

    for name in ("cache_clear", "cache_info", "cache_parameters"):
        setattr(uncached, name, getattr(cached, name))
    return uncached
