"""Loop IR as text, for ``show("loops")``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import assert_never

from ...ir.types import SHORT_NAMES, dim_text, size
from ...support.stage_text import StageLine, StageText
from .functions import Function
from .nodes import (
    Barrier,
    BlockScales,
    Buffer,
    Call,
    Contract,
    Fold,
    For,
    Index,
    Let,
    LetIndex,
    Load,
    Operand,
    Pipeline,
    Prefetch,
    Statement,
    Store,
    Tick,
    TileProduct,
    Valid,
    Value,
    When,
)
from .origins import StatementOrigins, layers_text


def function_text(function: Function) -> StageText:
    """Return the text of a function for ``show("loops")``."""
    return StageText(_function_lines(function))


def _function_lines(function: Function) -> Iterator[StageLine]:
    origins = StatementOrigins(function)
    buffers = [f"{buffer.name}: {SHORT_NAMES[buffer.dtype]}*" for buffer in function.buffers]
    sizes = [f"{name}: size" for name in function.sizes]
    head = [f"# {function.comment}"] if function.comment else []
    head += [f"# {line}" for line in textwrap.wrap(layers_text(origins.all), 110, break_on_hyphens=False)]
    head += _wrapped(f"function {function.name}({', '.join([*buffers, *sizes])})", "")
    yield from (StageLine(line, origins.all) for line in head)
    yield from _lines(function.body, "  ", origins)


def _type(value: Operand) -> str:
    return SHORT_NAMES[value.dtype] + (f"x{value.lanes}" if value.lanes > 1 else "")


def _operand(value: Operand) -> str:
    return f"%{value.name}" if isinstance(value, Value) else f"{value.value!r}"


def _place(buffer: Buffer, index: Index, stride: Index = 1, valid: Valid = None) -> str:
    by = f" by {dim_text(stride)}" if stride != 1 else ""
    valid_text = f" first {dim_text(valid)}" if valid is not None else ""
    return f"{buffer.name}[{dim_text(index)}]{by}{valid_text}"


def _wrapped(text: str, indent: str, comment: str = "") -> Iterator[str]:
    """Wrap a line with a hanging indent. No line break separates a type or stride from its value."""
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


def _lines(statements: Sequence[Statement], indent: str, origins: StatementOrigins) -> Iterator[StageLine]:
    for statement in statements:
        for line in _statement_lines(statement, indent, origins):
            yield StageLine(line, origins.of(statement)) if isinstance(line, str) else line


def _statement_lines(statement: Statement, indent: str, origins: StatementOrigins) -> Iterator[str | StageLine]:
    """Yield the text of one statement, line by line; lines of inner statements with their script lines."""
    match statement:
        case Load(value, buffer, index, valid, stride):
            yield f"{indent}%{value.name} = load {_place(buffer, index, stride, valid)} : {_type(value)}"
        case Store(value, buffer, index, valid, stride):
            yield f"{indent}store {_operand(value)} -> {_place(buffer, index, stride, valid)} : {_type(value)}"
        case Prefetch(buffer, index):
            yield f"{indent}prefetch {_place(buffer, index)}"
        case Let(value, op, operands, attributes, comment):
            shown = "".join(f" {key}={item}" for key, item in attributes)
            note = f"  # {comment}" if comment else ""
            yield f"{indent}%{value.name} = {op} {', '.join(map(_operand, operands))}{shown} : {_type(value)}{note}"
        case LetIndex(name, op, base, factor, source):
            read = f"{_operand(source)}, " if source is not None else f"{dim_text(base)}, "
            yield f"{indent}{name} = {op} {read}{dim_text(factor)}"
        case Contract():
            yield from _contract_lines(statement, indent)
        case TileProduct(sums, left, right, rows, columns, depth, comment):
            size = f"{rows} x {columns} tiles of 16 x 16, {depth} steps of 32 k"
            factors = f"{_place(*left)} * {_place(*right)}"
            yield from _wrapped(f"matrix unit: {_place(*sums)} = {factors} : {size}", indent, comment)
        case For(var, start, stop, step, body, comment):
            by = f" step {dim_text(step)}" if step != 1 else ""
            note = f"  # {comment}" if comment else ""
            yield f"{indent}for {var} in {dim_text(start)}..{dim_text(stop)}{by}:{note}"
            yield from _lines(body, indent + "  ", origins)
        case When(index, low, high, body):
            yield f"{indent}when {dim_text(low)} <= {dim_text(index)} < {dim_text(high)}:"
            yield from _lines(body, indent + "  ", origins)
        case Fold(results, carried, starts, var, start, stop, step, body, nexts):
            pairs = ", ".join(f"%{c.name} = {_operand(s)} : {_type(c)}" for c, s in zip(carried, starts, strict=True))
            by = f" step {step}" if step != 1 else ""
            yield f"{indent}fold {var} in {dim_text(start)}..{dim_text(stop)}{by} carry ({pairs}):"
            yield from _lines(body, indent + "  ", origins)
            yield f"{indent}  next {', '.join(map(_operand, nexts))}"
            yield f"{indent}  gives {', '.join(f'%{result.name}' for result in results)}"
        case Barrier():
            yield f"{indent}{'barrier, one way' if statement.one_way else 'barrier'}"
        case Pipeline():
            yield from _pipeline_lines(statement, indent, origins)
        case Tick(counters, clock, slot):
            counted = "" if slot is None else f" -> {_place(counters, slot)}"
            yield f"{indent}tick since {_place(counters, clock)}{counted}"
        case Call(function, buffers, sizes, comment):
            places = [_place(buffer, index) for buffer, index in buffers]
            yield from _wrapped(f"call {function}({', '.join([*places, *map(dim_text, sizes)])})", indent, comment)
        case _:
            assert_never(statement)


def _pipeline_lines(pipeline: Pipeline, indent: str, origins: StatementOrigins) -> Iterator[str | StageLine]:
    note = f"  # {pipeline.comment}" if pipeline.comment else ""
    product = dim_text(size(pipeline.var) * pipeline.step)
    yield f"{indent}pipeline {pipeline.var} in 0.. while {product} < {dim_text(pipeline.stop)}:{note}"
    for number, stage in enumerate(pipeline.stages):
        needs = [f"stage {other} has done {dim_text(size(pipeline.var) + ahead)}" for other, ahead in stage.needs]
        yield from _wrapped(f"stage {number}{' when ' * bool(needs)}{', '.join(needs)}:", indent + "  ")
        yield from _lines(stage.body, indent + "    ", origins)


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
    dot_width = f" {tile.dot_width} at once" if tile.dot_width > 1 else ""
    accumulators = f" in {tile.accumulators} accumulators" if tile.accumulators > 1 else ""
    blocks = f" in blocks of {tile.block}" if tile.block else ""
    spread = " spread" if tile.spread else ""
    loop_text = f"for k in 0..{dim_text(tile.depth)}{dot_width}{accumulators}{blocks} unroll {tile.unroll}{spread}"
    lanes = f" lanes by {dim_text(tile.lane_stride)}" if tile.lane_stride != 1 else ""
    for number, (left, right) in enumerate(tile.factors):
        rows_text = "row[k]" if number == 0 else f"({', '.join(_place(*place, tile.left_stride) for place in left)})[k]"
        columns_text = ", ".join(_place(*place, 1, valid) for place, valid in zip(right, tile.valid, strict=True))
        step = f"{rows_text} * ({columns_text}) by {dim_text(tile.right_stride)}{lanes}{_condition_text(tile, number)}"
        yield from _wrapped(f"{loop_text}: += {step}", indent + "  ")
    if tile.scales is not None:
        yield from _wrapped(_scales_text(tile.scales), indent + "  ")
    if tile.ahead is not None:
        buffer, index = tile.prefetched or tile.right[0]
        yield from _wrapped(f"meanwhile prefetch {_place(buffer, index + tile.ahead, 1)} and on", indent + "  ")
    if tile.destination is not None:
        lines = ", ".join(_place(*place, 1) for place in tile.destination.lines)
        pitch = tile.destination.pitch
        yield from _wrapped(f"meanwhile prefetch {lines} and on by {pitch} for writing", indent + "  ")


def _condition_text(tile: Contract, number: int) -> str:
    condition = tile.conditions[number] if tile.conditions else None
    if condition is None:
        return ""
    index, low, high = map(dim_text, condition)
    return f" when {low} <= {index} < {high}"


def _scales_text(scales: BlockScales) -> str:
    rows = ", ".join(_place(*place, 1) for place in scales.left)
    columns = ", ".join(_place(*place, 1) for place in scales.right)
    sums = ", ".join(_place(*place, 1) for place in scales.sums)
    zero = f" minus {scales.zero} * ({sums})[b]" if scales.zero else ""
    return (
        f"for b in 0..{scales.blocks} of {scales.steps} steps of {scales.bits} bits{zero}: "
        f"+= sum * ({rows})[b] * ({columns}) by {dim_text(scales.right_stride)}"
    )
