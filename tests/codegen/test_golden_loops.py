"""The loops of small cells as text: ``show("loops")`` prints the same text on all machines."""

from __future__ import annotations

from pathlib import Path

from golden_files import Golden

import rnngraph as rg

DIRECTORY = Path(__file__).parent / "golden"


def test_loops_of_a_small_rnn(golden: Golden) -> None:
    """A level has its default cache sizes, independent of those of the host."""
    x = rg.placeholder("x", (4, None, 3))
    outputs, state = rg.dynamic_rnn(rg.BasicRNNCell(5), x)
    program = rg.compile({"outputs": outputs, "state": state}, target="x86-64-v3")
    golden(DIRECTORY / "small_rnn.txt", program.inference.show("loops"))


def test_loops_of_a_decoder_that_stops(golden: Golden) -> None:
    first = rg.placeholder("first", (2, 3))
    outputs, _, lengths = rg.dynamic_decode(
        rg.BasicRNNCell(3), first, lambda y, _: y * 2.0, 5, stop=lambda y: rg.reduce_max(y, axis=1) > 0.5
    )
    program = rg.compile({"outputs": outputs, "lengths": lengths}, target="x86-64-v3")
    golden(DIRECTORY / "small_decoder.txt", program.inference.show("loops"))
