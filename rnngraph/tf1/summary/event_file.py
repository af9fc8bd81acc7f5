"""Event files of TensorBoard: a sequence of event records with checksums."""

from __future__ import annotations

import os
import platform
import re
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from ...declare.tensor import Tensor
from ...formats.tensorflow.checksums import masked_crc
from ...storage.atomic_file import as_path
from ...storage.read_file import open_file
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, FileError, shown
from ..core.graph import Graph
from .drawing import graph_def as drawn
from .messages import Event, Summary

MAX_BYTES = 1 << 30
"""Maximum bytes of a record that is read. A larger length is a sign of a damaged file."""


def record(data: bytes) -> bytes:
    """Return ``data`` as a record: with its length and checksums (tensorflow/core/lib/io/record_writer.h)."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


class FileWriter:
    """``tf.summary.FileWriter``: writes an event file into a directory, which it creates.

    Args:
        graph: ``tf.Graph`` for TensorBoard to draw.
        flush_secs: Maximum age in seconds of events in memory: an event added later writes all of them to disk.
        filename_suffix: Suffix of the file's name.

    ``max_queue`` and ``session`` have no effect.
    """

    @api
    def __init__(
        self,
        logdir: str,
        graph: Any = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        graph_def: Any = None,
        filename_suffix: str | None = None,
        session: Any = None,
    ) -> None:
        self._folder = os.fspath(as_path(logdir))
        suffix = "" if filename_suffix is None else filename_suffix
        if not isinstance(suffix, str) or "/" in suffix or "\0" in suffix:
            raise DtypeError(f"filename_suffix must be a str without slashes, not {shown(filename_suffix)}")
        self._suffix, self._every = suffix, _seconds(flush_secs)
        self._lock, self._flushed = threading.Lock(), 0.0
        self._file: BinaryIO | None = self._opened()
        for item in (graph, graph_def):
            if item is not None:
                self.add_graph(item)

    def _opened(self) -> BinaryIO:
        """Open an event file in the directory, which is created if needed, and return the file."""
        host = re.sub(r"[^\w.-]", "_", platform.node()) or "host"
        began = time.time()
        path = os.path.join(self._folder, f"events.out.tfevents.{int(began):010d}.{host}{self._suffix}")
        try:
            os.makedirs(self._folder, exist_ok=True)
            file = open(path, "ab")  # noqa: SIM115  # closed by ``close``
            if file.tell() == 0:
                file.write(record(Event(wall_time=began, file_version="brain.Event:2").SerializeToString()))
            file.flush()
        except OSError as error:
            raise FileError(f"can't write {path}: {error.strerror or error}") from None
        self._flushed = time.monotonic()
        return file

    def get_logdir(self) -> str:
        """Return the directory."""
        return self._folder

    @api
    def add_summary(self, summary: Any, global_step: Any = None) -> None:
        """Add a ``tf.Summary``, or the bytes that a run of a summary operation returned."""
        if isinstance(summary, bytes):
            summary = Summary.FromString(summary)
        if not isinstance(summary, Summary):
            raise DtypeError(f"add_summary needs a tf.Summary, or the fetched value of one, not {shown(summary)}")
        self.add_event(Event(wall_time=time.time(), summary=summary, **_step(global_step)))

    @api
    def add_event(self, event: Event) -> None:
        """Add a ``tf.Event``."""
        if not isinstance(event, Event):
            raise DtypeError(f"add_event needs a tf.Event, not {shown(event)}")
        data = event.SerializeToString()
        with self._lock:
            if self._file is None:
                self._file = self._opened()
            try:
                self._file.write(record(data))
                if time.monotonic() - self._flushed > self._every:
                    self._file.flush()
                    self._flushed = time.monotonic()
            except OSError as error:
                raise FileError(f"can't write an event file into {self._folder}: {error.strerror or error}") from None

    @api
    def add_graph(self, graph: Any, global_step: Any = None, graph_def: Any = None) -> None:
        """Add a graph for TensorBoard to draw: its nodes by name, with their inputs and sizes."""
        if not isinstance(graph, Graph):
            raise DtypeError(f"add_graph needs a tf.Graph, such as session.graph, not {shown(graph)}")
        self.add_event(Event(wall_time=time.time(), graph_def=drawn(graph), **_step(global_step)))

    def add_session_log(self, session_log: Any, global_step: Any = None) -> None:
        """Do nothing: TensorBoard shows no session log."""

    def add_run_metadata(self, run_metadata: Any, tag: str, global_step: Any = None) -> None:
        """Do nothing: a run has no metadata."""

    def add_meta_graph(self, meta_graph_def: Any, global_step: Any = None) -> None:
        """Do nothing: there is no meta graph. ``add_graph`` adds the graph for TensorBoard."""

    @api
    def flush(self) -> None:
        """Write all added events to disk."""
        with self._lock:
            if self._file is not None:
                self._file.flush()
                self._flushed = time.monotonic()

    @api
    def close(self) -> None:
        """Close the file. Later events are written to a new file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None

    def reopen(self) -> None:
        """Do nothing: the next event opens a file."""

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self.close()


def _seconds(value: Any) -> float:
    """Return a number of seconds as a float. Raise ``ArgumentError`` for negative numbers and anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ArgumentError(f"flush_secs must be a number of seconds, 0 or more, not {shown(value)}")
    return float(value)


def _step(global_step: Any) -> dict[str, int]:
    """Return the field ``step`` of an event; empty without a global step."""
    if global_step is None:
        return {}
    if isinstance(global_step, Tensor):
        raise DtypeError(f"global_step must be a number, not {global_step!r}; fetch it with session.run")
    return {"step": Event(step=global_step).step}


@api
def summary_iterator(path: str) -> Iterator[Event]:
    """Yield the events of a file. An incomplete record ends the iteration."""
    return _events(os.fspath(as_path(path)))


def _events(path: str) -> Iterator[Event]:
    """Yield the events of a file up to an incomplete record. Raise ``FileError`` if a record is damaged."""
    try:
        with open_file(path, "a log") as file:
            while len(head := file.read(12)) == 12:
                length, checked = struct.unpack("<QI", head)
                if masked_crc(head[:8]) != checked or length > MAX_BYTES:
                    raise FileError(
                        f"{path} is not an event file, or is damaged: a record's length or its checksum is wrong; copy "
                        "the file again"
                    )
                data, end = file.read(length), file.read(4)
                if len(data) < length or len(end) < 4:
                    return
                if masked_crc(data) != struct.unpack("<I", end)[0]:
                    raise FileError(f"{path} is damaged: the checksum of a record is wrong; copy the file again")
                yield Event.FromString(data)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror or error}") from None
