"""``read_onnx``: reads a file repeatedly, until sizes, shared weights and stacks of layers are known."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...declare.placeholders import can_name_size
from ...ir.types import Size
from ...support.api_guard import api
from ...support.arguments import array_of
from ...support.errors import DtypeError, NameLookupError, NotReadableError, ShapeError, shown
from ..array_bounds import MAX_ENTRIES, check_sizes, entries_up_to
from ..expressions import input_name
from ..net import Net
from ..open_axes import AxisRequest, read_with
from ..reading import not_readable
from ..rolling.equal_runs import takes_entries
from ..rolling.scripts import rolled_up
from ..script import Script, tensors_in
from ..steps import Value, wanted_steps, with_inner
from .core.known import Dequantized, Known, Listed, NonZeroIndices, Stacked, known
from .core.model import Kind, Model, Node, model_of
from .core.sizes import UnreadableError
from .core.tensors import Tensors
from .core.values import STORAGE_DTYPES, storage_dtype
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
    choosing,
    convolutions,
    elementwise,
    fused,
    linear_attention,
    loop,
    moving,
    normalizing,
    products,
    qlinear,
    quantized,
    reducing,
    resizing,
    scan,
    scattering,
    sequences,
    shapes,
)
"""Modules that register readers of ops, in addition to the modules that ``graph_reader`` imports."""
MAX_CHOICES = 5
"""Maximum number of conditions on sizes for which all combinations are tried."""
MAX_FORCED = 8
"""Maximum number of repeated readings, each of which fixes symbolic sizes to values that nodes require."""


@api
def read_onnx(
    source: str | os.PathLike[str] | bytes | onnx.ModelProto,
    fixed: Mapping[str, Any] | None = None,
    max_entries: int = MAX_ENTRIES,
    open: Mapping[str, Mapping[int, str]] | None = None,
) -> Net:
    """Read an ONNX file as a net with the file's inputs, outputs, names and layouts.

    Symbolic sizes of the file stay symbolic: one program serves all batches and lengths. 16-bit floats become float32,
    and integers below 32 bits int32. Inputs that no output needs are omitted. If the graph depends on whether a
    symbolic size is 1, it is read for other sizes, unless it can be read for 1 only. An exporter that traced an example
    may have written a number in place of a symbolic size; the size is then fixed to this number.

    The program of a quantized file has 8-bit weights, and 8-bit activations if the file has, unless all weights are too
    small to gain. Options of ``net.program`` override both. The package onnx is not needed.

    Args:
        source: A path, the bytes of a file, or a model. Further files with arrays must be in the file's folder.
        fixed: Values of inputs, such as ``{"sr": 16000}``. The net then lacks the inputs, and an ``If`` may depend on
            their values. Also numbers for the file's named sizes, ``{"B": 1}``, and sizes of axes, ``{"x": {1: 200}}``.
        max_entries: Maximum entries of an array, with symbolic sizes counted as 1, and maximum steps of a loop. The
            limit protects from small files that declare large arrays. Four times the entries of the largest input or
            weight are always allowed.
        open: ``{input: {axis: name}}``. Each axis gets a symbolic size of this name, whatever size the file states.

    Raises:
        NotReadableError: Nodes cannot be read; the error lists all of them.
        FileError: The file is damaged.
    """
    with entries_up_to(max_entries):
        return net_of_model(model_of(source), fixed, open, max_entries)


def net_of_model(
    model: Model,
    fixed: Mapping[str, Any] | None = None,
    open: Mapping[str, Mapping[int, str]] | None = None,
    max_entries: int = MAX_ENTRIES,
) -> Net:
    """Return the net of a parsed model. For the arguments see ``read_onnx``.

    Files do not always say which axes have equal sizes. If the file cannot be read as it is, one axis of each input is
    assumed to be the batch; not with ``open``.
    """
    with entries_up_to(max_entries) as limit:
        values, axes = _split_fixed(fixed)
        try:
            script = _requested_script(model, axes, values, open)
        except NotReadableError as error:
            candidates = () if open else _equal_axes(model.graph.inputs, fixed)
            script = _first_script(model, axes, values, candidates, error)
        check_sizes(model.name, script, limit)
        script.settle_parameters()
        script.narrow = narrow_options(model, script)
        return Net(script)


def _first_script(
    model: Model, axes: Any, values: Any, candidates: Iterable[Mapping[str, Mapping[int, str]]], error: NotReadableError
) -> Script:
    """Return the script for the first of ``candidates`` with which the model can be read; raise ``error`` if none does.

    Each candidate has names of input axes, ``{input: {axis: name}}``.
    """
    for names in candidates:
        try:
            return _requested_script(model, axes, values, names)
        except NotReadableError:
            continue
    raise error


def _requested_script(model: Model, axes: Any, values: Any, open: Any) -> Script:
    shapes = {input_name(name): kind.shape for name, kind in model.graph.inputs.items() if kind.shape is not None}
    request = AxisRequest.of(open, axes, shapes)
    return read_with(
        request, model.name, lambda requested: _script_of(_with_requested_sizes(model, requested), values, requested)
    )


def _equal_axes(inputs: Mapping[str, Kind], fixed: Any) -> Iterator[dict[str, dict[int, str]]]:
    """Yield guesses of the batch axes, ``{input: {axis: name}}``, unless the axes already have one common name.

    The first guess is the first axis of each input, and the second guess is the second axis, as for time-major
    sequences. The third guess is the second axis of inputs with three axes or more, and the first axis of all others.
    """
    shapes = {input_name(name): kind.shape for name, kind in inputs.items() if kind.shape}
    names = {size for shape in shapes.values() for size in shape}
    batch = "B" if "B" not in names else "rows"
    ranks = {name: len(shape) for name, shape in shapes.items()}
    for axes in (
        dict.fromkeys(ranks, 0),
        {name: min(1, rank - 1) for name, rank in ranks.items()},
        {name: int(rank > 2) for name, rank in ranks.items()},
    ):
        sizes = {
            name: shapes[name][axis] for name, axis in axes.items() if not _is_fixed(fixed, name, axis, shapes[name])
        }
        rows = {name: {axes[name]: batch} for name, size in sizes.items() if not isinstance(size, int)}
        distinct = {size if size is not None else name for name, size in sizes.items() if name in rows}
        if len(distinct) > 1:
            yield rows


def _is_fixed(fixed: Any, name: str, axis: int, shape: Sequence[Any]) -> bool:
    """True if ``fixed`` has a value for an input, or a number for the size of the axis."""
    if not isinstance(fixed, Mapping):
        return False
    request = fixed.get(name)
    own = axis in request or axis - len(shape) in request if isinstance(request, Mapping) else request is not None
    return own or shape[axis] in fixed


def _split_fixed(fixed: Any) -> tuple[Any, dict[str, Any] | None]:
    """Split ``fixed`` into (values of inputs and named sizes, ``{input: {axis: size}}``)."""
    if not isinstance(fixed, Mapping):
        return fixed, None
    axes = {input_name(name): item for name, item in fixed.items() if isinstance(item, Mapping)}
    return {name: item for name, item in fixed.items() if not isinstance(item, Mapping)}, axes


def _with_requested_sizes(model: Model, request: AxisRequest) -> Model:
    """Return the model with the requested names and sizes in the shapes of its inputs."""
    inputs = {
        name: kind if kind.shape is None else replace(kind, shape=tuple(request.shape(input_name(name), kind.shape)))
        for name, kind in model.graph.inputs.items()
    }
    return replace(model, graph=replace(model.graph, inputs=inputs))


def _script_of(model: Model, fixed: Any, request: AxisRequest) -> Script:
    """Read a model, as often as necessary, and return the script that declares it.

    The model is read again if symbolic sizes must be fixed. It is read once more if layers form stacks, if products
    share weights, or if outputs need sizes that only unused inputs have.
    """
    settled = _settled(model, fixed)
    reading, values = _read_with_choices(model, settled)
    first, forced_by, names = (
        reading,
        dict[str, str](),
        {size for kind in model.graph.inputs.values() for size in kind.shape or ()},
    )
    for _ in range(MAX_FORCED):
        more = {
            name: size
            for name, (size, _) in reading.forced.items()
            if name in names and name not in settled and name not in request.names.values()
        }
        forced_by |= {name: reading.forced[name][1] for name in more}
        if not reading.problems or not more:
            break
        settled |= more
        reading, values = _read_with_choices(model, settled)
    if reading.problems:
        raise not_readable(model.name, first.problems)
    stacks = stacks_in(reading.tensors, values)
    shared = frozenset(place for place, arrays in reading.tensors.products.items() if len(arrays) > 1)
    anchored = _unavailable_sizes(reading.tensors, values)
    if stacks or shared or anchored:
        reread, new_values = _read(model, settled, stacks, reading.choices, shared, anchored)
        if not reread.problems:
            reading, values = reread, new_values
    script = _finish_script(model, reading.tensors, values)
    _note_sizes(script, model, reading, forced_by, request)
    return script


def _note_sizes(
    script: Script, model: Model, reading: Reading, forced_by: Mapping[str, str], request: AxisRequest
) -> None:
    """Record in the script why input axes are fixed, and which values a symbolic size must not have."""
    for name, kind in model.graph.inputs.items():
        own = input_name(name)
        for axis, dim in enumerate(kind.shape or () if own in script.inputs else ()):
            if isinstance(script.inputs[own].tensor.type.shape[axis], int):
                is_fixed = not isinstance(dim, int) or f"{own}_{axis}" in request.numbers
                script.closed_at[own, axis] = forced_by.get(str(dim), "fixed=") if is_fixed else "the file"
    for node, condition in reading.undecided.items():
        left, right = (
            (condition.left, condition.right) if isinstance(condition.left, Size) else (condition.right, condition.left)
        )
        if not reading.choices.get(node) and isinstance(left, Size) and left.symbol and isinstance(right, int):
            script.unequal[left.symbol, right] = str(node)


def _read_with_choices(model: Model, settled: Mapping[str, Any]) -> tuple[Reading, dict[str, Any]]:
    """Read the model with the first of ``_choices`` that makes it readable; if none does, with the default choices."""
    reading, values = _read(model, settled)
    for choices in _choices(reading):
        reading, values = _read(model, settled, choices=choices)
        if not reading.problems:
            break
    return reading, values


def _choices(reading: Reading) -> Iterator[dict[Node, bool]]:
    """Yield alternative assumptions about undecided comparisons of sizes; none if all nodes could be read."""
    if reading.problems and reading.undecided:
        undecided = list(reading.undecided)
        yield dict.fromkeys(undecided, True)
        for combination in itertools.product((False, True), repeat=min(len(undecided), MAX_CHOICES)):
            if any(combination) and not all(combination):
                yield dict(zip(undecided, combination, strict=False))
        yield {}  # If no choice works, errors are those of the default choices.


def _settled(model: Model, fixed: Any) -> dict[str, Any]:
    """Check the values in ``fixed``. Return values of inputs as ``Known``, and named sizes as ints, by name."""
    if not isinstance(fixed, Mapping | None):
        raise DtypeError(f"fixed must be a mapping from names of inputs to values, not {shown(fixed)}")
    names = {name for kind in model.graph.inputs.values() for name in kind.shape or () if isinstance(name, str)}
    settled: dict[str, Any] = {}
    for name, value in (fixed or {}).items():
        kind = model.graph.inputs.get(name)
        array = array_of(value, f"the value for {shown(name)} is no array")
        if kind is None and name in names:
            if array.ndim or array.dtype.kind not in "iu" or array < 1:
                raise DtypeError(f"size {shown(name)} must be a whole number of 1 or more, not {shown(value)}")
            settled[name] = int(array)
            continue
        if kind is None:
            there = ", ".join(map(shown, [*model.graph.inputs, *sorted(names)])) or "none"
            raise NameLookupError(f"{model.name} has no input or size {shown(name)} to fix; there are {there}")
        sizes = kind.shape if kind.shape is not None else array.shape
        if array.size == 1 and all(isinstance(size, str | None) or size == 1 for size in sizes):
            array = array.reshape((1,) * len(sizes))
        fits = array.ndim == len(sizes) and all(
            not isinstance(want, int) or want == have for want, have in zip(sizes, array.shape, strict=True)
        )
        if not fits:
            raise ShapeError(f"the value for {shown(name)} has shape {list(array.shape)}; it must be {list(sizes)}")
        if kind.dtype is None:
            raise DtypeError(f"input {shown(name)} has a dtype that is not supported; leave it out of fixed=")
        if array.dtype.kind not in "fiub":
            raise DtypeError(f"the value for {shown(name)} is {shown(value)}; it must have dtype {kind.dtype}")
        dtype = STORAGE_DTYPES[kind.dtype] if kind.dtype in ("float16", "bfloat16") else kind.dtype
        settled[name] = known(array.astype(dtype))
    return settled


def _read(
    model: Model,
    settled: Mapping[str, Any],
    stacks: Mapping[Node, Sequence[Node]] | None = None,
    choices: Mapping[Node, bool] | None = None,
    shared: frozenset[Any] = frozenset(),
    anchored: frozenset[str] = frozenset(),
) -> tuple[Reading, dict[str, Any]]:
    """Read all outputs of a model once.

    Args:
        model: The model.
        settled: Values of inputs as ``Known``, and named sizes as ints, by name.
        stacks: For each recurrent node in a stack, all nodes of the stack.
        choices: Assumed results of comparisons of sizes, by node.
        shared: Keys of kernels that several products share.
        anchored: Sizes that only unused inputs have; see ``Values``.

    Returns:
        (state of the reading, values of the outputs by name).
    """
    tensors = Tensors(Script(model.about), shared, anchored)
    reading = Reading(model, tensors, stacks or {}, choices or {})
    inputs: dict[str, Any] = {}
    sizes = _SizeNames(settled)
    for name, kind in model.graph.inputs.items():
        try:
            inputs[name] = settled[name] if isinstance(settled.get(name), Known) else _input(tensors, name, kind, sizes)
        except (UnreadableError, ValueError, TypeError) as error:
            reading.problems.append(f"input {shown(name)}: {error}")
            inputs[name] = FAILED
    outputs = GraphReader(reading, model.graph, inputs).outputs()
    return reading, dict(zip(model.graph.outputs, outputs, strict=True))


class _SizeNames:
    """Function from a size in the file to a size in the script: a number, the file's name if valid, or a new name."""

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
        raise UnreadableError("its dtype is not supported; use a tensor of floats, integers or bools")
    if kind.shape is None:
        raise UnreadableError(
            "the file does not state its rank; set a shape, for example by onnx.tools.update_model_dims"
        )
    return tensors.script.input(input_name(name), [sizes(size) for size in kind.shape], storage_dtype(kind.dtype))


def _unavailable_sizes(tensors: Tensors, values: Mapping[str, Any]) -> frozenset[str]:
    """Return the symbolic sizes that outputs need, but that only unused inputs have."""
    script, outputs = tensors.script, dict[str, Value]()
    try:
        outputs = {name: tensors.value(value) for name, value in values.items()}
    except (UnreadableError, AttributeError):  # ``_finish_script`` reports the error
        return frozenset()
    steps = set(with_inner(wanted_steps(script.steps, outputs)))
    needed = {symbol for step in steps for tensor in tensors_in(step.result) for symbol in tensor.type.plain_symbols}
    read = (value.tensor for value in script.inputs.values() if value.step in steps)
    available = {symbol for tensor in read for symbol in tensor.type.plain_symbols}
    return frozenset(needed - available)


def _finish_script(model: Model, tensors: Tensors, values: Mapping[str, Any]) -> Script:
    """Return the script with its outputs, without inputs that no output needs, and with unrolled steps as loops."""
    script = tensors.script
    problems = []
    for name, value in values.items():
        try:
            if isinstance(value, Dequantized):
                raise UnreadableError("it is quantized at run time, which is not supported for outputs")
            if isinstance(value, Listed | Stacked):
                raise UnreadableError("it is a sequence, which is not supported for outputs")
            if isinstance(value, NonZeroIndices):
                raise UnreadableError("its size depends on the data, which is not supported")
            script.outputs[name] = tensors.value(value)
        except UnreadableError as error:
            problems.append(f"output {shown(name)}: {error}")
    if problems:
        raise not_readable(model.name, problems)
    if tensors.shared or takes_entries(script):
        script.drop_unused_steps()  # Unused steps could keep a loop from being recognised.
        script = rolled_up(script)
    script.drop_unused_inputs()
    return script
