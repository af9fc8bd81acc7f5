"""TensorFlow's messages of a log, as programs make and read them: ``tf.Summary``, ``tf.HistogramProto``, ``tf.Event``.

Each is a class whose ``FIELDS`` say what stands under which number of the wire format (tensorflow/core/framework/
summary.proto, tensorflow/core/util/event.proto).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np

from ...formats.tensorflow.messages import fields
from ...formats.tensorflow.writing import varint
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, FileError, did_you_mean, shown

DOUBLE, FLOAT, INT, TEXT, BYTES, DOUBLES, STRINGS = "double", "float", "int", "text", "bytes", "doubles", "strings"
_EMPTY: dict[str, Callable[[], Any]] = {
    DOUBLE: float, FLOAT: float, INT: int, TEXT: str, BYTES: bytes, DOUBLES: list, STRINGS: list,
}  # fmt: skip


class Repeated(list[Any]):
    """Several messages of one kind, to which ``add`` adds another."""

    def __init__(self, kind: type[Message], items: Any = ()) -> None:
        super().__init__(items)
        self._kind = kind

    def add(self, **given: Any) -> Any:
        """A new one at the end."""
        self.append(self._kind(**given))
        return self[-1]


class Message:
    """Base of messages. FIELDS: (number, kind) by name; a kind is a word of the above, a class or one in a list."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {}

    @api
    def __init__(self, **given: Any) -> None:
        self._set: set[str] = set()
        for name, value in given.items():
            if name not in self.FIELDS:
                hint = did_you_mean(name, self.FIELDS) or f"; it has {', '.join(self.FIELDS)}"
                raise ArgumentError(f"tf.{type(self).__qualname__} has no {name}{hint}")
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in self.FIELDS:
            raise AttributeError(f"{type(self).__qualname__} has no {name}")
        found = _empty(self.FIELDS[name][1])
        self.__dict__[name] = found
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.FIELDS:
            value = _checked(f"{type(self).__qualname__}.{name}", self.FIELDS[name][1], value)
            self._set.add(name)
        self.__dict__[name] = value

    def HasField(self, name: str) -> bool:
        """Whether it was given."""
        return name in self._set

    def WhichOneof(self, name: str) -> str | None:
        """Which of several fields was given: of a value's ``value``, of an event's ``what``."""
        return next((field for field in self.FIELDS if field in self._set and field not in ("tag", "step")), None)

    def SerializeToString(self) -> bytes:
        """The message in the wire format."""
        parts: list[bytes] = []
        for name, (number, kind) in self.FIELDS.items():
            value = self.__dict__.get(name)
            if value is None or (name not in self._set and not value):
                continue
            for item in value if isinstance(kind, list) or kind == STRINGS else [value]:
                parts.append(_written(number, kind[0] if isinstance(kind, list) else kind, item))
        return b"".join(parts)

    @classmethod
    def FromString(cls, data: bytes) -> Self:
        """The message of bytes in the wire format. Raises ``FileError`` where they are none."""
        if not isinstance(data, bytes):
            raise DtypeError(f"{cls.__qualname__}.FromString takes bytes, not {shown(data)}")
        made, names = cls(), {number: name for name, (number, _) in cls.FIELDS.items()}
        try:
            for number, value in fields(data):
                if number in names:
                    made._take(names[number], value)
        except (ValueError, IndexError, struct.error) as error:
            raise FileError(f"these bytes are no tf.{cls.__qualname__}: {error}") from None
        return made

    def ParseFromString(self, data: bytes) -> None:
        """Becomes the message of bytes."""
        self.__dict__.update(type(self).FromString(data).__dict__)

    def _take(self, name: str, value: Any) -> None:
        kind = self.FIELDS[name][1]
        if isinstance(kind, list):
            getattr(self, name).append(kind[0].FromString(value))
        elif kind == DOUBLES:
            getattr(self, name).extend(_numbers(value))
        elif kind == STRINGS:
            getattr(self, name).append(_read(BYTES, value))
        else:
            setattr(self, name, _read(kind, value))

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={shown(self.__dict__[name])}" for name in self.FIELDS if name in self.__dict__)
        return f"{type(self).__qualname__}({given})"


def _empty(kind: Any) -> Any:
    if isinstance(kind, list):
        return Repeated(kind[0])
    return kind() if isinstance(kind, type) else _EMPTY[kind]()


def _checked(what: str, kind: Any, value: Any) -> Any:
    """A value of a field, as it is kept."""
    if isinstance(kind, list):
        if not isinstance(value, list | tuple) or not all(isinstance(item, kind[0]) for item in value):
            raise DtypeError(f"{what} is a list of {kind[0].__qualname__}, not {shown(value)}")
        return Repeated(kind[0], value)
    if isinstance(kind, type):
        if not isinstance(value, kind):
            raise DtypeError(f"{what} is a {kind.__qualname__}, not {shown(value)}")
        return value
    if kind in (TEXT, BYTES):
        if not isinstance(value, str | bytes) or (kind == BYTES and isinstance(value, str)):
            raise DtypeError(f"{what} is {kind}, not {shown(value)}")
        return value.decode(errors="replace") if kind == TEXT and isinstance(value, bytes) else value
    if kind == STRINGS:
        if not isinstance(value, list | tuple) or not all(isinstance(item, bytes | str) for item in value):
            raise DtypeError(f"{what} is a list of bytes, not {shown(value)}")
        return list(value)
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or (array.size != 1 and kind != DOUBLES):
            raise ValueError
        if kind == DOUBLES:
            return [float(item) for item in array.reshape(-1)]
        return int(array.reshape(-1)[0]) if kind == INT else float(array.reshape(-1)[0])
    except (ValueError, TypeError, OverflowError, RuntimeError):
        raise DtypeError(f"{what} is a number of kind {kind}, not {shown(value)}") from None


def _written(number: int, kind: Any, value: Any) -> bytes:
    if kind == INT:
        return varint(number << 3) + varint(value & (1 << 64) - 1)
    if kind in (DOUBLE, FLOAT):
        if kind == DOUBLE:
            return varint(number << 3 | 1) + struct.pack("<d", value)
        try:
            return varint(number << 3 | 5) + struct.pack("<f", value)
        except OverflowError:  # too large for a float32
            return varint(number << 3 | 5) + struct.pack("<f", math.copysign(math.inf, value))
    if kind == DOUBLES:
        data = np.asarray(value, "<f8").tobytes()
    elif isinstance(kind, type):
        data = value.SerializeToString()
    else:
        data = value.encode(errors="replace") if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def _read(kind: Any, value: Any) -> Any:
    if isinstance(kind, type):
        return kind.FromString(value)  # type: ignore[attr-defined]
    if kind in (TEXT, BYTES):
        if not isinstance(value, bytes):
            raise ValueError("a number in place of bytes")
        return value
    if isinstance(value, bytes):
        raise ValueError("bytes in place of a number")
    if kind == INT:
        return value - (1 << 64) if value >> 63 else value
    letter, width = ("<d", 8) if kind == DOUBLE else ("<f", 4)
    return struct.unpack(letter, value.to_bytes(width, "little"))[0]


def _numbers(value: Any) -> list[float]:
    """Numbers of a repeated field, packed or one by one."""
    data = value if isinstance(value, bytes) else value.to_bytes(8, "little")
    found: list[float] = np.frombuffer(data, "<f8").tolist()
    return found


class HistogramProto(Message):
    """``tf.HistogramProto``: how many numbers lie below each limit and above the one before."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {
        "min": (1, DOUBLE), "max": (2, DOUBLE), "num": (3, DOUBLE), "sum": (4, DOUBLE), "sum_squares": (5, DOUBLE),
        "bucket_limit": (6, DOUBLES), "bucket": (7, DOUBLES),
    }  # fmt: skip


class Image(Message):
    """``tf.Summary.Image``: a picture, as the bytes of a PNG or JPEG file."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {
        "height": (1, INT), "width": (2, INT), "colorspace": (3, INT), "encoded_image_string": (4, BYTES),
    }  # fmt: skip


class Size(Message):
    """``TensorShapeProto.Dim``."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {"size": (1, INT), "name": (2, TEXT)}


class Shape(Message):
    """``TensorShapeProto``."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {"dim": (2, [Size]), "unknown_rank": (3, INT)}


class Text(Message):
    """``TensorProto`` of strings, one behind the other."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {
        "dtype": (1, INT),
        "tensor_shape": (2, Shape),
        "string_val": (8, STRINGS),
    }


class PluginData(Message):
    """``SummaryMetadata.PluginData``: who of TensorBoard shows a value."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {"plugin_name": (1, TEXT), "content": (2, BYTES)}


class SummaryMetadata(Message):
    """``tf.SummaryMetadata``."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {
        "plugin_data": (1, PluginData), "display_name": (2, TEXT), "summary_description": (3, TEXT),
    }  # fmt: skip


class Value(Message):
    """``tf.Summary.Value``: one number, histogram, picture or text under a tag."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {
        "tag": (1, TEXT), "simple_value": (2, FLOAT), "image": (4, Image), "histo": (5, HistogramProto),
        "node_name": (7, TEXT), "tensor": (8, Text), "metadata": (9, SummaryMetadata),
    }  # fmt: skip


class Summary(Message):
    """``tf.Summary``: values of one step."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {"value": (1, [Value])}
    Value, Image = Value, Image


class Event(Message):
    """``tf.Event``: one record of a log. wall_time: in seconds since 1970."""

    FIELDS: ClassVar[dict[str, tuple[int, Any]]] = {
        "wall_time": (1, DOUBLE), "step": (2, INT), "file_version": (3, TEXT), "graph_def": (4, BYTES),
        "summary": (5, Summary),
    }  # fmt: skip
