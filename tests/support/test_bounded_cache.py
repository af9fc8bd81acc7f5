"""Bounded caches evict the oldest or the least recently used entry, from any thread, and are unlocked after a fork."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from itertools import count
from weakref import ref

import pytest

from rnngraph.support import bounded_cache
from rnngraph.support.bounded_cache import BoundedCache


@dataclass(eq=False)
class Value:
    used: int = 0


def filled(cache: BoundedCache[int, Value], keys: int) -> list[Value]:
    values = [Value(number) for number in range(keys)]
    for key, value in enumerate(values):
        cache[key] = value
    return values


def test_the_oldest_entry_is_dropped_first() -> None:
    cache: BoundedCache[int, Value] = BoundedCache(3)
    values = filled(cache, 5)
    assert [*cache.items()] == [*enumerate(values)][2:]
    assert cache.get(2) is values[2]
    cache[5] = Value()
    assert [*cache] == [3, 4, 5]  # a read does not make an entry newer


def test_the_least_recently_used_entry_is_dropped_first() -> None:
    clock = count(10)
    cache: BoundedCache[int, Value] = BoundedCache(3, lambda value: value.used)
    values = filled(cache, 3)
    values[0].used = next(clock)
    values[1].used = next(clock)
    for key, left in ((3, {0, 1, 3}), (4, {0, 1, 4}), (5, {0, 1, 5})):
        cache[key] = Value(key)
        assert {*cache} == left
    values[0].used = next(clock)
    cache[6] = Value(next(clock))
    cache[7] = Value(next(clock))
    assert {*cache} == {0, 6, 7}


def test_replacing_a_value_evicts_no_other() -> None:
    cache: BoundedCache[int, Value] = BoundedCache(2)
    filled(cache, 2)
    new = cache[0] = Value()
    assert {*cache} == {0, 1}
    assert cache[0] is new


def test_the_first_of_two_threads_has_its_value_stored() -> None:
    cache: BoundedCache[int, Value] = BoundedCache(2)
    first = cache.setdefault(0, Value())
    assert cache.setdefault(0, Value()) is first
    cache.setdefault(1, Value())
    assert {*cache} == {0, 1}
    cache.setdefault(2, Value())
    assert {*cache} == {1, 2}


def test_a_smaller_limit_counts_from_the_next_entry_on() -> None:
    cache: BoundedCache[int, Value] = BoundedCache(5)
    filled(cache, 5)
    cache.limit = 2
    cache[5] = Value()
    assert [*cache] == [4, 5]


@pytest.mark.parametrize("change", ["evict", "replace", "setdefault", "clear"])
def test_values_are_freed_immediately_and_outside_the_lock(change: str) -> None:
    """Values are freed after the lock is released, because their destructors may take locks and change caches."""
    cache: BoundedCache[int, Value] = BoundedCache(1)
    were_free = []

    class Gone(Value):
        def __del__(self) -> None:
            def taken() -> None:
                were_free.append(bounded_cache._LOCK.acquire(timeout=1))
                bounded_cache._LOCK.release()

            other = threading.Thread(target=taken)
            other.start()
            other.join()
            cache[7] = Value()

    cache[0] = Gone()
    alive = ref(cache[0])
    if change == "clear":
        cache.clear()
    elif change == "setdefault":
        cache.setdefault(1, Value())
    else:
        cache[1 if change == "evict" else 0] = Value()
    assert alive() is None
    assert were_free == [True]
    assert [*cache] == [7]


def test_threads_share_a_cache() -> None:
    cache: BoundedCache[int, Value] = BoundedCache(4, lambda value: value.used)
    wrong: list[object] = []

    def work(seed: int) -> None:
        try:
            for number in range(2000):
                key = (seed + 1) * number % 11
                value = cache.get(key)
                if value is None:
                    cache[key] = Value(number)
                else:
                    value.used = number
                if len(cache) > 4:
                    wrong.append(len(cache))
                if number % 97 == 0:
                    cache.clear()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_finds_the_lock_free() -> None:
    cache: BoundedCache[int, Value] = BoundedCache(4)
    ended = threading.Event()

    def work() -> None:
        for number in count():
            cache[number] = Value()
            if ended.is_set():
                return

    other = threading.Thread(target=work)
    other.start()
    try:
        for _ in range(10):
            child = os.fork()
            if not child:
                cache[-1] = Value()
                os._exit(0 if len(cache) <= 4 else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        ended.set()
        other.join()


def test_pinned_values_stay() -> None:
    cache: BoundedCache[str, list[int]] = BoundedCache(2, is_pinned=len)
    cache["a"], cache["b"] = [1], []
    cache["c"] = []
    assert [*cache] == ["a", "c"]
    cache["c"].append(1)
    cache["d"] = []
    assert [*cache] == ["a", "c", "d"]


def test_a_cached_value_is_computed_once() -> None:
    cache: BoundedCache[int, int | None] = BoundedCache(2)
    computed: list[int] = []

    def make(key: int) -> int | None:
        return cache.get_or_make(key, lambda: computed.append(key))

    assert [make(key) for key in (1, 1, 2, 3, 3, 1)] == [None] * 6
    assert computed == [1, 2, 3, 1]
