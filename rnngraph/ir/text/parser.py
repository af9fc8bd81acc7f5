"""Parser of the printed form. ``str(parse(str(graph))) == str(graph)``, apart from comments.

From the complete form, the parser restores a graph exactly. It never executes what it reads.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...support.allocation import empty
from ...support.errors import Where
from ..graph import Graph, Node, make
from ..ops import OPS
from ..printer import SCAN_WORDS
from ..sizes.parser import dim_of_syntax, parse_dim, syntax_of
from ..types import LONG_NAMES, Dim, TensorType, product

_LINE = re.compile(r"(\w+) = (\w+) ?(.*) : ([^:]+)$")
_TENSOR = re.compile(r"(\w+)\[(.*)\]$")
_OUTPUT = re.compile(r"""output ('.*'|".*") = (.*)$""")
_SCAN_OUTPUT = re.compile(r"""(next|emit) (\w+|'.*'|".*") = (.*)$""")
_SCAN_INPUT = re.compile(rf"({'|'.join(SCAN_WORDS)}) (\w+) = (.*) : ([^:]+)$")
_LITERAL = re.compile(r"(\w+)\((.*)\)$")
_STORED = re.compile(r"""stored\(('.*'|".*")\)$""")
_FILE = re.compile(r"""(file|layer) ('.*'|".*")$""")
_WORD_OR_COMMENT = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|\s*#.*$""")

MAX_SHOWN = 400
"""Maximum number of characters of a line that an error quotes."""

MAX_FILLED = 1 << 28
"""Maximum number of elements of a constant written as ``full(…)``."""


class ParseError(ValueError):
    """Error for text that is not a printed graph. The message quotes the line."""


def parse_type(text: str) -> TensorType:
    """Parse the printed form of a tensor type."""
    match = _TENSOR.match(text.strip())
    if not match or match[1] not in LONG_NAMES:
        raise ParseError(f"not a type: {text}")
    dims = tuple(parse_dim(dim.strip()) for dim in match[2].split(",")) if match[2] else ()
    return TensorType(LONG_NAMES[match[1]], dims)


def _value(node: ast.expr) -> Any:
    """Return the attribute value that a syntax tree spells: a literal, a tuple, a list, or a size."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
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
    """Return {name: value} of the text of a node's attributes, ``key=value`` with commas between.

    Raise ``ParseError`` for any other text.
    """
    call = syntax_of(f"f({text})")
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        raise ParseError(f"not attributes: {text}")
    attributes = {keyword.arg: _value(keyword.value) for keyword in call.keywords if keyword.arg}
    if len(attributes) < len(call.keywords):
        raise ParseError(f"an attribute has no name, or occurs twice: {text}")
    return attributes


def _word(text: str) -> str:
    word = ast.literal_eval(syntax_of(text.strip()))
    if not isinstance(word, str):
        raise ParseError(f"not a string: {text}")
    return word


def _bound(text: str, default: Dim) -> Dim:
    return parse_dim(text) if text else default


@contextmanager
def _reading(line: str) -> Iterator[None]:
    """Context manager within which errors of parsing become a ``ParseError`` that quotes the line."""
    line = line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}…"
    try:
        yield
    except ParseError as error:
        raise error if "\n" in str(error) else ParseError(f"{error}, in the line\n{line}") from error
    except _WRONG as error:
        raise ParseError(f"{str(error) or type(error).__name__}, in the line\n{line}") from error


_WRONG = (
    LookupError,
    SyntaxError,
    TypeError,
    ValueError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)


def _is_type(node: Node, text: str) -> bool:
    """True if ``text`` is the type of ``node``. Equal sizes may have different texts."""
    return str(node.type) == text or (isinstance(node.type, TensorType) and parse_type(text) == node.type)


class _Parser:
    """Parser of one printed graph, line by line."""

    def __init__(self, text: str, stored: Mapping[str, np.ndarray]) -> None:
        stripped = (_WORD_OR_COMMENT.sub(lambda match: match[1] or "", line) for line in text.split("\n"))
        self.lines = [line.rstrip() for line in stripped if line.strip()]
        self.stored = stored
        self.files: list[str] = []
        self.layers: list[str] = []
        self.position = 0
        self.nodes: dict[str, Node] = {}  # names in the scope being parsed

    def block(self, depth: int) -> Iterator[str]:
        """Yield the next lines, as long as they are indented by at least ``depth`` spaces, and advance."""
        while self.position < len(self.lines):
            line = self.lines[self.position]
            if len(line) - len(line.lstrip()) < depth:
                return
            self.position += 1
            yield line.strip()

    def graph(self) -> Graph:
        """Parse all lines. Return the graph that they print."""
        header = self.lines[0].split() if self.lines else []
        if len(header) != 2 or header[0] != "graph":
            raise ParseError("a printed graph begins with: graph NAME")
        self.position = 1
        outputs, inputs = [], []
        for line in self.block(2):
            if output := _OUTPUT.match(line):
                with _reading(line):
                    outputs.append((_word(output[1]), self.operand(output[2], self.nodes)))
                continue
            if file := _FILE.match(line):
                with _reading(line):
                    (self.files if file[1] == "file" else self.layers).append(_word(file[2]))
                continue
            node = self.statement(line, 2)
            if node.op in ("input", "parameter"):
                inputs.append(node)
        if self.position < len(self.lines):
            raise ParseError(f"a line outside the graph\n{self.lines[self.position]}")
        return Graph.of(header[1], outputs, inputs)

    def operand(self, text: str, nodes: Mapping[str, Node]) -> Node:
        """Return the node that ``text`` names, or the scalar constant that it spells, as ``f32(0.5)`` does."""
        literal = _LITERAL.match(text)
        if not literal:
            if text not in nodes:
                raise ParseError(f"no value is named {text}")
            return nodes[text]
        if literal[1] not in LONG_NAMES:
            raise ParseError(f"not a number: {text}")
        value = _value(syntax_of(literal[2]))
        return make("constant", value=np.asarray(value, LONG_NAMES[literal[1]]))

    def statement(self, line: str, depth: int) -> Node:
        """Parse the line of a node, and the lines of the body if it is a scan. Return the node."""
        with _reading(line):
            match = _LINE.match(line)
            if not match:
                raise ParseError("not a line of a graph")
            name, op, rest, kind = match.groups()
            if op not in OPS:
                raise ParseError(f"no op is named {op}")
            body, _, braces = rest.strip().partition("{")
            node = self.right_side(name, op, body.strip(), self.attributes(name, braces), kind, depth)
            if not _is_type(node, kind):
                raise ParseError(f"the type is {node.type}")
            self.define(name, node)
        return node

    def define(self, name: str, node: Node) -> None:
        """Add a node to the scope being parsed."""
        if name in self.nodes:
            raise ParseError(f"{name} is defined twice")
        self.nodes[name] = node

    def attributes(self, name: str, text: str) -> dict[str, Any]:
        """Parse a node's attributes. Return keyword arguments for ``make``, with name and source line."""
        attributes = {"name": name} | (_attributes(text.removesuffix("}")) if text else {})
        if not isinstance(attributes["name"], str):
            raise ParseError(f"not a name: {attributes['name']!r}")
        if "where" in attributes:
            place = attributes["where"]
            file, line, *layer = place if isinstance(place, tuple) else (0, place)
            if not all(isinstance(number, int) and number >= 0 for number in (file, line, *layer)):
                raise ParseError(f"not a source line: {place!r}")
            if len(layer) > 1:
                raise ParseError(f"not a source line: {place!r}")
            attributes["where"] = Where(self.files[file], line, self.layers[layer[0]] if layer else "")
        return attributes

    def array(self, text: str, kind: TensorType) -> np.ndarray:
        """Parse the text of a constant's value. Return the array of type ``kind``, which may be a stored one."""
        if key := _STORED.match(text):
            return self.stored[_word(key[1])]
        shape = tuple(int(str(dim)) for dim in kind.shape)
        fill = re.match(r"full\((.*)\)$", text)
        value = _value(syntax_of(fill[1] if fill else text))
        if not fill:
            return np.array(value, kind.dtype).reshape(shape)
        if not 0 <= int(str(product(shape))) <= MAX_FILLED:
            raise ParseError(f"a constant of {kind} is too large")
        filled = empty(shape, kind.dtype, f"a constant of {kind}")
        filled[...] = value
        return filled

    def right_side(self, name: str, op: str, rest: str, facts: dict[str, Any], kind: str, depth: int) -> Node:
        """Parse ``rest``, the operands of ``op``. Return the node, for which ``facts`` are arguments of ``make``."""
        if op == "constant":
            return make("constant", **facts, value=self.array(rest, parse_type(kind)))
        if op == "slice":
            source, _, bounds = rest.removesuffix("]").partition("[")
            operand = self.operand(source, self.nodes)
            parts = [(part.strip() + "::").split(":")[:3] for part in bounds.split(",")] if bounds else []
            return make(
                "slice",
                operand,
                **facts,
                start=tuple(_bound(part[0], 0) for part in parts),
                stop=tuple(_bound(part[1], dim) for part, dim in zip(parts, operand.shape, strict=True)),
                step=tuple(int(part[2] or 1) for part in parts),
            )
        if op in ("input", "parameter"):
            return make(op, type=parse_type(kind), **{"label": name, **facts})
        if op == "scan":
            return self.scan(facts, depth + 2)
        operands = [self.operand(item.strip(), self.nodes) for item in rest.split(",")] if rest else []
        return make(op, *operands, **facts)

    def scan(self, facts: dict[str, Any], depth: int) -> Node:
        """Parse the lines of a scan's body, and return the scan."""
        counts = dict.fromkeys(SCAN_WORDS, 0)
        operands, inputs, outputs = [], [], []
        outer, self.nodes = self.nodes, {}  # names in a body are separate from those outside
        for line in self.block(depth):
            if match := _SCAN_OUTPUT.match(line):
                with _reading(line):
                    key = match[2] if match[2].isidentifier() else _word(match[2])
                    outputs.append((key, self.operand(match[3], self.nodes)))
            elif match := _SCAN_INPUT.match(line):
                word, key, value, kind = match.groups()
                counts[word] += 1
                value, _, braces = value.partition("{")
                with _reading(line):
                    operands.append(self.operand(value.strip(), outer))
                    attributes = {"label": key, **self.attributes(key, braces)}
                    inputs.append(make("input", type=parse_type(kind), **attributes))
                    self.define(key, inputs[-1])
            else:
                self.statement(line, depth)
        self.nodes = outer
        body = Graph.of("body", outputs, inputs)
        return make(
            "scan",
            *operands,
            body=body,
            carries=counts["carry"],
            sequences=counts["over"],
            **facts,
        )


def parse(text: str, stored: Mapping[str, np.ndarray] | None = None) -> Graph:
    """Parse a printed graph.

    Args:
        text: Printed or complete form.
        stored: Arrays of the complete form, by key.

    Raises:
        ParseError: The text is not a printed graph. The message quotes the line.
    """
    return _Parser(text, stored or {}).graph()
