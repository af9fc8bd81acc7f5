"""Random cells by structure: delays, chains of delays, swaps, copies, several cycles, dead states.

``declare_cell(seed)`` returns a declaration with such a cell, a driver, a loss and outputs, as a user would write it.
"""

from __future__ import annotations

import random

from declarations import Axis, Declaration, Feed, Value, leaves

SIZES = (1, 3, 7, 17, 25)
OPS = (
    "{0} * 0",
    "{0} * 0.5",
    "-{0}",
    "rg.sin({0})",
    "{0} + {1}",
    "{0} * {1}",
    "rg.maximum({0}, {1})",
    "1 - {0}",
    "{0} - {1}",
)


def wired(draw: random.Random, units: int) -> str:
    """Return the code of a random cell with ``units`` units."""
    names = [f"s{number}" for number in range(draw.randint(1, 5))]
    wires: dict[str, str] = {}
    for name in names:
        known = [*names, *(item.upper() for item in wires)]
        wires[name] = _wire(draw, known)
    output = _wire(draw, [*names, *(item.upper() for item in names)])
    return f"own.WiredCell({units}, {wires!r}, {output!r})"


def _wire(draw: random.Random, known: list[str]) -> str:
    roll = draw.random()
    if roll < 0.45:  # a delay, a swap, a copy, or a constant state
        return draw.choice(known)
    if roll < 0.75:
        parts = draw.sample([*known, "x"], draw.randint(1, min(3, len(known) + 1)))
        return f"dense({', '.join(parts)})"
    return draw.choice(OPS).format(draw.choice(known), draw.choice(known))


def declare_cell(seed: int) -> Declaration:
    """Return the random declaration of a seed."""
    draw = random.Random(seed)
    units, width = draw.choice(SIZES), draw.choice(SIZES)
    batch, time = draw.randint(1, 5), draw.randint(1, 7)
    dtype = draw.choice(["float32", "float32", "float64"])
    x: tuple[Axis, ...] = ("B", "T", width)
    feeds = {"x": Feed(x, dtype)}
    lines = [f'x = rg.placeholder("x", (None, None, {width}), "{dtype}")']
    cell, options = wired(draw, units), ""
    if draw.random() < 0.25:
        cell = f"rg.MultiRNNCell([{cell}, {wired(draw, units)}])"
    if draw.random() < 0.2:
        cell = f"rg.DropoutWrapper({cell}, {draw.choice(['input', 'output', 'state'])}_keep_prob=0.7)"
    if draw.random() < 0.35:
        lines.append('n = rg.placeholder("n", (None,), "int32")')
        feeds["n"] = Feed(("B",), "int32", "T")
        options = ", sequence_length=n"
    lines.append(f"o, s = rg.dynamic_rnn({cell}, x{options})")
    lines.append("loss = rg.reduce_mean(rg.square(o))" + draw.choice(["", " + rg.reduce_sum(o[:, -1]) * 0.1"]))
    outputs = {"o": Value("o", ("B", "T", units))}
    lines.append('outputs["o"] = o')
    last = draw.choice(list(leaves(Declaration(seed, tuple(lines), {}, {}, batch, time, dtype).run()["s"], "s")))
    lines.append(f'outputs["last"] = {last[0]}')
    outputs["last"] = Value(last[0], ("B", units))
    unroll = draw.choice([None, None, 2])
    return Declaration(seed, tuple(lines), feeds, outputs, batch, time, dtype, unroll)
