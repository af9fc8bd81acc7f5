"""TensorFlow 1.x's ``tf.contrib.slim``, as far as its layers are those of ``tf.contrib.layers``."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ...public import api
from ..core.names import Namespace
from ..core.names import missing as _missing
from .layers import batch_norm as batch_norm
from .layers import bias_add as bias_add
from .layers import dropout as dropout
from .layers import embed_sequence as embed_sequence
from .layers import flatten as flatten
from .layers import fully_connected as fully_connected
from .layers import l1_l2_regularizer as l1_l2_regularizer
from .layers import l1_regularizer as l1_regularizer
from .layers import l2_regularizer as l2_regularizer
from .layers import layer_norm as layer_norm
from .layers import linear as linear
from .layers import one_hot_encoding as one_hot_encoding
from .layers import unit_norm as unit_norm
from .layers import variance_scaling_initializer as variance_scaling_initializer
from .layers import xavier_initializer as xavier_initializer


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
