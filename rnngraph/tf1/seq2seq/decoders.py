"""``tf.contrib.seq2seq.dynamic_decode`` and ``BasicDecoder``."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...declare.cell import Cell, check_cell
from ...declare.functions import basic as functions
from ...declare.functions.losses import real_steps
from ...declare.nest import flatten, map_leaves, pack
from ...declare.parameters import ScopeName
from ...declare.running.run import Run
from ...declare.tensor import Tensor, as_tensor, build
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, shown, user_line
from ..cells.variables import variables_of
from ..core.graph import get_default_graph
from ..core.operations import runs_after_dependencies
from ..core.scopes import variable_scope
from ..ops.functions import transpose
from .helpers import Helper, TrainingHelper
from .histories import alignments_of, check_history, has_history, with_history
from .stepping import Stepping, selected_nest, zeros_like

_WHAT = "tf.contrib.seq2seq.dynamic_decode"


@api
class BasicDecoderOutput(NamedTuple):
    """Result of a step of a ``BasicDecoder``: Tensors [batch, …], with a time axis for all steps."""

    rnn_output: Any
    sample_id: Any


class Decoder:
    """Base of decoders, which programs may subclass.

    ``initialize()`` returns (finished [batch], first inputs, first state), and ``step(time, inputs, state)`` returns
    (outputs, next state, next inputs, finished).
    """

    @api
    def __init__(self) -> None:
        """Do nothing: the base class has no arguments."""

    tracks_own_finished = False  # True if the mask that `step` returns includes all rows that finished earlier

    def initialize(self, name: str | None = None) -> tuple[Any, Any, Any]:
        """Return (mask of finished rows, first inputs, first state)."""
        raise ArgumentError(f"{type(self).__name__} has no initialize; define a method initialize()")

    def step(self, time: Tensor, inputs: Any, state: Any, name: str | None = None) -> tuple[Any, Any, Any, Any]:
        """Return (outputs, next state, next inputs, mask of finished rows)."""
        raise ArgumentError(f"{type(self).__name__} has no step; define a method step(time, inputs, state)")

    def finalize(self, outputs: Any, final_state: Any, sequence_lengths: Tensor) -> tuple[Any, Any]:
        """Return the results of ``dynamic_decode``, from all steps' outputs and the final state."""
        return outputs, final_state


class BasicDecoder(Decoder):
    """Decoder that runs a cell on inputs that a helper chooses.

    Args:
        output_layer: Layer that is applied to the cell's output, such as a ``tf.layers.Dense``.
    """

    @api
    def __init__(self, cell: Cell, helper: Helper, initial_state: Any, output_layer: Any = None) -> None:
        self.cell: Any = check_cell(cell, "BasicDecoder")
        if not isinstance(helper, Helper):
            raise DtypeError(
                f"BasicDecoder needs a helper such as tf.contrib.seq2seq.TrainingHelper, not {shown(helper)}"
            )
        if output_layer is not None and not callable(output_layer):
            raise DtypeError(f"output_layer must be a layer such as tf.layers.Dense(units), not {shown(output_layer)}")
        self.helper, self.initial_state, self.output_layer = helper, initial_state, output_layer

    @property
    def batch_size(self) -> Any:
        """Number of rows of the batch."""
        return self.helper.batch_size

    def initialize(self, name: str | None = None) -> tuple[Any, Any, Any]:
        return (*self.helper.initialize(), self.initial_state)

    def step(self, time: Tensor, inputs: Any, state: Any, name: str | None = None) -> tuple[Any, Any, Any, Any]:
        outputs, after = self.cell(inputs, state)
        outputs = outputs if self.output_layer is None else self.output_layer(outputs)
        sample = self.helper.sample(time=time, outputs=outputs, state=after)
        finished, following, after = self.helper.next_inputs(time=time, outputs=outputs, state=after, sample_ids=sample)
        return BasicDecoderOutput(outputs, sample), after, following, finished


@runs_after_dependencies
def dynamic_decode(
    decoder: Decoder,
    output_time_major: bool = False,
    impute_finished: bool = False,
    maximum_iterations: Any = None,
    parallel_iterations: int = 32,
    swap_memory: bool = False,
    scope: Any = None,
) -> tuple[Any, Any, Tensor]:
    """Run a decoder until all rows are finished. Return (outputs, final state, lengths int32 [batch]).

    Outputs are [batch, steps, …], or [steps, batch, …] with ``output_time_major``. The size ``steps`` is always the
    maximum, and outputs after the longest row are 0; TensorFlow cuts them off.

    With ``AttentionWrapper(alignment_history=True)``, the final state has ``alignment_history``.

    Args:
        impute_finished: If True, a finished row outputs 0 and keeps its state.
        maximum_iterations: Maximum number of steps. It may be None if the helper reads a sequence, such as that of a
            ``TrainingHelper``. The length of the sequence is then the maximum.
        parallel_iterations: No effect.
        swap_memory: No effect.
    """
    if not isinstance(decoder, Decoder):
        raise DtypeError(f"{_WHAT} needs a decoder such as tf.contrib.seq2seq.BasicDecoder, not {shown(decoder)}")
    with variable_scope(scope, "decoder"):
        cell = getattr(decoder, "cell", None)
        check_history(cell)
        if type(decoder) is BasicDecoder and type(decoder.helper) is TrainingHelper and not has_history(cell):
            outputs, state, lengths = _decode_teacher_forced(decoder, impute_finished, maximum_iterations)
        else:
            outputs, state, lengths = _decode_step_by_step(decoder, impute_finished, maximum_iterations)
        outputs, state = decoder.finalize(outputs, state, lengths)
    if not output_time_major:
        outputs = map_leaves(lambda leaf: transpose(leaf, (1, 0, *range(2, leaf.rank))), outputs)
    return outputs, state, lengths


def _decode_step_by_step(decoder: Decoder, impute: bool, maximum: Any) -> tuple[Any, Any, Tensor]:
    """Run the decoder in a loop. Return (time-major outputs, final state, number of steps of each row)."""
    finished, inputs, state = decoder.initialize()
    finished = as_tensor(finished)
    structure: list[Any] = []
    records = isinstance(decoder, BasicDecoder) and has_history(decoder.cell)

    def body(time: Tensor, done: Tensor, nest: Any) -> Any:
        inputs, before, lengths = nest
        outputs, after, following, now_finished = decoder.step(time, inputs, before)
        structure.append(outputs)
        if not decoder.tracks_own_finished:
            now_finished = functions.logical_or(now_finished, done)
        lengths = functions.where(done, lengths, time + 1)
        emits = flatten(outputs)
        history = [alignments_of([outputs, after], [inputs, before, time])] if records else []
        if impute:
            after = selected_nest(done, before, after)
            emits = flatten(selected_nest(done, zeros_like(outputs), outputs))
        return [following, after, lengths], now_finished, [*emits, *history]

    lengths = functions.cast(finished, "int32") * 0
    (_, state, lengths), emits = Stepping(_WHAT, [inputs, state, lengths], finished).run(body, maximum)
    if records:
        state = with_history(state, emits.pop())
    return pack(structure[0], emits), state, lengths


def _decode_teacher_forced(decoder: BasicDecoder, impute: bool, maximum: Any) -> tuple[Any, Any, Tensor]:
    """Run the decoder's cell over the helper's sequence, and the output layer over all outputs at once.

    Return (time-major outputs, final state, number of steps of each row).
    """
    helper: Any = decoder.helper
    where, lengths = user_line(), helper.sequence_length
    if maximum is not None:
        lengths = functions.minimum(lengths, functions.cast(as_tensor(maximum), "int32"))
    longest = build("broadcast", functions.reduce_max(lengths), shape=lengths.type.shape)
    variables = variables_of(get_default_graph(), decoder.cell)
    run = Run(
        helper.steps,
        lengths if impute else longest,
        None,
        False,
        None,
        True,
        ScopeName("decoder", False, where, variables),
        where,
    )
    outputs, state = run.over(decoder.cell, decoder.initial_state)
    get_default_graph().own(outputs)
    outputs = outputs if decoder.output_layer is None else decoder.output_layer(outputs)
    sample = helper.sample(time=None, outputs=outputs, state=state)
    real = transpose(real_steps(functions.cast(transpose(sample), "float32"), lengths if impute else longest))
    outputs = functions.where(functions.expand_dims(real, 2), outputs, 0.0)
    return BasicDecoderOutput(outputs, functions.where(real, sample, 0)), state, lengths
