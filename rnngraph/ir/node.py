"""Nodes: single values, which know their operands; the order in which they need each other; and names for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from ..errors import Where
from .types import Dim, TensorType, Type

Attributes = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One value. Compared by identity: two nodes are one only if they are the same object."""

    op: str
    operands: tuple[Node, ...]
    type: Type
    attributes: Attributes = ()
    where: Where | None = None
    name: str = ""

    def __getitem__(self, key: str) -> Any:
        for name, value in self.attributes:
            if name == key:
                return value
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        return next((value for name, value in self.attributes if name == key), default)

    @property
    def tensor(self) -> TensorType:
        assert isinstance(self.type, TensorType), f"{self.op} gives a tuple"
        return self.type

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.tensor.shape

    @property
    def dtype(self) -> str:
        return self.tensor.dtype

    def __repr__(self) -> str:
        return f"<{self.op} {self.name} : {self.type}>"


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """Every node, those of scans' bodies after the scan that holds them."""
    for node in nodes:
        yield node
        if node.op == "scan":
            yield from walk(node["body"].nodes)


def topological(roots: Iterable[Node], known: Iterable[Node] = ()) -> tuple[Node, ...]:
    """All nodes that ``roots`` need, operands first; not ``known`` ones, nor what only those need.

    Iterative: graphs may be deeper than Python's stack. A set or mapping of known ones is not copied.
    """
    order: list[Node] = []
    known = known if isinstance(known, Set | Mapping) else set(known)
    done: set[Node] = set()
    for root in roots:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in done or node in known:
                stack.pop()
                continue
            missing = [other for other in reversed(node.operands) if other not in done and other not in known]
            if missing:
                stack += missing  # the first comes first
            else:
                done.add(node)
                order.append(node)
                stack.pop()
    return tuple(order)


@dataclass
class Namer:
    """Gives out names that were not given out before."""

    taken: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def __call__(self, wanted: str) -> str:
        name = wanted
        while name in self.taken:
            self.counts[wanted] = self.counts.get(wanted, 0) + 1
            name = f"{wanted}_{self.counts[wanted]}"
        self.taken.add(name)
        return name
