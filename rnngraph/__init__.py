"""rnngraph: a graph compiler for recurrent networks.

Cells, stacks and dropout are declared once, in TensorFlow 1.x's RNN vocabulary. ``compile`` makes two graphs
of the declaration, training with dropout and inference without, and each runs as native code.
"""

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
    RnnGraphError,
    ShapeError,
    StructureError,
)
from .runtime.checking import NonFinite
from .runtime.history import History
from .runtime.memory import Memory
from .runtime.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp
from .runtime.program import Program, compile, load
from .runtime.result import Result
from .runtime.schedules import (
    CosineDecay,
    ExponentialDecay,
    PiecewiseConstant,
    PolynomialDecay,
    Schedule,
    WarmUp,
)
from .runtime.stream import Stream
from .runtime.trainer import Trainer
from .version import __version__

_FOLDERS = ("codegen", "declare", "errors", "ir", "passes", "runtime", "version")
__all__ = [name for name in dir() if not name.startswith("_") and name not in _FOLDERS]
