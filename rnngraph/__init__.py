"""rnngraph: a graph compiler for recurrent networks.

Cells, stacks and dropout are declared once, in TensorFlow 1.x's RNN vocabulary. ``compile`` makes two graphs
of the declaration, training with dropout and inference without, and each runs as native code.

This file lists the public names. ``lazy_names`` imports those that few scripts use.
"""

from typing import TYPE_CHECKING, Any

from .support.garbage import importing as _importing

with _importing():
    from .declare.cell import Cell, Scope, Wrapper, shared
    from .declare.cells.basic import BasicLSTMCell, BasicRNNCell, GRUCell, LSTMCell, LSTMStateTuple
    from .declare.cells.wrappers import DropoutWrapper, HighwayWrapper, MultiRNNCell, ResidualWrapper, ZoneoutWrapper
    from .declare.functions.activations import (
        celu,
        elu,
        gelu,
        hard_shrink,
        hard_sigmoid,
        hard_sigmoid_keras3,
        hard_swish,
        hard_tanh,
        leaky_relu,
        log_sigmoid,
        log_softmax,
        masked_softmax,
        mish,
        relu,
        relu6,
        selu,
        soft_shrink,
        softmax,
        softplus,
        softsign,
        swish,
        tanh_shrink,
        threshold,
    )
    from .declare.functions.basic import (
        abs,
        argmax,
        argmin,
        atan,
        broadcast_to,
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
        greater,
        identity,
        less,
        log,
        log1p,
        logical_and,
        logical_not,
        logical_or,
        logical_xor,
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
        split,
        sqrt,
        square,
        squeeze,
        stack,
        stop_gradient,
        straight_through,
        tanh,
        transpose,
        where,
    )
    from .declare.functions.elementary.powers import exp2, hypot, power, reciprocal, rsqrt
    from .declare.functions.elementary.remainders import floor_divide, fmod, remainder, trunc, trunc_divide
    from .declare.functions.layers import dense, embedding
    from .declare.functions.losses import (
        absolute_difference,
        accuracy,
        huber_loss,
        mean_squared_error,
        sigmoid_cross_entropy,
        softmax_cross_entropy,
        sparse_softmax_cross_entropy,
    )
    from .declare.functions.randomness import by_graph, dropout, random_normal, random_uniform
    from .declare.parameters import parameter, with_update
    from .declare.placeholders import placeholder, state_placeholder
    from .declare.running.drivers import (
        bidirectional_dynamic_rnn,
        dynamic_rnn,
        stack_bidirectional_dynamic_rnn,
        static_rnn,
    )
    from .declare.state import joined, memory, state
    from .declare.structures import map_structure
    from .declare.taps import tap
    from .declare.tensor import Tensor, constant
    from .lazy_names import import_name
    from .program.program import Program, compile, dumps, load, loads
    from .runtime.calls.results import Result
    from .runtime.native.weight_options import Narrow
    from .support.errors import (
        ArgumentError,
        BusyError,
        CallError,
        DtypeError,
        FileError,
        GraphError,
        MissingExtraError,
        NameLookupError,
        NonFiniteError,
        NotOfferedError,
        NotReadableError,
        OutOfMemoryError,
        RanksError,
        RnnGraphError,
        ShapeError,
        StructureError,
    )
    from .version import __version__

if TYPE_CHECKING:
    from .declare.cells.gated_variants import (
        CFNCell,
        IndRNNCell,
        IntersectionRNNCell,
        MinimalRNNCell,
        SRUCell,
        UGRNNCell,
    )
    from .declare.cells.linear_attention import DeltaNetCell, GatedDeltaNetCell, GatedLinearAttentionCell, RWKV7Cell
    from .declare.cells.lstm_variants import CoupledInputForgetGateLSTMCell, LayerNormBasicLSTMCell, NASCell
    from .declare.cells.mamba import mamba, mamba2
    from .declare.cells.minimal import MinGRUCell, MinLSTMCell
    from .declare.cells.projections import InputProjectionWrapper, OutputProjectionWrapper
    from .declare.cells.state_spaces import LRUCell, RGLRUCell, S6Cell, SSDCell
    from .declare.cells.xlstm import MLSTMCell, SLSTMCell
    from .declare.functions.arrays.contractions import einsum, tensordot
    from .declare.functions.arrays.filling import full_like, ones_like, zeros_like
    from .declare.functions.arrays.matrices import diag_embed, diagonal, outer, trace, triangular_solve, tril, triu
    from .declare.functions.arrays.moves import flip, moveaxis, repeat, roll, swapaxes, tile, unstack
    from .declare.functions.convolutions import average_pool1d, conv1d, max_pool1d
    from .declare.functions.cumulative import cummax, cummin, cumprod, cumsum, logcumsumexp
    from .declare.functions.elementary.angles import acos, asin, atan2, deg2rad, rad2deg, sinc, tan
    from .declare.functions.elementary.hyperbolic import acosh, asinh, atanh, cosh, sinh
    from .declare.functions.elementary.logarithms import entr, log2, log10, logaddexp, logaddexp2, logit, xlogy
    from .declare.functions.elementary.normal import erfc, ndtr
    from .declare.functions.elementary.numbers import (
        copysign,
        fmax,
        fmin,
        heaviside,
        isfinite,
        isinf,
        isnan,
        isneginf,
        isposinf,
        nan_to_num,
        signbit,
    )
    from .declare.functions.indexing import axis_indices, clamped_slice, gather_nd, put_along_axis, take_along_axis
    from .declare.functions.normalization import (
        batch_normalization,
        group_norm,
        layer_norm,
        normalize,
        rms_norm,
        standardize,
    )
    from .declare.functions.norms import matrix_norm, norm, vector_norm
    from .declare.functions.orders import argsort, median, nanquantile, quantile, sort, top_k
    from .declare.functions.padding import pad, pad_to_multiple
    from .declare.functions.rounding import ceil, dequantize, floor, reduce_precision, round
    from .declare.functions.sequences import ensure_longest, ensure_size, gather_last, positions, reverse_sequence
    from .declare.functions.statistics import (
        count_nonzero,
        logsumexp,
        reduce_all,
        reduce_any,
        reduce_prod,
        reduce_std,
        reduce_var,
    )
    from .declare.seq2seq.attention import AttentionWrapper, AttentionWrapperState, BahdanauAttention, LuongAttention
    from .declare.seq2seq.beam import Beam
    from .declare.seq2seq.ctc import ctc_loss
    from .declare.seq2seq.decode import dynamic_decode
    from .declare.seq2seq.sampling import sample
    from .declare.seq2seq.search import BeamSearch
    from .formats import weights
    from .formats.gguf.read import read_gguf
    from .formats.keras.read import read_keras
    from .formats.nam import read_nam
    from .formats.net import Net
    from .formats.onnx.read import read_onnx
    from .formats.onnx.writing.model import write_onnx
    from .formats.rtneural import read_rtneural
    from .formats.tensorflow.variables import read_tf1_variables
    from .formats.tf1_graph.read import read_tf1_graph
    from .formats.torch.read import read_torch
    from .inspection.profile.profile import Profile
    from .program.generation.generation import Generation
    from .program.generation.generator import Generator
    from .program.generation.handle import GenerationHandle
    from .program.reports.memory_report import Memory, MemoryUsage
    from .runtime.calls.non_finite import NonFinite
    from .runtime.streams.pool import StreamPool
    from .runtime.streams.stream import Stream
    from .runtime.streams.stream_table import StreamHandle
    from .training.fit.history import History
    from .training.optimization.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSProp
    from .training.optimization.pruning import Prune
    from .training.optimization.schedules import (
        CosineDecay,
        ExponentialDecay,
        PiecewiseConstant,
        PolynomialDecay,
        ReduceOnPlateau,
        Schedule,
        WarmUp,
    )
    from .training.trainer import Trainer, loads_trainer

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "ArgumentError",
    "AttentionWrapper",
    "AttentionWrapperState",
    "BahdanauAttention",
    "BasicLSTMCell",
    "BasicRNNCell",
    "Beam",
    "BeamSearch",
    "BusyError",
    "CFNCell",
    "CallError",
    "Cell",
    "CosineDecay",
    "CoupledInputForgetGateLSTMCell",
    "DeltaNetCell",
    "DropoutWrapper",
    "DtypeError",
    "ExponentialDecay",
    "FileError",
    "GRUCell",
    "GatedDeltaNetCell",
    "GatedLinearAttentionCell",
    "Generation",
    "GenerationHandle",
    "Generator",
    "GraphError",
    "HighwayWrapper",
    "History",
    "IndRNNCell",
    "InputProjectionWrapper",
    "IntersectionRNNCell",
    "LRUCell",
    "LSTMCell",
    "LSTMStateTuple",
    "LayerNormBasicLSTMCell",
    "LuongAttention",
    "MLSTMCell",
    "Memory",
    "MemoryUsage",
    "MinGRUCell",
    "MinLSTMCell",
    "MinimalRNNCell",
    "MissingExtraError",
    "MultiRNNCell",
    "NASCell",
    "NameLookupError",
    "Narrow",
    "Net",
    "NonFinite",
    "NonFiniteError",
    "NotOfferedError",
    "NotReadableError",
    "Optimizer",
    "OutOfMemoryError",
    "OutputProjectionWrapper",
    "PiecewiseConstant",
    "PolynomialDecay",
    "Profile",
    "Program",
    "Prune",
    "RGLRUCell",
    "RMSProp",
    "RWKV7Cell",
    "RanksError",
    "ReduceOnPlateau",
    "ResidualWrapper",
    "Result",
    "RnnGraphError",
    "S6Cell",
    "SLSTMCell",
    "SRUCell",
    "SSDCell",
    "Schedule",
    "Scope",
    "ShapeError",
    "Stream",
    "StreamHandle",
    "StreamPool",
    "StructureError",
    "Tensor",
    "Trainer",
    "UGRNNCell",
    "WarmUp",
    "Wrapper",
    "ZoneoutWrapper",
    "abs",
    "absolute_difference",
    "accuracy",
    "acos",
    "acosh",
    "argmax",
    "argmin",
    "argsort",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "average_pool1d",
    "axis_indices",
    "batch_normalization",
    "bidirectional_dynamic_rnn",
    "broadcast_to",
    "by_graph",
    "cast",
    "ceil",
    "celu",
    "clamped_slice",
    "clip",
    "compile",
    "concat",
    "constant",
    "conv1d",
    "copysign",
    "cos",
    "cosh",
    "count_nonzero",
    "ctc_loss",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "deg2rad",
    "dense",
    "dequantize",
    "diag_embed",
    "diagonal",
    "dropout",
    "dumps",
    "dynamic_decode",
    "dynamic_rnn",
    "einsum",
    "elu",
    "embedding",
    "ensure_longest",
    "ensure_size",
    "entr",
    "equal",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "flip",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "full_like",
    "gather",
    "gather_last",
    "gather_nd",
    "gelu",
    "greater",
    "group_norm",
    "hard_shrink",
    "hard_sigmoid",
    "hard_sigmoid_keras3",
    "hard_swish",
    "hard_tanh",
    "heaviside",
    "huber_loss",
    "hypot",
    "identity",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "joined",
    "layer_norm",
    "leaky_relu",
    "less",
    "load",
    "loads",
    "loads_trainer",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_sigmoid",
    "log_softmax",
    "logaddexp",
    "logaddexp2",
    "logcumsumexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logit",
    "logsumexp",
    "mamba",
    "mamba2",
    "map_structure",
    "masked_softmax",
    "matmul",
    "matrix_norm",
    "max_pool1d",
    "maximum",
    "mean_squared_error",
    "median",
    "memory",
    "minimum",
    "mish",
    "moveaxis",
    "nan_to_num",
    "nanquantile",
    "ndtr",
    "norm",
    "normalize",
    "not_equal",
    "one_hot",
    "ones_like",
    "outer",
    "pad",
    "pad_to_multiple",
    "parameter",
    "placeholder",
    "positions",
    "power",
    "put_along_axis",
    "quantile",
    "rad2deg",
    "random_normal",
    "random_uniform",
    "read_gguf",
    "read_keras",
    "read_nam",
    "read_onnx",
    "read_rtneural",
    "read_tf1_graph",
    "read_tf1_variables",
    "read_torch",
    "reciprocal",
    "reduce_all",
    "reduce_any",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_precision",
    "reduce_prod",
    "reduce_std",
    "reduce_sum",
    "reduce_var",
    "relu",
    "relu6",
    "remainder",
    "repeat",
    "reshape",
    "reverse_sequence",
    "rms_norm",
    "roll",
    "round",
    "rsqrt",
    "sample",
    "selu",
    "shared",
    "sigmoid",
    "sigmoid_cross_entropy",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "soft_shrink",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "softsign",
    "sort",
    "sparse_softmax_cross_entropy",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "stack_bidirectional_dynamic_rnn",
    "standardize",
    "state",
    "state_placeholder",
    "static_rnn",
    "stop_gradient",
    "straight_through",
    "swapaxes",
    "swish",
    "take_along_axis",
    "tan",
    "tanh",
    "tanh_shrink",
    "tap",
    "tensordot",
    "threshold",
    "tile",
    "top_k",
    "trace",
    "transpose",
    "triangular_solve",
    "tril",
    "triu",
    "trunc",
    "trunc_divide",
    "unstack",
    "vector_norm",
    "weights",
    "where",
    "with_update",
    "write_onnx",
    "xlogy",
    "zeros_like",
]


if not TYPE_CHECKING:  # type checkers read the imports above instead, and reject other names

    def __getattr__(name: str) -> Any:
        return import_name(name, globals(), __all__)

    def __dir__() -> list[str]:
        return sorted(__all__)
