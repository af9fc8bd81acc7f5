"""Lists the ops of ONNX without a reader: unsupported ops, and ops that are read by their function bodies.

A test compares the lists with those of the package onnx, and docs/api.md shows them.
"""

from __future__ import annotations

from collections.abc import Mapping


def _ops(names: str) -> tuple[str, ...]:
    return tuple(names.split())


UNREAD: Mapping[str, tuple[str, ...]] = {
    "images with two or more symbolic axes are not supported": _ops(
        "Col2Im DeformConv GlobalLpPool GridSample ImageDecoder LRN LpPool MaxRoiPool MaxUnpool NonMaxSuppression "
        "RoiAlign"
    ),
    "random numbers in inference are not supported": _ops(
        "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike"
    ),
    "strings are not supported": _ops("RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer"),
    "bitwise operations on integers are not supported": _ops(
        "BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor"
    ),
    "optional values, and sequences of unknown length, are not supported": _ops(
        "Optional OptionalGetElement OptionalHasElement SequenceMap"
    ),
    "spectral transforms are not supported; compute them before the net, or write them as convolutions": _ops(
        "DFT MelWeightMatrix STFT"
    ),
    "writing to run-time indices is not supported": _ops("TensorScatter"),
    "rnngraph has no such function": _ops("Det EyeLike"),
}
"""Ops that cannot be read, by the reason. A node of any other op may still be unreadable because of its operands."""


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
    "com.microsoft.nchwc": "its layouts are specific to the processor that optimized the file; let onnxruntime "
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
        return "the file's opset has no function body of it; convert the model to a later opset"
    text = next((reason for reason, ops in UNREAD.items() if op in ops), None)
    return text or "the op is not in ONNX's standard"
