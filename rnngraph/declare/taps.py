"""Taps: named intermediate values of a declaration."""

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
    """Name an intermediate value, so that it can be inspected.

    ``program.inference.taps(**feeds)`` and ``program.training.taps(seed=…, **feeds)`` return ``{name: array}``. A tap
    inside a cell's ``step`` returns the values of all steps: [batch, time, …], or [time, batch, …] if its driver is
    time-major. Values beyond a row's length are 0. ``training.gradients(wrt=["tap:name"])`` returns its gradient in the
    same shape. Taps cost nothing unless they are requested.

    If a name occurs more than once, for example in a cell at several positions, the next one in the order of
    declaration is ``name_1``.

    Args:
        name: Name of the tap.
        tensor: Value to name.

    Returns:
        Tensor with the value of ``tensor``. A graph has the tap only if it needs a value computed from this Tensor.

    Raises:
        DtypeError: ``tensor`` is not a Tensor.
    """
    where = user_line()
    checked_name(name, "a tap", where)
    if not isinstance(tensor, Tensor):
        raise DtypeError(f"tap {name!r} needs a Tensor, not {tensor!r}", where)
    return build("tap", tensor, label=name, serial=next(declared), where=where)


def taps_of(outputs: Sequence[Node], every: Sequence[Node], kind: str) -> dict[Node, str]:
    """Return the taps on which ``outputs`` depend in one of the two graphs, with their unique names.

    Args:
        outputs: Outputs of the graph.
        every: All outputs and the loss. Names are unique among the taps on which these depend.
        kind: Name of the graph, ``TRAINING`` or ``INFERENCE``.
    """
    taps = sorted((node for node in _read(every) if node.op == "tap"), key=lambda node: node["serial"])
    namer, mine = Namer(), _read(outputs, kind)
    names = {node: namer(str(node["label"])) for node in taps}
    return {node: name for node, name in names.items() if node in mine}


def _read(outputs: Iterable[Node], kind: str = "") -> set[Node]:
    """Return all nodes on which ``outputs`` depend, nodes of drivers' steps included.

    ``kind`` is the name of the graph, ``training`` or ``inference``. "" stands for both graphs.
    """
    seen: set[Node] = set()
    pending = list(outputs)
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        operands = node.operands
        if node.op == "by_graph" and kind:
            operands = operands[:1] if kind == TRAINING else operands[1:]
        pending += operands
        if node.op == "driver":
            driver: Driver = node["driver"]
            pending += driver.body.roots
    return seen
