"""TensorFlow 1.x's ``tf.nn``: functions of networks, drivers, and under ``rnn_cell`` the cells. A name that is not
offered raises an error that says what to use instead.
"""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from ..labelling.ctc import ctc_greedy_decoder, ctc_loss
from ..labelling.sampled import log_uniform_candidate_sampler, nce_loss, sampled_softmax_loss
from ..ops.arithmetic import l2_normalize, moments
from ..ops.functions import (
    dropout,
    elu,
    embedding_lookup,
    leaky_relu,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    softmax,
    softplus,
    softsign,
    swish,
    tanh,
)
from ..ops.inputs import (
    bidirectional_dynamic_rnn,
    dynamic_rnn,
    static_bidirectional_rnn,
    static_rnn,
)
from ..ops.layers import normalized as batch_normalization
from ..ops.losses import (
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits_v2,
    sparse_softmax_cross_entropy_with_logits,
    weighted_cross_entropy_with_logits,
)
from ..ops.numbers import crelu, log_sigmoid, relu_layer, zero_fraction
from ..ops.selection import in_top_k, top_k
from ..ops.shapes import bias_add, l2_loss, xw_plus_b
from ..seq2seq.raw_rnn import raw_rnn
from . import rnn_cell

__all__ = (
    "batch_normalization", "bias_add", "bidirectional_dynamic_rnn", "bidirectional_rnn", "crelu", "ctc_greedy_decoder",
    "ctc_loss", "dropout", "dynamic_rnn", "elu", "embedding_lookup", "in_top_k", "l2_loss", "l2_normalize",
    "leaky_relu", "log_sigmoid", "log_softmax", "log_uniform_candidate_sampler", "moments", "nce_loss", "raw_rnn",
    "relu", "relu6", "relu_layer", "rnn", "rnn_cell", "sampled_softmax_loss", "selu", "sigmoid",
    "sigmoid_cross_entropy_with_logits", "softmax", "softmax_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits_v2", "softplus", "softsign", "sparse_softmax_cross_entropy_with_logits",
    "static_bidirectional_rnn", "static_rnn", "swish", "tanh", "top_k", "weighted_cross_entropy_with_logits",
    "xw_plus_b", "zero_fraction",
)  # fmt: skip

rnn, bidirectional_rnn = static_rnn, static_bidirectional_rnn  # as before TensorFlow 1.0


def __getattr__(name: str) -> Any:
    raise _missing("nn", name)
