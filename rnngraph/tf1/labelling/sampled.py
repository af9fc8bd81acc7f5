"""Losses over a sample of the classes: ``tf.nn.nce_loss`` and ``sampled_softmax_loss``.

Each run draws other classes. By default, classes are drawn as in TensorFlow: log-uniformly, without repetition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, as_tensor
from ...support.arguments import whole_number
from ...support.errors import ArgumentError, ShapeError
from ..core.dtypes import refuse
from ..core.operations import operation
from ..ops.losses import sigmoid_cross_entropy_with_logits, softmax_cross_entropy_with_logits
from ..ops.random import drawn_together

MASKED_LOGIT = -1e30
"""Logit of a drawn class that equals a label of its row. Its softmax is 0."""


@dataclass(frozen=True)
class LogUniform:
    """Log-uniform sampler of distinct classes. P(c) is proportional to log((c + 2) / (c + 1)).

    Attributes:
        count: Number of classes to draw.
        classes: Number of classes to draw from.
        returns_tries: True to return the number of draws until ``count`` classes are distinct, instead of the classes.
    """

    count: int
    classes: int
    returns_tries: bool

    def __call__(self, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
        distinct: dict[int, None] = {}
        number = 0
        while len(distinct) < self.count:
            drawn = np.exp(generator.random(self.count) * math.log(self.classes + 1.0)).astype(np.int64) - 1
            for drawn_class in np.minimum(drawn, self.classes - 1):
                number += 1
                distinct[int(drawn_class)] = None
                if len(distinct) == self.count:
                    break
        return np.asarray(number if self.returns_tries else list(distinct))


@operation
def log_uniform_candidate_sampler(
    true_classes: Any,
    num_true: int,
    num_sampled: int,
    unique: bool,
    range_max: int,
    seed: Any = None,
    name: str | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw distinct classes. Return (classes, expected counts of labels, expected counts of the classes).

    The expected count of a class is the probability that the class is drawn. ``num_true`` has no effect.

    Args:
        true_classes: Labels, int [batch, num_true].
        num_sampled: Number of classes to draw.
        unique: Only True is offered: classes are drawn without repetition.
        range_max: Number of classes to draw from.

    Returns:
        int64 [num_sampled], float32 in the shape of ``true_classes``, float32 [num_sampled].
    """
    if not unique:
        raise ArgumentError("tf.nn.log_uniform_candidate_sampler draws without repetition only; pass unique=True")
    count, classes = whole_number(num_sampled, "num_sampled", 1), whole_number(range_max, "range_max", 1)
    if count > classes:
        raise ArgumentError(f"{count} distinct classes can't be drawn from {classes}; reduce num_sampled")
    parts = [(LogUniform(count, classes, False), (count,), "int64"), (LogUniform(count, classes, True), (), "float32")]
    sampled, tries = drawn_together("candidates", parts, seed)

    def expected(ids: Tensor) -> Tensor:
        number = functions.cast(ids, "float32")
        share = functions.log1p(1.0 / (number + 1.0)) / math.log(classes + 1.0)
        return -functions.expm1(tries * functions.log1p(-share))

    return sampled, expected(as_tensor(true_classes)), expected(sampled)


@dataclass(frozen=True)
class _Sampling:
    """Arguments of a sampled loss that say which classes it samples.

    Attributes:
        sampled: Number of classes to draw.
        classes: Number of classes to draw from.
        true: Number of labels of a row.
        values: Result of a sampler that the program called; None to call the default sampler.
    """

    sampled: Any
    classes: Any
    true: Any
    values: Sequence[Any] | None


def _logits(
    what: str, weights: Any, biases: Any, labels: Any, inputs: Any, sampling: _Sampling
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (logits of labels [batch, num_true], logits of drawn classes [batch, num_sampled], labels, drawn classes).

    The log of each class's expected count is subtracted from its logits.
    """
    table, bias = _single_tensor(what, weights), _single_tensor(what, biases)
    inputs, labels = as_tensor(inputs), as_tensor(labels)
    if labels.rank != 2 or inputs.rank != 2:
        raise ShapeError(
            f"{what} needs labels [batch, num_true] and inputs [batch, width], not {labels!r} and {inputs!r}"
        )
    count = labels.type.shape[1]
    if isinstance(count, int) and count != sampling.true:
        raise ShapeError(f"{what}: num_true={sampling.true}, but labels are {labels!r}; pass num_true={count}")
    drawn = sampling.values or log_uniform_candidate_sampler(
        labels, sampling.true, sampling.sampled, True, sampling.classes
    )
    sampled, expected_labels, expected_sampled = drawn
    true = functions.reduce_sum(functions.expand_dims(inputs, 1) * functions.gather(table, labels), 2)
    true = true + functions.gather(bias, labels)
    others = functions.matmul(inputs, functions.transpose(functions.gather(table, sampled), (1, 0)))
    others = others + functions.gather(bias, sampled)
    true = true - functions.cast(functions.log(expected_labels), true.dtype)
    return true, others - functions.cast(functions.log(expected_sampled), others.dtype), labels, sampled


def _single_tensor(what: str, table: Any) -> Tensor:
    """Return weights or biases as one Tensor. Raise ``ArgumentError`` for a list of several."""
    if isinstance(table, list | tuple) and len(table) > 1:
        raise ArgumentError(f"{what} needs one Tensor of weights or biases; join partitions with tf.concat")
    return as_tensor(table[0] if isinstance(table, list | tuple) else table)


def _without_hits(others: Tensor, labels: Tensor, sampled: Tensor) -> Tensor:
    """Return ``others``, the logits of drawn classes, with ``MASKED_LOGIT`` for those that are labels of the row."""
    own = functions.equal(functions.expand_dims(functions.cast(labels, "int64"), 2), functions.cast(sampled, "int64"))
    hit = functions.reduce_sum(functions.cast(own, "int32"), 1) > 0
    return functions.where(hit, MASKED_LOGIT, others)


@operation
def nce_loss(
    weights: Any,
    biases: Any,
    labels: Any,
    inputs: Any,
    num_sampled: int,
    num_classes: int,
    num_true: int = 1,
    sampled_values: Any = None,
    remove_accidental_hits: bool = False,
    partition_strategy: str = "mod",
    name: str = "nce_loss",
) -> Tensor:
    """Return the noise-contrastive estimation loss [batch] (Gutmann & Hyvärinen 2010).

    Args:
        weights: [num_classes, width].
        biases: [num_classes].
        labels: int [batch, num_true].
        inputs: [batch, width].
        num_sampled: Number of classes to draw for the whole batch.
        num_classes: Number of classes.
        num_true: Number of labels of a row.
        sampled_values: Result of a sampler. None: that of ``tf.nn.log_uniform_candidate_sampler``.
        remove_accidental_hits: True to ignore drawn classes in rows where they are labels.
        partition_strategy: No effect.
    """
    sampling = _Sampling(num_sampled, num_classes, num_true, sampled_values)
    true, others, labels, sampled = _logits("tf.nn.nce_loss", weights, biases, labels, inputs, sampling)
    if remove_accidental_hits:
        others = _without_hits(others, labels, sampled)
    share = functions.filled_like(true, 1.0 / num_true)
    of_labels = sigmoid_cross_entropy_with_logits(labels=share, logits=true)
    of_others = sigmoid_cross_entropy_with_logits(labels=functions.filled_like(others, 0.0), logits=others)
    return functions.reduce_sum(of_labels, 1) + functions.reduce_sum(of_others, 1)


@operation
def sampled_softmax_loss(
    weights: Any,
    biases: Any,
    labels: Any,
    inputs: Any,
    num_sampled: int,
    num_classes: int,
    num_true: int = 1,
    sampled_values: Any = None,
    remove_accidental_hits: bool = True,
    partition_strategy: str = "mod",
    name: str = "sampled_softmax_loss",
    seed: Any = None,
) -> Tensor:
    """Return the softmax cross-entropy [batch] over the labels and the drawn classes.

    Arguments are those of ``nce_loss``; ``seed`` is not offered.
    """
    refuse(
        "tf.nn.sampled_softmax_loss",
        "pass sampled_values=tf.nn.log_uniform_candidate_sampler(..., seed=...)",
        seed=seed,
    )
    sampling = _Sampling(num_sampled, num_classes, num_true, sampled_values)
    true, others, labels, sampled = _logits("tf.nn.sampled_softmax_loss", weights, biases, labels, inputs, sampling)
    if remove_accidental_hits:
        others = _without_hits(others, labels, sampled)
    share = functions.concat([functions.filled_like(true, 1.0 / num_true), functions.filled_like(others, 0.0)], 1)
    return softmax_cross_entropy_with_logits(labels=share, logits=functions.concat([true, others], 1))
