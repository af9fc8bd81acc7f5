"""The processes of one training, by the communicator that the user gives: what they agree on, and how one's error
becomes everyone's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numpy as np

from ...errors import ArgumentError, DtypeError, RanksError, RnnGraphError, Where, shown

T = TypeVar("T")
USED = ("Get_rank", "Get_size", "Dup", "Send", "Recv", "Bcast", "bcast", "allgather")


class Ranks:
    """comm: an intracommunicator of mpi4py, of which a duplicate is used so that no message meets the user's own; None:
    this process is the only one. Where there are several, all call the same in the same order.

    rank, size: as MPI has them.
    """

    def __init__(self, comm: Any, where: Where | None = None) -> None:
        if comm is not None and not all(callable(getattr(comm, name, None)) for name in USED):
            raise DtypeError(f"comm={shown(comm)} is no communicator of mpi4py; give MPI.COMM_WORLD", where)
        self.rank: int = 0 if comm is None else comm.Get_rank()
        self.size: int = 1 if comm is None else comm.Get_size()
        self._comm: Any = comm.Dup() if self.size > 1 else None

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which alone validates, calls back, shows progress and writes."""
        return self.rank == 0

    def agreed(self, make: Callable[[], T]) -> T:
        """What ``make`` gives on rank 0, on all. What it raises there is raised there, and told to the others."""
        if self._comm is None:
            return make()
        failure: BaseException | None = None
        answer: tuple[bool, Any] = False, None
        if self.is_first:
            try:
                answer = True, make()
            except BaseException as error:
                failure, answer = error, (False, _text(error))
        done, value = self._comm.bcast(answer, root=0)
        if failure is not None:
            raise failure
        if not done:
            raise RanksError(f"rank 0 failed: {value}")
        return value

    @contextmanager
    def together(self) -> Iterator[None]:
        """A part that each rank computes by itself: behind it, either all go on or all raise. One part must not lie in
        another.
        """
        failure: BaseException | None = None
        try:
            yield
        except BaseException as error:
            failure = error
        self.exchanged(None, failure)

    def together_alike(self, make: Callable[[], tuple[T, Any]], problem: str, where: Where | None) -> T:
        """The same for what gives (its value, what must be equal on all ranks), as of ``check_same``."""
        failure: BaseException | None = None
        found: T | None = None
        alike: Any = None
        try:
            found, alike = make()
        except BaseException as error:
            failure = error
        self.check_same(alike, problem, where, failure)
        return cast(T, found)

    def exchanged(self, value: T, failure: BaseException | None = None) -> list[T]:
        """What each rank gives, in the order of ranks; where one has failed, all raise. failure: this rank's."""
        told = value, None if failure is None else _text(failure)
        everyone = [told] if self._comm is None else self._comm.allgather(told)
        if failure is not None:
            raise failure
        for rank, (_, text) in enumerate(everyone):
            if text is not None:
                raise RanksError(f"rank {rank} failed, and the others stop with it: {text}")
        return [item for item, _ in everyone]

    def check_same(self, value: Any, problem: str, where: Where | None, failure: BaseException | None = None) -> None:
        """Raises ``ArgumentError`` on all ranks where not all have the same ``value``. failure: this rank's.

        problem: the message, of ``{rank}``, what it has (``{other}``), and what rank 0 has (``{first}``).
        """
        values = self.exchanged(value, failure)
        other = next((rank for rank, item in enumerate(values) if item != values[0]), None)
        if other is not None:
            first, their = _differing(values[0], values[other])
            raise ArgumentError(problem.format(first=first, other=their, rank=other), where)

    def send(self, arrays: list[np.ndarray], rank: int) -> None:
        for array in arrays:
            self._comm.Send(array, dest=rank)

    def receive(self, arrays: list[np.ndarray], rank: int) -> None:
        for array in arrays:
            self._comm.Recv(array, source=rank)

    def share(self, arrays: list[np.ndarray]) -> None:
        """Gives everyone what rank 0 has, in place."""
        if self._comm is not None:
            for array in arrays:
                self._comm.Bcast(array, root=0)


def _differing(first: Any, other: Any) -> tuple[Any, Any]:
    """The entries in which two mappings differ, as text; of anything else all of it."""
    if not isinstance(first, dict) or not isinstance(other, dict):
        return first, other
    names = [name for name in first if first[name] != other.get(name)]
    first, other = (", ".join(f"{name} {shown(item.get(name))}" for name in names) for item in (first, other))
    return first, other


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, RnnGraphError) else f"{type(error).__name__}: {error}"
