"""Pauses of Python's cyclic garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Context manager within which Python does not collect reference cycles.

    The compiler keeps almost all that it allocates until it is done. Looking through these objects again and again took
    a twelfth of its time. A thread that allocates cycles in the meantime keeps them for as long as a compile takes.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
