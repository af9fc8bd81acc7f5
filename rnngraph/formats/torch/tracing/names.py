"""Tables of torch functions that ``Tracer`` treats differently from others, by name."""

from __future__ import annotations

IN_PLACE = {
    "__iadd__": "add",
    "__isub__": "sub",
    "__imul__": "mul",
    "__itruediv__": "div",
    "__setitem__": "__setitem__",
    "__ipow__": "pow",
    "__iand__": "__and__",
    "__ior__": "__or__",
}
"""Out-of-place functions, by the names of the in-place methods and augmented assignments that compute the same."""
OPERANDS = {
    "addcmul": ("input", "tensor1", "tensor2"),
    "addmm": ("input", "mat1", "mat2"),
    "baddbmm": ("input", "batch1", "batch2"),
    "bilinear": ("input1", "input2"),
    "cosine_similarity": ("x1", "x2"),
    "dot": ("input", "tensor"),
    "flip": ("input", "dims"),
    "lerp": ("input", "end"),
    "mv": ("input", "vec"),
    "new_full": ("input", "size"),
    "pad_sequence": (),
    "searchsorted": ("sorted_sequence", "input"),
    "swapaxes": ("input", "axis0", "axis1"),
    "where": ("condition", "input", "other"),
    **dict.fromkeys(("bmm", "mm"), ("input", "mat2")),
    **dict.fromkeys(("ger", "outer"), ("input", "vec2")),
}
"""torch's names of a function's first arguments, in order, where they are not ``input`` and ``other``."""
NEEDS_VALUES = ("_pack_padded_sequence", "_pad_packed_sequence", "scatter_", "__setitem__", "one_hot")
"""Functions that read values, so that torch cannot compute the shapes of their results on ``meta``."""
IGNORED = (
    "device",
    "layout",
    "pin_memory",
    "memory_format",
    "requires_grad",
    "non_blocking",
    "_stacklevel",
    "generator",
    "copy",
    "names",
    "antialias",
)
"""Keyword arguments that are removed from a call before its handler is called.

In the calls that are read, they do not affect values, apart from random draws (``generator``).
"""
MOVES = frozenset(
    (
        "view",
        "view_as",
        "reshape",
        "reshape_as",
        "flatten",
        "unflatten",
        "squeeze",
        "unsqueeze",
        "expand",
        "expand_as",
        "repeat",
        "tile",
        "transpose",
        "t",
        ".T",
        ".mT",
        "swapaxes",
        "swapdims",
        "permute",
        "movedim",
        "moveaxis",
        "__getitem__",
        "select",
        "narrow",
        "index_select",
        "gather",
        "chunk",
        "split",
        "tensor_split",
        "unbind",
        "cat",
        "concat",
        "concatenate",
        "stack",
        "flip",
        "roll",
        "contiguous",
        "clone",
        "detach",
        "__setitem__",
        "copy_",
        "to",
        "type_as",
        "zeros_like",
        "ones_like",
    )
)
"""Functions that only move numbers, or fill with exact numbers, so that their results need no rounding."""
STEPWISE = (
    "linear",
    "relu",
    "tanh",
    "sigmoid",
    "dropout",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "layer_norm",
    "softmax",
    "log_softmax",
    "embedding",
    "mul",
    "add",
    "sub",
    "div",
    "to",
    "float",
    "contiguous",
)
"""Functions that compute each step independently, and so can be applied to the data of a packed sequence."""
FACTORIES = ("zeros", "ones", "full", "empty", "arange", "eye", "linspace", "rand", "randn", "tensor")
"""Functions that create tensors on a device."""
_IMAGES = "not supported; use convolutions and pools along one axis or two"
_COMPLEX = "complex numbers and spectra are not supported; apply the transform before the module"
_RANDOM = "it draws random numbers, but nets are read for inference; draw them outside, and pass them as an input"
_MATRICES = "matrix inverses and decompositions are not supported; compute them before the module"
_BITS = "bitwise operations on integers are not supported; compute them before the module"
_FUNCTION = "not supported; compute it before the module, or with functions that are supported"
NOT_READ = "is not supported; compute it before the module, or with functions that are supported"
"""Error message for functions that are not in ``REFUSED``."""
DRAWN = (
    "rand",
    "randn",
    "randint",
    "randperm",
    "rand_like",
    "randn_like",
    "randint_like",
    "bernoulli",
    "bernoulli_",
    "multinomial",
    "normal",
    "normal_",
    "uniform_",
    "poisson",
    "random_",
    "gumbel_softmax",
    "exponential_",
    "cauchy_",
    "log_normal_",
    "geometric_",
    "binomial",
)
"""Functions that return random numbers."""
REFUSED = {
    **dict.fromkeys(
        (
            "lp_pool2d",
            "max_unpool1d",
            "max_unpool2d",
            "fractional_max_pool2d",
            "conv3d",
            "max_pool3d",
            "avg_pool3d",
            "conv_transpose3d",
            "grid_sample",
            "fold",
            "im2col",
            "pixel_shuffle",
            "pixel_unshuffle",
            "channel_shuffle",
            "affine_grid",
            "local_response_norm",
        ),
        _IMAGES,
    ),
    **dict.fromkeys(
        (
            "fft_fft",
            "fft_ifft",
            "fft_rfft",
            "fft_irfft",
            "stft",
            "istft",
            "view_as_complex",
            "view_as_real",
            "complex",
            "polar",
            "angle",
            "imag",
        ),
        _COMPLEX,
    ),
    **dict.fromkeys(DRAWN, _RANDOM),
    **dict.fromkeys(
        (
            "linalg_inv",
            "inverse",
            "linalg_solve",
            "linalg_det",
            "det",
            "slogdet",
            "linalg_svd",
            "svd",
            "linalg_eigh",
            "linalg_qr",
            "qr",
            "linalg_cholesky",
            "cholesky",
            "pinverse",
            "linalg_pinv",
            "matrix_power",
            "matrix_exp",
            "linalg_matrix_exp",
            "logdet",
        ),
        _MATRICES,
    ),
    **dict.fromkeys(
        ("__lshift__", "__rshift__", "bitwise_left_shift", "bitwise_right_shift", "nextafter", "frexp", "gcd", "lcm"),
        _BITS,
    ),
    **dict.fromkeys(
        (
            "mode",
            "bincount",
            "unique",
            "histc",
            "digamma",
            "lgamma",
            "polygamma",
            "erfinv",
            "i0",
            "special_i0",
            "special_i1",
            "special_erfinv",
            "special_log_ndtr",
            "special_digamma",
            "renorm",
            "kron",
            "block_diag",
            "cartesian_prod",
            "combinations",
            "cov",
            "corrcoef",
            "gradient",
            "as_strided",
            "ctc_loss",
        ),
        _FUNCTION,
    ),
    "masked_scatter": "the number of written values depends on the mask's values; select with torch.where",
}
"""Error messages for unsupported functions, by name."""
ALIASES = {
    "special_expit": "sigmoid",
    "special_softmax": "softmax",
    "special_log_softmax": "log_softmax",
    "special_erf": "erf",
    "special_log1p": "log1p",
    "special_expm1": "expm1",
    "special_exp2": "exp2",
    "special_logsumexp": "logsumexp",
    "special_round": "round",
    "linalg_matmul": "matmul",
}
"""Names of functions by their aliases."""
WEIGHT_HOOKS = ("torch.nn.utils.weight_norm", "torch.nn.utils.spectral_norm", "torch.nn.utils.prune")
"""Python modules whose hooks compute weights."""
