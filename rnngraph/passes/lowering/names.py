"""Names of scopes, parameters and dropout sites, which a compilation assigns in the order of declaration."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field

from ...declare.driver import Driver
from ...declare.layer import joined
from ...declare.parameters import ParameterSpec, ScopeName
from ...ir.graph import Node
from ...ir.node import Namer
from ...support.errors import ArgumentError, Where
from ...support.records import dataclass


@dataclass
class Names:
    """Names that a compilation assigns.

    Attributes:
        scopes: Name of each scope.
        specs: Name of each parameter, by its specification, in the order of creation.
    """

    scopes: dict[ScopeName, str] = field(default_factory=dict)
    specs: dict[ParameterSpec, str] = field(default_factory=dict)


class Layers:
    """Full names of layers, by the names of their scopes."""

    def __init__(self, scopes: Mapping[ScopeName, str]) -> None:
        self._scopes = {scope.layer: name for scope, name in scopes.items()}
        self._settled: dict[Where, Where] = {}

    def settled(self, where: Where | None) -> Where | None:
        """Return a source line with the full name of its layer; None for None."""
        if where is None or not where.layer.startswith("@"):
            return where
        if where not in self._settled:
            scope, _, path = where.layer.partition("/")
            self._settled[where] = where.of(joined(self._scopes.get(scope, ""), path))
        return self._settled[where]


def settle(order: Sequence[Node], known: Mapping[ParameterSpec, str]) -> Names:
    """Assign names to the scopes and parameters of ``order``. Parameters in ``known`` keep theirs.

    Raises:
        ArgumentError: Two parameters would have one name, or one explicit scope is used twice.
    """
    owners: list[tuple[int, ScopeName | None, list[tuple[ParameterSpec, str]]]] = []
    # by scope of a driver or layer within a step: the scope of the driver that runs the step
    above: dict[ScopeName, ScopeName] = {}
    layers: set[ScopeName] = set()
    for node in order:
        if node.op == "driver":
            driver: Driver = node["driver"]
            for item, outer in driver.with_inner():
                owners.append((driver.serial, item.scope, list(item.names.parameters)))
                owners += [(scope.serial, scope, []) for scope in item.names.scopes]
                if outer is not None:
                    above[item.scope] = outer.scope
        elif node.get("scope") is not None:
            specs = [(node["slot"], str(node["label"]))] if node.op == "parameter" else []
            layers.add(node["scope"])
            owners.append((node["scope"].serial, node["scope"], specs))
        elif node.op == "parameter" and (node["slot"].name is not None or node["slot"] in known):
            spec: ParameterSpec = node["slot"]
            owners.append((spec.serial, None, [(spec, spec.name or known[spec])]))
    for node in order:  # the name of a layer with parameters is not nested in that of a driver
        if node.op == "parameter" and node.get("scope") is not None:
            above.pop(node["scope"], None)
    owners.sort(key=lambda owner: owner[0])
    scopes = dict.fromkeys(scope for _, scope, _ in owners if scope is not None)
    drivers = {scope.layer: scope for scope in scopes}
    above.update({scope: drivers[scope.outer] for scope in scopes if scope.outer in drivers})

    names = Names()
    _scopes(names, scopes, above, layers, owners, known)
    spec_of = {known[spec]: spec for _, _, specs in owners for spec, _ in specs if spec in known}
    for _, scope, specs in owners:
        for spec, path in specs:
            if spec in names.specs:
                continue
            name = known.get(spec) or (f"{names.scopes[scope]}/{path}" if scope else path)
            if spec_of.setdefault(name, spec) is not spec:
                raise ArgumentError(
                    f"two parameters are named {name}; give one of them another name or a scope",
                    spec.where,
                )
            names.specs[spec] = name
    return names


def _scopes(
    names: Names,
    scopes: Iterable[ScopeName],
    above: Mapping[ScopeName, ScopeName],
    layers: Collection[ScopeName],
    owners: list[tuple[int, ScopeName | None, list[tuple[ParameterSpec, str]]]],
    known: Mapping[ParameterSpec, str],
) -> None:
    """Add a name for each scope to ``names``, prefixed by the driver's name if it lies within a driver's step.

    Args:
        names: Names to which those of scopes are added.
        scopes: Scopes in the order of declaration.
        above: By scope within a driver's step: the driver's scope.
        layers: Scopes of layers, which share a name if they share parameters.
        owners: Order, scope and parameters of each declaration.
        known: Names of parameters from an earlier compile.
    """
    scopes = list(scopes)
    scope_of: dict[str, ScopeName] = {}
    for _, scope, specs in owners:  # keep the name of a scope whose parameters were named by an earlier compile
        for spec, path in specs:
            if scope is not None and spec in known and known[spec].endswith(f"/{path}"):
                names.scopes.setdefault(scope, known[spec][: -len(path) - 1])
                scope_of[names.scopes[scope]] = scope
    for scope in scopes:
        if scope.explicit and scope not in names.scopes and scope not in above:
            if scope_of.setdefault(scope.base, scope) is not scope:
                raise ArgumentError(
                    f"scope {scope.base!r} is used twice; choose another, or share a cell with rg.shared",
                    scope.where,
                )
            names.scopes[scope] = scope.base
    earlier = {name[:end] for name in known.values() for end, letter in enumerate(name) if letter == "/"}
    namer = Namer({*scope_of, *earlier})
    shared = {id(scope.specs): name for scope, name in names.scopes.items() if scope in layers}

    def name_of(scope: ScopeName) -> str:
        if scope not in names.scopes:
            base = f"{name_of(above[scope])}/{scope.base}" if scope in above else scope.base
            reused = shared.get(id(scope.specs)) if scope in layers else None
            names.scopes[scope] = reused or namer(base)
            if scope in layers:
                shared[id(scope.specs)] = names.scopes[scope]
        return names.scopes[scope]

    for scope in scopes:
        name_of(scope)
