"""TensorFlow 1.x's ``tf.contrib.legacy_seq2seq``."""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from ..seq2seq.legacy import (
    basic_rnn_seq2seq,
    embedding_rnn_decoder,
    embedding_rnn_seq2seq,
    embedding_tied_rnn_seq2seq,
    model_with_buckets,
    rnn_decoder,
    tied_rnn_seq2seq,
)
from ..seq2seq.legacy_attention import attention_decoder, embedding_attention_decoder, embedding_attention_seq2seq
from ..seq2seq.losses import legacy_sequence_loss as sequence_loss
from ..seq2seq.losses import sequence_loss_by_example

__all__ = (
    "attention_decoder", "basic_rnn_seq2seq", "embedding_attention_decoder", "embedding_attention_seq2seq",
    "embedding_rnn_decoder", "embedding_rnn_seq2seq", "embedding_tied_rnn_seq2seq", "model_with_buckets",
    "rnn_decoder", "sequence_loss", "sequence_loss_by_example", "tied_rnn_seq2seq",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("contrib.legacy_seq2seq", name)
