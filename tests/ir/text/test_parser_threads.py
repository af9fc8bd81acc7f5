"""Reading printed graphs from several threads at once."""

from __future__ import annotations

import gc
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rnngraph.ir.text.parser as parser
from rnngraph.ir.sizes.parser import parse_dim


def test_words_are_read_like_sizes() -> None:
    """Names are parsed by ``syntax_of``, the only function that is safe for threads."""
    assert [name for name in ("parse", "literal_eval") if f"ast.{name}(text" in Path(parser.__file__).read_text()] == []


def test_threads_parse_independently() -> None:
    """Garbage collection during parsing lets another thread run."""
    text = "+".join(f"{number + 2}*A{number}" for number in range(60))
    expected, thresholds = parse_dim(text), gc.get_threshold()

    def hand_over(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    gc.callbacks.append(hand_over)
    gc.set_threshold(5)
    try:
        with ThreadPoolExecutor(4) as pool:
            sizes = list(pool.map(parse_dim, [text] * 40))
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(hand_over)
    assert all(dim == expected for dim in sizes)
