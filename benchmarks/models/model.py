"""What is known of a trained net: its program, numbers to feed, and its own engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import rnngraph as rg

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Model:
    """A net as a program, and as its own engine.

    form: the format that its weights come in. origin: package, version and licence, or what made the file. lines: of
    the script that declares it. feeds: of calls that are compared. engine: named by ``by``; gives what a call gives, by
    name. tolerance: largest difference from it, as a share of an output's largest number. states: of the net, which
    calls take and give, by output. ours: what is compared, where it is no call of the inference graph. timed: by what
    it is, a call of ours and one of the engine's; the first is what the table of nets shows. steps_in_python: True if
    the engine runs each step from Python, so that its times are the interpreter's and are not compared with ours.
    """

    name: str
    form: str
    origin: str
    by: str
    lines: int
    program: rg.Program
    feeds: list[Arrays]
    engine: Callable[[Arrays], Arrays]
    tolerance: float
    states: Mapping[str, str] = field(default_factory=dict)
    ours: Callable[[Arrays], Arrays] | None = None
    timed: Mapping[str, tuple[Callable[[], Any], Callable[[], Any]]] = field(default_factory=dict)
    steps_in_python: bool = False


def lines_of(function: Callable[..., Any]) -> int:
    """Lines of code of a function that declares a net: its own lines but for the first, empty ones and docstrings."""
    text, doc = inspect.getsource(function), inspect.getdoc(function) or ""
    return len([line for line in text.splitlines()[1:] if line.strip()]) - len(doc.splitlines())
