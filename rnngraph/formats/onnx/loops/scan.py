"""Reads Scan nodes."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.known import Operand, shape_of
from ..core.sizes import UnreadableError, axis_of
from ..core.table import Call, Outputs, reads
from ..core.tensors import Tensors
from .steps import Loop, Steps


@reads("Scan")
def _scan(call: Call) -> Outputs:
    if call.opset < 9:
        raise UnreadableError(f"Scan of opset {call.opset} is not supported; use opset 9 or later")
    body = call.graph("body")
    count = call.whole("num_scan_inputs", 0)
    carried = len(call.inputs) - count
    names = list(body.inputs)
    if not 0 < count <= len(call.inputs) or len(names) != len(call.inputs) or len(body.outputs) < carried:
        raise UnreadableError("its number of inputs differs from its body's; export it again")
    emits = len(body.outputs) - carried
    input_axes, output_axes = _numbers(call, "scan_input_axes", count), _numbers(call, "scan_output_axes", emits)
    inward, outward = _flags(call, "scan_input_directions", count), _flags(call, "scan_output_directions", emits)
    reverse = inward[0]
    sequences = {}
    for number, name in enumerate(names[carried:]):
        item = call.input(carried + number)
        moved = _to_front(call.tensors, item, axis_of(input_axes[number], len(shape_of(item))))
        sequences[name] = moved if inward[number] == reverse else _flipped(call.tensors, moved)
    length = shape_of(next(iter(sequences.values())))[0]

    def step(tensors: Tensors, inputs: Mapping[str, Operand]) -> tuple[list[Operand], list[Operand]]:
        results = call.branch(body, inputs, tensors)
        return results[:carried], results[carried:]

    initial = {name: call.input(number) for number, name in enumerate(names[:carried])}
    finals, outputs = Steps(call.tensors, Loop(initial, sequences, length, reverse, step)).declared()
    for number, item in enumerate(outputs):
        if outward[number] != reverse:
            item = _flipped(call.tensors, item)
        outputs[number] = _from_front(call.tensors, item, axis_of(output_axes[number], len(shape_of(item))))
    return [*finals, *outputs]


def _numbers(call: Call, name: str, count: int) -> list[int]:
    """Return an attribute that is a list of ``count`` integers, by default zeros."""
    numbers = call.entries(name, [0] * count) or []
    if len(numbers) != count or not all(isinstance(item, int) for item in numbers):
        raise UnreadableError(f"attribute {name} is {numbers}; it must have {count} integers")
    return numbers


def _flags(call: Call, name: str, count: int) -> list[bool]:
    """Return an attribute that is a list of ``count`` zeros and ones as bools."""
    flags = _numbers(call, name, count)
    if not set(flags) <= {0, 1}:
        raise UnreadableError(f"attribute {name} is {flags}; it must contain only 0 and 1")
    return [item == 1 for item in flags]


def _to_front(tensors: Tensors, item: Operand, axis: int) -> Operand:
    """Transpose an operand so that ``axis`` comes first."""
    others = [other for other in range(len(shape_of(item))) if other != axis]
    return tensors.transpose(item, (axis, *others)) if axis else item


def _from_front(tensors: Tensors, item: Operand, axis: int) -> Operand:
    """Transpose an operand so that its first axis moves to position ``axis``."""
    order = list(range(1, len(shape_of(item))))
    order.insert(axis, 0)
    return tensors.transpose(item, order) if axis else item


def _flipped(tensors: Tensors, item: Operand) -> Operand:
    return tensors.index(item, [slice(None, None, -1)])
