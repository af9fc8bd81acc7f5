"""Nets of Keras' functions at hard points, read from files that Keras described."""

from __future__ import annotations

from functools import cache

import rnngraph as rg

from .cases import Entry
from .doors import Read
from .keras_models import feeds_of, file_of, models

_models = cache(models)


def read(entry: Entry) -> Read:
    """Read the model of an entry's expression."""
    net = rg.read_keras(file_of(_models()[entry.key]))
    return Read(
        feeds_of(entry),
        net.program(),
        {name: name for name in net.inputs},
        {f"y{place}": name for place, name in enumerate(net.outputs)},
    )
