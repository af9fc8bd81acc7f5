"""TensorFlow 1.x's initializers.

The arguments ``seed`` and ``dtype`` have no effect. Values depend only on the program's seed and the variable's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from ...declare import initializers
from ...declare.initializers import Initializer, fans
from ...declare.tensor import Tensor
from ...support.api_guard import api
from ...support.errors import ArgumentError
from ..core.dtypes import dtype_name
from ..core.shapes import filled_shape
from ..core.tensors import gives_tensors
from .random import fixed_sizes, initial_values, random_normal, random_uniform, truncated_normal

Factory = TypeVar("Factory", bound=Callable[..., Initializer])


@dataclass(frozen=True)
class ShapeInitializer:
    """Initializer of rnngraph that can also be called with a shape only, as in ``tf.Variable(start([28, 10]))``."""

    initializer: Initializer

    @gives_tensors
    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        """Return a Tensor of initial values, or a NumPy array if the second argument is a generator, as in ``rg``."""
        if isinstance(dtype, np.random.Generator):
            return self.initializer(shape, dtype)
        kind = dtype_name("float32" if dtype is None else dtype)
        return initial_values(self.initializer, fixed_sizes("Initializer", shape), kind)


@dataclass(frozen=True, eq=False)
class ArrayInitializer:
    """Initializer that fills with the entries of an array in order, and then repeats the last entry.

    Attributes:
        value: The array.
        verifies: True to raise ``ShapeError`` if the variable does not have the shape of the array.
    """

    value: np.ndarray
    verifies: bool

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return filled_shape(self.value, tuple(shape), self.verifies)


@dataclass(frozen=True)
class TensorInitializer:
    """Initializer with two parameters that may be Tensors: a bound, for example, may be another variable.

    Attributes:
        drawn: Function of (shape, first, second, dtype) that returns a random Tensor.
        first: First parameter, such as the lower bound or the mean.
        second: Second parameter, such as the upper bound or the standard deviation.
    """

    drawn: Callable[..., Any]
    first: Any
    second: Any

    @gives_tensors
    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Any:
        """Return a Tensor of initial values."""
        return self.drawn(shape, self.first, self.second, dtype_name("float32" if dtype is None else dtype))


def _parametrized(drawn: Callable[..., Any], kind: Callable[[Any, Any], Initializer], first: Any, second: Any) -> Any:
    """Return the initializer ``kind(first, second)``, or a ``TensorInitializer`` if a parameter is a Tensor."""
    if isinstance(first, Tensor) or isinstance(second, Tensor):
        return TensorInitializer(drawn, first, second)
    return kind(first, second)


def initializer_factory(function: Factory) -> Factory:
    """Decorate a function that returns initializers. Programs may then pass the function itself as an initializer."""

    @wraps(function)
    def make(*arguments: Any, **keywords: Any) -> Any:
        initializer: Any = function(*arguments, **keywords)
        return initializer if isinstance(initializer, TensorInitializer) else ShapeInitializer(initializer)

    marked: Any = api(make)
    marked.makes_initializer = True
    return cast("Factory", marked)


@initializer_factory
def zeros_initializer(dtype: Any = None) -> Initializer:
    """Return an initializer that fills with 0."""
    return initializers.zeros


@initializer_factory
def ones_initializer(dtype: Any = None) -> Initializer:
    """Return an initializer that fills with 1."""
    return initializers.ones


@initializer_factory
def constant_initializer(value: Any = 0, dtype: Any = None, verify_shape: bool = False) -> Initializer:
    """Return an initializer that fills with a number, or with the entries of an array in order.

    If the variable has more entries, the last one is repeated. With ``verify_shape``, both must have the same shape.
    """
    is_number = np.ndim(value) == 0 and not verify_shape
    return initializers.Constant(value) if is_number else ArrayInitializer(np.array(value), bool(verify_shape))


@initializer_factory
def glorot_uniform_initializer(seed: Any = None, dtype: Any = None) -> Initializer:
    """Return an initializer, uniform in ±sqrt(6 / (fan_in + fan_out))."""
    return initializers.glorot_uniform


@initializer_factory
def orthogonal_initializer(gain: float = 1.0, seed: Any = None, dtype: Any = None) -> Initializer:
    """Return an initializer of matrices with orthonormal rows or columns, times gain."""
    return initializers.Orthogonal(gain)


@initializer_factory
def random_uniform_initializer(minval: Any = 0, maxval: Any = None, seed: Any = None, dtype: Any = None) -> Any:
    """Return an initializer, uniform in [minval, maxval), by default [0, 1)."""
    high = 1.0 if maxval is None else maxval
    return _parametrized(random_uniform, initializers.Uniform, minval, high)


@initializer_factory
def random_normal_initializer(mean: Any = 0.0, stddev: Any = 1.0, seed: Any = None, dtype: Any = None) -> Any:
    """Return an initializer of normally distributed values."""
    return _parametrized(random_normal, initializers.Normal, mean, stddev)


@initializer_factory
def truncated_normal_initializer(mean: Any = 0.0, stddev: Any = 1.0, seed: Any = None, dtype: Any = None) -> Any:
    """Return an initializer of normal values. Values beyond two standard deviations of the mean are drawn again."""
    return _parametrized(truncated_normal, initializers.TruncatedNormal, mean, stddev)


@initializer_factory
def xavier_initializer(uniform: bool = True, seed: Any = None, dtype: Any = None) -> Initializer:
    """Return Glorot's initializer of variance 2 / (fan_in + fan_out), uniform or truncated normal."""
    return initializers.glorot_uniform if uniform else _variance_scaling(1.0, "fan_avg", "truncated_normal")


@initializer_factory
def glorot_normal_initializer(seed: Any = None, dtype: Any = None) -> Initializer:
    """Return a truncated normal initializer of variance 2 / (fan_in + fan_out)."""
    return _variance_scaling(1.0, "fan_avg", "truncated_normal")


@initializer_factory
def uniform_unit_scaling_initializer(factor: float = 1.0, seed: Any = None, dtype: Any = None) -> Initializer:
    """Return an initializer, uniform in ±factor sqrt(3 / fan_in). fan_in is the product of all sizes but the last."""

    def draw(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        limit = factor * math.sqrt(3.0 / max(1, math.prod(shape[:-1])))
        return generator.uniform(-limit, limit, shape)

    return draw


@initializer_factory
def variance_scaling_initializer(
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    seed: Any = None,
    dtype: Any = None,
) -> Initializer:
    """Return an initializer of variance scale / fan. ``mode`` is fan_in, fan_out or fan_avg."""
    return _variance_scaling(scale, mode, distribution)


@initializer_factory
def contrib_variance_scaling_initializer(
    factor: float = 2.0, mode: str = "FAN_IN", uniform: bool = False, seed: Any = None, dtype: Any = None
) -> Initializer:
    """Return an initializer of variance factor / fan. ``mode`` is FAN_IN, FAN_OUT or FAN_AVG."""
    return _variance_scaling(factor, mode.lower(), "uniform" if uniform else "truncated_normal")


@initializer_factory
def he_normal_initializer(seed: Any = None, dtype: Any = None) -> Initializer:
    """Return a truncated normal initializer of variance 2 / fan_in."""
    return _variance_scaling(2.0, "fan_in", "truncated_normal")


@initializer_factory
def he_uniform_initializer(seed: Any = None, dtype: Any = None) -> Initializer:
    """Return a uniform initializer of variance 2 / fan_in."""
    return _variance_scaling(2.0, "fan_in", "uniform")


@initializer_factory
def lecun_normal_initializer(seed: Any = None, dtype: Any = None) -> Initializer:
    """Return a truncated normal initializer of variance 1 / fan_in."""
    return _variance_scaling(1.0, "fan_in", "truncated_normal")


@initializer_factory
def lecun_uniform_initializer(seed: Any = None, dtype: Any = None) -> Initializer:
    """Return a uniform initializer of variance 1 / fan_in."""
    return _variance_scaling(1.0, "fan_in", "uniform")


def _variance_scaling(scale: float, mode: str, distribution: str) -> Initializer:
    """Return an initializer of variance scale / fan (He et al. 2015).

    Args:
        scale: Numerator of the variance.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: Name of the distribution.
    """
    kinds = ("truncated_normal", "normal", "untruncated_normal", "uniform")
    if mode not in ("fan_in", "fan_out", "fan_avg") or distribution not in kinds:
        raise ArgumentError(
            f"mode={mode!r} must be fan_in, fan_out or fan_avg, and distribution={distribution!r} one of {kinds}"
        )

    def draw(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        deviation = math.sqrt(scale / max(1.0, fan))
        if distribution == "uniform":
            limit = math.sqrt(3.0) * deviation
            return generator.uniform(-limit, limit, shape)
        if distribution == "untruncated_normal":
            return generator.normal(0.0, deviation, shape)
        # Standard deviation of a standard normal distribution that is truncated at ±2, as in TensorFlow.
        return initializers.TruncatedNormal(0.0, deviation / 0.87962566103423978)(shape, generator)

    return draw
