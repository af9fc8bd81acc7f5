"""TensorFlow 1.x's placeholders, with its names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...declare.placeholders import fed
from ...declare.tensor import Tensor, build
from ...ir.graph import topological
from ...support.api_guard import api
from ...support.arguments import entries
from ...support.errors import DtypeError, NotOfferedError, ShapeError
from ..core.dtypes import dtype_name, string
from ..core.graph import Computed, get_default_graph
from ..core.tensors import as_tensorflow
from ..table.missing import GUIDE
from .functions import constant


@api
def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """Return a Tensor that is fed in runs.

    Without a name it is ``Placeholder``, ``Placeholder_1``, … in order of declaration.

    Args:
        dtype: Dtype of the Tensor.
        shape: A list of ints and None. Without a shape the placeholder is a scalar, as in ``keep_prob =
            tf.placeholder(tf.float32)``.
        name: Name of the placeholder.
    """
    # A placeholder of tf.string is the handle of a feedable iterator, which is an int here.
    if dtype == string and isinstance(dtype, str):
        if shape not in (None, (), []):
            raise NotOfferedError(f"a placeholder of strings is not offered; feed ids, as tf.int32 ({GUIDE})")
        return _new_placeholder("Placeholder", "int64", (), name)
    return _new_placeholder("Placeholder", dtype_name(dtype), () if shape is None else shape, name)


@api
def placeholder_with_default(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """Return a placeholder with the default value ``input``: a number, an array or a Tensor."""
    if isinstance(input, Tensor) and input.node.op != "constant":
        return _with_computed_default(input, shape, name)
    default: np.ndarray = (input if isinstance(input, Tensor) else constant(input)).node["value"]
    sizes = _sizes_with_default(default.shape, shape)
    return _new_placeholder("PlaceholderWithDefault", str(default.dtype), sizes, name, default=default)


def _sizes_with_default(default_sizes: Sequence[Any], shape: Any) -> Sequence[Any]:
    """Return the sizes of a placeholder with a default. Raise ``ShapeError`` if they differ from the default's.

    Args:
        default_sizes: Sizes of the default.
        shape: The program's argument. None: all sizes are symbolic.
    """
    sizes: Sequence[Any] = [None] * len(default_sizes) if shape is None else entries(_sizes(shape), "shape")
    fits = len(sizes) == len(default_sizes)
    if not fits or any(None not in (size, dim) and size != dim for size, dim in zip(sizes, default_sizes, strict=True)):
        raise ShapeError(
            f"a default of shape {tuple(default_sizes)} does not fit a placeholder of shape {tuple(sizes)}"
        )
    return sizes


def _with_computed_default(default: Tensor, shape: Any, name: str | None) -> Tensor:
    """Return a Tensor that can be fed, and otherwise has the value and the gradient of ``default``.

    If ``shape`` has a symbolic size where the default's size is fixed, the result is a placeholder, for which a run
    first computes the default. Gradients do not pass through such a placeholder.
    """
    default_sizes = default.type.shape
    sizes = _sizes_with_default([dim if isinstance(dim, int) else None for dim in default_sizes], shape)
    if all(size == dim or not isinstance(dim, int) for size, dim in zip(sizes, default_sizes, strict=True)):
        target = tuple(dim if size is None else size for size, dim in zip(sizes, default_sizes, strict=True))
        result: Tensor = as_tensorflow(
            build("reshape" if target == default_sizes else "ensure_shape", default, shape=target)
        )
        get_default_graph().name(name or "PlaceholderWithDefault", result)
        return result
    if any(node.op == "parameter" for node in topological([default.node])):
        raise ShapeError(
            f"a placeholder of shape {tuple(sizes)} has a default of shape {tuple(default_sizes)} that depends on "
            "variables; pass the default's shape as shape="
        )
    fed_placeholder = _new_placeholder("PlaceholderWithDefault", default.type.dtype, sizes, name)
    get_default_graph().derived[fed_placeholder.node] = Computed(default.node)
    return fed_placeholder


def _new_placeholder(base: str, dtype: str, shape: Any, name: str | None, **attributes: Any) -> Tensor:
    """Return a new placeholder with the name ``name``, by default ``base``."""
    if name is not None and (not isinstance(name, str) or not name):
        raise DtypeError(f"a placeholder's name must be a string, not {name!r}")
    placeholder: Tensor = as_tensorflow(
        fed(name or base, _sizes(shape), dtype, **({"unnamed": True} if name is None else {}), **attributes)
    )
    get_default_graph().place(placeholder, name)
    return placeholder


def _sizes(shape: Any) -> Any:
    """Return a shape with ints or None in place of ``tf.Dimension``s."""
    if isinstance(shape, int | np.integer):
        return [int(shape)]
    return [getattr(size, "value", size) for size in shape] if isinstance(shape, list | tuple) else shape
