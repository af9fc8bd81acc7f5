"""Keys of feeds: a placeholder, its name, or one name for a nest of placeholders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from ...declare.placeholders import RESERVED
from ...declare.tensor import Tensor
from ...passes.lowering.lowered import SEED_INPUTS, Lowered
from ...support.errors import ArgumentError, NameLookupError, StructureError, Where, did_you_mean, shown
from .nested_feeds import names_under, spread


def unknown_input(owner: str, name: str, names: Iterable[str], where: Where | None) -> NameLookupError:
    """Return the error for a feed that ``owner`` does not have.

    Args:
        owner: What was fed, such as "the training graph".
        name: Name of the feed.
        names: Names of the owner's inputs.
        where: The caller's line.
    """
    listed = ", ".join(names) or "none"
    hint = did_you_mean(name, names) or f"; it takes {listed}"
    return NameLookupError(f"{owner} has no input {shown(name)}{hint}", where)


_AS_MAPPING = "as one mapping from placeholder to array, not as"
MAX_KEYS = 64
"""Number of known keys at which a cache stops to learn further ones."""


class FeedNames:
    """Placeholders of a program, by the keys under which calls may feed them."""

    def __init__(self, lowered: Lowered) -> None:
        self._lowered = lowered
        self.inputs: Sequence[str] = ()  # required inputs of the inference graph

    def set_inputs(self, labels: Sequence[str]) -> None:
        """Set the required inputs of the inference graph to those of its inputs that have no default."""
        self.inputs = [name for name in labels if name not in SEED_INPUTS and name not in self._lowered.defaults]

    def name_of(self, key: Any, where: Where | None) -> str:
        """Return the name for a key of a mapping: a placeholder or its name. The name may be unknown.

        Raise ``NameLookupError`` for a Tensor that is no placeholder, or an unnamed one of another program.
        """
        if not isinstance(key, Tensor):
            return key if isinstance(key, str) else shown(key)
        name = self._lowered.placeholders.get(key.node)
        if name is None and (key.node.op != "input" or key.node.get("unnamed")):
            raise NameLookupError(
                f"{shown(key)} is not a placeholder of this program; feed the program's placeholders",
                where,
            )
        return name or key.name

    def pairs(self, feeds: Any, named: Mapping[str, Any], where: Where | None) -> list[tuple[str, Any]]:
        """Return (name, value) of all feeds in a call's mapping and keywords."""
        if feeds is not None and not isinstance(feeds, Mapping):
            raise StructureError(f"feeds come by keyword, or {_AS_MAPPING} {type(feeds).__name__}", where)
        for name in named:
            if name in RESERVED:
                hint = "; draw k of training(samples=n, seed=s) has the seed s + k * 2**32" if name == "samples" else ""
                raise ArgumentError(f"this call does not take {name}=, which is a keyword of other calls{hint}", where)
        return [(self.name_of(key, where), value) for key, value in (*(feeds or {}).items(), *named.items())]

    def with_input(self, array: Any, named: Mapping[str, Any], where: Where | None) -> dict[str, Any]:
        """Return a call's keywords plus its positional array, under the name of the only input without a keyword.

        Raise ``StructureError`` if no input, or more than one, is without a keyword.
        """
        left = [name for name in self.inputs if name not in named and name.partition(".")[0] not in named]
        if len(left) == 1:
            return {left[0]: array, **named}
        names = ", ".join(left)
        raise StructureError(
            f"feeds come by keyword, or {_AS_MAPPING} {type(array).__name__}; "
            + (f"it could be {names}, so give them by name" if left else "all inputs are fed by keyword"),
            where,
        )

    def by_placeholder(self, feeds: Any, named: Mapping[str, Any], where: Where | None) -> dict[str, Any]:
        """Return the feeds by placeholder name. A nest is replaced by its placeholders.

        Raise ``ArgumentError`` for a placeholder that is fed twice. Unknown names are not checked.
        """
        by_name: dict[str, Any] = {}
        for name, value in self.pairs(feeds, named, where):
            parts = {name: value} if name not in self.nests else spread(name, value, self.nests[name], where)
            for part, item in parts.items():
                if part in by_name:
                    raise ArgumentError(f"{part} is fed twice; give it once", where)
                by_name[part] = item
        return by_name

    @cached_property
    def nests(self) -> dict[str, list[str]]:
        """Return the placeholders of each nest, by the nest's name."""
        labels = [str(node["label"]) for node in self._lowered.graph.inputs if node.op == "input"]
        tops = {label.partition(".")[0] for label in labels if "." in label}
        return {top: names_under(top, labels) for top in tops.difference(labels)}


class KnownKeys:
    """Cache of the names of placeholders, by the keys that earlier calls used."""

    def __init__(self, feed_names: FeedNames, names: Iterable[str]) -> None:
        """Make a cache that contains each name as a key."""
        self._feed_names = feed_names
        self._names: dict[Any, str] = {name: name for name in names}

    def by_name(self, feeds: Any, named: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the feeds of a dict and keywords by name; None for an unknown key of the dict or a duplicate feed.

        Return None also if ``feeds`` is not a dict. Keywords may be unknown.
        """
        if type(feeds) is not dict:
            return None
        names = self._names
        try:
            by_name = {names[key]: value for key, value in feeds.items()}
        except KeyError:
            return None
        if named:
            by_name.update(named)
        return by_name if len(by_name) == len(feeds) + len(named) else None

    def others(self, names: Collection[str]) -> dict[str, Any]:
        """Return {name: last key other than the name} for those of ``names`` that calls fed under other keys."""
        return {name: key for key, name in self._names.items() if key is not name and name in names}

    def learn(self, feeds: Mapping[Any, Any], where: Where | None) -> None:
        """Remember the keys that a valid call used, except keys of nests, until there are ``MAX_KEYS``."""
        if len(self._names) < MAX_KEYS:
            names = {key: self._feed_names.name_of(key, where) for key in feeds}
            self._names.update({key: name for key, name in names.items() if name not in self._feed_names.nests})
