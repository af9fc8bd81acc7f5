"""Transformations that ``p.map`` applies to parameters before a cell reads them."""

from __future__ import annotations

from collections.abc import Callable

from ..ir.graph import Node, make, remake, topological
from ..ir.ops import OPS
from ..ir.types import unify_declared
from ..support.api_guard import api
from ..support.errors import ShapeError, Where, shown
from .parameters import ParameterSpec
from .tensor import Tensor, declared

RANDOM = tuple(name for name, op in OPS.items() if op.random and op.until)
"""Declared ops that draw random numbers."""


class ParameterMap:
    """User's function of a parameter's name and Tensor, called once for each parameter."""

    def __init__(self, function: Callable[[str, Tensor], Tensor], where: Where | None) -> None:
        self._function, self._where = function, where
        self._known: dict[ParameterSpec | Node, Tensor] = {}

    @api
    def __call__(self, name: str, key: ParameterSpec | Node, tensor: Tensor) -> Tensor:
        """Return the transformed Tensor, cached by ``key``: the parameter, or the node that another map returned."""
        if key in self._known:
            return self._known[key]
        before = next(declared)
        result = self._function(name, tensor)
        if not isinstance(result, Tensor) or result.type != tensor.type:
            raise ShapeError(
                f"the function of p.map turns parameter {name} {tensor.type} into {shown(result)}; give a Tensor "
                "of the same shape and dtype",
                self._where,
            )
        self._known[key] = _drawn_once(result, before)
        return self._known[key]


def _drawn_once(tensor: Tensor, since: int) -> Tensor:
    """Rewrite ``tensor`` so that random ops declared after ``since`` draw once per call, not at every step."""
    new: dict[Node, Node] = {}
    for node in topological([tensor.node]):
        operands = [new[operand] for operand in node.operands]
        scope = node.get("scope")
        if node.op in RANDOM and scope is not None and scope.serial > since:
            new[node] = make(
                node.op,
                *operands,
                where=node.where,
                name=node.name,
                unify=unify_declared,
                **{**dict(node.attributes), "variational": True},
            )
        elif all(a is b for a, b in zip(operands, node.operands, strict=True)):
            new[node] = node
        else:
            new[node] = remake(node, operands)
    return tensor._results(new[tensor.node])
