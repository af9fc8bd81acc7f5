"""Numbers the source places of texts and boxes: lines of the script with their layers and phases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...support.errors import Where


class Places:
    """Table of places, and of sets of places, which many lines of text share. Set 0 is empty."""

    def __init__(self) -> None:
        self._places: dict[Where, int] = {}
        self._sets: dict[tuple[int, ...], int] = {(): 0}
        self._files: dict[str, int] = {}

    def index_of(self, where: Where) -> int:
        """Return the index of a place; add the place if it is new."""
        self._files.setdefault(where.file, len(self._files))
        return self._places.setdefault(where, len(self._places))

    def index_of_set(self, wheres: Iterable[Where]) -> int:
        """Return the index of a set of source places; add the set if it is new."""
        members = tuple(sorted({self.index_of(where) for where in wheres}))
        return self._sets.setdefault(members, len(self._sets))

    @property
    def known(self) -> list[Where]:
        """Places, by index."""
        return [*self._places]

    @property
    def files(self) -> list[str]:
        """Files, by index."""
        return [*self._files]

    def table(self) -> dict[str, Any]:
        """Return {``places``: lists [file's index, line, layer, phase], ``sets``: tuples of indices of places}."""
        places = [[self._files[where.file], where.line, where.layer, where.phase] for where in self._places]
        return {"places": places, "sets": [*self._sets]}
