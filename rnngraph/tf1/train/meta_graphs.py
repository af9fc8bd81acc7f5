"""``tf.train.export_meta_graph`` and ``import_meta_graph``, within one process."""

from __future__ import annotations

from typing import Any

from ...support.api_guard import api
from ...support.errors import ArgumentError, NotOfferedError, shown
from ..core.graph import Graph, get_default_graph
from ..table.missing import GUIDE
from .saver import Saver, remembered_graph

_IN_FILES = "a graph in a file is not offered; run the script that declares it, then tf.train.Saver().restore"


class MetaGraph:
    """Result of ``export_meta_graph``, which ``import_meta_graph`` accepts in the same process."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


@api
def export_meta_graph(filename: Any = None, *arguments: Any, graph: Any = None, **options: Any) -> MetaGraph:
    """Return an object for ``import_meta_graph``. Raise ``NotOfferedError`` if a file name is passed."""
    if filename is not None:
        raise NotOfferedError(f"tf.train.export_meta_graph({shown(filename)}): {_IN_FILES} ({GUIDE})")
    return MetaGraph(get_default_graph() if graph is None else graph)


@api
def import_meta_graph(
    meta_graph_or_file: Any, clear_devices: bool = False, import_scope: str | None = None, **options: Any
) -> Saver | None:
    """Share all state of an exported graph with the current graph, which must be empty. Return a ``Saver``.

    The name of a ``.meta`` file stands for the graph of which this process saved a checkpoint under this name.

    Returns:
        Saver of the exported graph's variables; None if the graph has no variables.
    """
    graph = remembered_graph(meta_graph_or_file) if isinstance(meta_graph_or_file, str) else None
    if graph is not None:
        meta_graph_or_file = MetaGraph(graph)
    if not isinstance(meta_graph_or_file, MetaGraph):
        raise NotOfferedError(f"tf.train.import_meta_graph({shown(meta_graph_or_file)}): {_IN_FILES} ({GUIDE})")
    current, other = get_default_graph(), meta_graph_or_file.graph
    if current is not other:
        if import_scope is not None or current.owners or current.named:
            raise ArgumentError("tf.train.import_meta_graph needs an empty graph, and no import_scope; use tf.Graph()")
        current.become(other)
    return Saver() if current.global_variables() else None
