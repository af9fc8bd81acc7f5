"""Equivalents of NumPy's functions in this package, by NumPy's names."""

from __future__ import annotations

_SAME_NAME = """
    abs acos acosh argmax argmin argsort asin asinh atan atan2 atanh broadcast_to ceil clip concat copysign cos cosh
    count_nonzero cumprod cumsum deg2rad diagonal einsum equal exp exp2 expand_dims expm1 flip floor floor_divide fmax
    fmin fmod full_like greater heaviside hypot identity isfinite isinf isnan isneginf isposinf less log log10 log1p
    log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor matmul maximum median minimum moveaxis
    nan_to_num nanquantile not_equal ones_like outer pad power put_along_axis quantile rad2deg reciprocal remainder
    repeat reshape roll round sign signbit sin sinc sinh sort split sqrt square squeeze stack swapaxes take_along_axis
    tan tanh tensordot tile trace transpose tril triu trunc unstack where zeros_like
"""
_OTHER_NAME = """
    absolute=abs all=reduce_all amax=reduce_max amin=reduce_min any=reduce_any arccos=acos arccosh=acosh arcsin=asin
    arcsinh=asinh arctan=atan arctan2=atan2 arctanh=atanh concatenate=concat degrees=rad2deg fix=trunc
    float_power=power max=reduce_max mean=reduce_mean min=reduce_min prod=reduce_prod radians=deg2rad rint=round
    std=reduce_std sum=reduce_sum take=gather var=reduce_var vstack=concat
"""
NUMPY = {name: name for name in _SAME_NAME.split()} | dict(pair.split("=") for pair in _OTHER_NAME.split())
"""Functions of Tensors, by the name of the equivalent NumPy function."""
