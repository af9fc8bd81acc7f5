"""``tf.contrib.seq2seq.BeamSearchDecoder`` and ``tile_batch``."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...declare.cell import Cell, check_cell
from ...declare.functions import basic as functions
from ...declare.functions.arrays.moves import repeat
from ...declare.nest import flatten, map_leaves, pack
from ...declare.seq2seq.beam import (
    Beam,
    Hypotheses,
    attention_within,
    backtraced,
    continued,
    first_hypotheses,
    reordered,
)
from ...declare.tensor import Tensor, as_tensor, build
from ...declare.tensor import constant as numbers
from ...ir.types import product
from ...support.api_guard import api
from ...support.arguments import units
from ...support.errors import ArgumentError, DtypeError, NotOfferedError, ShapeError, shown
from ..core.operations import operation
from ..core.tensors import as_tensorflow
from ..ops.functions import constant
from ..table.missing import GUIDE
from .decoders import Decoder
from .helpers import embedding_function
from .histories import has_history, inner_cells


@api
class BeamSearchDecoderOutput(NamedTuple):
    """Result of a step of a ``BeamSearchDecoder``: Tensors [batch, beam_width], with a time axis for all steps.

    Attributes:
        scores: Scores of the hypotheses, with penalties.
        predicted_ids: Symbol that each hypothesis ends with, int32.
        parent_ids: Index of the hypothesis of the previous step that each hypothesis continues, int32.
    """

    scores: Any
    predicted_ids: Any
    parent_ids: Any


@api
class BeamSearchDecoderState(NamedTuple):
    """State that a ``BeamSearchDecoder`` carries from step to step.

    Attributes:
        cell_state: Nested Tensors [batch, beam_width, …].
        log_probs: Log probabilities of the hypotheses [batch, beam_width].
        finished: True for hypotheses that have ended [batch, beam_width].
        lengths: Number of symbols of the hypotheses, the end included [batch, beam_width].
        accumulated_attention_probs: Sums of attention [batch, beam_width, entries]; () without a coverage penalty.
    """

    cell_state: Any
    log_probs: Any
    finished: Any
    lengths: Any
    accumulated_attention_probs: Any


@api
class FinalBeamSearchDecoderOutput(NamedTuple):
    """Result of ``dynamic_decode`` for a beam search.

    Attributes:
        predicted_ids: Symbols of the complete hypotheses.
        beam_search_decoder_output: ``BeamSearchDecoderOutput`` of all steps.
    """

    predicted_ids: Any
    beam_search_decoder_output: Any


@operation
def tile_batch(t: Any, multiplier: Any, name: str | None = None) -> Any:
    """Repeat each row of nested Tensors ``multiplier`` times: rows ``[a, b]`` become ``[a, a, b, b]``."""
    count = units(multiplier, "multiplier")

    def tiled(leaf: Any) -> Tensor:
        x = as_tensor(leaf)
        if not x.rank:
            raise ShapeError("tf.contrib.seq2seq.tile_batch needs Tensors [batch, …], not a scalar")
        return repeat(x, count, axis=0)

    return map_leaves(tiled, t)


@operation
def gather_tree(
    step_ids: Any, parent_ids: Any, max_sequence_lengths: Any, end_token: Any, name: str | None = None
) -> Tensor:
    """Return complete hypotheses [steps, batch, beam_width], traced back from the last step by parent indices.

    Args:
        step_ids: Symbols of each step, int [steps, batch, beam_width].
        parent_ids: Index of the hypothesis that each symbol continues, in the same shape.
        max_sequence_lengths: Length of each row's longest hypothesis, int [batch].
        end_token: Symbol that ends a hypothesis, and that fills its steps after the end.
    """
    return backtraced(as_tensor(step_ids), as_tensor(parent_ids), as_tensor(max_sequence_lengths), end_token)


class BeamSearchDecoder(Decoder):
    """Decoder for beam search with a cell (Wu et al. 2016).

    Args:
        embedding: A table [symbols, width], or a function from ids to embeddings.
        start_tokens: int [batch].
        end_token: Int that ends a hypothesis.
        initial_state: State of batch * beam_width rows, from ``tile_batch``.
        output_layer: Layer from the cell's outputs to logits, such as a ``tf.layers.Dense``.
        reorder_tensor_arrays: No effect.
    """

    tracks_own_finished = True

    @api
    def __init__(
        self,
        cell: Cell,
        embedding: Any,
        start_tokens: Any,
        end_token: Any,
        initial_state: Any,
        beam_width: int,
        output_layer: Any = None,
        length_penalty_weight: float = 0.0,
        coverage_penalty_weight: float = 0.0,
        reorder_tensor_arrays: bool = True,
    ) -> None:
        self.cell: Any = check_cell(cell, "BeamSearchDecoder")
        if has_history(cell):
            raise NotOfferedError(f"BeamSearchDecoder records no alignments; leave out alignment_history= ({GUIDE})")
        if output_layer is not None and not callable(output_layer):
            raise DtypeError(f"output_layer must be a layer such as tf.layers.Dense(units), not {shown(output_layer)}")
        tokens = as_tensor(start_tokens) if isinstance(start_tokens, Tensor) else constant(start_tokens, "int32")
        if tokens.rank != 1:
            raise ShapeError(f"start_tokens must be an int Tensor [batch], not {tokens!r}")
        self.embed, self.tokens, self.output_layer = embedding_function(embedding), tokens, output_layer
        self.beam = Beam(beam_width, _end_of(end_token), length_penalty_weight, coverage_penalty_weight)
        self.batch = tokens.type.shape[0]
        self.initial_state = map_leaves(self._split, initial_state)
        start_ids = build("broadcast", functions.expand_dims(tokens, 1), shape=(self.batch, self.beam.width))
        self._start = self.embed(as_tensorflow(start_ids))

    @property
    def batch_size(self) -> Any:
        """Number of rows, without beams."""
        return functions.dimension(self.batch, "int32")

    def _split(self, leaf: Tensor) -> Tensor:
        """Reshape [batch * beam_width, …] to [batch, beam_width, …]."""
        return build("reshape", leaf, shape=(self.batch, self.beam.width, *leaf.type.shape[1:]))

    def _merged(self, leaf: Tensor) -> Tensor:
        """Reshape [batch, beam_width, …] to [batch * beam_width, …]."""
        rows = product((self.batch, self.beam.width))
        return as_tensorflow(build("reshape", leaf, shape=(rows, *leaf.type.shape[2:])))

    def initialize(self, name: str | None = None) -> tuple[Any, Any, Any]:
        leaves = flatten(self.initial_state)
        known = first_hypotheses(self.beam, self.batch, leaves[0].type.dtype, self._no_coverage(leaves))
        state = BeamSearchDecoderState(
            self.initial_state,
            known.log_probs,
            known.finished,
            known.lengths,
            () if known.coverage is None else known.coverage,
        )
        return known.finished, self._start, state

    def _no_coverage(self, leaves: list[Tensor]) -> Tensor | None:
        """Return zeros [batch, beam_width, entries], the initial coverage; None without a coverage penalty."""
        if self.beam.coverage_penalty == 0:
            return None
        mechanisms = [*_mechanisms(self.cell)]
        if not mechanisms:
            raise ArgumentError("coverage_penalty_weight needs a cell with attention; leave out the argument")
        entries = mechanisms[0].memory.type.shape[1]
        return build(
            "broadcast",
            numbers(0.0, leaves[0].type.dtype),
            shape=(self.batch, self.beam.width, entries),
        )

    def step(self, time: Tensor, inputs: Any, state: Any, name: str | None = None) -> tuple[Any, Any, Any, Any]:
        before = map_leaves(self._merged, state.cell_state)
        outputs, after = self.cell(self._merged(inputs), before)
        attention = self._attention([outputs, *flatten(after)], [self._merged(inputs), *flatten(before)])
        logits = self._split(outputs)
        logits = logits if self.output_layer is None else self.output_layer(as_tensorflow(logits))
        if logits.rank != 3 or not isinstance(logits.type.shape[2], int):
            raise ShapeError(f"BeamSearchDecoder needs logits of a fixed number of symbols, not {logits!r}")
        covered = None if self.beam.coverage_penalty == 0 else state.accumulated_attention_probs
        known = Hypotheses(state.log_probs, state.finished, state.lengths, covered)
        chosen, known = continued(self.beam, logits, known, attention)
        moved = [reordered(self._split(leaf), chosen.parents) for leaf in flatten(after)]
        following = BeamSearchDecoderState(
            pack(after, moved),
            known.log_probs,
            known.finished,
            known.lengths,
            () if known.coverage is None else known.coverage,
        )
        output = BeamSearchDecoderOutput(chosen.scores, chosen.words, chosen.parents)
        return output, following, self.embed(as_tensorflow(chosen.words)), known.finished

    def _attention(self, step: list[Tensor], known: list[Tensor]) -> Tensor | None:
        """Return the alignments [batch, beam_width, entries] of a step; None without a coverage penalty.

        Args:
            step: Results of the step.
            known: Operands of the step.
        """
        if self.beam.coverage_penalty == 0:
            return None
        alignment = attention_within([item.node for item in step], [item.node for item in known])
        return None if alignment is None else self._split(alignment)

    def finalize(self, outputs: Any, final_state: Any, sequence_lengths: Tensor) -> tuple[Any, Any]:
        longest = functions.reduce_max(final_state.lengths, 1)
        words = backtraced(outputs.predicted_ids, outputs.parent_ids, longest, self.beam.end)
        return FinalBeamSearchDecoderOutput(words, outputs), final_state


def _end_of(end_token: Any) -> Any:
    """Return ``end_token`` as an int. Raise ``ArgumentError`` for a Tensor that is not constant."""
    if isinstance(end_token, Tensor):
        if end_token.node.op != "constant":
            raise ArgumentError(f"end_token must be an int or a constant Tensor, not {end_token!r}")
        return int(end_token.node["value"])
    return end_token


def _mechanisms(cell: Any) -> Any:
    """Yield the attention mechanisms of a cell and its inner cells."""
    for item in inner_cells(cell):
        if hasattr(item, "attention") and hasattr(item.attention, "memory"):
            yield item.attention
