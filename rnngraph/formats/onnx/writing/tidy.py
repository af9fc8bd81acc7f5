"""Final pass over the written nodes: names outputs, and drops unused nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ....ir.graph import Node
from .scope import Body, Model, Operator, Scope


def named(scope: Scope, outputs: Sequence[tuple[str, Node]]) -> list[Operator]:
    """Rename the values that are outputs of the graph to ``outputs``, and return the graph's nodes."""
    names = {name for operator in scope.operators for name in operator.outputs}
    new: dict[str, str] = {}
    for name, node in outputs:
        value = scope.values[node]
        if value == name:
            continue
        if value in names and value not in new:
            new[value] = name
        else:
            scope.operators.append(Operator("Identity", [value], [name], {}))
    _rename(scope.operators, new)
    return scope.operators


def _rename(operators: Sequence[Operator], new: Mapping[str, str]) -> None:
    for operator in operators:
        operator.inputs = [new.get(name, name) for name in operator.inputs]
        operator.outputs = [new.get(name, name) for name in operator.outputs]
        for body in _bodies(operator):
            _rename(body.operators, new)


def _bodies(operator: Operator) -> Iterator[Body]:
    return (value for value in operator.attributes.values() if isinstance(value, Body))


def keep_needed(model: Model, operators: list[Operator], inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Drop nodes and constant tensors that no output needs, in place. Defaults of inputs stay."""
    needed = _needed(operators, set(outputs))
    needed_names = {*needed, *inputs}
    model.initializers = {name: array for name, array in model.initializers.items() if name in needed_names}


def _needed(operators: list[Operator], needed: set[str]) -> set[str]:
    """Remove nodes on which no name in ``needed`` depends, in place. Return all names that the remaining nodes read."""
    remaining = []
    for operator in reversed(operators):
        if not needed.intersection(operator.outputs):
            continue
        remaining.append(operator)
        needed.update(filter(None, operator.inputs))
        for body in _bodies(operator):
            needed |= _needed(body.operators, {name for name, _ in body.outputs})
    operators[:] = remaining[::-1]
    return needed
