"""What is found: a recurrent layer with the arrays of one direction of an ONNX node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .....ir.graph import Node


class Activation(NamedTuple):
    """An activation of ONNX's. alpha, beta: None where it has none."""

    name: str
    alpha: float | None = None
    beta: float | None = None


class Initial(NamedTuple):
    """The state [batch, units] that a layer begins with, and whether it is all 0."""

    value: Node
    is_zero: bool


@dataclass(frozen=True, eq=False)
class RecurrentLayer:
    """One direction of an LSTM, GRU or RNN node; gates lie in ONNX's order.

    inputs: sequences [time, batch, width], which side by side are what the layer reads.
    kernel: [gates * units, width]. recurrent: [gates * units, units]. bias: of the kernel and of the recurrent matrix,
    [2 * gates * units]. peepholes: [3 * units], of i, o and f.
    initial: h, and of an LSTM c. lengths: of the rows, if they have some. running: which rows run,
    over all steps, as the graph has it. results: what each of the scan's results is,
    in their order: ``"Y"``, ``"Y_h"`` or ``"Y_c"``. parameters: names of what the arrays are made of.
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
