"""Penalties of variables: ``tf.contrib.layers.l1_regularizer``, ``l2_regularizer`` and their combinations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...declare.functions import basic as functions
from ...declare.functions import layers
from ...declare.parameters import ScopeName
from ...declare.tensor import Tensor
from ...support.api_guard import api
from ...support.arguments import check_within
from ...support.errors import DtypeError, shown
from ..core.graph import GraphKeys, get_default_graph
from ..core.scopes import present_scope
from ..core.tensors import gives_tensors
from ..core.variables import penalize
from .shapes import add_n, l2_loss

Regularizer = Callable[[Tensor], Tensor | None]
no_regularizer = None


def penalize_all(scope: ScopeName, penalties: Mapping[str, Any] | None = None) -> None:
    """Add the penalties of a layer's variables to the regularization losses, once for each variable.

    Args:
        scope: Scope of the layer.
        penalties: The layer's regularizers, by variable name. All other variables get the variable scope's regularizer.
    """
    graph, usual = get_default_graph(), present_scope().regularizer
    for name, spec in scope.specs.items():
        if spec not in graph.penalised:
            graph.penalised.add(spec)
            own = (penalties or {}).get(name)
            penalize(layers.parameter_of(scope, name), usual if own is None else own, scope.where)


@api
def l1_regularizer(scale: float, scope: Any = None) -> Regularizer:
    """Return a regularizer: the function scale * sum(abs(weights)), which returns None if scale is 0."""
    check_within("scale", scale, 0, float("inf"))
    return lambda weights: functions.reduce_sum(functions.abs(weights)) * float(scale) if scale else None


@api
def l2_regularizer(scale: float, scope: Any = None) -> Regularizer:
    """Return a regularizer: the function scale * sum(weights^2) / 2, which returns None if scale is 0."""
    check_within("scale", scale, 0, float("inf"))
    return lambda weights: l2_loss(weights) * float(scale) if scale else None


@api
def l1_l2_regularizer(scale_l1: float = 1.0, scale_l2: float = 1.0, scope: Any = None) -> Regularizer:
    """Return a regularizer that is the sum of the L1 and the L2 penalty."""
    return sum_regularizer([l1_regularizer(scale_l1), l2_regularizer(scale_l2)])


@api
def sum_regularizer(regularizer_list: Sequence[Regularizer | None], scope: Any = None) -> Regularizer:
    """Return a regularizer that is the sum of several regularizers. None among them is ignored."""
    parts = [item for item in regularizer_list if item is not None]
    if not all(map(callable, parts)):
        raise DtypeError(f"sum_regularizer needs regularizers, not {shown(regularizer_list)}")

    def penalty(weights: Tensor) -> Tensor | None:
        losses = [loss for part in parts if (loss := part(weights)) is not None]
        return add_n(losses) if losses else None

    return penalty


@gives_tensors
def apply_regularization(regularizer: Regularizer, weights_list: Sequence[Any] | None = None) -> Tensor:
    """Return the sum of the penalties of variables, and add it to the regularization losses.

    The variables are ``weights_list``, by default those in the collection ``WEIGHTS``.
    """
    graph = get_default_graph()
    variables = graph.get_collection(GraphKeys.WEIGHTS) if weights_list is None else weights_list
    if not callable(regularizer):
        raise DtypeError(
            f"regularizer={shown(regularizer)} is not a function; pass one such as "
            "tf.contrib.layers.l2_regularizer(0.1)"
        )
    for item in variables:
        if not isinstance(item, Tensor):
            raise DtypeError(f"weights_list must contain variables, not {shown(item)}")
    total = add_n([penalty for item in variables if (penalty := regularizer(item)) is not None])
    graph.collections[GraphKeys.REGULARIZATION_LOSSES].append(total)
    return total
