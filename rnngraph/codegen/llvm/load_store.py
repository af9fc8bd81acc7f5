"""LLVM text of loads and stores: plain, masked, or strided (gathers and scatters)."""

from __future__ import annotations

from ...ir.types import ITEM_BYTES, Size
from ..loop_ir.nodes import Index, Load, Place, Store, Valid
from .function_builder import FunctionBuilder, ascends
from .instructions import LLVM_TYPES, Handle, element_of, memory_element, overload_suffix, vector_type


def read(
    builder: FunctionBuilder, pointer: str, dtype: str, lanes: int, valid: Valid, stride: Index, name: str
) -> Handle:
    """Write instructions that load a scalar, or a vector with a stride and ``valid`` lanes. Return the value.

    Lanes of a vector from ``valid`` on become 0, and their memory is not accessed. A scalar is loaded in any case.
    """
    b, element, size = builder.b, memory_element(dtype), ITEM_BYTES[dtype]
    kind = vector_type(element, lanes)
    if lanes == 1 or (stride == 1 and valid is None):
        return b.emit(f"load {kind}, ptr {pointer}, align {size}", element, lanes, name)
    mask = _first_lanes(builder, valid, lanes)
    if stride == 1:
        form, places, where = "load", f"ptr {pointer}", "p0"
    else:
        vector = _lanes_at(builder, LLVM_TYPES[element], pointer, stride, lanes)
        form, places, where = "gather", f"<{lanes} x ptr> {vector}", f"v{lanes}p0"
    full = f"llvm.masked.{form}.{overload_suffix(element, lanes)}.{where}"
    kinds = f"{places.rpartition(' ')[0]}, i32, {mask.type}, {kind}"
    b.intrinsics[full] = f"declare {kind} @{full}({kinds})"
    operands = f"{places}, i32 {size}, {mask.type} {mask.text}, {kind} zeroinitializer"
    return b.emit(f"call {kind} @{full}({operands})", element, lanes, name)


def load(builder: FunctionBuilder, statement: Load) -> None:
    """Write a loop IR load of a scalar or (strided) vector, and bind its name. A nonzero byte is loaded as true."""
    b, value = builder.b, statement.value
    name = value.name.rpartition(".")[0] or value.name
    pointer = builder.address(statement.buffer, statement.index)
    result = read(builder, pointer, statement.buffer.dtype, value.lanes, statement.valid, statement.stride, name)
    if statement.buffer.dtype == "bool":
        result = b.compare("ne", result, b.constant(0, result))
    builder.values[value.name] = result


def store(builder: FunctionBuilder, statement: Store) -> None:
    """Write a loop IR store of a scalar, or of a vector, which may be strided or masked."""
    b, dtype = builder.b, statement.buffer.dtype
    value, pointer = builder.operand(statement.value), builder.address(statement.buffer, statement.index)
    if dtype == "bool":
        value = b.convert("zext", value, "i8")
    if statement.valid == 1:  # otherwise LLVM stores a whole wide lane, if the vector was truncated from wider lanes
        value = b.extract(value, 0)
    lanes, size = value.lanes, ITEM_BYTES[dtype]
    if lanes == 1 or (statement.valid is None and statement.stride == 1):
        builder.lines.append(f"  store {value.type} {value.text}, ptr {pointer}, align {size}")
        return
    mask = _first_lanes(builder, statement.valid, lanes)
    if statement.stride == 1:
        form, places, where = "store", f"ptr {pointer}", "p0"
    else:
        vector = _lanes_at(builder, LLVM_TYPES[value.element], pointer, statement.stride, lanes)
        form, places, where = "scatter", f"<{lanes} x ptr> {vector}", f"v{lanes}p0"
    full = f"llvm.masked.{form}.{overload_suffix(value.element, lanes)}.{where}"
    b.intrinsics[full] = f"declare void @{full}({value.type}, {places.rpartition(' ')[0]}, i32, {mask.type})"
    operands = f"{value.type} {value.text}, {places}, i32 {size}, {mask.type} {mask.text}"
    builder.lines.append(f"  call void @{full}({operands})")


def step_pointer(builder: FunctionBuilder, place: Place, k: str, stride: Index, offset: int) -> str:
    """Write code for the address of an operand of a product at step ``k + offset``. Return the pointer's name."""
    buffer, index = place
    kind = LLVM_TYPES[element_of(buffer.dtype)]
    pointer, constant = builder.variable_part(buffer, index)
    if k != "0":
        step = builder.combine("mul", k, builder.index(stride)) if stride != 1 else k
        pointer = builder.fixed(builder.pointer(kind, pointer, step))
    offset_elements = constant + stride * offset
    if offset_elements != 0:
        onward = isinstance(offset_elements, int) and ascends(index) and ascends(offset_elements) and ascends(stride)
        pointer = builder.pointer(kind, pointer, builder.index(offset_elements), onward)
    return pointer


def _first_lanes(builder: FunctionBuilder, valid: Valid, lanes: int) -> Handle:
    """Write code for a mask of ``lanes`` lanes, of which the first ``valid`` are true. Return the mask."""
    b = builder.b
    if not isinstance(valid, Size):
        return b.first_lanes(lanes if valid is None else valid, lanes)
    key = "lanes", valid.terms, lanes
    for scope in builder.known:
        if key in scope:
            return Handle(scope[key], "i1", lanes)
    count = b.splat(builder.lane_count(valid), lanes)
    mask = b.compare("ult", b.lane_numbers(lanes, "i32"), count)
    builder.known[-1][key] = mask.text
    return mask


def _lanes_at(builder: FunctionBuilder, kind: str, pointer: str, stride: Index, lanes: int) -> str:
    """Write code for a vector of pointers, ``stride`` elements apart, from ``pointer`` on. Return its name."""
    b = builder.b
    kind_of_index = builder.index_kind
    distance = b.splat(Handle(builder.index(stride), kind_of_index, 1), lanes)
    offsets = b.imul(b.lane_numbers(lanes, kind_of_index), distance)
    text = f"getelementptr {kind}, ptr {pointer}, {offsets.type} {offsets.text}"
    return b.emit(text, "i64", lanes, "lanes").text
