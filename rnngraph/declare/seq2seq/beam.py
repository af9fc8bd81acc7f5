"""Beam search: the best continuations of several hypotheses for each row (Graves 2012; Wu et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.graph import Node, make, topological
from ...ir.types import Dim, TensorType, product
from ...support.api_guard import api
from ...support.arguments import number, units, whole_number
from ...support.errors import user_line
from ...support.records import NamedTuple
from ..cell import Cell
from ..driver import Carry, Iteration, Rows, TracedStep, drive
from ..functions.activations import log_softmax
from ..functions.basic import (
    cast,
    equal,
    expand_dims,
    gather,
    log,
    logical_not,
    logical_or,
    minimum,
    reduce_mean,
    reduce_sum,
    where,
)
from ..functions.cumulative import cumsum
from ..functions.elementary.powers import power
from ..functions.elementary.remainders import floor_divide, remainder
from ..functions.indexing import take_along_axis
from ..functions.orders import top_k
from ..parameters import ScopeName
from ..tensor import Tensor, build, constant
from ..trace import Trace


@api
@dataclass(frozen=True)
class Beam:
    """Beam search for ``rg.dynamic_decode``, which keeps the best hypotheses of each row.

    The score of a hypothesis is log P / ((5 + length) / 6) ** length_penalty. Once the hypothesis has ended,
    coverage_penalty * sum(log(min(a, 1))) is added (Wu et al. 2016). The sum is over the entries of the memory, and a
    is the total attention of all steps on an entry.

    Attributes:
        width: Number of hypotheses for each row.
        end: Id of the word that ends a hypothesis.
        length_penalty: Exponent of the length; 0 compares log P alone.
        coverage_penalty: Weight of the coverage; it needs a cell with attention.
    """

    width: int
    end: int
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        units(self.width, "width")
        whole_number(self.end, "end", 0)
        number(self.length_penalty, "length_penalty")
        number(self.coverage_penalty, "coverage_penalty")


class Hypotheses(NamedTuple):
    """State of the hypotheses of each row in a beam search.

    Attributes:
        log_probs: Logarithm of each hypothesis's probability, float [batch, width].
        finished: True for hypotheses that have ended, bool [batch, width].
        lengths: Number of words, int64 [batch, width], the end word included.
        coverage: Total attention of all steps so far, float [batch, width, entries]. None: no coverage penalty.
    """

    log_probs: Tensor
    finished: Tensor
    lengths: Tensor
    coverage: Tensor | None


class Continuations(NamedTuple):
    """Best continuations of hypotheses by one word, the best first. All attributes are [batch, width].

    Attributes:
        scores: Scores of the continued hypotheses, float.
        words: Their last words, int32.
        parents: Index of the hypothesis of the previous step that each one continues, int32.
    """

    scores: Tensor
    words: Tensor
    parents: Tensor


def first_hypotheses(beam: Beam, batch: Dim, dtype: str, coverage: Tensor | None = None) -> Hypotheses:
    """Return the hypotheses before the first step. Only the first of each row has a nonzero probability.

    ``coverage`` is the initial total attention; None without a coverage penalty.
    """
    first = np.arange(beam.width) == 0
    shape = (batch, beam.width)
    return Hypotheses(
        _spread(constant(np.where(first, 0.0, -np.inf), dtype), shape),
        _spread(constant(~first), shape),
        _spread(constant(0), shape),
        coverage,
    )


def _spread(value: Tensor, shape: tuple[Dim, ...]) -> Tensor:
    return build("broadcast", value, shape=shape)


def continued(
    beam: Beam, logits: Tensor, known: Hypotheses, attention: Tensor | None = None
) -> tuple[Continuations, Hypotheses]:
    """Return the best continuations of each row's hypotheses by one word, and the hypotheses after the step.

    A hypothesis that has ended is continued by the end word alone, without a change of its probability.

    Args:
        beam: Options of the search.
        logits: float [batch, width, words].
        known: Hypotheses before the step.
        attention: Attention of the step, float [batch, width, entries], for the coverage penalty.
    """
    batch, width, words = logits.type.shape
    assert isinstance(words, int), "the number of words is checked before"
    live = logical_not(known.finished)
    ends = np.arange(words) == beam.end
    only_end = constant(np.where(ends, 0.0, np.finfo(logits.dtype).min), logits.dtype)
    log_probs = where(expand_dims(known.finished, 2), only_end, log_softmax(logits))
    totals = expand_dims(known.log_probs, 2) + log_probs
    grows = where(expand_dims(live, 2), constant(np.where(ends, 0, 1)), 0)
    scores = totals / _length_penalty(beam, expand_dims(known.lengths, 2) + grows, logits.dtype)
    covered = known.coverage
    if covered is not None and attention is not None:
        covered = covered + where(expand_dims(live, 2), attention, 0.0)
        scores = scores + expand_dims(_coverage_penalty(beam, covered, known.finished), 2)
    best, places = top_k(build("reshape", scores, shape=(batch, width * words)), beam.width)
    parents, chosen = floor_divide(places, words), remainder(places, words)
    log_probs = take_along_axis(build("reshape", totals, shape=(batch, product((width, words)))), places, 1, False)
    ended = take_along_axis(known.finished, parents, 1, False)
    lengths = take_along_axis(known.lengths, parents, 1, False) + cast(logical_not(ended), "int64")
    following = Hypotheses(
        log_probs,
        logical_or(ended, equal(chosen, beam.end)),
        lengths,
        None if covered is None else reordered(covered, parents),
    )
    return Continuations(best, cast(chosen, "int32"), cast(parents, "int32")), following


def _length_penalty(beam: Beam, lengths: Tensor, dtype: str) -> Any:
    if beam.length_penalty == 0:
        return 1.0
    return power((cast(lengths, dtype) + 5.0) / 6.0, beam.length_penalty)


def _coverage_penalty(beam: Beam, covered: Tensor, finished: Tensor) -> Tensor:
    """Return the coverage penalty that is added to each score, [batch, width]: 0 for hypotheses that have not ended.

    Entries with a total attention of 0 do not count, because they lie beyond a row's length.
    """
    logs = reduce_sum(log(minimum(where(equal(covered, 0.0), 1.0, covered), 1.0)), 2)
    return where(finished, logs * beam.coverage_penalty, 0.0)


def reordered(x: Tensor, parents: Tensor) -> Tensor:
    """Return states in which each hypothesis has the state of its parent.

    Args:
        x: States [batch, width, …] or [batch * width, …].
        parents: Index of each hypothesis's parent among the hypotheses of its row, int [batch, width].
    """
    batch, width = parents.type.shape
    first = build("reshape", build("iota", size=batch), shape=(batch, 1)) * width
    places = cast(parents, "int64") + first
    is_flat = x.type.shape[0] == product((batch, width)) and (x.rank == 1 or x.type.shape[:2] != (batch, width))
    inner = x.type.shape[1:] if is_flat else x.type.shape[2:]
    rows = build("reshape", x, shape=(product((batch, width)), *inner))
    moved = gather(rows, build("reshape", places, shape=(product((batch, width)),)))
    return build("reshape", moved, shape=x.type.shape)


def attention_within(step: list[Node], known: list[Node]) -> Tensor | None:
    """Return the mean attention [rows, entries] of a step's attention mechanisms; None for a step without attention.

    Args:
        step: Nodes that a step builds.
        known: Nodes that existed before the step.
    """
    nodes = topological(step, known=dict.fromkeys(known))
    alignments = [Tensor(node) for node in nodes if node.op == "tap" and node["label"] == "alignments"]
    if len(alignments) < 2:
        return alignments[0] if alignments else None
    return reduce_mean(build("concat", *(expand_dims(item, 2) for item in alignments), axis=2), 2)


class _Back(Cell):
    """Cell of the driver that goes back from the last words of hypotheses to their first words."""

    adds_scope = False

    def state(self) -> Any:
        return {}


def backtraced(words: Tensor, parents: Tensor, longest: Tensor, end: Any) -> Tensor:
    """Return the words of each hypothesis in order, int32 [steps, batch, width], with ``end`` after its first ``end``.

    Equivalent to TensorFlow's ``gather_tree``.

    Args:
        words: Last words of each step, int32 [steps, batch, width].
        parents: Index of the hypothesis of the previous step that each word continues, int32 [steps, batch, width].
        longest: Number of steps of each row's longest hypothesis, int [batch].
        end: Id of the end word, an int or a scalar Tensor.
    """
    where_declared = user_line()
    steps, batch, width = words.type.shape
    trace, scope = Trace("float32", where_declared), ScopeName("backtrace", False, where_declared)
    kind = TensorType("int32", (batch, width))

    def param(label: str, shape: tuple[Dim, ...], dtype: str = "int32") -> Tensor:
        return Tensor(make("input", where=where_declared, type=TensorType(dtype, shape), label=label, body=True))

    place, word, parent = (param(label, kind.shape) for label in ("place", "word", "parent"))
    counts = param("is_within", (batch, 1), "bool")
    step = expand_dims(build("iota", size=steps), 1)
    within = expand_dims(step < expand_dims(cast(longest, "int64"), 0), 2)
    first = build("broadcast", cast(build("iota", size=width), "int32"), shape=kind.shape)
    own = where(counts, take_along_axis(word, place, 1, False), end)
    following = where(counts, take_along_axis(parent, place, 1, False), place)
    traced = TracedStep(
        _Back(),
        trace,
        scope,
        sequences=[(word.node, words), (parent.node, parents), (counts.node, within)],
        carried=[Carry(place.node, following.node, first)],
        outputs=[own.node],
    )
    *_, outputs = drive(traced, Iteration(steps, reverse=True, has_rows=False), Rows())
    ended = cast(equal(outputs, end), "int32")
    return where(cumsum(ended, 0, exclusive=True) > 0, end, outputs)
