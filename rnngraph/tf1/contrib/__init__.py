"""TensorFlow 1.x's ``tf.contrib``, as far as it is offered: a name that is not raises an error with what to use. Its
modules have TensorFlow's paths.
"""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from . import crf, framework, layers, legacy_seq2seq, rnn, seq2seq, slim, training

__all__ = (
    "crf", "framework", "layers", "legacy_seq2seq", "rnn", "seq2seq", "slim", "training",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("contrib", name)
