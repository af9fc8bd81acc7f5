"""``Sizes``: writes symbolic sizes as nodes that compute them at run time from the shapes of inputs."""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.graph import Node
from ....ir.sizes.polynomial import Floor
from ....ir.types import Dim, Size, dim_text, quotient, size, substitute, symbols_of
from .scope import Scope


class Sizes:
    """Writes sizes as int64 tensors [1] of the main graph, which loop bodies can read. Each size is written once."""

    def __init__(self, scope: Scope, inputs: Sequence[Node]) -> None:
        """Find the axes of ``inputs`` that determine sizes. ``scope`` has the names of the inputs."""
        self._scope, self.inputs = scope, frozenset(inputs)
        self._names: dict[Dim, str] = {}
        self._shapes: dict[Node, str] = {}
        self._axes: dict[str, tuple[Node, int, Dim, Dim]] = {}
        """Source of each named size: (input, axis, number to subtract from the axis's size, divisor of the rest)."""
        left = [(node, axis, dim) for node in inputs for axis, dim in enumerate(node.shape) if isinstance(dim, Size)]
        while left:
            waiting = [item for item in left if not self._settles(*item)]
            if len(waiting) == len(left):
                break
            left = waiting

    def _settles(self, node: Node, axis: int, dim: Dim) -> bool:
        """Record an axis as the source of the only name in its size that has no source yet.

        Return True if every name in the size has a source afterwards.
        """
        unknown = [name for name in symbols_of(dim) if name not in self._axes]
        if not unknown:
            return True
        if len(unknown) > 1:
            return False
        name = unknown[0]
        rest = substitute(dim, {name: 0})
        factor = quotient(dim - rest, size(name))
        if factor is None or name in symbols_of(factor):
            return False
        self._axes[name] = (node, axis, rest, factor)
        return True

    def missing(self, dim: Dim) -> list[str]:
        """Return the named sizes that no axis of an input determines."""
        return sorted(name for name in symbols_of(dim) if name not in self._axes)

    def of(self, dim: Dim) -> str:
        """Write a size as an int64 tensor [1] if it is not written yet, and return the tensor's name."""
        if not isinstance(dim, Size):
            return self._scope.integers([dim], "size")
        if dim not in self._names:
            name = dim.symbol
            self._names[dim] = self._sum(dim) if name is None else self._named(name)
        return self._names[dim]

    def scalar(self, dim: Dim) -> str:
        """Write a size as an int64 scalar, and return the scalar's name."""
        if not isinstance(dim, Size):
            return self._scope.constant(dim, "int64", "size")
        return self._scope.squeeze(self.of(dim), 0, "size")

    def shape(self, scope: Scope, dims: Sequence[Dim]) -> str:
        """Write sizes as an int64 vector into ``scope``, and return the vector's name."""
        if not any(isinstance(dim, Size) for dim in dims):
            return scope.integers([dim for dim in dims if isinstance(dim, int)], "shape")
        parts: list[str] = []
        numbers: list[int] = []
        for dim in (*dims, None):  # Consecutive numbers become one constant.
            if isinstance(dim, int):
                numbers.append(dim)
                continue
            if numbers:
                parts.append(scope.integers(numbers, "size"))
                numbers = []
            if dim is not None:
                parts.append(self.of(dim))
        return parts[0] if len(parts) == 1 else scope.add("Concat", *parts, hint="shape", axis=0)

    def _named(self, name: str) -> str:
        """Write a named size: the size of the input axis that determines it, minus a number, divided by another."""
        node, axis, rest, factor = self._axes[name]
        root = self._scope
        if node not in self._shapes:
            self._shapes[node] = root.add("Shape", root.values[node], hint="shape")
        value = root.add("Gather", self._shapes[node], root.integers([axis], "axis"), hint=name, axis=0)
        if rest != 0:
            value = root.add("Sub", value, self.of(rest), hint=name)
        return value if factor == 1 else root.add("Div", value, self.of(factor), hint=name)

    def _sum(self, dim: Size) -> str:
        """Write a formula as a sum of products of named sizes. Positive terms come first."""
        root = self._scope
        total = ""
        for names, factor in sorted(dim.terms, key=lambda term: term[1] < 0):
            value = root.integers([abs(factor)], "size") if abs(factor) != 1 or not names else ""
            for name in names:
                other = self._floor(name) if isinstance(name, Floor) else self.of(size(name))
                value = root.add("Mul", value, other) if value else other
            if not total:
                total = value if factor > 0 else root.add("Neg", value)
            else:
                total = root.add("Add" if factor > 0 else "Sub", total, value)
        return total

    def _floor(self, floor: Floor) -> str:
        """Write a floor division. ONNX's Div truncates, which is the floor of nonnegative quotients."""
        return self._scope.add("Div", self.of(floor.dim), self._scope.integers([floor.by], "size"))


def size_problem(names: Sequence[str], dim: Dim) -> str:
    """Return the error message for a size with ``names`` that no input axis determines."""
    return (
        f"the size {dim_text(dim)} needs {', '.join(names)}, which no axis of an input has alone; declare a "
        "placeholder with that axis"
    )
