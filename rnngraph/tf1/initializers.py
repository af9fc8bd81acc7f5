"""TensorFlow 1.x's ``tf.initializers``, and ``tf.keras.initializers``' older names."""

from __future__ import annotations

from typing import Any

from .core.names import missing as _missing
from .core.variables import global_variables_initializer as global_variables
from .core.variables import local_variables_initializer as local_variables
from .core.variables import variables_initializer as variables
from .ops.initializers import constant_initializer as constant
from .ops.initializers import glorot_normal_initializer as glorot_normal
from .ops.initializers import glorot_uniform_initializer as glorot_uniform
from .ops.initializers import he_normal_initializer as he_normal
from .ops.initializers import he_uniform_initializer as he_uniform
from .ops.initializers import lecun_normal_initializer as lecun_normal
from .ops.initializers import lecun_uniform_initializer as lecun_uniform
from .ops.initializers import ones_initializer as ones
from .ops.initializers import orthogonal_initializer as orthogonal
from .ops.initializers import random_normal_initializer as random_normal
from .ops.initializers import random_uniform_initializer as random_uniform
from .ops.initializers import truncated_normal_initializer as truncated_normal
from .ops.initializers import variance_scaling_initializer as variance_scaling
from .ops.initializers import zeros_initializer as zeros

__all__ = (
    "constant", "global_variables", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal",
    "lecun_uniform", "local_variables", "ones", "orthogonal", "random_normal", "random_uniform", "truncated_normal",
    "variables", "variance_scaling", "zeros",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("initializers", name)
