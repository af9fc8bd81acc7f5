"""Replacements of the cost model that interleave scans wherever possible, or nowhere."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rnngraph.codegen.cost_model import interleaving
from rnngraph.codegen.cost_model.interleaving import InterleavingPlan
from rnngraph.codegen.schedule.emit import entry_emitter


def interleave_everything(
    monkeypatch: pytest.MonkeyPatch, steps: int = 2, by_statement: bool = False
) -> list[InterleavingPlan]:
    """Interleave all pairs of scans that can be interleaved, in chunks of ``steps`` steps.

    Returns:
        The plans of everything that is compiled from now on.
    """
    monkeypatch.setattr(interleaving, "PAYS", 0.0)
    monkeypatch.setattr(interleaving, "MAX_BUSY", math.inf)
    monkeypatch.setattr(interleaving, "CACHE_SHARE", math.inf)
    monkeypatch.setattr(interleaving, "LOOK_AHEAD", 0.0 if by_statement else math.inf)
    monkeypatch.setattr(interleaving, "_grain", lambda *_: steps)
    original, result = entry_emitter.add_interleaved, list[InterleavingPlan]()

    def counted(writer: Any, plan: InterleavingPlan, loops: Any) -> None:
        result.append(plan)
        original(writer, plan, loops)

    monkeypatch.setattr(entry_emitter, "add_interleaved", counted)
    return result


def interleave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every scan alone."""
    monkeypatch.setattr(interleaving, "PAYS", math.inf)
