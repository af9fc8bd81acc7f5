"""Checks that objects are freed. The garbage collector, which is slow, only runs if an object is still alive."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any
from weakref import ref


def all_gone(references: Iterable[ref[Any]]) -> bool:
    known = list(references)
    if any(item() is not None for item in known):
        gc.collect()
    return all(item() is None for item in known)
