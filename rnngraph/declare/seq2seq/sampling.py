"""Random draws of classes from logits, for both the training and the inference graph."""

from __future__ import annotations

from typing import Any

from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import number, whole_number
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown, user_line
from ..functions.basic import (
    argmax,
    cast,
    equal,
    exp,
    expand_dims,
    logical_or,
    maximum,
    not_equal,
    reduce_max,
    reduce_min,
    reduce_sum,
    stop_gradient,
    where,
)
from ..functions.randomness import gumbel_of, salt_of
from ..parameters import ScopeName
from ..tensor import Tensor, build, constant, floats, like

MAX_COMPARED = 64
"""Maximum number of classes for which ``top_k`` and ``top_p`` compare all pairs. Above it, they use bisection."""
ROUNDS = 32
"""Number of steps of a bisection, each of which halves an interval between logits."""


@api
def sample(
    logits: Tensor,
    temperature: float | Tensor = 1.0,
    top_k: int | Tensor | None = None,
    top_p: float | Tensor | None = None,
    seed: int | None = None,
) -> Tensor:
    """Draw a class from softmax(logits / temperature), in the inference graph as well as in training.

    The random numbers depend on ``seed``, on the position of this draw in the declaration, on the step, and on
    ``number=``, and on nothing else. ``number=`` is an argument of program calls: one int, or one for each row, by
    default 0. A stream has the number with which it was opened. So a whole call, chunks, steps, pools and exported nets
    draw the same classes. Rows of one call with equal logits and numbers draw equal classes.

    Args:
        logits: float [batch, classes] in a cell's step, [batch, time, …, classes] outside of cells, or [batch, classes]
            at the last step.
        temperature: A float, or a float Tensor: a scalar, or [batch] for each row. 0 takes the largest logit, and so do
            a Tensor's negative values, which no call checks.
        top_k: Draw from this many classes with the largest logits, including ties with the smallest of them. An int, or
            an int64 Tensor as for ``temperature``, whose values below 1 count as 1.
        top_p: Draw from the most probable classes whose probabilities reach this sum, in (0, 1]. A float, or a float
            Tensor as for ``temperature``; a value of 1 or more keeps all classes.
        seed: Int of 64 bits, negative or not, that changes all draws.

    Returns:
        Classes, int64 [batch, …]. A class is -1 where a logit is NaN. The call then raises an error after it ran, even
        if only the next step of the net reads the class.

    Raises:
        ArgumentError: ``temperature`` is negative, ``top_k`` exceeds the classes, or ``top_p`` is outside (0, 1].
    """
    where_ = user_line()
    logits = stop_gradient(_checked(logits))
    classes = logits.type.shape[-1]
    count = _by_row(top_k, logits, "top_k") if isinstance(top_k, Tensor) else sampled_classes(top_k, classes)
    share = _by_row(top_p, logits, "top_p") if isinstance(top_p, Tensor) else sampled_share(top_p)
    divisor = (
        _by_row(temperature, logits, "temperature")
        if isinstance(temperature, Tensor)
        else sampled_temperature(temperature)
    )
    salt = salt_of(seed)
    largest = reduce_max(logits, -1, keepdims=True)
    if divisor is None:
        token = argmax(logits)
    else:
        restricted = _restricted_logits(logits, largest, divisor, count, share)
        noise = build("sample_noise", logits, scope=ScopeName("sample", False, where_), salt=salt, where=where_)
        noise = gumbel_of(maximum(noise, 2.0**-25))
        token = argmax(restricted + cast(noise, restricted.dtype))
        if isinstance(divisor, Tensor):
            is_random = divisor > 0
            token = where(is_random[..., 0] if is_random.rank else is_random, token, argmax(logits))
    is_nan = not_equal(largest, largest)
    return build("select", is_nan[..., 0], constant(-1), token, samples=True, where=where_)


def _checked(logits: Any) -> Tensor:
    """Return logits, after a check that they are floats [..., classes] with a fixed number of classes."""
    if not isinstance(logits, Tensor):
        raise DtypeError(f"sample needs logits as a float Tensor [batch, …, classes], not {shown(logits)}")
    logits = floats(logits, "sample")
    if not logits.rank or not isinstance(logits.type.shape[-1], int):
        raise ShapeError(f"sample needs logits [batch, …, classes] with a fixed number of classes, not {logits!r}")
    return logits


def sampled_classes(top_k: Any, classes: Any) -> int | None:
    """Validate ``top_k``, and return it; None if it excludes none of ``classes`` classes."""
    if top_k is None:
        return None
    count = whole_number(top_k, "top_k", 1)
    if count > classes:
        raise ArgumentError(f"top_k={count} of {classes} classes; give {classes} at most, or None for all")
    return None if count == classes else count


def sampled_share(top_p: Any) -> float | None:
    """Validate ``top_p``, and return it as a float; None if it excludes no class."""
    if top_p is None:
        return None
    share = number(top_p, "top_p")
    if not 0 < share <= 1:
        raise ArgumentError(f"top_p={share:g} is outside (0, 1]; it is a sum of probabilities, and 1 keeps all classes")
    return None if share == 1 else share


def sampled_temperature(value: Any) -> float | None:
    """Validate a temperature, and return it as a float; None for 0, which selects the largest logit."""
    temperature = number(value, "temperature")
    if not temperature >= 0:
        raise ArgumentError(f"temperature={temperature:g} is negative; 0 takes the largest logit")
    return temperature or None


def _by_row(value: Tensor, logits: Tensor, what: str) -> Tensor:
    """Reshape an option of ``sample``, a scalar or [batch], so that it broadcasts with the logits.

    ``what`` is the name of the option. Values of ``top_k`` below 1 become 1.
    """
    is_count = what == "top_k"
    if value.rank > 1 or value.dtype not in (("int64",) if is_count else FLOATS):
        kind = "an int64" if is_count else "a float"
        raise DtypeError(f"{what} must be {kind} Tensor, a scalar or [batch], not {value!r}")
    value = maximum(value, 1) if is_count else cast(value, logits.dtype)
    return value[(slice(None), *[None] * (logits.rank - 1))] if value.rank else value


def _restricted_logits(
    logits: Tensor,
    largest: Tensor,
    temperature: float | Tensor,
    count: int | Tensor | None,
    share: float | Tensor | None,
) -> Tensor:
    """Return (logits - largest) / temperature, with -inf for classes that ``top_k`` and ``top_p`` exclude.

    Args:
        logits: float [batch, …, classes].
        largest: Their maximum along the last axis, which keeps a size of 1.
        temperature: A float, or a Tensor that broadcasts with the logits.
        count: ``top_k``; None: no limit.
        share: ``top_p``; None: no limit.
    """
    if isinstance(temperature, Tensor):
        temperature = maximum(temperature, 1e-30)
    scaled = (
        (logits - largest) / temperature if isinstance(temperature, Tensor) or temperature != 1.0 else logits - largest
    )
    if count is not None:
        scaled = where(_is_among(scaled, count), scaled, float("-inf"))
    if share is not None:
        is_probable = _is_probable(scaled, share)
        if isinstance(share, Tensor):
            is_probable = logical_or(is_probable, share >= 1.0)
        scaled = where(is_probable, scaled, float("-inf"))
    return scaled


def _is_among(x: Tensor, count: int | Tensor) -> Tensor:
    """Return a mask of the ``count`` largest entries of the last axis, ties with the smallest of them included."""
    if x.width <= MAX_COMPARED:
        above = cast(expand_dims(x, -2) > expand_dims(x, -1), "int64")
        return reduce_sum(above, -1) < count
    return x >= _threshold(x, lambda least: reduce_sum(cast(x >= least, "int64"), -1, keepdims=True) >= count)


def _is_probable(x: Tensor, share: float | Tensor) -> Tensor:
    """Return a mask of the most probable entries of the last axis whose probabilities add up to ``share`` or more.

    ``x`` are logits whose maximum along the last axis is 0.
    """
    weights = exp(x)  # x is shifted so that its maximum is 0
    wanted = share * reduce_sum(weights, -1, keepdims=True)
    if x.width <= MAX_COMPARED:
        above = where(expand_dims(x, -2) > expand_dims(x, -1), expand_dims(weights, -2), 0.0)
        return logical_or(reduce_sum(above, -1) < wanted, equal(x, 0.0))
    return x >= _threshold(x, lambda least: reduce_sum(where(x >= least, weights, 0.0), -1, keepdims=True) >= wanted)


def _threshold(x: Tensor, holds: Any) -> Tensor:
    """Return the largest number [..., 1] for which ``holds`` is True, by ``ROUNDS`` steps of bisection.

    The interval is from the smallest finite entry of the last axis to its maximum. The result is at most the exact one.

    Args:
        x: Tensor whose maximum along the last axis is 0.
        holds: Function from numbers [..., 1] to bools. It is True up to some number and False above, such as "at least
            k entries are as large".
    """
    finite = where(x > float("-inf"), x, 0.0)  # the maximum of x is 0
    low, high = reduce_min(finite, -1, keepdims=True), like(0.0, x)
    at_top = holds(high)
    for _ in range(ROUNDS):
        middle = 0.5 * (low + high)
        does = holds(middle)
        low, high = where(does, middle, low), where(does, high, middle)
    return where(at_top, like(0.0, x), low)
