"""Trained nets of others, run by rnngraph and by their own engines: one file for each net or format.

``fetch`` downloads them from the package index, ``model`` is the record of each, and ``checks`` compares.
``../real_nets.py`` is the command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from . import (
    audio,
    cells,
    gait,
    noise,
    onnx_files,
    pinyin,
    reaction,
    silero,
    sleep,
    texts,
    thai,
    torch_modules,
    words,
)
from .fetch import NotFetchedError
from .model import Model

MADE: Mapping[str, Callable[[], list[Model]]] = {
    "silero": silero.made,
    "sleep": sleep.made,
    "reaction": reaction.made,
    "noise": noise.made,
    "words": words.made,
    "audio": audio.made,
    "suppression": onnx_files.made_noise,
    "diacritics": onnx_files.made_diacritics,
    "letters": onnx_files.made_letters,
    "speech": onnx_files.made_speech,
    "voices": torch_modules.made_voices,
    "marks": torch_modules.made_marks,
    "lines": torch_modules.made_lines,
    "gait": gait.made,
    "thai": thai.made,
    "pinyin": pinyin.made,
    "texts": texts.made,
    "cells": cells.made,
}
"""Function that builds each family's nets. Raises ``ImportError`` or ``NotFetchedError`` if something is missing.
"""


def made_of(families: Iterable[str], leave_out: Callable[[str], object]) -> Iterator[Model]:
    """Yield the nets of families. leave_out: is called with a reason for each family that can't run here."""
    for family in families:
        try:
            models = MADE[family]()
        except (ImportError, NotFetchedError) as error:
            leave_out(f"{family}: {error}")
            continue
        yield from models
