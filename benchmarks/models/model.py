"""``Model``: a trained net as a program, with inputs, and the engine that it was made for."""

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
    """Trained net as a program, with the engine that it was made for.

    Attributes:
        form: Format of the weights.
        origin: Package, version and licence, or the program that wrote the file.
        lines: Number of lines of the script that declares the net.
        feeds: Inputs of the calls that are compared.
        engine: Function from feeds to the engine's outputs, by name.
        by: Name of the engine.
        tolerance: Maximum difference from the engine, relative to an output's largest value.
        states: State input, by the output that has the next state.
        ours: Function to compare with the engine instead of a call of the inference graph.
        timed: Calls of rnngraph and of the engine, by description. The table of nets shows the first.
        steps_in_python: True if the engine runs each step from Python. The interpreter dominates its times, so they are
            not compared.
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
    """Return the number of lines in a function that declares a net, without signature, empty lines and docstrings."""
    text, doc = inspect.getsource(function), inspect.getdoc(function) or ""
    return len([line for line in text.splitlines()[1:] if line.strip()]) - len(doc.splitlines())
