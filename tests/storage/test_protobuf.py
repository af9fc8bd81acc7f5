"""The codec of protobuf's wire format against Google's, with ONNX's messages, and on damaged bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from changed_files import changed

from rnngraph.formats.onnx.core import messages as ours
from rnngraph.storage.protobuf import (
    MAX_DEPTH,
    DecodeError,
    Kind,
    Message,
    array,
    decode,
    encode,
    integer,
    message,
    read_varint,
    varint,
)

onnx = pytest.importorskip("onnx")


def theirs() -> onnx.ModelProto:
    """Return a model with fields of every kind."""
    tensor = onnx.TensorProto(dims=[2, 3], data_type=1, name="w", float_data=[1, 2, 3, -4, np.inf, 6], raw_data=b"abc")
    tensor.int64_data.extend([0, -1, 2**63 - 1, -(2**63), 300])
    tensor.uint64_data.extend([2**64 - 1, 127, 128])
    tensor.double_data.extend([0.1, -0.0])
    node = onnx.helper.make_node("If", ["", "b"], ["ü"], "name", alpha=0.0, axis=0, mode="", to=-7, axes=[1, -2])
    node.attribute.append(onnx.AttributeProto(name="floats", type=6, floats=[0.5, -1], strings=[b"x", b""]))
    inner = onnx.GraphProto(name="g", node=[node])
    node = onnx.helper.make_node("Loop", ["a"], ["c"], body=inner)
    node.attribute.append(onnx.AttributeProto(name="t", type=4, t=tensor))
    value = onnx.helper.make_tensor_value_info("a", 1, [0, "n", 5])
    graph = onnx.GraphProto(node=[node], name="h", initializer=[tensor], input=[value])
    return onnx.ModelProto(
        ir_version=8, producer_name="who", graph=graph, opset_import=[onnx.OperatorSetIdProto(version=17)]
    )


def test_bytes_are_those_of_googles_codec() -> None:
    data = theirs().SerializeToString(deterministic=True)
    message = decode(ours.Model, data)
    assert encode(message) == data
    assert message.graph is not None
    tensor = message.graph.initializer[0]
    assert tensor.dims.tolist() == [2, 3]
    assert tensor.int64_data.tolist() == [0, -1, 2**63 - 1, -(2**63), 300]
    assert tensor.uint64_data.tolist() == [2**64 - 1, 127, 128]
    assert tensor.float_data.tolist() == [1, 2, 3, -4, np.inf, 6]
    assert bytes(tensor.raw_data or b"") == b"abc"
    inner = message.graph.node[0].attribute[0].g
    assert inner is not None
    by_name = {item.name: item for item in inner.node[0].attribute}
    assert (by_name["alpha"].f, by_name["axis"].i, by_name["mode"].s, by_name["to"].i) == (0.0, 0, b"", -7)
    assert by_name["axes"].ints.tolist() == [1, -2]
    assert inner.node[0].output == ["ü"]


def test_changed_bytes_are_an_error_or_read_as_by_google() -> None:
    whole = theirs().SerializeToString()
    for seed in range(300):
        data = changed(whole, seed)
        try:
            message = decode(ours.Model, data)
        except DecodeError:
            continue
        other = onnx.ModelProto.FromString(data)
        if message.graph is not None:
            assert [item.name for item in message.graph.initializer] == [item.name for item in other.graph.initializer]


@dataclass(eq=False)
class Nest(Message):
    """Recursive message."""

    inner: Nest | None = message(1, lambda: Nest)
    number: int = integer(2)
    numbers: np.ndarray = array(3, Kind.INTEGER)


def test_numbers_are_written_seven_bits_at_a_time() -> None:
    assert varint(300) == b"\xac\x02"
    assert read_varint(b"\xac\x02", 0) == (300, 2)
    assert read_varint(varint(-1), 0) == (2**64 - 1, 10)


def test_errors_name_the_byte() -> None:
    deep = b"".join(b"\x0a" + varint(0) for _ in range(1))
    for _ in range(MAX_DEPTH + 1):
        deep = b"\x0a" + varint(len(deep)) + deep
    for data, text in [
        (b"\x10\x80", "number at byte 1 is cut off"),
        (b"\x10" + b"\x80" * 11, "number at byte 1 is too long"),
        (b"\x0a\x05\x10\x01", "field at byte 0 reaches beyond the end"),
        (b"\x0a\x02\x10\x81\x10\x01", "number at byte 3 is cut off"),
        (b"\x13", "field at byte 0 has wire type 3"),
        (b"\x12\x01a", "value of field 2 at byte 2 has wire type 2, not 0"),
        (b"\x1a\x02\x01\x80", "numbers from byte 2 on are cut off"),
        (b"\x1a\x0b" + b"\x80" * 10 + b"\x01", "number at byte 2 is too long"),
        (deep, f"nested more than {MAX_DEPTH} levels"),
    ]:
        with pytest.raises(DecodeError, match=text):
            decode(Nest, data)


def test_fields_of_one_message_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnngraph.storage.protobuf.MAX_FIELDS", 100)
    assert decode(Nest, b"\x18\x01" * 100).numbers.size == 100
    with pytest.raises(DecodeError, match="more than 100 fields"):
        decode(Nest, b"\x18\x01" * 101)
    assert decode(Nest, b"\x20\x01" * 200).number == 0  # unknown fields are not counted
