"""Record of a trained net: its program, inputs, and its own engine."""

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
    """Net as a program, with its own engine.

    form: format of its weights. origin: package, version and licence, or the program that wrote the file. lines: length
    of the script that declares it. feeds: inputs of the calls that are compared. engine: returns the engine's outputs
    by name; ``by`` is the engine's name. tolerance: largest difference from it, relative to an output's largest value.
    states: state inputs by the output with the next state. ours: function to compare, if it is no call of the inference
    graph. timed: calls of rnngraph and of the engine by description; the table of nets shows the first.
    steps_in_python: True if the engine runs each step from Python, so that the interpreter dominates its times, which
    are not compared.
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
    time: int = 1
    held: tuple[str, ...] = ()
    last: bool = False


def open_sizes(model: Model) -> str:
    """Return the names of the symbolic sizes of a net's inputs."""
    shapes = [node.shape for node in model.program.inference.graph.inputs if node.op == "input"]
    return ", ".join(dict.fromkeys(str(dim) for shape in shapes for dim in shape if not isinstance(dim, int)))


def lines_of(function: Callable[..., Any]) -> int:
    """Return the lines of code of a function that declares a net, without its head, empty lines and docstrings."""
    text, doc = inspect.getsource(function), inspect.getdoc(function) or ""
    return len([line for line in text.splitlines()[1:] if line.strip()]) - len(doc.splitlines())
