"""Repetition of calls until machine code runs them directly, and checks that no Python function ran."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rnngraph.runtime.calls.call_cache import CallCache
from rnngraph.runtime.calls.direct_call import CALLS_UNTIL_DIRECT, CALLS_UNTIL_RENEWED
from rnngraph.runtime.calls.runner import Runner

TIMES = CALLS_UNTIL_DIRECT + 2 * CALLS_UNTIL_RENEWED


def heated(call: Callable[[], object]) -> None:
    """Repeat a call until later calls may be direct."""
    for _ in range(TIMES):
        call()


def frames(call: Callable[[], object]) -> int:
    """Return the number of Python functions that a call enters: the minimum of several calls.

    The garbage collector may add functions to a call.
    """
    results: list[int] = []

    def count(frame: Any, event: str, argument: Any) -> None:
        results[-1] += event == "call"

    before = sys.getprofile()
    for _ in range(5):
        results.append(-1)  # do not count the call itself
        sys.setprofile(count)
        try:
            call()
        finally:
            sys.setprofile(before)
    return min(results)


@contextmanager
def direct_only() -> Iterator[list[str]]:
    """Check that Python runs no call within the block. The list records calls that Python ran."""
    ran: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for owner in (Runner, CallCache):
            whole = owner.run

            def run(self: Any, *arguments: Any, whole: Any = whole, **named: Any) -> Any:
                ran.append(type(self).__name__)
                return whole(self, *arguments, **named)

            patch.setattr(owner, "run", run)
        yield ran
    assert ran == []
