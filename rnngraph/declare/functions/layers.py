"""Layers without a time axis. They own parameters, which are numbered in the order of declaration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir.graph import make
from ...ir.types import FLOATS, INTEGERS, TensorType
from ...support.api_guard import api
from ...support.arguments import flag, whole_number
from ...support.arguments import units as positive_units
from ...support.errors import DtypeError, ShapeError, user_line
from ..initializers import DEFAULT_INITIALIZER, Initializer, initializer_of
from ..layer import within
from ..parameters import ParameterSpec, ScopeName, scope_name
from ..tensor import Tensor
from .activations import activation_function
from .basic import equal, expand_dims, gather, stop_gradient, where
from .randomness import by_graph


def owned(
    scope: ScopeName,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    initializer: str | Initializer,
    trainable: bool = True,
) -> Tensor:
    """Return the parameter ``name`` of a scope. The first layer of the scope creates it, and later ones share it."""
    kind = TensorType(dtype, shape)
    spec = scope.specs.get(name)
    if spec is None:
        spec = ParameterSpec(kind, initializer_of(initializer), trainable, scope.where, within=name)
        scope.specs[name] = spec
    if spec.type != kind:
        raise ShapeError(
            f"parameter {scope.base}/{name} is {spec.type}, and this layer needs {kind}; give the layer another name",
            scope.where,
        )
    return parameter_of(scope, name)


def parameter_of(scope: ScopeName, name: str) -> Tensor:
    """Return a parameter that a layer of this scope has created."""
    spec = scope.specs[name]
    return Tensor(make("parameter", where=scope.where, type=spec.type, label=name, slot=spec, scope=scope))


@api
def dense(
    x: Tensor,
    units: int,
    activation: str | Callable[[Any], Tensor] | None = None,
    use_bias: bool = True,
    name: str | None = None,
) -> Tensor:
    """Return activation(x @ kernel + bias), a product over the last axis of x.

    Parameters: ``dense/kernel`` [width, units] and ``dense/bias`` [units]. The next layer has ``dense_1/…``.

    Args:
        x: float [..., width].
        units: Width of the result.
        activation: Name, function, or None for no activation.
        use_bias: Add a bias.
        name: Scope of the parameters in place of ``dense``.

    Returns:
        Tensor [..., units].

    Raises:
        DtypeError: x is not a float Tensor.
        ShapeError: The last size of x is symbolic.
    """
    scope = scope_name(name, "dense", user_line())
    return affine(x, units, activation, scope, ("kernel", "bias") if flag(use_bias, "use_bias") else ("kernel",))


def affine(
    x: Tensor,
    units: int,
    activation: str | Callable[[Any], Tensor] | None,
    scope: ScopeName,
    names: tuple[str, ...],
    initializers: tuple[Any, ...] = (DEFAULT_INITIALIZER, "zeros"),
) -> Tensor:
    """Return a dense layer of x. ``names`` has the name of the kernel, and of the bias if there is one."""
    where = scope.where
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"dense needs a float Tensor, not {x!r}; convert it with rg.constant or rg.cast", where)
    if x.rank < 1 or not isinstance(x.type.shape[-1], int):
        raise ShapeError(
            f"dense needs an input whose last axis has a fixed size, not {x!r}; give the last axis an int in the "
            "placeholder's shape, or add an axis with rg.expand_dims",
            where,
        )
    count = positive_units(units, "units")
    with within(scope.layer):
        result = x @ owned(scope, names[0], (x.width, count), x.dtype, initializers[0])
        if len(names) == 2:
            result = result + owned(scope, names[1], (count,), x.dtype, initializers[1])
        return activation_function(activation)(result)


@api
def embedding(
    ids: Tensor,
    vocabulary: int | Tensor,
    width: int | None = None,
    name: str | None = None,
    padding_id: int | None = None,
) -> Tensor:
    """Return the row of a table for each id.

    Args:
        ids: int [...]. Each call checks that fed ids are in 0..vocabulary - 1. Computed ids are clamped to that range.
        vocabulary: Number of rows of a new table, the parameter ``embedding/table``. Or a table [vocabulary, width].
        width: Width of a new table. No effect with a table as ``vocabulary``.
        name: Scope of a new table in place of ``embedding``. No effect with a table as ``vocabulary``.
        padding_id: Id whose row gets no gradient. None: all rows get gradients.

    Returns:
        Tensor [..., width].

    Raises:
        DtypeError: The ids are not ints.
        ShapeError: ``width`` is missing for a new table.
    """
    at = user_line()
    if not isinstance(ids, Tensor) or ids.dtype not in INTEGERS:
        raise DtypeError(f"embedding needs ids of int32 or int64, not {ids!r}", at)
    if isinstance(vocabulary, Tensor):
        return _without_gradient_at(gather(vocabulary, ids, negative=False), ids, padding_id)
    if width is None:
        raise ShapeError(
            "embedding needs a width for its own table; give width=, or a table in place of the number of rows", at
        )
    scope = scope_name(name, "embedding", at)
    shape = (positive_units(vocabulary, "vocabulary"), positive_units(width, "width"))
    with within(scope.layer):
        rows = gather(owned(scope, "table", shape, "float32", DEFAULT_INITIALIZER), ids, negative=False)
        return _without_gradient_at(rows, ids, padding_id)


def _without_gradient_at(rows: Tensor, ids: Tensor, padding_id: int | None) -> Tensor:
    """Return the rows looked up for ``ids``. In the training graph, those of ``padding_id`` pass no gradient."""
    if padding_id is None:
        return rows
    is_padding = expand_dims(equal(ids, whole_number(padding_id, "padding_id", 0)), -1)
    return by_graph(training=where(is_padding, stop_gradient(rows), rows), inference=rows)
