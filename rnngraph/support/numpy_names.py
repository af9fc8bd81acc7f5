"""Names of functions of NumPy, and of those here that compute the same."""

from __future__ import annotations

NUMPY = {
    **{name: name for name in (
        "abs", "acos", "acosh", "argmax", "argmin", "argsort", "asin", "asinh", "atan", "atan2", "atanh",
        "broadcast_to", "ceil", "clip", "concat", "copysign", "cos", "cosh", "count_nonzero", "cumprod", "cumsum",
        "deg2rad", "diagonal", "einsum", "equal", "exp", "exp2", "expand_dims", "expm1", "flip", "floor",
        "floor_divide", "fmax", "fmin", "fmod", "full_like", "greater", "heaviside", "hypot", "identity", "isfinite",
        "isinf", "isnan", "isneginf", "isposinf", "less", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2",
        "logical_and", "logical_not", "logical_or", "logical_xor", "matmul", "maximum", "median", "minimum", "moveaxis",
        "nan_to_num", "nanquantile", "not_equal", "ones_like", "outer", "pad", "power", "put_along_axis", "quantile",
        "rad2deg", "reciprocal", "remainder", "repeat", "reshape", "roll", "round", "sign", "signbit", "sin", "sinc",
        "sinh", "sort", "split", "sqrt", "square", "squeeze", "stack", "swapaxes", "take_along_axis", "tan", "tanh",
        "tensordot", "tile", "trace", "transpose", "tril", "triu", "trunc", "unstack", "where", "zeros_like",
    )},
    "absolute": "abs", "arctan": "atan", "sum": "reduce_sum", "mean": "reduce_mean", "max": "reduce_max",
    "min": "reduce_min", "prod": "reduce_prod", "std": "reduce_std", "var": "reduce_var", "any": "reduce_any",
    "all": "reduce_all", "amax": "reduce_max", "amin": "reduce_min", "concatenate": "concat", "vstack": "concat",
    "take": "gather", "rint": "round", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh",
    "arctan2": "atan2", "arctanh": "atanh", "degrees": "rad2deg", "radians": "deg2rad", "fix": "trunc",
    "float_power": "power",
}  # fmt: skip
"""Functions of Tensors, by the NumPy function that computes the same."""
