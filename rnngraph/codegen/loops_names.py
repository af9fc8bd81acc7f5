"""Names in the loop IR: which are free, and how functions that differ by names alone are found to be equal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..ir.types import substitute
from .loops import (
    Barrier,
    Buffer,
    Call,
    Contract,
    Fold,
    For,
    Function,
    Index,
    Let,
    LetIndex,
    Load,
    Pipeline,
    Statement,
    Store,
    When,
)


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
        case For(start=start, stop=stop, step=step) | Fold(start=start, stop=stop, step=step):
            yield from (start, stop, step)
        case When(index=index, low=low, high=high):
            yield from (index, low, high)
        case Call(buffers=buffers, sizes=sizes):
            yield from (index for _, index in buffers)
            yield from sizes
        case Barrier(worker=worker, workers=workers):
            yield from (worker, workers)
        case Pipeline(stop=stop, step=step):
            yield from (stop, step)


def buffers_of(statement: Statement) -> Iterator[Buffer]:
    """Every buffer that a statement itself reads or writes."""
    match statement:
        case Load(buffer=buffer) | Store(buffer=buffer):
            yield buffer
        case Contract():
            yield from (buffer for buffer, _ in (*statement.left, *statement.right))
        case Call(buffers=buffers):
            yield from (buffer for buffer, _ in buffers)
        case Barrier(team=team):
            yield team
        case Pipeline(states=states, team=team):
            yield from (states, team)


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
                case Pipeline(var=var, stations=stations):
                    for station in stations:
                        walk(station.body, bound | {var})
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
                    step=index(statement.step),
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
            case Barrier():
                return Barrier(buffers[statement.team], index(statement.worker), index(statement.workers))
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
