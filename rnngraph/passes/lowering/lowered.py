"""A declaration that was lowered: its graph, names and structure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...declare.parameters import ParameterSpec
from ...ir.graph import Graph, Node
from .names import Layers

SEED_INPUTS = ("seed", "first_row", "first_step")
TAP = "tap:"
INNER, SHOWN, GIVEN = "inner", "shown", "given"


def kept_label(placeholder: str) -> str:
    """What a placeholder is called as a state that streams keep."""
    return f"kept/{placeholder}"


@dataclass(frozen=True)
class Lowered:
    """One declaration as a graph, with the dropout masks it draws as a graph beside it.

    initial, states: of a lowering whose states are given or shown, the graph of the initial states, and for each
    driver the nest of its states with their labels as leaves. named: the same nests, but that every state stands under
    its name, also where a cell has no other. placeholders: the name of each. defaults: by name, of those that have one.
    keep_probs: names of those that dropout reads. layers: whole names of what a live declaration names.
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
