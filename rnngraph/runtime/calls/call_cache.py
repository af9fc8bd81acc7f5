"""Thread-safe caches of prepared calls, by the signatures of their feeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from ...ir.types import TensorType
from ...support.bounded_cache import BoundedCache
from .direct_call import DIRECT, SEED_KEY
from .prepared_call import SEED
from .runner import Runner
from .signatures import converted_key, one_mapping, passed_key, plain_names

MAX_SIGNATURES = 64


class Prepared(Protocol):
    """Runner of calls whose feeds have one signature."""

    @property
    def is_current(self) -> bool:
        """True until the number of threads changes."""

    def run(self, feeds: Mapping[Any, Any], seed: int | None, out: Any) -> Any:
        """Return the call's results; None, with nothing done, if the call needs the slow path."""


PreparedT = TypeVar("PreparedT", bound=Prepared)


class CallCache(Generic[PreparedT]):
    """Cache of the prepared calls of a graph, by the signatures of their feeds."""

    def __init__(self, limit: int = MAX_SIGNATURES) -> None:
        """Make an empty cache of at most ``limit`` signatures."""
        self._calls: BoundedCache[Any, PreparedT] = BoundedCache(limit)
        # Used by the previous call. Most calls repeat its signature, and trying it is cheaper than a lookup.
        self.recent: PreparedT | None = None
        self._repeats = True  # True if the previous call repeated the signature of the one before

    def run(self, feeds: Any, named: Mapping[str, Any], seed: int | None = None, out: Any = None) -> Any:
        """Run the prepared call of these feeds. Return its results; None, with nothing done, for the slow path."""
        mapping = named if feeds is None else one_mapping(feeds, named)
        if mapping is None:
            return None
        tried, recent = None, self.recent
        if self._repeats and recent is not None:
            result = recent.run(mapping, seed, out)
            if result is not None:
                return result
            tried = recent
        known = self._lookup(mapping)
        if known is None or known is tried:
            return None
        self._repeats, self.recent = known is recent, known
        return known.run(mapping, seed, out)

    def _lookup(self, mapping: Mapping[Any, Any]) -> PreparedT | None:
        """Look up the prepared call for feeds with the signature of ``mapping``; None if there is none."""
        try:
            return self._calls.get(passed_key(mapping))
        except TypeError:  # an unhashable name
            return None

    def prepared(
        self,
        feeds: Any,
        named: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        name_of: Callable[[Any], str],
        types: Mapping[str, TensorType],
        make: Callable[[Mapping[Any, str]], PreparedT],
    ) -> tuple[PreparedT, Mapping[Any, Any]]:
        """Return the prepared call for these feeds, made if there is none, and the feeds as it takes them.

        The feeds are returned as the caller passed them. If some had to be converted, or if the caller used both a
        mapping and keywords, ``arrays`` without the seed is returned.

        Args:
            feeds: Mapping of feeds, or None.
            named: Feeds by keyword.
            arrays: All inputs, converted, by name.
            name_of: Function from a key of a feed to its name.
            types: Types of the feeds by name.
            make: Function that prepares a call from the names of its feeds by key.
        """
        mapping, key = one_mapping(feeds, named), None
        names = plain_names(mapping, name_of, types)
        if mapping is None or names is None:
            mapping = {name: array for name, array in arrays.items() if name != SEED}
            names, key = {name: name for name in mapping}, converted_key(mapping)
        else:
            key = passed_key(mapping)
        known = self._calls.get(key)
        if known is None or not known.is_current:
            known = self._calls[key] = make(names)
        return known, mapping


class DirectCache(CallCache[Runner]):
    """Cache of runners. Repeated calls run machine code directly, where possible."""

    def attempt(self, feeds: Any, named: Mapping[str, Any], seed: int | None, out: Any = None) -> Any:
        """Return a call's result, from machine code alone if possible, else from ``run``, which may return None."""
        mapping, recent = named if feeds is None else one_mapping(feeds, named), self.recent
        if mapping is None or recent is None:
            return self.run(feeds, named, seed, out)
        fed = mapping if seed is None else {**mapping, SEED_KEY: np.array(seed, np.int64)}
        if (plan := recent.plan) is not None and (result := DIRECT.attempt(plan, fed, out)) is not None:
            return result
        if len(self._calls) > 1 and (other := self._lookup(mapping)) is not None and other is not recent:
            self.recent = other
            if (plan := other.plan) is not None and (result := DIRECT.attempt(plan, fed, out)) is not None:
                return result
        return self.run(feeds, named, seed, out)
