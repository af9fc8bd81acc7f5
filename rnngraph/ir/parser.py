"""Reads the printed form of a graph back. ``str(parse(str(graph))) == str(graph)``, but for commentary."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from .graph import Graph, Node, make
from .ops import OPS
from .printer import SCAN_WORDS
from .types import LONG_NAMES, Dim, TensorType, dim_of_syntax, parse_dim

_LINE = re.compile(r"(\w+) = (\w+) ?(.*) : ([^:]+)$")
_TENSOR = re.compile(r"(\w+)\[(.*)\]$")
_OUTPUT = re.compile(r"""output ('.*'|".*") = (.*)$""")
_SCAN_OUTPUT = re.compile(r"(next|emit) (\w+) = (.*)$")
_SCAN_INPUT = re.compile(rf"({'|'.join(SCAN_WORDS)}) (\w+) = (.*) : ([^:]+)$")
_LITERAL = re.compile(r"(\w+)\((.*)\)$")


class ParseError(ValueError):
    """The text is not a printed graph; the message holds the line."""


def parse_type(text: str) -> TensorType:
    match = _TENSOR.match(text.strip())
    if not match or match[1] not in LONG_NAMES:
        raise ParseError(f"not a type: {text}")
    dims = tuple(parse_dim(dim.strip()) for dim in match[2].split(",")) if match[2] else ()
    return TensorType(LONG_NAMES[match[1]], dims)


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=items):
            return tuple(map(_value, items))
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Name(id="inf" | "nan" as name):
            return float(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _value(operand)
            return -inner if isinstance(inner, int | float) else dim_of_syntax(node)
    return dim_of_syntax(node)


def _attributes(text: str) -> dict[str, Any]:
    call = ast.parse(f"f({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}


def _bound(text: str, default: Dim) -> Dim:
    return parse_dim(text) if text else default


@contextmanager
def _reading(line: str) -> Iterator[None]:
    """What goes wrong inside is a ``ParseError`` that holds the line."""
    try:
        yield
    except ParseError as error:
        raise error if "\n" in str(error) else ParseError(f"{error}, in the line\n{line}") from error
    except (LookupError, SyntaxError, TypeError, ValueError, AttributeError, AssertionError) as error:
        raise ParseError(f"{error}, in the line\n{line}") from error


def _is_type(node: Node, text: str) -> bool:
    """Whether ``text`` is the type of ``node``, however its sizes are written."""
    return str(node.type) == text or (isinstance(node.type, TensorType) and parse_type(text) == node.type)


class _Parser:
    def __init__(self, text: str) -> None:
        stripped = (re.sub(r"\s*(?<![\"'\w])#.*$", "", line) for line in text.splitlines())
        self.lines = [line.rstrip() for line in stripped if line.strip()]
        self.position = 0
        self.nodes: dict[str, Node] = {}  # of the graph or body that is being read

    def block(self, depth: int) -> Iterator[str]:
        while self.position < len(self.lines):
            line = self.lines[self.position]
            if len(line) - len(line.lstrip()) < depth:
                return
            self.position += 1
            yield line.strip()

    def graph(self) -> Graph:
        header = self.lines[0].split() if self.lines else []
        if len(header) != 2 or header[0] != "graph":
            raise ParseError("a printed graph begins with: graph NAME")
        self.position = 1
        outputs, inputs = [], []
        for line in self.block(2):
            if output := _OUTPUT.match(line):
                with _reading(line):
                    outputs.append((ast.literal_eval(output[1]), self.operand(output[2], self.nodes)))
                continue
            node = self.statement(line, 2)
            if node.op in ("input", "parameter"):
                inputs.append(node)
        if self.position < len(self.lines):
            raise ParseError(f"a line outside the graph\n{self.lines[self.position]}")
        return Graph.of(header[1], outputs, inputs)

    def operand(self, text: str, nodes: Mapping[str, Node]) -> Node:
        literal = _LITERAL.match(text)
        if not literal:
            if text not in nodes:
                raise ParseError(f"no value is named {text}")
            return nodes[text]
        if literal[1] not in LONG_NAMES:
            raise ParseError(f"not a number: {text}")
        value = _value(ast.parse(literal[2], mode="eval").body)
        return make("constant", value=np.asarray(value, LONG_NAMES[literal[1]]))

    def statement(self, line: str, depth: int) -> Node:
        with _reading(line):
            match = _LINE.match(line)
            if not match:
                raise ParseError("not a line of a graph")
            name, op, rest, kind = match.groups()
            if op not in OPS:
                raise ParseError(f"no op is named {op}")
            node = self.right_side(name, op, rest.strip(), kind, depth)
            if not _is_type(node, kind):
                raise ParseError(f"the type is {node.type}")
            self.define(name, node)
        return node

    def define(self, name: str, node: Node) -> None:
        if name in self.nodes:
            raise ParseError(f"{name} is there already")
        self.nodes[name] = node

    def right_side(self, name: str, op: str, rest: str, kind: str, depth: int) -> Node:
        if op == "constant":
            tensor = parse_type(kind)
            fill = re.match(r"full\((.*)\)$", rest)
            value = _value(ast.parse(fill[1] if fill else rest, mode="eval").body)
            shape = tuple(int(str(dim)) for dim in tensor.shape)
            array = np.full(shape, value, tensor.dtype) if fill else np.array(value, tensor.dtype).reshape(shape)
            return make("constant", name=name, value=array)
        if op == "slice":
            source, _, bounds = rest[:-1].partition("[")
            operand = self.operand(source, self.nodes)
            parts = [(part.strip() + "::").split(":")[:3] for part in bounds.split(",")] if bounds else []
            return make(
                "slice",
                operand,
                name=name,
                start=tuple(_bound(part[0], 0) for part in parts),
                stop=tuple(_bound(part[1], dim) for part, dim in zip(parts, operand.shape, strict=True)),
                step=tuple(int(part[2] or 1) for part in parts),
            )
        body, _, braces = rest.partition("{")
        attributes = _attributes(braces[:-1]) if braces else {}
        if op in ("input", "parameter"):
            return make(op, name=name, type=parse_type(kind), **{"label": name, **attributes})
        if op == "scan":
            return self.scan(name, attributes, depth + 2)
        operands = [self.operand(item.strip(), self.nodes) for item in body.split(",")] if body.strip() else []
        return make(op, *operands, name=name, **attributes)

    def scan(self, name: str, attributes: dict[str, Any], depth: int) -> Node:
        counts = dict.fromkeys(SCAN_WORDS, 0)
        operands, inputs, outputs = [], [], []
        outer, self.nodes = self.nodes, {}  # a body sees what it is given, and nothing of it is seen outside
        for line in self.block(depth):
            if match := _SCAN_OUTPUT.match(line):
                with _reading(line):
                    outputs.append((match[2], self.operand(match[3], self.nodes)))
            elif match := _SCAN_INPUT.match(line):
                word, key, value, kind = match.groups()
                counts[word] += 1
                with _reading(line):
                    operands.append(self.operand(value, outer))
                    inputs.append(make("input", name=key, label=key, type=parse_type(kind)))
                    self.define(key, inputs[-1])
            else:
                self.statement(line, depth)
        self.nodes = outer
        body = Graph.of("body", outputs, inputs)
        return make(
            "scan",
            *operands,
            name=name,
            body=body,
            carries=counts["carry"],
            sequences=counts["over"],
            **attributes,
        )


def parse(text: str) -> Graph:
    """The graph that ``text`` prints. Raises ``ParseError`` with the line at fault."""
    return _Parser(text).graph()
