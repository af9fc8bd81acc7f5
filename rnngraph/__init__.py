"""rnngraph: a graph compiler for recurrent networks.

Cells, stacks and dropout are declared once, in TensorFlow 1.x's RNN vocabulary. ``compile`` makes two graphs
of the declaration, training with dropout and inference without, and each runs as native code.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .declare.activations import (
    elu,
    gelu,
    hard_sigmoid,
    leaky_relu,
    relu,
    relu6,
    selu,
    softplus,
    softsign,
    swish,
)
from .declare.attention import AttentionWrapper, AttentionWrapperState, BahdanauAttention, LuongAttention
from .declare.cell import Cell, Scope, Wrapper, shared
from .declare.cells import BasicLSTMCell, BasicRNNCell, GRUCell, LSTMCell, LSTMStateTuple
from .declare.ctc import ctc_loss
from .declare.decode import dynamic_decode
from .declare.drivers import (
    bidirectional_dynamic_rnn,
    dynamic_rnn,
    stack_bidirectional_dynamic_rnn,
    static_rnn,
)
from .declare.functions import (
    abs,
    argmax,
    cast,
    clip,
    concat,
    cos,
    equal,
    erf,
    exp,
    expand_dims,
    expm1,
    gather,
    gather_last,
    greater,
    identity,
    layer_norm,
    less,
    log,
    log1p,
    log_softmax,
    logical_and,
    logical_not,
    logical_or,
    matmul,
    maximum,
    minimum,
    not_equal,
    one_hot,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_sum,
    reshape,
    sigmoid,
    sign,
    sin,
    softmax,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    stop_gradient,
    tanh,
    tile,
    transpose,
    where,
)
from .declare.gated_variants import (
    CFNCell,
    IndRNNCell,
    IntersectionRNNCell,
    MinimalRNNCell,
    SRUCell,
    UGRNNCell,
)
from .declare.layers import dense, embedding
from .declare.losses import (
    absolute_difference,
    accuracy,
    huber_loss,
    mean_squared_error,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    sparse_softmax_cross_entropy,
)
from .declare.lstm_variants import CoupledInputForgetGateLSTMCell, LayerNormBasicLSTMCell, NASCell
from .declare.parameters import parameter
from .declare.placeholders import placeholder, state_placeholder
from .declare.projections import InputProjectionWrapper, OutputProjectionWrapper
from .declare.randomness import by_graph, dropout, random_normal, random_uniform
from .declare.sequences import conv1d, cumsum, reverse_sequence
from .declare.state import joined, memory
from .declare.taps import tap
from .declare.tensor import Tensor, constant
from .declare.wrappers import DropoutWrapper, HighwayWrapper, MultiRNNCell, ResidualWrapper, ZoneoutWrapper
from .errors import (
    ArgumentError,
    DtypeError,
    FileError,
    GraphError,
    MissingExtraError,
    NameLookupError,
    NonFiniteError,
    NotOfferedError,
    OutOfMemoryError,
    RnnGraphError,
    ShapeError,
    StructureError,
)
from .runtime.program import Program, compile, load
from .runtime.result import Result
from .runtime.stream import Stream
from .version import __version__

if TYPE_CHECKING:
    from .runtime.checking import NonFinite
    from .runtime.history import History
    from .runtime.memory import Memory
    from .runtime.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp
    from .runtime.schedules import (
        CosineDecay,
        ExponentialDecay,
        PiecewiseConstant,
        PolynomialDecay,
        ReduceOnPlateau,
        Schedule,
        WarmUp,
    )
    from .runtime.trainer import Trainer

_LATER = {
    "checking": ("NonFinite",),
    "history": ("History",),
    "memory": ("Memory",),
    "optimizers": ("SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSProp"),
    "schedules": (
        "CosineDecay", "ExponentialDecay", "PiecewiseConstant", "PolynomialDecay", "ReduceOnPlateau", "Schedule",
        "WarmUp",
    ),
    "trainer": ("Trainer",),
}  # fmt: skip
"""Names by modules of ``runtime`` that are imported when one of their names is first asked for: a quarter of the time
to import, and who runs a net needs none of them.
"""
_MODULES = {name: module for module, names in _LATER.items() for name in names}
_OTHERS = (
    "Any", "TYPE_CHECKING", "import_module",
    "codegen", "declare", "errors", "ir", "passes", "runtime", "version",
)  # fmt: skip
__all__ = [name for name in {**globals(), **_MODULES} if not name.startswith("_") and name not in _OTHERS]

if not TYPE_CHECKING:  # a type checker sees the imports above, and that there is no other name

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"{__name__}.runtime.{_MODULES[name]}")
        globals().update({other: getattr(module, other) for other in _LATER[_MODULES[name]]})
        return globals()[name]

    def __dir__() -> list[str]:
        return [*globals(), *(name for name in _MODULES if name not in globals())]
