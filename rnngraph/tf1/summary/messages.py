"""Protobuf messages of TensorFlow's event files: ``tf.Summary``, ``tf.HistogramProto``, ``tf.Event``.

``FIELDS`` of each class has the field numbers of the wire format (tensorflow/core/framework/summary.proto,
tensorflow/core/util/event.proto).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np

from ...storage import protobuf
from ...storage.protobuf import DecodeError, Field, Kind, decode, encode
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, FileError, did_you_mean, shown


def double(number: int) -> Field:
    """Return a field of type double with a field number."""
    return Field(number, Kind.DOUBLE)


def doubles(number: int) -> Field:
    """Return a repeated field of type double with a field number."""
    return Field(number, Kind.DOUBLE, True, is_packed=True)


def integer(number: int) -> Field:
    """Return a field of an integer type with a field number."""
    return Field(number, Kind.INTEGER)


def text(number: int) -> Field:
    """Return a field of type string with a field number."""
    return Field(number, Kind.TEXT)


def raw(number: int) -> Field:
    """Return a field of type bytes with a field number."""
    return Field(number, Kind.BYTES)


def raws(number: int) -> Field:
    """Return a repeated field of bytes or strings with a field number."""
    return Field(number, Kind.BYTES, True)


def message(number: int, kind: type[Message]) -> Field:
    """Return a field of message type ``kind`` with a field number."""
    return Field(number, Kind.MESSAGE, message=lambda: kind)


def messages(number: int, kind: type[Message]) -> Field:
    """Return a repeated field of message type ``kind`` with a field number."""
    return Field(number, Kind.MESSAGE, True, lambda: kind)


_EMPTY: dict[Kind, Any] = {Kind.DOUBLE: 0.0, Kind.FLOAT: 0.0, Kind.INTEGER: 0, Kind.TEXT: "", Kind.BYTES: b""}
_NAMES = {Kind.DOUBLE: "double", Kind.FLOAT: "float", Kind.INTEGER: "int", Kind.TEXT: "text", Kind.BYTES: "bytes"}


class Repeated(list[Any]):
    """List of messages of one type."""

    def __init__(self, kind: type[Message], items: Any = ()) -> None:
        super().__init__(items)
        self._kind = kind

    def add(self, **fields: Any) -> Any:
        """Append a new message, and return it."""
        self.append(self._kind(**fields))
        return self[-1]


class Message(protobuf.Message):
    """Base of messages, with the methods of protobuf's classes. ``FIELDS`` of a subclass has the fields by name."""

    ONEOFS: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Groups of fields of which a message has one at most, by the name of the oneof."""

    @api
    def __init__(self, **fields: Any) -> None:
        self._set: set[str] = set()
        for name, value in fields.items():
            if name not in self.FIELDS:
                hint = did_you_mean(name, self.FIELDS) or f"; it has {', '.join(self.FIELDS)}"
                raise ArgumentError(f"tf.{type(self).__qualname__} has no field {name}{hint}")
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in self.FIELDS:
            raise AttributeError(f"tf.{type(self).__qualname__} has no field {name}; it has {', '.join(self.FIELDS)}")
        value = _empty(self.FIELDS[name])
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.FIELDS:
            value = _checked(f"{type(self).__qualname__}.{name}", self.FIELDS[name], value)
            self._set.add(name)
            for other in self._alternatives(name):
                self.__dict__.pop(other, None)
                self._set.discard(other)
        self.__dict__[name] = value

    def _alternatives(self, name: str) -> list[str]:
        """Return the other fields of the field's oneof, which protobuf clears when the field is set."""
        groups = [group for group in self.ONEOFS.values() if name in group]
        return [field for group in groups for field in group if field != name]

    def HasField(self, name: str) -> bool:
        """True if a field was set, or is a message with such a field."""
        value = self.__dict__.get(name)
        return name in self._set or (isinstance(value, Message) and any(value.written_fields()))

    def WhichOneof(self, name: str) -> str | None:
        """Return the field that is set in the oneof ``name``, such as "what" of ``Event``; None if none is set."""
        if name not in self.ONEOFS:
            raise ArgumentError(f"tf.{type(self).__qualname__} has no oneof {name}{did_you_mean(name, self.ONEOFS)}")
        return next((field for field in self.ONEOFS[name] if self.HasField(field)), None)

    def written_fields(self) -> Iterator[tuple[Field, Any]]:
        """Yield (field, value) for fields that were set or are not empty."""
        for name, field in self.FIELDS.items():
            value = self.__dict__.get(name)
            is_filled = any(value.written_fields()) if isinstance(value, Message) else bool(value)
            if is_filled or (value is not None and name in self._set and not field.is_repeated):
                yield field, value

    def SerializeToString(self) -> bytes:
        """Return the message in the wire format."""
        return encode(self)

    @classmethod
    def FromString(cls, data: bytes) -> Self:
        """Parse a message in the wire format. Raises ``FileError`` if the bytes are invalid."""
        if not isinstance(data, bytes):
            raise DtypeError(f"{cls.__qualname__}.FromString needs bytes, not {shown(data)}")
        try:
            return decode(cls, data, errors="replace")
        except DecodeError as error:
            raise FileError(f"these bytes are not a tf.{cls.__qualname__}: {error}") from None

    def ParseFromString(self, data: bytes) -> None:
        """Replace the content by that of a message in the wire format."""
        parsed = type(self).FromString(data)
        self.__dict__.clear()
        self.__dict__.update(parsed.__dict__)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={shown(self.__dict__[name])}" for name in self.FIELDS if name in self.__dict__)
        return f"{type(self).__qualname__}({fields})"


def _empty(field: Field) -> Any:
    """Return the default value of a field."""
    if field.message is not None:
        kind: Any = field.message()
        return Repeated(kind) if field.is_repeated else kind()
    return [] if field.is_repeated else _EMPTY[field.kind]


def _checked(what: str, field: Field, value: Any) -> Any:
    """Return a value in the type of its field. Raise ``DtypeError`` if it has another type."""
    if field.message is not None:
        kind: Any = field.message()
        if field.is_repeated:
            if not isinstance(value, list | tuple) or not all(isinstance(item, kind) for item in value):
                raise DtypeError(f"{what} must be a list of {kind.__qualname__}, not {shown(value)}")
            return Repeated(kind, value)
        if not isinstance(value, kind):
            raise DtypeError(f"{what} must be a {kind.__qualname__}, not {shown(value)}")
        return value
    if field.kind in (Kind.TEXT, Kind.BYTES):
        return _checked_texts(what, field, value)
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or (array.size != 1 and not field.is_repeated):
            raise ValueError
        if field.is_repeated:
            return [float(item) for item in array.reshape(-1)]
        return int(array.reshape(-1)[0]) if field.kind is Kind.INTEGER else float(array.reshape(-1)[0])
    except (ValueError, TypeError, OverflowError, RuntimeError):
        raise DtypeError(f"{what} must be a number of type {_NAMES[field.kind]}, not {shown(value)}") from None


def _checked_texts(what: str, field: Field, value: Any) -> Any:
    """Return a value in the type of its field: a string, bytes, or a list of strings or bytes."""
    if field.is_repeated:
        if not isinstance(value, list | tuple) or not all(isinstance(item, bytes | str) for item in value):
            raise DtypeError(f"{what} must be a list of bytes, not {shown(value)}")
        return list(value)
    is_text = field.kind is Kind.TEXT
    if not isinstance(value, str | bytes) or (isinstance(value, str) and not is_text):
        raise DtypeError(f"{what} must be {_NAMES[field.kind]}, not {shown(value)}")
    return value.decode(errors="replace") if is_text and isinstance(value, bytes) else value


class HistogramProto(Message):
    """``tf.HistogramProto``: counts of numbers between consecutive bucket limits."""

    FIELDS: ClassVar[dict[str, Field]] = {
        "min": double(1),
        "max": double(2),
        "num": double(3),
        "sum": double(4),
        "sum_squares": double(5),
        "bucket_limit": doubles(6),
        "bucket": doubles(7),
    }


class Image(Message):
    """``tf.Summary.Image``: a PNG or JPEG file."""

    FIELDS: ClassVar[dict[str, Field]] = {
        "height": integer(1),
        "width": integer(2),
        "colorspace": integer(3),
        "encoded_image_string": raw(4),
    }


class Size(Message):
    """``TensorShapeProto.Dim``."""

    FIELDS: ClassVar[dict[str, Field]] = {"size": integer(1), "name": text(2)}


class Shape(Message):
    """``TensorShapeProto``."""

    FIELDS: ClassVar[dict[str, Field]] = {"dim": messages(2, Size), "unknown_rank": integer(3)}


class Text(Message):
    """``TensorProto`` of strings."""

    FIELDS: ClassVar[dict[str, Field]] = {
        "dtype": integer(1),
        "tensor_shape": message(2, Shape),
        "string_val": raws(8),
    }


class PluginData(Message):
    """``SummaryMetadata.PluginData``: the plugin of TensorBoard that shows a value."""

    FIELDS: ClassVar[dict[str, Field]] = {"plugin_name": text(1), "content": raw(2)}


class SummaryMetadata(Message):
    """``tf.SummaryMetadata``."""

    FIELDS: ClassVar[dict[str, Field]] = {
        "plugin_data": message(1, PluginData),
        "display_name": text(2),
        "summary_description": text(3),
    }


class Value(Message):
    """``tf.Summary.Value``: one number, histogram, picture or text under a tag."""

    FIELDS: ClassVar[dict[str, Field]] = {
        "tag": text(1),
        "simple_value": Field(2, Kind.FLOAT),
        "image": message(4, Image),
        "histo": message(5, HistogramProto),
        "node_name": text(7),
        "tensor": message(8, Text),
        "metadata": message(9, SummaryMetadata),
    }
    ONEOFS: ClassVar[dict[str, tuple[str, ...]]] = {"value": ("simple_value", "image", "histo", "tensor")}


class Summary(Message):
    """``tf.Summary``: values of one step."""

    FIELDS: ClassVar[dict[str, Field]] = {"value": messages(1, Value)}
    Value, Image = Value, Image


class Event(Message):
    """``tf.Event``: one record of an event file. ``wall_time`` is in seconds since 1970."""

    FIELDS: ClassVar[dict[str, Field]] = {
        "wall_time": double(1),
        "step": integer(2),
        "file_version": text(3),
        "graph_def": raw(4),
        "summary": message(5, Summary),
    }
    ONEOFS: ClassVar[dict[str, tuple[str, ...]]] = {"what": ("file_version", "graph_def", "summary")}
