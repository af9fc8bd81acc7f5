"""Names in the loop IR: which are free, and how functions that differ by names alone are found to be equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass, replace
from typing import Any

from ..ir.types import Size, substitute
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
    Literal,
    Load,
    Pipeline,
    Statement,
    Store,
    Value,
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
    known: dict[Index, Index] = {}

    def index(value: Index) -> Index:
        if isinstance(value, int):
            return value
        found = known.get(value)
        if found is None:
            found = known[value] = substitute(value, names)
        return found

    def place(value: tuple[Buffer, Index]) -> tuple[Buffer, Index]:
        return buffers[value[0]], index(value[1])

    def one(item: Statement) -> Statement:
        match item:
            case Load():
                return Load(item.value, buffers[item.buffer], index(item.index), item.valid, index(item.stride))
            case Store():
                return Store(item.value, buffers[item.buffer], index(item.index), item.valid, index(item.stride))
            case Let():
                attributes = tuple([(k, index(v) if k == "index" else v) for k, v in item.attributes])
                return Let(item.value, item.op, item.operands, attributes, item.comment)
            case LetIndex():
                return LetIndex(item.name, item.op, index(item.base), index(item.factor), item.source)
            case Contract():
                return replace(
                    item,
                    left=tuple(map(place, item.left)),
                    right=tuple(map(place, item.right)),
                    left_stride=index(item.left_stride),
                    right_stride=index(item.right_stride),
                    lane_stride=index(item.lane_stride),
                    depth=index(item.depth),
                )
            case For():
                limits = index(item.start), index(item.stop), index(item.step)
                return For(item.var, *limits, many(item.body), item.comment)
            case Fold():
                return replace(item, start=index(item.start), stop=index(item.stop), body=many(item.body))
            case When():
                return When(index(item.index), index(item.low), index(item.high), many(item.body))
            case Call():
                places = tuple(map(place, item.buffers))
                return Call(item.function, places, tuple(map(index, item.sizes)), item.comment)
            case Barrier():
                workers = index(item.worker), index(item.workers)
                return Barrier(buffers[item.team], workers[0], workers[1], item.one_way)
        raise AssertionError(item)

    def many(inner: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(map(one, inner))

    return many(statements)


def work_of(function: Function) -> tuple[Any, ...]:
    """That by which equal functions are found: all that one says, but for comments and the names of values."""
    numbers: dict[str, int] = {}
    plain = {str, int, Size, Buffer, type(None)}

    def key(item: Any) -> Any:
        kind = type(item)
        if kind in plain:
            return item
        if kind is tuple:
            return tuple([part if type(part) in plain else key(part) for part in item])
        if kind is Value:
            return numbers.setdefault(item.name, len(numbers)), item.dtype, item.lanes
        if kind is Literal or not is_dataclass(item):
            return repr(item)  # numbers that are equal may differ: 0.0 and -0.0
        return kind, *[key(part) for name, part in vars(item).items() if name != "comment"]

    return function.buffers, function.sizes, key(function.body)
