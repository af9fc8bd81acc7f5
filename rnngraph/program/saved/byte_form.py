"""Programs as bytes, for pickles: one checkpoint with the files of a saved program.

The bytes are read like files: everything is checked, and nothing is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...runtime.graph_source import GraphSource
from ...runtime.parameters import Parameters
from ...storage.checkpoint_file import packed, unpacked
from ...support.errors import DtypeError, FileError, GraphError, OutOfMemoryError, RnnGraphError, Where
from ...support.records import dataclass
from ...version import __version__
from .json_form import is_int
from .save_load import VERSION, WEIGHTS, WRONG, SavedSettings, SavedSource, files_of, source_from, weights_file

KIND = "pickled program"
SHOWN = "a pickled program"
FILE, BESIDE = "file/", "beside/"
PARTS = ("program", "inference", "evaluation", "training")
RESTORING_GRAPHS = ("inference", "evaluation")
"""Graphs from which objects can be made, such as streams."""
MAX_THREADS = 2**31 - 1


@dataclass(frozen=True)
class Pickled:
    """Contents of a pickled program, or of an object made from it.

    Attributes:
        part: The program, or the name of one of its graphs.
        arguments: Arguments of an object made from that graph; ``arrays`` are its arrays.
        threads, target, cache, direct_calls: As for ``compile``.
    """

    source: SavedSource
    part: str
    arguments: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    threads: int
    target: str
    cache: bool
    direct_calls: bool


def to_bytes(
    source: GraphSource,
    parameters: Parameters,
    settings: SavedSettings,
    text: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    kept: dict[Any, Any],
) -> bytes:
    """Pack a program with the other fields of ``Pickled``. ``kept`` caches the files for repeated calls.

    Raises:
        GraphError: The declaration has a part that could not be read back.
    """
    try:
        last = kept.get(KIND)  # read and replaced as one entry, for threads that pickle at once
        if last is not None and last[0] == settings:
            files = {**last[1], WEIGHTS: weights_file(parameters)}
        else:
            files = files_of(source, parameters, settings)
            kept[KIND] = settings, {name: data for name, data in files.items() if name != WEIGHTS}
    except RnnGraphError:
        raise
    except WRONG as error:
        raise GraphError(f"the program does not pickle: {error}; change this part of the declaration") from error
    tensors = {FILE + name: np.frombuffer(data, np.uint8) for name, data in sorted(files.items())}
    tensors |= {BESIDE + name: array for name, array in arrays.items()}
    text = {**text, "version": VERSION, "rnngraph": __version__}
    return b"".join(packed(KIND, tensors, text, SHOWN))


def from_bytes(data: Any, where: Where | None) -> Pickled:
    """Unpack and check the bytes of ``to_bytes``. Raise ``FileError`` for other bytes, ``DtypeError`` for no bytes."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise DtypeError(f"a pickled program is bytes, not {type(data).__name__}; give what rg.dumps returned", where)
    try:
        tensors, text = unpacked(bytes(data), KIND, SHOWN)
    except (FileError, OutOfMemoryError):
        raise
    except Exception as error:  # consistent bytes, but not written by this library
        raise FileError(f"{SHOWN} can't be read: {type(error).__name__}; pickle it again", where) from error
    if not isinstance(text, dict) or text.get("version") != VERSION:
        checkpoint_text = text.get("rnngraph") if isinstance(text, dict) else None
        by = f" by rnngraph {checkpoint_text}" if isinstance(checkpoint_text, str) else ""
        raise FileError(
            f"{SHOWN} was written{by} in another form than this rnngraph {__version__} reads; use the same version on "
            "all machines",
            where,
        )
    part, arguments, threads, target, cache = (
        text.get(name) for name in ("part", "made", "threads", "target", "cache")
    )
    is_direct = text.get("direct_calls", True)
    if not (
        isinstance(part, str)
        and part in PARTS
        and isinstance(arguments, dict)
        and isinstance(target, str)
        and isinstance(threads, int)
        and is_int(threads, 1, MAX_THREADS)
        and isinstance(cache, bool)
        and isinstance(is_direct, bool)
        and (not arguments or part in RESTORING_GRAPHS)
    ):
        raise FileError(f"{SHOWN} can't be read: its description is missing or wrong; pickle it again", where)
    files = {name.removeprefix(FILE): array.tobytes() for name, array in tensors.items() if name.startswith(FILE)}
    beside = {name.removeprefix(BESIDE): array for name, array in tensors.items() if name.startswith(BESIDE)}
    return Pickled(source_from(files, SHOWN), part, arguments, beside, threads, target, cache, is_direct)
