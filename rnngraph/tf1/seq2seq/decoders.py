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
from ..core.operations import behind
from ..core.scopes import variable_scope
from ..ops.functions import transpose
from .helpers import Helper, TrainingHelper
from .stepping import Stepping, held, zeros_like

_WHAT = "tf.contrib.seq2seq.dynamic_decode"


@api
class BasicDecoderOutput(NamedTuple):
    """What a step of a ``BasicDecoder`` gives, or all steps."""

    rnn_output: Any
    sample_id: Any


class Decoder:
    """Base of decoders, for a program's own too.

    ``initialize()`` gives (finished [batch], first inputs, first state), and ``step(time, inputs, state)`` gives
    (outputs, next state, next inputs, finished).
    """

    @api
    def __init__(self) -> None:
        """Nothing to be given."""

    tracks_own_finished = False

    def initialize(self, name: str | None = None) -> tuple[Any, Any, Any]:
        """(whether each row is finished, first inputs, first state)."""
        raise ArgumentError(f"{type(self).__name__} does not say how it begins; give it a method initialize()")

    def step(self, time: Tensor, inputs: Any, state: Any, name: str | None = None) -> tuple[Any, Any, Any, Any]:
        """(outputs, next state, next inputs, whether each row is finished)."""
        raise ArgumentError(f"{type(self).__name__} has no steps; give it a method step(time, inputs, state)")

    def finalize(self, outputs: Any, final_state: Any, sequence_lengths: Tensor) -> tuple[Any, Any]:
        """What ``dynamic_decode`` gives of all steps' outputs and of the final state."""
        return outputs, final_state


class BasicDecoder(Decoder):
    """A cell that reads what a helper says. output_layer: of the cell's output, such as a ``tf.layers.Dense``."""

    @api
    def __init__(self, cell: Cell, helper: Helper, initial_state: Any, output_layer: Any = None) -> None:
        self.cell: Any = check_cell(cell, "BasicDecoder")
        if not isinstance(helper, Helper):
            raise DtypeError(
                f"BasicDecoder takes a helper such as tf.contrib.seq2seq.TrainingHelper, not {shown(helper)}"
            )
        if output_layer is not None and not callable(output_layer):
            raise DtypeError(f"output_layer is a layer such as tf.layers.Dense(units), not {shown(output_layer)}")
        self.helper, self.initial_state, self.output_layer = helper, initial_state, output_layer

    @property
    def batch_size(self) -> Any:
        """The number of rows."""
        return self.helper.batch_size

    def initialize(self, name: str | None = None) -> tuple[Any, Any, Any]:
        return (*self.helper.initialize(), self.initial_state)

    def step(self, time: Tensor, inputs: Any, state: Any, name: str | None = None) -> tuple[Any, Any, Any, Any]:
        outputs, after = self.cell(inputs, state)
        outputs = outputs if self.output_layer is None else self.output_layer(outputs)
        sample = self.helper.sample(time=time, outputs=outputs, state=after)
        finished, following, after = self.helper.next_inputs(time=time, outputs=outputs, state=after, sample_ids=sample)
        return BasicDecoderOutput(outputs, sample), after, following, finished


@behind
def dynamic_decode(
    decoder: Decoder, output_time_major: bool = False, impute_finished: bool = False, maximum_iterations: Any = None,
    parallel_iterations: int = 32, swap_memory: bool = False, scope: Any = None,
) -> tuple[Any, Any, Tensor]:  # fmt: skip
    """(outputs, final state, lengths int32 [batch]) of a decoder that runs until all rows are finished.

    Outputs are [batch, steps, …], or [steps, batch, …] with ``output_time_major``: as many steps as there may be, where
    TensorFlow has as many as there were; those past the last are 0. impute_finished: a finished row gives 0 and keeps
    its state. maximum_iterations: the most steps; a helper that reads inputs has as many as these without it.
    """
    if not isinstance(decoder, Decoder):
        raise DtypeError(f"{_WHAT} takes a decoder such as tf.contrib.seq2seq.BasicDecoder, not {shown(decoder)}")
    with variable_scope(scope, "decoder"):
        if type(decoder) is BasicDecoder and type(decoder.helper) is TrainingHelper:
            outputs, state, lengths = _taught(decoder, impute_finished, maximum_iterations)
        else:
            outputs, state, lengths = _decoded(decoder, impute_finished, maximum_iterations)
        outputs, state = decoder.finalize(outputs, state, lengths)
    if not output_time_major:
        outputs = map_leaves(lambda leaf: transpose(leaf, (1, 0, *range(2, leaf.rank))), outputs)
    return outputs, state, lengths


def _decoded(decoder: Decoder, impute: bool, maximum: Any) -> tuple[Any, Any, Tensor]:
    """Step by step, time-major."""
    finished, inputs, state = decoder.initialize()
    finished = as_tensor(finished)
    structure: list[Any] = []

    def body(time: Tensor, done: Tensor, nest: Any) -> Any:
        given, before, lengths = nest
        outputs, after, following, then = decoder.step(time, given, before)
        structure.append(outputs)
        then = then if decoder.tracks_own_finished else functions.logical_or(then, done)
        lengths = functions.where(done, lengths, time + 1)
        emits = flatten(outputs)
        if impute:
            after = held(done, before, after)
            emits = flatten(held(done, zeros_like(outputs), outputs))
        return [following, after, lengths], then, emits

    lengths = functions.cast(finished, "int32") * 0
    (_, state, lengths), emits = Stepping(_WHAT, [inputs, state, lengths], finished).run(body, maximum)
    return pack(structure[0], emits), state, lengths


def _taught(decoder: BasicDecoder, impute: bool, maximum: Any) -> tuple[Any, Any, Tensor]:
    """All steps at once, time-major: what they read is known."""
    helper: Any = decoder.helper
    where, lengths = user_line(), helper.sequence_length
    if maximum is not None:
        lengths = functions.minimum(lengths, functions.cast(as_tensor(maximum), "int32"))
    longest = build("broadcast", functions.reduce_max(lengths), shape=lengths.type.shape)
    own = variables_of(get_default_graph(), decoder.cell)
    run = Run(
        helper.steps, lengths if impute else longest, None, False, None, True,
        ScopeName("decoder", False, where, own), where,
    )  # fmt: skip
    outputs, state = run.over(decoder.cell, decoder.initial_state)
    get_default_graph().own(outputs)
    outputs = outputs if decoder.output_layer is None else decoder.output_layer(outputs)
    sample = helper.sample(time=None, outputs=outputs, state=state)
    real = transpose(real_steps(functions.cast(transpose(sample), "float32"), lengths if impute else longest))
    outputs = functions.where(functions.expand_dims(real, 2), outputs, 0.0)
    return BasicDecoderOutput(outputs, functions.where(real, sample, 0)), state, lengths
