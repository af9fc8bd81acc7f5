"""Normalization, embedding and dropout of ``tf.contrib.layers``, with TensorFlow 1.15's variable names."""

from __future__ import annotations

from typing import Any

from ...declare.cells.basic import Activation
from ...declare.functions import basic as functions
from ...declare.functions import normalization
from ...declare.tensor import Tensor, as_tensor
from ...ir.types import FLOATS
from ...support.arguments import check_positive, flag
from ...support.errors import ArgumentError, ShapeError
from ..core.dtypes import dtype_name, refuse
from ..core.graph import GraphKeys
from ..core.scopes import layer_scope, variable_scope
from ..core.tensors import gives_tensors
from ..core.variables import get_variable
from .batch_norms import Normalization, batch_normalized
from .functions import embedding_lookup
from .layers import COLLECTED, add_to_collections, apply_activation
from .random import dropout as drop

_TRAINED = "use tf.get_variable(…, trainable=False)"


@gives_tensors
def layer_norm(
    inputs: Tensor,
    center: bool = True,
    scale: bool = True,
    activation_fn: Activation = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    begin_norm_axis: int = 1,
    begin_params_axis: int = -1,
    scope: Any = None,
) -> Tensor:
    """Normalise each row over the axes from ``begin_norm_axis`` on, by mean and standard deviation.

    Creates the variables ``LayerNorm/beta`` with ``center`` and ``LayerNorm/gamma`` with ``scale``, whose shape is that
    of the axes from ``begin_params_axis`` on. The result is added to ``outputs_collections``, if any.
    """
    what, x = "tf.contrib.layers.layer_norm", as_tensor(inputs)
    refuse(what, _TRAINED, trainable=None if trainable else False)
    refuse(what, COLLECTED, variables_collections=variables_collections)
    if x.dtype not in FLOATS or x.rank < 2:
        raise ShapeError(f"{what} needs a float Tensor with a batch axis and at least one more, not {x!r}")
    norm_axis, params_axis = (functions.one_axis(x.rank, axis) for axis in (begin_norm_axis, begin_params_axis))
    shape = x.type.shape[params_axis:]
    if params_axis < norm_axis:
        raise ShapeError(
            f"{what}: begin_params_axis={params_axis} must not be before begin_norm_axis={norm_axis}, for {x!r}"
        )
    if not all(isinstance(size, int) for size in shape):
        raise ShapeError(f"{what} needs fixed sizes from axis {params_axis} on, not {x!r}")
    with variable_scope(scope, "LayerNorm", reuse=reuse):
        beta = get_variable("beta", shape, x.dtype, "zeros") if flag(center, "center") else None
        gamma = get_variable("gamma", shape, x.dtype, "ones") if flag(scale, "scale") else None
    normalized = normalization.layer_norm(x, gamma, beta, 1e-12, tuple(range(norm_axis, x.rank)))
    return add_to_collections(apply_activation(normalized, activation_fn), outputs_collections)


@gives_tensors
def batch_norm(
    inputs: Tensor,
    decay: float = 0.999,
    center: bool = True,
    scale: bool = False,
    epsilon: float = 0.001,
    activation_fn: Activation = None,
    param_initializers: Any = None,
    param_regularizers: Any = None,
    updates_collections: Any = GraphKeys.UPDATE_OPS,
    is_training: Any = True,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    batch_weights: Any = None,
    fused: Any = None,
    data_format: str = "NHWC",
    zero_debias_moving_mean: bool = False,
    scope: Any = None,
    renorm: bool = False,
    renorm_clipping: Any = None,
    renorm_decay: float = 0.99,
    adjustment: Any = None,
) -> Tensor:
    """Apply ``tf.layers.batch_normalization`` with the arguments of ``tf.contrib.layers``.

    Creates ``BatchNorm/moving_mean`` and ``moving_variance``, with ``center`` ``beta``, and with ``scale`` ``gamma``.

    Args:
        updates_collections: Collection for the operations that update the moving averages. With None, each run that
            computes the output updates the averages.
        outputs_collections: Collection, or collections, to which the result is added.
    """
    what = "tf.contrib.layers.batch_norm"
    refuse(what, _TRAINED, trainable=None if trainable else False)
    refuse(what, COLLECTED, variables_collections=variables_collections)
    refuse(what, "add the penalties to the loss", param_regularizers=param_regularizers)
    refuse(
        what,
        "normalise by the whole batch",
        batch_weights=batch_weights,
        renorm=renorm or None,
        renorm_clipping=renorm_clipping,
        adjustment=adjustment,
        zero_debias_moving_mean=zero_debias_moving_mean or None,
    )
    refuse(what, "transpose the inputs so that their width is last", data_format=_none_if_default(data_format, "NHWC"))
    x = as_tensor(inputs)
    is_fused = x.rank in (2, 4) and (fused is None or flag(fused, "fused"))
    defaults = {"beta": "zeros", "gamma": "ones", "moving_mean": "zeros", "moving_variance": "ones"}
    trained = [name for name, is_used in (("beta", center), ("gamma", scale)) if is_used]
    names = [*(trained if is_fused and x.rank == 2 else trained[::-1]), "moving_mean", "moving_variance"]
    starts = {name: (param_initializers or {}).get(name, defaults[name]) for name in names}
    name = layer_scope("BatchNorm", scope, reuse)
    options = Normalization(-1, decay, epsilon, updates_collections, is_fused)
    normalized = batch_normalized(what, x, options, name, starts, is_training)
    return add_to_collections(apply_activation(normalized, activation_fn), outputs_collections)


def _none_if_default(value: Any, default: Any) -> Any:
    """Return None if an argument has its default, else the argument, which ``refuse`` then rejects."""
    return None if value == default else value


@gives_tensors
def embed_sequence(
    ids: Any,
    vocab_size: int | None = None,
    embed_dim: int | None = None,
    unique: bool = False,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    scope: Any = None,
    reuse: Any = None,
) -> Tensor:
    """Return rows of the variable ``EmbedSequence/embeddings`` [vocab_size, embed_dim] at ids [batch, time].

    ``unique`` has no effect.
    """
    what = "tf.contrib.layers.embed_sequence"
    if (reuse is None or reuse is False) and not (isinstance(vocab_size, int) and isinstance(embed_dim, int)):
        raise ArgumentError(f"{what} needs vocab_size= and embed_dim=; pass ints")
    shape = None if vocab_size is None or embed_dim is None else [vocab_size, embed_dim]
    with variable_scope(scope, "EmbedSequence", reuse=reuse):
        table = get_variable("embeddings", shape, None, initializer, regularizer, trainable)
    return embedding_lookup(table, ids)


@gives_tensors
def dropout(
    inputs: Tensor,
    keep_prob: Any = 0.5,
    noise_shape: Any = None,
    is_training: Any = True,
    outputs_collections: Any = None,
    scope: Any = None,
    seed: int | None = None,
) -> Tensor:
    """Apply dropout if ``is_training``, a bool or a scalar bool Tensor that is fed, is True.

    The result is added to ``outputs_collections``, if any.
    """
    if isinstance(is_training, Tensor):
        keep_prob = functions.where(is_training, functions.identity(keep_prob), 1.0)
    drops = isinstance(is_training, Tensor) or flag(is_training, "is_training")
    return add_to_collections(
        drop(inputs, keep_prob, noise_shape, seed) if drops else as_tensor(inputs), outputs_collections
    )


@gives_tensors
def one_hot_encoding(
    labels: Any,
    num_classes: int | None = None,
    on_value: float = 1.0,
    off_value: float = 0.0,
    outputs_collections: Any = None,
    scope: Any = None,
) -> Tensor:
    """Return one-hot vectors along a new last axis: ``on_value`` at the label, ``off_value`` elsewhere, as float32.

    The result is added to ``outputs_collections``, if any.
    """
    if num_classes is None:
        raise ArgumentError("tf.contrib.layers.one_hot_encoding needs num_classes=")
    encoded = functions.one_hot(labels, num_classes, "float32", -1, on_value, off_value)
    return add_to_collections(encoded, outputs_collections)


@gives_tensors
def unit_norm(inputs: Tensor, dim: int, epsilon: float = 1e-7, scope: Any = None) -> Tensor:
    """Return inputs / sqrt(s + epsilon), where s is the sum of squares along the axis ``dim``."""
    check_positive("epsilon", epsilon)
    x = as_tensor(inputs)
    squares = functions.reduce_sum(functions.square(x), dim, keepdims=True)
    return x / functions.sqrt(squares + epsilon)


@gives_tensors
def bias_add(
    inputs: Tensor,
    activation_fn: Activation = None,
    initializer: Any = "zeros",
    regularizer: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    data_format: Any = None,
    scope: Any = None,
) -> Tensor:
    """Return activation_fn(inputs + biases), with the variable ``BiasAdd/biases`` [last axis].

    The result is added to ``outputs_collections``, if any.
    """
    x = as_tensor(inputs)
    refuse("tf.contrib.layers.bias_add", "transpose the inputs", data_format=data_format)
    refuse("tf.contrib.layers.bias_add", COLLECTED, variables_collections=variables_collections)
    with variable_scope(scope, "BiasAdd", reuse=reuse):
        biases = get_variable("biases", [x.width], dtype_name(x.dtype), initializer, regularizer, trainable)
    return add_to_collections(apply_activation(x + biases, activation_fn), outputs_collections)
