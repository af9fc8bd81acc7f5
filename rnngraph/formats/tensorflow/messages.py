"""Protobuf messages of checkpoints: those of the index (version 2), and those of tables of version 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...storage.protobuf import Kind, Message, array, fixed, integer, message, messages, raws, text, view


@dataclass(eq=False)
class Dim(Message):
    """``TensorShapeProto.Dim``: the size of an axis; -1 if unknown."""

    size: int = integer(1)


@dataclass(eq=False)
class TensorShape(Message):
    """``TensorShapeProto``: a shape."""

    dim: list[Dim] = messages(2, lambda: Dim)
    unknown_rank: int = integer(3)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the axes; -1 for an unknown size."""
        return tuple(dim.size for dim in self.dim)


@dataclass(eq=False)
class Version(Message):
    """``VersionDef``: the version of the code that wrote a checkpoint."""

    producer: int = integer(1)


@dataclass(eq=False)
class Header(Message):
    """``BundleHeaderProto``: number and byte order of the data files. ``endianness`` is 1 for big-endian numbers."""

    num_shards: int = integer(1)
    endianness: int = integer(2)
    version: Version | None = message(3, lambda: Version)


@dataclass(eq=False)
class Entry(Message):
    """``BundleEntryProto``: the location of a tensor.

    Attributes:
        crc: Masked checksum of the tensor's bytes.
        slices: Slices in which the tensor is stored, each as an entry of the table; empty if it is stored whole.
    """

    dtype: int = integer(1)
    tensor_shape: TensorShape | None = message(2, lambda: TensorShape)
    shard: int = integer(3)
    offset: int = integer(4)
    size: int = integer(5)
    crc: int = fixed(6)
    slices: list[bytes] = raws(7)

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape; () if the file has none."""
        return self.tensor_shape.sizes if self.tensor_shape else ()


@dataclass(eq=False)
class SerializedTensor(Message):
    """``TrackableObjectGraph.TrackableObject.SerializedTensor``: a variable's name, and its key in the checkpoint."""

    full_name: str = text(2)
    checkpoint_key: str = text(3)


@dataclass(eq=False)
class TrackableObject(Message):
    """``TrackableObjectGraph.TrackableObject``: an object, such as a layer, and its variables."""

    attributes: list[SerializedTensor] = messages(2, lambda: SerializedTensor)


@dataclass(eq=False)
class ObjectGraph(Message):
    """``TrackableObjectGraph``: the objects in a checkpoint of TensorFlow 2."""

    nodes: list[TrackableObject] = messages(1, lambda: TrackableObject)

    @property
    def full_names(self) -> dict[str, str]:
        """{key under which a variable is stored: its name}, for variables whose name the file contains."""
        listed = (item for node in self.nodes for item in node.attributes)
        return {item.checkpoint_key: item.full_name for item in listed if item.checkpoint_key and item.full_name}


@dataclass(eq=False)
class TensorProto(Message):
    """``TensorProto``: its bytes, or a list of numbers in the field of its dtype."""

    dtype: int = integer(1)
    tensor_shape: TensorShape | None = message(2, lambda: TensorShape)
    tensor_content: memoryview | None = view(4)
    float_val: np.ndarray = array(5, Kind.FLOAT)
    double_val: np.ndarray = array(6, Kind.DOUBLE)
    int_val: np.ndarray = array(7, Kind.INTEGER)
    int64_val: np.ndarray = array(10, Kind.INTEGER)
    bool_val: np.ndarray = array(11, Kind.INTEGER)
    half_val: np.ndarray = array(13, Kind.INTEGER)


@dataclass(eq=False)
class SliceMeta(Message):
    """``SavedSliceMeta``: a variable of a checkpoint of version 1."""

    name: str = text(1)
    shape: TensorShape | None = message(2, lambda: TensorShape)
    type: int = integer(3)


@dataclass(eq=False)
class TensorSliceMeta(Message):
    """``SavedTensorSliceMeta``: all variables of a checkpoint of version 1."""

    tensor: list[SliceMeta] = messages(1, lambda: SliceMeta)


@dataclass(eq=False)
class SavedSlice(Message):
    """``SavedSlice``: the numbers of a slice of a variable."""

    data: TensorProto | None = message(3, lambda: TensorProto)


@dataclass(eq=False)
class TensorSlices(Message):
    """``SavedTensorSlices``: an entry of a checkpoint of version 1. Only the first entry has ``meta``."""

    meta: TensorSliceMeta | None = message(1, lambda: TensorSliceMeta)
    data: SavedSlice | None = message(2, lambda: SavedSlice)
