"""Pauses of Python's cyclic garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Context manager within which Python does not collect reference cycles.

    The compiler keeps almost all of its objects until it is done, and repeated collections took a twelfth of its time.
    Cycles that other threads allocate meanwhile are freed after the compilation.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def importing() -> Iterator[None]:
    """Context manager for imports of many modules. Within it Python does not collect reference cycles.

    Afterwards, all objects are in the oldest generation, because modules are never garbage. The next collection of
    younger generations would otherwise visit all of them.
    """
    with collector_paused():
        yield
        if gc.get_freeze_count() == 0:  # otherwise ``unfreeze`` would undo a freeze by the user
            gc.freeze()
            gc.unfreeze()
