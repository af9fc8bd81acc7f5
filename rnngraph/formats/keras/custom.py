"""Declares users' own cells and layers by functions of the caller.

With ``custom_objects={"MinGRU": builder}``, ``builder(config)`` returns an ``rg.Cell`` for a cell or a recurrent layer,
or a function of Tensors for another layer. The file's arrays become the parameters of the result.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...declare.cell import Cell
from ...declare.functions.arrays.moves import flip
from ...declare.nest import flatten
from ...declare.parameters import ParameterSpec
from ...declare.running.drivers import dynamic_rnn
from ...declare.tensor import Tensor
from ...support.errors import ArgumentError, DtypeError, RnnGraphError, StructureError, shown
from ..expressions import attribute, literal
from ..layers import scope_of
from ..script import Script, parameters_in
from ..steps import Step, Value
from .core.configuration import Layer
from .core.declaration import Declaration, Inputs, Signal

Builder = Callable[[dict[str, Any]], Any]


def checked_builders(builders: Any) -> dict[str, Builder]:
    """Return ``custom_objects`` as a dict. Raises ``DtypeError`` unless it maps names of classes to functions."""
    if builders is None:
        return {}
    if not isinstance(builders, Mapping) or not all(isinstance(name, str) for name in builders):
        raise DtypeError(f'custom_objects must be a mapping such as {{"MinGRU": builder}}, not {shown(builders)}')
    for name, builder in builders.items():
        if not callable(builder):
            raise DtypeError(f"custom_objects has {shown(builder)} for {name}; give a function of the layer's config")
    return dict(builders)


@dataclass(frozen=True)
class Owner:
    """Declared parameters to which a layer's arrays will be assigned.

    Attributes:
        layer: The layer.
        names: Suffixes of the parameters' names in the order of the layer's arrays; None for the order of declaration.
        prefix: Scope of a cell's parameters, with a trailing slash; ``""`` if ``specs`` lists the parameters.
        specs: The declared parameters, if a function of Tensors declared them without a common scope.
    """

    layer: Layer
    names: Sequence[str] | None
    prefix: str = ""
    specs: Sequence[ParameterSpec] = ()


class CustomObjects:
    """Declaration of users' layers and cells by functions of the caller.

    Args:
        builders: Functions from a configuration to a cell or a function of Tensors, by name of the class.
    """

    def __init__(self, builders: Mapping[str, Builder]) -> None:
        self.builders = builders
        self._owners: list[Owner] = []

    def cell(self, b: Declaration, layer: Layer, at: str) -> Value:
        """Declare the cell that the builder of a class returns.

        Args:
            layer: The cell in the file.
            at: Scope of the driver's cell, in which the cell's parameters get a scope of their own.
        """
        value, names = self._built(b, layer)
        if not isinstance(value.result, Cell):
            raise StructureError(f"{_named(layer)} must return an rg.Cell, not {shown(value.result)}")
        self._owners.append(Owner(layer, names, prefix=f"{at}/{scope_of(value.result)}/"))
        return value

    def layer(self, b: Declaration, layer: Layer, inputs: Inputs) -> Any:
        """Declare a call of a layer, by the cell or function that the builder of its class returns."""
        function, names = self._built(b, layer)
        if isinstance(function.result, Cell):
            return self._recurrent(b, layer, inputs.one, function, names)
        if not callable(function.result):
            raise StructureError(
                f"{_named(layer)} must return an rg.Cell or a function of Tensors, not {shown(function.result)}"
            )
        before = set(parameters_in(b.script))
        operands = [function, *(signal.value for signal in inputs.several)]

        def written(arguments: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
            return ast.Call(arguments[0], arguments[1:], [])

        result = function.result(*(operand.result for operand in operands[1:]))
        value = b.script.add(Step(result, operands, {}, written, "x", True))
        if not isinstance(result, Tensor) and not (
            isinstance(result, list | tuple) and all(isinstance(item, Tensor) for item in result)
        ):
            raise StructureError(f"the function of {_named(layer)} must return Tensors, not {shown(result)}")
        new = [spec for spec in parameters_in(b.script) if spec not in before]
        self._owners.append(Owner(layer, names, specs=new))
        return Signal(value) if isinstance(result, Tensor) else [Signal(part) for part in value]

    def _recurrent(
        self, b: Declaration, layer: Layer, x: Signal, cell: Value, names: Sequence[str] | None
    ) -> list[Signal]:
        """Declare a recurrent layer whose builder returned a cell: drive the cell over the sequence x."""
        flags = {name: layer.config.flag(name, False) for name in ("return_state", "go_backwards")}
        is_back, scope = flags["go_backwards"], b.driver_scope(layer)
        options: dict[str, object] = {"mask": x.mask} if x.mask is not None else {}
        options |= {"reverse": True} if is_back else {}
        outputs, state = b.script.call(dynamic_rnn, cell, x.value, **options, scope=scope)
        self._owners.append(Owner(layer, names, prefix=f"{scope}/{scope_of(cell.result)}/"))
        sequences = layer.config.flag("return_sequences", True)
        if not sequences:
            y = b.script.item(outputs, slice(None), 0 if is_back else -1)
        else:
            y = b.script.call(flip, outputs, 1) if is_back else outputs
        states = [Signal(part) for part in state_parts(state)] if flags["return_state"] else []
        return [Signal(y, x.mask if sequences else None), *states]

    def _built(self, b: Declaration, layer: Layer) -> tuple[Value, Sequence[str] | None]:
        """Call a layer's builder. Return (the cell or function, names of its parameters or None)."""
        builder = self.builders[layer.kind]
        config = {key: item for key, item in layer.config.entries.items() if _is_plain(item)}
        try:
            built = builder(dict(config))
        except RnnGraphError:
            raise
        except Exception as error:
            text = f"{_named(layer)} raised {type(error).__name__}: {error}; fix the builder"
            raise ArgumentError(text) from error
        is_pair = isinstance(built, tuple) and len(built) == 2 and not isinstance(built[0], Tensor)
        result, names = built if is_pair else (built, None)
        if names is not None and not (isinstance(names, list | tuple) and all(isinstance(n, str) for n in names)):
            raise StructureError(
                f"{_named(layer)} must return (cell, names of parameters), not {shown(names)} as names"
            )

        def written(_: list[ast.expr], __: list[ast.keyword]) -> ast.expr:
            call = ast.Call(attribute(imported_name(builder, layer.kind)), [literal(config)], [])
            return ast.Subscript(call, ast.Constant(0), ast.Load()) if is_pair else call

        step = Step(result, (), {}, written, "cell" if isinstance(result, Cell) else "layer", True)
        step.imports = lambda: (builder.__module__, imported_name(builder, layer.kind))
        return b.script.add(step), names

    def own_arrays(self, script: Script, arrays: Mapping[Layer, Mapping[str, np.ndarray]]) -> None:
        """Record the file's arrays of all layers that builders declared as parameters of the script.

        Raises ``StructureError`` if the shapes of a layer's arrays and parameters differ.
        """
        known = parameters_in(script)
        for owner in self._owners:
            names = [
                name
                for spec, name in known.items()
                if (name.startswith(owner.prefix) if owner.prefix else spec in owner.specs)
            ]
            shapes = {name: spec.type.shape for spec, name in known.items()}
            own_arrays = [*arrays.get(owner.layer, {}).values()]
            if owner.names is not None:
                names = [_ending(owner, names, end) for end in owner.names]
            if [shapes[name] for name in names] != [array.shape for array in own_arrays]:
                declared = ", ".join(f"{name} {list(shapes[name])}" for name in names) or "none"
                raise StructureError(
                    f"the file has arrays {[list(array.shape) for array in own_arrays]} of {owner.layer}, but its "
                    f"builder declares {declared}; return (cell, names) with the names in the order of the arrays"
                )
            script.parameters |= dict(zip(names, own_arrays, strict=True))


def _ending(owner: Owner, names: Sequence[str], end: str) -> str:
    """Return the one parameter name that ends with ``end``. Raises ``StructureError`` for none or several."""
    matches = [name for name in names if name == end or name.endswith(f"/{end}")]
    if len(matches) != 1:
        raise StructureError(
            f"the builder of {owner.layer} names {end!r}, which matches {len(matches)} parameters; give the end of one "
            f"name among {', '.join(names) or 'none'}"
        )
    return matches[0]


def _named(layer: Layer) -> str:
    """Return the text by which errors name a layer's builder."""
    return f"the builder of {layer} in custom_objects"


def imported_name(builder: Builder, kind: str) -> str:
    """Return the name under which the generated script imports a builder."""
    name = getattr(builder, "__qualname__", "<")
    module = str(getattr(builder, "__module__", "__main__"))
    if "<" in name or module == "__main__":
        raise ArgumentError(f"a script can't import the builder of {kind}; move it to the top level of a module")
    return str(name)


def _is_plain(item: Any) -> bool:
    """True for literals that a script can contain, False for objects of Keras such as dtypes."""
    if isinstance(item, Mapping):
        return "class_name" not in item and all(isinstance(key, str) and _is_plain(part) for key, part in item.items())
    if isinstance(item, list):
        return all(map(_is_plain, item))
    return item is None or isinstance(item, str | int | float | bool)


def state_parts(state: Value) -> Iterator[Value]:
    """Yield the parts of a cell's state, which may be nested in tuples and dicts, in order."""
    if isinstance(state.result, dict):
        for key, part in state.result.items():
            yield from state_parts(Value(part, state.step, (*state.path, key)))
    elif isinstance(state.result, tuple) and flatten(state.result):
        for part in state:
            yield from state_parts(part)
    else:
        yield state
