"""Dtypes in which inference stores each parameter, with reasons for weights that are not narrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..ir.graph import Graph
from ..support.records import dataclass
from .optimization import ORDER
from .pipeline import run
from .quantization.reduced_weights import ReducedWeights


@dataclass(frozen=True)
class ParameterStorage:
    """Dtypes in which products read one parameter.

    Attributes:
        kinds: Distinct dtypes, in the order of the products. Empty if no product reads the parameter, or if no pass
            narrows weights; the parameter is then float32.
        objections: Reasons why products that should be narrow are not.
    """

    kinds: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()

    @property
    def is_narrow(self) -> bool:
        """True if at least one product reads the parameter in less than 32 bits."""
        return any(kind != "float32" for kind in self.kinds)

    def __str__(self) -> str:
        kinds = ", in part ".join(sorted(self.kinds, key="float32".__eq__)) or "float32"
        return f"{kinds}, as {'; '.join(self.objections)}" if self.objections else kinds


def held_weights(
    graph: Graph, reduced: ReducedWeights | None, parameters: Iterable[str]
) -> dict[str, ParameterStorage]:
    """Return the dtypes in which inference stores parameters, by name.

    Args:
        graph: Inference graph before optimisation.
        reduced: Pass that narrows the graph's weights; None if all stay float32.
        parameters: Names of the parameters, in the order of the result.
    """
    by_name = {name: ParameterStorage() for name in parameters}
    if reduced is None:
        return by_name
    for use in reduced.uses(run(graph, ORDER)):
        for name in use.parameters & by_name.keys():
            known = by_name[name]
            objections = (use.objection,) if use.objection else ()
            by_name[name] = ParameterStorage(_joined(known.kinds, (use.kind,)), _joined(known.objections, objections))
    return by_name


def held_text(storage: Mapping[str, ParameterStorage]) -> list[str]:
    """Describe how parameters are stored: one line for each combination of dtypes and objections, narrow ones first."""
    names_by_storage: dict[str, list[str]] = {}
    for name, item in sorted(storage.items(), key=lambda pair: not pair[1].is_narrow):
        names_by_storage.setdefault(str(item), []).append(name)
    return [f"{', '.join(names)}: {text}" for text, names in names_by_storage.items()]


def _joined(known: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Return the distinct texts of both tuples, in order."""
    return tuple(dict.fromkeys((*known, *more)))
