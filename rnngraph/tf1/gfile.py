"""TensorFlow 1.x's ``tf.gfile``."""

from __future__ import annotations

from typing import Any

from .core.names import missing as _missing
from .platform.gfile import (
    Copy,
    DeleteRecursively,
    Exists,
    FastGFile,
    GFile,
    Glob,
    IsDirectory,
    ListDirectory,
    MakeDirs,
    MkDir,
    Open,
    Remove,
    Rename,
    Stat,
    Walk,
    copy,
    exists,
    glob,
    isdir,
    listdir,
    makedirs,
    mkdir,
    remove,
    rename,
    rmtree,
    stat,
    walk,
)

__all__ = (
    "Copy", "DeleteRecursively", "Exists", "FastGFile", "GFile", "Glob", "IsDirectory", "ListDirectory", "MakeDirs",
    "MkDir", "Open", "Remove", "Rename", "Stat", "Walk", "copy", "exists", "glob", "isdir", "listdir", "makedirs",
    "mkdir", "remove", "rename", "rmtree", "stat", "walk",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("gfile", name)
