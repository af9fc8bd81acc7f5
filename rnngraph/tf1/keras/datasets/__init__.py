"""``tf.keras.datasets`` from files in ``~/.keras/datasets``. Nothing is downloaded, and no pickle is read."""

from __future__ import annotations

from typing import Any

from ...core.names import missing as _missing
from . import boston_housing as boston_housing
from . import fashion_mnist as fashion_mnist
from . import imdb as imdb
from . import mnist as mnist
from . import reuters as reuters


def __getattr__(name: str) -> Any:
    raise _missing("keras.datasets", name)
