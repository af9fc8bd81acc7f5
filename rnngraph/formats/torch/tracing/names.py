"""Names of torch's calls about which a ``Tracer`` knows more than what they mean."""

from __future__ import annotations

IN_PLACE = {
    "__iadd__": "add", "__isub__": "sub", "__imul__": "mul", "__itruediv__": "div", "__setitem__": "__setitem__",
    "__ipow__": "pow", "__iand__": "__and__", "__ior__": "__or__",
}  # fmt: skip
OWN_INPUT = ("pad_sequence",)
"""Functions whose ``input`` is no name for the first argument."""
NOT_ASKED = ("_pack_padded_sequence", "_pad_packed_sequence", "scatter_", "__setitem__", "one_hot")
"""Calls whose result torch can't tell without values."""
IGNORED = (
    "device", "layout", "pin_memory", "memory_format", "inplace", "requires_grad", "non_blocking", "_stacklevel",
    "generator", "copy", "names", "antialias",
)  # fmt: skip
"""Arguments that change no numbers."""
OF_STEPS = (
    "linear", "relu", "tanh", "sigmoid", "dropout", "leaky_relu", "elu", "gelu", "silu", "layer_norm", "softmax",
    "log_softmax", "embedding", "mul", "add", "sub", "div", "to", "float", "contiguous",
)  # fmt: skip
"""What may be done to the steps of a packed sequence, each by itself."""
FACTORIES = ("zeros", "ones", "full", "empty", "arange", "eye", "linspace", "rand", "randn", "tensor")
_IMAGES = "of layers along several axes convolutions and pools of two are read"
_COMPLEX = "there are no complex numbers and no spectra here; put the transform before the module"
_RANDOM = "it draws random numbers, and nets are read as they predict; draw them outside, as an input"
_MATRICES = "matrices are neither inverted nor decomposed here; compute it before the module"
_BITS = "it computes with the bits of whole numbers"
_FUNCTION = "no function here computes it; compute it before the module, or of functions that are read"
NO_MEANING = "is not read; compute it before the module, or of functions that are read"
"""Why others are not."""
DRAWN = (
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli", "bernoulli_",
    "multinomial", "normal", "normal_", "uniform_", "poisson", "random_", "gumbel_softmax", "exponential_", "cauchy_",
    "log_normal_", "geometric_", "binomial",
)  # fmt: skip
"""Functions that draw random numbers."""
REFUSED = {
    **dict.fromkeys(
        ("lp_pool2d", "max_unpool1d", "max_unpool2d", "fractional_max_pool2d", "conv3d", "max_pool3d", "avg_pool3d",
         "conv_transpose3d", "grid_sample", "fold", "im2col", "pixel_shuffle", "pixel_unshuffle",
         "channel_shuffle", "affine_grid", "local_response_norm"),
        _IMAGES,
    ),
    **dict.fromkeys(
        ("fft_fft", "fft_ifft", "fft_rfft", "fft_irfft", "stft", "istft", "view_as_complex", "view_as_real", "complex",
         "polar", "angle", "imag"),
        _COMPLEX,
    ),
    **dict.fromkeys(DRAWN, _RANDOM),
    **dict.fromkeys(
        ("linalg_inv", "inverse", "linalg_solve", "linalg_det", "det", "slogdet", "linalg_svd", "svd", "linalg_eigh",
         "linalg_qr", "qr", "linalg_cholesky", "cholesky", "pinverse", "linalg_pinv", "matrix_power", "matrix_exp",
         "linalg_matrix_exp", "logdet"),
        _MATRICES,
    ),
    **dict.fromkeys(
        ("__lshift__", "__rshift__", "bitwise_left_shift", "bitwise_right_shift", "nextafter", "frexp", "gcd", "lcm"),
        _BITS,
    ),
    **dict.fromkeys(
        ("mode", "bincount", "unique", "histc", "digamma", "lgamma", "polygamma", "erfinv", "i0",
         "special_i0", "special_i1", "special_erfinv", "special_log_ndtr", "special_digamma", "renorm", "kron",
         "block_diag", "cartesian_prod", "combinations", "cov", "corrcoef", "gradient", "as_strided", "ctc_loss"),
        _FUNCTION,
    ),
    "masked_scatter": "as many values as a mask has places are written; choose by torch.where",
}  # fmt: skip
"""Why functions are not read, where there is more to say."""
SAME = {
    "special_expit": "sigmoid", "special_softmax": "softmax", "special_log_softmax": "log_softmax",
    "special_erf": "erf", "special_log1p": "log1p", "special_expm1": "expm1", "special_exp2": "exp2",
    "special_logsumexp": "logsumexp", "special_round": "round", "linalg_matmul": "matmul",
}  # fmt: skip
"""Functions of another name that are the same."""
WEIGHT_HOOKS = ("torch.nn.utils.weight_norm", "torch.nn.utils.spectral_norm", "torch.nn.utils.prune")
"""Where hooks come from that compute weights."""
