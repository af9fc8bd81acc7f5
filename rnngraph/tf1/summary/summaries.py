"""Summaries: operations whose result is a ``tf.Summary`` of Tensors' values, as bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from ...declare.tensor import Tensor, as_tensor
from ...ir.types import FLOATS
from ...support.api_guard import api
from ...support.arguments import array_of, whole_number
from ...support.errors import DtypeError, ShapeError, shown
from ..core.errors import InvalidArgumentError
from ..core.graph import GraphKeys, get_default_graph, present_session
from ..core.operations import Operation
from .drawing import png
from .messages import HistogramProto, Image, PluginData, Shape, Size, Summary, SummaryMetadata, Text, Value

_STRING = 7
"""TensorFlow's enum value of the string dtype."""
_MAX_PIXELS = 1 << 28

Encode = Callable[[Sequence[np.ndarray]], list[Value]]


class SummaryOp(Operation):
    """Operation whose result is a ``tf.Summary`` as bytes.

    Args:
        tensors: Tensors to summarize.
        encode: Function from the Tensors' values to the entries of the summary.
        name: Name of the operation.
    """

    def __init__(self, tensors: Sequence[Tensor], encode: Encode, name: str) -> None:
        self.tensors, self.encode = list(tensors), encode
        super().__init__(name)

    def needs(self) -> list[Tensor]:
        return self.tensors

    def execute(self, session: Any, values: Sequence[np.ndarray]) -> bytes:
        return Summary(value=self.encode(values)).SerializeToString()

    def eval(self, feed_dict: Any = None, session: Any = None) -> bytes:
        """Run the operation, and return the encoded summary."""
        data: bytes = present_session(session).run(self, feed_dict)
        return data


def _new_summary(
    name: Any,
    tensors: Sequence[Tensor],
    encode: Callable[[str, Sequence[np.ndarray]], list[Value]],
    collections: Any,
    family: str | None,
) -> SummaryOp:
    """Return a summary operation with a unique name, which is added to collections."""
    for text in (name, *([] if family is None else [family])):
        if not isinstance(text, str) or not text:
            raise DtypeError(f"a summary's name must be a str of at least one character, not {shown(text)}")
    clean = re.sub(r"[^-/\w.]", "_", name).lstrip("/") or "_"
    summary = SummaryOp(tensors, lambda values: encode(tag, values), clean if family is None else f"{family}/{clean}")
    tag = summary.full if family is None else f"{family}/{summary.full}"
    _add_to_collections(summary, [GraphKeys.SUMMARIES] if collections is None else collections)
    return summary


def _add_to_collections(summary: SummaryOp, collections: Any) -> None:
    """Add a summary to each collection that the list ``collections`` names."""
    if not isinstance(collections, list | tuple | set):
        raise DtypeError(f"collections must be a list of names, not {shown(collections)}")
    for key in collections:
        get_default_graph().add_to_collection(key, summary)


def _numeric(value: Any, what: str) -> Tensor:
    """Convert a value to a Tensor. Raise ``DtypeError`` for operations and anything else that is not numeric."""
    if isinstance(value, Operation):
        raise DtypeError(f"{what} needs a Tensor, not {value!r}")
    return as_tensor(value)


# Public functions ------------------------------------------------------------------------------------


@api
def scalar(name: str, tensor: Any, collections: Any = None, family: str | None = None) -> SummaryOp:
    """Return a summary operation for a scalar."""
    number = _numeric(tensor, "tf.summary.scalar")
    if any(size not in (1, None) for size in number.shape):
        raise ShapeError(
            f"tf.summary.scalar needs a scalar, not {number!r}; reduce it with tf.reduce_mean, or use "
            "tf.summary.histogram"
        )

    def encode(tag: str, values: Sequence[np.ndarray]) -> list[Value]:
        if values[0].size != 1:
            raise InvalidArgumentError(f"the summary {tag} needs one number, not {values[0].size}")
        return [Value(tag=tag, simple_value=values[0].item())]

    return _new_summary(name, [number], encode, collections, family)


@api
def histogram(name: str, values: Any, collections: Any = None, family: str | None = None) -> SummaryOp:
    """Return a summary operation for the distribution of a Tensor's elements."""

    def encode(tag: str, arrays: Sequence[np.ndarray]) -> list[Value]:
        return [Value(tag=tag, histo=histogram_of(np.asarray(arrays[0], np.float64), tag))]

    return _new_summary(name, [_numeric(values, "tf.summary.histogram")], encode, collections, family)


@api
def image(
    name: str, tensor: Any, max_outputs: int = 3, collections: Any = None, family: str | None = None
) -> SummaryOp:
    """Return a summary operation for pictures [batch, height, width, channels].

    Pictures have 1, 3 or 4 channels, of floats or of ints from 0 to 255.
    """
    tensor_, limit = _numeric(tensor, "tf.summary.image"), whole_number(max_outputs, "max_outputs", 1)
    if tensor_.rank != 4 or tensor_.shape[3] not in (1, 3, 4) or tensor_.dtype == "bool":
        raise ShapeError(
            f"tf.summary.image needs [batch, height, width, channels] with 1, 3 or 4 channels, not {tensor_!r}"
        )

    def encode(tag: str, arrays: Sequence[np.ndarray]) -> list[Value]:
        pictures = arrays[0][:limit]
        if pictures.size > _MAX_PIXELS:
            raise InvalidArgumentError(
                f"the summary {tag} has {pictures.size} numbers, more than {_MAX_PIXELS}; reduce max_outputs="
            )
        tags = [f"{tag}/image"] if limit == 1 else [f"{tag}/image/{number}" for number in range(len(pictures))]
        return [_picture(one, pixels) for one, pixels in zip(tags, pictures, strict=False)]

    return _new_summary(name, [tensor_], encode, collections, family)


@api
def text(name: str, tensor: Any, collections: Any = None) -> SummaryOp:
    """Return a summary operation for a Python string, or an array of strings. There are no Tensors of strings."""
    array = array_of(tensor, "texts of one summary") if isinstance(tensor, str | list | tuple | np.ndarray) else None
    if array is None or array.dtype.kind not in "US":
        raise DtypeError(f"tf.summary.text needs a str or a list of str, not {shown(tensor)}")
    texts = [item if isinstance(item, bytes) else str(item).encode() for item in array.reshape(-1).tolist()]

    def encode(tag: str, arrays: Sequence[np.ndarray]) -> list[Value]:
        sizes = Shape(dim=[Size(size=size) for size in array.shape])
        return [
            Value(
                tag=tag,
                tensor=Text(dtype=_STRING, tensor_shape=sizes, string_val=texts),
                metadata=SummaryMetadata(plugin_data=PluginData(plugin_name="text")),
            )
        ]

    return _new_summary(name, [], encode, collections, None)


@api
def merge(inputs: Sequence[Any], collections: Any = None, name: str | None = None) -> SummaryOp:
    """Return a summary with the values of several summaries."""
    if not isinstance(inputs, list | tuple) or not all(isinstance(item, SummaryOp) for item in inputs):
        raise DtypeError(f"tf.summary.merge needs a list of summaries, not {shown(inputs)}")
    parts, tensors = list(inputs), [tensor for item in inputs for tensor in item.tensors]

    def encode(values: Sequence[np.ndarray]) -> list[Value]:
        merged: list[Value] = []
        rest = list(values)
        for item in parts:
            merged += item.encode(rest[: len(item.tensors)])
            del rest[: len(item.tensors)]
        return merged

    summary = SummaryOp(tensors, encode, name or "Merge/MergeSummary")
    _add_to_collections(summary, () if collections is None else collections)
    return summary


@api
def merge_all(key: str = GraphKeys.SUMMARIES, scope: str | None = None, name: str | None = None) -> SummaryOp | None:
    """Return an operation that merges all summaries in a collection; None if the collection is empty."""
    summaries = get_default_graph().get_collection(key, scope)
    return merge(summaries, None, name) if summaries else None


@api
def scalar_summary(tags: str, values: Any, collections: Any = None, name: str | None = None) -> SummaryOp:
    """Return the result of ``tf.summary.scalar``, the name of this function since TensorFlow 1.0."""
    return scalar(tags, values, collections)


@api
def histogram_summary(tag: str, values: Any, collections: Any = None, name: str | None = None) -> SummaryOp:
    """Return the result of ``tf.summary.histogram``, the name of this function since TensorFlow 1.0."""
    return histogram(tag, values, collections)


@api
def image_summary(tag: str, tensor: Any, max_images: int = 3, collections: Any = None, name: str | None = None) -> Any:
    """Return the result of ``tf.summary.image``, the name of this function since TensorFlow 1.0."""
    return image(tag, tensor, max_images, collections)


@api
def merge_summary(inputs: Sequence[Any], collections: Any = None, name: str | None = None) -> SummaryOp:
    """Return the result of ``tf.summary.merge``, the name of this function since TensorFlow 1.0."""
    return merge(inputs, collections, name)


@api
def merge_all_summaries(key: str = GraphKeys.SUMMARIES) -> SummaryOp | None:
    """Return the result of ``tf.summary.merge_all``, the name of this function since TensorFlow 1.0."""
    return merge_all(key)


# Values ----------------------------------------------------------------------------------------------


@cache
def limits() -> np.ndarray:
    """Return the bucket limits of TensorFlow's histograms, ascending.

    The limits are 0, ±1e-12 times powers of 1.1 up to ±1e20, and the largest float64 numbers.
    """
    bounds, value = [], 1e-12
    while value < 1e20:
        bounds.append(value)
        value *= 1.1
    bounds.append(np.finfo(np.float64).max)
    return np.array([*(-item for item in reversed(bounds)), 0.0, *bounds])


def histogram_of(values: np.ndarray, tag: str) -> HistogramProto:
    """Return the histogram of numbers, in which adjacent empty buckets are merged.

    Buckets are those of tensorflow/core/lib/histogram/histogram.cc. ``tag`` is the summary's name in errors.
    """
    flat = values.reshape(-1)
    if not np.isfinite(flat).all():
        raise InvalidArgumentError(
            f"the summary {tag} can't make a histogram of numbers that are not finite; replace them by "
            "tf.where(tf.is_finite(x), x, y)"
        )
    edges = limits()
    counts = np.bincount(np.minimum(np.searchsorted(edges, flat, "right"), edges.size - 1), minlength=edges.size)
    # Keep all nonempty buckets, and of adjacent empty buckets the last one.
    last = np.append((counts[1:] > 0) | (counts[:-1] > 0), True)
    bins = np.flatnonzero((counts > 0) | last) if flat.size else np.array([edges.size - 1])
    with np.errstate(over="ignore"):
        total, squares = flat.sum(), np.square(flat).sum()
    return HistogramProto(
        min=flat.min(initial=edges[-1]),
        max=flat.max(initial=edges[0]),
        num=flat.size,
        sum=total,
        sum_squares=squares,
        bucket_limit=edges[bins],
        bucket=counts[bins],
    )


def _picture(tag: str, pixels: np.ndarray) -> Value:
    """Return the entry of a summary for a picture [height, width, channels]."""
    height, width, channels = pixels.shape
    data = pixels.astype(np.uint8) if str(pixels.dtype) not in FLOATS else _bytes_of(pixels)
    picture = Image(height=height, width=width, colorspace=channels, encoded_image_string=png(data))
    return Value(tag=tag, image=picture)


def _bytes_of(pixels: np.ndarray) -> np.ndarray:
    """Return float pixels as uint8, as in TensorFlow.

    Values from 0 to the maximum become 0 to 255. If some are negative, -m to m become 1 to 255, where m is the largest
    absolute value. Pixels with a value that is not finite become red, or white if there is one channel.
    """
    finite = np.isfinite(pixels)
    known = pixels[finite]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    largest = max(abs(low), abs(high))
    range_, offset = (127.0, 128.0) if low < 0 else (255.0, 0.0)
    scale = 0.0 if largest < 1e-6 else range_ / largest
    data = (np.where(finite, pixels, 0.0).astype(np.float32) * np.float32(scale) + np.float32(offset)).astype(np.uint8)
    bad = ~finite.all(axis=-1)
    data[bad] = np.array([255, 0, 0, 255], np.uint8)[: pixels.shape[2]]
    return data
