"""TensorFlow 1.x's layers: functions and classes that create variables."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...declare.cells.basic import Activation
from ...declare.functions import basic, layers
from ...declare.functions.normalization import scale_and_shift
from ...declare.functions.randomness import KeepProb
from ...declare.initializers import Initializer
from ...declare.parameters import ScopeName
from ...declare.tensor import Tensor, as_tensor, constant
from ...support.api_guard import api
from ...support.arguments import flag
from ...support.errors import ArgumentError, DtypeError, shown
from ..core.dtypes import CONSTRAINED, dtype_name, refuse
from ..core.graph import get_default_graph
from ..core.operations import operation
from ..core.scopes import layer_scope, present_scope, variable_scope
from ..core.tensors import as_tensorflow, gives_tensors
from ..core.variables import array_initializer
from .batch_norms import Normalization, batch_normalized
from .functions import relu, relu6, reshape
from .random import dropout
from .regularizers import penalize_all


def refuse_penalties(what: str, activity: Any, **constraints: Any) -> None:
    """Raise ``ArgumentError`` for a regularizer of a layer's output, or for a constraint, that is not None.

    Args:
        what: TensorFlow's name of the layer.
        activity: The argument ``activity_regularizer``.
        constraints: Arguments such as ``kernel_constraint``, by name.
    """
    refuse(what, "add the penalty to the loss", activity_regularizer=activity)
    refuse(what, CONSTRAINED, **constraints)


COLLECTED = "add the variables with tf.add_to_collection"


@gives_tensors
def dense(
    inputs: Tensor,
    units: int,
    activation: Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    activity_regularizer: Any = None,
    kernel_constraint: Any = None,
    bias_constraint: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | None = None,
) -> Tensor:
    """Return activation(inputs @ kernel + bias), and create the variables ``dense/kernel`` and ``dense/bias``."""
    refuse_penalties(
        "tf.layers.dense", activity_regularizer, kernel_constraint=kernel_constraint, bias_constraint=bias_constraint
    )
    refuse("tf.layers.dense", "use rg.parameter(…, trainable=False)", trainable=None if trainable else False)
    scope = layer_scope("dense", name, reuse)
    starts = starts_of(kernel_initializer, bias_initializer)
    names = ("kernel", "bias") if use_bias else ("kernel",)
    result = layers.affine(inputs, units, activation, scope, names, starts)
    return own_layer(result, scope, kernel=kernel_regularizer, bias=bias_regularizer)


class Dense:
    """``tf.layers.Dense``: a dense layer. All calls share one set of variables.

    The layer's scope is ``name``, by default ``dense``, under the variable scope of the first call. With ``dtype``, the
    layer has variables of that dtype, to which it converts its inputs. By default, they have the dtype of the inputs.
    """

    @api
    def __init__(
        self,
        units: int,
        activation: Activation = None,
        use_bias: bool = True,
        kernel_initializer: Any = None,
        bias_initializer: Any = None,
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
        _reuse: Any = None,
        _scope: Any = None,
    ) -> None:
        what = "tf.layers.Dense"
        refuse_penalties(
            what, activity_regularizer, kernel_constraint=kernel_constraint, bias_constraint=bias_constraint
        )
        refuse(what, "use rg.parameter(…, trainable=False)", trainable=None if trainable else False)
        self.units, self.activation, self.use_bias = units, activation, use_bias
        self._starts, self._penalties = (kernel_initializer, bias_initializer), (kernel_regularizer, bias_regularizer)
        self._name, self._reuse, self._own_scope = name, _reuse, _scope
        self._dtype = None if dtype is None else dtype_name(dtype)
        self._scope: ScopeName | None = None

    @property
    def name(self) -> str:
        """Name of the layer's scope."""
        return self._name or "dense"

    @gives_tensors
    def __call__(self, inputs: Tensor, scope: Any = None) -> Tensor:
        """Return activation(inputs @ kernel + bias)."""
        inputs = inputs if self._dtype is None else basic.cast(inputs, self._dtype)
        first = self._scope is None
        if self._scope is None:
            own_scope = self._own_scope or scope or present_scope().free(self.name)
            self._scope = layer_scope("dense", own_scope, self._reuse)
        names = ("kernel", "bias") if self.use_bias else ("kernel",)
        result = layers.affine(inputs, self.units, self.activation, self._scope, names, starts_of(*self._starts))
        kernel, bias = self._penalties
        return own_layer(result, self._scope, kernel=kernel, bias=bias) if first else result

    apply = __call__

    @property
    def variables(self) -> list[Any]:
        """Variables of the layer; empty before the first call."""
        graph = get_default_graph()
        graph.all_variables()
        return [] if self._scope is None else [graph.variables[spec] for spec in self._scope.specs.values()]

    weights = trainable_variables = trainable_weights = variables

    @property
    def kernel(self) -> Any:
        """Kernel [inputs, units]."""
        return self.variables[0]

    @property
    def bias(self) -> Any:
        """Bias [units]; None for a layer without bias."""
        return self.variables[1] if self.use_bias else None


@gives_tensors
def fully_connected(
    inputs: Tensor,
    num_outputs: int,
    activation_fn: Activation = relu,
    normalizer_fn: Any = None,
    normalizer_params: Any = None,
    weights_initializer: Any = None,
    weights_regularizer: Any = None,
    biases_initializer: Any = "zeros",
    biases_regularizer: Any = None,
    reuse: bool | None = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> Tensor:
    """Return activation_fn(inputs @ weights + biases), by default with relu.

    Creates the variables ``fully_connected/weights`` and ``biases``; no biases with ``biases_initializer=None``.

    Args:
        normalizer_fn: Function that normalises inputs @ weights, such as ``tf.contrib.layers.layer_norm``. It replaces
            the biases.
        normalizer_params: Keyword arguments of ``normalizer_fn``.
        outputs_collections: Collection, or collections, to which the result is added.
    """
    what = "tf.contrib.layers.fully_connected"
    refuse(what, COLLECTED, variables_collections=variables_collections)
    if normalizer_fn is not None:
        if not callable(normalizer_fn):
            raise ArgumentError(f"{what}: normalizer_fn must be a function of a Tensor, not {shown(normalizer_fn)}")
        with variable_scope(scope, "fully_connected", reuse=reuse) as opened:
            result = fully_connected(
                inputs,
                num_outputs,
                None,
                None,
                None,
                weights_initializer,
                weights_regularizer,
                None,
                trainable=trainable,
                scope=opened,
            )
            result = normalizer_fn(result, **(normalizer_params or {}))
        if not isinstance(result, Tensor):
            raise DtypeError(
                f"{what}: normalizer_fn must return a Tensor, as tf.contrib.layers.layer_norm does, not {result!r}"
            )
        return add_to_collections(apply_activation(result, activation_fn), outputs_collections)
    refuse(what, "use rg.parameter(…, trainable=False)", trainable=None if trainable else False)
    name = layer_scope("fully_connected", scope, reuse)
    starts = starts_of(weights_initializer, biases_initializer)
    names = ("weights",) if biases_initializer is None else ("weights", "biases")
    result = layers.affine(inputs, num_outputs, activation_fn, name, names, starts)
    result = own_layer(result, name, weights=weights_regularizer, biases=biases_regularizer)
    return add_to_collections(result, outputs_collections)


linear = partial(fully_connected, activation_fn=None)
fully_connected_relu, fully_connected_relu6 = (
    partial(fully_connected, activation_fn=relu),
    partial(fully_connected, activation_fn=relu6),
)


def starts_of(kernel: Any, bias: Any) -> tuple[Initializer, Initializer]:
    """Return the initializers of kernel and bias for a layer's arguments.

    By default, a kernel has the initializer of the variable scope, or Glorot-uniform without one, and a bias zeros.
    """
    kernel = present_scope().initializer if kernel is None else kernel
    return _initializer(kernel, "glorot_uniform"), _initializer(bias, "zeros")


def _initializer(value: Any, default: str) -> Initializer:
    return array_initializer(default if value is None else value)


def apply_activation(x: Tensor, activation: Activation) -> Tensor:
    """Apply an activation function; return x unchanged if it is None."""
    if activation is None:
        return x
    if not callable(activation):
        raise ArgumentError(f"activation_fn must be a function such as tf.nn.relu, not {shown(activation)}")
    return activation(x)


def add_to_collections(result: Tensor, collections: Any) -> Tensor:
    """Add a layer's result to ``collections`` (a name, a list of names, or None), and return the result."""
    graph = get_default_graph()
    for name in [collections] if isinstance(collections, str) else collections or ():
        graph.add_to_collection(name, as_tensorflow(result))
    return result


def own_layer(result: Tensor, scope: ScopeName, **penalties: Any) -> Tensor:
    """Record a layer's result as owner of the layer's variables, add their penalties, and return the result.

    Args:
        result: The layer's result.
        scope: Scope of the layer.
        penalties: Regularizers, by variable name.
    """
    get_default_graph().own(result)
    penalize_all(scope, penalties)
    return result


@gives_tensors
def batch_normalization(
    inputs: Tensor,
    axis: int = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    beta_initializer: Any = "zeros",
    gamma_initializer: Any = "ones",
    moving_mean_initializer: Any = "zeros",
    moving_variance_initializer: Any = "ones",
    beta_regularizer: Any = None,
    gamma_regularizer: Any = None,
    beta_constraint: Any = None,
    gamma_constraint: Any = None,
    training: Any = False,
    trainable: bool = True,
    name: str | None = None,
    reuse: bool | None = None,
    renorm: bool = False,
    renorm_clipping: Any = None,
    renorm_momentum: float = 0.99,
    fused: bool | None = None,
    virtual_batch_size: int | None = None,
    adjustment: Any = None,
) -> Tensor:
    """Apply ``rg.batch_normalization`` with TensorFlow's arguments.

    The operations in the collection ``tf.GraphKeys.UPDATE_OPS`` update the moving averages. Programs of ``rg.compile``
    do not need these operations. With ``training=True``, the training graph normalises by the batch, steps of a
    ``Trainer`` update the averages, and the inference graph uses the averages.

    Args:
        training: A bool, or a scalar bool Tensor that is fed.
    """
    what = "tf.layers.batch_normalization"
    refuse(what, "add the penalty to the loss", beta_regularizer=beta_regularizer, gamma_regularizer=gamma_regularizer)
    refuse(what, CONSTRAINED, beta_constraint=beta_constraint, gamma_constraint=gamma_constraint)
    refuse(
        what,
        "normalise by the whole batch",
        renorm=renorm or None,
        renorm_clipping=renorm_clipping,
        virtual_batch_size=virtual_batch_size,
        adjustment=adjustment,
    )
    refuse(what, "use rg.parameter(…, trainable=False)", trainable=None if trainable else False)
    scope = layer_scope("batch_normalization", name, reuse)
    starts = {"gamma": gamma_initializer} if scale else {}
    starts |= {"beta": beta_initializer} if center else {}
    starts |= {"moving_mean": moving_mean_initializer, "moving_variance": moving_variance_initializer}
    is_fused = as_tensor(inputs).rank == 4 and (fused is None or flag(fused, "fused"))
    options = Normalization(axis, momentum, epsilon, is_fused=is_fused)
    return batch_normalized(what, inputs, options, scope, starts, training)


@gives_tensors
def flatten(inputs: Tensor, name: str | None = None, data_format: str = "channels_last") -> Tensor:
    """Reshape [batch, …] to [batch, product of the rest]."""
    is_default = data_format == "channels_last"
    refuse("tf.layers.flatten", "transpose the inputs", data_format=None if is_default else data_format)
    return reshape(inputs, [None, -1])


@gives_tensors
def contrib_flatten(inputs: Tensor, outputs_collections: Any = None, scope: Any = None) -> Tensor:
    """Reshape [batch, …] to [batch, product of the rest], and add the result to ``outputs_collections``, if any."""
    return add_to_collections(reshape(inputs, [None, -1]), outputs_collections)


@operation
def normalized(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float, name: str | None = None
) -> Tensor:
    """Return (x - mean) / sqrt(variance + variance_epsilon), times ``scale`` if any, plus ``offset`` if any."""
    x = basic.identity(x)
    gamma, beta = (None if value is None else _in_dtype_of(value, x) for value in (scale, offset))
    return scale_and_shift(x, _in_dtype_of(mean, x), _in_dtype_of(variance, x), gamma, beta, variance_epsilon)


def _in_dtype_of(value: Any, x: Tensor) -> Tensor:
    """Return a value as a Tensor: numbers in the dtype of x, a Tensor unchanged."""
    return value if isinstance(value, Tensor) else constant(value, x.dtype)


@operation
def layer_dropout(
    inputs: Tensor,
    rate: KeepProb = 0.5,
    noise_shape: Any = None,
    seed: int | None = None,
    training: Any = False,
    name: str | None = None,
) -> Tensor:
    """``tf.layers.dropout``: apply dropout if ``training``, a bool or a scalar bool Tensor that is fed, is True."""
    if isinstance(training, Tensor):
        return dropout(inputs, basic.where(training, 1.0 - basic.identity(rate), 1.0), noise_shape, seed)
    if not flag(training, "training"):
        return basic.identity(inputs)
    return dropout(inputs, None, noise_shape, seed, None, rate)
