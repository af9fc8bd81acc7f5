"""Batch normalization with TensorFlow's update operations for the moving averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...declare.functions import basic, normalization
from ...declare.parameters import ParameterSpec, ScopeName
from ...declare.tensor import Tensor, as_tensor, build
from ...ir.types import product
from ...support.errors import DtypeError, NotOfferedError, shown
from ..core.graph import GraphKeys, get_default_graph
from ..core.operations import Operation
from ..core.sizes import size_tensor
from ..table.missing import GUIDE
from .regularizers import penalize_all


@dataclass(frozen=True)
class Normalization:
    """Options of batch normalization.

    Attributes:
        axis: Axis of the channels, each of which has its own mean and variance.
        momentum: Decay of the moving averages.
        epsilon: Number added to the variance.
        collection: Name, or names, of the collections to which the update operations are added. With None, each run
            that computes the output runs the operations.
        is_fused: True for the arithmetic of TensorFlow's fused kernel: the moving variance divides by n - 1, and
            inference subtracts the moving mean first.
    """

    axis: int
    momentum: float
    epsilon: float
    collection: Any = GraphKeys.UPDATE_OPS
    is_fused: bool = False


def batch_normalized(
    what: str, inputs: Any, options: Normalization, scope: ScopeName, starts: Mapping[str, Any], training: Any
) -> Tensor:
    """Return the normalised inputs. Add the operations that update the moving averages to their collections.

    Args:
        what: The function's name, for errors.
        inputs: A Tensor [batch, …].
        options: Options of the layer.
        scope: Scope of the layer.
        starts: Initializers of the variables.
        training: True to normalise by the batch's statistics: a bool or a scalar bool Tensor.
    """
    graph = get_default_graph()
    if not isinstance(training, bool | np.bool_) and not _is_bool_scalar(training):
        raise DtypeError(f"{what}: training must be a bool or a scalar bool Tensor, not {shown(training)}")
    within = graph.within is not None or graph.steps
    if within and (isinstance(training, Tensor) or training):
        raise NotOfferedError(
            f"{what} with training=True in a step of a loop is not offered; pass training=False ({GUIDE})"
        )
    x, by_batch = as_tensor(inputs), training if isinstance(training, Tensor) else bool(training)
    settings = normalization.Normalization(options.axis, options.momentum, options.epsilon, by_batch, options.is_fused)
    normalized, statistics = normalization.normalized_with(x, settings, scope, starts)
    graph.own(normalized)
    penalize_all(scope)
    updates = []
    for name, (average, value) in statistics.items():
        if options.is_fused and name == "moving_variance":
            value = value * _bessel_correction(x, options.axis)
        change = (average - value) * (1.0 - options.momentum)
        change = basic.where(training, change, 0.0) if isinstance(training, Tensor) else change
        updates.append(
            _UpdateMovingAverage(average.node["slot"], change, f"{scope.base.rpartition('/')[2]}/AssignMovingAvg")
        )
    if updates and options.collection is None:
        normalized = build("reshape", normalized, shape=normalized.type.shape)
        graph.require(normalized, updates)
    collection = options.collection
    for name in [collection] if isinstance(collection, str) else collection or ():
        for item in updates:
            graph.add_to_collection(name, item)
    return normalized


def _is_bool_scalar(training: Any) -> bool:
    """True for a scalar bool Tensor."""
    return isinstance(training, Tensor) and training.dtype == "bool" and not training.rank


def _bessel_correction(x: Tensor, axis: int) -> Tensor:
    """Return n / (n - 1), where n is the number of entries of each channel along ``axis``."""
    place = basic.one_axis(x.rank, axis)
    entries = product(size for other, size in enumerate(x.type.shape) if other != place)
    if isinstance(entries, int):
        return basic.cast(as_tensor(float(entries) / max(entries - 1, 1)), x.dtype)
    count = basic.cast(size_tensor(x, entries, "int32"), x.dtype)
    return count / basic.maximum(count - 1.0, 1.0)


class _UpdateMovingAverage(Operation):
    """Operation that subtracts a change from a moving average.

    The average is given by its parameter, because a layer's variables have no names before the graph is compiled.
    """

    def __init__(self, spec: ParameterSpec, change: Tensor, name: str) -> None:
        self._spec, self._change = spec, change
        super().__init__(name)
        self.graph.moved.add(spec)

    def needs(self) -> list[Tensor]:
        return [self._change]

    def writes(self) -> list[ParameterSpec]:
        return [self._spec]

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> np.ndarray:
        self.graph.all_variables()
        variable = self.graph.variables[self._spec]
        session.set_value(variable, session.value(variable) - values[0])
        average: np.ndarray = session.value(variable)
        return average
