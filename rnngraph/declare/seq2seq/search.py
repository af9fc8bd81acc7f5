"""Beam search in ``dynamic_decode``: several hypotheses of each row, of which the best are continued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ...ir.types import Dim, TensorType, product
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, ShapeError, Where, shown
from ...support.records import dataclass
from ..carried import stored
from ..cell import Cell, InnerCell
from ..driver import Carry, Iteration, Rows, TracedStep, drive
from ..functions.arrays.moves import repeat
from ..functions.basic import cast, logical_not, reduce_max, transpose
from ..functions.statistics import reduce_all
from ..nest import flatten, matched, pack
from ..parameters import ScopeName
from ..running.initial_states import check_step, initial_leaves, state_names
from ..state import Columns, named, public
from ..tensor import Tensor, build, constant
from ..trace import Trace, tracing
from .beam import Beam, Hypotheses, attention_within, backtraced, continued, first_hypotheses, reordered


@api
class BeamSearch(NamedTuple):
    """Result of ``rg.dynamic_decode`` with a beam, the best hypothesis of each row first.

    Attributes:
        words: Ids of the words, int32 [batch, width, max_steps]. Past a hypothesis's end, they are the end word.
        scores: Scores of the hypotheses, float [batch, width].
        lengths: Number of words of each hypothesis, int64 [batch, width], the end word included.
    """

    words: Tensor
    scores: Tensor
    lengths: Tensor


@dataclass
class Search:
    """Builder of one beam search.

    Attributes:
        cell: Cell whose output is a score for each word.
        beam: Number of hypotheses, and the end word.
        batch: Number of rows.
        length: Maximum number of words.
        dtype: Dtype of the states.
        scope: Scope of the parameters.
        where: Line of the declaration.
        param: Function that declares an input of the step by its label and type.
    """

    cell: Cell
    beam: Beam
    batch: Dim
    length: Dim
    dtype: str
    scope: ScopeName
    where: Where | None
    param: Callable[[str, TensorType], Tensor]

    @property
    def rows(self) -> Dim:
        """Number of hypotheses in all rows together."""
        return product((self.batch, self.beam.width))

    @property
    def pair(self) -> tuple[Dim, int]:
        """Number of rows, and of hypotheses per row, as sizes of two axes."""
        return self.batch, self.beam.width

    def run(
        self, first: Tensor, next_input: Callable[[Tensor, None], Tensor], check: Callable[[Any], Tensor], initial: Any
    ) -> BeamSearch:
        """Declare the loop of the search, and return its result.

        Args:
            first: First input of each row.
            next_input: Function of (words, None) that returns the next input of all hypotheses.
            check: Function that validates a result of ``next_input``, and returns it as a Tensor.
            initial: Initial state of each row. None: the cell's own.
        """
        trace = Trace(self.dtype, self.where, self.scope.layer)
        inner = InnerCell(trace, "", self.cell, self.scope.specs, "")
        structure = public(self.cell)
        columns: list[Columns] = flatten(structure)
        kinds = [leaf.type(self.rows, self.dtype) for leaf in columns]
        states = [self.param(name, kind) for name, kind in zip(state_names(self.cell), kinds, strict=True)]
        start = self._start(first)
        fed = self.param("fed", start.type)
        with tracing(self.cell):
            output, new = inner(fed, pack(structure, states))
        after = flatten(new)
        check_step(self.cell, after, kinds, self.where)
        words = self._words(output)
        attention = self._attention([output, *after], [fed, *states])
        before = self._initial_hypotheses(attention)
        known = self._params(before)
        logits = build("reshape", output, shape=(*self.pair, words))
        chosen, following = continued(self.beam, logits, known, attention)
        moved = [reordered(leaf, chosen.parents) for leaf in after]
        fed_next = check(next_input(cast(build("reshape", chosen.words, shape=(self.rows,)), "int64"), None))
        runs, scores = self.param("runs", TensorType("bool", ())), self.param("scores", chosen.scores.type)
        repeated = None if initial is None else self._repeat_states(initial, columns)
        begins = initial_leaves(self.cell, inner, repeated, kinds, self.where)
        begins = [stored(*item) for item in zip(begins, columns, strict=True)]
        carried = [
            *zip(states, moved, begins, strict=True),
            (fed, fed_next, start),
            *zip(known[:3], following[:3], before[:3], strict=True),
            (scores, chosen.scores, before.log_probs),
            (runs, logical_not(reduce_all(following.finished)), constant(True)),
        ]
        if known.coverage is not None and following.coverage is not None and before.coverage is not None:
            carried.append((known.coverage, following.coverage, before.coverage))
        step = TracedStep(
            self.cell,
            trace,
            self.scope,
            sequences=[],
            carried=[Carry(param.node, value.node, begin) for param, value, begin in carried],
            outputs=[chosen.words.node, chosen.parents.node],
            tensor_class=type(self.param("result", start.type)),
        )
        items = drive(step, Iteration(self.length, when=runs.node, has_rows=False), Rows())
        count = len(states)
        lengths, final_scores, (all_words, parents) = items[count + 3], items[count + 4], items[len(carried) :]
        whole = backtraced(all_words, parents, reduce_max(lengths, 1), self.beam.end)
        return BeamSearch(transpose(whole, (1, 2, 0)), final_scores, lengths)

    def _words(self, output: Any) -> int:
        """Return the number of words that the cell scores. Raise ``ShapeError`` for another output."""
        if not isinstance(output, Tensor) or output.rank != 2:
            raise ShapeError(
                f"{self.cell!r}.step returns the output {output!r}; a beam needs [batch, words]", self.where
            )
        words = output.type.shape[-1]
        if not isinstance(words, int) or words < self.beam.width or words <= self.beam.end:
            raise ShapeError(
                f"a beam of {self.beam.width} with the end word {self.beam.end} needs a score for each "
                f"of at least {max(self.beam.width, self.beam.end + 1)} words, but the cell's output has {words}; "
                "project it, as with rg.OutputProjectionWrapper",
                self.where,
            )
        return words

    def _start(self, first: Tensor) -> Tensor:
        """Return the first input of all hypotheses, [rows, width]. ``first`` has one for each row, or one for all."""
        if first.rank == 2 and first.type.shape[0] != 1:
            return repeat(first, self.beam.width, axis=0)
        return build("broadcast", first, shape=(self.rows, first.type.shape[-1]))

    def _repeat_states(self, initial: Any, columns: list[Columns]) -> Any:
        """Repeat the initial states of each row for all of its hypotheses."""
        carried = named(self.cell)
        leaves = matched(carried, initial, f"{self.cell!r}: initial_state", self.where)
        width = self.beam.width
        return pack(
            carried,
            [
                repeat(leaf, width, axis=0)
                if isinstance(leaf, Tensor) and leaf.rank == len(kind.row) + 1 and leaf.type.shape[0] != 1
                else leaf
                for leaf, kind in zip(leaves, columns, strict=True)
            ],
        )

    def _attention(self, step: list[Tensor], known: list[Tensor]) -> Tensor | None:
        """Return the attention of a step, [batch, width, entries]; None without a coverage penalty.

        Args:
            step: Results of the step.
            known: Inputs of the step.
        """
        if self.beam.coverage_penalty == 0:
            return None
        attention = attention_within([item.node for item in step], [item.node for item in known])
        if attention is None:
            raise ArgumentError(
                "coverage_penalty needs a cell that attends to a memory, such as rg.AttentionWrapper; leave it at 0",
                self.where,
            )
        return build("reshape", attention, shape=(*self.pair, attention.type.shape[1]))

    def _initial_hypotheses(self, attention: Tensor | None) -> Hypotheses:
        """Return the hypotheses before the first step."""
        covered = None
        if attention is not None:
            covered = build("broadcast", constant(0.0, attention.type.dtype), shape=attention.type.shape)
        return first_hypotheses(self.beam, self.batch, self.dtype, covered)

    def _params(self, before: Hypotheses) -> Hypotheses:
        """Declare inputs of the step that have the types of ``before``, and return them."""
        labels = ("log_probs", "finished", "lengths", "coverage")
        pairs = zip(labels, before, strict=True)
        return Hypotheses(*(None if item is None else self.param(label, item.type) for label, item in pairs))  # type: ignore[arg-type]


def check_beam(beam: Any, where: Where | None, **others: Any) -> Beam:
    """Return ``beam``, after a check of its type. Raise ``ArgumentError`` if one of ``others`` is not None.

    ``others`` are the options of ``dynamic_decode`` that exclude a beam.
    """
    if not isinstance(beam, Beam):
        raise DtypeError(f"beam must be an rg.Beam(width, end), not {shown(beam)}", where)
    for name, value in others.items():
        if value is not None:
            raise ArgumentError(f"dynamic_decode with a beam takes no {name}; leave it out", where)
    return beam
