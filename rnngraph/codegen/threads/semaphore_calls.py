"""Calls of the operating system's semaphore functions from machine code."""

from __future__ import annotations

from ...support.records import NamedTuple
from ..machine.ir_builder import IRBuilder
from ..machine.target import Target


class SemaphoreCalls(NamedTuple):
    """Signatures of an operating system's semaphore functions.

    Attributes:
        result: LLVM type that both functions return.
        waits_with: Further arguments of the function that waits, each preceded by a comma.
        posts_with: Further arguments of the function that posts, each preceded by a comma.
        by_handle: True if memory holds a handle of the semaphore, instead of the semaphore itself.
    """

    result: str = "i32"
    waits_with: str = ""
    posts_with: str = ""
    by_handle: bool = False

    def wait(self, f: IRBuilder, function: str, semaphore: str) -> None:
        """Write a call that waits until the semaphore's count is positive, and decrements it."""
        self._call(f, function, semaphore, self.waits_with)

    def post(self, f: IRBuilder, function: str, semaphore: str) -> None:
        """Write a call that increments the semaphore's count."""
        self._call(f, function, semaphore, self.posts_with)

    def _call(self, f: IRBuilder, function: str, semaphore: str, others: str) -> None:
        """Write a call of a semaphore function, with further arguments ``others``."""
        first = f.value(f"load ptr, ptr {semaphore}", "handle") if self.by_handle else semaphore
        f.value(f"call {self.result} {function}(ptr {first}{others})", "code")


_POSIX = SemaphoreCalls()
_WINDOWS = SemaphoreCalls("i32", ", i32 -1", ", i32 1, ptr null", by_handle=True)
_MACOS = SemaphoreCalls("i64", ", i64 -1", by_handle=True)
"""On Windows and macOS, a timeout of -1 means to wait forever."""


def semaphore_calls(target: Target) -> SemaphoreCalls:
    """Return the signatures of the semaphore functions on ``target``."""
    if "-windows" in target.triple:
        return _WINDOWS
    return _MACOS if "-apple-" in target.triple else _POSIX
