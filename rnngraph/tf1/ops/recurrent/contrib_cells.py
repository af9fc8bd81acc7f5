"""Cells of ``tf.contrib.rnn`` that are not in ``tf.nn.rnn_cell``, with TensorFlow 1.15's arguments."""

from __future__ import annotations

from typing import Any

from ....declare.cell import Scope
from ....declare.cells import gated_variants, lstm_variants, projections
from ....declare.functions.basic import stop_gradient
from ....declare.tensor import Tensor
from ....support.errors import ArgumentError
from ...cells.variables import checked_reuse, reusing
from .cells import CellWithSignature, GRUCell, LSTMCell, TensorFlowCell


class LayerNormBasicLSTMCell(TensorFlowCell, lstm_variants.LayerNormBasicLSTMCell):
    """``rg.LayerNormBasicLSTMCell`` with TensorFlow's arguments. ``input_size`` has no effect."""


class CoupledInputForgetGateLSTMCell(TensorFlowCell, lstm_variants.CoupledInputForgetGateLSTMCell):
    """``rg.CoupledInputForgetGateLSTMCell`` with TensorFlow's arguments."""


class NASCell(TensorFlowCell, lstm_variants.NASCell):
    """``rg.NASCell`` with TensorFlow's arguments."""


class UGRNNCell(TensorFlowCell, gated_variants.UGRNNCell):
    """``rg.UGRNNCell`` with TensorFlow's arguments."""


class IntersectionRNNCell(TensorFlowCell, gated_variants.IntersectionRNNCell):
    """``rg.IntersectionRNNCell`` with TensorFlow's arguments."""


class IndRNNCell(TensorFlowCell, gated_variants.IndRNNCell):
    """``rg.IndRNNCell`` with TensorFlow's arguments."""


class SRUCell(TensorFlowCell, gated_variants.SRUCell):
    """``rg.SRUCell`` with TensorFlow's arguments."""


class MinimalRNNCell(TensorFlowCell, gated_variants.MinimalRNNCell):
    """``rg.MinimalRNNCell`` with TensorFlow's arguments."""


class CFNCell(TensorFlowCell, gated_variants.CFNCell):
    """``rg.CFNCell`` with TensorFlow's arguments."""


class LSTMBlockCell(LSTMCell):
    """``tf.contrib.rnn.LSTMBlockCell``: an ``LSTMCell`` with other arguments and variable names.

    Gradients pass through ``cell_clip`` unchanged, also beyond the limits, as in TensorFlow's kernel.
    """

    def adapt(self, arguments: dict[str, Any]) -> None:
        arguments["use_peepholes"] = arguments.pop("use_peephole")

    def _clipped(self, c: Tensor, bound: float) -> Tensor:
        return stop_gradient(super()._clipped(c, bound)) + (c - stop_gradient(c))


class GRUBlockCellV2(GRUCell):
    """``tf.contrib.rnn.GRUBlockCellV2``: a ``GRUCell`` with other arguments and variable names."""

    def adapt(self, arguments: dict[str, Any]) -> None:
        sizes = [size for size in (arguments.pop("num_units"), arguments.pop("cell_size")) if size is not None]
        if len(sizes) != 1:
            raise ArgumentError(f"GRUBlockCellV2 needs num_units, or cell_size, which is its older name; got {sizes}")
        arguments["num_units"] = sizes[0]


class _ProjectionWrapper(CellWithSignature):
    """Base of projection wrappers, which may share the variables of another cell."""

    _reuse: Any

    def take(self, arguments: dict[str, Any]) -> None:
        self._reuse = checked_reuse(self, arguments["reuse"])


class InputProjectionWrapper(_ProjectionWrapper, projections.InputProjectionWrapper):
    """``rg.InputProjectionWrapper`` with TensorFlow's arguments. ``input_size`` has no effect."""

    def projected(self, p: Scope, x: Tensor) -> Tensor:
        with reusing(p, self._reuse):
            return super().projected(p, x)


class OutputProjectionWrapper(_ProjectionWrapper, projections.OutputProjectionWrapper):
    """``rg.OutputProjectionWrapper`` with TensorFlow's arguments."""

    def projected(self, p: Scope, x: Tensor) -> Tensor:
        with reusing(p, self._reuse):
            return super().projected(p, x)
