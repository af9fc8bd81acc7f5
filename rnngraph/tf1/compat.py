"""``tf.compat``: as in TensorFlow 1.13 and later, ``tf.compat.v1`` has the same names."""

from __future__ import annotations

import sys
from typing import Any

from .core.names import missing as _missing


def __getattr__(name: str) -> Any:
    if name == "v1":  # the package itself, which imports this
        return sys.modules[__package__ or ""]
    raise _missing("compat", name)
