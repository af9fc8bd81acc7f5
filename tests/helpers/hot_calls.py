"""Calls that are made until machine code runs them, and tests that no step in Python was taken."""

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
    """Makes a call so often that the next ones may be direct."""
    for _ in range(TIMES):
        call()


def frames(call: Callable[[], object]) -> int:
    """How many functions in Python a call enters; the least of some, as the collector may call some, too."""
    found: list[int] = []

    def count(frame: Any, event: str, argument: Any) -> None:
        found[-1] += event == "call"

    before = sys.getprofile()
    for _ in range(5):
        found.append(-1)  # the call itself
        sys.setprofile(count)
        try:
            call()
        finally:
            sys.setprofile(before)
    return min(found)


@contextmanager
def direct_only() -> Iterator[list[str]]:
    """Within this block nothing is run by Python; the list has what was."""
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
