"""The door: a module of torch's as a ``Net``. It is run on tensors without values until no size turns out to be less
open than it was taken for; then again with other sizes, on which the script must not hang.
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
    ("torch.jit", "TorchScript", "give the module that it was made of"),
)
"""Modules that are refused by where they come from: (the module's module, what it is, the remedy)."""


def _hint(module: object) -> str:
    """Say how a module is had from what was given in its place."""
    if isinstance(module, str | PathLike):
        return "; make the module, and write module.load_state_dict(torch.load(path)) and module.eval()"
    if isinstance(module, Mapping):
        return "; make the module, and write module.load_state_dict(state_dict) and module.eval()"
    return ""


@api
def read_torch(module: Any, example: Any = None, open: Any = None, fixed: Any = None) -> Net:
    """The net of an ``nn.Module`` in ``eval()``, or of a program that ``torch.export.export`` made of one.

    example: a tuple of what ``forward`` takes, one tensor, or a dict by the names of its arguments. Only shapes and
    dtypes of its tensors count; what is no tensor, such as a flag, is given to ``forward`` as it is. Every size of a
    tensor is open unless the module forces it to be what it is in the example.

    open: ``{input: {axis: name}}``, axes that must stay open, by the names of inputs. One that the example alone would
    close is opened at the cost of others. Axes of one name are equal. Where the module closes one, the error has the
    line.
    fixed: ``{input: {axis: size}}``, axes of one size.
    ``net.sizes`` has the sizes of all axes, and ``print(net)`` says what closed those that are numbers.

    An ``ExportedProgram`` needs no example: it holds its own. Sizes are open where it was exported with
    ``dynamic_shapes``; a warning names inputs of which export fixed all. Steps that export wrote out are rolled up.

    Inputs have the names of ``forward``'s arguments, those in a tuple with a number behind (``hx_0``). A tensor that
    comes out is ``y``; a tuple's are ``y_0``, ``y_1``, nested ones ``y_1_0``; those of a dict or a namedtuple have its
    names. Parameters have the module's paths; arrays are copies. Dropout is read with the rate that the module has, and
    acts in the training graph alone. Of packed sequences the outputs have all steps of the input, 0 past a row's end.
    Where results depend on how many steps there are, a call checks that the longest row has them all, as torch cuts the
    rest.

    Raises ``NotReadableError`` with every call that can't be read, its line in the module's code and the module's path;
    ``MissingExtraError`` without torch.
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
        f"{path or 'the module'} is a {type(found).__name__} of {what}; {remedy}"
        for path, found in module.named_modules()
        for start, what, remedy in _REFUSED
        if any(kind.__module__.startswith(start) for kind in type(found).__mro__)
    ]
    module = getattr(module, "_orig_mod", module)  # what torch.compile would compile
    if any(_is_exported(found) for found in module.modules()):
        refused.append(
            "it is the graph of a module that torch.export took apart; give the ExportedProgram itself, or the module"
        )
    refused += [
        f"{path} has no values; {remedy}"
        for path, parameter in [*module.named_parameters(), *module.named_buffers()]
        for is_it, remedy in (
            (nn.parameter.is_lazy(parameter), "call the module on the example once, which makes its lazy weights"),
            (parameter.is_meta, "load its weights, which are on the device meta"),
        )
        if is_it
    ]
    if refused:
        raise not_readable(f"the module {type(module).__name__}", refused)
    training = [path or type(module).__name__ for path, found in module.named_modules() if found.training]
    if training:
        raise ArgumentError(f"{', '.join(training[:3])} of the module is in training mode; call module.eval() first")
    if example is None:
        raise ArgumentError("read_torch needs an example of what the module takes; write rg.read_torch(module, (x,))")
    arguments, keywords = _arguments(example)
    reader = import_module(".runs", __package__).Reader(module, arguments, keywords, open=open, fixed=fixed)
    return Net(reader.script())


def _read_exported(program: Any, example: Any, open: Any, fixed: Any) -> Net:
    """The net of a program that torch.export made."""
    exported = import_module(".exported", __package__).Exported(program)
    given = program.example_inputs if example is None else _arguments(example)
    if given is None:
        raise ArgumentError("the exported program holds no example of its inputs; write rg.read_torch(program, (x,))")
    kind = import_module(".runs", __package__).Reader
    reader = kind(exported, (), exported.example(*given), exported.sizes(), open=open, fixed=fixed)
    net = Net(reader.script())
    exported.warn_of_fixed_sizes()
    return net


def _is_exported(module: Any) -> bool:
    """Whether it calls single operators in place of modules and functions."""
    nodes = getattr(getattr(module, "graph", None), "nodes", ())
    if callable(nodes):  # of TorchScript
        return False
    return any(getattr(type(node.target), "__module__", "") == "torch._ops" for node in nodes)


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What forward is called with."""
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, list | tuple) and not hasattr(example, "_fields"):
        return tuple(example), {}
    return (example,), {}
