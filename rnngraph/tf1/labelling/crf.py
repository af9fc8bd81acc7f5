"""Linear-chain conditional random fields: ``tf.contrib.crf`` (Lafferty et al. 2001).

Sums and maxima over all paths are recurrences over time, declared as cells with their gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...declare.cell import Cell, Scope
from ...declare.functions import basic as functions
from ...declare.functions.losses import real_steps
from ...declare.functions.statistics import logsumexp
from ...declare.parameters import ScopeName
from ...declare.running.run import Run
from ...declare.tensor import Tensor, as_tensor, build
from ...ir.types import FLOATS, INTEGERS
from ...support.api_guard import api
from ...support.arguments import array_of
from ...support.errors import DtypeError, ShapeError, shown, user_line
from ..core.operations import operation
from ..core.variables import get_variable


@operation
def crf_log_likelihood(
    inputs: Tensor, tag_indices: Tensor, sequence_lengths: Any, transition_params: Any = None
) -> tuple[Tensor, Tensor]:
    """Return (log-likelihood of each row's tags [batch], transition scores [tags, tags]).

    Args:
        inputs: Scores of tags [batch, time, tags].
        tag_indices: int [batch, time].
        sequence_lengths: Number of steps of each row, int [batch].
        transition_params: Scores [tags, tags] from each tag to the next. None creates the variable ``transitions``.
    """
    inputs = _scores(inputs)
    if transition_params is None:
        transition_params = get_variable("transitions", [inputs.width, inputs.width], inputs.dtype)
    score = crf_sequence_score(inputs, tag_indices, sequence_lengths, transition_params)
    return score - crf_log_norm(inputs, sequence_lengths, transition_params), as_tensor(transition_params)


@operation
def crf_sequence_score(inputs: Tensor, tag_indices: Tensor, sequence_lengths: Any, transition_params: Any) -> Tensor:
    """Return the score [batch] of each row's tags: the sum of unary and binary scores."""
    unary = crf_unary_score(tag_indices, sequence_lengths, inputs)
    return unary + crf_binary_score(tag_indices, sequence_lengths, transition_params)


@operation
def crf_unary_score(tag_indices: Tensor, sequence_lengths: Any, inputs: Tensor) -> Tensor:
    """Return the sum [batch] over steps of the scores in ``inputs`` of each row's tags."""
    inputs = _scores(inputs)
    tags, real = _tags(tag_indices, sequence_lengths)
    hit = build("equal", functions.expand_dims(tags, -1), build("iota", size=inputs.width), within="tag_indices")
    hit = functions.logical_and(hit, functions.expand_dims(real, -1))
    return functions.reduce_sum(functions.reduce_sum(functions.where(hit, inputs, 0.0), 2), 1)


@operation
def crf_binary_score(tag_indices: Tensor, sequence_lengths: Any, transition_params: Any) -> Tensor:
    """Return the sum [batch] over steps of the scores of transitions between each row's tags."""
    table = _transitions(transition_params, None)
    tags, real = _tags(tag_indices, sequence_lengths)
    if tags.type.shape[1] == 1:
        return build("broadcast", as_tensor(np.zeros((), table.dtype)), shape=tags.type.shape[:1])
    pairs = tags[:, :-1] * table.width + tags[:, 1:]
    scores = functions.gather(functions.reshape(table, (table.width * table.width, 1)), pairs)
    return functions.reduce_sum(functions.where(real[:, 1:], functions.squeeze(scores, 2), 0.0), 1)


@operation
def crf_log_norm(inputs: Tensor, sequence_lengths: Any, transition_params: Any) -> Tensor:
    """Return log(sum of exp(score) over all tag sequences) for each row [batch]; 0 for rows of length 0."""
    inputs = _scores(inputs)
    cell = _AllPaths(_transitions(transition_params, inputs))
    _, last = _run_after_first_step(cell, inputs, sequence_lengths)
    return functions.where(functions.greater(_lengths(sequence_lengths), 0), logsumexp(last, 1), 0.0)


@operation
def crf_decode(potentials: Tensor, transition_params: Any, sequence_length: Any) -> tuple[Tensor, Tensor]:
    """Return (best tags int32 [batch, time], their scores [batch]) of each row (Viterbi 1967).

    Tags past a row's end are 0. A row of length 0 is decoded as a row of length 1.

    Args:
        potentials: Scores of tags [batch, time, tags].
        transition_params: Scores [tags, tags] from each tag to the next.
        sequence_length: Number of steps of each row, int [batch].
    """
    inputs = _scores(potentials)
    table = _transitions(transition_params, inputs)
    sources, last = _run_after_first_step(_BestPaths(table), inputs, sequence_length)
    best = functions.cast(functions.expand_dims(functions.argmax(last, 1), 1), inputs.dtype)
    steps = build("iota", size=inputs.type.shape[1])
    end = functions.maximum(_lengths(sequence_length) - 1, 0)
    tags = functions.where(functions.equal(steps, functions.expand_dims(end, 1)), best, 0.0)
    if sources is not None:
        before, _ = _run(_Backtrack(inputs.width), sources, end, best, reverse=True)
        tags = tags + _append_zeros(functions.squeeze(before, 2))
    return functions.cast(tags, "int32"), functions.reduce_max(last, 1)


def _append_zeros(x: Tensor) -> Tensor:
    """Return x [batch, time] with a last step of zeros."""
    zero = build("broadcast", as_tensor(np.zeros((), x.dtype)), shape=(x.type.shape[0], 1))
    return functions.concat([x, zero], 1)


@api
def viterbi_decode(score: Any, transition_params: Any) -> tuple[list[int], Any]:
    """Return (best tags, their score) of one row, computed with NumPy.

    Args:
        score: Scores of tags [time, tags].
        transition_params: Scores [tags, tags] from each tag to the next.
    """
    score, table = (array_of(item, "viterbi_decode needs arrays") for item in (score, transition_params))
    if score.ndim != 2 or not len(score) or table.shape != (score.shape[1], score.shape[1]):
        raise ShapeError(
            f"viterbi_decode needs scores [time, tags] and transitions [tags, tags], not {score.shape} and "
            f"{table.shape}; pass the results of session.run, one row at a time"
        )
    trellis, sources = score[0], []
    for row in score[1:]:
        paths = trellis[:, None] + table
        sources.append(np.argmax(paths, 0))
        trellis = row + np.max(paths, 0)
    tags = [int(np.argmax(trellis))]
    for source in reversed(sources):
        tags.append(int(source[tags[-1]]))
    return tags[::-1], np.max(trellis)


# Recurrences -----------------------------------------------------------------------------------------


class _AllPaths(Cell):
    """Cell of the forward algorithm: alpha'_j = x_j + log sum_i exp(alpha_i + transitions_ij).

    ``exp(alpha_j)`` sums over all paths to the tag j.
    """

    def __init__(self, transitions: Tensor) -> None:
        self.transitions, self.tags = transitions, transitions.width

    def state(self) -> dict[str, int]:
        return {"alpha": self.tags}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        paths = functions.expand_dims(state["alpha"], 2) + self.transitions
        alpha = x + logsumexp(paths, 1)
        return alpha, {"alpha": alpha}


class _BestPaths(_AllPaths):
    """Cell whose state is the score of the best path to each tag. The output is the previous tag of each best path."""

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        paths = functions.expand_dims(state["alpha"], 2) + self.transitions
        source = functions.cast(functions.argmax(paths, 1), x.dtype)
        return source, {"alpha": x + functions.reduce_max(paths, 1)}


class _Backtrack(Cell):
    """Cell that backtracks from a tag to the previous tag on the best path. Inputs are outputs of ``_BestPaths``."""

    def __init__(self, tags: int) -> None:
        self.tags = tags

    def state(self) -> dict[str, int]:
        return {"tag": 1}

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        places = functions.cast(build("iota", size=self.tags), x.dtype)
        hit = functions.equal(places, state["tag"])
        before = functions.reduce_sum(functions.where(hit, x, 0.0), 1, keepdims=True)
        return before, {"tag": before}


def _run_after_first_step(cell: Cell, inputs: Tensor, lengths: Any) -> tuple[Tensor | None, Tensor]:
    """Run a cell whose initial state is the first step's scores. Return (outputs of later steps, final state)."""
    if inputs.type.shape[1] == 1:
        return None, inputs[:, 0]
    return _run(cell, inputs[:, 1:], functions.maximum(_lengths(lengths) - 1, 0), inputs[:, 0])


def _run(cell: Cell, inputs: Tensor, lengths: Tensor, initial: Tensor, reverse: bool = False) -> tuple[Tensor, Tensor]:
    """Run a cell over inputs [batch, time, width]. Return (outputs, final state)."""
    where = user_line()
    run = Run(inputs, lengths, None, False, None, False, ScopeName("crf", False, where), where)
    return run.over(cell, initial, reverse=reverse)


# Arguments -------------------------------------------------------------------------------------------


def _scores(inputs: Any) -> Tensor:
    """Return scores as a Tensor. Raise ``ShapeError`` unless they are floats [batch, time, a fixed number of tags]."""
    scores = as_tensor(inputs)
    if scores.rank != 3 or scores.dtype not in FLOATS or not isinstance(scores.type.shape[2], int):
        raise ShapeError(
            f"scores must be a float Tensor [batch, time, tags] with a fixed number of tags, not {scores!r}"
        )
    return scores


def _transitions(matrix: Any, inputs: Tensor | None) -> Tensor:
    """Return transition scores as a Tensor. Raise an error if their shape or dtype does not match the scores of tags.

    Args:
        matrix: The program's argument.
        inputs: Scores of tags; None: the matrix must be square.
    """
    table = as_tensor(matrix)
    tags = table.type.shape[-1] if inputs is None else inputs.width
    if table.type.shape != (tags, tags):
        raise ShapeError(f"transitions between {tags} tags must be a Tensor [{tags}, {tags}], not {table!r}")
    if inputs is not None and table.dtype != inputs.dtype:
        raise DtypeError(f"transitions are {table.dtype} and scores {inputs.dtype}; convert one with tf.cast")
    return table


def _tags(ids: Any, lengths: Any) -> tuple[Tensor, Tensor]:
    """Return (tags as int64, mask of the steps before a row's end), both [batch, time]. Other tags are 0."""
    tags = as_tensor(ids)
    if tags.rank != 2 or tags.dtype not in INTEGERS:
        raise DtypeError(f"tag_indices must be an int Tensor [batch, time], not {shown(tags)}")
    tags = functions.cast(tags, "int64")
    real = real_steps(tags, _lengths(lengths))
    return functions.where(real, tags, 0), real


def _lengths(value: Any) -> Tensor:
    """Return ``sequence_lengths`` as an int64 Tensor [batch]. Raise ``DtypeError`` for anything else."""
    lengths = as_tensor(value)
    if lengths.rank != 1 or lengths.dtype not in INTEGERS:
        raise DtypeError(f"sequence_lengths must be an int Tensor [batch], not {shown(lengths)}")
    return functions.cast(lengths, "int64")
