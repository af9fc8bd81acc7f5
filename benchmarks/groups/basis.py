"""Types ``Group``, ``Record`` and ``Options``, and functions that format figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Record = dict[str, Any]
"""Result of a row: its name, and ``times`` by contender or ``figures`` by name."""

OWN = "rnngraph"
NATIVE = "native"
"""Contender's name of the native call that a call from Python makes."""


@dataclass(frozen=True)
class Options:
    """Options of a run, and the peers that are available."""

    words: Sequence[str]
    rounds: int
    peers: dict[str, ModuleType]
    with_torch_compile: bool
    threads: int = 1

    def wants(self, name: str) -> bool:
        return not self.words or any(word in name for word in self.words)


@dataclass(frozen=True)
class Group:
    """Measurements of one kind, with their table.

    Attributes:
        cells: Function from a record to its table cells by column, in order. A peer's column begins with its name.
    """

    name: str
    title: str
    records: Callable[[Options], Iterator[Record]]
    cells: Callable[[Record], dict[str, str]]


def milliseconds(seconds: float) -> str:
    """Format seconds as milliseconds with four significant digits, and at most four decimals."""
    value = seconds * 1e3
    return f"{value:.{3 if value < 10 else 2 if value < 100 else 1}f}" if value >= 0.1 else f"{value:.4f}"


def microseconds(seconds: float) -> str:
    value = seconds * 1e6
    return f"{value:.{2 if value < 10 else 1}f}"


def factor(value: float) -> str:
    return f"{value:.2f}×" if value < 10 else f"{value:.1f}×"
