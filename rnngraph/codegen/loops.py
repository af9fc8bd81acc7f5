"""The loop IR: loops, vector values, loads, stores, and register tiles that contract over k.

Index arithmetic is the same polynomials as sizes (``ir.types.Dim``), over loop variables, run-time sizes
and strides. ``str()`` of a function prints it; that text is what ``show("loops")`` gives.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..ir.types import SHORT_NAMES, Dim, dim_text, substitute

Index = Dim


@dataclass(frozen=True)
class Buffer:
    """Memory that a function is handed: elements of one dtype behind one pointer."""

    name: str
    dtype: str


@dataclass(frozen=True)
class Value:
    """A named value of ``lanes`` elements; one lane is a scalar."""

    name: str
    dtype: str
    lanes: int


@dataclass(frozen=True)
class Literal:
    """A number, the same in every lane."""

    value: Any
    dtype: str
    lanes: int


Operand = Value | Literal


@dataclass(frozen=True)
class Load:
    """``value`` from ``buffer[index]``. ``valid`` lanes are in bounds (others become 0). ``stride`` is the
    distance of lanes: 1, or more for a gather; a scalar is loaded by one lane.
    """

    value: Value
    buffer: Buffer
    index: Index
    valid: int | None = None
    stride: Index = 1


@dataclass(frozen=True)
class Store:
    """``value`` to ``buffer[index]``; only ``valid`` lanes are written."""

    value: Operand
    buffer: Buffer
    index: Index
    valid: int | None = None
    stride: Index = 1


@dataclass(frozen=True)
class Let:
    """``value = op(operands)``. ``comment`` names the graph node that it computes."""

    value: Value
    op: str
    operands: tuple[Operand, ...]
    attributes: tuple[tuple[str, Any], ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class LetIndex:
    """``name = op(base, factor)`` in index arithmetic: ``parity`` (base & 1), ``floor`` (down to a multiple
    of factor), ``min``, ``max``, or ``of`` (the integer scalar ``source``, limited to 0..factor-1).
    """

    name: str
    op: str
    base: Index
    factor: Index = 1
    source: Operand | None = None


@dataclass(frozen=True)
class Contract:
    """A register tile: ``results[r][j] = starts[r][j] + sum over k of left[r][k] * right[k][j]``, k in order.

    left: (buffer, index) for each row, k advancing by ``left_stride``. right: (buffer, index) of each column,
    k advancing by ``right_stride`` and lanes by ``lane_stride``; ``valid[j]`` lanes are in bounds.
    """

    results: tuple[tuple[Value, ...], ...]
    starts: tuple[tuple[Operand, ...], ...]
    left: tuple[tuple[Buffer, Index], ...]
    left_stride: Index
    depth: Index
    right: tuple[tuple[Buffer, Index], ...]
    right_stride: Index
    lane_stride: Index
    valid: tuple[int | None, ...]
    unroll: int
    comment: str = ""


@dataclass(frozen=True)
class For:
    """``for var in range(start, stop, step)``."""

    var: str
    start: Index
    stop: Index
    step: int
    body: tuple[Statement, ...]
    comment: str = ""


@dataclass(frozen=True)
class When:
    """The body where ``low <= index < high``."""

    index: Index
    low: Index
    high: Index
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Fold:
    """A loop that carries values: ``results = body(...)`` repeated, beginning with ``starts``."""

    results: tuple[Value, ...]
    carried: tuple[Value, ...]
    starts: tuple[Operand, ...]
    var: str
    start: Index
    stop: Index
    step: int
    body: tuple[Statement, ...]
    nexts: tuple[Operand, ...]


@dataclass(frozen=True)
class Call:
    """A call of another function of the module, with its buffers and sizes."""

    function: str
    buffers: tuple[tuple[Buffer, Index], ...]
    sizes: tuple[Index, ...]
    comment: str = ""


Statement = Load | Store | Let | LetIndex | Contract | For | When | Fold | Call


@dataclass(frozen=True)
class Function:
    """A function: the buffers and the names of sizes that it is handed, and its statements."""

    name: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[str, ...]
    body: tuple[Statement, ...]
    comment: str = ""

    def __str__(self) -> str:
        return "\n".join(_function_lines(self)) + "\n"


@dataclass(frozen=True)
class Module:
    """All functions of a program's entry; the last is the entry itself."""

    functions: tuple[Function, ...]

    def __str__(self) -> str:
        return "\n".join(str(function) for function in self.functions)


@dataclass
class Block:
    """Statements in the making, with fresh names."""

    statements: list[Statement] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def fresh(self, name: str) -> str:
        count = self.counts.get(name, 0)
        self.counts[name] = count + 1
        return f"{name}.{count}"

    def add(self, statement: Statement) -> None:
        self.statements.append(statement)

    def nested(self) -> Block:
        """A block inside this one: it shares the names, not the statements."""
        return Block([], self.counts)

    def load(
        self,
        name: str,
        buffer: Buffer,
        index: Index,
        lanes: int,
        valid: int | None = None,
        stride: Index = 1,
    ) -> Value:
        value = Value(self.fresh(name), buffer.dtype, lanes)
        self.add(Load(value, buffer, index, valid if valid is None or valid < lanes else None, stride))
        return value

    def let(
        self,
        op: str,
        operands: Sequence[Operand],
        dtype: str,
        lanes: int,
        comment: str = "",
        **attributes: Any,
    ) -> Value:
        value = Value(self.fresh(op), dtype, lanes)
        self.add(Let(value, op, tuple(operands), tuple(attributes.items()), comment))
        return value


def _type(value: Operand) -> str:
    return SHORT_NAMES[value.dtype] + (f"x{value.lanes}" if value.lanes > 1 else "")


def _operand(value: Operand) -> str:
    return f"%{value.name}" if isinstance(value, Value) else f"{value.value!r}"


def _place(buffer: Buffer, index: Index, stride: Index = 1, valid: int | None = None) -> str:
    by = f" by {dim_text(stride)}" if stride != 1 else ""
    some = f" first {valid}" if valid is not None else ""
    return f"{buffer.name}[{dim_text(index)}]{by}{some}"


def _wrapped(text: str, indent: str, comment: str = "") -> Iterator[str]:
    """A line, continued further in where it is long; types and strides stay with what they belong to."""
    glued = text.replace(": ", ":\u00a0").replace(" by ", "\u00a0by\u00a0")
    lines = textwrap.wrap(
        glued,
        110,
        initial_indent=indent,
        subsequent_indent=indent + "    ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    lines = [line.replace("\u00a0", " ") for line in lines]
    yield from lines[:-1]
    yield f"{lines[-1]}  # {comment}" if comment else lines[-1]


def _function_lines(function: Function) -> Iterator[str]:
    buffers = [f"{buffer.name}: {SHORT_NAMES[buffer.dtype]}*" for buffer in function.buffers]
    sizes = [f"{name}: size" for name in function.sizes]
    if function.comment:
        yield f"# {function.comment}"
    yield from _wrapped(f"function {function.name}({', '.join([*buffers, *sizes])})", "")
    yield from _lines(function.body, "  ")


def _lines(statements: Sequence[Statement], indent: str) -> Iterator[str]:
    for statement in statements:
        yield from _statement_lines(statement, indent)


def _statement_lines(statement: Statement, indent: str) -> Iterator[str]:
    match statement:
        case Load(value, buffer, index, valid, stride):
            yield f"{indent}%{value.name} = load {_place(buffer, index, stride, valid)} : {_type(value)}"
        case Store(value, buffer, index, valid, stride):
            yield f"{indent}store {_operand(value)} -> {_place(buffer, index, stride, valid)} : {_type(value)}"
        case Let(value, op, operands, attributes, comment):
            shown = "".join(f" {key}={item}" for key, item in attributes)
            note = f"  # {comment}" if comment else ""
            yield f"{indent}%{value.name} = {op} {', '.join(map(_operand, operands))}{shown} : {_type(value)}{note}"
        case LetIndex(name, op, base, factor, source):
            read = f"{_operand(source)}, " if source is not None else f"{dim_text(base)}, "
            yield f"{indent}{name} = {op} {read}{dim_text(factor)}"
        case Contract():
            yield from _contract_lines(statement, indent)
        case For(var, start, stop, step, body, comment):
            by = f" step {step}" if step != 1 else ""
            note = f"  # {comment}" if comment else ""
            yield f"{indent}for {var} in {dim_text(start)}..{dim_text(stop)}{by}:{note}"
            yield from _lines(body, indent + "  ")
        case When(index, low, high, body):
            yield f"{indent}when {dim_text(low)} <= {dim_text(index)} < {dim_text(high)}:"
            yield from _lines(body, indent + "  ")
        case Fold(results, carried, starts, var, start, stop, step, body, nexts):
            pairs = ", ".join(f"%{c.name} = {_operand(s)} : {_type(c)}" for c, s in zip(carried, starts, strict=True))
            by = f" step {step}" if step != 1 else ""
            yield f"{indent}fold {var} in {dim_text(start)}..{dim_text(stop)}{by} carry ({pairs}):"
            yield from _lines(body, indent + "  ")
            yield f"{indent}  next {', '.join(map(_operand, nexts))}"
            yield f"{indent}  gives {', '.join(f'%{result.name}' for result in results)}"
        case Call(function, buffers, sizes, comment):
            places = [_place(buffer, index) for buffer, index in buffers]
            yield from _wrapped(f"call {function}({', '.join([*places, *map(dim_text, sizes)])})", indent, comment)


def _contract_lines(tile: Contract, indent: str) -> Iterator[str]:
    rows, columns = len(tile.results), len(tile.results[0])
    note = f"  # {tile.comment}" if tile.comment else ""
    first = tile.results[0][0]
    yield f"{indent}tile {rows} rows x {columns} columns of {_type(first)}:{note}"
    for row, (results, starts, (buffer, index)) in enumerate(zip(tile.results, tile.starts, tile.left, strict=True)):
        names = ", ".join(f"%{result.name}" for result in results)
        begin = ", ".join(map(_operand, starts))
        yield from _wrapped(
            f"row {row}: {names} = {begin} with {_place(buffer, index, tile.left_stride)}", indent + "  "
        )
    columns_text = ", ".join(
        _place(buffer, index, 1, valid) for (buffer, index), valid in zip(tile.right, tile.valid, strict=True)
    )
    over = f"for k in 0..{dim_text(tile.depth)} unroll {tile.unroll}"
    lanes = f" lanes by {dim_text(tile.lane_stride)}" if tile.lane_stride != 1 else ""
    step = f"row[k] * ({columns_text}) by {dim_text(tile.right_stride)}{lanes}"
    yield from _wrapped(f"{over}: += {step}", indent + "  ")


def indices_of(statement: Statement) -> Iterator[Index]:
    """Every index that a statement itself reads."""
    match statement:
        case Load(index=index, stride=stride) | Store(index=index, stride=stride):
            yield from (index, stride)
        case Let(attributes=attributes):
            yield from (value for key, value in attributes if key == "index")
        case LetIndex(base=base, factor=factor):
            yield from (base, factor)
        case Contract():
            yield from (index for _, index in (*statement.left, *statement.right))
            yield from (statement.left_stride, statement.depth, statement.right_stride, statement.lane_stride)
        case For(start=start, stop=stop) | Fold(start=start, stop=stop):
            yield from (start, stop)
        case When(index=index, low=low, high=high):
            yield from (index, low, high)
        case Call(buffers=buffers, sizes=sizes):
            yield from (index for _, index in buffers)
            yield from sizes


def buffers_of(statement: Statement) -> Iterator[Buffer]:
    """Every buffer that a statement itself reads or writes."""
    match statement:
        case Load(buffer=buffer) | Store(buffer=buffer):
            yield buffer
        case Contract():
            yield from (buffer for buffer, _ in (*statement.left, *statement.right))
        case Call(buffers=buffers):
            yield from (buffer for buffer, _ in buffers)


def free(statements: Sequence[Statement]) -> tuple[tuple[Buffer, ...], tuple[str, ...]]:
    """Buffers and names of sizes that statements use and do not bind, in order of appearance."""
    buffers: dict[Buffer, None] = {}
    names: dict[str, None] = {}

    def walk(inner: Sequence[Statement], bound: frozenset[str]) -> None:
        for statement in inner:
            buffers.update(dict.fromkeys(buffers_of(statement)))
            for index in indices_of(statement):
                if not isinstance(index, int):
                    names.update(dict.fromkeys(name for name in sorted(index.symbols) if name not in bound))
            match statement:
                case For(var=var, body=body) | Fold(var=var, body=body):
                    walk(body, bound | {var})
                case When(body=body):
                    walk(body, bound)
                case LetIndex(name=name):
                    bound = bound | {name}

    walk(statements, frozenset())
    return tuple(buffers), tuple(names)


def renamed(
    statements: Sequence[Statement], buffers: dict[Buffer, Buffer], names: dict[str, Index]
) -> tuple[Statement, ...]:
    """Statements over other buffers and sizes, without comments: equal work has equal text."""

    def index(value: Index) -> Index:
        return substitute(value, names)

    def place(value: tuple[Buffer, Index]) -> tuple[Buffer, Index]:
        return buffers[value[0]], index(value[1])

    def one(statement: Statement) -> Statement:
        match statement:
            case Load():
                return replace(
                    statement,
                    buffer=buffers[statement.buffer],
                    index=index(statement.index),
                    stride=index(statement.stride),
                )
            case Store():
                return replace(
                    statement,
                    buffer=buffers[statement.buffer],
                    index=index(statement.index),
                    stride=index(statement.stride),
                )
            case Let():
                attributes = tuple((k, index(v) if k == "index" else v) for k, v in statement.attributes)
                return replace(statement, attributes=attributes)
            case LetIndex():
                return replace(statement, base=index(statement.base), factor=index(statement.factor))
            case Contract():
                return replace(
                    statement,
                    left=tuple(map(place, statement.left)),
                    right=tuple(map(place, statement.right)),
                    left_stride=index(statement.left_stride),
                    right_stride=index(statement.right_stride),
                    lane_stride=index(statement.lane_stride),
                    depth=index(statement.depth),
                )
            case For():
                return replace(
                    statement,
                    start=index(statement.start),
                    stop=index(statement.stop),
                    body=many(statement.body),
                )
            case Fold():
                return replace(
                    statement,
                    start=index(statement.start),
                    stop=index(statement.stop),
                    body=many(statement.body),
                )
            case When():
                return replace(
                    statement, index=index(statement.index), low=index(statement.low), high=index(statement.high),
                    body=many(statement.body),
                )  # fmt: skip
            case Call():
                return replace(
                    statement,
                    buffers=tuple(map(place, statement.buffers)),
                    sizes=tuple(map(index, statement.sizes)),
                )
        raise AssertionError(statement)

    def many(inner: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(map(one, inner))

    return many(statements)


def without_comments(function: Function) -> str:
    """The text by which equal functions are found: complete, but for comments and the names of values."""

    def bare(statement: Any) -> Any:
        changes: dict[str, Any] = {"comment": ""} if hasattr(statement, "comment") else {}
        if hasattr(statement, "body"):
            changes["body"] = tuple(map(bare, statement.body))
        return replace(statement, **changes) if changes else statement

    numbers: dict[str, str] = {}
    text = repr(replace(bare(function), name=""))
    return re.sub(r"(?<=Value\(name=')[^']+", lambda name: numbers.setdefault(name[0], str(len(numbers))), text)
