"""TensorFlow 1.x's ``tf.contrib.seq2seq``: attention, helpers, decoders and the loss of sequences."""

from __future__ import annotations

from typing import Any

from ...declare.seq2seq.attention import AttentionWrapperState
from ..core.names import missing as _missing
from ..ops.recurrent.seq2seq import AttentionWrapper, BahdanauAttention, LuongAttention
from ..seq2seq.decoders import BasicDecoder, BasicDecoderOutput, Decoder, dynamic_decode
from ..seq2seq.helpers import (
    CustomHelper,
    GreedyEmbeddingHelper,
    Helper,
    InferenceHelper,
    SampleEmbeddingHelper,
    ScheduledEmbeddingTrainingHelper,
    ScheduledOutputTrainingHelper,
    TrainingHelper,
)
from ..seq2seq.losses import sequence_loss

__all__ = (
    "AttentionWrapper", "AttentionWrapperState", "BahdanauAttention", "BasicDecoder", "BasicDecoderOutput",
    "CustomHelper", "Decoder", "GreedyEmbeddingHelper", "Helper", "InferenceHelper", "LuongAttention",
    "SampleEmbeddingHelper", "ScheduledEmbeddingTrainingHelper", "ScheduledOutputTrainingHelper", "TrainingHelper",
    "dynamic_decode", "sequence_loss",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("contrib.seq2seq", name)
