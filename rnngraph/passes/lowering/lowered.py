"""Result of lowering: a graph with its names and structure."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np

from ...declare.parameters import ParameterSpec
from ...ir.graph import Graph, Node
from ...support.records import dataclass
from .names import Layers

SEED_INPUTS = ("seed", "first_row", "first_step")
"""Labels of the int64 inputs that random ops of the training graph read: the seed, and where rows and steps begin."""
NUMBER = "number"
"""Input of programs that sample: the number of each row's stream, 0 by default."""
TAP = "tap:"
"""Prefix of the labels of taps."""
STATE, KEPT = "state/", "kept/"
"""Prefixes of the labels of states: those of drivers, and those that a stream keeps for placeholders."""
STEPS = f"{STATE}steps"
"""Label of the state with the number of steps of each row of a stream."""
INNER, SHOWN, FED = "inner", "shown", "given"
"""Values of the argument ``states`` of ``lower``."""


def kept_label(placeholder: str) -> str:
    """Return the label of the state that a stream keeps for a placeholder."""
    return f"{KEPT}{placeholder}"


@dataclass(frozen=True)
class Lowered:
    """Declaration as a graph, with its dropout masks as a second graph.

    Attributes:
        slots: Names of parameters, in the order of creation.
        initial: Graph of the initial states; without outputs if states are neither inputs nor outputs.
        states: For each driver whose states are shown, their structure, with labels as leaves; at the end, that of kept
            states, if there are any.
        named: As ``states``, but with the names of states even for cells with a single state.
        placeholders: Name of each placeholder.
        defaults: Default values of placeholders, by name.
        keep_probs: Names of placeholders that dropout reads.
        layers: Full names of layers; empty if the declaration was loaded from a file.
    """

    graph: Graph
    masks: Graph
    slots: dict[ParameterSpec, str]
    initial: Graph
    states: tuple[Any, ...]
    named: tuple[Any, ...]
    placeholders: dict[Node, str]
    defaults: dict[str, np.ndarray]
    keep_probs: frozenset[str]
    layers: Layers = field(default_factory=lambda: Layers({}))
