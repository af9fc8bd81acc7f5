"""Marks of tests that need features of one system, with the reason."""

from __future__ import annotations

import sys

import pytest

WINDOWS = sys.platform == "win32"


def not_on_windows(reason: str) -> pytest.MarkDecorator:
    """Skip a test on Windows. ``reason`` says what Windows lacks."""
    return pytest.mark.skipif(WINDOWS, reason=f"not on Windows: {reason}")


def skip_module_on_windows(reason: str) -> None:
    """Skip all tests of a file on Windows, where its imports may fail, too."""
    if WINDOWS:
        pytest.skip(f"not on Windows: {reason}", allow_module_level=True)
