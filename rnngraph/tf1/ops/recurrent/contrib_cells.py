"""What ``tf.contrib.rnn`` has beside the cells of ``tf.nn.rnn_cell``, with TensorFlow 1.15's arguments."""

from __future__ import annotations

from typing import Any

from ....declare.cell import Cell, Scope
from ....declare.cells import gated_variants, lstm_variants, projections
from ....declare.cells.basic import Activation
from ....declare.functions.basic import stop_gradient
from ....declare.functions.randomness import KeepProb
from ....declare.tensor import Tensor
from ...cells.calls import TfCell
from ...cells.variables import checked_reuse, reusing
from .cells import GRUCell, LSTMCell, TensorFlowCell, refuse_shards, tanh_for_none


class LayerNormBasicLSTMCell(TensorFlowCell, lstm_variants.LayerNormBasicLSTMCell):
    """``rg.LayerNormBasicLSTMCell`` with TensorFlow's arguments. ``input_size`` is found without being given."""

    def __init__(
        self,
        num_units: int,
        forget_bias: float = 1.0,
        input_size: Any = None,
        activation: Activation = "tanh",
        layer_norm: bool = True,
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
        dropout_keep_prob: KeepProb = 1.0,
        dropout_prob_seed: int | None = None,
        reuse: bool | None = None,
    ) -> None:
        lstm_variants.LayerNormBasicLSTMCell.__init__(
            self,
            num_units,
            forget_bias,
            activation,
            layer_norm,
            norm_gain,
            norm_shift,
            dropout_keep_prob,
            dropout_prob_seed,
        )
        self.take(reuse, None, None)


class CoupledInputForgetGateLSTMCell(TensorFlowCell, lstm_variants.CoupledInputForgetGateLSTMCell):
    """``rg.CoupledInputForgetGateLSTMCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        initializer: Any = None,
        num_proj: int | None = None,
        proj_clip: float | None = None,
        num_unit_shards: int = 1,
        num_proj_shards: int = 1,
        forget_bias: float = 1.0,
        state_is_tuple: bool = True,
        activation: Activation = "tanh",
        reuse: bool | None = None,
        layer_norm: bool = False,
        norm_gain: float = 1.0,
        norm_shift: float = 0.0,
    ) -> None:
        lstm_variants.CoupledInputForgetGateLSTMCell.__init__(
            self,
            num_units,
            use_peepholes,
            initializer,
            num_proj,
            None if num_proj is None else proj_clip,
            forget_bias,
            state_is_tuple,
            activation,
            layer_norm,
            norm_gain,
            norm_shift,
        )
        refuse_shards(self, num_unit_shards, num_proj_shards)
        self.take(reuse, None, None)


class NASCell(TensorFlowCell, lstm_variants.NASCell):
    """``rg.NASCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        num_proj: int | None = None,
        use_bias: bool = False,
        reuse: bool | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        lstm_variants.NASCell.__init__(self, num_units, num_proj, use_bias)
        self.take(reuse, name, dtype)


class UGRNNCell(TensorFlowCell, gated_variants.UGRNNCell):
    """``rg.UGRNNCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        initializer: Any = None,
        forget_bias: float = 1.0,
        activation: Activation = "tanh",
        reuse: bool | None = None,
    ) -> None:
        gated_variants.UGRNNCell.__init__(self, num_units, initializer, forget_bias, activation)
        self.take(reuse, None, None)


class IntersectionRNNCell(TensorFlowCell, gated_variants.IntersectionRNNCell):
    """``rg.IntersectionRNNCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        num_in_proj: int | None = None,
        initializer: Any = None,
        forget_bias: float = 1.0,
        y_activation: Activation = "relu",
        reuse: bool | None = None,
    ) -> None:
        gated_variants.IntersectionRNNCell.__init__(
            self, num_units, num_in_proj, initializer, forget_bias, y_activation
        )
        self.take(reuse, None, None)


class IndRNNCell(TensorFlowCell, gated_variants.IndRNNCell):
    """``rg.IndRNNCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        activation: Activation = None,
        reuse: bool | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        gated_variants.IndRNNCell.__init__(self, num_units, tanh_for_none(activation))
        self.take(reuse, name, dtype)


class SRUCell(TensorFlowCell, gated_variants.SRUCell):
    """``rg.SRUCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        num_units: int,
        activation: Activation = None,
        reuse: bool | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        gated_variants.SRUCell.__init__(self, num_units, tanh_for_none(activation))
        self.take(reuse, name, dtype)


class MinimalRNNCell(TensorFlowCell, gated_variants.MinimalRNNCell):
    """``rg.MinimalRNNCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        units: int,
        activation: Activation = "tanh",
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "ones",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        gated_variants.MinimalRNNCell.__init__(self, units, activation, kernel_initializer, bias_initializer)
        self.take(None, name, dtype)


class CFNCell(TensorFlowCell, gated_variants.CFNCell):
    """``rg.CFNCell`` with TensorFlow's arguments."""

    def __init__(
        self,
        units: int,
        activation: Activation = "tanh",
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "ones",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        gated_variants.CFNCell.__init__(self, units, activation, kernel_initializer, bias_initializer)
        self.take(None, name, dtype)


class InputProjectionWrapper(TfCell, projections.InputProjectionWrapper):
    """``rg.InputProjectionWrapper`` with TensorFlow's arguments. ``input_size`` is found without being given."""

    def __init__(
        self,
        cell: Cell,
        num_proj: int,
        activation: Activation = None,
        input_size: Any = None,
        reuse: bool | None = None,
    ) -> None:
        super().__init__(cell, num_proj, activation)
        self._reuse = checked_reuse(self, reuse)

    def projected(self, p: Scope, x: Tensor) -> Tensor:
        with reusing(p, self._reuse):
            return super().projected(p, x)


class OutputProjectionWrapper(TfCell, projections.OutputProjectionWrapper):
    """``rg.OutputProjectionWrapper`` with TensorFlow's arguments."""

    def __init__(self, cell: Cell, output_size: int, activation: Activation = None, reuse: bool | None = None) -> None:
        super().__init__(cell, output_size, activation)
        self._reuse = checked_reuse(self, reuse)

    def projected(self, p: Scope, x: Tensor) -> Tensor:
        with reusing(p, self._reuse):
            return super().projected(p, x)


class LSTMBlockCell(LSTMCell):
    """``tf.contrib.rnn.LSTMBlockCell``: an ``LSTMCell`` with other arguments, and with its variables' names.

    The gradient of ``cell_clip`` is 1 everywhere, as TensorFlow's kernel has it.
    """

    def __init__(
        self, num_units: int, forget_bias: float = 1.0, cell_clip: float | None = None, use_peephole: bool = False,
        dtype: Any = None, reuse: bool | None = None, name: str = "lstm_cell",
    ) -> None:  # fmt: skip
        super().__init__(
            num_units, use_peephole, cell_clip, forget_bias=forget_bias, reuse=reuse, name=name, dtype=dtype
        )

    def _clipped(self, c: Tensor, bound: float) -> Tensor:
        return stop_gradient(super()._clipped(c, bound)) + (c - stop_gradient(c))


class GRUBlockCellV2(GRUCell):
    """``tf.contrib.rnn.GRUBlockCellV2``: a ``GRUCell`` with other arguments, and with its variables' names."""

    def __init__(self, num_units: int, reuse: bool | None = None, name: str = "gru_cell", dtype: Any = None) -> None:
        super().__init__(num_units, reuse=reuse, name=name, dtype=dtype)
