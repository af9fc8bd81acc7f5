"""TensorFlow 1.x's own names: ``from rnngraph import tf1 as tf``.

A TensorFlow 1.x script declares, trains, saves and restores as it is, with positional and keyword arguments as in
TensorFlow 1.15; or what it declares is compiled by ``rg.compile``. What is not offered raises ``NotOfferedError``,
which names what to use instead.

``core`` has graphs, scopes, variables and sessions, ``platform`` flags and files, ``summary`` logs, ``train``
optimizers and checkpoints, ``cells`` what programs call and subclass, ``ops`` functions, layers and cells, ``flow``
loops and branches, ``seq2seq`` encoders and decoders, ``labelling`` labels of sequences, ``metric_streams`` measures
over runs.

What programs import has TensorFlow's paths, and little in it: ``nn``, ``layers``, ``losses``, ``metrics``,
``initializers``, ``random``, ``contrib``, ``errors``, ``app``, ``flags``, ``gfile``, ``io``
(files), ``logging``, and ``compat`` for ``tf.compat.v1``. ``imports`` answers
``import tensorflow`` in scripts that stay unchanged.
"""

from __future__ import annotations

from typing import Any

from ..support.api_guard import api as _api
from . import (
    app,
    compat,
    contrib,
    errors,
    flags,
    gfile,
    initializers,
    io,
    layers,
    logging,
    losses,
    metrics,
    nn,
    random,
    summary,
    train,
)
from .core.graph import (
    Graph,
    GraphKeys,
    add_to_collection,
    get_collection,
    get_collection_ref,
    get_default_graph,
    reset_default_graph,
    set_random_seed,
)
from .core.names import NARROW as _NARROW
from .core.names import DType, as_dtype
from .core.names import Namespace as _Namespace
from .core.names import NarrowInt as _NarrowInt
from .core.names import missing as _missing
from .core.operations import Operation, group, no_op
from .core.operations import tuple_of as tuple
from .core.scopes import (
    AUTO_REUSE,
    VariableScope,
    colocate_with,
    container,
    control_dependencies,
    device,
    get_variable_scope,
    name_scope,
    op_scope,
    variable_scope,
)
from .core.session import ConfigProto, GPUOptions, InteractiveSession, Session, get_default_session
from .core.shapes import TensorShape
from .core.shapes import dimension as Dimension
from .core.tensors import TfTensor as Tensor
from .core.variables import (
    Variable,
    assign,
    assign_add,
    assign_sub,
    get_local_variable,
    get_variable,
    global_variables,
    global_variables_initializer,
    is_variable_initialized,
    local_variables,
    local_variables_initializer,
    report_uninitialized_variables,
    tables_initializer,
    trainable_variables,
    variables_initializer,
)
from .core.variables import global_variables as all_variables
from .core.variables import global_variables_initializer as initialize_all_variables
from .core.variables import local_variables_initializer as initialize_local_variables
from .core.variables import variables_initializer as initialize_variables
from .flow.branches import case, cond, switch_case
from .flow.functional import foldl, foldr, map_fn, scan
from .flow.tensor_array import TensorArray
from .flow.while_loops import while_loop
from .labelling.ctc import edit_distance
from .labelling.sparse import SparseTensor, SparseTensorValue, sparse, sparse_placeholder, sparse_tensor_to_dense
from .ops import nest
from .ops.arithmetic import div, reciprocal, reverse, rsqrt, strided_slice, to_double, to_int32, to_int64, truediv
from .ops.arithmetic import l2_normalize as _l2_normalize
from .ops.arithmetic import slice_of as slice
from .ops.arithmetic import truediv as realdiv
from .ops.contractions import einsum, gather_nd, tensordot
from .ops.functions import (
    abs,
    acos,
    acosh,
    add,
    argmax,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cast,
    clip_by_value,
    concat,
    constant,
    cos,
    cosh,
    cumsum,
    divide,
    equal,
    erf,
    erfc,
    exp,
    expand_dims,
    expm1,
    fill,
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
    sigmoid,
    sin,
    sinh,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    subtract,
    tan,
    tanh,
    tile,
    to_float,
    transpose,
    unstack,
    zeros,
    zeros_like,
)
from .ops.initializers import (
    constant_initializer,
    glorot_normal_initializer,
    glorot_uniform_initializer,
    ones_initializer,
    orthogonal_initializer,
    random_normal_initializer,
    random_uniform_initializer,
    truncated_normal_initializer,
    uniform_unit_scaling_initializer,
    variance_scaling_initializer,
    zeros_initializer,
)
from .ops.inputs import placeholder, placeholder_with_default
from .ops.numbers import (
    argmin,
    ceil,
    count_nonzero,
    div_no_nan,
    eye,
    floor,
    floordiv,
    floormod,
    identity_n,
    is_finite,
    is_inf,
    is_nan,
    linspace,
    log_sigmoid,
    logical_xor,
    norm,
    reduce_logsumexp,
    reduce_prod,
    round,
    scalar_mul,
    sign,
    truncatediv,
    truncatemod,
)
from .ops.numbers import xlogy as _xlogy
from .ops.random import multinomial, random_normal, random_shuffle, random_uniform, truncated_normal
from .ops.selection import (
    boolean_mask,
    confusion_matrix,
    diag,
    diag_part,
    matrix_band_part,
    reverse_sequence,
    roll,
    trace,
    unsorted_segment_sum,
    where,
)
from .ops.shapes import (
    add_n,
    broadcast_to,
    convert_to_tensor,
    negative,
    range,
    rank,
    sequence_mask,
    shape,
    size,
    squared_difference,
    stop_gradient,
)
from .summary.messages import Event, HistogramProto, Summary, SummaryMetadata
from .summary.summaries import (
    histogram_summary,
    image_summary,
    merge_all_summaries,
    merge_summary,
    scalar_summary,
)
from .train.gradients import AggregationMethod, clip_by_global_norm, clip_by_norm, global_norm, gradients

__all__ = (
    "AUTO_REUSE", "VERSION", "AggregationMethod", "ConfigProto", "DType", "Dimension", "Event", "GPUOptions", "Graph",
    "GraphKeys", "GraphOptions", "HistogramProto", "InteractiveSession", "Operation", "OptimizerOptions",
    "RunMetadata", "RunOptions", "Session", "SparseTensor", "SparseTensorValue", "Summary", "SummaryMetadata",
    "Tensor", "TensorArray", "TensorShape", "Variable", "VariableScope", "abs", "accumulate_n", "acos", "acosh", "add",
    "add_n", "add_to_collection", "all_variables", "app", "arg_max", "arg_min", "argmax", "argmin", "as_dtype", "asin",
    "asinh", "assign", "assign_add", "assign_sub", "atan", "atan2", "atanh", "batch_matmul", "boolean_mask",
    "broadcast_to", "case", "cast", "ceil", "ceiling", "clip_by_global_norm", "clip_by_norm", "clip_by_value",
    "colocate_with", "compat", "concat", "concat_v2", "cond", "confusion_matrix", "constant", "constant_initializer",
    "container", "contrib", "control_dependencies", "convert_to_tensor", "cos", "cosh", "count_nonzero", "cumsum",
    "device", "diag", "diag_part", "disable_eager_execution", "disable_resource_variables", "disable_v2_behavior",
    "disable_v2_tensorshape", "div", "div_no_nan", "divide", "edit_distance", "einsum", "equal", "erf", "erfc",
    "errors", "exp", "expand_dims", "expm1", "eye", "fill", "flags", "float32", "float64", "floor", "floordiv",
    "floormod", "foldl", "foldr", "gather", "gather_nd", "get_collection", "get_collection_ref", "get_default_graph",
    "get_default_session", "get_local_variable", "get_variable", "get_variable_scope", "gfile", "global_norm",
    "global_variables", "global_variables_initializer", "glorot_normal_initializer", "glorot_uniform_initializer",
    "gradients", "greater", "greater_equal", "group", "histogram_summary", "identity", "identity_n", "image_summary",
    "initialize_all_variables", "initialize_local_variables", "initialize_variables", "initializers", "int8", "int16",
    "int32", "int64", "io", "is_finite", "is_inf", "is_nan", "is_variable_initialized", "layers", "less",
    "less_equal", "lin_space", "linalg", "linspace", "local_variables", "local_variables_initializer", "log", "log1p",
    "log_sigmoid", "logging", "logical_and", "logical_not", "logical_or", "logical_xor", "losses", "map_fn", "math",
    "matmul", "matrix_band_part", "matrix_diag", "matrix_diag_part", "maximum", "merge_all_summaries", "merge_summary",
    "metrics", "minimum", "mod", "mul", "multinomial", "multiply", "name_scope", "neg", "negative", "nest", "newaxis",
    "nn", "no_op", "no_regularizer", "norm", "not_equal", "one_hot", "ones", "ones_initializer", "ones_like",
    "op_scope", "orthogonal_initializer", "pack", "pad", "placeholder", "placeholder_with_default", "pow", "random",
    "random_normal", "random_normal_initializer", "random_shuffle", "random_uniform", "random_uniform_initializer",
    "range", "rank", "realdiv", "reciprocal", "reduce_all", "reduce_any", "reduce_logsumexp", "reduce_max",
    "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "report_uninitialized_variables", "reset_default_graph",
    "reshape", "reverse", "reverse_sequence", "reverse_v2", "rint", "roll", "round", "rsqrt", "scalar_mul",
    "scalar_summary", "scan", "select", "sequence_mask", "set_random_seed", "shape", "sigmoid", "sign", "sin", "sinh",
    "size", "slice", "sparse", "sparse_placeholder", "sparse_tensor_to_dense", "split", "sqrt", "square",
    "squared_difference", "squeeze", "stack", "stop_gradient", "strided_slice", "sub", "subtract", "summary",
    "switch_case", "tables_initializer", "tan", "tanh", "tensordot", "tile", "to_double", "to_float",
    "to_int32", "to_int64", "trace", "train", "trainable_variables", "transpose", "truediv", "truncated_normal",
    "truncated_normal_initializer", "truncatediv", "truncatemod", "tuple", "uint8", "uint16",
    "uniform_unit_scaling_initializer", "unpack", "unsorted_segment_sum", "unstack", "variable_scope",
    "variables_initializer", "variance_scaling_initializer", "where", "where_v2", "while_loop", "zeros",
    "zeros_initializer", "zeros_like",
)  # fmt: skip

float32, float64, int32, int64 = DType("float32"), DType("float64"), DType("int32"), DType("int64")
int8, uint8, int16, uint16 = (_NarrowInt(name) for name in _NARROW)
newaxis = None
mod, ceiling, rint, lin_space = floormod, ceil, round, linspace
mul, sub, neg, select, pack, unpack, batch_matmul, concat_v2 = (  # as before TensorFlow 1.0
    multiply, subtract, negative, where, stack, unstack, matmul, concat,
)  # fmt: skip
accumulate_n, arg_max, arg_min = add_n, argmax, argmin
reverse_v2, where_v2, no_regularizer = reverse, where, None
matrix_diag, matrix_diag_part = diag, diag_part
RunOptions = RunMetadata = GraphOptions = OptimizerOptions = GPUOptions
math = _Namespace(
    "math",
    {
        **{name: globals()[name] for name in (
            "abs", "acos", "acosh", "add", "add_n", "argmax", "argmin", "asin", "asinh", "atan", "atan2", "atanh",
            "ceil", "cos", "cosh", "count_nonzero", "cumsum", "divide", "equal", "erf", "erfc", "exp", "expm1",
            "floor", "floordiv", "floormod", "greater", "greater_equal", "is_finite", "is_inf", "is_nan", "less",
            "less_equal", "log", "log1p", "log_sigmoid", "logical_and", "logical_not", "logical_or", "logical_xor",
            "maximum", "minimum", "multiply", "negative", "not_equal", "pow", "reciprocal", "reduce_all",
            "reduce_any", "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum",
            "rint", "round", "rsqrt", "scalar_mul", "sigmoid", "sign", "sin", "sinh", "sqrt", "square",
            "squared_difference", "subtract", "tan", "tanh", "truediv",
        )},
        "xlogy": _xlogy,
        **{name: getattr(nn, name) for name in ("in_top_k", "l2_normalize", "log_softmax", "softmax", "softplus")},
    },
)  # fmt: skip
linalg = _Namespace(
    "linalg",
    {
        "matmul": matmul,
        "norm": norm,
        "l2_normalize": _l2_normalize,
        "eye": eye,
        "einsum": einsum,
        "tensordot": tensordot,
    },
)


@_api
def disable_v2_behavior() -> None:
    """Does nothing: there is no other behaviour."""


disable_eager_execution = disable_resource_variables = disable_v2_tensorshape = disable_v2_behavior
__version__ = VERSION = ".".join(("1", "15", "0"))  # TensorFlow's; ours stands in one file


def __getattr__(name: str) -> Any:
    if name == "bool":  # the built-in name stays free for this module
        return DType("bool")
    raise _missing("", name)
