"""Helpers of ``tf.contrib.seq2seq`` decoders: objects that choose each row's class, the sample, and the next input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...declare.functions import basic as functions
from ...declare.functions.statistics import reduce_all
from ...declare.tensor import Tensor, as_tensor
from ...ir.types import FLOATS, INTEGERS
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, ShapeError, shown
from ..flow.tensor_array import TensorArray
from ..ops.functions import argmax, concat, embedding_lookup, zeros_like
from ..ops.random import multinomial, random_uniform
from ..ops.shapes import shape

NOT_SAMPLED = -1
"""Sample of a row that reads its input from the sequence."""


class Helper:
    """Base of helpers, which programs may subclass.

    ``initialize()`` returns (finished [batch], first inputs). ``sample(time, outputs, state)`` returns a step's sample,
    and ``next_inputs(time, outputs, state, sample_ids)`` returns (finished, next inputs, next state).
    """

    @api
    def __init__(self) -> None:
        """Do nothing: the base class has no arguments."""

    batch_size: Any = None
    sample_ids_dtype: Any = "int32"
    sample_ids_shape: Any = ()

    def initialize(self, name: str | None = None) -> tuple[Any, Any]:
        """Return (mask of finished rows, first inputs)."""
        raise ArgumentError(f"{type(self).__name__} has no initialize; define a method initialize()")

    def sample(self, time: Tensor, outputs: Tensor, state: Any, name: str | None = None) -> Any:
        """Return the sample of a step, such as the class of each row, int [batch]."""
        raise ArgumentError(f"{type(self).__name__} has no sample; define a method sample(time, outputs, state)")

    def next_inputs(
        self, time: Tensor, outputs: Tensor, state: Any, sample_ids: Any, name: str | None = None
    ) -> tuple[Any, Any, Any]:
        """Return (mask of finished rows, next inputs, next state)."""
        raise ArgumentError(
            f"{type(self).__name__} has no next_inputs; define a method next_inputs(time, outputs, state, sample_ids)"
        )


class TrainingHelper(Helper):
    """Helper for teacher forcing: inputs come from a sequence. The sample is the most likely class.

    Args:
        inputs: [batch, time, width], or [time, batch, width] with ``time_major``.
        sequence_length: Number of steps of each row, int [batch].
    """

    @api
    def __init__(self, inputs: Tensor, sequence_length: Any, time_major: bool = False, name: str | None = None) -> None:
        x = as_tensor(inputs)
        if x.rank != 3 or x.dtype not in FLOATS:
            raise ShapeError(f"{type(self).__name__} needs float inputs [batch, time, width], not {x!r}")
        lengths = as_tensor(sequence_length)
        if lengths.rank != 1 or lengths.dtype not in INTEGERS:
            raise DtypeError(
                f"{type(self).__name__}: sequence_length must be an int Tensor [batch], not {shown(lengths)}"
            )
        self.steps = x if time_major else functions.transpose(x, (1, 0, 2))
        self.sequence_length = functions.cast(lengths, "int32")
        self.inputs = x
        self.batch_size = shape(lengths)[0]
        self._entries = TensorArray.of(self.steps)

    def initialize(self, name: str | None = None) -> tuple[Tensor, Tensor]:
        return functions.equal(self.sequence_length, 0), self.steps[0]

    def sample(self, time: Tensor, outputs: Tensor, state: Any, name: str | None = None) -> Tensor:
        return _best_classes(outputs)

    def next_inputs(
        self, time: Tensor, outputs: Tensor, state: Any, sample_ids: Any, name: str | None = None
    ) -> tuple[Tensor, Tensor, Any]:
        finished = self.sequence_length <= time + 1
        read: Tensor = self._entries.read(time + 1)
        return finished, functions.where(reduce_all(finished), zeros_like(read), read), state


class ScheduledEmbeddingTrainingHelper(TrainingHelper):
    """Helper for scheduled sampling (Bengio et al. 2015): some inputs are embeddings of the previous step's samples.

    Each row and step reads such an embedding with the probability ``sampling_probability``, else the sequence.
    """

    @api
    def __init__(
        self,
        inputs: Tensor,
        sequence_length: Any,
        embedding: Any,
        sampling_probability: Any,
        time_major: bool = False,
        seed: int | None = None,
        scheduling_seed: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(inputs, sequence_length, time_major)
        self._embed = embedding_function(embedding)
        self._probability = _probability(sampling_probability)
        self._seed, self._scheduling_seed = seed, scheduling_seed

    def sample(self, time: Tensor, outputs: Tensor, state: Any, name: str | None = None) -> Tensor:
        drawn = multinomial(outputs, 1, self._seed)[:, 0]
        return functions.where(
            _drawn_rows(outputs, self._probability, self._scheduling_seed), functions.cast(drawn, "int32"), NOT_SAMPLED
        )

    def next_inputs(
        self, time: Tensor, outputs: Tensor, state: Any, sample_ids: Any, name: str | None = None
    ) -> tuple[Tensor, Tensor, Any]:
        finished, base, state = super().next_inputs(time, outputs, state, sample_ids)
        own = self._embed(functions.maximum(sample_ids, 0))
        sampled = functions.logical_and(sample_ids > NOT_SAMPLED, functions.logical_not(reduce_all(finished)))
        return finished, functions.where(functions.expand_dims(sampled, 1), own, base), state


class ScheduledOutputTrainingHelper(TrainingHelper):
    """Helper for scheduled sampling of outputs: some inputs are the decoder's previous outputs.

    Each row and step reads the output with the probability ``sampling_probability``, else the sequence.

    Args:
        next_inputs_fn: Function from an output to an input.
        auxiliary_inputs: Sequence like ``inputs``. Its entry of the same step is appended to every input.
    """

    @api
    def __init__(
        self,
        inputs: Tensor,
        sequence_length: Any,
        sampling_probability: Any,
        time_major: bool = False,
        seed: int | None = None,
        next_inputs_fn: Callable[[Tensor], Tensor] | None = None,
        auxiliary_inputs: Any = None,
        name: str | None = None,
    ) -> None:
        self._auxiliary: TensorArray | None = None
        if auxiliary_inputs is not None:
            auxiliary = as_tensor(auxiliary_inputs)
            self._auxiliary = TensorArray.of(auxiliary if time_major else functions.transpose(auxiliary, (1, 0, 2)))
            inputs = concat([inputs, auxiliary], 2)
        super().__init__(inputs, sequence_length, time_major)
        self._probability, self._seed = _probability(sampling_probability), seed
        self._next = next_inputs_fn

    def sample(self, time: Tensor, outputs: Tensor, state: Any, name: str | None = None) -> Tensor:
        return functions.cast(_drawn_rows(outputs, self._probability, self._seed), "int32")

    def next_inputs(
        self, time: Tensor, outputs: Tensor, state: Any, sample_ids: Any, name: str | None = None
    ) -> tuple[Tensor, Tensor, Any]:
        finished, base, state = super().next_inputs(time, outputs, state, sample_ids)
        own = outputs if self._next is None else self._next(outputs)
        if self._auxiliary is not None:
            own = concat([own, self._auxiliary.read(time + 1)], 1)
        sampled = functions.logical_and(sample_ids > 0, functions.logical_not(reduce_all(finished)))
        return finished, functions.where(functions.expand_dims(sampled, 1), own, base), state


class GreedyEmbeddingHelper(Helper):
    """Helper that reads the embedding of the most likely class, until that class is ``end_token``.

    Args:
        embedding: A table [classes, width], or a function from ids to embeddings.
        start_tokens: Classes whose embeddings the first step reads, int [batch].
        end_token: An int, or a scalar int Tensor.
    """

    @api
    def __init__(self, embedding: Any, start_tokens: Any, end_token: Any) -> None:
        tokens = as_tensor(start_tokens)
        if tokens.rank != 1 or tokens.dtype not in INTEGERS:
            raise DtypeError(f"{type(self).__name__}: start_tokens must be an int Tensor [batch], not {shown(tokens)}")
        self._embed = embedding_function(embedding)
        self.start_tokens = functions.cast(tokens, "int32")
        self.end_token = end_token
        self.batch_size = shape(tokens)[0]
        self._begin = self._embed(self.start_tokens)

    def initialize(self, name: str | None = None) -> tuple[Tensor, Tensor]:
        return functions.less(self.start_tokens * 0, 0), self._begin

    def sample(self, time: Tensor, outputs: Tensor, state: Any, name: str | None = None) -> Tensor:
        return _best_classes(outputs)

    def next_inputs(
        self, time: Tensor, outputs: Tensor, state: Any, sample_ids: Any, name: str | None = None
    ) -> tuple[Tensor, Tensor, Any]:
        return functions.equal(sample_ids, functions.cast(self.end_token, "int32")), self._embed(sample_ids), state


class SampleEmbeddingHelper(GreedyEmbeddingHelper):
    """Helper that reads the embedding of a class drawn by its probability, until that class is ``end_token``.

    Args:
        softmax_temperature: Divisor of the logits, a float or a scalar Tensor. None: 1.
    """

    @api
    def __init__(
        self,
        embedding: Any,
        start_tokens: Any,
        end_token: Any,
        softmax_temperature: Any = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(embedding, start_tokens, end_token)
        self._temperature, self._seed = softmax_temperature, seed

    def sample(self, time: Tensor, outputs: Tensor, state: Any, name: str | None = None) -> Tensor:
        logits = outputs if self._temperature is None else outputs / self._temperature
        return functions.cast(multinomial(logits, 1, self._seed)[:, 0], "int32")


class CustomHelper(Helper):
    """Helper whose methods are three functions of the program.

    The functions are ``initialize_fn()``, ``sample_fn(time, outputs, state)`` and ``next_inputs_fn(time, outputs,
    state, sample_ids)``.
    """

    @api
    def __init__(
        self,
        initialize_fn: Callable[..., Any],
        sample_fn: Callable[..., Any],
        next_inputs_fn: Callable[..., Any],
        sample_ids_shape: Any = None,
        sample_ids_dtype: Any = None,
    ) -> None:
        self._initialize, self._sample, self._next = initialize_fn, sample_fn, next_inputs_fn

    def initialize(self, name: str | None = None) -> tuple[Any, Any]:
        result: tuple[Any, Any] = self._initialize()
        return result

    def sample(self, time: Tensor, outputs: Tensor, state: Any, name: str | None = None) -> Any:
        return self._sample(time=time, outputs=outputs, state=state)

    def next_inputs(
        self, time: Tensor, outputs: Tensor, state: Any, sample_ids: Any, name: str | None = None
    ) -> tuple[Any, Any, Any]:
        result: tuple[Any, Any, Any] = self._next(time=time, outputs=outputs, state=state, sample_ids=sample_ids)
        return result


class InferenceHelper(Helper):
    """Helper whose samples and next inputs are computed by functions of the program.

    The functions are ``sample_fn(outputs)``, ``end_fn(sample_ids)`` and ``next_inputs_fn(sample_ids)``. Without
    ``next_inputs_fn``, samples are the next inputs.
    """

    @api
    def __init__(
        self,
        sample_fn: Callable[[Tensor], Any],
        sample_shape: Any,
        sample_dtype: Any,
        start_inputs: Any,
        end_fn: Callable[[Any], Any],
        next_inputs_fn: Callable[[Any], Any] | None = None,
    ) -> None:
        self._sample, self._end, self._next = sample_fn, end_fn, next_inputs_fn
        self._begin = as_tensor(start_inputs)
        self.batch_size = shape(self._begin)[0]

    def initialize(self, name: str | None = None) -> tuple[Tensor, Tensor]:
        return functions.less(functions.reduce_sum(self._begin, 1) * 0, 0), self._begin

    def sample(self, time: Tensor, outputs: Tensor, state: Any, name: str | None = None) -> Any:
        return self._sample(outputs)

    def next_inputs(
        self, time: Tensor, outputs: Tensor, state: Any, sample_ids: Any, name: str | None = None
    ) -> tuple[Any, Any, Any]:
        following = sample_ids if self._next is None else self._next(sample_ids)
        return self._end(sample_ids), following, state


def embedding_function(embedding: Any) -> Callable[[Any], Tensor]:
    """Return the function from ids to embeddings: ``embedding`` itself, or a lookup in a table."""
    return embedding if callable(embedding) else lambda ids: embedding_lookup(embedding, ids)


def _best_classes(outputs: Tensor) -> Tensor:
    """Return the most likely class, int32, from logits whose last axis has the classes."""
    ids: Tensor = argmax(outputs, -1, output_type="int32")
    return ids


def _probability(value: Any) -> Tensor:
    """Return a probability as a scalar Tensor. Raise ``DtypeError`` for anything else."""
    probability = as_tensor(value)
    if probability.rank or probability.dtype not in FLOATS:
        raise DtypeError(f"sampling_probability must be a float or a scalar float Tensor, not {shown(value)}")
    return functions.cast(probability, "float32")


def _drawn_rows(outputs: Tensor, probability: Tensor, seed: int | None) -> Tensor:
    """Return a mask of the batch's rows, bool [batch], that is True with a probability."""
    return functions.less(random_uniform([outputs.type.shape[0]], seed=seed), probability)
