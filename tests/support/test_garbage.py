"""The garbage collector is off while the compiler runs, and is restored afterwards."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.codegen import compile
from rnngraph.support.garbage import collector_paused


def test_the_collector_is_as_before() -> None:
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="own"), collector_paused():
        raise ValueError("own")
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_collector_is_off_while_a_net_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    text_of = compile.module_text

    def recorded(*arguments: Any) -> str:
        seen.append(gc.isenabled())
        return text_of(*arguments)

    monkeypatch.setattr(compile, "module_text", recorded)
    program = rg.compile(rg.tanh(rg.dense(rg.placeholder("x", (2, 8)), 4)), cache=False)
    program.inference(np.zeros((2, 8), "float32"))
    assert seen == [False]
    assert gc.isenabled()
