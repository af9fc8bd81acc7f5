"""TensorFlow 1's functions at hard points, by ``rnngraph.tf1``."""

from __future__ import annotations

from dataclasses import dataclass

import rnngraph as rg
from rnngraph import tf1

from .cases import Entry
from .recorded import Arrays
from .tensorflow_values import Graph


@dataclass(frozen=True)
class _Run:
    graph: Graph

    def values(self, wanted: Arrays) -> Arrays:
        """Return outputs and gradients."""
        return self.graph.values()


def read(entry: Entry) -> _Run:
    """Declare an entry's expression."""
    try:
        return _Run(Graph(tf1, entry))
    except rg.NotReadableError:
        raise
    except (rg.RnnGraphError, tf1.errors.OpError) as error:
        raise rg.NotReadableError(str(error), problems=[str(error)]) from error
