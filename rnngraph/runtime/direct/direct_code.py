"""The process's direct calls: methods that machine code takes over once they are called often."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ...codegen.direct_calls.plan import API_WORDS, BEGIN, TRY, Api
from ...codegen.machine.engine import Code, object_code
from ...codegen.machine.interface import Interface, ObjectCode
from ...codegen.machine.target import host
from ...support.errors import RnnGraphError
from ...support.forks import Order, fork_lock
from ..native.aligned_memory import address
from ..native.object_cache import Cache, key_of
from .python_api import function_of, is_offered, method_of, table_of

OUT = sys.intern("out")


class DirectCode:
    """Machine code with CPython's calling convention. It is made when it is first asked for, once a process.

    attempt: a function of (tuple of a plan, mapping of feeds, ``out``) that gives what the call does, or None, and
    nothing done, where the plan does not say how.
    """

    def __init__(self) -> None:
        self._lock = fork_lock(Order.ENTRY)
        self._doors: list[tuple[type, str, str, str]] = []
        self._functions: list[Any] = []
        self._is_made = False
        self._kept: list[Any] = []
        self.attempt: Callable[[Any, Any, Any], Any] = _nothing

    def takes_over(self, owner: type, name: str, attribute: str, signature: str) -> None:
        """Names a method that machine code is to stand for. attribute: of its objects, which holds what
        ``direct_call`` made for the next call, or None. signature: as for ``method_of``.
        """
        self._doors.append((owner, name, attribute, signature))
        self._functions.append(vars(owner)[name])

    def ready(self, cache: Cache | None, result: type) -> bool:
        """Whether machine code may run calls; the first time it is made, or read from the cache, and takes over
        methods. result: the type of a mapping of results.
        """
        if not self._is_made:
            with self._lock:
                if not self._is_made:
                    if is_offered():
                        self._make(cache, result)
                    self._is_made = True
        return self.attempt is not _nothing

    def _make(self, cache: Cache | None, result: type) -> None:
        try:
            code = Code(_object(cache).binary, host())
        except RnnGraphError:  # of a processor that LLVM does not know by itself
            return
        attributes = [sys.intern(attribute) for _, _, attribute, _ in self._doors]
        table = np.zeros(API_WORDS, np.int64)
        for word, value in table_of(OUT, result).items():
            table[word] = value
        for number, (attribute, function) in enumerate(zip(attributes, self._functions, strict=True)):
            table[Api.DOOR + 2 * number : Api.DOOR + 2 * number + 2] = id(attribute), id(function)
        code.entry(BEGIN)(address(table), 0, 0)
        attempt, made = function_of(TRY, code.address(TRY))
        self._kept += [code, attributes, result, made]
        for number, (owner, name, _, signature) in enumerate(self._doors):
            method, made = method_of(owner, name, code.address(f"direct_door_{number}"), signature)
            self._kept.append(made)
            if vars(owner)[name] is self._functions[number]:  # else somebody put another one there
                setattr(owner, name, method)
        self.attempt = attempt


def _nothing(held: Any, feeds: Any, out: Any) -> None:
    """In place of machine code that is not there."""


def _object(cache: Cache | None) -> ObjectCode:
    """The module's object code, from the cache if it is there."""
    target = host()
    key = key_of("direct calls", target)
    code = None if cache is None else cache.load(key)
    if code is None:
        from ...codegen.direct_calls.module import direct_calls_text  # a start from the cache needs none of it

        none = Interface(BEGIN, BEGIN, 0, {}, {}, (), (), {}, 0, 0, 0, 0, 1, 0, 0)
        code = ObjectCode(none, object_code(direct_calls_text(target), target))
        if cache is not None:
            cache.store(key, code)
    return code


DIRECT = DirectCode()
