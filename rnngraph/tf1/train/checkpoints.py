"""The file ``checkpoint``, which lists a directory's checkpoints, and functions that read checkpoints."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...formats.tensorflow.variables import read_tf1_variables
from ...storage.atomic_file import as_path, replace_file
from ...storage.read_file import open_file
from ...support.api_guard import api
from ...support.errors import FileError
from ..core.errors import NotFoundError


class CheckpointState:
    """``CheckpointState``: prefixes of a directory's newest checkpoint and of all retained ones, the oldest first."""

    def __init__(self, model_checkpoint_path: str, all_model_checkpoint_paths: Sequence[str]) -> None:
        self.model_checkpoint_path = model_checkpoint_path
        self.all_model_checkpoint_paths = list(all_model_checkpoint_paths)


@api
def update_checkpoint_state(
    save_dir: str,
    model_checkpoint_path: str,
    all_model_checkpoint_paths: Sequence[str] | None = None,
    latest_filename: str | None = None,
    **options: Any,
) -> None:
    """Write the file ``checkpoint``. If ``save_dir`` is a relative path, paths in the file are relative to it."""
    save_dir, model_checkpoint_path = (os.fspath(as_path(path)) for path in (save_dir, model_checkpoint_path))
    paths = [os.fspath(as_path(path)) for path in all_model_checkpoint_paths or ()]
    if model_checkpoint_path not in paths:
        paths.append(model_checkpoint_path)
    if not os.path.isabs(save_dir):
        model_checkpoint_path = _relative_to(model_checkpoint_path, save_dir)
        paths = [_relative_to(path, save_dir) for path in paths]
    lines = [f'model_checkpoint_path: "{_escaped(model_checkpoint_path)}"']
    lines += [f'all_model_checkpoint_paths: "{_escaped(path)}"' for path in paths]
    with replace_file(os.path.join(save_dir, latest_filename or "checkpoint")) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


@api
def get_checkpoint_state(checkpoint_dir: str, latest_filename: str | None = None) -> CheckpointState | None:
    """Return the paths in a directory's file ``checkpoint``; None if it is missing or lists no checkpoint."""
    path = os.path.join(os.fspath(as_path(checkpoint_dir)), latest_filename or "checkpoint")
    try:
        with open_file(path, "a checkpoint file") as file:
            text = file.read(1 << 24).decode()
    except FileNotFoundError:
        return None
    except FileError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"can't read {path}: {error}") from None
    entries = re.findall(r'^\s*(all_)?model_checkpoint_paths?\s*:\s*"((?:[^"\\]|\\.)*)"', text, re.MULTILINE)
    newest = [value for kind, value in entries if not kind]
    if not newest:
        return None
    full = [_resolved(value, checkpoint_dir) for kind, value in entries if kind]
    return CheckpointState(_resolved(newest[-1], checkpoint_dir), full)


@api
def latest_checkpoint(checkpoint_dir: str, latest_filename: str | None = None) -> str | None:
    """Return the prefix of the newest checkpoint of a directory; None if there is none."""
    state = get_checkpoint_state(checkpoint_dir, latest_filename)
    if state is None or not checkpoint_exists(state.model_checkpoint_path):
        return None
    return state.model_checkpoint_path


@api
def checkpoint_exists(checkpoint_prefix: str) -> bool:
    """True if a checkpoint with this prefix exists, of either version."""
    prefix = os.fspath(as_path(checkpoint_prefix))
    return os.path.isfile(f"{prefix}.index") or os.path.isfile(prefix)


class CheckpointReader:
    """``tf.train.NewCheckpointReader``: the variables of a checkpoint by name."""

    @api
    def __init__(self, path: str) -> None:
        path = os.fspath(as_path(path))
        prefix = latest_checkpoint(path) if os.path.isdir(path) else path
        if prefix is None or not checkpoint_exists(prefix):
            raise NotFoundError(f"there is no checkpoint {path}; pass the prefix that Saver.save returned")
        self._arrays = read_tf1_variables(prefix)

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """Return {name: sizes} of all variables."""
        return {name: list(array.shape) for name, array in self._arrays.items()}

    def get_variable_to_dtype_map(self) -> dict[str, str]:
        """Return {name: dtype} of all variables."""
        return {name: str(array.dtype) for name, array in self._arrays.items()}

    def has_tensor(self, name: str) -> bool:
        """True if a variable of this name exists."""
        return name in self._arrays

    def get_tensor(self, name: str) -> np.ndarray:
        """Return the value of a variable."""
        if name not in self._arrays:
            raise NotFoundError(f"the checkpoint has no variable {name}; it has {', '.join(sorted(self._arrays)[:20])}")
        return self._arrays[name]


@api
def list_variables(ckpt_dir_or_file: str) -> list[tuple[str, list[int]]]:
    """Return (name, sizes) of all variables of a checkpoint."""
    return sorted(CheckpointReader(ckpt_dir_or_file).get_variable_to_shape_map().items())


@api
def load_variable(ckpt_dir_or_file: str, name: str) -> np.ndarray:
    """Return the value of a variable of a checkpoint."""
    return CheckpointReader(ckpt_dir_or_file).get_tensor(name.removesuffix(":0"))


def _relative_to(path: str, directory: str) -> str:
    """Convert a path that is relative to the working directory to one relative to ``directory``.

    An absolute path is returned unchanged.
    """
    return path if os.path.isabs(path) else os.path.relpath(path, directory)


def _resolved(written: str, directory: str) -> str:
    """Unescape ``written``, a path in the file ``checkpoint``. Join a relative path to the file's directory."""
    path = re.sub(r"\\(.)", r"\1", written)
    return path if os.path.isabs(path) else os.path.join(directory, path)


def _escaped(path: str) -> str:
    """Escape a path for a string in the file ``checkpoint``."""
    return path.replace("\\", "\\\\").replace('"', '\\"')
