"""Files that hold only weights: list their tensors, and explain how to make a net of them."""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from ...storage.read_file import open_file

ZIP = b"PK\x03\x04"
PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".bin")
MAX_HEADER = 100_000_000
"""Maximum size of a safetensors header in bytes, as in the format's own library."""
MAX_ROWS, MAX_DEPTH = 1000, 20
_HOW = (
    "in Python, make the module, load the weights into it, call module.eval(), and rg.read_torch(module, example) "
    "reads the module with its weights; rg.weights.from_torch(cell, arrays) converts those of one recurrent layer"
)
Row = tuple[str, str, list[int]]
"""Name, dtype and shape of a tensor."""


def weights_in(path: Path, begin: bytes) -> str | None:
    """Return a text that says what a file of weights is, for an error; None for other files.

    ``begin`` are the first bytes of the file.
    """
    if begin.startswith(ZIP) and _is_torchs(path):
        return f"is a file of torch, which describes a module only by Python code, and that is not run; {_HOW}"
    suffix = path.suffix.lower()
    if suffix in PICKLES and begin.startswith(b"\x80"):
        return f"is a pickle of torch, which describes a module only by Python code, and that is not run; {_HOW}"
    if suffix == ".safetensors":
        return f"holds only weights, and does not describe the net; {_HOW}"
    return None


def _is_torchs(path: Path) -> bool:
    """True if a zip archive was written by ``torch.save``. Nothing is unpacked."""
    try:
        with ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (BadZipFile, OSError):  # left to the reader, which has a better error
        return False


def tensors_in(path: Path) -> list[Row] | str:
    """Return (name, dtype, shape) rows of a weight file's tensors, or the reason why they cannot be listed."""
    if path.suffix.lower() == ".safetensors":
        return _of_safetensors(path)
    try:
        torch: Any = import_module("torch")
    except ImportError:
        return "torch, which could list the tensors, is not installed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice for the file's author
            loaded = torch.load(path, map_location="meta", weights_only=True)
    except Exception as error:  # an untrusted pickle, on which torch raises errors of several types
        return f"it holds more than tensors, such as a whole module, and is not opened ({type(error).__name__})"
    return [(name, str(item.dtype).removeprefix("torch."), [*item.shape]) for name, item in _leaves("", loaded, torch)]


def _leaves(name: str, item: Any, torch: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield (path, tensor) for the tensors in nested mappings and lists."""
    if isinstance(item, torch.Tensor):
        yield name or "tensor", item
    elif isinstance(item, Mapping) and depth < MAX_DEPTH:
        for key, part in item.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), part, torch, depth + 1)
    elif isinstance(item, list | tuple) and depth < MAX_DEPTH:
        for number, part in enumerate(item):
            yield from _leaves(f"{name}[{number}]", part, torch, depth + 1)


def _of_safetensors(path: Path) -> list[Row] | str:
    """Return (name, dtype, shape) rows from a safetensors file's header, or a text if the header is damaged."""
    with open_file(path, "a file of weights") as file:
        begin = file.read(8)
        size = struct.unpack("<Q", begin)[0] if len(begin) == 8 else MAX_HEADER + 1
        text = file.read(size) if size <= MAX_HEADER else b""
    try:
        header = json.loads(text)
        entries = {name: item for name, item in header.items() if name != "__metadata__"}
        return [(name, str(item["dtype"]), [int(size) for size in item["shape"]]) for name, item in entries.items()]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return "its header is damaged"
