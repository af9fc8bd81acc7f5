"""The way in: a file, its inputs and outputs, and how often it is read until it is known what its layers are."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...declare.placeholders import can_name_size
from ...ir.types import Size
from ...support.api_guard import api
from ...support.arguments import array_of
from ...support.errors import DtypeError, NameLookupError, ShapeError, shown
from ..array_bounds import MAX_ENTRIES, check_sizes, entries_up_to
from ..expressions import input_name
from ..net import Net
from ..open_axes import AxisRequest, read_with
from ..reading import not_readable
from ..rolling.loops import takes_entries
from ..rolling.scripts import rolled_up
from ..script import Script, tensors_in
from ..steps import Value, wanted_steps, with_inner
from .core.known import Found, Known, Listed, Stacked, Unrounded, known
from .core.model import Kind, Model, Node, model_of
from .core.sizes import UnreadableError
from .core.tensors import Tensors
from .core.values import HELD, held
from .graph_reader import FAILED, GraphReader, Reading
from .loops import loop, scan
from .ops import (
    choosing,
    convolutions,
    elementwise,
    fused,
    moving,
    normalizing,
    products,
    qlinear,
    quantized,
    reducing,
    resizing,
    scattering,
    sequences,
    shapes,
)
from .quantized_files import narrow_options
from .recurrent import linear_attention
from .recurrent.stacks import stacks_in

if TYPE_CHECKING:
    import onnx

FILES = (
    choosing, convolutions, elementwise, fused, linear_attention, loop, moving, normalizing, products, qlinear,
    quantized, reducing, resizing, scan, scattering, sequences, shapes,
)  # fmt: skip
"""Files whose functions read ops, beside those that the reader of graphs imports itself."""
MOST_CHOICES = 5
"""Conditions on sizes of which all combinations are tried."""
MOST_FORCED = 8
"""Times that a file is read anew with sizes that its nodes turned out to be made for."""


@api
def read_onnx(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto, fixed: Mapping[str, Any] | None = None,
    max_entries: int = MAX_ENTRIES, open: Mapping[str, Mapping[int, str]] | None = None,
) -> Net:  # fmt: skip
    """The net of an ONNX file, with the file's inputs, outputs, names and layouts.

    Sizes that the file leaves open stay open: one program serves all batches and lengths. Numbers of 16 bits become
    float32, whole numbers of less than 32 bits int32. Inputs that no output needs are left out. Where a graph hangs on
    whether an open size is 1, it is read for sizes that are not, unless it can be read for 1 alone. A size that nodes
    have written down as a number, which exporters do that trace an example, is that number.

    source: a path, what the file holds, or a model. Arrays that lie beside a file are read from its folder alone.
    fixed: {name: value} of inputs, such as ``{"sr": 16000}``, which are then none of the net's: an ``If`` may hang on
        them; and of sizes that the file names, or of axes: ``{"x": {1: 200}}``.
    max_entries: entries of an array, open sizes counted as 1, and rounds of a loop, which few bytes of a file can
        declare. Larger ones are refused, unless an input or a weight of the file has a quarter as many.
    open: ``{input: {axis: name}}``, axes to which the file gives a size and that are read as open.

    A program of a quantized file has 8-bit weights and activations, unless ``net.program`` is given others.

    The package onnx is not needed. Raises ``NotReadableError`` with every node that can't be read, and ``FileError``
    where the file is damaged.
    """
    with entries_up_to(max_entries):
        return net_of_model(model_of(source), fixed, open, max_entries)


def net_of_model(
    model: Model, fixed: Mapping[str, Any] | None = None, open: Mapping[str, Mapping[int, str]] | None = None,
    max_entries: int = MAX_ENTRIES,
) -> Net:  # fmt: skip
    """The net of a model that is taken apart. The arguments are those of ``read_onnx``."""
    with entries_up_to(max_entries) as most:
        inputs, values, axes = model.graph.inputs, *_axes_and_values(fixed)
        shapes = {input_name(name): kind.shape for name, kind in inputs.items() if kind.shape is not None}
        request = AxisRequest.of(open, axes, shapes)
        script = read_with(request, model.name, lambda asked: _script_of(_asked_of(model, asked), values, asked))
        check_sizes(model.name, script, most)
        script.settle_parameters()
        script.narrow = narrow_options(model, script)
        return Net(script)


def _axes_and_values(fixed: Any) -> tuple[Any, dict[str, Any] | None]:
    """Split what is fixed into values and sizes by name, and axes of inputs."""
    if not isinstance(fixed, Mapping):
        return fixed, None
    axes = {input_name(name): item for name, item in fixed.items() if isinstance(item, Mapping)}
    return {name: item for name, item in fixed.items() if not isinstance(item, Mapping)}, axes


def _asked_of(model: Model, request: AxisRequest) -> Model:
    """Return a model whose inputs have the sizes that a caller asks for."""
    inputs = {
        name: kind if kind.shape is None else replace(kind, shape=tuple(request.shape(input_name(name), kind.shape)))
        for name, kind in model.graph.inputs.items()
    }
    return replace(model, graph=replace(model.graph, inputs=inputs))


def _script_of(model: Model, fixed: Any, request: AxisRequest) -> Script:
    """Read the model until it is known what its layers are."""
    settled = _settled(model, fixed)
    reading, values = _chosen(model, settled)
    first, forced_by, names = (
        reading,
        dict[str, str](),
        {size for kind in model.graph.inputs.values() for size in kind.shape or ()},
    )
    for _ in range(MOST_FORCED):
        more = {
            name: size for name, (size, _) in reading.forced.items()
            if name in names and name not in settled and name not in request.names.values()
        }  # fmt: skip
        forced_by |= {name: reading.forced[name][1] for name in more}
        if not reading.problems or not more:
            break
        settled |= more
        reading, values = _chosen(model, settled)
    if reading.problems:
        raise not_readable(model.name, first.problems)
    stacks = stacks_in(reading.tensors, values)
    shared = frozenset(place for place, arrays in reading.tensors.products.items() if len(arrays) > 1)
    anchored = _lost(reading.tensors, values)
    if stacks or shared or anchored:
        again, values_again = _read(model, settled, stacks, reading.choices, shared, anchored)
        if not again.problems:
            reading, values = again, values_again
    script = _finished(model, reading.tensors, values)
    _note_sizes(script, model, reading, forced_by, request)
    return script


def _note_sizes(
    script: Script, model: Model, reading: Reading, forced_by: Mapping[str, str], request: AxisRequest
) -> None:  # fmt: skip
    """Note what closed axes of inputs, and numbers that open sizes must not be."""
    for name, kind in model.graph.inputs.items():
        own = input_name(name)
        for axis, dim in enumerate(kind.shape or () if own in script.inputs else ()):
            if isinstance(script.inputs[own].tensor.type.shape[axis], int):
                is_fixed = not isinstance(dim, int) or f"{own}_{axis}" in request.numbers
                script.closed_at[own, axis] = forced_by.get(str(dim), "fixed=") if is_fixed else "the file"
    for node, asked in reading.undecided.items():
        left, right = (asked.left, asked.right) if isinstance(asked.left, Size) else (asked.right, asked.left)
        if not reading.choices.get(node) and isinstance(left, Size) and left.symbol and isinstance(right, int):
            script.unequal[left.symbol, right] = str(node)


def _chosen(model: Model, settled: Mapping[str, Any]) -> tuple[Reading, dict[str, Any]]:
    """Reads all, with the first choices by which all of it can be read."""
    reading, values = _read(model, settled)
    for choices in _choices(reading):
        reading, values = _read(model, settled, choices=choices)
        if not reading.problems:
            break
    return reading, values


def _choices(reading: Reading) -> Iterator[dict[Node, bool]]:
    """What else could be taken of conditions on sizes, where something can't be read."""
    if reading.problems and reading.undecided:
        asked = list(reading.undecided)
        yield dict.fromkeys(asked, True)
        for combination in itertools.product((False, True), repeat=min(len(asked), MOST_CHOICES)):
            if any(combination) and not all(combination):
                yield dict(zip(asked, combination, strict=False))
        yield {}  # what is said is of the plain way


def _settled(model: Model, fixed: Any) -> dict[str, Any]:
    """Values for inputs as ``Known``, and sizes as ints."""
    if not isinstance(fixed, Mapping | None):
        raise DtypeError(f"fixed is a mapping from names of inputs to values, not {shown(fixed)}")
    names = {name for kind in model.graph.inputs.values() for name in kind.shape or () if isinstance(name, str)}
    found: dict[str, Any] = {}
    for name, given in (fixed or {}).items():
        kind = model.graph.inputs.get(name)
        array = array_of(given, f"the value for {shown(name)} is no array")
        if kind is None and name in names:
            if array.ndim or array.dtype.kind not in "iu" or array < 1:
                raise DtypeError(f"size {shown(name)} must be a whole number from 1 on, not {shown(given)}")
            found[name] = int(array)
            continue
        if kind is None:
            there = ", ".join(map(shown, [*model.graph.inputs, *sorted(names)])) or "none"
            raise NameLookupError(f"{model.name} has no input {shown(name)} to fix; there are {there}")
        wanted = kind.shape if kind.shape is not None else array.shape
        if array.size == 1 and all(isinstance(size, str | None) or size == 1 for size in wanted):
            array = array.reshape((1,) * len(wanted))
        fits = array.ndim == len(wanted) and all(
            not isinstance(want, int) or want == have for want, have in zip(wanted, array.shape, strict=True)
        )
        if not fits:
            raise ShapeError(f"the value for {shown(name)} has shape {list(array.shape)}, and {list(wanted)} is needed")
        if array.dtype.kind not in "fiub" or kind.dtype is None:
            raise DtypeError(f"the value for {shown(name)} is {shown(given)}, which is not of {kind.dtype}")
        dtype = HELD[kind.dtype] if kind.dtype in ("float16", "bfloat16") else kind.dtype
        found[name] = known(array.astype(dtype))
    return found


def _read(
    model: Model, settled: Mapping[str, Any], stacks: Mapping[Node, Sequence[Node]] | None = None,
    choices: Mapping[Node, bool] | None = None, shared: frozenset[Any] = frozenset(),
    anchored: frozenset[str] = frozenset(),
) -> tuple[Reading, dict[str, Any]]:  # fmt: skip
    """Reads all that the outputs need, and gives these by name. shared: places of kernels that are parameters.
    anchored: sizes that inputs must give by what is computed of them.
    """
    tensors = Tensors(Script(model.about), shared, anchored)
    reading = Reading(model, tensors, stacks or {}, choices or {})
    given: dict[str, Any] = {}
    sizes = _SizeNames(settled)
    for name, kind in model.graph.inputs.items():
        try:
            given[name] = settled[name] if isinstance(settled.get(name), Known) else _input(tensors, name, kind, sizes)
        except (UnreadableError, ValueError, TypeError) as error:
            reading.problems.append(f"input {shown(name)}: {error}")
            given[name] = FAILED
    found = GraphReader(reading, model.graph, given).outputs()
    return reading, dict(zip(model.graph.outputs, found, strict=True))


class _SizeNames:
    """Names for sizes of inputs: the file's, where they can stand in a script, and else our own."""

    def __init__(self, settled: Mapping[str, Any]) -> None:
        self._settled = settled
        self._names: dict[str, str] = {}
        self._count = itertools.count()

    def __call__(self, size: int | str | None) -> int | str:
        if isinstance(size, int):
            return size
        if size is not None and isinstance(self._settled.get(size), int):
            fixed: int = self._settled[size]
            return fixed
        if size is None:
            return self._own()
        if size not in self._names:
            self._names[size] = size if can_name_size(size) and not size.startswith("size_") else self._own()
        return self._names[size]

    def _own(self) -> str:
        return f"size_{next(self._count)}"


def _input(tensors: Tensors, name: str, kind: Kind, sizes: _SizeNames) -> Value:
    if kind.dtype is None:
        raise UnreadableError("it is no array of numbers")
    if kind.shape is None:
        raise UnreadableError(
            "the file does not say how many axes it has; give it a shape, as onnx.tools.update_model_dims does"
        )
    return tensors.script.input(input_name(name), [sizes(size) for size in kind.shape], held(kind.dtype))


def _lost(tensors: Tensors, values: Mapping[str, Any]) -> frozenset[str]:
    """Sizes that outputs need, and that only inputs have of which nothing but sizes is read."""
    script, found = tensors.script, dict[str, Value]()
    try:
        found = {name: tensors.value(value) for name, value in values.items()}
    except (UnreadableError, AttributeError):  # which is said when the script is finished
        return frozenset()
    steps = set(with_inner(wanted_steps(script.steps, found)))
    needed = {symbol for step in steps for tensor in tensors_in(step.thing) for symbol in tensor.type.plain_symbols}
    read = (value.tensor for value in script.inputs.values() if value.step in steps)
    given = {symbol for tensor in read for symbol in tensor.type.plain_symbols}
    return frozenset(needed - given)


def _finished(model: Model, tensors: Tensors, values: Mapping[str, Any]) -> Script:
    """The script with its outputs, and with what they need alone."""
    script = tensors.script
    problems = []
    for name, value in values.items():
        try:
            if isinstance(value, Unrounded):
                raise UnreadableError("it is quantized at run time")
            if isinstance(value, Listed | Stacked):
                raise UnreadableError("it is a sequence")
            if isinstance(value, Found):
                raise UnreadableError("its size depends on numbers at run time")
            script.outputs[name] = tensors.value(value)
        except UnreadableError as error:
            problems.append(f"output {shown(name)}: {error}")
    if problems:
        raise not_readable(model.name, problems)
    if tensors.shared or takes_entries(script):
        script.drop_unused_steps()  # entries that were written over are none of a loop's
        script = rolled_up(script)
    script.drop_unused_inputs()
    return script
