"""``RecurrentLayer``: a recognised layer, with the arrays of one direction of an ONNX node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .....ir.graph import Node


class Activation(NamedTuple):
    """Activation of ONNX. ``alpha`` and ``beta`` are None for activations that lack the parameter."""

    name: str
    alpha: float | None = None
    beta: float | None = None


class Initial(NamedTuple):
    """Initial state [batch, units] of a layer, and True if all its entries are zeros."""

    value: Node
    is_zero: bool


@dataclass(frozen=True, eq=False)
class RecurrentLayer:
    """One direction of an LSTM, GRU or RNN node. Gates are in ONNX's order.

    Attributes:
        inputs: Sequences [time, batch, width], whose concatenation along the width is the layer's input.
        kernel: [gates * units, width].
        recurrent: [gates * units, units].
        bias: Biases of the kernel and of the recurrent matrix, [2 * gates * units].
        peepholes: Peepholes of i, o and f, [3 * units].
        initial: Initial h, and c of an LSTM.
        lengths: Lengths of the rows; None if all rows have all steps.
        running: Mask of running rows at all steps; None without lengths.
        results: Output for each result of the scan, in order: ``"Y"``, ``"Y_h"`` or ``"Y_c"``.
        parameters: Names of the parameters on which the arrays depend.
    """

    op: str
    inputs: Sequence[Node]
    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    activations: Sequence[Activation]
    initial: Sequence[Initial]
    reverse: bool
    lengths: Node | None
    running: Node | None
    results: Sequence[str]
    parameters: Sequence[str]
    peepholes: np.ndarray | None = None
    reset_after: bool = False

    @property
    def units(self) -> int:
        return int(self.recurrent.shape[1])
