"""Exchange of values between processes: each process sends one value and receives all.

A process whose script ends sends a message instead of a value. Otherwise the others would wait forever: under MPI, no
process exits before all do, even after an exception.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Exchange:
    """Exchange of values between all processes of a communicator.

    Args:
        comm: Duplicate of the user's communicator, to keep messages apart.
        left: Ranks whose scripts have ended; nothing is exchanged then.
        is_alone: True while this process runs code that the others do not run.
    """

    def __init__(self, comm: Any) -> None:
        self.comm, self.left, self.is_alone = comm.Dup(), list[int](), False
        self._process = os.getpid()

    @staticmethod
    def of(comm: Any) -> Exchange:
        """Return the object by which an MPI communicator's processes exchange values. All trainings on it share one."""
        if id(comm) not in _EXCHANGES:
            _EXCHANGES[id(comm)] = comm, Exchange(comm)
        return _EXCHANGES[id(comm)][1]

    def all(self, value: Any) -> list[Any]:
        """Return the values of all ranks, in order; empty if a rank has left."""
        if self.left:
            return []
        values = self.comm.allgather((value,))
        self.left = [rank for rank, item in enumerate(values) if item is None]
        return [] if self.left else [item for (item,) in values]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Context manager for code that only this process runs, while others may wait for it."""
        before, self.is_alone = self.is_alone, True
        try:
            yield
        finally:
            self.is_alone = before

    def leave(self) -> None:
        """Wait until all other processes leave, or exchange something."""
        library = sys.modules.get(type(self.comm).__module__)
        has_ended = getattr(library, "Is_finalized", lambda: True)()  # without the module there is no MPI
        if not self.left and not has_ended and self._process == os.getpid():
            self.comm.allgather(None)


_EXCHANGES: dict[int, tuple[Any, Exchange]] = {}
"""Exchanges by the id of the user's communicator. The communicator is kept, so that no other object gets its id."""


@atexit.register
def _leave() -> None:
    """Tell the other processes, at the end of the script, that this one exchanges nothing more."""
    if hasattr(sys, "last_value") and "mpi4py.run" in sys.modules:  # mpi4py.run aborts all processes after an exception
        return
    for _, exchange in reversed(_EXCHANGES.values()):
        exchange.leave()
