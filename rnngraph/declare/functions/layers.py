"""Layers outside time: they own parameters, named by their order of declaration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...arguments import units as positive_units
from ...errors import DtypeError, ShapeError, user_line
from ...ir.graph import make
from ...ir.types import FLOATS, INTEGERS, TensorType
from ...public import api
from ..initializers import Initializer, initializer_of
from ..parameters import ParameterSpec, ScopeName
from ..tensor import Tensor
from .activations import activation_function
from .basic import gather


def owned(scope: ScopeName, name: str, shape: tuple[int, ...], dtype: str, initializer: str | Initializer) -> Tensor:
    """A parameter of a layer, under the layer's scope."""
    spec = ParameterSpec(TensorType(dtype, shape), initializer_of(initializer), True, scope.where, within=name)
    return Tensor(make("parameter", where=scope.where, type=spec.type, label=name, slot=spec, scope=scope))


@api
def dense(
    x: Tensor,
    units: int,
    activation: str | Callable[[Any], Tensor] | None = None,
    use_bias: bool = True,
    name: str | None = None,
) -> Tensor:
    """activation(x kernel + bias) on the last axis: x [..., width] gives [..., units].

    Owns ``dense/kernel`` [width, units] and ``dense/bias`` [units], then ``dense_1/…``; ``name`` replaces
    ``dense``.
    """
    scope = ScopeName(name or "dense", name is not None, user_line())
    return affine(x, units, activation, scope, ("kernel", "bias") if use_bias else ("kernel",))


def affine(
    x: Tensor,
    units: int,
    activation: str | Callable[[Any], Tensor] | None,
    scope: ScopeName,
    names: tuple[str, ...],
    initializers: tuple[Any, ...] = ("glorot_uniform", "zeros"),
) -> Tensor:
    """What dense layers share. names: of the kernel, and of the bias where there is one."""
    where = scope.where
    if not isinstance(x, Tensor) or x.dtype not in FLOATS:
        raise DtypeError(f"dense needs a float Tensor, not {x!r}", where)
    if x.rank < 1 or not isinstance(x.type.shape[-1], int):
        raise ShapeError(f"dense needs a fixed last size, not {x!r}", where)
    count = positive_units(units, "units")
    result = x @ owned(scope, names[0], (x.width, count), x.dtype, initializers[0])
    if len(names) == 2:
        result = result + owned(scope, names[1], (count,), x.dtype, initializers[1])
    return activation_function(activation)(result)


@api
def embedding(ids: Tensor, vocabulary: int | Tensor, width: int | None = None, name: str | None = None) -> Tensor:
    """Rows of a table at ``ids``: ids [...] gives [..., width].

    vocabulary: the number of rows of a table that this layer owns as ``embedding/table``, or a table
    [vocabulary, width] of one's own. An id outside the table is an error at run time.
    """
    where = user_line()
    if not isinstance(ids, Tensor) or ids.dtype not in INTEGERS:
        raise DtypeError(f"embedding needs ids of int32 or int64, not {ids!r}", where)
    if isinstance(vocabulary, Tensor):
        return gather(vocabulary, ids)
    if width is None:
        raise ShapeError("embedding needs a width where it owns its table", where)
    scope = ScopeName(name or "embedding", name is not None, where)
    shape = (positive_units(vocabulary, "vocabulary"), positive_units(width, "width"))
    return gather(owned(scope, "table", shape, "float32", "glorot_uniform"), ids)
