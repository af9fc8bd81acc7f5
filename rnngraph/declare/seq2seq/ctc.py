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
from ..functions.activations import log_softmax
from ..functions.basic import (
    cast,
    concat,
    equal,
    exp,
    expand_dims,
    filled_like,
    log,
    maximum,
    reduce_max,
    reduce_sum,
    stop_gradient,
    where,
)
from ..functions.losses import real_steps, reduce_loss
from ..functions.matching import of_rows
from ..running.drivers import dynamic_rnn
from ..tensor import Tensor, build, constant

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
    """Return the CTC loss -log P(labels), where P sums over all alignments (Graves et al. 2006, eq. 8 and 14).

    The loss of labels that do not fit in their row's steps is infinite, with a gradient of 0.

    Args:
        labels: int [batch, longest], where ``longest`` is a declared int. Entries beyond a row's length are ignored.
        logits: float [batch, time, classes].
        label_lengths: int [batch]. None: all labels count.
        logit_lengths: int [batch]. None: all steps count.
        blank_index: Class of the blank.
        weights: One weight for each row, or one for all.
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
    cell = _Alignments(longest, blank_index, logits.dtype, *matches(labels, logits.width))
    _, last = dynamic_rnn(cell, log_softmax(logits), sequence_length=logit_lengths, dtype=logits.dtype, scope="ctc")
    length = constant(longest) if label_lengths is None else expand_dims(cast(label_lengths, "int64"), -1)
    total = log_likelihood(last.blanks, last.labels, length)
    return reduce_loss(where(is_possible(total), -total, float("inf")), weights, None, reduction)


class _Alignments(Cell):
    """Cell that computes the log probabilities of all partial alignments, step by step."""

    def __init__(self, longest: int, blank_index: int, dtype: str, hit: Tensor, repeats: Tensor) -> None:
        self.longest, self.blank_index, self.dtype = longest, blank_index, dtype
        self.hit, self.repeats = hit, repeats

    def state(self) -> dict[str, int]:
        return {"blanks": self.longest + 1, "labels": self.longest}

    def initial_state(self, p: Scope) -> dict[str, Tensor]:
        """Return the state before the first step. Only the blank before the labels has a nonzero probability."""
        blanks, labels = [0.0] + [NEVER] * self.longest, [NEVER] * self.longest
        return {"blanks": constant(blanks, self.dtype), "labels": constant(labels, self.dtype)}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        blanks, labels = advanced(state["blanks"], state["labels"], x, self.hit, self.repeats, self.blank_index)
        return blanks, {"blanks": blanks, "labels": labels}


# The recurrence, also for front ends with loops of their own -------------------------------------------------


def matches(labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return the two masks of labels that ``advanced`` reads.

    Args:
        labels: int64 [batch, longest].
        classes: Number of classes.

    Returns:
        bool [batch, longest, classes], the class of each label as a one-hot vector. And bool [batch, longest], True for
        labels that an alignment cannot reach from the previous label: the first one, and one that repeats the previous.
    """
    hit = build("equal", expand_dims(labels, -1), build("iota", size=classes), within="labels")
    first = build("broadcast", constant(True), shape=(labels.type.shape[0], 1))
    return hit, concat([first, equal(labels[:, 1:], labels[:, :-1])], 1)


def advanced(
    blanks: Tensor, labels: Tensor, scores: Tensor, hit: Tensor, repeats: Tensor, blank_index: int
) -> tuple[Tensor, Tensor]:
    """Return (blanks, labels), the forward variables, after another step (Graves et al. 2006, eq. 6).

    Args:
        blanks: Log probabilities of the alignments that end in the blanks before, between and after the labels, [batch,
            longest + 1].
        labels: Log probabilities of the alignments that end in each label, [batch, longest].
        scores: Log probabilities of the classes [batch, classes].
        hit: As returned by ``matches``.
        repeats: As returned by ``matches``.
        blank_index: Class of the blank.
    """
    before = concat([filled_like(blanks[:, :1], NEVER), labels], 1)  # the label before each blank
    label = reduce_sum(where(hit, expand_dims(scores, 1), 0.0), 2)
    skips = where(repeats, NEVER, before[:, :-1])
    blank = scores[:, blank_index : blank_index + 1]
    return (
        maximum(_log_of_sum([blanks, before]) + blank, NEVER),
        maximum(_log_of_sum([labels, blanks[:, :-1], skips]) + label, NEVER),
    )


def log_likelihood(blanks: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return the log probability of all alignments that end in a row's last label or the blank after it, [batch].

    Args:
        blanks: Log probabilities of the alignments that end in each blank, [batch, longest + 1].
        labels: Log probabilities of the alignments that end in each label, [batch, longest].
        counts: Number of labels of each row, int [batch, 1] or [].
    """
    ends = [
        reduce_max(where(equal(build("iota", size=logs.type.shape[1]), place), logs, NEVER), 1)
        for logs, place in ((blanks, counts), (labels, counts - 1))
    ]
    return _log_of_sum(ends)


def is_possible(total: Tensor) -> Tensor:
    """Return True where labels fit into their row's steps, judged by their log likelihoods ``total``."""
    return build("less", constant(NEVER / 2, total.dtype), total)


def _log_of_sum(logarithms: list[Tensor]) -> Tensor:
    """Return the logarithm of the sum of numbers, elementwise, from Tensors of their logarithms."""
    largest = logarithms[0]
    for item in logarithms[1:]:
        largest = maximum(largest, item)
    largest = stop_gradient(largest)
    total = exp(logarithms[0] - largest)
    for item in logarithms[1:]:
        total = total + exp(item - largest)
    return largest + log(total)


def _check(labels: Tensor, logits: Tensor, blank_index: int) -> None:
    """Raise an error if an argument of ``ctc_loss`` has a wrong dtype, rank or value."""
    if not isinstance(labels, Tensor) or labels.dtype not in INTEGERS or labels.rank != 2:
        raise DtypeError(f"labels must be an int Tensor [batch, longest], not {labels!r}")
    if not isinstance(labels.shape[1], int):
        raise ShapeError(f"the width of labels {labels!r} must be a declared int; declare the maximum number of labels")
    if not isinstance(logits, Tensor) or logits.dtype not in FLOATS or logits.rank != 3:
        raise DtypeError(f"logits must be a float Tensor [batch, time, classes], not {logits!r}")
    if not 0 <= whole_number(blank_index, "blank_index") < logits.width:
        raise ArgumentError(f"blank_index={blank_index} must be a class, 0 to {logits.width - 1}")
