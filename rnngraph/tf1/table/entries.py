"""Look-up of paths under ``tf``, such as ``nn.relu``: the object, the module, or what to use instead."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import NamedTuple

from ...declare.functions import activations, layers, normalization
from ...declare.functions import basic as functions
from ...declare.functions.elementary import angles, hyperbolic, logarithms, normal, numbers, powers, remainders

FOLDER = Path(__file__).parent
ROOT = "tf"
"""Name of ``tf`` itself in the table."""

OFFERED = (
    functions,
    layers,
    normalization,
    activations,
    angles,
    hyperbolic,
    logarithms,
    normal,
    numbers,
    powers,
    remainders,
)
"""Modules of rnngraph whose functions ``tf`` offers under the same names."""

_DEFAULT_REMEDY = (
    "write it with the functions of rnngraph that dir(rnngraph) lists, such as rg.where, rg.matmul and rg.exp"
)


class Table(NamedTuple):
    """Parsed ``names.txt``: the supported names of TensorFlow 1, and the object of each name.

    Attributes:
        targets: ``{path of a name: path of rnngraph's object}``
        members: ``{path of a module: names in the module}``
        aliases: ``{alias of a module: path of the module in the table}``
        remedies: ``{path: what to use instead of the path and of all names under the path}``
        shared: ``{name: text}``. The text replaces ``$name`` in remedies.
    """

    targets: Mapping[str, str]
    members: Mapping[str, list[str]]
    aliases: Mapping[str, str]
    remedies: Mapping[str, str]
    shared: Mapping[str, str]


@cache
def table() -> Table:
    """Return the parsed table, read once from ``names.txt``."""
    targets: dict[str, str] = {}
    members: dict[str, list[str]] = {"": []}
    aliases: dict[str, str] = {}
    remedies: dict[str, str] = {}
    shared: dict[str, str] = {}
    for line in (FOLDER / "names.txt").read_text(encoding="utf-8").splitlines():
        path, _, entry = line.partition(" ")
        entry = entry.strip()
        if not path or path == "#":
            continue
        if path.startswith("$"):
            shared[path[1:]] = entry
        elif entry.startswith("! "):
            remedies[path] = entry[2:]
        elif entry.startswith(("= ", "-> ")):
            sign, _, module = entry.partition(" ")
            aliases[path] = "" if module == ROOT else module
            if sign == "=":
                _add(members, path)
        else:
            targets[path] = entry
            _add(members, path)
    return Table(targets, members, aliases, remedies, shared)


def _add(members: dict[str, list[str]], path: str) -> None:
    """Add a name to its module, and the module to its parent."""
    module, _, name = path.rpartition(".")
    if module not in members:
        members[module] = []
        _add(members, module)
    members[module].append(name)


@cache
def wheel_modules() -> frozenset[str]:
    """Return the paths of the modules of TensorFlow 1.15.5."""
    paths, packages = [], list[str]()
    for line in (FOLDER / "modules.txt").read_text(encoding="utf-8").splitlines():
        name = line.lstrip(" ")
        packages[len(line) - len(name) :] = [name]
        paths.append(".".join(packages))
    return frozenset(paths)


def module_path(path: str) -> str | None:
    """Resolve aliases in ``path``, the path of a module under ``tf``. Return None if there is no such module."""
    for root in ("compat.v1", "_api.v1"):
        if path == root or path.startswith(f"{root}."):
            path = path[len(root) + 1 :]
    entries = table()
    if path in entries.members:
        return path
    if path not in entries.aliases:
        path = _submodule_of_alias(path, entries) or path
    return entries.aliases.get(path, path if path in wheel_modules() else None)


def _submodule_of_alias(path: str, entries: Table) -> str | None:
    """Return the path of a submodule that TensorFlow has only under an alias of its parent; None if it has none.

    ``contrib.layers.python.layers`` is an alias of ``contrib.layers``. Programs import ``initializers`` from the alias.
    The argument is then ``contrib.layers.initializers``, and the result ``contrib.layers.python.layers.initializers``.
    """
    module, _, name = path.rpartition(".")
    folders = (folder for folder, target in entries.aliases.items() if target == module)
    return next((f"{folder}.{name}" for folder in folders if f"{folder}.{name}" in entries.aliases), None)


def public_names(path: str) -> list[str]:
    """Return the names that the table lists for the module at ``path``, without those that begin with ``_``."""
    return [name for name in table().members.get(path, ()) if not name.startswith("_")]


def remedy(path: str) -> str:
    """Return what to use instead of ``tf.<path>``, which is not offered, as the end of an error message."""
    entries = table()
    path = path.removeprefix("compat.v1.").removeprefix("python.")
    prefix, name = path, path.rpartition(".")[2]
    while prefix:
        if prefix in entries.remedies:
            return _expanded(entries.remedies[prefix])
        prefix = prefix.rpartition(".")[0]
    if any(getattr(getattr(module, name, None), "__module__", "") == module.__name__ for module in OFFERED):
        return f"use rg.{name}, from import rnngraph as rg"
    return _expanded(entries.remedies.get(name, _DEFAULT_REMEDY))


def _expanded(text: str) -> str:
    """Return a remedy in which the table's shared texts replace ``$name``."""
    while "$" in text:
        text = Template(text).substitute(table().shared)
    return text
