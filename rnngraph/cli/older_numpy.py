"""NumPy 1's names that NumPy 2 lacks, for the modules of one script: ``rnngraph run --tf1 --numpy1``."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

OLDER: Mapping[str, Any] = {
    "float": float,
    "int": int,
    "bool": bool,
    "object": object,
    "str": str,
    "complex": complex,
    "unicode": str,
    "long": int,
    "float_": np.float64,
    "complex_": np.complex128,
    "unicode_": np.str_,
    "string_": np.bytes_,
    "Inf": np.inf,
    "Infinity": np.inf,
    "infty": np.inf,
    "PINF": np.inf,
    "NINF": -np.inf,
    "NaN": np.nan,
    "NAN": np.nan,
    "product": np.prod,
    "cumproduct": np.cumprod,
    "sometrue": np.any,
    "alltrue": np.all,
    "round_": np.round,
    "asscalar": lambda a: a.item(),
    "row_stack": np.vstack,
    "mat": np.asmatrix,
}
"""Names that NumPy 2 removed or redefined, with their former values."""


class OlderNumPy(ModuleType):
    """NumPy with the names of ``OLDER``, in which ragged lists are arrays of objects."""

    def __init__(self) -> None:
        super().__init__("numpy", np.__doc__)
        self.__dict__.update({name: getattr(np, name) for name in ("__version__", "__path__", "__file__", "__spec__")})

    def __getattr__(self, name: str) -> Any:
        return OLDER[name] if name in OLDER else getattr(np, name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(np), *OLDER})

    @staticmethod
    def array(object: Any, dtype: Any = None, copy: Any = True, **options: Any) -> Any:
        """Return ``numpy.array``, or an array of objects for a ragged list."""
        options["copy"] = copy or None
        return _of_objects(np.array, object, dtype, options)

    @staticmethod
    def asarray(a: Any, dtype: Any = None, **options: Any) -> Any:
        """Return ``numpy.asarray``, or an array of objects for a ragged list."""
        return _of_objects(np.asarray, a, dtype, options)


def _of_objects(function: Callable[..., Any], value: Any, dtype: Any, options: Mapping[str, Any]) -> Any:
    """Return ``function(value)``; for a ragged list, an array of objects as in NumPy before 1.24."""
    try:
        return function(value, dtype=dtype, **options)
    except ValueError as error:
        if dtype is not None or "inhomogeneous" not in str(error):
            raise
        return function(value, dtype=object, **options)


@contextmanager
def older_names_of_numpy(script: Path) -> Iterator[None]:
    """Context manager within which a script and the modules beside it import ``OlderNumPy`` as ``numpy``."""
    folder, older, original = os.path.dirname(os.path.abspath(script)), OlderNumPy(), builtins.__import__

    def import_module(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Any = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        module = original(name, globals, locals, fromlist or (), level)
        is_own = (
            name == "numpy" and os.path.dirname(os.path.abspath(str((globals or {}).get("__file__", "")))) == folder
        )
        return older if is_own else module

    builtins.__import__ = import_module
    try:
        yield
    finally:
        builtins.__import__ = original
