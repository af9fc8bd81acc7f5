"""Sharing of parameters between programs."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from ..declare.parameters import ParameterSpec
from ..runtime.graph_source import DeclaredSource
from ..runtime.parameters import Parameters
from ..support.errors import DtypeError, GraphError, Where, listed, shown, warn


def shared(parameters: Any) -> tuple[dict[Any, str], Parameters | None]:
    """Return the parameters to share: their names, by declaration, and their values. For None, return ({}, None)."""
    if parameters is None:
        return {}, None
    other = getattr(parameters, "parameters", parameters)
    if not isinstance(other, Parameters):
        raise DtypeError(
            f"parameters= takes a Program or its parameters, not {shown(parameters)}; {_remedy(parameters)}"
        )
    return {other.slot(name): name for name in other}, other


def _remedy(parameters: Any) -> str:
    """Return the remedy for an object that is neither a program nor a program's parameters."""
    if isinstance(parameters, str | PathLike):
        return "write rg.load(path) for a saved program, or leave it out and write program.parameters.load(path)"
    return "leave it out and write program.parameters.load(arrays)"


def check_shared(
    source: DeclaredSource, known: Mapping[ParameterSpec, str], other: Parameters | None, where: Where | None
) -> None:
    """Raise ``GraphError`` if a declaration shares no parameter. Warn of parameters that it does not share.

    Without ``other``, do nothing.
    """
    slots = source.lowered.slots
    unshared = [name for slot, name in slots.items() if slot not in known]
    if other is None or not unshared:
        return
    if len(unshared) < len(slots):
        were = "was" if len(unshared) == 1 else "were"
        warn(f"parameters= has no {listed(unshared)}, which {were} drawn anew", where)
        return
    own = source.with_own_names().slots.values()
    common = {*own} & {*other}
    although = f", {len(common)} of the same names" if common else ""
    strict = ", strict=False" if {*own} != {*other} else ""
    raise GraphError(
        f"parameters= shares no parameter with this program: it has {listed(other)}, and the outputs read "
        f"{listed(own)} of another declaration{although}; compile both programs from the same Tensors, or leave "
        f"parameters= out and copy arrays by name: program.parameters.load(dict(other.parameters){strict})",
        where,
    )
