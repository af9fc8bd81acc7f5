"""Layers that several formats have, declared in a script with a file's arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..declare.functions.layers import dense
from ..declare.parameters import parameter
from .script import Script
from .steps import Value


def declare_dense(
    script: Script,
    x: Value,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    activation: str | None = None,
    base: str = "dense",
) -> Value:
    """A dense layer. kernel: [width, units]. base: of the scope."""
    scope = script.scope(base)
    script.own(scope, {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias})
    options: dict[str, Any] = {} if activation is None else {"activation": activation}
    if bias is None:
        options["use_bias"] = False
    return script.call(dense, x, kernel.shape[1], **options, name=scope)


def declare_parameter(script: Script, base: str, array: np.ndarray, hint: str, trainable: bool = True) -> Value:
    """A parameter that stands by itself."""
    name = script.scope(base)
    script.parameters[name] = np.ascontiguousarray(array)
    options: dict[str, Any] = {} if array.dtype == np.float32 else {"dtype": str(array.dtype)}
    options |= {} if trainable else {"initializer": "zeros", "trainable": False}
    return script.call(parameter, name, array.shape, **options, hint=hint)
