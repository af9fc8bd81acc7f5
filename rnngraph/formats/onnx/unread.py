"""Ops of ONNX that can't be read, with the reason. A test holds it against onnx's own list, and docs/api.md has it."""

from __future__ import annotations

from collections.abc import Mapping

UNREAD: Mapping[str, tuple[str, ...]] = {
    "it is for images, of two open axes or more": (
        "AffineGrid", "CenterCropPad", "Col2Im", "DeformConv", "DepthToSpace", "GlobalLpPool",
        "GridSample", "ImageDecoder", "LRN", "LpPool", "MaxRoiPool", "MaxUnpool", "NonMaxSuppression", "RoiAlign",
        "SpaceToDepth",
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
        "BlackmanWindow", "DFT", "HammingWindow", "HannWindow", "MelWeightMatrix", "STFT",
    ),
    "it is a loss; export the net up to what it predicts": ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"),
    "it writes to places that only a call knows": ("TensorScatter",),
    "no function here computes it": (
        "Attention", "CausalConvWithState", "Det", "EyeLike", "LinearAttention", "RotaryEmbedding", "SwiGLU",
    ),
}  # fmt: skip
"""Ops by why they can't be read. Of those that can, nodes may still be refused by what they are given."""


BY_DOMAIN: Mapping[str, str] = {
    "com.microsoft.nchwc": "its numbers lie as the processor wants them that optimized the file; let onnxruntime "
    "optimize with ORT_ENABLE_EXTENDED at most",
}
"""Why no op of a domain can be read."""


def reason_for(op: str, domain: str) -> str:
    """Why an op can't be read that no function reads."""
    if domain in BY_DOMAIN:
        return BY_DOMAIN[domain]
    found = next((reason for reason, ops in UNREAD.items() if op in ops), None)
    return found or "the op is not one of ONNX's own that are known here"
