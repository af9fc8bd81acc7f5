"""TensorFlow 1.x's ``tf.contrib.rnn``: the cells of ``tf.nn.rnn_cell`` and more, and drivers."""

from __future__ import annotations

from typing import Any

from ...declare.cells.basic import LSTMStateTuple
from ..cells.subclassing import LayerRNNCell, RNNCell
from ..core.names import missing as _missing
from ..ops.inputs import stack_bidirectional_dynamic_rnn, static_bidirectional_rnn, static_rnn
from ..ops.recurrent.cells import (
    BasicLSTMCell,
    BasicRNNCell,
    DropoutWrapper,
    GRUCell,
    HighwayWrapper,
    LSTMCell,
    MultiRNNCell,
    ResidualWrapper,
)
from ..ops.recurrent.contrib_cells import (
    CFNCell,
    CoupledInputForgetGateLSTMCell,
    GRUBlockCellV2,
    IndRNNCell,
    InputProjectionWrapper,
    IntersectionRNNCell,
    LayerNormBasicLSTMCell,
    LSTMBlockCell,
    MinimalRNNCell,
    NASCell,
    OutputProjectionWrapper,
    SRUCell,
    UGRNNCell,
)

__all__ = (
    "BasicLSTMCell", "BasicRNNCell", "CFNCell", "CoupledInputForgetGateLSTMCell", "DropoutWrapper", "GRUBlockCellV2",
    "GRUCell", "HighwayWrapper", "IndRNNCell", "InputProjectionWrapper", "IntersectionRNNCell", "LSTMBlockCell",
    "LSTMCell", "LSTMStateTuple", "LayerNormBasicLSTMCell", "LayerRNNCell", "MinimalRNNCell", "MultiRNNCell",
    "NASCell", "OutputProjectionWrapper", "RNNCell", "ResidualWrapper", "SRUCell", "UGRNNCell",
    "stack_bidirectional_dynamic_rnn", "static_bidirectional_rnn", "static_rnn",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("contrib.rnn", name)
