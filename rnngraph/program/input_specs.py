"""What a program's placeholders take, as ``program.inputs`` shows it."""

from __future__ import annotations

from typing import NamedTuple

from ..missing import Named


class InputSpec(NamedTuple):
    """What a placeholder takes, or an output gives. shape: as it was declared, an open size as None."""

    shape: tuple[int | str | None, ...]
    dtype: str


class InputSpecs(Named):
    """That of each placeholder or output, by name."""

    __slots__ = ()
    _title = "the program"
