"""TensorFlow 1.x's ``tf.contrib.layers``."""

from __future__ import annotations

from functools import partial as _partial
from typing import Any

from ..core.names import missing as _missing
from ..ops.functions import relu as _relu
from ..ops.functions import relu6 as _relu6
from ..ops.initializers import variance_scaling_initializer, xavier_initializer
from ..ops.layers import flatten, fully_connected
from ..ops.normalizers import (
    batch_norm,
    bias_add,
    dropout,
    embed_sequence,
    layer_norm,
    one_hot_encoding,
    unit_norm,
)
from ..ops.regularizers import (
    apply_regularization,
    l1_l2_regularizer,
    l1_regularizer,
    l2_regularizer,
    sum_regularizer,
)
from ..train.optimize_loss import OPTIMIZER_CLS_NAMES, OPTIMIZER_SUMMARIES, optimize_loss

__all__ = (
    "OPTIMIZER_CLS_NAMES", "OPTIMIZER_SUMMARIES", "apply_regularization", "batch_norm", "bias_add", "dropout",
    "embed_sequence", "flatten", "fully_connected", "l1_l2_regularizer", "l1_regularizer", "l2_regularizer",
    "layer_norm", "linear", "one_hot_encoding", "optimize_loss", "relu", "relu6", "sum_regularizer", "unit_norm",
    "variance_scaling_initializer", "xavier_initializer", "xavier_initializer_conv2d",
)  # fmt: skip

xavier_initializer_conv2d = xavier_initializer
linear = _partial(fully_connected, activation_fn=None)
relu, relu6 = _partial(fully_connected, activation_fn=_relu), _partial(fully_connected, activation_fn=_relu6)


def __getattr__(name: str) -> Any:
    raise _missing("contrib.layers", name)
