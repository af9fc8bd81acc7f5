"""How callers name what they feed: by placeholder, by its name, or by one name for a nest of placeholders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from ...declare.placeholders import RESERVED
from ...declare.tensor import Tensor
from ...passes.lowering.lowered import Lowered
from ...support.errors import ArgumentError, NameLookupError, StructureError, Where, shown
from .nested_feeds import names_under, spread

_AS_MAPPING = "as one mapping from placeholder to array, not as"
MOST_KEYS = 64
"""Keys of mappings that are remembered."""


class FeedNames:
    """The placeholders of a program, by all that stands for them in a call."""

    def __init__(self, lowered: Lowered) -> None:
        self._lowered = lowered
        self.inputs: Sequence[str] = ()  # names of what has to be fed to the inference graph

    def name_of(self, key: Any, where: Where | None) -> str:
        """The name of what a mapping feeds: a placeholder, or its name."""
        if not isinstance(key, Tensor):
            return key if isinstance(key, str) else shown(key)
        name = self._lowered.placeholders.get(key.node)
        if name is None and (key.node.op != "input" or key.node.get("unnamed")):
            raise NameLookupError(f"{shown(key)} is fed, but is no placeholder of this program", where)
        return name or key.name

    def given(self, feeds: Any, named: Mapping[str, Any], where: Where | None) -> list[tuple[str, Any]]:
        """(name, value) of all that a call's mapping and keywords give, as they were given."""
        if feeds is not None and not isinstance(feeds, Mapping):
            raise StructureError(f"feeds come by keyword, or {_AS_MAPPING} {type(feeds).__name__}", where)
        for name in named:
            if name in RESERVED:
                hint = "; draw k of training(samples=n, seed=s) has the seed s + k * 2**32" if name == "samples" else ""
                raise ArgumentError(f"this call takes no {name}=, a name that others take for themselves{hint}", where)
        return [(self.name_of(key, where), value) for key, value in (*(feeds or {}).items(), *named.items())]

    def with_input(self, array: Any, named: Mapping[str, Any], where: Where | None) -> dict[str, Any]:
        """Return a call's keywords with an array that was given by position: the inference graph's only other input."""
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
        """What each placeholder is fed, by its name: nests are spread over the placeholders that they stand for."""
        found: dict[str, Any] = {}
        for name, value in self.given(feeds, named, where):
            parts = {name: value} if name not in self.nests else spread(name, value, self.nests[name], where)
            for part, item in parts.items():
                if part in found:
                    raise ArgumentError(f"{part} is fed twice; give it once", where)
                found[part] = item
        return found

    @cached_property
    def nests(self) -> dict[str, list[str]]:
        """The names that stand for several placeholders together, with the placeholders' own."""
        labels = [str(node["label"]) for node in self._lowered.graph.inputs if node.op == "input"]
        tops = {label.partition(".")[0] for label in labels if "." in label}
        return {top: names_under(top, labels) for top in tops.difference(labels)}


class KnownKeys:
    """By what mappings feed: keys that calls were given, whose names are not looked for again."""

    def __init__(self, feed_names: FeedNames, names: Iterable[str]) -> None:
        """names: of what is fed."""
        self._feed_names = feed_names
        self._names: dict[Any, str] = {name: name for name in names}

    def by_name(self, feeds: Any, named: Mapping[str, Any]) -> dict[str, Any] | None:
        """The feeds of a mapping and of keywords; None where a key was not met before, or one is fed twice."""
        if type(feeds) is not dict:
            return None
        names = self._names
        try:
            given = {names[key]: value for key, value in feeds.items()}
        except KeyError:
            return None
        if named:
            given.update(named)
        return given if len(given) == len(feeds) + len(named) else None

    def others(self, names: Collection[str]) -> dict[str, Any]:
        """By name what else than the names feeds were given by; of several the last."""
        return {name: key for key, name in self._names.items() if key is not name and name in names}

    def learn(self, feeds: Mapping[Any, Any], where: Where | None) -> None:
        """Takes up the keys of a call that was right."""
        if len(self._names) < MOST_KEYS:
            names = {key: self._feed_names.name_of(key, where) for key in feeds}
            self._names.update({key: name for key, name in names.items() if name not in self._feed_names.nests})
