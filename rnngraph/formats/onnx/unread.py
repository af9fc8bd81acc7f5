"""Ops of ONNX that no function reads, with the reason, or with the body by which they are read.

A test holds the lists against onnx's own, and docs/api.md has them.
"""

from __future__ import annotations

from collections.abc import Mapping

UNREAD: Mapping[str, tuple[str, ...]] = {
    "it is for images, of two open axes or more": (
        "Col2Im", "DeformConv", "GlobalLpPool", "GridSample", "ImageDecoder", "LRN", "LpPool", "MaxRoiPool",
        "MaxUnpool", "NonMaxSuppression", "RoiAlign",
    ),
    "it draws random numbers, and nets are read as they predict": (
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
    ),
    "it computes with texts": (
        "RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer",
    ),
    "it computes with the bits of whole numbers": (
        "BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor",
    ),
    "it is of values that may lack, or of sequences of any length": (
        "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceMap",
    ),
    "it transforms spectra or makes what that needs; put the transform before the net, or write it as a convolution": (
        "DFT", "MelWeightMatrix", "STFT",
    ),
    "it writes to places that only a call knows": ("TensorScatter",),
    "no function here computes it": ("Det", "EyeLike"),
}  # fmt: skip
"""Ops by why they can't be read. Of those that can, nodes may still be refused by what they are given."""


BY_RECORDED_BODY = ("AffineGrid", "BlackmanWindow", "HammingWindow", "HannWindow", "SwiGLU")
"""Ops that are read by the functions that the standard defines them by, which ``function_bodies.json`` holds."""
BY_BUILT_BODY = (
    "Attention", "CenterCropPad", "DepthToSpace", "NegativeLogLikelihoodLoss", "RotaryEmbedding",
    "SoftmaxCrossEntropyLoss", "SpaceToDepth",
)  # fmt: skip
"""Ops whose functions the package onnx builds; of two of them in the newest versions of the standard alone."""
_NEEDS_PACKAGE = (
    "the function that ONNX defines it by is built by the package onnx, of a version that knows the op; "
    "pip install -U onnx"
)


BY_DOMAIN: Mapping[str, str] = {
    "com.microsoft.nchwc": "its numbers lie as the processor wants them that optimized the file; let onnxruntime "
    "optimize with ORT_ENABLE_EXTENDED at most",
}
"""Why no op of a domain can be read."""


def reason_for(op: str, domain: str) -> str:
    """Why an op can't be read that no function reads."""
    if domain in BY_DOMAIN:
        return BY_DOMAIN[domain]
    if op in BY_BUILT_BODY:
        return _NEEDS_PACKAGE
    if op in BY_RECORDED_BODY:
        return "it is read by the function that ONNX defines it by"
    found = next((reason for reason, ops in UNREAD.items() if op in ops), None)
    return found or "the op is not one of ONNX's own that are known here"
