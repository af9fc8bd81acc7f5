"""Ops of ONNX without a reader: unsupported ops, and ops that are read by their function bodies.

A test compares the lists with those of the package onnx, and docs/api.md shows them.
"""

from __future__ import annotations

from collections.abc import Mapping


def _ops(names: str) -> tuple[str, ...]:
    return tuple(names.split())


UNREAD: Mapping[str, tuple[str, ...]] = {
    "it is for images with two open axes or more": _ops(
        "Col2Im DeformConv GlobalLpPool GridSample ImageDecoder LRN LpPool MaxRoiPool MaxUnpool NonMaxSuppression "
        "RoiAlign"
    ),
    "it draws random numbers, and only inference is read": _ops(
        "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike"
    ),
    "it computes with strings": _ops("RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer"),
    "it computes with the bits of integers": _ops("BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor"),
    "it has optional values, or sequences of unknown length": _ops(
        "Optional OptionalGetElement OptionalHasElement SequenceMap"
    ),
    "it transforms spectra; move the transform in front of the net, or write it as a convolution": _ops(
        "DFT MelWeightMatrix STFT"
    ),
    "it writes to indices that only a call knows": _ops("TensorScatter"),
    "rnngraph has no function for it": _ops("Det EyeLike"),
}
"""Ops that cannot be read, by the reason. Nodes of other ops may still be refused because of their operands."""


BY_RECORDED_BODY = _ops("AffineGrid BlackmanWindow HammingWindow HannWindow SwiGLU")
"""Ops that are read by the standard's function bodies in ``function_bodies.json``."""
BY_BUILT_BODY = _ops(
    "Attention CenterCropPad DepthToSpace NegativeLogLikelihoodLoss RotaryEmbedding SoftmaxCrossEntropyLoss "
    "SpaceToDepth"
)
"""Ops whose function bodies the package onnx builds. Two of the bodies exist in the newest versions only."""
_NEEDS_PACKAGE = (
    "its function body is built by the package onnx, which is missing or too old for the op; pip install -U onnx"
)


BY_DOMAIN: Mapping[str, str] = {
    "com.microsoft.nchwc": "its layouts are those of the processor that optimized the file; let onnxruntime optimize "
    "with ORT_ENABLE_EXTENDED at most",
}
"""Domains of which no op can be read, with the reason."""


def reason_for(op: str, domain: str) -> str:
    """Return why an op without a reader cannot be read."""
    if domain in BY_DOMAIN:
        return BY_DOMAIN[domain]
    if op in BY_BUILT_BODY:
        return _NEEDS_PACKAGE
    if op in BY_RECORDED_BODY:
        return "it is read by its function body in ONNX's standard"
    text = next((reason for reason, ops in UNREAD.items() if op in ops), None)
    return text or "the op is not in ONNX's standard"
