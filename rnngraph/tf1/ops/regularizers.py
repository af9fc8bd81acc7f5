"""Penalties of variables: ``tf.contrib.layers.l1_regularizer`` and ``l2_regularizer``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...arguments import check_within
from ...declare.functions import basic as functions
from ...declare.tensor import Tensor
from ...errors import DtypeError, shown
from ...public import api
from ..core.graph import GraphKeys, get_default_graph
from .shapes import add_n, l2_loss

Regularizer = Callable[[Tensor], Tensor | None]


@api
def l1_regularizer(scale: float, scope: Any = None) -> Regularizer:
    """scale times the sum of magnitudes; no penalty where it is 0."""
    check_within("scale", scale, 0, float("inf"))
    return lambda weights: functions.reduce_sum(functions.abs(weights)) * float(scale) if scale else None


@api
def l2_regularizer(scale: float, scope: Any = None) -> Regularizer:
    """scale times half the sum of squares; no penalty where it is 0."""
    check_within("scale", scale, 0, float("inf"))
    return lambda weights: l2_loss(weights) * float(scale) if scale else None


@api
def apply_regularization(regularizer: Regularizer, weights_list: Sequence[Any] | None = None) -> Tensor:
    """The sum of the penalties of variables, also collected."""
    graph = get_default_graph()
    found = graph.get_collection(GraphKeys.WEIGHTS) if weights_list is None else weights_list
    if not callable(regularizer) or not all(isinstance(item, Tensor) for item in found):
        raise DtypeError(f"apply_regularization takes a regularizer and variables, not {shown(weights_list)}")
    total = add_n([penalty for item in found if (penalty := regularizer(item)) is not None])
    graph.collections[GraphKeys.REGULARIZATION_LOSSES].append(total)
    return total
