"""Connectionist temporal classification (Graves et al. 2006): loss, greedy decoder and edit distance.

The loss sums over all alignments in a loop over time, whose state has one entry per label and blank.
"""

from __future__ import annotations

from typing import Any

from ...declare.functions import basic as functions
from ...declare.functions.activations import log_softmax
from ...declare.functions.losses import real_steps
from ...declare.seq2seq import ctc
from ...declare.tensor import Tensor, as_tensor, build, constant
from ...ir.types import FLOATS, INTEGERS
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown
from ..core.dtypes import refuse
from ..core.operations import operation
from ..flow.loop import Loop
from .sparse import MaskedSparse, Sparse, check_sparse


@operation
def ctc_loss(
    labels: Any,
    inputs: Any = None,
    sequence_length: Any = None,
    preprocess_collapse_repeated: bool = False,
    ctc_merge_repeated: bool = True,
    ignore_longer_outputs_than_inputs: bool = False,
    time_major: bool = True,
    logits: Any = None,
) -> Tensor:
    """Return the negative log-likelihood of each row's labels, summed over all alignments [batch].

    The last class is the blank.

    Labels that are too long for their row have a loss of infinity, or 0 with ``ignore_longer_outputs_than_inputs``.
    Their gradient is 0.

    Args:
        labels: Sparse int Tensor [batch, longest], such as a ``tf.sparse_placeholder``.
        inputs: Logits [time, batch, classes], or [batch, time, classes] with ``time_major=False``.
        sequence_length: Number of steps of each row, int [batch].
        preprocess_collapse_repeated: Only False is offered.
        ctc_merge_repeated: Only True is offered.
        logits: Another name of ``inputs``.
    """
    refuse(
        "tf.nn.ctc_loss",
        "drop repeated labels before feeding",
        preprocess_collapse_repeated=preprocess_collapse_repeated or None,
    )
    refuse(
        "tf.nn.ctc_loss",
        "leave it out, so that a class in consecutive steps is one label",
        ctc_merge_repeated=None if ctc_merge_repeated else False,
    )
    logits = _time_major(inputs if logits is None else logits, time_major)
    packed, counts = check_sparse(labels, "tf.nn.ctc_loss").packed()
    total = _log_likelihood(packed, counts, log_softmax(logits), _lengths(sequence_length))
    return functions.where(ctc.is_possible(total), -total, 0.0 if ignore_longer_outputs_than_inputs else float("inf"))


def _log_likelihood(labels: Tensor, counts: Tensor, scores: Tensor, lengths: Tensor) -> Tensor:
    """Return the log probability of each row's labels, summed over all alignments [batch].

    Args:
        labels: int [batch, longest]. The size ``longest`` may be symbolic.
        counts: Number of labels of each row, int [batch].
        scores: Log probabilities [time, batch, classes].
        lengths: Number of steps of each row, int [batch].
    """
    steps, rows, _ = scores.type.shape
    longest, kind = labels.type.shape[1], scores.dtype
    labels = functions.where(real_steps(labels, counts), functions.cast(labels, "int64"), 0)
    hit, repeats = ctc.matches(labels, scores.width)
    loop = Loop("tf.nn.ctc_loss", "ctc")
    score, at = loop.element(scores), loop.element(build("iota", size=steps))
    first = functions.concat([_filled(0.0, (rows, 1), kind), _filled(ctc.NEVER, (rows, longest), kind)], 1)
    begin = first, _filled(ctc.NEVER, (rows, longest), kind)
    blanks, marks = (loop.param(name, item.type) for name, item in zip(("blanks", "labels"), begin, strict=True))
    with loop.step():
        real = functions.expand_dims(at < lengths, 1)
        following = ctc.advanced(blanks, marks, score, hit, repeats, scores.width - 1)
        after = [functions.where(real, new, old) for new, old in zip(following, (blanks, marks), strict=True)]
    for param, new, initial in zip((blanks, marks), after, begin, strict=True):
        loop.carry(param, new, initial)
    (blanks, marks), _ = loop.declared(steps)
    return ctc.log_likelihood(blanks, marks, functions.expand_dims(counts, 1))


@operation
def ctc_greedy_decoder(
    inputs: Tensor, sequence_length: Any, merge_repeated: bool = True
) -> tuple[list[Sparse], Tensor]:
    """Return ([sparse Tensor of the decoded classes], negative sum of each row's largest logits [batch, 1]).

    The decoded classes are those with the largest logit of each step, without blanks.

    Args:
        inputs: Logits [time, batch, classes]. The last class is the blank.
        sequence_length: Number of steps of each row, int [batch].
        merge_repeated: True to drop a class that equals the class of the previous step.
    """
    logits, lengths = _time_major(inputs, True), _lengths(sequence_length)
    rows = functions.transpose(logits, (1, 0, 2))
    best = functions.argmax(rows, 2)
    largest = functions.reduce_max(rows, 2)
    real = real_steps(largest, lengths)
    is_kept = functions.logical_and(real, functions.not_equal(best, logits.width - 1))
    if merge_repeated and best.type.shape[1] != 1:
        repeated = functions.equal(best[:, 1:], best[:, :-1])
        first = _filled(False, (best.type.shape[0], 1), "bool")
        is_kept = functions.logical_and(is_kept, functions.logical_not(functions.concat([first, repeated], 1)))
    score = -functions.reduce_sum(functions.where(real, largest, 0.0), 1, keepdims=True)
    return [MaskedSparse(best, is_kept)], score


@operation
def edit_distance(hypothesis: Any, truth: Any, normalize: bool = True, name: str | None = None) -> Tensor:
    """Return the edit distance [batch] between corresponding rows of two sparse Tensors (Levenshtein 1966).

    The distance counts insertions, deletions and substitutions. It is divided by the length of the row of ``truth``
    unless ``normalize=False``. If only that row is empty, the quotient is infinite; if both rows are empty, it is 0.
    """
    what = "tf.edit_distance"
    ids, real = check_sparse(hypothesis, what).steps()
    labels, counts = check_sparse(truth, what).packed()
    rows, longest = labels.type.shape
    places = functions.cast(build("iota", size=longest + 1), "float32")
    offsets = functions.expand_dims(places, 0) - functions.expand_dims(places, 1)  # j - k, for row k and column j
    insertions = functions.where(offsets < 0.0, float("inf"), offsets)
    loop = Loop(what, "edit_distance")
    one, used = (loop.element(functions.transpose(item)) for item in (functions.cast(ids, "int64"), real))
    begin = build("broadcast", places, shape=(rows, longest + 1))
    distance = loop.param("distance", begin.type)
    with loop.step():
        other = functions.not_equal(functions.cast(labels, "int64"), functions.expand_dims(one, 1))
        substituted = distance[:, :-1] + functions.cast(other, "float32")
        smallest = functions.concat([distance[:, :1] + 1.0, functions.minimum(distance[:, 1:] + 1.0, substituted)], 1)
        after = functions.reduce_min(functions.expand_dims(smallest, 2) + insertions, 1)
        after = functions.where(functions.expand_dims(used, 1), after, distance)
    loop.carry(distance, after, begin)
    (last,), _ = loop.declared(ids.type.shape[1])
    end = functions.equal(build("iota", size=longest + 1), functions.expand_dims(counts, 1))
    distances = functions.reduce_sum(functions.where(end, last, 0.0), 1)
    quotients = functions.where(functions.equal(distances, 0.0), 0.0, distances / functions.cast(counts, "float32"))
    return quotients if normalize else distances


def _filled(value: Any, shape: tuple[Any, ...], dtype: str) -> Tensor:
    """Return a Tensor of one value, of a shape that may have symbolic sizes."""
    return build("broadcast", constant(value, dtype), shape=shape)


def _time_major(inputs: Any, time_major: bool) -> Tensor:
    """Return logits as a Tensor [time, batch, classes]. Raise an error for another rank, or fewer than two classes."""
    logits = as_tensor(inputs)
    if logits.rank != 3 or logits.dtype not in FLOATS or not isinstance(logits.type.shape[2], int):
        raise ShapeError(f"logits must be a float Tensor of rank 3 with a fixed number of classes, not {logits!r}")
    if logits.width < 2:
        raise ArgumentError("logits need two classes or more, because the last class is the blank")
    return logits if time_major else functions.transpose(logits, (1, 0, 2))


def _lengths(value: Any) -> Tensor:
    """Return ``sequence_length`` as an int64 Tensor [batch]. Raise ``DtypeError`` for anything else."""
    lengths = as_tensor(value)
    if lengths.rank != 1 or lengths.dtype not in INTEGERS:
        raise DtypeError(f"sequence_length must be an int Tensor [batch], not {shown(value)}")
    return functions.cast(lengths, "int64")
