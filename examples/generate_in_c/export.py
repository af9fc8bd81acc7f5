"""Export a small language model with random weights for ``generate.c``: ids [1] in, logits [1, CLASSES] out.

A trained model is exported in the same way: ``rg.load`` loads a program that ``program.save`` saved.
"""

from __future__ import annotations

import sys
from pathlib import Path

import rnngraph as rg

CLASSES, WIDTH = 64, 96


def language_model() -> rg.Tensor:
    """Return logits [batch, time, CLASSES] of the input ``ids``."""
    ids = rg.placeholder("ids", (None, None), "int64")
    table = rg.parameter("table", (CLASSES, WIDTH), "glorot_uniform")
    x = rg.gather(table, ids)
    for _ in range(2):
        y, _ = rg.dynamic_rnn(rg.GatedDeltaNetCell(num_heads=3, head_dim=32), x)
        x = x + y
    return rg.dense(x, CLASSES, name="head")


def main(folder: Path, kind: str = "int4") -> rg.Program:
    """Export the net, with its weights in a separate file, and return its program."""
    program = rg.compile({"logits": language_model()}, weights=kind, seed=1)
    program.inference.export(folder, "net", weights="external", link=False)
    return program


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "net-export")
    main(folder)
    print(f"{folder}: {(folder / 'net.weights').stat().st_size:,} bytes of weights")
