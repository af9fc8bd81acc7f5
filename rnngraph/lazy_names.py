"""Public names that are imported when a script first reads them.

Importing all of them with the package would take half as long again, and most scripts need few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .support.errors import NotOfferedError, did_you_mean

NAMES_OF_MODULE = {
    "declare.cells.gated_variants": (
        "CFNCell",
        "IndRNNCell",
        "IntersectionRNNCell",
        "MinimalRNNCell",
        "SRUCell",
        "UGRNNCell",
    ),
    "declare.cells.linear_attention": ("DeltaNetCell", "GatedDeltaNetCell", "GatedLinearAttentionCell", "RWKV7Cell"),
    "declare.cells.lstm_variants": ("CoupledInputForgetGateLSTMCell", "LayerNormBasicLSTMCell", "NASCell"),
    "declare.cells.mamba": ("mamba", "mamba2"),
    "declare.cells.minimal": ("MinGRUCell", "MinLSTMCell"),
    "declare.cells.projections": ("InputProjectionWrapper", "OutputProjectionWrapper"),
    "declare.cells.state_spaces": ("LRUCell", "RGLRUCell", "S6Cell", "SSDCell"),
    "declare.cells.xlstm": ("MLSTMCell", "SLSTMCell"),
    "declare.functions.arrays.contractions": ("einsum", "tensordot"),
    "declare.functions.arrays.filling": ("full_like", "ones_like", "zeros_like"),
    "declare.functions.arrays.matrices": (
        "diag_embed",
        "diagonal",
        "outer",
        "trace",
        "triangular_solve",
        "tril",
        "triu",
    ),
    "declare.functions.arrays.moves": ("flip", "moveaxis", "repeat", "roll", "swapaxes", "tile", "unstack"),
    "declare.functions.cumulative": ("cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"),
    "declare.functions.elementary.angles": ("acos", "asin", "atan2", "deg2rad", "rad2deg", "sinc", "tan"),
    "declare.functions.elementary.hyperbolic": ("acosh", "asinh", "atanh", "cosh", "sinh"),
    "declare.functions.elementary.logarithms": ("entr", "log2", "log10", "logaddexp", "logaddexp2", "logit", "xlogy"),
    "declare.functions.elementary.normal": ("erfc", "ndtr"),
    "declare.functions.elementary.numbers": (
        "copysign",
        "fmax",
        "fmin",
        "heaviside",
        "isfinite",
        "isinf",
        "isnan",
        "isneginf",
        "isposinf",
        "nan_to_num",
        "signbit",
    ),
    "declare.functions.indexing": ("axis_indices", "clamped_slice", "gather_nd", "put_along_axis", "take_along_axis"),
    "declare.functions.normalization": (
        "batch_normalization",
        "group_norm",
        "layer_norm",
        "normalize",
        "rms_norm",
        "standardize",
    ),
    "declare.functions.norms": ("matrix_norm", "norm", "vector_norm"),
    "declare.functions.orders": ("argsort", "median", "nanquantile", "quantile", "sort", "top_k"),
    "declare.functions.padding": ("pad", "pad_to_multiple"),
    "declare.functions.rounding": ("ceil", "dequantize", "floor", "reduce_precision", "round"),
    "declare.functions.sequences": ("ensure_longest", "ensure_size", "gather_last", "positions", "reverse_sequence"),
    "declare.functions.statistics": (
        "count_nonzero",
        "logsumexp",
        "reduce_all",
        "reduce_any",
        "reduce_prod",
        "reduce_std",
        "reduce_var",
    ),
    "declare.functions.convolutions": ("average_pool1d", "conv1d", "max_pool1d"),
    "declare.seq2seq.attention": ("AttentionWrapper", "AttentionWrapperState", "BahdanauAttention", "LuongAttention"),
    "declare.seq2seq.beam": ("Beam",),
    "declare.seq2seq.ctc": ("ctc_loss",),
    "declare.seq2seq.decode": ("dynamic_decode",),
    "declare.seq2seq.sampling": ("sample",),
    "declare.seq2seq.search": ("BeamSearch",),
    "formats.gguf.read": ("read_gguf",),
    "formats.keras.read": ("read_keras",),
    "formats.nam": ("read_nam",),
    "formats.net": ("Net",),
    "formats.onnx.read": ("read_onnx",),
    "formats.onnx.writing.model": ("write_onnx",),
    "formats.rtneural": ("read_rtneural",),
    "formats.tf1_graph.read": ("read_tf1_graph",),
    "formats.tensorflow.variables": ("read_tf1_variables",),
    "formats.torch.read": ("read_torch",),
    "inspection.profile.profile": ("Profile",),
    "runtime.calls.non_finite": ("NonFinite",),
    "runtime.streams.pool": ("StreamPool",),
    "runtime.streams.stream": ("Stream",),
    "runtime.streams.stream_table": ("StreamHandle",),
    "training.fit.history": ("History",),
    "program.generation.generation": ("Generation",),
    "program.generation.generator": ("Generator",),
    "program.generation.handle": ("GenerationHandle",),
    "program.reports.memory_report": ("Memory", "MemoryUsage"),
    "training.optimization.optimizers": ("SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSProp"),
    "training.optimization.pruning": ("Prune",),
    "training.optimization.schedules": (
        "CosineDecay",
        "ExponentialDecay",
        "PiecewiseConstant",
        "PolynomialDecay",
        "ReduceOnPlateau",
        "Schedule",
        "WarmUp",
    ),
    "training.trainer": ("Trainer", "loads_trainer"),
}
"""Lazily imported names, by the module that defines them.

Modules that implement operators of Tensors, such as ``x ** y``, are imported with the package instead.
"""

_MODULE_OF_NAME = {name: module for module, names in NAMES_OF_MODULE.items() for name in names}

SUBMODULES = {"errors": "errors", "weights": "formats.weights", "sklearn": "sklearn"}
"""Modules that are public names themselves. ``sklearn`` needs an extra, so it is not in ``__all__``."""


def import_name(name: str, package: dict[str, Any], public: Sequence[str]) -> Any:
    """Import a public name, and return its value. Later reads find it in the package's namespace.

    Args:
        name: Name that the package's namespace lacks.
        package: Namespace of the package.
        public: All public names, for the suggestion in the error message.

    Raises:
        NotOfferedError: There is no such public name.
        AttributeError: Python itself looked up a name that begins with an underscore.
    """
    path = package["__name__"]
    if name in _MODULE_OF_NAME:
        module = import_module(f"{path}.{_MODULE_OF_NAME[name]}")
        package.update({defined: getattr(module, defined) for defined in NAMES_OF_MODULE[_MODULE_OF_NAME[name]]})
        return package[name]
    if name in SUBMODULES:
        return import_module(f"{path}.{SUBMODULES[name]}")
    if name.startswith("_"):
        raise AttributeError(f"module {path!r} has no attribute {name!r}")
    from .support.migration_hints import name_instead  # imported late: needed for an error only

    instead = name_instead(name)
    raise NotOfferedError(f"rg has no {name}{f'; write {instead}' if instead else did_you_mean(name, public)}")
