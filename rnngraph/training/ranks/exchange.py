"""What processes tell each other: each gives a value and has those of all.

A process whose script ends tells so, too, in the place of a value. Else those that go on would wait for it for ever:
MPI lets no process end before all do, whatever exception ended its script.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Exchange:
    """comm: a duplicate of the user's communicator, so that no message meets the user's own. left: ranks whose scripts
    have ended; nothing is exchanged then. is_alone: whether this process is in what is not of all together.
    """

    def __init__(self, comm: Any) -> None:
        self.comm, self.left, self.is_alone = comm.Dup(), list[int](), False
        self._process = os.getpid()

    @staticmethod
    def of(comm: Any) -> Exchange:
        """All trainings over one communicator take turns in one exchange: who leaves it leaves all of them."""
        if id(comm) not in _MADE:
            _MADE[id(comm)] = comm, Exchange(comm)
        return _MADE[id(comm)][1]

    def all(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order; none where one has ``left``."""
        if self.left:
            return []
        found = self.comm.allgather((value,))
        self.left = [rank for rank, item in enumerate(found) if item is None]
        return [] if self.left else [item for (item,) in found]

    @contextmanager
    def alone(self) -> Iterator[None]:
        before, self.is_alone = self.is_alone, True
        try:
            yield
        finally:
            self.is_alone = before

    def leave(self) -> None:
        """Waits until all others leave, too, or exchange something."""
        library = sys.modules.get(type(self.comm).__module__)
        has_ended = getattr(library, "Is_finalized", lambda: True)()  # by the user; without one it is no MPI
        if not self.left and not has_ended and self._process == os.getpid():
            self.comm.allgather(None)


_MADE: dict[int, tuple[Any, Exchange]] = {}
"""By the identity of the user's communicator, which is kept so that no other has it."""


@atexit.register
def _leave() -> None:
    if hasattr(sys, "last_value") and "mpi4py.run" in sys.modules:  # which ends all at once
        return
    for _, exchange in reversed(_MADE.values()):
        exchange.leave()
