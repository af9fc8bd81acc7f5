"""TensorFlow 1.x's own names for the same objects: ``from rnngraph import tf1 as tf``.

Declaring code of a TF 1.x script runs unchanged, with positional and keyword arguments as in TensorFlow 1.15.
``name=`` of an op, ``parallel_iterations``, ``swap_memory``, ``reuse=None`` and the seeds of initializers are
accepted and change nothing. What is not offered raises ``NotOfferedError``, which names what to use instead.
"""

from __future__ import annotations

from typing import Any

from ..declare.structures import map_structure as _map_structure
from . import _functions, _inputs, _layers, _losses
from ._cells import CELLS as _CELLS
from ._contrib_cells import CONTRIB as _CONTRIB
from ._functions import (
    abs,
    add,
    argmax,
    atan,
    cast,
    clip_by_value,
    concat,
    constant,
    cos,
    cumsum,
    divide,
    equal,
    erf,
    exp,
    expand_dims,
    expm1,
    gather,
    greater,
    greater_equal,
    identity,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    matmul,
    maximum,
    minimum,
    multiply,
    not_equal,
    one_hot,
    ones,
    ones_like,
    pad,
    pow,
    reduce_all,
    reduce_any,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_sum,
    reshape,
    reverse_sequence,
    sigmoid,
    sign,
    sin,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    subtract,
    tanh,
    tile,
    to_float,
    transpose,
    unstack,
    where,
    zeros,
    zeros_like,
)
from ._inputs import name_scope, placeholder, placeholder_with_default
from ._layers import (
    constant_initializer,
    get_variable,
    glorot_uniform_initializer,
    ones_initializer,
    orthogonal_initializer,
    random_normal_initializer,
    random_uniform_initializer,
    truncated_normal_initializer,
    zeros_initializer,
)
from ._losses import LOSSES as _LOSSES
from ._names import Namespace as _Namespace
from ._names import missing as _missing
from ._seq2seq import SEQ2SEQ as _SEQ2SEQ

float32, float64, int32, int64 = "float32", "float64", "int32", "int64"
newaxis = None


def _members(module: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names}


nn = _Namespace(
    "nn",
    {
        **_members(
            _functions, "relu", "relu6", "leaky_relu", "elu", "selu", "softplus", "softsign", "swish", "tanh",
            "sigmoid", "softmax", "log_softmax", "embedding_lookup", "in_top_k", "dropout",
        ),
        **_members(
            _losses, "sparse_softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits",
            "softmax_cross_entropy_with_logits_v2", "sigmoid_cross_entropy_with_logits",
        ),
        **_members(_inputs, "dynamic_rnn", "bidirectional_dynamic_rnn", "static_rnn"),
        "rnn_cell": _Namespace("nn.rnn_cell", _CELLS),
    },
)  # fmt: skip
layers = _Namespace(
    "layers",
    _members(_layers, "average_pooling1d", "batch_normalization", "conv1d", "dense", "flatten", "max_pooling1d"),
)
losses = _Namespace("losses", _LOSSES)
initializers = _Namespace(
    "initializers",
    {
        "zeros": zeros_initializer,
        "ones": ones_initializer,
        "constant": constant_initializer,
        "glorot_uniform": glorot_uniform_initializer,
        "orthogonal": orthogonal_initializer,
        "random_normal": random_normal_initializer,
        "random_uniform": random_uniform_initializer,
        "truncated_normal": truncated_normal_initializer,
    },
)
train = _Namespace("train", {})
nest = _Namespace("nest", {"map_structure": _map_structure})
contrib = _Namespace(
    "contrib",
    {
        "seq2seq": _Namespace("contrib.seq2seq", _SEQ2SEQ),
        "rnn": _Namespace(
            "contrib.rnn",
            {**_CELLS, **_CONTRIB, **_members(_inputs, "static_rnn", "stack_bidirectional_dynamic_rnn")},
        ),
        "framework": _Namespace("contrib.framework", {"nest": nest}),
        "layers": _Namespace("contrib.layers", _members(_layers, "fully_connected", "flatten", "xavier_initializer")),
    },
)


def __getattr__(name: str) -> Any:
    if name == "bool":  # the built-in name stays free for this module
        return "bool"
    raise _missing("", name)
