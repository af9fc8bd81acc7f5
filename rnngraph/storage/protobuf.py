"""Protocol Buffers: encode messages, and decode them from untrusted bytes.

A message is a dataclass. Each field comes from a function of this module that takes the field's number:

    @dataclass(eq=False)
    class Shape(Message):
        dim: list[Dim] = messages(2, lambda: Dim)
        unknown_rank: int = integer(3)

``decode(Shape, data)`` reads a message and ``encode(shape)`` writes it. Unknown fields are skipped. Nesting depth and
number of fields are bounded. Errors name the offset in bytes, except for that of too many fields.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..support.allocation import reserve
from ..support.records import dataclass

MAX_DEPTH = 100
"""Maximum nesting depth of messages, as in protobuf's own parsers."""
MAX_FIELDS = 1 << 25
"""Maximum number of fields of a file, nested ones included. The largest nets have a hundredth of it."""

Buffer = bytes | memoryview


class DecodeError(ValueError):
    """Error for bytes that are not a valid message of the expected class."""


class Kind(Enum):
    """Type of a field: (wire type, NumPy dtype of repeated numbers)."""

    INTEGER = 0, "int64"
    UNSIGNED = 0, "uint64"
    FLOAT = 5, "<f4"
    DOUBLE = 1, "<f8"
    FIXED = 5, "<u4"
    TEXT = 2, "text"
    BYTES = 2, "bytes"
    VIEW = 2, "view"
    MESSAGE = 2, "message"

    @property
    def wire(self) -> int:
        """Wire type of a single value."""
        return self.value[0]

    @property
    def dtype(self) -> str:
        """NumPy dtype of repeated numbers."""
        return self.value[1]


_NUMBERS = (Kind.INTEGER, Kind.UNSIGNED, Kind.FLOAT, Kind.DOUBLE, Kind.FIXED)
_LETTERS = {Kind.FLOAT: struct.Struct("<f"), Kind.DOUBLE: struct.Struct("<d"), Kind.FIXED: struct.Struct("<I")}
_WIDTHS = {1: 8, 5: 4}


@dataclass(frozen=True)
class Field:
    """Field of a message.

    Attributes:
        number: The field's number in the format.
        kind: Type of its values.
        is_repeated: True if the field holds a list or an array.
        message: Function that returns the class of nested messages.
        is_packed: True if repeated numbers are written as one packed field.
        is_optional: True if a missing field is None. False: it is 0 or empty.
    """

    number: int
    kind: Kind
    is_repeated: bool = False
    message: Callable[[], type[Message]] | None = None
    is_packed: bool = False
    is_optional: bool = False


class Message:
    """Base of messages.

    Attributes:
        FIELDS: Fields by name, in the order of writing.
    """

    FIELDS: ClassVar[Mapping[str, Field]] = {}
    _by_number: ClassVar[Mapping[int, tuple[str, Field]]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: value.metadata["protobuf"] for name, value in vars(cls).items() if _is_described(value)}
        cls.FIELDS = vars(cls).get("FIELDS") or own
        cls._by_number = {field.number: (name, field) for name, field in cls.FIELDS.items()}

    def written_fields(self) -> Iterator[tuple[Field, Any]]:
        """Yield (field, value) for the fields of a message that differ from their defaults."""
        for name, field in self.FIELDS.items():
            value = getattr(self, name)
            if value is None:
                continue
            if field.is_optional or (len(value) if field.is_repeated else value):
                yield field, value


M = TypeVar("M", bound=Message)


def _is_described(value: Any) -> bool:
    return isinstance(value, dataclasses.Field) and "protobuf" in value.metadata


# Descriptions ----------------------------------------------------------------------------------------


def integer(number: int, optional: bool = False) -> Any:
    """Declare a signed integer or enum. With ``optional``, a missing field is None."""
    return _scalar(number, Kind.INTEGER, 0, optional)


def fixed(number: int) -> Any:
    """Declare an unsigned 32-bit integer of fixed width."""
    return _scalar(number, Kind.FIXED, 0)


def real(number: int, optional: bool = False) -> Any:
    """Declare a float32. With ``optional``, a missing field is None."""
    return _scalar(number, Kind.FLOAT, 0.0, optional)


def text(number: int) -> Any:
    """Declare a UTF-8 text."""
    return _scalar(number, Kind.TEXT, "")


def raw(number: int, optional: bool = False) -> Any:
    """Declare a ``bytes`` field. With ``optional``, a missing one is None."""
    return _scalar(number, Kind.BYTES, b"", optional)


def view(number: int) -> Any:
    """Declare bytes that are read without copying, as a memoryview of the file; a missing field is None."""
    return _scalar(number, Kind.VIEW, None, True)


def message(number: int, kind: Callable[[], type[Message]]) -> Any:
    """Declare a nested message. A missing field is None."""
    return _described(Field(number, Kind.MESSAGE, message=kind, is_optional=True), default=None)


def messages(number: int, kind: Callable[[], type[Message]]) -> Any:
    """Declare a list of nested messages."""
    return _described(Field(number, Kind.MESSAGE, True, kind), default_factory=list)


def texts(number: int) -> Any:
    """Declare a list of UTF-8 texts."""
    return _described(Field(number, Kind.TEXT, True), default_factory=list)


def raws(number: int) -> Any:
    """Declare a list of ``bytes``."""
    return _described(Field(number, Kind.BYTES, True), default_factory=list)


def array(number: int, kind: Kind, is_packed: bool = True) -> Any:
    """Declare repeated numbers, which become a 1-D array. ``is_packed``: they are written without a tag for each."""
    return _described(Field(number, kind, True, is_packed=is_packed), default_factory=_EMPTY[kind].view)


_EMPTY = {kind: np.zeros(0, kind.dtype) for kind in _NUMBERS}


def _scalar(number: int, kind: Kind, default: Any, optional: bool = False) -> Any:
    return _described(Field(number, kind, is_optional=optional), default=None if optional else default)


def _described(field: Field, **default: Any) -> Any:
    return dataclasses.field(metadata={"protobuf": field}, **default)


# Reading ---------------------------------------------------------------------------------------------


def decode(kind: type[M], data: Buffer, errors: str = "strict") -> M:
    """Return the message of class ``kind`` that ``data`` encodes.

    Args:
        kind: Class of the message.
        data: The encoded message, without bytes before or after.
        errors: Handling of invalid UTF-8, as in ``bytes.decode``.

    Raises:
        DecodeError: The data is no valid message, or exceeds the bounds.
    """
    return _Decoder(data, errors).message(kind, 0, len(data), 0)


def read_varint(data: Buffer, position: int, end: int | None = None) -> tuple[int, int]:
    """Return the integer at a position that is encoded in 7 bits a byte (a varint), and the position after it.

    Raise ``DecodeError`` if the number is cut off at ``end`` or too long. A varint has 7 bits a byte, in little-endian
    order, at most 10 bytes. Bits above 64 are dropped.
    """
    end = len(data) if end is None else end
    number = shift = 0
    for place in range(position, min(end, position + 10)):
        byte = data[place]
        number |= (byte & 127) << shift
        if byte < 128:
            return number & _ALL_BITS, place + 1
        shift += 7
    raise DecodeError(f"the number at byte {position} is {'too long' if end - position >= 10 else 'cut off'}")


_ALL_BITS = (1 << 64) - 1


class _Decoder:
    """Decoder of one buffer, in which all positions are offsets."""

    def __init__(self, data: Buffer, errors: str) -> None:
        self._data, self._errors, self._left = data, errors, MAX_FIELDS
        self._view = memoryview(data)

    def message(self, kind: type[M], at: int, end: int, depth: int) -> M:
        """Decode the buffer from ``at`` to ``end``. Return the message of class ``kind``."""
        if depth > MAX_DEPTH:
            raise DecodeError(f"the message at byte {at} is nested more than {MAX_DEPTH} levels deep")
        data, by_number, values = self._data, kind._by_number, dict[str, Any]()
        while at < end:
            begin, tag = at, data[at]
            at += 1
            if tag >= 128:
                tag, at = read_varint(data, begin, end)
            wire = tag & 7
            if wire == 2:
                size, at = read_varint(data, at, end)
                last = at + size
            elif wire == 0:
                size, last = read_varint(data, at, end)
            elif wire in _WIDTHS:
                size, last = 0, at + _WIDTHS[wire]
            else:
                raise DecodeError(f"the field at byte {begin} has wire type {wire}")
            if last > end:
                raise DecodeError(f"the field at byte {begin} reaches beyond the end of its message")
            entry = by_number.get(tag >> 3)
            if entry is not None:
                self._left -= 1
                if self._left < 0:
                    raise DecodeError(f"it has more than {MAX_FIELDS:,} fields")
                name, field = entry
                value = self._value(field, wire, at, last, size, depth)
                if field.is_repeated:
                    values.setdefault(name, []).append(value)
                else:
                    values[name] = value
            at = last
        for name, items in values.items():
            field = kind.FIELDS[name]
            if field.is_repeated and field.kind in _NUMBERS:
                values[name] = _joined(items, field.kind)
        return kind(**values)

    def _value(self, field: Field, wire: int, at: int, end: int, number: int, depth: int) -> Any:
        """Decode and return a field's value from ``at`` to ``end``. ``number`` is the value if it is a varint."""
        kind = field.kind
        if wire != kind.wire:
            if wire == 2 and field.is_repeated and kind in _NUMBERS:
                return self._packed(kind, at, end)
            raise DecodeError(f"the value of field {field.number} at byte {at} has wire type {wire}, not {kind.wire}")
        if kind is Kind.MESSAGE:
            assert field.message is not None
            return self.message(field.message(), at, end, depth + 1)
        if kind is Kind.TEXT:
            try:
                return str(self._view[at:end], "utf-8", self._errors)
            except UnicodeDecodeError:
                raise DecodeError(f"the text at byte {at} is not UTF-8") from None
        if kind is Kind.BYTES:
            return bytes(self._view[at:end])
        if kind is Kind.VIEW:
            return self._view[at:end]
        if wire == 0:
            return number - (1 << 64) if kind is Kind.INTEGER and number >> 63 else number
        return _LETTERS[kind].unpack_from(self._view, at)[0]

    def _packed(self, kind: Kind, at: int, end: int) -> np.ndarray:
        """Decode numbers of a repeated field, one after another from ``at`` to ``end``. Return an array."""
        data = np.frombuffer(self._view[at:end], np.uint8)
        if kind.wire:
            width = _WIDTHS[kind.wire]
            if data.size % width:
                raise DecodeError(f"the numbers at byte {at} have {data.size} bytes, not a multiple of {width}")
            return data.view(kind.dtype)
        return _varints(data, at).view(kind.dtype)


def _varints(data: np.ndarray, at: int) -> np.ndarray:
    """Decode consecutive varints (integers in 7 bits a byte). Return them as a uint64 array."""
    reserve(32 * data.size, "numbers of a message")
    last = np.flatnonzero(data < 128)
    if data.size and (not last.size or last[-1] != data.size - 1):
        raise DecodeError(f"the numbers from byte {at} on are cut off")
    first = np.concatenate([[0], last[:-1] + 1]) if last.size else last
    lengths = last - first + 1
    if (lengths > 10).any():
        raise DecodeError(f"the number at byte {at + first[np.argmax(lengths > 10)]} is too long")
    numbers = np.zeros(last.size, np.uint64)
    for place in range(int(lengths.max(initial=0))):
        is_long = lengths > place
        numbers[is_long] |= (data[first[is_long] + place] & 127).astype(np.uint64) << np.uint64(7 * place)
    return numbers


def _joined(items: list[Any], kind: Kind) -> np.ndarray:
    """Return all values of a repeated numeric field, single and packed ones, as one array."""
    if len(items) == 1 and isinstance(items[0], np.ndarray):
        return items[0]
    if not any(isinstance(item, np.ndarray) for item in items):
        return np.array(items, kind.dtype)
    return np.concatenate([np.atleast_1d(np.asarray(item, kind.dtype)) for item in items])


# Writing ---------------------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """Return the encoded bytes of a message."""
    return b"".join(_chunks(message)[0])


def varint(number: int) -> bytes:
    """Return the bytes of an integer as a varint, 7 bits a byte; of a negative one in 64-bit two's complement."""
    number &= _ALL_BITS
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def _chunks(message: Message) -> tuple[list[Buffer], int]:
    """Return the pieces of an encoded message, and their total number of bytes.

    Long arrays are copied only once, when the caller joins the pieces.
    """
    chunks: list[Buffer] = []
    count = 0
    for field, value in message.written_fields():
        if field.is_packed:
            parts = [_head(field, 2, _packed_numbers(field.kind, value))]
        else:
            items = value if field.is_repeated else [value]
            parts = [_one(field, item) for item in items]
        for inner, size in parts:
            chunks += inner
            count += size
    return chunks, count


def _one(field: Field, value: Any) -> tuple[list[Buffer], int]:
    """Return one value of a field, encoded with its tag, in pieces, and the number of bytes."""
    kind = field.kind
    if kind is Kind.MESSAGE:
        inner, size = _chunks(value)
        head = varint(field.number << 3 | 2) + varint(size)
        return [head, *inner], len(head) + size
    if kind.wire == 2:
        data = value.encode(errors="replace") if isinstance(value, str) else value
        return _head(field, 2, data)
    tag = varint(field.number << 3 | kind.wire)
    number = varint(int(value)) if kind.wire == 0 else _fixed_bytes(kind, value)
    return [tag, number], len(tag) + len(number)


def _head(field: Field, wire: int, data: Buffer) -> tuple[list[Buffer], int]:
    """Return the encoded head of a field (number, wire type, length) with its data, and the number of bytes."""
    head = varint(field.number << 3 | wire) + varint(len(data))
    return [head, data], len(head) + len(data)


def _fixed_bytes(kind: Kind, value: Any) -> bytes:
    try:
        return _LETTERS[kind].pack(value)
    except OverflowError:  # too large for a float32
        return _LETTERS[kind].pack(float("-inf" if value < 0 else "inf"))


def _packed_numbers(kind: Kind, values: Any) -> bytes:
    if kind.wire:
        return np.asarray(values, kind.dtype).tobytes()
    return b"".join(varint(int(value)) for value in values)
