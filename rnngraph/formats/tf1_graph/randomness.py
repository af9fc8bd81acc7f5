"""Removes random numbers that do not affect the result, such as dropout that drops nothing, and noise times 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..operators.errors import UnreadableError


@dataclass(frozen=True)
class Drawn:
    """Random numbers in [low, high), of which the ONNX model contains only the shape.

    Attributes:
        shape: Name of the ONNX value of their shape.
        dtype: Their dtype.
        low: Minimum.
        high: Exclusive maximum.
    """

    shape: str
    dtype: str
    low: float = -math.inf
    high: float = math.inf


DRAWS = "it draws random numbers; fix its keep_prob to 1.0, its stddev to 0.0, or the switch of training, with fixed="


def without_draws(
    op: str, operands: Sequence[str | Drawn], arrays: Sequence[np.ndarray | None]
) -> Drawn | float | bool | tuple[Drawn, int]:
    """Evaluate a node whose operands include random numbers, of which only the bounds are known.

    For example, with u in [0, 1), ``floor(1 + u)`` is 1 (dropout by ``keep_prob``), and ``u >= 0`` is True (dropout by
    ``rate``).

    Args:
        op: Op of the node.
        operands: Names of values, or random numbers.
        arrays: The operands' arrays; None for operands that are not constant.

    Returns:
        A constant result; the random numbers that the result is; or, for a product with zeros, (random numbers, index
        of the operand that is zero).

    Raises:
        UnreadableError: The result is neither constant nor random numbers with known bounds.
    """
    places = [place for place, item in enumerate(operands) if isinstance(item, Drawn)]
    drawn = operands[places[0]]
    assert isinstance(drawn, Drawn)
    if op == "Floor" and drawn.low >= 1 and drawn.high <= 2:
        return 1.0
    other = arrays[1 - places[0]] if len(operands) == 2 and len(places) == 1 else None
    if other is None:
        raise UnreadableError(DRAWS)
    if op == "Mul" and not np.any(other):
        return drawn, 1 - places[0]
    if other.size == 1:
        number = float(other.reshape(-1)[0])
        match op:
            case "Mul" if number > 0:
                return replace(drawn, low=drawn.low * number, high=drawn.high * number)
            case "Mul":
                return replace(drawn, low=-math.inf, high=math.inf)
            case "Add":
                return replace(drawn, low=drawn.low + number, high=drawn.high + number)
            case "GreaterOrEqual" if places[0] == 0 and drawn.low >= number:
                return True
    raise UnreadableError(DRAWS)
