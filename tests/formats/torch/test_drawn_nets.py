"""Modules of torch that are drawn at random as source code: open sizes, values at other sizes, and streams."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from drawn_net_checks import compare, drawn, read

import rnngraph as rg

pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("einops", exc_type=ImportError)
pytestmark = pytest.mark.peers
UNLIKE_STEPS = r"drawn_net_\d+\.py:\d+: the \d+ steps of .* are not identical, so they can't be rolled into a loop"


def check(seed: int, folder: Path) -> None:
    source = drawn(seed)
    try:
        module, net = read(source, folder, seed)
    except rg.NotReadableError as error:
        if not re.search(UNLIKE_STEPS, str(error)):
            raise
        return
    compare(source, module, net, seed)


@pytest.mark.parametrize("seed", [1, 15, 3045, 3097])
def test_drawn_nets(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(200))
def test_many_drawn_nets(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)
