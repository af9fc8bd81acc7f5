"""Processes of a training: they agree on values, and an error of one process stops all."""

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
ENDED = "its script has ended, and other scripts go on; all must make the same steps"


class Ranks:
    """Processes of a communicator, all of which call the same methods in the same order.

    Args:
        comm: Intracommunicator of mpi4py, which is duplicated to keep messages apart; None: this process only.

    Attributes:
        rank: MPI's rank.
        size: Number of processes.
        interrupt: Defers a Ctrl-C while others wait for this process.
    """

    def __init__(self, comm: Any, where: Where | None = None) -> None:
        if comm is not None and not all(callable(getattr(comm, name, None)) for name in USED):
            raise DtypeError(f"comm={shown(comm)} is not an mpi4py communicator; give MPI.COMM_WORLD", where)
        self.rank: int = 0 if comm is None else comm.Get_rank()
        self.size: int = 1 if comm is None else comm.Get_size()
        self._exchange = Exchange.of(comm) if self.size > 1 else None
        self._comm: Any = None if self._exchange is None else self._exchange.comm
        self.interrupt = DeferredInterrupt()
        self._in_part = False
        self._reported: BaseException | None = None

    @property
    def is_first(self) -> bool:
        """True for rank 0, the only one that validates, calls callbacks, shows progress and writes files."""
        return self.rank == 0

    def agreed(self, make: Callable[[], T]) -> T:
        """Run ``make`` on rank 0. Return its value, or raise its exception, on all ranks."""
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
    def raise_together(self) -> Iterator[None]:
        """Context manager for work that each rank does alone. If one rank raises an error, all ranks do."""
        failure: BaseException | None = None
        try:
            with self._alone():
                yield
        except BaseException as error:
            failure = error
        self.exchanged(None, failure)

    @contextmanager
    def all_along(self) -> Iterator[None]:
        """Context manager for a block in which processes exchange several values. An exception on one ends it on all.

        A Ctrl-C of a rank is raised when all ranks synchronise.
        """
        if self._comm is None:
            yield
            return
        self._in_part = True
        try:
            with self.interrupt.deferred():
                try:
                    yield
                except BaseException as error:
                    if error is not self._reported:
                        self.exchanged(None, error)
                    raise
                self.exchanged(None)
        finally:
            self._in_part, self._reported = False, None

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Context manager that delays a Ctrl-C on one rank until all ranks synchronise, or the block ends."""
        if self._comm is None:
            yield
            return
        self.interrupt.watch()
        try:
            with self.interrupt.deferred():
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
        """Run ``make`` -> (value, key) on each rank, and return its value. Raise an error on all ranks if keys differ.

        The second result of ``make`` must be equal on all ranks, as for ``check_same``.
        """
        failure: BaseException | None = None
        value: T | None = None
        alike: Any = None
        try:
            with self._alone():
                value, alike = make()
        except BaseException as error:
            failure = error
        self.check_same(alike, problem, where, failure)
        return cast(T, value)

    def exchanged(self, value: T, failure: BaseException | None = None) -> list[T]:
        """Return the values of all ranks, in order. Raise an error on all if one has a ``failure``, its exception."""
        everyone: list[tuple[T, str | None]] = [(value, None)]
        left: list[int] = []
        if self._exchange is not None:
            if self._exchange.is_alone:
                raise RanksError(
                    f"a callback or metric runs on rank {self.rank} only, so it can't make a step, which needs all "
                    "ranks; make steps outside of callbacks and metrics"
                )
            failure = failure or self.interrupt.due()
            everyone = self._exchange.all((value, None if failure is None else _text(failure)))
            left = self._exchange.left
        if failure is None:
            failures = [(rank, text) for rank, (_, text) in enumerate(everyone) if text is not None]
            failures += [(rank, ENDED) for rank in left]
            if not failures:
                return [item for item, _ in everyone]
            rank, text = failures[0]
            failure = RanksError(f"rank {rank} failed, and the others stop with it: {text}")
        self._reported = failure if self._in_part else None
        raise failure

    def check_same(self, value: Any, problem: str, where: Where | None, failure: BaseException | None = None) -> None:
        """Raise ``ArgumentError`` on all ranks unless all have equal values.

        Args:
            value: This rank's value.
            problem: Message with the fields ``{rank}``, ``{other}`` (its value) and ``{first}`` (rank 0's value).
            where: The user's call.
            failure: This rank's exception.
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
        """Overwrite arrays with those of rank 0, on all ranks."""
        if self._comm is not None:
            for array in arrays:
                self._comm.Bcast(array, root=0)


def _differing(first: Any, other: Any) -> tuple[Any, Any]:
    """Return, as texts, the entries in which two mappings differ; for other objects, the objects themselves."""
    if not isinstance(first, dict) or not isinstance(other, dict):
        return first, other
    names = [name for name in {**first, **other} if first.get(name) != other.get(name)]
    first, other = (", ".join(f"{name} {shown(item.get(name))}" for name in names) for item in (first, other))
    return first, other


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, RnnGraphError) else f"{type(error).__name__}: {error}"
