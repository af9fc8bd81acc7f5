"""File format of the graphs that the cache keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..ir.graph import Graph
from ..ir.text.plain import plain_graphs, restored_graphs
from ..storage.checkpoint_file import packed, unpacked
from ..support.errors import FileError

KIND, SHOWN = "graphs", "cached graphs"


class StoredGraphs(NamedTuple):
    """Graphs of a file, and facts about them that JSON can store."""

    graphs: Sequence[Graph]
    facts: Mapping[str, Any]


def to_bytes(key: str, stored: StoredGraphs) -> bytes:
    """Return the bytes of a file. ``key`` identifies from what the graphs were derived; readers must pass the same."""
    arrays: dict[str, np.ndarray] = {}
    document = {"key": key, "facts": dict(stored.facts), **plain_graphs(stored.graphs, arrays)}
    return b"".join(packed(KIND, arrays, document, SHOWN))


def from_bytes(key: str, data: bytes) -> StoredGraphs | None:
    """Return the graphs in the bytes of a file; None if they are damaged or have another key."""
    try:
        arrays, document = unpacked(data, KIND, SHOWN)
        if document["key"] != key:
            return None
        return StoredGraphs(restored_graphs(document, arrays), document["facts"])
    except FileError:
        return None
    except (ValueError, TypeError, LookupError, AttributeError):  # intact, but of another version
        return None
