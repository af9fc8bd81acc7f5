"""``read_torch``: reads a torch module as a ``Net``.

The module runs on tensors without values until the set of fixed sizes no longer changes. Runs with other sizes then
confirm that the script does not depend on the sizes of the example.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from os import PathLike
from typing import Any

from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, MissingExtraError, shown
from ..net import Net
from ..reading import not_readable

_REFUSED = (
    ("torch.ao.nn.quantized", "quantized weights", "give the module before it was quantized"),
    ("torch.jit", "TorchScript", "give the module that it was compiled from"),
)
"""Unsupported modules: (prefix of the Python module that defines the class, description, remedy)."""


def _hint(module: object) -> str:
    """Return the end of the error for an argument that is not a module, with a remedy for paths and ``state_dict``s."""
    if isinstance(module, str | PathLike):
        return "; make the module, and write module.load_state_dict(torch.load(path)) and module.eval()"
    if isinstance(module, Mapping):
        return "; make the module, and write module.load_state_dict(state_dict) and module.eval()"
    return "; give the module"


@api
def read_torch(module: Any, example: Any = None, open: Any = None, fixed: Any = None) -> Net:
    """Read an ``nn.Module`` in evaluation mode, or an ``ExportedProgram`` of ``torch.export.export``.

    Every size of an input is symbolic unless the module needs the example's number. ``net.sizes`` has the sizes of all
    axes, and ``print(net)`` names the lines of the module that fixed a size.

    Inputs have the names of ``forward``'s arguments; tensors in a tuple get a number (``hx_0``). A single output is
    ``y``. Outputs in a tuple are ``y_0``, ``y_1``, nested ones ``y_1_0``. Outputs in a dict or namedtuple have its keys
    or field names. Parameters have the module's paths; their arrays are copies.

    Dropout keeps the module's rate, and acts in the training graph only. Outputs of packed sequences have all steps of
    the input, with 0 past the end of a row, whereas torch cuts them to the longest row. If a result depends on the
    length of the longest row, each call of the program checks that this row has all steps.

    Args:
        module: The module. An exported program contains its own example. Its sizes are symbolic where it was exported
            with ``dynamic_shapes``, and a warning names inputs whose sizes ``torch.export`` fixed. Loops that
            ``torch.export`` unrolled are rolled up.
        example: A tuple of ``forward``'s arguments, one tensor, or a dict by argument names. Only the shapes and dtypes
            of tensors count; other arguments, such as flags, are passed to ``forward`` unchanged.
        open: ``{input: {axis: name}}``, axes that must stay symbolic, even if other axes must then be fixed. Axes with
            the same name have the same size.
        fixed: ``{input: {axis: size}}``, axes with a fixed size.

    Raises:
        NotReadableError: Calls can't be read; the error lists each one, with its line and the path of its module.
        DtypeError: ``module`` is no module, or an input's dtype is not supported.
        ArgumentError: The module is in training mode, or the example is missing or does not fit ``forward``.
        MissingExtraError: torch is not installed.
    """
    try:
        nn = import_module("torch.nn")
    except ImportError:
        raise MissingExtraError("read_torch needs torch; pip install torch") from None
    if type(module).__name__ == "ExportedProgram":
        return _read_exported(module, example, open, fixed)
    if not isinstance(module, nn.Module):
        hint = _hint(module)
        raise DtypeError(f"read_torch reads an nn.Module, not {shown(module)}{hint}")
    refused = [
        f"{path or 'the module'} is a {type(part).__name__} of {what}; {remedy}"
        for path, part in module.named_modules()
        for start, what, remedy in _REFUSED
        if any(kind.__module__.startswith(start) for kind in type(part).__mro__)
    ]
    module = getattr(module, "_orig_mod", module)  # torch.compile wraps the module
    if any(_is_exported(part) for part in module.modules()):
        refused.append("it is the graph of an exported program; give the ExportedProgram itself, or the module")
    refused += [
        f"{path} has no values; {remedy}"
        for path, parameter in [*module.named_parameters(), *module.named_buffers()]
        for is_it, remedy in (
            (nn.parameter.is_lazy(parameter), "call the module on the example once, which creates lazy weights"),
            (parameter.is_meta, "load its weights, which are on the device meta"),
        )
        if is_it
    ]
    if refused:
        raise not_readable(f"the module {type(module).__name__}", refused)
    training = [path or type(module).__name__ for path, part in module.named_modules() if part.training]
    if training:
        raise ArgumentError(f"{', '.join(training[:3])} of the module is in training mode; call module.eval() first")
    if example is None:
        raise ArgumentError("read_torch needs an example of the module's inputs; write rg.read_torch(module, (x,))")
    arguments, keywords = arguments_of(example)
    reader = import_module(".runs", __package__).Reader(module, arguments, keywords, open=open, fixed=fixed)
    return Net(reader.script())


def _read_exported(program: Any, example: Any, open: Any, fixed: Any) -> Net:
    """Read a program of ``torch.export``, by default with the example that it contains."""
    exported = import_module(".exported", __package__).Exported(program)
    arguments = program.example_inputs if example is None else arguments_of(example)
    if arguments is None:
        raise ArgumentError("the exported program has no example of its inputs; write rg.read_torch(program, (x,))")
    kind = import_module(".runs", __package__).Reader
    reader = kind(exported, (), exported.example(*arguments), exported.sizes(), open=open, fixed=fixed)
    net = Net(reader.script())
    exported.warn_of_fixed_sizes()
    return net


def _is_exported(module: object) -> bool:
    """True for the graph of an exported program, which calls single operators instead of modules."""
    nodes = getattr(getattr(module, "graph", None), "nodes", ())
    if callable(nodes):  # In TorchScript's graphs, ``nodes`` is a method.
        return False
    return any(getattr(type(node.target), "__module__", "") == "torch._ops" for node in nodes)


def arguments_of(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments of ``forward`` for an example."""
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, list | tuple) and not hasattr(example, "_fields"):
        return tuple(example), {}
    return (example,), {}
