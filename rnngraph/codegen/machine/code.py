"""Machine code in memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from ...support.errors import GraphError
from .loader import load
from .target import Target, host, missing_features

Native = Callable[[Any, Any, Any], None]
"""A compiled entry, which takes the address of the argument block, the worker, and the number of workers.

Arguments are ints or ctypes objects. Calls release the GIL.
"""

_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Code:
    """Machine code in memory, which is freed with this object."""

    def __init__(self, binary: bytes, target: Target) -> None:
        if target.triple != host().triple:
            raise GraphError(
                f"code for {target.name} ({target.triple}) can't run on this machine, which is {host().triple}; "
                'compile with target="host"'
            )
        if missing := missing_features(target):
            raise GraphError(
                f"code for {target.name} can't run on this machine, whose processor has no {', '.join(missing)}; "
                'compile with target="host"'
            )
        self._loaded = load(binary)
        if self._loaded is None:
            from .engine import MemoryObject  # imports LLVM, which is not needed to load most code

            self._of_llvm = MemoryObject(binary, target)

    def address(self, name: str) -> int:
        """Return the address of a function.

        Raises:
            GraphError: The code has no function of this name.
        """
        address = self._of_llvm.address(name) if self._loaded is None else self._loaded.addresses.get(name, 0)
        if not address:
            raise GraphError(f"the compiled code has no function {name}; delete the code cache, and compile again")
        return address

    def entry(self, name: str) -> Native:
        """Return an entry as a function. It must not be called after this object is freed."""
        native = _PROTOTYPE(self.address(name))
        native.code = self  # type: ignore[attr-defined]  # callers keep the code alive
        return native
