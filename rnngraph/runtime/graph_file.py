"""File format of the graphs that the cache keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..ir.graph import Graph
from ..ir.text.plain import plain_graphs, restored_graphs
from ..storage.checkpoint_file import packed, unpacked
from ..support.errors import FileError, Place
from ..support.records import NamedTuple

KIND, SHOWN = "graphs", "cached graphs"


class StoredGraphs(NamedTuple):
    """Graphs of a file, and facts about them that JSON can store."""

    graphs: Sequence[Graph]
    facts: Mapping[str, Any]


def to_bytes(key: str, stored: StoredGraphs, places: Sequence[Place] = ()) -> bytes:
    """Return the bytes of a file.

    Args:
        key: Key of what the graphs were derived from. Readers must pass the same key.
        stored: The graphs.
        places: Source lines for which readers may pass other lines.
    """
    arrays: dict[str, np.ndarray] = {}
    document = {"key": key, "facts": dict(stored.facts), **plain_graphs(stored.graphs, arrays, places)}
    return b"".join(packed(KIND, arrays, document, SHOWN))


def from_bytes(key: str, data: bytes, places: Sequence[Place] = ()) -> StoredGraphs | None:
    """Return the graphs in the bytes of a file; None if they are damaged or have another key."""
    try:
        arrays, document = unpacked(data, KIND, SHOWN)
        if document["key"] != key:
            return None
        return StoredGraphs(restored_graphs(document, arrays, places), document["facts"])
    except FileError:
        return None
    except (ValueError, TypeError, LookupError, AttributeError):  # intact, but of another version
        return None
