"""TensorFlow 1.x's ``tf.contrib.slim``, as far as its layers are those of ``tf.contrib.layers``."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ...support.api_guard import api
from ..core.names import Namespace
from ..core.names import missing as _missing
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
from ..ops.regularizers import l1_l2_regularizer, l1_regularizer, l2_regularizer
from .layers import linear

__all__ = (
    "analyze_vars", "batch_norm", "bias_add", "dropout", "embed_sequence", "flatten", "fully_connected",
    "l1_l2_regularizer", "l1_regularizer", "l2_regularizer", "layer_norm", "linear", "model_analyzer",
    "one_hot_encoding", "unit_norm", "variance_scaling_initializer", "xavier_initializer",
)  # fmt: skip


@api
def analyze_vars(variables: Sequence[Any], print_info: bool = False) -> tuple[int, int]:
    """(number of elements of variables, their bytes). print_info: also prints a line for each."""
    total = size = 0
    for variable in variables:
        shape = variable.get_shape().as_list()
        elements, width = prod(shape), variable.dtype.size
        total, size = total + elements, size + elements * width
        if print_info:
            print(f"{variable.name}: {shape}, {elements} elements, {elements * width} bytes")
    if print_info:
        print(f"{total} elements, {size} bytes")
    return total, size


model_analyzer = Namespace("contrib.slim.model_analyzer", {"analyze_vars": analyze_vars})


def __getattr__(name: str) -> Any:
    raise _missing("contrib.slim", name)
