"""TensorFlow 1.x's ``tf.nn.rnn_cell``."""

from __future__ import annotations

from typing import Any

from ...declare.cells.basic import LSTMStateTuple
from ..cells.subclassing import RNNCell
from ..core.names import missing as _missing
from ..ops.recurrent.cells import (
    BasicLSTMCell,
    BasicRNNCell,
    DropoutWrapper,
    GRUCell,
    LSTMCell,
    MultiRNNCell,
    ResidualWrapper,
)

__all__ = (
    "BasicLSTMCell", "BasicRNNCell", "DropoutWrapper", "GRUCell", "LSTMCell", "LSTMStateTuple", "MultiRNNCell",
    "RNNCell", "ResidualWrapper",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("nn.rnn_cell", name)
