"""TensorFlow 1.x's ``tf.contrib.seq2seq``: attention."""

from __future__ import annotations

from typing import Any

from ...declare.seq2seq.attention import AttentionWrapperState
from ..core.names import missing as _missing
from ..ops.seq2seq import AttentionWrapper, BahdanauAttention, LuongAttention


def __getattr__(name: str) -> Any:
    raise _missing("contrib.seq2seq", name)
