"""Taps: values inside a declaration that can be looked at by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..ir.node import Namer, Node
from ..support.api_guard import api
from ..support.arguments import checked_name
from ..support.errors import DtypeError, user_line
from .driver import Driver
from .tensor import Tensor, build, declared

TRAINING, INFERENCE = "training", "inference"


@api
def tap(name: str, tensor: Tensor) -> Tensor:
    """``tensor`` itself, which can be looked at by ``name``. Graphs hold nothing of it unless they are asked.

    ``program.inference.taps(**feeds)`` and ``program.training.taps(seed=…, **feeds)`` give ``{name: array}``, of a tap
    inside a cell's ``step`` for every step: [batch, time, …], or [time, batch, …] where its driver is time-major, and
    0 past a row's end. ``training.gradients(wrt=["tap:name"])`` gives its gradient in the same shape. Where a name is
    used more than once, as by a cell that stands at several positions, the second is ``name_1``, in the order of
    declaration.
    """
    where = user_line()
    checked_name(name, "a tap", where)
    if not isinstance(tensor, Tensor):
        raise DtypeError(f"tap {name!r} needs a Tensor, not {tensor!r}", where)
    return build("tap", tensor, label=name, serial=next(declared), where=where)


def taps_of(outputs: Sequence[Node], every: Sequence[Node], kind: str) -> dict[Node, str]:
    """The taps that ``outputs`` read in one of the graphs, in the order of declaration, with their names.

    every: all outputs and the loss, among whose taps names are given.
    """
    taps = sorted((node for node in _read(every) if node.op == "tap"), key=lambda node: node["serial"])
    namer, mine = Namer(), _read(outputs, kind)
    names = {node: namer(str(node["label"])) for node in taps}
    return {node: name for node, name in names.items() if node in mine}


def _read(outputs: Iterable[Node], kind: str = "") -> set[Node]:
    """All declared nodes that outputs read, those of drivers' steps among them. kind: of which graph; "" for both."""
    seen: set[Node] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        operands = node.operands
        if node.op == "by_graph" and kind:
            operands = operands[:1] if kind == TRAINING else operands[1:]
        waiting += operands
        if node.op == "driver":
            driver: Driver = node["driver"]
            waiting += (driver.output, *driver.next_states)
    return seen
