"""Connectionist temporal classification (Graves et al. 2006): a loss for label sequences shorter than their input.

The sum over all alignments is a recurrence over time. It is written as a cell, so its gradient is that of the loop.
"""

from __future__ import annotations

from typing import Any

from ...ir.types import FLOATS, INTEGERS
from ...support.api_guard import api
from ...support.arguments import whole_number
from ...support.errors import ArgumentError, DtypeError, ShapeError
from ..cell import Cell, Scope
from ..running.drivers import dynamic_rnn
from ..tensor import Tensor, build, constant
from .activations import log_softmax
from .basic import cast, concat, equal, exp, expand_dims, log, maximum, reduce_max, reduce_sum, stop_gradient, where
from .losses import real_steps, reduce_loss
from .matching import of_rows

NEVER = -1e30
"""Finite stand-in for log(0), so that sums and differences of it are not NaN."""


@api
def ctc_loss(
    labels: Tensor,
    logits: Tensor,
    label_lengths: Tensor | None = None,
    logit_lengths: Tensor | None = None,
    blank_index: int = 0,
    weights: Any = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """Return the negative log probability of the labels, summed over all alignments (Graves et al. 2006, eq. 8 and 14).

    The loss of labels that do not fit in their row's steps is infinite, with a gradient of 0.

    Args:
        labels: int [batch, longest], where ``longest`` is a declared int. Entries beyond a row's length are ignored.
        logits: float [batch, time, classes].
        label_lengths: int [batch]. None: all labels count.
        logit_lengths: int [batch]. None: all steps count.
        blank_index: Class of the blank.
        weights: One weight a row, or one for all.
        reduction: ``mean`` (divided by the sum of weights), ``sum``, or ``none`` for the losses [batch].

    Raises:
        DtypeError: Labels are not ints, or logits not floats.
        ShapeError: The number of labels is not a declared int.
        ArgumentError: ``blank_index`` is not a class.
    """
    _check(labels, logits, blank_index)
    longest = int(str(labels.shape[1]))
    labels = of_rows(cast(labels, "int64"), logits.type.shape[0], "labels")
    if label_lengths is not None:  # entries beyond a row's length need not be valid labels
        labels = where(real_steps(labels, label_lengths), labels, blank_index)
    hit = build("equal", expand_dims(labels, -1), build("iota", size=logits.type.shape[-1]), within="labels")
    repeats = concat([equal(labels[:, :1], labels[:, :1]), equal(labels[:, 1:], labels[:, :-1])], -1)
    cell = _Alignments(longest, blank_index, logits.dtype, hit, repeats)
    _, last = dynamic_rnn(cell, log_softmax(logits), sequence_length=logit_lengths, dtype=logits.dtype, scope="ctc")
    length = constant(longest) if label_lengths is None else expand_dims(cast(label_lengths, "int64"), -1)
    place = build("iota", size=2 * longest + 1)
    ends = [reduce_max(where(equal(place, end), last, NEVER), -1) for end in (2 * length, 2 * length - 1)]
    total = _log_of_sum(ends)
    fits = build("less", constant(NEVER / 2, logits.dtype), total)
    return reduce_loss(where(fits, -total, float("inf")), weights, None, reduction)


class _Alignments(Cell):
    """Log probabilities of all partial alignments that end at each position (Graves et al. 2006, eq. 6).

    Positions are the labels with blanks before, between and after them.
    """

    def __init__(self, longest: int, blank_index: int, dtype: str, hit: Tensor, repeats: Tensor) -> None:
        self.longest, self.blank_index, self.dtype = longest, blank_index, dtype
        self.hit, self.repeats = hit, repeats

    def state(self) -> dict[str, int]:
        return {"alpha": 2 * self.longest + 1}

    def initial_state(self, p: Scope) -> Tensor:
        """Return the initial state, from which the first step reaches the first blank or the first label."""
        return constant([0.0] + [NEVER] * (2 * self.longest), self.dtype)

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        alpha = state["alpha"]
        never = alpha[:, :1] * 0 + NEVER
        advances = concat([never, alpha[:, :-1]], -1)
        # A label may directly follow the previous one, unless both are equal.
        from_label = where(self.repeats, NEVER, concat([never, self._labels(alpha)[:, :-1]], -1))
        skips = self._between(from_label * 0 + NEVER, from_label, never)
        label = reduce_sum(where(self.hit, expand_dims(x, 1), 0), -1)
        blank = x[:, self.blank_index : self.blank_index + 1]
        emitted = self._between(label * 0 + blank, label, blank)
        alpha = maximum(_log_of_sum([alpha, advances, skips]) + emitted, NEVER)
        return alpha, {"alpha": alpha}

    def _labels(self, places: Tensor) -> Tensor:
        """Return the entries at the labels' positions."""
        return places[:, 1::2]

    def _between(self, blanks: Tensor, labels: Tensor, last: Tensor) -> Tensor:
        """Interleave blanks and labels, with a blank at the end."""
        pairs = concat([expand_dims(blanks, -1), expand_dims(labels, -1)], -1)
        flat = build("reshape", pairs, shape=(labels.type.shape[0], 2 * self.longest))
        return concat([flat, last], -1)


def _log_of_sum(logarithms: list[Tensor]) -> Tensor:
    """Return log(sum(exp)), shifted by the maximum."""
    largest = logarithms[0]
    for item in logarithms[1:]:
        largest = maximum(largest, item)
    largest = stop_gradient(largest)
    total = exp(logarithms[0] - largest)
    for item in logarithms[1:]:
        total = total + exp(item - largest)
    return largest + log(total)


def _check(labels: Tensor, logits: Tensor, blank_index: int) -> None:
    if not isinstance(labels, Tensor) or labels.dtype not in INTEGERS or labels.rank != 2:
        raise DtypeError(f"labels must be an int Tensor [batch, longest], not {labels!r}")
    if not isinstance(labels.shape[1], int):
        raise ShapeError(f"the width of labels {labels!r} must be a declared int; declare the maximum number of labels")
    if not isinstance(logits, Tensor) or logits.dtype not in FLOATS or logits.rank != 3:
        raise DtypeError(f"logits must be a float Tensor [batch, time, classes], not {logits!r}")
    if not 0 <= whole_number(blank_index, "blank_index") < logits.width:
        raise ArgumentError(f"blank_index={blank_index} must be a class, 0 to {logits.width - 1}")
