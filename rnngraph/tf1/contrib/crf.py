"""TensorFlow 1.x's ``tf.contrib.crf``."""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from ..labelling.crf import (
    crf_binary_score,
    crf_decode,
    crf_log_likelihood,
    crf_log_norm,
    crf_sequence_score,
    crf_unary_score,
    viterbi_decode,
)

__all__ = (
    "crf_binary_score", "crf_decode", "crf_log_likelihood", "crf_log_norm", "crf_sequence_score", "crf_unary_score",
    "viterbi_decode",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("contrib.crf", name)
