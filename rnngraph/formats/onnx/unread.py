"""Ops of ONNX without a reader, with the reason, or with the function body by which they are read.

A test compares the lists with onnx's own, and docs/api.md shows them.
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
"""Ops by the reason why they cannot be read. Nodes of other ops may still be refused for their operands."""


BY_RECORDED_BODY = ("AffineGrid", "BlackmanWindow", "HammingWindow", "HannWindow", "SwiGLU")
"""Ops that are read by function bodies of the standard, which ``function_bodies.json`` holds."""
BY_BUILT_BODY = (
    "Attention", "CenterCropPad", "DepthToSpace", "NegativeLogLikelihoodLoss", "RotaryEmbedding",
    "SoftmaxCrossEntropyLoss", "SpaceToDepth",
)  # fmt: skip
"""Ops whose function bodies the package onnx builds; two of them only in the newest versions of the standard."""
_NEEDS_PACKAGE = (
    "the function that ONNX defines it by is built by the package onnx, of a version that knows the op; "
    "pip install -U onnx"
)


BY_DOMAIN: Mapping[str, str] = {
    "com.microsoft.nchwc": "its numbers lie as the processor wants them that optimized the file; let onnxruntime "
    "optimize with ORT_ENABLE_EXTENDED at most",
}
"""Domains of which no op can be read, with the reason."""


def reason_for(op: str, domain: str) -> str:
    """Return the reason why an op without a reader cannot be read."""
    if domain in BY_DOMAIN:
        return BY_DOMAIN[domain]
    if op in BY_BUILT_BODY:
        return _NEEDS_PACKAGE
    if op in BY_RECORDED_BODY:
        return "it is read by the function that ONNX defines it by"
    text = next((reason for reason, ops in UNREAD.items() if op in ops), None)
    return text or "the op is not one of ONNX's own that are known here"
