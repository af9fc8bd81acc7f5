"""Marks of tests that need features of one system or processor, with the reason."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from rnngraph.codegen.machine.target import missing_features, target_of

WINDOWS = sys.platform == "win32"


def not_on_windows(reason: str) -> pytest.MarkDecorator:
    """Skip a test on Windows. ``reason`` says what Windows lacks."""
    return pytest.mark.skipif(WINDOWS, reason=f"not on Windows: {reason}")


def skip_module_on_windows(reason: str) -> None:
    """Skip all tests of a file on Windows, where its imports may fail, too."""
    if WINDOWS:
        pytest.skip(f"not on Windows: {reason}", allow_module_level=True)


def runs(level: str) -> bool:
    """True if this machine runs code for a level of x86-64, such as ``x86-64-v3``."""
    return not missing_features(target_of(level))


def needs(level: str) -> pytest.MarkDecorator:
    """Skip a test where code for a level of x86-64 does not run, as on ARM."""
    return pytest.mark.skipif(not runs(level), reason=f"needs a processor that runs {level}")


def levels(*names: str) -> list[Any]:
    """Return levels of x86-64 as values of a test's parameter. Levels that do not run on this machine are skipped."""
    return [pytest.param(name, marks=needs(name)) for name in names]
