"""The processes of one training, by the communicator that the user gives: what they agree on, and how one's error
becomes everyone's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar, cast

import numpy as np

from ...support.errors import ArgumentError, DtypeError, RanksError, RnnGraphError, Where, shown
from ..steps.deferred_interrupt import DeferredInterrupt
from .exchange import Exchange

T = TypeVar("T")
USED = ("Get_rank", "Get_size", "Dup", "Send", "Recv", "Bcast", "bcast", "allgather")
ENDED = "its script has ended, and those of others go on; all must make the same steps"


class Ranks:
    """comm: an intracommunicator of mpi4py, of which a duplicate is used so that no message meets the user's own; None:
    this process is the only one. Where there are several, all call the same in the same order.

    rank, size: as MPI has them. interrupt: what puts a Ctrl-C off while others wait for this process.
    """

    def __init__(self, comm: Any, where: Where | None = None) -> None:
        if comm is not None and not all(callable(getattr(comm, name, None)) for name in USED):
            raise DtypeError(f"comm={shown(comm)} is no communicator of mpi4py; give MPI.COMM_WORLD", where)
        self.rank: int = 0 if comm is None else comm.Get_rank()
        self.size: int = 1 if comm is None else comm.Get_size()
        self._exchange = Exchange.of(comm) if self.size > 1 else None
        self._comm: Any = None if self._exchange is None else self._exchange.comm
        self.interrupt = DeferredInterrupt()
        self._in_part = False
        self._told: BaseException | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which alone validates, calls back, shows progress and writes."""
        return self.rank == 0

    def agreed(self, make: Callable[[], T]) -> T:
        """What ``make`` gives on rank 0, on all. What it raises there is raised there, and told to the others."""
        if self._comm is None:
            return make()
        failure: BaseException | None = None
        value: T | None = None
        if self.is_first:
            try:
                with self._alone():
                    value = make()
            except BaseException as error:
                failure = error
        return cast(T, self.exchanged(value, failure)[0])

    @contextmanager
    def together(self) -> Iterator[None]:
        """A part that each rank computes by itself: behind it, either all go on or all raise. One part must not lie in
        another.
        """
        failure: BaseException | None = None
        try:
            with self._alone():
                yield
        except BaseException as error:
            failure = error
        self.exchanged(None, failure)

    @contextmanager
    def all_along(self) -> Iterator[None]:
        """Many parts, and what lies between them: what one rank raises there ends it for all, too. A Ctrl-C of one rank
        comes where all meet.
        """
        if self._comm is None:
            yield
            return
        self._in_part = True
        try:
            with self.interrupt.held():
                try:
                    yield
                except BaseException as error:
                    if error is not self._told:
                        self.exchanged(None, error)
                    raise
                self.exchanged(None)
        finally:
            self._in_part, self._told = False, None

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Several parts: a Ctrl-C of one rank comes where all meet, or at the end."""
        if self._comm is None:
            yield
            return
        self.interrupt.watch()
        try:
            with self.interrupt.held():
                yield
        finally:
            self.interrupt.release()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (
            self.interrupt.let_through(),
            nullcontext() if self._exchange is None else self._exchange.alone(),
        ):
            yield

    def together_alike(self, make: Callable[[], tuple[T, Any]], problem: str, where: Where | None) -> T:
        """The same for what gives (its value, what must be equal on all ranks), as of ``check_same``."""
        failure: BaseException | None = None
        found: T | None = None
        alike: Any = None
        try:
            with self._alone():
                found, alike = make()
        except BaseException as error:
            failure = error
        self.check_same(alike, problem, where, failure)
        return cast(T, found)

    def exchanged(self, value: T, failure: BaseException | None = None) -> list[T]:
        """What each rank gives, in the order of ranks; where one has failed, all raise. failure: this rank's."""
        everyone: list[tuple[T, str | None]] = [(value, None)]
        left: list[int] = []
        if self._exchange is not None:
            if self._exchange.is_alone:
                raise RanksError(
                    f"rank {self.rank} is alone here, as callbacks and metrics are, and the others would not meet it; "
                    "make steps outside of them"
                )
            failure = failure or self.interrupt.due()
            everyone = self._exchange.all((value, None if failure is None else _text(failure)))
            left = self._exchange.left
        if failure is None:
            found = [(rank, text) for rank, (_, text) in enumerate(everyone) if text is not None]
            found += [(rank, ENDED) for rank in left]
            if not found:
                return [item for item, _ in everyone]
            rank, text = found[0]
            failure = RanksError(f"rank {rank} failed, and the others stop with it: {text}")
        self._told = failure if self._in_part else None
        raise failure

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
    names = [name for name in {**first, **other} if first.get(name) != other.get(name)]
    first, other = (", ".join(f"{name} {shown(item.get(name))}" for name in names) for item in (first, other))
    return first, other


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, RnnGraphError) else f"{type(error).__name__}: {error}"
