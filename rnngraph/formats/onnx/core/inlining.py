"""Inlines a file's functions: the nodes of a function's body replace each call of the function."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ....support.errors import FileError, shown
from . import messages

MAX_NODES = 1_000_000
"""Maximum number of nodes after inlining, because nested functions of a small file could expand to very many."""
Key = tuple[str, str, str]
"""Domain, name and overload of a function."""


@dataclass(eq=False)
class Inlined(messages.Node):
    """Node of a function's body.

    Attributes:
        opsets: Versions of the function's operators, by domain.
    """

    opsets: Mapping[str, int] | None = None


def inline_functions(name: str, model: messages.Model) -> None:
    """Inline all calls of the model's functions, in place. Raises ``FileError``.

    Args:
        name: The file's name in errors.
        model: The model.
    """
    if model.functions and model.graph is not None:
        _Inliner(name, model).graph(model.graph)


def _recursive(name: str, key: Key) -> FileError:
    return FileError(f"{name} is damaged: function {shown(key[1])} calls itself; export it again")


def key_of(node: messages.Node) -> Key:
    """Return (domain, op, overload) of a node, the key of the function that the node calls if the file has one."""
    return node.domain, node.op_type, node.overload


class _Inliner:
    """Inlines calls, innermost functions first."""

    def __init__(self, name: str, model: messages.Model) -> None:
        self._name = name
        self._functions = {(item.domain, item.name, item.overload): item for item in model.functions}
        self._bodies: dict[Key, list[messages.Node]] = {}
        assert model.graph is not None
        self._used = {*_names(model.graph)}
        self._count = itertools.count(1)
        self._left = MAX_NODES

    def graph(self, graph: messages.Graph) -> None:
        """Inline the calls of a graph in place, including those in nested graphs."""
        self._prepare(key for node in _all_nodes(graph.node) if (key := key_of(node)) in self._functions)
        graph.node = self._inline_calls(graph.node)

    def _prepare(self, keys: Iterable[Key]) -> None:
        """Store functions' bodies with all calls inlined, innermost first. An explicit stack replaces recursion."""
        pending = [(key, False) for key in dict.fromkeys(keys)]
        in_progress: set[Key] = set()
        while pending:
            key, is_ready = pending.pop()
            if key in self._bodies:
                continue
            function = self._functions[key]
            if is_ready:
                in_progress.discard(key)
                imported = function.opset_import
                opsets = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in imported}
                self._bodies[key] = [_with_versions(node, opsets) for node in self._inline_calls(function.node)]
                continue
            if key in in_progress:
                raise _recursive(self._name, key)
            in_progress.add(key)
            pending.append((key, True))
            for node in _all_nodes(function.node):
                other = key_of(node)
                if other in in_progress:
                    raise _recursive(self._name, other)
                if other in self._functions and other not in self._bodies:
                    pending.append((other, False))

    def _inline_calls(self, nodes: Iterable[messages.Node]) -> list[messages.Node]:
        """Return the nodes, with each call replaced by the function's body."""
        written: list[messages.Node] = []
        for node in nodes:
            for attribute in node.attribute:
                if attribute.g is not None:
                    attribute.g.node = self._inline_calls(attribute.g.node)
            body = self._bodies.get(key_of(node)) if self._functions else None
            written += [node] if body is None else self._call(node, self._functions[key_of(node)], body)
        return written

    def _call(
        self, node: messages.Node, function: messages.Function, body: Sequence[messages.Node]
    ) -> list[messages.Node]:
        """Return the nodes that replace a call: a copy of the function's body with the call's names and attributes."""
        self._left -= len([*_all_nodes(body)])
        if self._left < 0:
            raise FileError(f"{self._name} has too many nodes when its functions are inlined: more than {MAX_NODES:,}")
        names = dict.fromkeys(function.input, "") | dict(zip(function.input, node.input, strict=False))
        names |= {inner: outer for inner, outer in zip(function.output, node.output, strict=False) if outer}
        attributes = {item.name: item for item in (*function.attribute_proto, *node.attribute)}
        copy = _Copy(names, attributes, self._new_name)
        copied = copy.nodes(body)
        outputs = {output for item in copied for output in item.output}
        for inner, outer in zip(function.output, node.output, strict=False):
            if inner in function.input and outer and outer not in outputs:  # The function returns an input unchanged.
                position = function.input.index(inner)
                source = node.input[position] if position < len(node.input) else ""
                copied.append(messages.Node(input=[source], output=[outer], op_type="Identity"))
        return copied

    def _new_name(self, name: str) -> str:
        while (new := f"{name}__{next(self._count)}") in self._used:
            pass
        self._used.add(new)
        return new


class _Copy:
    """Copies nodes of a function's body for a call.

    Values are renamed by ``names``, or get new names. References to attributes are replaced by the call's
    ``attributes``.
    """

    def __init__(
        self, names: dict[str, str], attributes: Mapping[str, messages.Attribute], new_name: Callable[[str], str]
    ) -> None:
        self._names, self._attributes, self._new_name = names, attributes, new_name

    def nodes(self, nodes: Sequence[messages.Node]) -> list[messages.Node]:
        for node in nodes:
            for output in node.output:
                self._own(output)
        return [
            replace(
                node,
                input=[self._names.get(name, name) for name in node.input],
                output=[self._names.get(name, name) for name in node.output],
                attribute=[*self._copied(node.attribute)],
            )
            for node in nodes
        ]

    def _own(self, name: str) -> None:
        """Choose a new name for a value of the function's body, unless ``names`` has one already."""
        if name and name not in self._names:
            self._names[name] = self._new_name(name)

    def _copied(self, attributes: Iterable[messages.Attribute]) -> Iterator[messages.Attribute]:
        """Yield copies of attributes. A reference gets the call's value; it is omitted if the call has none."""
        for attribute in attributes:
            if attribute.ref_attr_name:
                value = self._attributes.get(attribute.ref_attr_name)
                if value is not None:
                    yield replace(value, name=attribute.name)
            elif attribute.g is not None:
                yield replace(attribute, g=self._graph(attribute.g))
            else:
                yield attribute

    def _graph(self, graph: messages.Graph) -> messages.Graph:
        inner = _Copy(dict(self._names), self._attributes, self._new_name)
        for name in _own_names(graph):
            inner._names[name] = self._new_name(name)
        nodes = inner.nodes(graph.node)

        def renamed(items: list[messages.ValueInfo]) -> list[messages.ValueInfo]:
            return [replace(item, name=inner._names.get(item.name, item.name)) for item in items]

        arrays = [replace(item, name=inner._names.get(item.name, item.name)) for item in graph.initializer]
        return replace(graph, node=nodes, input=renamed(graph.input), output=renamed(graph.output), initializer=arrays)


def _with_versions(node: messages.Node, opsets: Mapping[str, int]) -> messages.Node:
    """Return a node with a function's ``opsets``, unless the node is from a function inlined earlier, with its own."""
    return node if isinstance(node, Inlined) else Inlined(**vars(node), opsets=opsets)


def _all_nodes(nodes: Iterable[messages.Node]) -> Iterator[messages.Node]:
    """Yield nodes, including those of nested graphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.g is not None:
                yield from _all_nodes(attribute.g.node)


def _names(graph: messages.Graph) -> Iterator[str]:
    """Yield the names of all values of a graph, including those of nested graphs."""
    yield from _own_names(graph)
    yield from (item.name for item in graph.output)
    for node in _all_nodes(graph.node):
        yield from node.input
        yield from node.output
        for attribute in node.attribute:
            if attribute.g is not None:
                yield from _own_names(attribute.g)


def _own_names(graph: messages.Graph) -> Iterator[str]:
    """Yield the names of a graph's inputs and initializers."""
    yield from (item.name for item in graph.input)
    yield from (item.name for item in graph.initializer)
    yield from (item.name for item in graph.sparse_initializer)
