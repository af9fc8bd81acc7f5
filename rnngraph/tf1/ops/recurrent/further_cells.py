"""Cells of ``tf.contrib.rnn`` that are subclasses of ``RNNCell``, as programs write them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ....declare.cell import Cell
from ....declare.cells.basic import LSTMStateTuple
from ....declare.functions import activations
from ....declare.functions import basic as functions
from ....declare.functions.elementary import remainders
from ....declare.nest import flatten
from ....declare.tensor import Tensor
from ....support.api_guard import api
from ....support.arguments import units
from ....support.errors import ArgumentError, NotOfferedError, shown
from ...cells.subclassing import RNNCell
from ...core.scopes import variable_scope
from ...core.shapes import TensorShape
from ...core.variables import get_variable
from ...table.missing import GUIDE
from ..initializers import constant_initializer
from ..random import random_uniform
from ..windows import nn_convolution
from .linear import linear


class PhasedLSTMCell(RNNCell):
    """``tf.contrib.rnn.PhasedLSTMCell``: an LSTM whose units change only in a part of their period (Neil et al. 2016).

    Inputs are pairs: times [batch, 1] and features [batch, width].
    """

    @api
    def __init__(
        self,
        num_units: int,
        use_peepholes: bool = False,
        leak: Any = 0.001,
        ratio_on: Any = 0.1,
        trainable_ratio_on: bool = True,
        period_init_min: float = 1.0,
        period_init_max: float = 1000.0,
        reuse: Any = None,
    ) -> None:
        super().__init__(_reuse=reuse)
        self._units, self._use_peepholes, self._leak = units(num_units, "num_units"), use_peepholes, leak
        self._ratio_on, self._trainable_ratio_on = ratio_on, trainable_ratio_on
        self._periods = (math.log(period_init_min), math.log(period_init_max))

    @property
    def state_size(self) -> Any:
        return LSTMStateTuple(self._units, self._units)

    @property
    def output_size(self) -> int:
        return self._units

    def call(self, inputs: Any, state: Any) -> tuple[Tensor, Any]:
        (before, h_before), (time, x) = state, inputs
        peephole = [before] if self._use_peepholes else []
        with variable_scope("mask_gates"):
            gates = functions.sigmoid(linear([x, h_before, *peephole], 2 * self._units, True))
        admit, keep = functions.split(gates, 2, 1)
        with variable_scope("new_input"):
            candidate = functions.tanh(linear([x, h_before], self._units, True))
        c = before * keep + admit * candidate
        with variable_scope("output_gate"):
            peephole = [c] if self._use_peepholes else []
            h = functions.tanh(c) * functions.sigmoid(linear([x, h_before, *peephole], self._units, True))
        openness = self._openness(time)
        c = openness * c + (1.0 - openness) * before
        h = openness * h + (1.0 - openness) * h_before
        return h, LSTMStateTuple(c, h)

    def _openness(self, time: Tensor) -> Tensor:
        """Return the openness of the time gate of each unit at ``time`` [batch, 1]: [batch, units], in [0, 1]."""
        low, high = self._periods
        size = [self._units]

        def starts(shape: Any, dtype: Any = "float32", partition_info: Any = None) -> Tensor:
            return functions.exp(random_uniform(shape, low, high, dtype))

        def phases(shape: Any, dtype: Any = "float32", partition_info: Any = None) -> Tensor:
            return random_uniform(shape, 0.0, 1.0, dtype) * period

        period = get_variable("period", size, initializer=starts)
        phase = get_variable("phase", size, initializer=phases)
        ratio = get_variable(
            "ratio_on", size, initializer=constant_initializer(self._ratio_on), trainable=self._trainable_ratio_on
        )
        shifted = time - functions.cast(phase, time.dtype)
        length = functions.cast(period, time.dtype)
        within = functions.stop_gradient(remainders.remainder(shifted, length) - shifted) + shifted
        cycle = functions.cast(within / length, "float32")
        rising = 2.0 * cycle / ratio
        falling = functions.where(functions.less(cycle, ratio), 2.0 - rising, self._leak * cycle)
        return functions.where(functions.less(cycle, 0.5 * ratio), rising, falling)


class AttentionCellWrapper(RNNCell):
    """``tf.contrib.rnn.AttentionCellWrapper``: attention over the last ``attn_length`` outputs (Cheng et al. 2016)."""

    @api
    def __init__(
        self,
        cell: Any,
        attn_length: int,
        attn_size: int | None = None,
        attn_vec_size: int | None = None,
        input_size: int | None = None,
        state_is_tuple: bool = True,
        reuse: Any = None,
    ) -> None:
        super().__init__(_reuse=reuse)
        if not isinstance(cell, Cell):
            raise ArgumentError(f"AttentionCellWrapper needs a cell, not {shown(cell)}")
        if not state_is_tuple and not isinstance(cell.state_size, int):
            raise ArgumentError(f"state_is_tuple=False needs a cell whose state is one Tensor, not {cell.state_size}")
        self._cell: Any = cell
        self._length, self._input_size = units(attn_length, "attn_length"), input_size
        self._width = cell.output_size if attn_size is None else units(attn_size, "attn_size")
        self._hidden = self._width if attn_vec_size is None else units(attn_vec_size, "attn_vec_size")
        self._state_is_tuple = state_is_tuple

    @property
    def state_size(self) -> Any:
        sizes = (self._cell.state_size, self._width, self._width * self._length)
        return sizes if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self) -> int:
        return self._width

    def call(self, inputs: Any, state: Any) -> tuple[Tensor, Any]:
        if self._state_is_tuple:
            inner, attended, past = state
        else:
            sizes = [self._cell.state_size, self._width, self._width * self._length]
            inner, attended, past = functions.split(state, sizes, 1)
        past = functions.reshape(past, (-1, self._length, self._width))
        size = inputs.width if self._input_size is None else self._input_size
        output, new = self._cell(linear([inputs, attended], size, True), inner)
        query = functions.concat(flatten(new), 1) if isinstance(new, tuple | list) else new
        attended = self._context(query, past)
        with variable_scope("attn_output_projection"):
            output = linear([output, attended], self._width, True)
        past = functions.concat([past[:, 1:], functions.expand_dims(output, 1)], 1)
        flat = functions.reshape(past, (-1, self._length * self._width))
        after = (new, attended, flat)
        return output, after if self._state_is_tuple else functions.concat(list(after), 1)

    def _context(self, query: Tensor, past: Tensor) -> Tensor:
        """Return the mean of past outputs [batch, length, width], weighted by additive attention."""
        with variable_scope("attention"):
            kernel = get_variable("attn_w", [1, 1, self._width, self._hidden])
            v = get_variable("attn_v", [self._hidden])
            keys = functions.matmul(past, functions.reshape(kernel, (self._width, self._hidden)))
            shift = functions.expand_dims(linear(query, self._hidden, True), 1)
            scores = functions.reduce_sum(v * functions.tanh(keys + shift), 2)
        return functions.reduce_sum(functions.expand_dims(activations.softmax(scores), 2) * past, 1)


class ConvLSTMCell(RNNCell):
    """``tf.contrib.rnn.ConvLSTMCell``: an LSTM whose products are convolutions (Shi et al. 2015).

    ``initializers`` has no effect, as in TensorFlow.
    """

    @api
    def __init__(
        self,
        conv_ndims: int,
        input_shape: Sequence[int],
        output_channels: int,
        kernel_shape: Sequence[int],
        use_bias: bool = True,
        skip_connection: bool = False,
        forget_bias: float = 1.0,
        initializers: Any = None,
        name: str = "conv_lstm_cell",
    ) -> None:
        super().__init__(name=name)
        if conv_ndims not in (1, 2):
            raise NotOfferedError(f"ConvLSTMCell offers conv_ndims=1 and 2, not {conv_ndims} ({GUIDE})")
        if conv_ndims != len(input_shape) - 1 or conv_ndims != len(kernel_shape):
            raise ArgumentError(
                f"conv_ndims={conv_ndims} needs input_shape [*sizes, channels] and kernel_shape [*sizes] with "
                f"{conv_ndims} sizes, not {input_shape} and {kernel_shape}"
            )
        self._count, self._shape, self._kernel = conv_ndims, list(input_shape), list(kernel_shape)
        self._channels = units(output_channels, "output_channels")
        self._use_bias, self._skips, self._forget_bias = use_bias, skip_connection, forget_bias

    @property
    def state_size(self) -> Any:
        size = TensorShape([*self._shape[:-1], self._channels])
        return LSTMStateTuple(size, size)

    @property
    def output_size(self) -> Any:
        return TensorShape([*self._shape[:-1], self._channels + self._skips * self._shape[-1]])

    def call(self, inputs: Any, state: Any) -> tuple[Tensor, Any]:
        (before, h_before), axis = state, self._count + 1
        joined = functions.concat([inputs, h_before], axis)
        kernel = get_variable("kernel", [*self._kernel, joined.type.shape[axis], 4 * self._channels])
        gates = nn_convolution(joined, kernel, "SAME")
        if self._use_bias:
            gates = gates + get_variable("biases", [4 * self._channels], initializer=constant_initializer(0.0))
        admit, candidate, keep, expose = functions.split(gates, 4, axis)
        c = functions.sigmoid(keep + self._forget_bias) * before
        c = c + functions.sigmoid(admit) * functions.tanh(candidate)
        h = functions.tanh(c) * functions.sigmoid(expose)
        if self._skips:
            h = functions.concat([h, inputs], axis)
        return h, LSTMStateTuple(c, h)


class Conv1DLSTMCell(ConvLSTMCell):
    """``tf.contrib.rnn.Conv1DLSTMCell``: a ``ConvLSTMCell`` along one axis."""

    @api
    def __init__(self, name: str = "conv_1d_lstm_cell", **options: Any) -> None:
        super().__init__(conv_ndims=1, name=name, **options)


class Conv2DLSTMCell(ConvLSTMCell):
    """``tf.contrib.rnn.Conv2DLSTMCell``: a ``ConvLSTMCell`` along two axes."""

    @api
    def __init__(self, name: str = "conv_2d_lstm_cell", **options: Any) -> None:
        super().__init__(conv_ndims=2, name=name, **options)
