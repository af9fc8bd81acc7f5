"""Names of torch's calls about which a ``Tracer`` knows more than what they mean."""

from __future__ import annotations

IN_PLACE = {
    "__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div", "__setitem__": "__setitem__",
    "__ipow__": "pow", "__iand__": "__and__", "__ior__": "__or__",
}  # fmt: skip
OWN_INPUT = ("pad_sequence",)
"""Functions whose ``input`` is no name for the first argument."""
NOT_ASKED = ("_pack_padded_sequence", "_pad_packed_sequence", "scatter_", "__setitem__")
"""Calls whose result torch can't tell without values."""
IGNORED = (
    "out", "device", "layout", "pin_memory", "memory_format", "inplace", "requires_grad", "non_blocking", "_stacklevel",
    "generator", "copy", "names", "antialias",
)  # fmt: skip
"""Arguments that change no numbers."""
OF_STEPS = (
    "linear", "relu", "tanh", "sigmoid", "dropout", "leaky_relu", "elu", "gelu", "silu", "layer_norm", "softmax",
    "log_softmax", "embedding", "mul", "add", "sub", "div", "to", "float", "contiguous",
)  # fmt: skip
"""What may be done to the steps of a packed sequence, each by itself."""
FACTORIES = ("zeros", "ones", "full", "empty", "arange", "eye", "linspace", "rand", "randn", "tensor")
REFUSED = {
    **dict.fromkeys(
        ("lp_pool2d", "max_unpool1d", "max_unpool2d", "fractional_max_pool2d", "conv3d", "max_pool3d", "avg_pool3d",
         "conv_transpose2d", "conv_transpose3d", "grid_sample", "fold", "unfold", "pixel_shuffle"),
        "of layers along several axes convolutions and pools of two are read",
    ),
    **dict.fromkeys(
        ("prod", "cumprod", "cummax", "cummin", "median", "mode", "bincount", "unique", "histc"),
        "it has no counterpart here",
    ),
}  # fmt: skip
"""Why functions are not read, where there is more to say."""
