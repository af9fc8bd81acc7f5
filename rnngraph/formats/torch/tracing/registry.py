"""Where the files of ``meanings`` say what torch's functions and modules mean, and how they say what can't be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...operators.errors import UnreadableError as UnreadableError

Meaning = Callable[..., Any]


@dataclass(frozen=True)
class Composed:
    """What is read as other functions of torch's. function: of torch's own arguments, in such functions."""

    function: Callable[..., Any]


MEANINGS: dict[str, Meaning | Composed] = {}
"""What functions and methods of torch's mean, by their names: of a tracer and torch's own arguments."""
MODULES: dict[type, Meaning] = {}
"""Modules that are read as a whole: of a tracer, the module and its arguments."""


def meaning(*names: str) -> Callable[[Meaning], Meaning]:
    """Says what functions of these names mean."""

    def keep(function: Meaning) -> Meaning:
        MEANINGS.update(dict.fromkeys(names, function))
        return function

    return keep


def composed(*names: str) -> Callable[[Meaning], Meaning]:
    """Says of which others functions of these names are made."""

    def keep(function: Meaning) -> Meaning:
        MEANINGS.update(dict.fromkeys(names, Composed(function)))
        return function

    return keep


def module(*kinds: type) -> Callable[[Meaning], Meaning]:
    """Says how modules of these classes are read as a whole."""

    def keep(function: Meaning) -> Meaning:
        MODULES.update(dict.fromkeys(kinds, function))
        return function

    return keep
