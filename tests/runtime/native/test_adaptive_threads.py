"""Choice between shared and single-threaded calls: the trials, their number, and their end."""

from __future__ import annotations

import pytest

from rnngraph.runtime.native import adaptive_threads
from rnngraph.runtime.native.adaptive_threads import AdaptiveEntry, SharingPolicy
from rnngraph.runtime.native.worker_pool import POOL


class Pretended:
    """Fake execution of an entry whose calls take a specified time and are recorded."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, shared: float, alone: float, pace: SharingPolicy | None = None
    ) -> None:
        self.seconds, self.calls, self.now = {True: shared, False: alone}, [], 0
        monkeypatch.setattr(adaptive_threads, "perf_counter_ns", lambda: self.now)
        monkeypatch.setattr(POOL, "run", lambda *arguments: self._timed(True))
        self.pace = pace or SharingPolicy()
        self.way = AdaptiveEntry(lambda *arguments: self._timed(False), 0, 2, self.pace, 1)  # type: ignore[arg-type]

    def _timed(self, shares: bool) -> bool:
        self.calls.append(shares)
        self.now += round(self.seconds[shares] * 1e6)
        return True

    def run(self, count: int) -> str:
        """Return a letter for each call: ``s`` shared with workers, ``a`` alone."""
        self.calls.clear()
        for _ in range(count):
            self.way(0, 0, 1)
        return "".join("s" if shares else "a" for shares in self.calls)


def test_an_entry_faster_on_one_thread_uses_one_and_tests_others_ever_less(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Pretended(monkeypatch, shared=2.0, alone=1.0)
    assert calls.run(4 + 8 + 2 + 16 + 2 + 32) == "ssaa" + "a" * 8 + "ss" + "a" * 16 + "ss" + "a" * 32
    calls.run(2000)
    assert calls.run(1000).count("s") <= 4


def test_an_entry_faster_on_several_threads_uses_them_and_tests_one_sometimes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Pretended(monkeypatch, shared=1.0, alone=1.5)
    assert calls.run(4 + 128 + 1 + 127 + 1) == "ssaa" + "s" * 128 + "a" + "s" * 127 + "a"


def test_sharing_ends_as_soon_as_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharing may become slow, for instance if workers must be woken at each call."""
    calls = Pretended(monkeypatch, shared=1.0, alone=1.5)
    calls.run(50)
    calls.seconds[True] = 4.0
    assert calls.run(3 + 8 + 2 + 16) == "sss" + "a" * 8 + "ss" + "a" * 16
    calls.seconds[True] = 1.0
    assert calls.run(2 + 40) == "s" * 42


def test_one_slow_call_is_no_reason_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Pretended(monkeypatch, shared=1.0, alone=1.5)
    calls.run(20)
    for _ in range(5):
        calls.seconds[True] = 9.0
        assert calls.run(1) == "s"
        calls.seconds[True] = 1.0
        assert calls.run(2) == "ss"


def test_sharing_ends_where_most_calls_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Pretended(monkeypatch, shared=1.0, alone=1.5)
    calls.run(20)
    for _ in range(4):
        calls.seconds[True] = 2.0
        calls.run(2)
        calls.seconds[True] = 1.0
        calls.run(1)
    assert calls.run(1) == "a"


def test_calls_of_all_lengths_make_one_experience(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Pretended(monkeypatch, shared=2.0, alone=1.0)
    assert calls.run(8) == "ssaaaaaa"
    longer = Pretended(monkeypatch, shared=200.0, alone=100.0, pace=calls.pace)
    longer.way._cycles = 100
    assert longer.run(3) == "aaa"
