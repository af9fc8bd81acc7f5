"""TensorFlow 1.x's ``tf.contrib``, as far as it is offered: a name that is not raises an error with what to use. Its
modules have TensorFlow's paths.
"""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from . import crf as crf
from . import framework as framework
from . import layers as layers
from . import learn as learn
from . import legacy_seq2seq as legacy_seq2seq
from . import rnn as rnn
from . import seq2seq as seq2seq
from . import slim as slim
from . import training as training

__all__ = (
    "crf", "framework", "layers", "learn", "legacy_seq2seq", "rnn", "seq2seq", "slim", "training",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("contrib", name)
