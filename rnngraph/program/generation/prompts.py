"""Checks of prompts and of tokens that end a generation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ...support.errors import DtypeError, ShapeError, Where, shown

Ends = Callable[[int], bool]
"""Function that is true for a token that ends its row."""


def prompt_of(ids: Any, state: Any, where: Where | None) -> np.ndarray:
    """Return a prompt as int64 [rows, steps].

    Args:
        ids: The prompt.
        state: State to start from; None for the initial state, which needs a token.
        where: Line of the call.

    Raises:
        DtypeError: The tokens are not integers.
        ShapeError: There are not one or two axes, no row, rows of different lengths, or no token and no state.
    """
    try:
        array = np.asarray(ids)
    except ValueError:
        raise ShapeError(
            "generate takes prompts of one length; run prompts of different lengths by program.inference.generator()",
            where,
        ) from None
    if array.size and array.dtype.kind not in "iu":
        raise DtypeError(f"generate takes integers as tokens, not {array.dtype}; encode the text first", where)
    if array.ndim not in (1, 2) or not len(np.atleast_2d(array)) or (state is None and not array.size):
        raise ShapeError(
            f"generate takes [tokens] or [rows, tokens], not an array of shape {array.shape}; give at least one token",
            where,
        )
    return np.atleast_2d(array).astype(np.int64)


def stops_at(stop: Any, where: Where | None) -> Ends:
    """Return a predicate of tokens that end their row.

    Args:
        stop: A token, several, a function of a token, or None.
        where: Line of the call.

    Raises:
        DtypeError: ``stop`` is none of these.
    """
    if stop is None:
        return lambda token: False
    if callable(stop):
        return lambda token: bool(stop(token))
    tokens = [*stop] if isinstance(stop, Iterable) else [stop]
    if not all(isinstance(token, int | np.integer) and not isinstance(token, bool) for token in tokens):
        raise DtypeError(f"stop={shown(stop)} must be a token, several, or a function of a token", where)
    ends = {int(token) for token in tokens}
    return ends.__contains__
