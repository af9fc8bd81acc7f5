"""TensorFlow 1.x's dense layers and initializers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..declare import initializers
from ..declare.cells.basic import Activation
from ..declare.functions import convolutions, layers
from ..declare.initializers import Initializer, initializer_of
from ..declare.parameters import ScopeName, parameter
from ..declare.tensor import Tensor
from ..errors import ArgumentError, ShapeError, shown, user_line
from ..public import api
from ._functions import relu, reshape
from ._names import dtype_name, refuse, refuse_reuse

_PENALTY = "add the penalty to the loss"


@api
def dense(
    inputs: Tensor, units: int, activation: Activation = None, use_bias: bool = True,
    kernel_initializer: Any = None, bias_initializer: Any = None, kernel_regularizer: Any = None,
    bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
    bias_constraint: Any = None, trainable: bool = True, name: str | None = None, reuse: bool | None = None,
) -> Tensor:  # fmt: skip
    """activation(inputs kernel + bias) on the last axis; owns ``dense/kernel`` and ``dense/bias``."""
    refuse(
        "tf.layers.dense", _PENALTY, kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
        activity_regularizer=activity_regularizer, kernel_constraint=kernel_constraint,
        bias_constraint=bias_constraint,
    )  # fmt: skip
    refuse("tf.layers.dense", "use rg.parameter(…, trainable=False)", trainable=None if trainable else False)
    refuse_reuse("tf.layers.dense", reuse)
    scope = ScopeName(name or "dense", name is not None, user_line())
    starts = _starts(kernel_initializer, bias_initializer)
    return layers.affine(inputs, units, activation, scope, ("kernel", "bias") if use_bias else ("kernel",), starts)


@api
def fully_connected(
    inputs: Tensor, num_outputs: int, activation_fn: Activation = relu, normalizer_fn: Any = None,
    normalizer_params: Any = None, weights_initializer: Any = None, weights_regularizer: Any = None,
    biases_initializer: Any = "zeros", biases_regularizer: Any = None, reuse: bool | None = None,
    variables_collections: Any = None, outputs_collections: Any = None, trainable: bool = True,
    scope: str | None = None,
) -> Tensor:  # fmt: skip
    """activation_fn(inputs weights + biases), relu unless said otherwise; ``biases_initializer=None``: no biases.

    Owns ``fully_connected/weights`` and ``fully_connected/biases``.
    """
    what = "tf.contrib.layers.fully_connected"
    refuse(what, "normalise its result yourself, with rg.layer_norm", normalizer_fn=normalizer_fn)
    refuse(what, _PENALTY, weights_regularizer=weights_regularizer, biases_regularizer=biases_regularizer)
    refuse(what, "use rg.parameter(…, trainable=False)", trainable=None if trainable else False)
    refuse_reuse(what, reuse)
    name = ScopeName(scope or "fully_connected", scope is not None, user_line())
    starts = _starts(weights_initializer, biases_initializer)
    names = ("weights",) if biases_initializer is None else ("weights", "biases")
    return layers.affine(inputs, num_outputs, activation_fn, name, names, starts)


def _starts(kernel: Any, bias: Any) -> tuple[Initializer, Initializer]:
    return (
        initializer_of("glorot_uniform" if kernel is None else kernel),
        initializer_of("zeros" if bias is None else bias),
    )


@api
def conv1d(
    inputs: Tensor, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
    data_format: str = "channels_last", dilation_rate: Any = 1, activation: Activation = None, use_bias: bool = True,
    kernel_initializer: Any = None, bias_initializer: Any = None, kernel_regularizer: Any = None,
    bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
    bias_constraint: Any = None, trainable: bool = True, name: str | None = None, reuse: bool | None = None,
) -> Tensor:  # fmt: skip
    """``rg.conv1d`` with TensorFlow's arguments; owns ``conv1d/kernel`` and ``conv1d/bias``."""
    what = "tf.layers.conv1d"
    size, stride, dilation = (_single(value) for value in (kernel_size, strides, dilation_rate))
    refuse(what, "transpose the inputs to [batch, time, width]",
           data_format=None if data_format == "channels_last" else data_format)  # fmt: skip
    refuse(
        what, _PENALTY, kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
        activity_regularizer=activity_regularizer, kernel_constraint=kernel_constraint,
        bias_constraint=bias_constraint,
    )  # fmt: skip
    refuse(what, "use rg.parameter(…, trainable=False)", trainable=None if trainable else False)
    refuse_reuse(what, reuse)
    scope = ScopeName(name or "conv1d", name is not None, user_line())
    starts = _starts(kernel_initializer, bias_initializer)
    windows = convolutions.Windows.checked("kernel_size", size, stride, dilation, _lower(padding), scope.where)
    return convolutions.convolution(inputs, filters, windows, 1, activation, use_bias, scope, starts)


@api
def max_pooling1d(
    inputs: Tensor, pool_size: Any, strides: Any, padding: str = "valid", data_format: str = "channels_last",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """``rg.max_pool1d`` with TensorFlow's arguments."""
    return _pooled(convolutions.max_pool1d, inputs, pool_size, strides, padding, data_format)


@api
def average_pooling1d(
    inputs: Tensor, pool_size: Any, strides: Any, padding: str = "valid", data_format: str = "channels_last",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """``rg.average_pool1d`` with TensorFlow's arguments."""
    return _pooled(convolutions.average_pool1d, inputs, pool_size, strides, padding, data_format)


def _pooled(
    pool: Callable[..., Tensor], inputs: Tensor, pool_size: Any, strides: Any, padding: Any, data_format: str
) -> Tensor:  # fmt: skip
    refuse("tf.layers", "transpose the inputs to [batch, time, width]",
           data_format=None if data_format == "channels_last" else data_format)  # fmt: skip
    return pool(inputs, _single(pool_size), _single(strides), _lower(padding))


def _lower(padding: Any) -> Any:
    """TensorFlow takes its words in either case."""
    return padding.lower() if isinstance(padding, str) else padding


@api
def batch_normalization(
    inputs: Tensor, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, center: bool = True,
    scale: bool = True, beta_initializer: Any = "zeros", gamma_initializer: Any = "ones",
    moving_mean_initializer: Any = "zeros", moving_variance_initializer: Any = "ones", beta_regularizer: Any = None,
    gamma_regularizer: Any = None, beta_constraint: Any = None, gamma_constraint: Any = None,
    training: bool = False, trainable: bool = True, name: str | None = None, reuse: bool | None = None,
    renorm: bool = False, renorm_clipping: Any = None, renorm_momentum: float = 0.99, fused: bool | None = None,
    virtual_batch_size: int | None = None, adjustment: Any = None,
) -> Tensor:  # fmt: skip
    """``rg.batch_normalization`` with TensorFlow's arguments.

    training: with True the training graph normalises by its batch, and a ``Trainer``'s steps update the moving averages
    without ``tf.GraphKeys.UPDATE_OPS``; the inference graph takes these, as both do with False.
    """
    what = "tf.layers.batch_normalization"
    if not isinstance(training, bool | np.bool_):
        raise ArgumentError(
            f"{what}: training={shown(training)} is not offered; with training=True the training graph normalises by "
            "its batch and the inference graph by moving averages, and nothing has to be fed"
        )
    refuse(
        what, _PENALTY, beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer,
        beta_constraint=beta_constraint, gamma_constraint=gamma_constraint,
    )  # fmt: skip
    refuse(
        what, "normalise by the whole batch", renorm=renorm or None, renorm_clipping=renorm_clipping,
        virtual_batch_size=virtual_batch_size, adjustment=adjustment,
    )  # fmt: skip
    refuse(what, "use rg.parameter(…, trainable=False)", trainable=None if trainable else False)
    refuse_reuse(what, reuse)
    scope = ScopeName(name or "batch_normalization", name is not None, user_line())
    starts = {"gamma": gamma_initializer} if scale else {}
    starts |= {"beta": beta_initializer} if center else {}
    starts |= {"moving_mean": moving_mean_initializer, "moving_variance": moving_variance_initializer}
    return layers.normalized(inputs, axis, momentum, epsilon, scope, starts, frozen=not training)


def _single(value: Any) -> Any:
    """TensorFlow takes a number for one axis, or a list of one."""
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


@api
def flatten(inputs: Tensor, name: str | None = None) -> Tensor:
    """[batch, ...] as [batch, product of the rest]."""
    return reshape(inputs, [None, -1])


@api
def get_variable(
    name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, regularizer: Any = None,
    trainable: bool | None = None,
) -> Tensor:  # fmt: skip
    """``rg.parameter``: a trained array that stands by itself in the graph."""
    refuse("tf.get_variable", _PENALTY, regularizer=regularizer)
    if shape is None and initializer is not None and not callable(initializer):
        shape = np.shape(initializer)
    if shape is None:
        raise ShapeError(f"tf.get_variable({name!r}) needs a shape")
    start = "glorot_uniform" if initializer is None else initializer
    kind = "float32" if dtype is None else dtype_name(dtype)
    return parameter(name, shape, start, trainable is not False, kind)


# Initializers: the seed and the dtype that TensorFlow's take are accepted; values depend on the program's
# seed and the parameter's name alone.


@api
def zeros_initializer(dtype: Any = None) -> Initializer:
    """Zeros."""
    return initializers.zeros


@api
def ones_initializer(dtype: Any = None) -> Initializer:
    """Ones."""
    return initializers.ones


@api
def constant_initializer(value: Any = 0, dtype: Any = None, verify_shape: bool = False) -> Initializer:
    """One number everywhere, or an array."""
    return initializers.Constant(value)


@api
def glorot_uniform_initializer(seed: Any = None, dtype: Any = None) -> Initializer:
    """Uniform in +-sqrt(6 / (fan_in + fan_out))."""
    return initializers.glorot_uniform


@api
def orthogonal_initializer(gain: float = 1.0, seed: Any = None, dtype: Any = None) -> Initializer:
    """Orthonormal rows or columns, times gain."""
    return initializers.Orthogonal(gain)


@api
def random_uniform_initializer(
    minval: float = 0, maxval: float | None = None, seed: Any = None, dtype: Any = None
) -> Initializer:
    """Uniform in [minval, maxval), by default [0, 1)."""
    return initializers.Uniform(minval, 1.0 if maxval is None else maxval)


@api
def random_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: Any = None, dtype: Any = None
) -> Initializer:
    """Normal."""
    return initializers.Normal(mean, stddev)


@api
def truncated_normal_initializer(
    mean: float = 0.0, stddev: float = 1.0, seed: Any = None, dtype: Any = None
) -> Initializer:
    """Normal, what is more than two deviations away drawn again."""
    return initializers.TruncatedNormal(mean, stddev)


@api
def xavier_initializer(uniform: bool = True, seed: Any = None, dtype: Any = None) -> Initializer:
    """Glorot's initial values."""
    refuse("tf.contrib.layers.xavier_initializer", "use uniform=True", uniform=None if uniform else uniform)
    return initializers.glorot_uniform
