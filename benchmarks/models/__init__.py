"""Published trained nets, run by rnngraph and by the engines that they were made for: one file for each net or format.

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
    recurrences,
    silero,
    sleep,
    texts,
    thai,
    torch_modules,
    words,
)
from .fetch import NotFetchedError
from .model import Model

FAMILIES: Mapping[str, Callable[[], list[Model]]] = {
    "silero": silero.nets,
    "sleep": sleep.nets,
    "reaction": reaction.nets,
    "noise": noise.nets,
    "words": words.nets,
    "audio": audio.nets,
    "suppression": onnx_files.noise_nets,
    "diacritics": onnx_files.diacritics_nets,
    "letters": onnx_files.letters_nets,
    "speech": onnx_files.speech_nets,
    "voices": torch_modules.voices_nets,
    "marks": torch_modules.marks_nets,
    "lines": torch_modules.lines_nets,
    "gait": gait.nets,
    "thai": thai.nets,
    "pinyin": pinyin.nets,
    "texts": texts.nets,
    "cells": cells.nets,
    "recurrences": recurrences.nets,
    "minimamba": recurrences.short_nets,
}
"""By name of a family: function that builds its nets. Raises ``ImportError`` or ``NotFetchedError`` if it can't."""


def nets_of(families: Iterable[str], leave_out: Callable[[str], object]) -> Iterator[Model]:
    """Yield the nets of families. ``leave_out`` is called with a reason for each family that can't run here."""
    for family in families:
        try:
            models = FAMILIES[family]()
        except (ImportError, NotFetchedError) as error:
            leave_out(f"{family}: {error}")
            continue
        yield from models
