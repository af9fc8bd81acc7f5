"""Machine code that replaces frequently called methods, compiled once per process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ...codegen.direct_calls.plan import API_WORDS, BEGIN, TRAMPOLINE, TRY, Api
from ...codegen.machine.code import Code
from ...codegen.machine.interface import Interface, ObjectCode
from ...codegen.machine.target import host
from ...support.errors import RnnGraphError
from ...support.forks import LockLevel, fork_lock
from ..native.aligned_memory import address
from ..native.object_cache import Cache, key_of
from .python_api import function_of, is_offered, method_of, table_of

OUT = sys.intern("out")


class DirectCode:
    """Machine code for direct calls, compiled on first use.

    Attributes:
        attempt: Function of (plan, mapping of feeds, ``out``) that returns the result of the call; None, with nothing
            done, for a call that the plan does not cover.
    """

    def __init__(self) -> None:
        self._lock = fork_lock(LockLevel.ENTRY)
        self._trampolines: list[tuple[type, str, str, str]] = []
        self._functions: list[Any] = []
        self._was_tried = False
        self._code: Code | None = None
        self._table = np.zeros(API_WORDS, np.int64)
        self._kept: list[Any] = []
        self.attempt: Callable[[Any, Any, Any], Any] = _nothing

    def install_fastcall(self, owner: type, name: str, attribute: str, signature: str) -> None:
        """Register a method, which machine code replaces as soon as direct calls are available.

        Args:
            owner: Class of the method.
            name: Name of the method.
            attribute: Attribute of the class's objects that holds the next call's plan, or None.
            signature: See ``method_of``.
        """
        with self._lock:
            self._trampolines.append((owner, name, attribute, signature))
            self._functions.append(vars(owner)[name])
            if self._code is not None:
                self._install(self._code, len(self._functions) - 1)

    def ready(self, cache: Cache | None, result: type) -> bool:
        """True if direct calls are available. The first call of this method compiles or loads their code.

        ``result`` is the mapping type of results.
        """
        if not self._was_tried:
            with self._lock:
                if not self._was_tried:
                    if is_offered():
                        self._make(cache, result)
                    self._was_tried = True
        return self.attempt is not _nothing

    def _make(self, cache: Cache | None, result: type) -> None:
        """Compile or load the machine code and install it, unless LLVM does not know the processor."""
        try:
            code = Code(_object(cache).binary, host())
        except RnnGraphError:  # LLVM does not detect the processor
            return
        for word, value in table_of(OUT, result).items():
            self._table[word] = value
        self._install(code, *range(len(self._functions)))
        attempt, definition = function_of(TRY, code.address(TRY))
        self._kept += [result, definition]
        self._code, self.attempt = code, attempt

    def _install(self, code: Code, *numbers: int) -> None:
        """Replace the registered Python methods with these ``numbers`` by functions in machine code."""
        for number in numbers:
            attribute = sys.intern(self._trampolines[number][2])
            self._kept.append(attribute)
            place = Api.TRAMPOLINE + 2 * number
            self._table[place : place + 2] = id(attribute), id(self._functions[number])
        code.entry(BEGIN)(address(self._table), 0, 0)  # copies the table
        for number in numbers:
            owner, name, _, signature = self._trampolines[number]
            method, definition = method_of(owner, name, code.address(f"{TRAMPOLINE}{number}"), signature)
            self._kept.append(definition)
            if vars(owner)[name] is self._functions[number]:  # if a user has replaced the method, keep the user's
                setattr(owner, name, method)


def _nothing(owner: Any, feeds: Any, out: Any) -> None:
    """Return None, which declines the call, while there is no machine code."""


def _object(cache: Cache | None) -> ObjectCode:
    """Return object code of the functions for direct calls: from the cache if possible, else compiled and stored."""
    target = host()
    key = key_of("direct calls", target)
    code = None if cache is None else cache.load(key)
    if code is None:
        from ...codegen.direct_calls.module import direct_calls_text  # not needed on a cache hit
        from ...codegen.machine.engine import object_code

        none = Interface(BEGIN, BEGIN, 0, {}, {}, (), (), (), {}, 0, 0, 0, 0, 1, 0, 0)
        code = ObjectCode(none, object_code(direct_calls_text(target), target, inlines=True))
        if cache is not None:
            cache.store(key, code)
    return code


DIRECT = DirectCode()
